"""Rows of arrays, chosen and gathered inside kernels; numpy's own indexing there takes seconds to compile."""

import numpy as np

from vio.kernels import leaf, njit


@leaf
def chosen(values, wanted, rows):
    """List in rows (n,) int64 where values (n,) equal `wanted`; return how many do."""
    found = 0
    for i in range(values.shape[0]):
        if values[i] == wanted:
            rows[found] = i
            found += 1
    return found


@njit
def picked(values, rows):
    """Copy (k, 2) of the rows (k,) of values (n, 2)."""
    out = np.empty((rows.shape[0], 2), values.dtype)
    for k in range(rows.shape[0]):
        out[k, 0], out[k, 1] = values[rows[k], 0], values[rows[k], 1]
    return out
