"""What a rig of one camera flies with, and which camera of a stereo rig leads.

The leading one's picture is tracked, the other one gives depth at keyframes. When the leading one goes blind, they change places.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from vio.calibration import Calibration
from vio.config import Config
from vio.kernels import leaf
from vio.limits import MOST_LANDMARKS
from vio.saved import Maybe
from vio.types import StereoFrame

_POOL = 8  # px a side that are averaged before the texture of the other picture is judged


def exchanged(calibration: Calibration) -> Calibration:
    """The same rig with left and right exchanged."""
    return replace(calibration, left=calibration.right, T_BC=calibration.T_BR, right=calibration.left, T_BR=calibration.T_BC)


def fitted(config: Config, calibration: Calibration) -> Config:
    """The configuration as this rig flies with it: with one camera what `mono` puts in place of the rest."""
    if calibration.right is not None:
        return config
    mono, usual = config.mono, config.backend
    landmarks = max(usual.max_landmarks, math.ceil(usual.max_landmarks * mono.window / usual.window))  # a longer window has room for as many a keyframe
    noise = {"gyro_noise_scale": mono.gyro_noise_scale, "accel_noise_scale": mono.accel_noise_scale}
    noise |= dict.fromkeys(("gyro_vibration", "accel_vibration", "gyro_motion", "accel_motion"), 0.0)
    backend = replace(usual, window=mono.window, max_landmarks=min(landmarks, MOST_LANDMARKS), **noise)
    return replace(config, frontend=replace(config.frontend, keyframe_max_interval=mono.keyframe_max_interval), backend=backend)


@leaf
def _spread_of(picture):
    """Standard deviation of every eighth pixel of every eighth row of a picture."""
    n = total = squares = 0
    for row in range(0, picture.shape[0], _POOL):
        for column in range(0, picture.shape[1], _POOL):
            grey = int(picture[row, column])
            n, total, squares = n + 1, total + grey, squares + grey * grey
    return math.sqrt(n * squares - total * total) / n


class Eyes:
    """The cameras in the order in which they are used. `calibration` is the rig in that order."""

    def __init__(self, calibration: Calibration, config: Config) -> None:
        """Left leads."""
        self._config, self._orders = config, (calibration, exchanged(calibration) if calibration.right is not None else calibration)
        self.is_swapped = False
        self.blind_since: int | None = None  # ns: since when the leading camera has been blind

    @property
    def calibration(self) -> Calibration:
        """The rig with the leading camera as its left one."""
        return self._orders[self.is_swapped]

    def ordered(self, frame: StereoFrame) -> StereoFrame:
        """The frame with the leading camera's picture as its left one; as it is where there is only one."""
        if not self.is_swapped or frame.right is None:
            return frame
        return StereoFrame(frame.t_ns, frame.right, frame.left)

    def must_swap(self, frame: StereoFrame, is_blind: bool) -> bool:
        """Whether the leading camera of an ordered frame has been blind for `health.swap_after` while the other one sees."""
        if not is_blind:
            self.blind_since = None
            return False
        self.blind_since = frame.t_ns if self.blind_since is None else self.blind_since
        waited = frame.t_ns - self.blind_since >= round(self._config.health.swap_after * 1e9)
        return waited and frame.right is not None and self._shows_something(frame.right)

    def swap(self) -> None:
        """Let the other camera lead."""
        self.is_swapped, self.blind_since = not self.is_swapped, None

    def other_sees(self, frame: StereoFrame) -> bool:
        """Whether the picture of an ordered frame that does not lead is there and not of one grey; in mono always."""
        if self.calibration.right is None:
            return True
        return frame.right is not None and _spread_of(frame.right) >= self._config.health.flat_picture

    def _shows_something(self, picture: np.ndarray) -> bool:
        rows, columns = (side // _POOL for side in picture.shape)
        blocks = picture[: rows * _POOL, : columns * _POOL].reshape(rows, _POOL, columns, _POOL)
        means = blocks.mean(axis=(1, 3))  # not rounded: noise on the edge of a grey level would pass for texture
        return float(sum(np.abs(np.diff(means, axis=axis)).mean() for axis in (0, 1))) >= 2.0 * self._config.frontend.min_texture

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        return {"is_swapped": False, "blind_since": Maybe(0)}
