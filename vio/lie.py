"""SO(3) and SE(3) on arrays: quaternions wxyz (Hamilton), rotation matrices (3, 3), right perturbations.

The `*_into` free functions are compiled and serve kernels and Python alike. Imports only the compiler.
Formulas: Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics", 2018 (equation numbers below).
"""

import math

import numpy as np

from vio.kernels import njit

_SMALL = 1e-5  # below this angle the Taylor series is exact to double precision


@njit
def matmul(A, B):
    """Product (n, m) of small matrices (n, k) and (k, m): plain loops, for a call of BLAS costs more than nine products."""
    out = np.zeros((A.shape[0], B.shape[1]))
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            for j in range(B.shape[1]):
                out[i, j] += A[i, k] * B[k, j]
    return out


@njit
def matmul_t(A, B):
    """Product A^T B (n, m) of small matrices (k, n) and (k, m)."""
    out = np.zeros((A.shape[1], B.shape[1]))
    for k in range(A.shape[0]):
        for i in range(A.shape[1]):
            for j in range(B.shape[1]):
                out[i, j] += A[k, i] * B[k, j]
    return out


@njit
def apply(A, v):
    """Product A v (n,) of a small matrix (n, k) and a vector (k,)."""
    out = np.zeros(A.shape[0])
    for i in range(A.shape[0]):
        for k in range(A.shape[1]):
            out[i] += A[i, k] * v[k]
    return out


@njit
def apply_t(A, v):
    """Product A^T v (n,) of a small matrix (k, n) and a vector (k,)."""
    out = np.zeros(A.shape[1])
    for k in range(A.shape[0]):
        for i in range(A.shape[1]):
            out[i] += A[k, i] * v[k]
    return out


@njit
def skew(v):
    """Return the (3, 3) matrix [v]x with [v]x u = v x u."""
    out = np.zeros((3, 3))
    out[0, 1], out[0, 2], out[1, 2] = -v[2], v[1], -v[0]
    out[1, 0], out[2, 0], out[2, 1] = v[2], -v[1], v[0]
    return out


@njit
def _combined(v, a, b):
    """I + a [v]x + b [v]x^2, with [v]x^2 = v v^T - |v|^2 I."""
    x, y, z = v[0], v[1], v[2]
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = 1.0 - b * (y * y + z * z), b * x * y - a * z, b * x * z + a * y
    out[1, 0], out[1, 1], out[1, 2] = b * x * y + a * z, 1.0 - b * (x * x + z * z), b * y * z - a * x
    out[2, 0], out[2, 1], out[2, 2] = b * x * z - a * y, b * y * z + a * x, 1.0 - b * (x * x + y * y)
    return out


@njit
def so3_exp(phi):
    """Rotation matrix (3, 3) of a rotation vector (3,) rad; eq. 132 (Rodrigues)."""
    angle_sq = phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2]
    angle = math.sqrt(angle_sq)
    if angle < _SMALL:
        return _combined(phi, 1.0 - angle_sq / 6.0, 0.5 - angle_sq / 24.0)
    return _combined(phi, math.sin(angle) / angle, (1.0 - math.cos(angle)) / angle_sq)


@njit
def quat_from_matrix(R):
    """Unit quaternion wxyz (4,) with w >= 0 of a rotation matrix (3, 3) (Shepperd 1978, largest pivot)."""
    q = np.empty(4)
    trace = R[0, 0] + R[1, 1] + R[2, 2]
    if trace > max(R[0, 0], R[1, 1], R[2, 2]):
        q[0] = 1.0 + trace
        q[1], q[2], q[3] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    else:
        i = 0
        if R[1, 1] > R[0, 0]:
            i = 1
        if R[2, 2] > R[i, i]:
            i = 2
        j, k = (i + 1) % 3, (i + 2) % 3
        q[1 + i] = 1.0 + R[i, i] - R[j, j] - R[k, k]
        q[1 + j] = R[j, i] + R[i, j]
        q[1 + k] = R[k, i] + R[i, k]
        q[0] = R[k, j] - R[j, k]
    n = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    is_positive = q[0] / n >= 0.0
    for k in range(4):
        q[k] = q[k] / n if is_positive else -(q[k] / n)
    return q


@njit
def matrix_from_quat(q):
    """Rotation matrix (3, 3) of a quaternion wxyz (4,), normalised on the way."""
    n = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    w, x, y, z = q[0] / n, q[1] / n, q[2] / n, q[3] / n
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return out


@njit
def so3_log(R):
    """Rotation vector (3,) of a rotation matrix, angle in [0, pi]; through the quaternion, stable near 0 and pi."""
    q = quat_from_matrix(R)
    s = math.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if s < _SMALL:
        scale = 2.0 / q[0] * (1.0 - s * s / (3.0 * q[0] * q[0]))
    else:
        scale = 2.0 * math.atan2(s, q[0]) / s
    phi = np.empty(3)
    for k in range(3):
        phi[k] = scale * q[1 + k]
    return phi


@njit
def right_jacobian(phi):
    """Right Jacobian (3, 3) of SO(3): exp(phi + d) ~ exp(phi) exp(J d); eq. 143."""
    angle_sq = phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2]
    angle = math.sqrt(angle_sq)
    if angle < 1e-4:
        a, b = 0.5 - angle_sq / 24.0, 1.0 / 6.0 - angle_sq / 120.0
    else:
        a, b = (1.0 - math.cos(angle)) / angle_sq, (angle - math.sin(angle)) / (angle_sq * angle)
    return _combined(phi, -a, b)


@njit
def right_jacobian_inverse(phi):
    """Inverse of `right_jacobian`, for angles below 2 pi; eq. 144."""
    angle_sq = phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2]
    angle = math.sqrt(angle_sq)
    if angle < 1e-3:
        b = 1.0 / 12.0 + angle_sq / 720.0
    else:
        b = 1.0 / angle_sq - (1.0 + math.cos(angle)) / (2.0 * angle * math.sin(angle))
        if abs(math.sin(angle)) < 1e-7:
            b = 1.0 / angle_sq
    return _combined(phi, 0.5, b)


@njit
def orthonormalised(R):
    """The rotation nearest to a slightly drifted matrix, through its quaternion."""
    return matrix_from_quat(quat_from_matrix(R))


def pose(R: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Assemble a homogeneous transform (4, 4) from a rotation (3, 3) and an origin (3,)."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, p
    return T


def inverse(T: np.ndarray) -> np.ndarray:
    """Inverse of a rigid transform (4, 4)."""
    return pose(T[:3, :3].T, -T[:3, :3].T @ T[:3, 3])
