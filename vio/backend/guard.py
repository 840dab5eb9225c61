"""Numbers that make no sense are caught where they arise: matrices that are not finite or not positive, states that are not finite."""

import numpy as np


def is_finite(*arrays: np.ndarray) -> bool:
    """Whether every element of every array is a finite number."""
    return all(bool(np.isfinite(a).all()) for a in arrays)


def positive(H: np.ndarray, fallback: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """A symmetric H (k, k) made positive semi-definite by dropping its negative eigenvalues, and whether anything had to be changed.

    Tested by Cholesky with a shift of 1e-12 of the largest diagonal element, far above what rounding leaves. Where H is not finite:
    `fallback`, or zeros, which as an information say nothing.
    """
    if not is_finite(H):
        return (np.zeros_like(H) if fallback is None else fallback.copy()), True
    shift = 1e-12 * max(float(np.abs(np.diag(H)).max(initial=0.0)), 1e-300)
    try:
        np.linalg.cholesky(H + shift * np.eye(len(H)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(0.5 * (H + H.T))
        kept = np.maximum(values, 0.0)
        return (vectors * kept) @ vectors.T, True
    return H, False
