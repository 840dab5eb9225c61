"""Cameras and rigid transforms as YAML fields, in the words of ASL's sensor.yaml and of Kalibr, read and written.

Kalibr's names: camera_model pinhole (intrinsics fu, fv, cu, cv) or ds (xi, alpha, fu, fv, cu, cv); distortion_model radtan
(ASL: radial-tangential), equidistant or none. Source: https://github.com/ethz-asl/kalibr/wiki/supported-models
"""

from typing import Any

import numpy as np

from vio.camera import Camera, CameraModel, DoubleSphereCamera, EquidistantCamera
from vio.errors import CalibrationError
from vio.files import shown

_RADIAL_TANGENTIAL = ("radial-tangential", "radtan", "plumb_bob", "radtan4")
_EQUIDISTANT = ("equidistant", "kannala-brandt", "kb4", "fisheye")
_DOUBLE_SPHERE = ("ds", "double-sphere", "double_sphere")
_SUPPORTED = "pinhole with radial-tangential (radtan), equidistant or none, and ds (double sphere)"
LARGEST_SIDE = 16384  # px
LARGEST_ARM = 100.0  # m between two sensors of a rig
_LARGEST_FOCAL = 1e6  # px
_LARGEST_COEFFICIENT = 1e3  # of a distortion


def parse_camera(fields: dict[str, Any], source: str) -> CameraModel:
    """The camera of a table of fields. Raises CalibrationError, which begins with `source`, for one that is missing or impossible."""
    width, height = (int(v) for v in floats(fields, "resolution", 2, source))
    if not (16 <= width <= LARGEST_SIDE and 16 <= height <= LARGEST_SIDE):
        raise CalibrationError(f"{source}: resolution {width}x{height}; allowed: 16 to {LARGEST_SIDE} on each side")
    model = str(fields.get("camera_model", "pinhole")).lower()
    if model in _DOUBLE_SPHERE:
        xi, alpha, *pinhole = floats(fields, "intrinsics", 6, source)
        if not (-1.0 < xi < 1.0 and 0.0 <= alpha <= 1.0):
            raise CalibrationError(f"{source}: a double sphere with xi {xi:g} and alpha {alpha:g}; the order is xi, alpha, fu, fv, cu, cv")
        _check_pinhole(pinhole, width, height, source)
        return DoubleSphereCamera(width, height, *pinhole, xi, alpha)
    if model != "pinhole":
        raise CalibrationError(f"{source}: camera_model {shown(model)} is not supported; supported: {_SUPPORTED}")
    pinhole = floats(fields, "intrinsics", 4, source)
    _check_pinhole(pinhole, width, height, source)
    return _distorted(fields, (width, height, *pinhole), source)


def _check_pinhole(pinhole: list[float], width: int, height: int, source: str) -> None:
    fx, fy, cx, cy = pinhole
    if not (1.0 <= fx <= _LARGEST_FOCAL and 1.0 <= fy <= _LARGEST_FOCAL) or not (0 <= cx < width and 0 <= cy < height):
        raise CalibrationError(f"{source}: intrinsics {pinhole} do not fit a {width}x{height} image; the order is fu, fv, cu, cv")


def _distorted(fields: dict[str, Any], pinhole: tuple, source: str) -> CameraModel:
    """A pinhole camera with the distortion that the fields name."""
    model = str(fields.get("distortion_model", "")).lower()
    asl = "distortion_coefficients" in fields or source.endswith("sensor.yaml")
    name = "distortion_coefficients" if asl else "distortion_coeffs"
    if model == "none":
        return Camera(*pinhole)
    if model not in _RADIAL_TANGENTIAL + _EQUIDISTANT:
        raise CalibrationError(f"{source}: distortion_model {shown(fields.get('distortion_model'))} is not supported; supported: {_SUPPORTED}")
    values = floats(fields, name, 4, source)
    if max(map(abs, values)) > _LARGEST_COEFFICIENT:
        raise CalibrationError(f"{source}: '{name}' is {shown(values)}; coefficients beyond {_LARGEST_COEFFICIENT:g} describe no lens")
    return Camera(*pinhole, *values) if model in _RADIAL_TANGENTIAL else EquidistantCamera(*pinhole, *values)


def parse_rigid(value: Any, name: str, source: str) -> np.ndarray:
    """A rigid transform (4, 4): OpenCV's {rows, cols, data}, 16 numbers, or 4 rows of 4. Raises CalibrationError."""
    if isinstance(value, dict):
        value = value.get("data")
    if value is None:
        raise CalibrationError(f"{source}: field '{name}' is missing")
    try:
        T = np.array(value, np.float64).reshape(4, 4)
    except (ValueError, TypeError, OverflowError):
        raise CalibrationError(f"{source}: '{name}' must hold 16 numbers, the rows of a 4x4 matrix") from None
    R = T[:3, :3]
    if not (np.abs(T) <= LARGEST_ARM).all():
        raise CalibrationError(f"{source}: '{name}' holds a number beyond {LARGEST_ARM:g}; a translation is in metres, and every number finite")
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0 or (T[3] != (0, 0, 0, 1)).any():
        raise CalibrationError(f"{source}: '{name}' is not a rigid transform: its rotation must be orthonormal with determinant +1, its last row 0 0 0 1")
    return T


def floats(fields: dict[str, Any], name: str, count: int, source: str) -> list[float]:
    """`count` finite numbers of a field that is a list. Raises CalibrationError."""
    value = fields.get(name)
    if value is None or value == [None]:
        raise CalibrationError(f"{source}: field '{name}' is missing")
    # YAML 1.1 takes 1e-4 (no dot) for a text, so texts are converted too
    try:
        numbers = [float(v) for v in value]
    except (TypeError, ValueError, OverflowError):
        raise CalibrationError(f"{source}: '{name}' is {shown(value)}; {count} numbers are needed") from None
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise CalibrationError(f"{source}: '{name}' is {shown(value)}; {count} finite numbers are needed")
    return numbers


def optional_float(fields: dict[str, Any], name: str, source: str) -> float:
    """A finite number, 0 where the field is absent. Raises CalibrationError."""
    return floats({name: [fields[name]]}, name, 1, source)[0] if fields.get(name) is not None else 0.0


def number(value: float) -> str:
    """A number that YAML 1.1 reads as the same float64: it wants a point before an exponent, which `repr` leaves out."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def number_list(values: Any) -> str:
    """Numbers as a list on one line."""
    return "[" + ", ".join(map(number, values)) + "]"


def lens_names(camera: CameraModel) -> tuple[str, tuple[float, ...], str, tuple[float, ...]]:
    """(camera_model, intrinsics, distortion_model, distortion coefficients) in Kalibr's words."""
    pinhole = camera.parameters[:4]
    if isinstance(camera, DoubleSphereCamera):
        return "ds", (*camera.coefficients, *pinhole), "none", ()
    return "pinhole", pinhole, "equidistant" if isinstance(camera, EquidistantCamera) else "radtan", camera.coefficients
