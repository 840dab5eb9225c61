"""Calibration of a rig: cameras, extrinsics and inertial noise. Never part of the configuration."""

from dataclasses import dataclass, replace

import numpy as np

from vio import lie
from vio.camera import CameraModel
from vio.errors import CalibrationError


@dataclass(frozen=True)
class ImuNoise:
    """Continuous-time noise densities and rate of an IMU.

    gyro_noise rad/s/sqrt(Hz), gyro_walk rad/s^2/sqrt(Hz), accel_noise m/s^2/sqrt(Hz), accel_walk m/s^3/sqrt(Hz), rate_hz Hz.
    """

    gyro_noise: float
    gyro_walk: float
    accel_noise: float
    accel_walk: float
    rate_hz: float = 200.0


@dataclass(frozen=True)
class Calibration:
    """A mono or stereo rig. `T_BC`, `T_BR` (4, 4) map the left and right camera to the body; `right` is None in mono.

    time_offset: s, t_imu = t_cam + offset (Kalibr's timeshift_cam_imu). Readers apply it: frames are on the IMU's clock already.
    """

    left: CameraModel
    T_BC: np.ndarray
    imu: ImuNoise
    right: CameraModel | None = None
    T_BR: np.ndarray | None = None
    time_offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("T_BC", "T_BR"):
            T = getattr(self, name)
            if T is None:
                continue
            R = np.asarray(T)[:3, :3]
            if np.shape(T) != (4, 4) or not np.isfinite(T).all() or abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
                raise CalibrationError(f"{name} is not a rigid transform: its rotation part must be orthonormal with determinant +1")

    @property
    def T_CR(self) -> np.ndarray | None:
        """Transform (4, 4) from the right camera to the left one."""
        return None if self.T_BR is None else lie.inverse(self.T_BC) @ self.T_BR

    def mono(self) -> "Calibration":
        """The same rig without its right camera."""
        return replace(self, right=None, T_BR=None)
