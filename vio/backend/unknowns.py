"""What is estimated of the rig's calibration, as kernels take it; see `vio.backend.online_calibration` for the model."""

import math
from typing import NamedTuple

import numpy as np

from vio.backend.prior import prior_offset
from vio.backend.window import Rig
from vio.kernels import leaf, njit
from vio.lie import apply, matmul, orthonormalised, so3_exp, so3_log

MOUNT = 6  # rows of the rig's displacement: shift, turn


class Unknowns(NamedTuple):
    """The estimates as kernels take them: offset (1,) s, shift (3,) m, turn (3, 3), and where the prior is expanded; for N keyframes when they
    were placed, placed (N,) s, rate (N, 3) rad/s there, and room for the poses of their pictures, R (N, 3, 3), p (N, 3).

    rig: as calibrated. limits (3,): largest offset, shift and turn. slowest: m/s and rad/s, see `directions`. with_time, with_mount: what is
    estimated at all; k = 0, 1, 6 or 7 numbers.
    """

    offset: np.ndarray
    shift: np.ndarray
    turn: np.ndarray
    from_offset: np.ndarray
    from_shift: np.ndarray
    from_turn: np.ndarray
    placed: np.ndarray
    rate: np.ndarray
    R: np.ndarray
    p: np.ndarray
    rig: Rig
    limits: np.ndarray
    slowest: float
    with_time: bool
    with_mount: bool


@njit
def advance(R, p, v, bg, rate, dt, n, R_out, p_out):
    """Poses of n keyframes dt (n,) s later: constant velocity, measured rates (n, 3) less biases."""
    for i in range(n):
        turn = np.empty(3)
        for k in range(3):
            p_out[i, k], turn[k] = p[i, k] + dt[i] * v[i, k], dt[i] * (rate[i, k] - bg[i, k])
        turned = matmul(R[i], so3_exp(turn))
        for k in range(3):
            for j in range(3):
                R_out[i, k, j] = turned[k, j]


@leaf
def directions(R, v, bg, rate, n, with_time, with_mount, slowest, X):
    """Fill X (6 n, k) of `vio.backend.online_calibration`. A keyframe slower than `slowest` (m/s and rad/s) says nothing about time.

    Noise of its rate and velocity would pass for motion otherwise, and make the offset seem better known with every picture at rest.
    """
    X[:] = 0.0
    at = 1 if with_time else 0
    for i in range(n):
        turning = moving = 0.0
        for k in range(3):
            turning += (rate[i, k] - bg[i, k]) * (rate[i, k] - bg[i, k])
            moving += v[i, k] * v[i, k]
        for k in range(3):
            if with_time and (turning > slowest * slowest or moving > slowest * slowest):
                X[6 * i + k, 0], X[6 * i + 3 + k, 0] = v[i, k], rate[i, k] - bg[i, k]
            if with_mount:
                X[6 * i + 3 + k, at + 3 + k] = 1.0
                for j in range(3):
                    X[6 * i + k, at + j] = R[i, k, j]


@njit
def deviation(offset, shift, turn, from_offset, from_shift, from_turn, with_time, with_mount, out):
    """Tangent (k,) from one set of estimates to another."""
    if with_time:
        out[0] = offset[0] - from_offset[0]
    if with_mount:
        at, relative = 1 if with_time else 0, np.zeros((3, 3))
        for i in range(3):
            for j in range(3):
                for k in range(3):
                    relative[i, j] += turn[i, k] * from_turn[j, k]
        turned = so3_log(relative)
        for i in range(3):
            out[at + i], out[at + 3 + i] = shift[i] - from_shift[i], turned[i]


@njit
def seen_from(w, c, n):
    """Poses (R, p) at which the pictures of n keyframes were taken by the present offset, while the states stay at the instants they were placed at."""
    dt, moved = np.empty(n), False
    for i in range(n):
        dt[i] = c.offset[0] - c.placed[i]
        moved = moved or dt[i] != 0.0
    if not (c.with_time and moved):
        return w.R, w.p
    advance(w.R, w.p, w.v, w.bg, c.rate, dt, n, c.R, c.p)
    return c.R, c.p


@leaf
def _size(c):
    """k, how many numbers are estimated."""
    return (1 if c.with_time else 0) + (MOUNT if c.with_mount else 0)


@njit
def difference(c):
    """Tangent (k,) from the point the prior is expanded at."""
    out = np.zeros(_size(c))
    deviation(c.offset, c.shift, c.turn, c.from_offset, c.from_shift, c.from_turn, c.with_time, c.with_mount, out)
    return out


@njit
def known_offset(w, m, c):
    """`prior_offset` of m keyframes, and the calibration's after it."""
    return np.concatenate((prior_offset(w, m), difference(c)))


@njit
def columns(w, c, n):
    """X (6 n, k)."""
    X = np.empty((6 * n, _size(c)))
    directions(w.R_lin, w.v, w.bg, c.rate, n, c.with_time, c.with_mount, c.slowest, X)
    return X


@leaf
def _bounded(value, largest):
    """Shorten a vector (n,) in place to the largest length allowed; True if it was longer."""
    square = 0.0
    for k in range(value.shape[0]):
        square += value[k] * value[k]
    if square <= largest * largest:
        return False
    for k in range(value.shape[0]):
        value[k] *= largest / math.sqrt(square)
    return True


@njit
def mount(c, rig):
    """Bring the rig to the present displacement: T_BC = [turn, shift] T_BC calibrated, for both cameras."""
    if not c.with_mount:
        return
    rig.R_BC[:], rig.t_BC[:] = matmul(c.turn, c.rig.R_BC), apply(c.turn, c.rig.t_BC) + c.shift
    for k in range(2):
        R = matmul(c.rig.R_cam[k], np.ascontiguousarray(c.turn.T))
        rig.R_cam[k], rig.t_cam[k] = R, c.rig.t_cam[k] - apply(R, c.shift)


@njit
def move(c, rig, step):
    """Take a step (k,), kept inside the bounds, and bring the rig there; returns whether a bound was hit."""
    if c.with_time:
        c.offset[0] += step[0]
    if c.with_mount:
        at = 1 if c.with_time else 0
        turned = so3_exp(step[at + 3 : at + 6])
        c.shift[:] = apply(turned, c.shift) + step[at : at + 3]
        c.turn[:] = orthonormalised(matmul(turned, c.turn))
    phi = so3_log(c.turn)
    late, shifted, turned_far = _bounded(c.offset, c.limits[0]), _bounded(c.shift, c.limits[1]), _bounded(phi, c.limits[2])
    if turned_far:
        c.turn[:] = so3_exp(phi)
    mount(c, rig)
    return late or shifted or turned_far
