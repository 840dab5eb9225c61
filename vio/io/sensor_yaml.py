"""sensor.yaml of the ASL layout to cameras, extrinsics and inertial noise, every field checked."""

from pathlib import Path
from typing import Any

import numpy as np

from vio.calibration import ImuNoise
from vio.camera import Camera
from vio.errors import CalibrationError

_RADIAL_TANGENTIAL = ("radial-tangential", "radtan", "plumb_bob")


def read_sensor(path: Path) -> dict[str, Any]:
    """Read sensor.yaml, with or without OpenCV's `%YAML:1.0` first line. Raises CalibrationError naming file and line."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        # blanked, not removed: the line numbers in errors stay those of the file
        lines = ["" if line.startswith("%YAML:") else line for line in text.splitlines()]
        sensor = yaml.safe_load("\n".join(lines))
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise CalibrationError(f"{path}{where}: not YAML ({getattr(error, 'problem', None) or 'unreadable'})") from None
    if not isinstance(sensor, dict):
        raise CalibrationError(f"{path}: not a table of fields")
    return sensor


def read_camera(sensor: dict[str, Any], path: Path) -> Camera:
    """The camera model of a sensor.yaml. Raises CalibrationError if a field is missing, impossible or of a model not supported."""
    if sensor.get("camera_model", "pinhole") != "pinhole":
        raise CalibrationError(f"{path}: camera_model '{sensor['camera_model']}' is not supported yet; supported: pinhole")
    model = sensor.get("distortion_model")
    if model not in _RADIAL_TANGENTIAL:
        raise CalibrationError(f"{path}: distortion_model '{model}' is not supported yet; supported: radial-tangential (also called radtan)")
    width, height = (int(v) for v in _floats(sensor, "resolution", 2, path))
    fx, fy, cx, cy = _floats(sensor, "intrinsics", 4, path)
    if not (16 <= width <= 16384 and 16 <= height <= 16384):
        raise CalibrationError(f"{path}: resolution {width}x{height}; allowed: 16 to 16384 on each side")
    if fx <= 0 or fy <= 0 or not (0 <= cx < width and 0 <= cy < height):
        raise CalibrationError(f"{path}: intrinsics {[fx, fy, cx, cy]} do not fit a {width}x{height} image; the order is fu, fv, cu, cv")
    k1, k2, p1, p2 = _floats(sensor, "distortion_coefficients", 4, path)
    return Camera(width, height, fx, fy, cx, cy, k1, k2, p1, p2)


def read_extrinsics(sensor: dict[str, Any], path: Path) -> np.ndarray:
    """T_BS (4, 4): from the sensor to the body. Accepts OpenCV's {rows, cols, data}, 16 numbers, or 4 rows of 4."""
    value = sensor.get("T_BS")
    if isinstance(value, dict):
        value = value.get("data")
    if value is None:
        raise CalibrationError(f"{path}: field 'T_BS' is missing")
    try:
        T_BS = np.array(value, np.float64).reshape(4, 4)
    except (ValueError, TypeError):
        raise CalibrationError(f"{path}: 'T_BS' must hold 16 numbers, the rows of a 4x4 matrix") from None
    R = T_BS[:3, :3]
    if not np.isfinite(T_BS).all() or np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0 or (T_BS[3] != (0, 0, 0, 1)).any():
        raise CalibrationError(f"{path}: 'T_BS' is not a rigid transform: its rotation must be orthonormal with determinant +1, its last row 0 0 0 1")
    return T_BS


def read_imu_noise(sensor: dict[str, Any], path: Path) -> ImuNoise:
    """Noise densities of an IMU. Raises CalibrationError where one is missing or not positive."""
    names = ("gyroscope_noise_density", "gyroscope_random_walk", "accelerometer_noise_density", "accelerometer_random_walk", "rate_hz")
    values = [_floats({name: [sensor.get(name)]}, name, 1, path)[0] for name in names]
    for name, value in zip(names, values):
        if value <= 0:
            raise CalibrationError(f"{path}: '{name}' is {value:g}; it must be positive")
    return ImuNoise(*values)


def _floats(sensor: dict[str, Any], name: str, count: int, path: Path) -> list[float]:
    """`count` finite numbers of a field that is a list."""
    value = sensor.get(name)
    if value is None or value == [None]:
        raise CalibrationError(f"{path}: field '{name}' is missing")
    # YAML 1.1 takes 1e-4 (no dot) for a text, so texts are converted too
    try:
        numbers = [float(v) for v in value]
    except (TypeError, ValueError):
        raise CalibrationError(f"{path}: '{name}' is {value!r}; {count} numbers are needed") from None
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise CalibrationError(f"{path}: '{name}' is {value!r}; {count} finite numbers are needed")
    return numbers
