"""The stereo-inertial rig of the EuRoC MAV dataset, as published in its sensor.yaml files.

Source: M. Burri et al., "The EuRoC micro aerial vehicle datasets", IJRR 35(10), 2016; VI-Sensor with two MT9V034 imagers
(752 x 480) and an ADIS16448 inertial unit.
"""

import numpy as np

from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera
from vio.lie import orthonormalised

_WIDTH, _HEIGHT = 752, 480
_LEFT = (458.654, 457.296, 367.215, 248.375)  # fu, fv, cu, cv
_RIGHT = (457.587, 456.134, 379.999, 255.238)
_LEFT_DISTORTION = (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)  # k1, k2, p1, p2
_RIGHT_DISTORTION = (-0.28368365, 0.07451284, -0.00010473, -3.55590700e-05)
_T_BC = (
    (0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975),
    (0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768),
    (-0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949),
    (0.0, 0.0, 0.0, 1.0),
)
_T_BR = (
    (0.0125552670891, -0.999755099723, 0.0182237714554, -0.0198435579556),
    (0.999598781151, 0.0130119051815, 0.0251588363115, 0.0453689425024),
    (-0.0253898008918, 0.0179005838253, 0.999517347078, 0.00786212447038),
    (0.0, 0.0, 0.0, 1.0),
)
_IMU = ImuNoise(gyro_noise=1.6968e-04, gyro_walk=1.9393e-05, accel_noise=2.0000e-3, accel_walk=3.0000e-3, rate_hz=200.0)

# biases of the size that the dataset's ground truth gives for its flights (first row of V1_02_medium), rounded
INITIAL_GYRO_BIAS = (-0.0022, 0.0207, 0.0758)  # rad/s
INITIAL_ACCEL_BIAS = (-0.0133, 0.1035, 0.0931)  # m/s^2


def euroc_rig(width: int = _WIDTH, height: int = _HEIGHT) -> Calibration:
    """The rig with pictures resized to `width` x `height`: intrinsics are scaled, the distortion stays as it is."""
    T_BC, T_BR = (_rigid(np.array(rows)) for rows in (_T_BC, _T_BR))
    left = _camera(_LEFT, _LEFT_DISTORTION, width, height)
    return Calibration(left, T_BC, _IMU, _camera(_RIGHT, _RIGHT_DISTORTION, width, height), T_BR)


def _camera(intrinsics: tuple[float, ...], distortion: tuple[float, ...], width: int, height: int) -> Camera:
    """A camera whose pixels are larger; pixel centres lie on integers, hence the halves."""
    across, down = width / _WIDTH, height / _HEIGHT
    fx, fy, cx, cy = intrinsics
    return Camera(width, height, fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5, *distortion)


def _rigid(T: np.ndarray) -> np.ndarray:
    """The published matrix, with the rounding of its twelve digits taken out of the rotation."""
    T = T.copy()
    T[:3, :3] = orthonormalised(np.ascontiguousarray(T[:3, :3]))
    return T
