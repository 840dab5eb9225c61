"""Odometry through wide lenses, and with inertial sensors from 50 Hz to 10 kHz. Oracle: the flight that was rendered."""

import dataclasses

import numpy as np
import pytest

from vio import evaluation, runner
from vio.calibration import Calibration
from vio.camera import DoubleSphereCamera, EquidistantCamera
from vio.config import Config
from vio.io import asl_writer, pictures, renderer, simulator
from vio.io.asl import read
from vio.io.euroc_rig import euroc_rig
from vio.io.sequence import Sequence

_EUROC = euroc_rig()
_LEFT = EquidistantCamera(288, 288, 107.4, 107.4, 143.2, 144.5, 0.0035, 0.0007, -0.0021, 0.0002)  # TUM-VI's lens, fewer pixels
_RIGHT = DoubleSphereCamera(272, 256, 84.0, 84.2, 134.0, 128.5, -0.2, 0.59)
_RIG = Calibration(_LEFT, _EUROC.T_BC, _EUROC.imu, _RIGHT, _EUROC.T_BR)
_SPEC = dataclasses.replace(renderer.builtin_specs()["room-small"], duration=4.0, frame_hz=10.0, flight=renderer.builtin_specs()["room"].flight)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    """Four seconds through two fisheye cameras of different size and model, with an inertial sensor of 200 Hz."""
    root, flight = tmp_path_factory.mktemp("wide") / "mav0", renderer.flight_of(_SPEC)
    frame_ns = simulator.stamps(0.0, _SPEC.duration, _SPEC.frame_hz, renderer.EPOCH_NS)[:-1]
    motion = flight.at(simulator.stamps(-_SPEC.lead, _SPEC.duration + 0.02, 200.0, renderer.EPOCH_NS))
    inertial = simulator.measure(motion, _RIG.imu, 5, np.zeros(3), np.zeros(3))
    asl_writer.write_imu(root / "imu0", _RIG.imu, inertial)
    asl_writer.write_truth(root / asl_writer.TRUTH, motion, inertial.b_g, inertial.b_a)
    pictures.write_pictures(_SPEC, renderer.scene_of(_SPEC), flight, _RIG, frame_ns, root, None)
    return read(root.parent)


def _with_imu(sequence: Sequence, rate_hz: float) -> Sequence:
    """The same pictures beside the measurements of another inertial sensor."""
    noise = dataclasses.replace(_RIG.imu, rate_hz=rate_hz)
    t_ns = simulator.stamps(-_SPEC.lead, _SPEC.duration + 0.02, rate_hz, renderer.EPOCH_NS)
    inertial = simulator.measure(renderer.flight_of(_SPEC).at(t_ns), noise, 6, np.zeros(3), np.zeros(3))
    calibration = dataclasses.replace(sequence.calibration, imu=noise)
    return dataclasses.replace(sequence, calibration=calibration, imu_t_ns=t_ns, imu_w_B=inertial.w_B, imu_a_B=inertial.a_B)


def _error(sequence: Sequence) -> float:
    """ATE in m, after checking that every frame has a pose."""
    result = runner.run(sequence, Config())
    assert result.failure == "" and len(result.trajectory.t_ns) == len(sequence.frame_t_ns) == 40
    return evaluation.accuracy(result.trajectory, sequence.ground_truth).ate_rmse_m


def test_a_rig_of_two_different_fisheyes_flies_as_rendered(wide: Sequence) -> None:
    """A pixel of this lens at 3 m is 0.03 m wide; the flight is known to a third of that."""
    assert wide.calibration.left == _LEFT and wide.calibration.right == _RIGHT
    assert _error(wide) < 0.01


@pytest.mark.parametrize("rate_hz", [50.0, 10_000.0])
def test_inertial_sensors_of_any_rate_serve(wide: Sequence, rate_hz: float) -> None:
    """The densities are the same, so the error is of the same size; at 50 Hz the integration itself adds to it."""
    assert _error(_with_imu(wide, rate_hz)) < 0.015
