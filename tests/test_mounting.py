"""Doubt about the mount: the regression on rotations that are drawn, and a flight with the cameras turned."""

import numpy as np
import pytest

from vio.config import Config, HealthConfig
from vio.io.faults.registry import corrupted
from vio.io.sequence import open_sequence
from vio.lie import so3_exp, so3_log
from vio.mounting import MountDoubt
from vio.runner import RunOptions, run

TURN = np.deg2rad([0.0, 0.1, 0.0])


def told(keyframes: int, d: np.ndarray, bias: float = 1e-3, still: bool = False) -> MountDoubt:
    """Keyframes 0.2 s apart of a rig that turns about changing axes, cameras turned by d (3,) rad; attitudes are known to 0.1 mrad."""
    rng, doubt = np.random.default_rng(5), MountDoubt(HealthConfig().max_mount_evidence)
    for _ in range(keyframes):
        theta = np.zeros(3) if still else 0.1 * rng.normal(size=3)
        left = np.cross(d, theta) + 0.2 * bias + 1e-4 * rng.normal(size=3)
        doubt.hear(0.2, so3_exp(theta), np.eye(3), so3_exp(left))
    return doubt


def test_a_turn_is_told_from_noise_and_bias() -> None:
    """Oracle: construction: a tenth of a degree, 0.17 mrad a keyframe beside 0.1 mrad of noise, is seen after 100 keyframes; none is never seen."""
    assert told(100, TURN).is_turned
    assert not any(told(n, np.zeros(3)).is_turned for n in (1, 5, 21, 22, 40, 200))


def test_a_rig_that_does_not_turn_says_nothing() -> None:
    """Oracle: there is nothing to be known."""
    assert not told(100, TURN, still=True).is_turned


def test_the_turn_is_that_of_least_squares() -> None:
    """Oracle: numpy.linalg.lstsq with weights that fade by exp(-0.2 / 20) a keyframe."""
    rng, doubt, rows, left = np.random.default_rng(5), MountDoubt(1.0), [], []
    for k in range(30):
        theta, r = 0.1 * rng.normal(size=3), 1e-3 * rng.normal(size=3)
        doubt.hear(0.2, so3_exp(theta), np.eye(3), so3_exp(r))
        cross = np.array([[0, -theta[2], theta[1]], [theta[2], 0, -theta[0]], [-theta[1], theta[0], 0]])
        weight = np.exp(-0.5 * 0.2 * (29 - k) / 20.0)
        rows.append(weight * np.hstack([-cross, 0.2 * np.eye(3)]))
        left.append(weight * r)
    expected = np.linalg.lstsq(np.vstack(rows), np.concatenate(left), rcond=None)[0]
    np.testing.assert_allclose(np.linalg.solve(doubt._H, doubt._g), expected, rtol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, 3.1])
def test_the_rotation_vector_is_that_of_the_matrix(angle: float) -> None:
    """Oracle: the exponential."""
    phi = angle * np.array([2.0, -1.0, 2.0]) / 3.0
    np.testing.assert_allclose(so3_log(so3_exp(phi)), phi, rtol=1e-9, atol=1e-15)


def test_cameras_turned_by_a_third_of_a_degree_are_reported_and_only_they() -> None:
    """Oracle: the fault put in: a figure-eight, ten seconds."""
    flight, options = open_sequence("stress-eight"), RunOptions(max_frames=200)
    rows = run(corrupted(flight, ["mount:y,degrees=0.33,cm=0"]), Config(), options).health
    assert "mount_turned" in rows[-1].reasons and not any("mount_turned" in row.reasons for row in rows[:40])
    assert not any(row.reasons for row in run(flight, Config(), options).health if row.state != "initialising")
