"""sensor.yaml of the ASL layout to cameras, extrinsics and inertial noise, every field checked."""

from pathlib import Path
from typing import Any

import numpy as np

from vio import lie
from vio.calibration import Calibration, ImuNoise
from vio.camera import CameraModel
from vio.errors import CalibrationError
from vio.io.camera_yaml import floats, optional_float, parse_camera, parse_rigid
from vio.io.yaml_text import read_yaml

TIME_OFFSET = "timeshift_cam_imu"  # Kalibr's name and sense: t_imu = t_cam + offset, in seconds
_SMALLEST, _LARGEST = 1e-12, 1e6
_NOISE = ("gyroscope_noise_density", "gyroscope_random_walk", "accelerometer_noise_density", "accelerometer_random_walk")


def read_rig(root: Path, mono: bool) -> tuple[Calibration, np.ndarray]:
    """The rig of an ASL folder with B = IMU, and the transform T_SB (4, 4) from the IMU to the folder's own body frame."""
    imu_path = root / "imu0" / "sensor.yaml"
    imu = read_yaml(imu_path)
    T_SB = read_extrinsics(imu, imu_path) if "T_BS" in imu else np.eye(4)
    left, T_BC, offset = _camera(root / "cam0", T_SB)
    right, T_BR = None, None
    if not mono:
        right, T_BR, other = _camera(root / "cam1", T_SB)
        check_clocks(offset, other, str(root))
    try:
        return Calibration(left, T_BC, read_imu_noise(imu, str(imu_path)), right, T_BR, offset), T_SB
    except CalibrationError as error:
        raise CalibrationError(f"{root}: {error}") from None


def _camera(folder: Path, T_SB: np.ndarray) -> tuple[CameraModel, np.ndarray, float]:
    """A camera, the transform from it to the IMU, and its time offset."""
    path = folder / "sensor.yaml"
    sensor = read_yaml(path)
    T_SC = read_extrinsics(sensor, path)
    T_BC = T_SC if np.array_equal(T_SB, np.eye(4)) else lie.inverse(T_SB) @ T_SC
    return parse_camera(sensor, str(path)), T_BC, optional_float(sensor, TIME_OFFSET, str(path))


def read_extrinsics(sensor: dict[str, Any], path: Path) -> np.ndarray:
    """T_BS (4, 4): from the sensor to the body."""
    return parse_rigid(sensor.get("T_BS"), "T_BS", str(path))


def check_clocks(left: float, right: float, source: str) -> None:
    """Refuse cameras that are not triggered together: a stereo pair then never shows one moment."""
    if abs(left - right) > 2e-3:
        raise CalibrationError(f"{source}: the time offsets of the two cameras differ by {1e3 * abs(left - right):.2f} ms; use --mono")


def read_imu_noise(fields: dict[str, Any], source: str, rate_name: str = "rate_hz") -> ImuNoise:
    """Noise densities of an IMU. Raises CalibrationError where one is missing or not positive."""
    names = (*_NOISE, rate_name)
    values = [floats({name: [fields.get(name)]}, name, 1, source)[0] for name in names]
    for name, value in zip(names, values):
        if value <= 0:
            raise CalibrationError(f"{source}: '{name}' is {value:g}; it must be positive")
        if not _SMALLEST <= value <= _LARGEST:  # their squares and inverses have to be numbers too
            raise CalibrationError(f"{source}: '{name}' is {value:g}; allowed: {_SMALLEST:g} to {_LARGEST:g}")
    return ImuNoise(*values)
