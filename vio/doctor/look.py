"""One pass over the pictures: statistics of every one looked at, motion between neighbours. All verdicts on pictures draw on it."""

from dataclasses import dataclass, replace

import numpy as np

from vio.doctor import matching
from vio.doctor.alignment import Turns
from vio.doctor.motion import PairMotion, Tracker
from vio.io.progress import Progress
from vio.io.sequence import Sequence, frames
from vio.types import StereoFrame

_MOST_PAIRS = 600  # of neighbouring frames that are tracked
_MOST_FRAMES = 1500  # that are decoded
_BLOCKS = 12  # in which the pairs of a long recording lie, spread evenly
_STEREO_FRAMES = 8  # in which left and right are matched
_DIM = 30.0  # grey levels of the 99th percentile; in a darker picture nothing is matched
_WHITE = 250  # grey level from which on a pixel is saturated


@dataclass(frozen=True)
class Pictures:
    """Statistics of one camera's pictures, arrays (m,) over the frames looked at; NaN where there was none.

    t: s after the first frame. mean, contrast (deviation), high (99th percentile): grey levels. white: share of saturated pixels.
    sharpness: deviation of the Laplacian, grey levels. repeats: equal to the picture looked at before, to the bit.
    """

    t: np.ndarray
    mean: np.ndarray
    contrast: np.ndarray
    high: np.ndarray
    white: np.ndarray
    sharpness: np.ndarray
    repeats: np.ndarray


@dataclass(frozen=True)
class Look:
    """What was seen. index (m,) the frames looked at; pairs: motions of the left camera with the index into `index` of the later frame.

    turns: the rotations among them. matches: pixels left, right (n, 2) of the same points in a few frames.
    lacking: frames without a right picture; faults: what could not be decoded, one line each.
    """

    index: np.ndarray
    left: Pictures
    right: Pictures | None
    pairs: tuple[tuple[int, PairMotion], ...]
    turns: Turns
    matches: tuple[np.ndarray, np.ndarray]
    lacking: int
    faults: tuple[str, ...]


def restamped(seen: Look, frame_t_ns: np.ndarray) -> Look:
    """The same pictures under other stamps (n,) of the frames: what was seen does not change with them."""
    t_ns = frame_t_ns[seen.index]
    at = np.array([k for k, m in seen.pairs if m.phi is not None], np.int64)
    return replace(seen, turns=replace(seen.turns, t0_ns=t_ns[at - 1], t1_ns=t_ns[at]))


def chosen(count: int) -> np.ndarray:
    """Frames to look at: all of a short recording, else blocks of neighbours, and some in between."""
    if count <= _MOST_FRAMES:
        return np.arange(count)
    length = _MOST_PAIRS // _BLOCKS
    begins = np.linspace(0, count - length, _BLOCKS).astype(np.int64)
    blocks = (begins[:, None] + np.arange(length)).ravel()
    return np.union1d(blocks, np.arange(0, count, -(-count // (_MOST_FRAMES - _MOST_PAIRS))))


def tracked(index: np.ndarray, count: int) -> np.ndarray:
    """Mask of `index`: motion is sought from the frame before it."""
    neighbour = np.concatenate([[False], np.diff(index) == 1])
    if neighbour.sum() <= _MOST_PAIRS:
        return neighbour
    length = _MOST_PAIRS // _BLOCKS
    begins = np.linspace(0, count - length, _BLOCKS).astype(np.int64)
    return neighbour & ((index[:, None] > begins) & (index[:, None] < begins + length)).any(axis=1)


def look(sequence: Sequence, progress: Progress | None = None) -> Look:
    """Decode and look; `progress(done, frames)` hears of it."""
    count = len(sequence.frame_t_ns)
    index = chosen(count)
    follow = tracked(index, count)
    part = replace(sequence, frame_t_ns=sequence.frame_t_ns[index], load=lambda k: sequence.load(int(index[k])))
    seen = _Seen(sequence, part.frame_t_ns)
    for k, loaded in enumerate(frames(part, 0, len(index))):
        if loaded.frame is None:
            seen.miss(loaded.fault)
        else:
            seen.add(k, loaded.frame, bool(follow[k]))
        if progress:
            progress(k + 1, len(index))
    return seen.result(index, sequence)


class _Seen:
    """Collects what the pass sees."""

    def __init__(self, sequence: Sequence, t_ns: np.ndarray) -> None:
        self._t_ns, self._stereo = t_ns, sequence.calibration.right is not None
        self._tracker = Tracker(sequence.calibration.left)
        self._rows: tuple[list, list] = ([], [])
        self._last: list[np.ndarray | None] = [None, None]
        self._corners: np.ndarray | None = None
        self._pairs: list[tuple[int, PairMotion]] = []
        self._lacking, self._faults = 0, []

    def miss(self, fault: str) -> None:
        """A frame that cannot be decoded."""
        self._faults.append(fault)
        self._corners = None
        for rows in self._rows:
            rows.append(_NOTHING)

    def add(self, k: int, frame: StereoFrame, follow: bool) -> None:
        """Look at a frame; with `follow` its motion since the one before is sought."""
        self._lacking += self._stereo and frame.right is None
        for side, picture in enumerate((frame.left, frame.right)):
            self._rows[side].append(_NOTHING if picture is None else _statistics(picture, self._last[side]))
            self._last[side] = picture if picture is not None else self._last[side]
        before = self._corners
        self._tracker.show(frame.left)
        self._corners = self._tracker.corners
        if follow and before is not None and not self._rows[0][-1][-1]:
            self._pairs.append((k, self._tracker.motion(before)))

    def result(self, index: np.ndarray, sequence: Sequence) -> Look:
        """Everything as arrays, and the matches of a few good frames."""
        t = (self._t_ns - self._t_ns[0]) / 1e9
        left, right = (Pictures(t, *np.array(rows, np.float64).reshape(-1, 6).T) for rows in self._rows)
        moved = [(k, m.phi) for k, m in self._pairs if m.phi is not None]
        at = np.array([k for k, _ in moved], np.int64)
        turns = Turns(self._t_ns[at - 1], self._t_ns[at], np.array([phi for _, phi in moved]).reshape(-1, 3))
        matches = matching.match(sequence, index[_good(left, right)] if self._stereo else index[:0])
        return Look(index, left, right if self._stereo else None, tuple(self._pairs), turns, matches, self._lacking, tuple(self._faults))


def _good(left: Pictures, right: Pictures) -> np.ndarray:
    """A few frames, evenly spread, whose pictures are neither dark nor white."""
    usable = np.flatnonzero((left.high > _DIM) & (right.high > _DIM) & (left.white < 0.5) & (right.white < 0.5))
    return usable[np.linspace(0, len(usable) - 1, min(len(usable), _STEREO_FRAMES)).astype(np.int64)]


_NOTHING = (np.nan, np.nan, np.nan, np.nan, np.nan, 0.0)


def _statistics(picture: np.ndarray, before: np.ndarray | None) -> tuple[float, ...]:
    """The columns of `Pictures` after t."""
    import cv2

    coarse = picture[::4, ::4]
    sharpness = float(cv2.Laplacian(picture[::2], cv2.CV_16S).std())
    repeats = before is not None and np.array_equal(picture, before)
    return float(coarse.mean()), float(coarse.std()), float(np.quantile(coarse, 0.99)), float((coarse >= _WHITE).mean()), sharpness, float(repeats)
