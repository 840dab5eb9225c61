"""Numbers that make no sense are caught where they arise: matrices that are not finite or not positive, states that are not finite."""

import numpy as np

from vio.backend.dense import is_finite_all
from vio.kernels import njit


def is_finite(*arrays: np.ndarray) -> bool:
    """Whether every element of every array is a finite number."""
    return all(is_finite_all(a.ravel()) for a in arrays)


def positive(H: np.ndarray, fallback: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """A symmetric H (k, k) made positive semi-definite by dropping its negative eigenvalues, and whether anything had to be changed.

    Tested by Cholesky with a shift of 1e-12 of the largest diagonal element, far above what rounding leaves. Where H is not finite:
    `fallback`, or zeros, which as an information say nothing.
    """
    if is_positive(np.ascontiguousarray(H)):
        return H, False
    if not is_finite(H):
        return (np.zeros_like(H) if fallback is None else fallback.copy()), True
    values, vectors = np.linalg.eigh(0.5 * (H + H.T))
    kept = np.maximum(values, 0.0)
    return (vectors * kept) @ vectors.T, True


@njit
def is_positive(H):
    """Whether H (k, k) is finite and its lower triangle has a Cholesky factor once its diagonal is raised by 1e-12 of its largest element."""
    n, top = H.shape[0], 1e-300
    for i in range(n):
        top = max(top, abs(H[i, i]))
        for j in range(n):
            if not np.isfinite(H[i, j]):
                return False
    L = np.empty((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = H[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i > j:
                L[i, j] = total / L[j, j]
            elif total + 1e-12 * top > 0.0:
                L[i, i] = np.sqrt(total + 1e-12 * top)
            else:
                return False
    return True
