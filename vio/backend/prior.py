"""What is known from the marginalised past, and how far the estimates have moved since it was linearised."""

from typing import NamedTuple

import numpy as np

from vio.kernels import njit
from vio.lie import matmul_t, so3_log


class Prior(NamedTuple):
    """What is known from the marginalised past: 1/2 d^T H d + b^T d, with d the tangent from the linearisation point.

    H (k, k), b (k,), k = 15 + 6 (m - 1): the whole first state, then the poses (p, theta) of the next m - 1 keyframes; and then what is
    estimated of the calibration, see `vio.backend.online_calibration`.
    """

    H: np.ndarray
    b: np.ndarray


@njit
def prior_offset(w, m):
    """Tangent (15 + 6 (m - 1),) from the linearisation points to the current estimates of the prior's m keyframes."""
    d = np.empty(15 + 6 * (m - 1))
    for i in range(m):
        at, turn = 0 if i == 0 else 15 + 6 * (i - 1), so3_log(matmul_t(w.R_lin[i], w.R[i]))
        for k in range(3):
            d[at + k], d[at + 3 + k] = w.p[i, k] - w.p_lin[i, k], turn[k]
    for k in range(3):
        d[6 + k], d[9 + k], d[12 + k] = w.v[0, k] - w.v_lin[0, k], w.bg[0, k] - w.bg_lin[0, k], w.ba[0, k] - w.ba_lin[0, k]
    return d
