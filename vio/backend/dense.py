"""Small dense systems, a few rows at a time: each of these kernels stands for a dozen calls of numpy, which cost more than what they compute."""

import numpy as np

from vio.kernels import njit
from vio.lie import apply


@njit
def is_finite_all(flat):
    """Whether every element of flat (n,) is a finite number."""
    for i in range(flat.shape[0]):
        if not np.isfinite(flat[i]):
            return False
    return True


@njit
def quadratic(A, x):
    """x^T A x of a matrix (n, n) and a vector (n,)."""
    Ax, total = apply(A, x), 0.0
    for k in range(x.shape[0]):
        total += x[k] * Ax[k]
    return total


@njit
def bordered(lower, g, X):
    """[H, H X; X^T H, X^T H X] (d + k, d + k) and [g, X^T g] of a symmetric H (d, d), of which the lower triangle is read, and X (d, k)."""
    d, k = X.shape
    H, out = np.zeros((d + k, d + k)), np.zeros(d + k)
    for i in range(d):
        for j in range(i + 1):
            H[i, j] = lower[i, j]
            H[j, i] = lower[i, j]
    for i in range(d):
        out[i] = g[i]
        for a in range(k):
            total = 0.0
            for j in range(d):
                total += H[i, j] * X[j, a]
            H[i, d + a] = total
            H[d + a, i] = total
            out[d + a] += X[i, a] * g[i]
    for i in range(d):
        for a in range(k):
            for b in range(k):
                H[d + a, d + b] += X[i, a] * H[i, d + b]
    return H, out


@njit
def scatter(H, g, at, H_part, g_part):
    """Add a part (m, m), (m,) at the rows and columns `at` (m,) of H, g."""
    for i in range(at.shape[0]):
        g[at[i]] += g_part[i]
        for j in range(at.shape[0]):
            H[at[i], at[j]] += H_part[i, j]


@njit
def solve(S, B):
    """S^-1 B of a matrix S (k, k) of a few rows and B (k, m), by elimination with row pivots; not finite where S is singular.

    Scaled to a unit diagonal first, for seconds, metres and radians differ by orders.
    """
    k, m = B.shape
    A, scale = np.empty((k, k + m)), np.empty(k)
    for i in range(k):
        scale[i] = 1.0 / np.sqrt(max(S[i, i], 1e-12))
    for i in range(k):
        for j in range(k):
            A[i, j] = S[i, j] * scale[i] * scale[j]
        for j in range(m):
            A[i, k + j] = scale[i] * B[i, j]
    for p in range(k):
        best = p
        for i in range(p + 1, k):
            if abs(A[i, p]) > abs(A[best, p]):
                best = i
        for j in range(p, k + m):
            A[p, j], A[best, j] = A[best, j], A[p, j]
        for i in range(p + 1, k):
            share = A[i, p] / A[p, p]
            for j in range(p + 1, k + m):
                A[i, j] -= share * A[p, j]
    out = np.empty((k, m))
    for j in range(m):
        for i in range(k - 1, -1, -1):
            total = A[i, k + j]
            for q in range(i + 1, k):
                total -= A[i, q] * out[q, j]
            out[i, j] = total / A[i, i]
        for i in range(k):
            out[i, j] *= scale[i]
    return out
