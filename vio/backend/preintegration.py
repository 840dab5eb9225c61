"""On-manifold preintegration of inertial samples between two keyframes.

Forster, Carlone, Dellaert, Scaramuzza, "On-Manifold Preintegration for Real-Time Visual-Inertial Odometry", TRO 2017,
equation numbers below. One step holds w and a constant; velocity and position use the attitude at the middle of the step,
which is exact to second order where eq. 33 is exact to first.
"""

from typing import NamedTuple

import numpy as np

from vio.events import Event
from vio.kernels import leaf, njit
from vio.lie import apply, matmul, right_jacobian, skew, so3_exp


class Preintegrated(NamedTuple):
    """Accumulated motion of B since the first sample, and how it depends on the biases it was integrated with.

    dt: (1,) s. dR: (3, 3), dv: (3,) m/s, dp: (3,) m, all in the first B. bias: (6,) linearisation biases (b_g, b_a).
    d_bias: (9, 6) Jacobian of (dp, dtheta, dv) with respect to (b_g, b_a). covariance: (9, 9) of (dp, dtheta, dv); both empty where the
    motion alone is wanted.
    """

    dt: np.ndarray
    dR: np.ndarray
    dv: np.ndarray
    dp: np.ndarray
    bias: np.ndarray
    d_bias: np.ndarray
    covariance: np.ndarray


def preintegrated(b_g: np.ndarray, b_a: np.ndarray) -> Preintegrated:
    """An empty preintegration that will be linearised at the biases b_g (3,) rad/s and b_a (3,) m/s^2."""
    bias = np.concatenate([b_g, b_a]).astype(np.float64)
    return Preintegrated(np.zeros(1), np.eye(3), np.zeros(3), np.zeros(3), bias, np.zeros((9, 6)), np.zeros((9, 9)))


@njit
def integrate(pre, w, a, dt, gyro_var, accel_var, counts):
    """Add one step of dt seconds with constant measured w (3,) rad/s and a (3,) m/s^2; variances are densities squared."""
    ac, turn, half_turn = np.empty(3), np.empty(3), np.empty(3)
    for i in range(3):
        ac[i] = a[i] - pre.bias[3 + i]
        turn[i], half_turn[i] = (w[i] - pre.bias[i]) * dt, (w[i] - pre.bias[i]) * (0.5 * dt)
    step, to_middle = so3_exp(turn), so3_exp(half_turn)
    half, turned = matmul(pre.dR, to_middle), matmul(pre.dR, step)
    acc = apply(half, ac)
    if pre.covariance.shape[0] > 0:
        _propagate(pre, turn, half_turn, ac, dt, step, to_middle, half, gyro_var / dt, accel_var / dt)
    for i in range(3):
        pre.dp[i] += dt * pre.dv[i] + 0.5 * dt * dt * acc[i]
        pre.dv[i] += dt * acc[i]
        for j in range(3):
            pre.dR[i, j] = turned[i, j]
    pre.dt[0] += dt
    counts[Event.IMU_SAMPLE] += 1


@njit
def _propagate(pre, turn, half_turn, ac, dt, step, to_middle, half, gyro_var, accel_var):
    """Covariance and bias Jacobian of one step: P <- F P F^T + G Q G^T (eq. 63), D <- F D - G.

    A turn e (right perturbation) of the attitude at the step's start moves its middle by to_middle^T e.
    """
    jr = right_jacobian(turn)
    lever = matmul(pre.dR, skew(apply(to_middle, ac)))
    gyro_lever = matmul(matmul(half, skew(ac)), right_jacobian(half_turn))
    F, G = np.zeros((9, 9)), np.zeros((9, 6))  # G with respect to (w, a)
    for i in range(9):
        F[i, i] = 1.0
    for i in range(3):
        F[i, 6 + i] = dt
        for j in range(3):
            F[i, 3 + j], F[3 + i, 3 + j], F[6 + i, 3 + j] = -0.5 * dt * dt * lever[i, j], step[j, i], -dt * lever[i, j]
            G[i, j], G[3 + i, j], G[6 + i, j] = -0.25 * dt**3 * gyro_lever[i, j], jr[i, j] * dt, -0.5 * dt * dt * gyro_lever[i, j]
            G[i, 3 + j], G[6 + i, 3 + j] = 0.5 * dt * dt * half[i, j], dt * half[i, j]
    FP, FD = matmul(F, pre.covariance), matmul(F, pre.d_bias)
    for i in range(9):
        for j in range(9):
            total = 0.0
            for k in range(9):
                total += FP[i, k] * F[j, k]
            for k in range(3):
                total += gyro_var * G[i, k] * G[j, k] + accel_var * G[i, 3 + k] * G[j, 3 + k]
            pre.covariance[i, j] = total
        for j in range(6):
            pre.d_bias[i, j] = FD[i, j] - G[i, j]


