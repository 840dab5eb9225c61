"""What the front end knows of its features from frame to frame, as parallel arrays; and the public record of them."""

from dataclasses import dataclass, fields

import numpy as np

from vio.types import Tracks, TrackStatus


@dataclass
class Features:
    """Parallel arrays of features, raw integers; rows are features.

    ids (n,) int64, uv (n, 2) int32, rays (n, 2) int32, age (n,) int32, status (n,) uint8; flow (n, 2) int32 is the last
    rotation-compensated motion of the ray, which starts the next search; key_rays (n, 2) and key_depth (n,) int32 are the
    ray and the inverse depth (0: none) at the last keyframe; uv_right (n, 2) int32 valid where has_right (n,) bool.
    anchors (n, side, side) uint8 and inside (n, 2) int32: see `vio.frontend.anchor`.
    """

    ids: np.ndarray
    uv: np.ndarray
    rays: np.ndarray
    age: np.ndarray
    status: np.ndarray
    flow: np.ndarray
    key_rays: np.ndarray
    key_depth: np.ndarray
    uv_right: np.ndarray
    has_right: np.ndarray
    anchors: np.ndarray
    inside: np.ndarray

    @staticmethod
    def new(ids: np.ndarray, uv: np.ndarray, side: int) -> "Features":
        """Features just detected; side: of their anchors."""
        n = len(ids)
        rays_, flow, key_rays, uv_right, inside = (np.zeros((n, 2), np.int32) for _ in range(5))
        status = np.full(n, TrackStatus.NEW, np.uint8)
        return Features(ids, uv, rays_, np.zeros(n, np.int32), status, flow, key_rays, np.zeros(n, np.int32), uv_right, np.zeros(n, np.bool_),
                         np.zeros((n, side, side), np.uint8), inside)

    def take(self, which: np.ndarray) -> "Features":
        """Copy of the rows that a boolean or index array names."""
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return Features(*(getattr(self, name).take(rows, axis=0) for name in _COLUMNS))

    def parted(self, which: np.ndarray) -> tuple["Features", "Features"]:
        """The rows that a boolean array (n,) names, and the others; copied once, neighbours in memory."""
        order, first = np.argsort(~which, kind="stable"), int(np.count_nonzero(which))
        columns = [getattr(self, name).take(order, axis=0) for name in _COLUMNS]
        return Features(*(column[:first] for column in columns)), Features(*(column[first:] for column in columns))

    def join(self, other: "Features") -> "Features":
        """Rows of both, copied."""
        return Features(*(np.concatenate((getattr(self, name), getattr(other, name))) for name in _COLUMNS))

    def tracks(self) -> Tracks:
        """The public record; shares the arrays."""
        return Tracks(self.ids, self.uv, self.status, self.age, self.uv_right, self.has_right)


_COLUMNS = tuple(f.name for f in fields(Features))
_PUBLIC = tuple(f.name for f in fields(Tracks))


def joined(*parts: Tracks) -> Tracks:
    """Rows of all, copied."""
    return Tracks(*(np.concatenate([getattr(part, name) for part in parts]) for name in _PUBLIC))


def taken(tracks: Tracks, rows: np.ndarray) -> Tracks:
    """Copy of the rows (k,) int."""
    return Tracks(*(getattr(tracks, name).take(rows, axis=0) for name in _PUBLIC))
