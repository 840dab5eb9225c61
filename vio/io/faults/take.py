"""A recording on its way through faults: changed arrays, and for every frame which pictures of the source it shows, and how."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vio.calibration import Calibration
from vio.errors import DataError
from vio.io.sequence import Sequence
from vio.types import StereoFrame

MISSING = -1  # in `Take.pick`: the frame has no picture of this camera
LEFT, RIGHT = 0, 1
SLOTS = {"left": (LEFT,), "right": (RIGHT,), "both": (LEFT, RIGHT)}


@dataclass(frozen=True)
class Edit:
    """A change of one camera's pictures: `change(picture, amount)` on the frames whose amount (n,) is not NaN."""

    slot: int
    amount: np.ndarray
    change: Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Take:
    """A recording and its damage so far; faults return a changed copy.

    pick: (n, 2) int64, the frame of `source` shown to the left and right camera. side: (2,), whose picture of it, left or right.
    broken: (n,) bool, image files cut short. cut: tables of the copy whose last row is cut short, by the sensor's folder.
    """

    source: Sequence
    calibration: Calibration
    imu_t_ns: np.ndarray
    imu_w_B: np.ndarray
    imu_a_B: np.ndarray
    frame_t_ns: np.ndarray
    pick: np.ndarray
    side: tuple[int, int] = (LEFT, RIGHT)
    edits: tuple[Edit, ...] = ()
    broken: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    cut: tuple[str, ...] = ()

    @staticmethod
    def of(source: Sequence) -> "Take":
        """The whole and unharmed recording."""
        n = len(source.frame_t_ns)
        pick = np.repeat(np.arange(n)[:, None], 2, axis=1)
        if source.calibration.right is None:
            pick[:, RIGHT] = MISSING
        return Take(source, source.calibration, source.imu_t_ns, source.imu_w_B, source.imu_a_B, source.frame_t_ns, pick, broken=np.zeros(n, bool))

    def frames_within(self, start: float, duration: float) -> np.ndarray:
        """Mask (n,) of the frames from `start` s after the first one, for `duration` s."""
        return _within(self.frame_t_ns, int(self.frame_t_ns.min()), start, duration)

    def imu_within(self, start: float, duration: float) -> np.ndarray:
        """Mask of the inertial samples from `start` s after the first frame, for `duration` s."""
        return _within(self.imu_t_ns, int(self.frame_t_ns.min()), start, duration)

    def slots(self, camera: str) -> tuple[int, ...]:
        """Slots of `left`, `right` or `both`. Raises DataError for the right camera of a mono recording."""
        if self.calibration.right is None:
            if camera == "right":
                raise DataError(f"{self.source.name}: has no right camera to damage")
            return (LEFT,)
        return SLOTS[camera]

    def select(self, index: np.ndarray) -> "Take":
        """The frames of an index array (m,), in its order."""
        edits = tuple(replace(edit, amount=edit.amount[index]) for edit in self.edits)
        return replace(self, frame_t_ns=self.frame_t_ns[index], pick=self.pick[index], broken=self.broken[index], edits=edits)

    def select_imu(self, index: np.ndarray) -> "Take":
        """The inertial samples of an index or boolean array, in its order."""
        return replace(self, imu_t_ns=self.imu_t_ns[index], imu_w_B=self.imu_w_B[index], imu_a_B=self.imu_a_B[index])

    def edited(self, camera: str, amount: np.ndarray, change: Callable[[np.ndarray, float], np.ndarray]) -> "Take":
        """With a change of the pictures of `camera` where amount (n,) is not NaN."""
        return replace(self, edits=self.edits + tuple(Edit(slot, amount, change) for slot in self.slots(camera)))

    def touched(self, index: int, slot: int) -> bool:
        """True if the picture differs from that of the source's file."""
        return any(edit.slot == slot and not np.isnan(edit.amount[index]) for edit in self.edits)

    def picture(self, index: int, slot: int) -> np.ndarray | None:
        """One picture (height, width) uint8 as damaged; None where the frame has none. Raises DataError as the source does."""
        at = int(self.pick[index, slot])
        if at == MISSING:
            return None
        frame = self.source.load(at)
        return self._changed(index, slot, frame.left if self.side[slot] == LEFT else frame.right)

    def _changed(self, index: int, slot: int, picture: np.ndarray | None) -> np.ndarray | None:
        for edit in self.edits:
            if picture is not None and edit.slot == slot and not np.isnan(edit.amount[index]):
                picture = np.ascontiguousarray(edit.change(picture, float(edit.amount[index])))
        return picture

    def load(self, index: int) -> StereoFrame:
        """One frame as damaged. Raises DataError where its file is cut short."""
        if self.broken[index]:
            raise DataError(f"{self.source.name}: the image of frame {index} is truncated")
        stamp, picks = int(self.frame_t_ns[index]), self.pick[index]
        if picks[LEFT] != picks[RIGHT]:
            return StereoFrame(stamp, self.picture(index, LEFT), self.picture(index, RIGHT))
        frame = self.source.load(int(picks[LEFT]))  # decoded once for both
        shown: tuple[Any, Any] = (frame.left, frame.right)
        return StereoFrame(stamp, *(self._changed(index, slot, shown[self.side[slot]]) for slot in (LEFT, RIGHT)))

    def sequence(self) -> Sequence:
        """The damaged recording; its stamps are as the fault left them, ascending or not."""
        return replace(
            self.source, calibration=self.calibration, imu_t_ns=self.imu_t_ns, imu_w_B=self.imu_w_B, imu_a_B=self.imu_a_B,
            frame_t_ns=self.frame_t_ns, load=self.load,
        )


def _within(t_ns: np.ndarray, origin: int, start: float, duration: float) -> np.ndarray:
    seconds = (t_ns - origin) / 1e9
    return (seconds >= start) & (seconds < start + duration)