@njit
def integrate_span(pre, t_ns, w_B, a_B, begin_ns, end_ns, gyro_var, accel_var, counts):
    """Integrate the samples (t_ns (n,) int64, w_B, a_B (n, 3)) from begin_ns to end_ns with the trapezoid of each pair.

    Measurements are interpolated linearly at both ends; before the first and after the last sample they are held. What gaps leave unmeasured
    is for the variances to hold, see `vio.inertial`.
    """
    n = t_ns.shape[0]
    at = begin_ns
    i = 0
    w0, a0, w1, a1 = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    while at < end_ns and n > 0:
        while i + 1 < n and t_ns[i + 1] <= at:
            i += 1
        until = end_ns
        if t_ns[i] > at:
            until = min(until, t_ns[i])
        elif i + 1 < n:
            until = min(until, t_ns[i + 1])
        _sample(t_ns, w_B, a_B, i, at, w0, a0)
        _sample(t_ns, w_B, a_B, i, until, w1, a1)
        for k in range(3):
            w0[k], a0[k] = 0.5 * (w0[k] + w1[k]), 0.5 * (a0[k] + a1[k])
        dt = (until - at) * 1e-9
        integrate(pre, w0, a0, dt, gyro_var, accel_var, counts)
        at = until


@leaf
def _sample(t_ns, w_B, a_B, i, at, w, a):
    held = at <= t_ns[i] or i + 1 >= t_ns.shape[0]
    s = 0.0 if held else (at - t_ns[i]) / (t_ns[i + 1] - t_ns[i])
    for k in range(3):
        if held:
            w[k], a[k] = w_B[i, k], a_B[i, k]
        else:
            w[k], a[k] = (1.0 - s) * w_B[i, k] + s * w_B[i + 1, k], (1.0 - s) * a_B[i, k] + s * a_B[i + 1, k]


@njit
def corrected(pre, b_g, b_a):
    """(dp, dR, dv) corrected to first order for biases other than the linearisation ones; eq. 44."""
    db, turn, dp, dv = np.empty(6), np.empty(3), np.empty(3), np.empty(3)
    for k in range(3):
        db[k], db[3 + k] = b_g[k] - pre.bias[k], b_a[k] - pre.bias[3 + k]
    d = apply(pre.d_bias, db)
    for k in range(3):
        dp[k], turn[k], dv[k] = pre.dp[k] + d[k], d[3 + k], pre.dv[k] + d[6 + k]
    return dp, matmul(pre.dR, so3_exp(turn)), dv


@njit
def predict(pre, R, p, v, b_g, b_a, g):
    """State (R, p, v) of B in W after the preintegrated motion from a state at its start; eq. 37 inverted."""
    dp, dR, dv = corrected(pre, b_g, b_a)
    dt, moved, sped = pre.dt[0], apply(R, dp), apply(R, dv)
    for k in range(3):
        moved[k], sped[k] = p[k] + v[k] * dt + 0.5 * g[k] * dt * dt + moved[k], v[k] + g[k] * dt + sped[k]
    return matmul(R, dR), moved, sped


@njit
def transition(pre, R):
    """Jacobian (15, 15) of the predicted state with respect to the start state, tangent order of `vio.types`."""
    F = np.zeros((15, 15))
    dt = pre.dt[0]
    by_turn, by_turn_v = matmul(R, skew(pre.dp)), matmul(R, skew(pre.dv))
    by_bias, by_bias_v = matmul(R, pre.d_bias[0:3]), matmul(R, pre.d_bias[6:9])
    for i in range(15):
        F[i, i] = 1.0
    for i in range(3):
        F[i, 6 + i] = dt
        for j in range(3):
            F[i, 3 + j], F[3 + i, 3 + j], F[6 + i, 3 + j] = -by_turn[i, j], pre.dR[j, i], -by_turn_v[i, j]
        for j in range(6):
            F[i, 9 + j], F[3 + i, 9 + j], F[6 + i, 9 + j] = by_bias[i, j], pre.d_bias[3 + i, j], by_bias_v[i, j]
    return F
