"""Rotation from rays and alignment with a gyro against closed forms."""

import numpy as np
import pytest
from tolerances import LOOSE

from vio import lie
from vio.doctor.alignment import Turns, align
from vio.doctor.motion import rotation_between

_GYRO_HZ, _FRAME_HZ = 200.0, 20.0


def _rate(t: np.ndarray) -> np.ndarray:
    """A rate (n, 3) rad/s that swings about every axis, with a frequency of its own."""
    return np.column_stack([0.8 * np.sin(2.1 * t), 0.6 * np.sin(3.3 * t + 1.0), 0.5 * np.sin(4.7 * t + 2.0)])


def _turns(lag: float, drift: float, R_BS: np.ndarray, seconds: float = 12.0) -> Turns:
    """Exact turns of a sensor whose clock is behind by `lag` s at the middle, through fine steps of the rotation itself."""
    t = np.arange(0.5, seconds, 1.0 / _FRAME_HZ)
    true = t + lag + drift * (t - 0.5 * (t[0] + t[-1]))
    phi = []
    for a, b in zip(true[:-1], true[1:]):
        steps = np.linspace(a, b, 21)
        R = np.eye(3)
        for w in _rate(0.5 * (steps[1:] + steps[:-1])) * (b - a) / 20:
            R = R @ lie.so3_exp(w)
        phi.append(R_BS.T @ lie.so3_log(R))
    t_ns = np.rint(t * 1e9).astype(np.int64)
    return Turns(t_ns[:-1], t_ns[1:], np.array(phi))


@pytest.mark.parametrize(("lag", "drift"), [(0.0, 0.0), (0.0237, 0.0), (-0.18, 3e-4), (0.45, -1e-3)])
def test_lag_drift_rotation_scale_and_bias_are_recovered(lag: float, drift: float) -> None:
    """Oracle: the closed form that made the data: exact turns of a known rate, one in ten of them spoilt."""
    R_BS = lie.so3_exp(np.array([0.3, -1.2, 2.0]))
    turns = _turns(lag, drift, R_BS)
    turns.phi[::10] += 0.3
    imu_ns = np.rint(np.arange(0.0, 13.5, 1.0 / _GYRO_HZ) * 1e9).astype(np.int64)
    b_g = np.array([0.01, -0.02, 0.08])
    found = align(turns, imu_ns, 1.02 * _rate(imu_ns / 1e9) + b_g)
    assert found.lag == pytest.approx(lag, abs=2e-4)
    assert found.drift == pytest.approx(drift, abs=3e-5)
    assert np.linalg.norm(lie.so3_log(found.R_BS.T @ R_BS)) < 1e-3
    assert found.scale == pytest.approx(1.02, abs=1e-3)
    np.testing.assert_allclose(found.b, b_g, atol=1e-3)
    assert found.correlation > 0.99


def test_unrelated_rotations_do_not_agree() -> None:
    """Oracle: turns drawn at random, which no lag explains."""
    turns = _turns(0.0, 0.0, np.eye(3))
    turns.phi[:] = np.random.default_rng(1).normal(0.0, 0.03, turns.phi.shape)
    imu_ns = np.rint(np.arange(0.0, 13.5, 1.0 / _GYRO_HZ) * 1e9).astype(np.int64)
    found = align(turns, imu_ns, _rate(imu_ns / 1e9))
    assert found.correlation < 0.5


def test_too_little_to_align_gives_nothing() -> None:
    """Oracle: the contract: None for few turns, and for a rig that never turned."""
    imu_ns = np.arange(0, 13_000_000_000, 5_000_000)
    few = _turns(0.0, 0.0, np.eye(3), 1.5)
    assert align(few, imu_ns, _rate(imu_ns / 1e9)) is None
    still = _turns(0.0, 0.0, np.eye(3))
    still.phi[:] = 0.0
    assert align(still, imu_ns, np.zeros((len(imu_ns), 3))) is None


@pytest.mark.parametrize("t", [(0.05, 0.0, 0.0), (0.0, 0.02, 0.08), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("outliers", [0, 25])
def test_rotation_between_rays_is_found(t: tuple[float, float, float], outliers: int) -> None:
    """Oracle: points at 1 to 6 m seen from two poses; exact also without parallax; with a sixth of them wrong, as good as
    the wrong ones that happen to lie near their epipolar lines allow."""
    rng = np.random.default_rng(4)
    xy = rng.uniform(-0.7, 0.7, (150, 2))
    p0 = np.column_stack([xy, np.ones(150)]) * rng.uniform(1.0, 6.0, (150, 1))
    R = lie.so3_exp(np.array([0.02, -0.05, 0.03]))  # R_C0C1
    p1 = (p0 - np.array(t)) @ R
    f0, f1 = (p / np.linalg.norm(p, axis=1, keepdims=True) for p in (p0, p1))
    f1[:outliers] += rng.normal(0.0, 0.05, (outliers, 3))
    f1 /= np.linalg.norm(f1, axis=1, keepdims=True)
    assert np.linalg.norm(lie.so3_log(np.ascontiguousarray(rotation_between(f0, f1).T @ R))) < (LOOSE if outliers else 1e-6)
