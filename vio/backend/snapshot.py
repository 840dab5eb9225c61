"""The window as a watcher sees it: poses of its keyframes and what couples them in the linear system. Copies, made on demand alone."""

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vio.backend.linear_system import layout
from vio.backend.window import Window
from vio.lie import pose


class Coupling(IntEnum):
    """Why a block of the linear system is there; a later member hides an earlier one."""

    NOTHING = 0
    FILL_IN = 1  # stored, for the factorisation alone
    INERTIAL = 2
    PRIOR = 3
    LANDMARKS = 4


class Snapshot(NamedTuple):
    """Keyframes, oldest first. T_WB (n, 4, 4). in_prior (n,) bool. shared (n, n) int64: triangulated landmarks that both see."""

    T_WB: np.ndarray
    in_prior: np.ndarray
    shared: np.ndarray


def snapshot(w: Window, n: int) -> Snapshot:
    """Of a window with n keyframes."""
    seen = (w.seen[:, :n].any(axis=2) & (w.ready & (w.ids >= 0))[:, None]).astype(np.float64)  # numpy multiplies integers slowly
    poses = np.array([pose(w.R[i], w.p[i]) for i in range(n)]).reshape(-1, 4, 4)
    return Snapshot(poses, w.frozen[:n].copy(), (seen.T @ seen).astype(np.int64))


def sparsity(window: Snapshot) -> np.ndarray:
    """Labels (5 n, 5 n) uint8 of `Coupling`: the 3x3 blocks of the system after the landmarks' elimination, in the order of its elimination."""
    n = len(window.T_WB)
    if n == 0:
        return np.zeros((0, 0), np.uint8)
    labels, position = _structure(n).copy(), layout(n).position
    prior = np.concatenate([position[window.in_prior, :2].ravel(), position[0]])
    labels[np.ix_(prior, prior)] = Coupling.PRIOR
    poses = np.ix_(position[:, :2].ravel(), position[:, :2].ravel())
    labels[poses] = np.where(np.kron(window.shared > 0, np.ones((2, 2), bool)), np.uint8(Coupling.LANDMARKS), labels[poses])
    return labels


@lru_cache(maxsize=64)
def _structure(n: int) -> np.ndarray:
    """Labels of what a window of n keyframes has whatever it sees."""
    order = layout(n)
    stored = order.slot >= 0
    labels = np.where(stored | stored.T, np.uint8(Coupling.FILL_IN), np.uint8(Coupling.NOTHING))
    for i in range(n - 1):
        pair = order.position[i : i + 2].ravel()
        labels[np.ix_(pair, pair)] = Coupling.INERTIAL
    return labels
