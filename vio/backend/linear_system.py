"""The symmetric linear system of the window in compressed storage, and its sparse Cholesky factor.

Every keyframe has five 3-vectors (p, theta, v, b_g, b_a). Velocities and biases form a chain and are ordered first, every second
keyframe, then every second of the rest, and so on (nested dissection of a chain): a window of n keyframes then fills with n log n
blocks instead of n^2. Poses, which all see each other through landmarks and prior, come last.
Only the lower triangle's 3x3 blocks that can be non-zero are stored, at slots fixed by the window length alone.

`factorise` and `substitute`, the linear solver that a chip would have, also compute with fewer bits: with `mantissa` an int every
product, difference, quotient and root, and every element on entry, is rounded to that many explicit bits, which is exact emulation
(float64 has more than twice the bits plus two up to m = 24, so the double rounding changes nothing; above, it is one float64 rounding
followed by another). The exponent keeps float64's range. With `mantissa` None the same source compiles to plain float64.
Linearisation, landmark elimination, marginalisation and the per-frame refinement stay float64.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vio.events import Event
from vio.kernels import leaf, njit

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


@njit
def prior_rows(position, m):
    """Block rows (2 m + 3,) of a prior over the first m keyframes of a layout: the whole first state, then the poses."""
    rows = np.empty(2 * m + 3, np.int64)
    rows[:5] = position[0]
    for i in range(1, m):
        rows[2 * i + 3], rows[2 * i + 4] = position[i, 0], position[i, 1]
    return rows


def mantissa_bits(arithmetic: str) -> int | None:
    """Explicit mantissa bits of `backend.arithmetic`; None for float64."""
    named = {"float64": None, "float32": 23}
    return named[arithmetic] if arithmetic in named else int(re.fullmatch(r"m(\d+)", arithmetic)[1])


@njit
def rounded(value, mantissa):
    """A float64 rounded to `mantissa` explicit bits, nearest even; as it is where mantissa is None or 52. Infinities and NaN stay."""
    if mantissa is None:
        return value
    drop = np.int64(52 - mantissa)
    if drop <= 0 or not np.isfinite(value):
        return value
    bits = np.float64(value).view(np.int64)
    # a carry out of the mantissa runs into the exponent, which is just what the next power of two is
    bits += (np.int64(1) << (drop - 1)) - 1 + ((bits >> drop) & 1)
    return np.int64((bits >> drop) << drop).view(np.float64)


@njit
def _less(total, a, b, mantissa):
    """total - a b, both operations rounded."""
    return rounded(total - rounded(a * b, mantissa), mantissa)


@njit
def round_all(values, mantissa):
    """Round every element of a contiguous array in place; nothing to do where mantissa is None."""
    if mantissa is not None:
        flat = values.ravel()
        for i in range(flat.shape[0]):
            flat[i] = rounded(flat[i], mantissa)


@leaf
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


@njit
def _dot3(a0, a1, a2, b0, b1, b2, mantissa):
    """Inner product of two 3-vectors, every operation rounded."""
    first = rounded(rounded(a0 * b0, mantissa) + rounded(a1 * b1, mantissa), mantissa)
    return rounded(first + rounded(a2 * b2, mantissa), mantissa)


@njit
def factorise(blocks, slot, rows, row_begin, mantissa, counts):
    """Right-looking sparse block Cholesky in place, rounded to `mantissa` bits or, with None, not at all.

    False if a pivot is not positive (the matrix is not positive definite).
    """
    nb = slot.shape[0]
    round_all(blocks, mantissa)
    for k in range(nb):
        d = blocks[slot[k, k]]
        for i in range(3):
            for j in range(i + 1):
                total = d[i, j]
                for q in range(j):
                    total = _less(total, d[i, q], d[j, q], mantissa)
                if i == j:
                    if not total > 1e-12:
                        return False
                    d[i, i] = rounded(np.sqrt(total), mantissa)
                else:
                    d[i, j] = rounded(total / d[j, j], mantissa)
        for r in range(row_begin[k], row_begin[k + 1]):
            x = blocks[slot[rows[r], k]]
            for i in range(3):
                x[i, 0] = rounded(x[i, 0] / d[0, 0], mantissa)
                x[i, 1] = rounded(_less(x[i, 1], x[i, 0], d[1, 0], mantissa) / d[1, 1], mantissa)
                last = _less(_less(x[i, 2], x[i, 0], d[2, 0], mantissa), x[i, 1], d[2, 1], mantissa)
                x[i, 2] = rounded(last / d[2, 2], mantissa)
        for r in range(row_begin[k], row_begin[k + 1]):
            x = blocks[slot[rows[r], k]]
            for q in range(row_begin[k], r + 1):
                y = blocks[slot[rows[q], k]]
                z = blocks[slot[rows[r], rows[q]]]
                for i in range(3):
                    for j in range(3):
                        product = _dot3(x[i, 0], x[i, 1], x[i, 2], y[j, 0], y[j, 1], y[j, 2], mantissa)
                        z[i, j] = rounded(z[i, j] - product, mantissa)
        below = row_begin[k + 1] - row_begin[k]
        counts[Event.CHOLESKY_BLOCK] += below * (below + 1) // 2
        counts[Event.CHOLESKY_SOLVE] += below
        counts[Event.CHOLESKY_COLUMN] += 1
    return True


@leaf
def _subtract(x, m, y, mantissa):
    """x -= m y, of rows x, y (3, k) and a block m (3, 3), rounded."""
    for c in range(x.shape[1]):
        y0, y1, y2 = y[0, c], y[1, c], y[2, c]
        x0 = _less(_less(_less(x[0, c], m[0, 0], y0, mantissa), m[0, 1], y1, mantissa), m[0, 2], y2, mantissa)
        x1 = _less(_less(_less(x[1, c], m[1, 0], y0, mantissa), m[1, 1], y1, mantissa), m[1, 2], y2, mantissa)
        x2 = _less(_less(_less(x[2, c], m[2, 0], y0, mantissa), m[2, 1], y1, mantissa), m[2, 2], y2, mantissa)
        x[0, c], x[1, c], x[2, c] = x0, x1, x2


@njit
def substitute(blocks, slot, rows, row_begin, X, mantissa, counts):
    """Solve L L^T X = B in place, X (3 nb, k) holding k right-hand sides B on entry, rounded as `factorise` is."""
    nb = slot.shape[0]
    round_all(X, mantissa)
    for k in range(nb):
        d, x = blocks[slot[k, k]], X[3 * k : 3 * k + 3]
        for c in range(X.shape[1]):
            x[0, c] = rounded(x[0, c] / d[0, 0], mantissa)
            x[1, c] = rounded(_less(x[1, c], d[1, 0], x[0, c], mantissa) / d[1, 1], mantissa)
            last = _less(_less(x[2, c], d[2, 0], x[0, c], mantissa), d[2, 1], x[1, c], mantissa)
            x[2, c] = rounded(last / d[2, 2], mantissa)
        for r in range(row_begin[k], row_begin[k + 1]):
            _subtract(X[3 * rows[r] : 3 * rows[r] + 3], blocks[slot[rows[r], k]], x, mantissa)
    for k in range(nb - 1, -1, -1):
        d, x = blocks[slot[k, k]], X[3 * k : 3 * k + 3]
        for r in range(row_begin[k], row_begin[k + 1]):
            _subtract(x, blocks[slot[rows[r], k]].T, X[3 * rows[r] : 3 * rows[r] + 3], mantissa)
        for c in range(X.shape[1]):
            x[2, c] = rounded(x[2, c] / d[2, 2], mantissa)
            x[1, c] = rounded(_less(x[1, c], d[2, 1], x[2, c], mantissa) / d[1, 1], mantissa)
            last = _less(_less(x[0, c], d[1, 0], x[1, c], mantissa), d[2, 0], x[2, c], mantissa)
            x[0, c] = rounded(last / d[0, 0], mantissa)
    counts[Event.SUBSTITUTION_BLOCK] += X.shape[1] * 2 * (rows.shape[0] + nb)
