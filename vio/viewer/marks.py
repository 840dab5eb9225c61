"""What is drawn, as arrays: colours, tails of tracks, pyramids of cameras. Colours are 0xRRGGBBAA, told apart by the colour-blind too.

The ramp is `viridis` from its light end, its dark end lightened so that it is seen on dark pictures; categories are Okabe and Ito's (2008).
"""

from collections.abc import Sequence

import numpy as np

from vio.backend.snapshot import Coupling
from vio.types import TrackStatus

ESTIMATE = 0x56B4E9FF  # the path of a run, and of a second one beside it
SECOND = 0xD55E00FF
TAIL = 8  # positions of a track that stay visible, this one included
OLD_TRACK, OLD_LANDMARK = 40, 8  # frames, and keyframes, at which the ramp ends
_RAMP = np.array([[253, 231, 37], [122, 209, 81], [34, 168, 132], [60, 150, 190], [110, 120, 225], [170, 90, 220]], float)  # young to old
FATES = {
    TrackStatus.NEW: ("new", 0xFFFFFFFF),
    TrackStatus.OUT_OF_IMAGE: ("out of the picture", 0x999999FF),
    TrackStatus.FLAT: ("lost: no texture", 0xF0E442FF),
    TrackStatus.NOT_CONVERGED: ("lost: did not converge", 0x56B4E9FF),
    TrackStatus.RESIDUAL: ("lost: looks different", 0xE69F00FF),
    TrackStatus.OUTLIER: ("lost: outlier", 0xD55E00FF),
    TrackStatus.GATED: ("lost: rejected by the back end", 0xCC79A7FF),
}
COUPLINGS = {
    Coupling.NOTHING: ("nothing stored", 0x16161CFF),
    Coupling.FILL_IN: ("fill-in", 0x4A4A55FF),
    Coupling.INERTIAL: ("inertial factor", 0x56B4E9FF),
    Coupling.PRIOR: ("prior", 0xE69F00FF),
    Coupling.LANDMARKS: ("landmarks in common", 0x009E73FF),
}
_SUPPORTED = 3  # keyframes that must have seen a landmark that is kept for good
_THINNING = 3  # of which every third one is


def ramp(share: np.ndarray) -> np.ndarray:
    """Colours (n,) uint32 for shares (n,) from 0 (young, yellow) to 1 (old, violet)."""
    at = np.clip(share, 0.0, 1.0) * (len(_RAMP) - 1)
    red, green, blue = (np.interp(at, np.arange(len(_RAMP)), channel).round().astype(np.uint32) for channel in _RAMP.T)
    return red << 24 | green << 16 | blue << 8 | np.uint32(0xFF)


_BY_AGE = ramp(np.arange(OLD_TRACK + 1) / OLD_TRACK)
_BY_STATUS = np.array([FATES[status][1] if status in FATES else 0 for status in TrackStatus], np.uint32)
_RADII = np.array([-2.0 if status <= TrackStatus.NEW else -3.5 for status in TrackStatus], np.float32)


def track_colours(status: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Colours (n,) of features: by age where they are tracked, else by their fate."""
    return np.where(status == TrackStatus.TRACKED, _BY_AGE[np.minimum(age, OLD_TRACK)], _BY_STATUS[status])


def track_radii(status: np.ndarray) -> np.ndarray:
    """Radii (n,) in points of the screen, which rerun knows by their minus: what was just lost is larger, for it is seen in one frame alone."""
    return _RADII[status]


class Tails:
    """The last positions of every feature, as arrays of one size: where a track is younger its tail has no length."""

    def __init__(self) -> None:
        self._past: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # ids, uv, alive of the last frames that a tail may reach

    def extend(self, frames: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
        """Tails (n, TAIL, 2), newest first, of all features of the next frames, one frame after the other.

        A frame: ids (k,), uv (k, 2) and alive (k,) bool; a feature that is not alive has no tail in later frames.
        """
        rows = [*self._past, *frames]
        self._past = rows[max(len(rows) - (TAIL - 1), 0) :]
        before, uv = _before(rows), np.concatenate([row[1] for row in rows]).astype(np.float32)
        points = uv.view(np.complex64)[:, 0]  # numpy gathers numbers much faster than rows of two
        at = np.arange(len(uv) - sum(len(row[0]) for row in frames), len(uv))
        tails = np.empty((len(at), TAIL), np.complex64)
        for k in range(TAIL):
            tails[:, k] = points[at]
            at = before[at]
        return tails.view(np.float32).reshape(-1, TAIL, 2)


def _before(frames: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """For every row of frames (ids, uv, alive), that of the same feature one frame before, if it was alive; else the row itself."""
    ids = [row[0] for row in frames if len(row[0])] or [np.zeros(1, np.int64)]
    lowest = min(int(found.min()) for found in ids)
    newest = np.full(max(int(found.max()) for found in ids) - lowest + 1, -1)  # row of each feature that is alive
    parts, begin, last = [], 0, 0
    for ids, _, alive in frames:
        own, slot = np.arange(begin, begin + len(ids)), ids - lowest
        found = newest[slot]
        parts.append(np.where(found >= last, found, own))
        newest[slot] = np.where(alive, own, -1)
        begin, last = begin + len(ids), begin
    return np.concatenate(parts)


def pyramids(T_WC: np.ndarray, half_angles: np.ndarray, size: float) -> np.ndarray:
    """Cameras at poses (n, 4, 4) as line strips (n, 12, 3): every edge of a pyramid `size` m deep; half_angles (2,) are tan."""
    x, y = size * half_angles
    corners = np.array([[0.0, 0.0, 0.0], [-x, -y, size], [x, -y, size], [x, y, size], [-x, y, size]])
    edges = corners[[0, 1, 2, 0, 3, 2, 3, 4, 0, 4, 1, 0]]
    return (edges @ np.swapaxes(T_WC[:, :3, :3], 1, 2) + T_WC[:, None, :3, 3]).astype(np.float32)


def kept_landmarks(ids: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """Which (n,) bool of the landmarks that leave the window stay in sight: the well observed, thinned out by their number."""
    return (observations >= _SUPPORTED) & (ids % _THINNING == 0)
