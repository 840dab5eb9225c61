"""What is drawn, as arrays: colours, tails of tracks, pyramids of cameras. Colours are 0xRRGGBBAA, told apart by the colour-blind too.

The ramp is `viridis` from its light end, its dark end lightened so that it is seen on dark pictures; categories are Okabe and Ito's (2008).
"""

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


def track_colours(status: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Colours (n,) of features: by age where they are tracked, else by their fate."""
    colours = ramp(age / OLD_TRACK)
    for fate, (_, colour) in FATES.items():
        colours[status == fate] = colour
    return colours


def track_radii(status: np.ndarray) -> np.ndarray:
    """Radii (n,) in points of the screen, which rerun knows by their minus: what was just lost is larger, for it is seen in one frame alone."""
    return np.where(status <= TrackStatus.NEW, -2.0, -3.5).astype(np.float32)


class Tails:
    """The last positions of every feature, as arrays of one size: where a track is younger its tail has no length."""

    def __init__(self) -> None:
        self._ids, self._tails = np.zeros(0, np.int64), np.zeros((0, TAIL, 2), np.float32)  # ids ascending

    def extend(self, ids: np.ndarray, uv: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Tails (n, TAIL, 2) float32 of the features ids (n,) at uv (n, 2), newest first; those `alive` (n,) are remembered."""
        tails = np.repeat(uv[:, None].astype(np.float32), TAIL, axis=1)
        if len(self._ids):
            row = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            found = self._ids[row] == ids
            tails[found, 1:] = self._tails[row[found], :-1]
        order = np.flatnonzero(alive)[np.argsort(ids[alive])]
        self._ids, self._tails = ids[order], tails[order]
        return tails


def pyramids(T_WC: np.ndarray, half_angles: np.ndarray, size: float) -> np.ndarray:
    """Cameras at poses (n, 4, 4) as line strips (n, 12, 3): every edge of a pyramid `size` m deep; half_angles (2,) are tan."""
    x, y = size * half_angles
    corners = np.array([[0.0, 0.0, 0.0], [-x, -y, size], [x, -y, size], [x, y, size], [-x, y, size]])
    edges = corners[[0, 1, 2, 0, 3, 2, 3, 4, 0, 4, 1, 0]]
    return (edges @ np.swapaxes(T_WC[:, :3, :3], 1, 2) + T_WC[:, None, :3, 3]).astype(np.float32)


def kept_landmarks(ids: np.ndarray, observations: np.ndarray) -> np.ndarray:
    """Which (n,) bool of the landmarks that leave the window stay in sight: the well observed, thinned out by their number."""
    return (observations >= _SUPPORTED) & (ids % _THINNING == 0)
