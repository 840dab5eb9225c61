"""The symmetric linear system of the window in compressed storage, and its sparse Cholesky factor.

Every keyframe has five 3-vectors (p, theta, v, b_g, b_a). Velocities and biases form a chain and are ordered first, every second
keyframe, then every second of the rest, and so on (nested dissection of a chain): a window of n keyframes then fills with n log n
blocks instead of n^2. Poses, which all see each other through landmarks and prior, come last.
Only the lower triangle's 3x3 blocks that can be non-zero are stored, at slots fixed by the window length alone.
"""

from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

from vio.events import Event

COMPONENTS = 5  # p, theta, v, b_g, b_a


class Layout(NamedTuple):
    """Where each block lives. position: (n, 5) block row of (keyframe, component). slot: (nb, nb) int32, -1 where nothing is stored.

    rows, row_begin: the stored block rows below the diagonal of each block column, ascending. slots: how many blocks are stored.
    """

    position: np.ndarray
    slot: np.ndarray
    rows: np.ndarray
    row_begin: np.ndarray
    slots: int


def _coupled(n: int, position: np.ndarray) -> np.ndarray:
    """Boolean (nb, nb) of blocks that factors and prior can touch in a window of n keyframes."""
    pattern = np.zeros((COMPONENTS * n, COMPONENTS * n), bool)
    poses = position[:, :2].ravel()
    groups = [np.concatenate([poses, position[0]])]  # landmarks and the prior
    groups += [np.concatenate([position[i], position[i + 1]]) for i in range(n - 1)]  # inertial factors
    for group in groups:
        pattern[np.ix_(group, group)] = True
    return pattern


def _chain_order(n: int) -> list[int]:
    """Keyframes in the order in which their velocities and biases are eliminated; the oldest, which the prior ties to all, last."""
    order, left = [], list(range(n))
    while len(left) > 1:
        order, left = order + left[1::2], left[0::2]
    return order + left


@lru_cache(maxsize=64)
def layout(n: int) -> Layout:
    """The storage layout of a window of n keyframes: ordering, symbolic factorisation, slots."""
    position = np.empty((n, COMPONENTS), np.int64)
    for rank, i in enumerate(_chain_order(n)):
        position[i, 2:] = 3 * rank + np.arange(3)
        position[i, :2] = 3 * n + 2 * i + np.arange(2)
    pattern = _coupled(n, position)
    nb = COMPONENTS * n
    for k in range(nb):
        below = k + 1 + np.flatnonzero(pattern[k + 1 :, k])
        pattern[np.ix_(below, below)] = True
    lower = np.tril(pattern)
    slot = np.full((nb, nb), -1, np.int32)
    columns, rows = np.nonzero(lower.T)
    slot[rows, columns] = np.arange(rows.size)
    off = rows > columns
    begin = np.searchsorted(columns[off], np.arange(nb + 1))
    return Layout(position, slot, rows[off].astype(np.int64), begin.astype(np.int64), int(rows.size))


@numba.njit(cache=True, nogil=True)
def add_dense(blocks, gradient, slot, targets, H, g):
    """Add a dense symmetric H (3m, 3m) and gradient g (3m,) of m components at block rows `targets` (m,) into the system."""
    m = targets.shape[0]
    for a in range(m):
        ra = targets[a]
        for i in range(3):
            gradient[3 * ra + i] += g[3 * a + i]
        for b in range(m):
            rb = targets[b]
            if rb > ra:
                continue
            s = slot[ra, rb]
            for i in range(3):
                for j in range(3):
                    blocks[s, i, j] += H[3 * a + i, 3 * b + j]


@numba.njit(cache=True, nogil=True)
def factorise(blocks, slot, rows, row_begin, counts):
    """Right-looking sparse block Cholesky in place; False if a pivot is not positive (the matrix is not positive definite)."""
    nb = slot.shape[0]
    for k in range(nb):
        d = blocks[slot[k, k]]
        for i in range(3):
            for j in range(i + 1):
                total = d[i, j]
                for q in range(j):
                    total -= d[i, q] * d[j, q]
                if i == j:
                    if not total > 1e-12:
                        return False
                    d[i, i] = np.sqrt(total)
                else:
                    d[i, j] = total / d[j, j]
        for r in range(row_begin[k], row_begin[k + 1]):
            x = blocks[slot[rows[r], k]]
            for i in range(3):
                x[i, 0] = x[i, 0] / d[0, 0]
                x[i, 1] = (x[i, 1] - x[i, 0] * d[1, 0]) / d[1, 1]
                x[i, 2] = (x[i, 2] - x[i, 0] * d[2, 0] - x[i, 1] * d[2, 1]) / d[2, 2]
        for r in range(row_begin[k], row_begin[k + 1]):
            x = blocks[slot[rows[r], k]]
            for q in range(row_begin[k], r + 1):
                y = blocks[slot[rows[q], k]]
                z = blocks[slot[rows[r], rows[q]]]
                for i in range(3):
                    for j in range(3):
                        z[i, j] -= x[i, 0] * y[j, 0] + x[i, 1] * y[j, 1] + x[i, 2] * y[j, 2]
        below = row_begin[k + 1] - row_begin[k]
        counts[Event.CHOLESKY_BLOCK] += below * (below + 1) // 2
        counts[Event.CHOLESKY_SOLVE] += below
        counts[Event.CHOLESKY_COLUMN] += 1
    return True


@numba.njit(cache=True, nogil=True)
def substitute(blocks, slot, rows, row_begin, x, counts):
    """Solve L L^T x = b in place, `x` (3 nb,) holding b on entry, by forward and back substitution."""
    nb = slot.shape[0]
    for k in range(nb):
        d = blocks[slot[k, k]]
        for i in range(3):
            for j in range(i):
                x[3 * k + i] -= d[i, j] * x[3 * k + j]
            x[3 * k + i] /= d[i, i]
        for r in range(row_begin[k], row_begin[k + 1]):
            m = blocks[slot[rows[r], k]]
            for i in range(3):
                for j in range(3):
                    x[3 * rows[r] + i] -= m[i, j] * x[3 * k + j]
    for k in range(nb - 1, -1, -1):
        for r in range(row_begin[k], row_begin[k + 1]):
            m = blocks[slot[rows[r], k]]
            for i in range(3):
                for j in range(3):
                    x[3 * k + j] -= m[i, j] * x[3 * rows[r] + i]
        d = blocks[slot[k, k]]
        for i in range(2, -1, -1):
            for j in range(i + 1, 3):
                x[3 * k + i] -= d[j, i] * x[3 * k + j]
            x[3 * k + i] /= d[i, i]
    counts[Event.SUBSTITUTION_BLOCK] += 2 * (rows.shape[0] + nb)
