"""An analytic textured wall seen by a stereo rig: every pixel and every match has a closed form."""

import numpy as np

from vio import lie
from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera

LEFT = Camera(320, 240, 200.0, 201.0, 158.0, 122.0, -0.2, 0.04, 0.0005, -0.0003)
RIGHT = Camera(320, 240, 203.0, 202.0, 161.0, 119.0, -0.18, 0.03, -0.0004, 0.0002)
R_CR = lie.so3_exp(np.array([0.01, -0.008, 0.012]))
NOISE = ImuNoise(1.7e-4, 2e-5, 2e-3, 3e-3)
RIG = Calibration(LEFT, np.eye(4), NOISE, RIGHT, lie.pose(R_CR, np.array([0.11, 0.001, -0.002])))
WALL = 2.0  # m in front of the origin, at right angles to the z axis


def _texture(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Sum of 60 sines with wavelengths of 0.08 to 0.8 m, hence 8 to 80 px at 2 m; within 20..235."""
    rng = np.random.default_rng(5)
    number = 2 * np.pi / np.geomspace(0.08, 0.8, 60)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 60))
    waves = np.sin(np.multiply.outer(X, number * np.cos(angle)) + np.multiply.outer(Y, number * np.sin(angle)) + phase)
    return np.clip(128 + 18 * waves.sum(-1), 20, 235)


def on_wall(uv: np.ndarray, camera: Camera, T_WC: np.ndarray) -> np.ndarray:
    """Points (n, 3) of the wall seen at pixels (n, 2)."""
    direction = np.concatenate((camera.unproject(uv), np.ones((len(uv), 1))), 1) @ T_WC[:3, :3].T
    return T_WC[:3, 3] + direction * ((WALL - T_WC[2, 3]) / direction[:, 2])[:, None]


def seen(points: np.ndarray, camera: Camera, T_WC: np.ndarray) -> np.ndarray:
    """Pixels (n, 2) of points (n, 3) ahead."""
    local = (points - T_WC[:3, 3]) @ T_WC[:3, :3]
    return camera.project(local[:, :2] / local[:, 2:])


def picture(camera: Camera, T_WC: np.ndarray) -> np.ndarray:
    """The wall as the camera sees it, (height, width) uint8."""
    cols, rows = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    points = on_wall(np.stack((cols, rows), -1).reshape(-1, 2), camera, T_WC)
    return np.rint(_texture(points[:, 0], points[:, 1])).astype(np.uint8).reshape(camera.height, camera.width)
