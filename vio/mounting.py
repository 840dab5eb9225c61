"""Doubt whether the cameras sit on the body as the calibration says, from rotations alone.

Between two keyframes the gyro turns the body by theta (3,). Cameras that are turned by d (3,) against their calibration see it turn by theta + d x theta.
A refined attitude lies between the two, so that what it leaves of the inertial prediction is r = s (d x theta) + b dt + noise, with a share s that
depends on the weights and an error b of the gyro's bias. Least squares over the last `_MEMORY` seconds give s d and its covariance, scaled
by the residuals: s is unknown, but whether s d is zero can be asked.
"""

import math
from typing import Any

import numpy as np

from vio.lie import so3_log

_MEMORY = 20.0  # s in which a keyframe's weight falls to 1/e: so much evidence and no more comes of a small turn, however long the flight
_FEWEST = 12  # keyframes, by weight, before anything is said
_NO_TURN = 1e-9  # rad^2, added where the rig has not turned


class MountDoubt:
    """Hears of each keyframe; `is_turned` when the evidence is beyond `limit`: the squared turn over its covariance, of three degrees of freedom."""

    def __init__(self, limit: float) -> None:
        """Nothing heard yet."""
        self._limit = limit
        self._H, self._g = np.zeros((6, 6)), np.zeros(6)  # of (s d, b)
        self._squares = self._weight = 0.0
        self.is_turned = False

    def hear(self, seconds: float, dR: np.ndarray, R_predicted: np.ndarray, R: np.ndarray) -> None:
        """A keyframe: time since the last one, the gyro's rotation dR (3, 3) over it, and attitudes (3, 3) as predicted and as refined."""
        turn, left = so3_log(dR), so3_log(R_predicted.T @ R)
        x, y, z = turn
        J = np.array([[0.0, z, -y, seconds, 0.0, 0.0], [-z, 0.0, x, 0.0, seconds, 0.0], [y, -x, 0.0, 0.0, 0.0, seconds]])
        fading = math.exp(-seconds / _MEMORY)
        self._H, self._g = fading * self._H + J.T @ J, fading * self._g + J.T @ left
        self._squares, self._weight = fading * self._squares + float(left @ left), fading * self._weight + 1.0
        self.is_turned = self._weight > _FEWEST and self._evidence() > self._limit

    def _evidence(self) -> float:
        """Squared s d over its covariance."""
        inverse = np.linalg.inv(self._H + _NO_TURN * np.eye(6))
        x = inverse @ self._g
        variance = max(self._squares - float(self._g @ x), _NO_TURN**2) / (3.0 * self._weight - 6.0)
        return float(x[:3] @ np.linalg.solve(inverse[:3, :3], x[:3])) / variance

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        return {"_H": np.zeros((6, 6)), "_g": np.zeros(6), "_squares": 0.0, "_weight": 0.0, "is_turned": False}
