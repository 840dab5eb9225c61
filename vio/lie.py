"""SO(3) and SE(3) on arrays: quaternions wxyz (Hamilton), rotation matrices (3, 3), right perturbations.

The `*_into` free functions are compiled and serve kernels and Python alike. Imports nothing of the project.
Formulas: Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics", 2018 (equation numbers below).
"""

import math

import numba
import numpy as np

_SMALL = 1e-5  # below this angle the Taylor series is exact to double precision


@numba.njit(cache=True)
def skew(v):
    """Return the (3, 3) matrix [v]x with [v]x u = v x u."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


@numba.njit(cache=True)
def so3_exp(phi):
    """Rotation matrix (3, 3) of a rotation vector (3,) rad; eq. 132 (Rodrigues)."""
    angle_sq = phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2]
    angle = math.sqrt(angle_sq)
    if angle < _SMALL:
        a, b = 1.0 - angle_sq / 6.0, 0.5 - angle_sq / 24.0
    else:
        a, b = math.sin(angle) / angle, (1.0 - math.cos(angle)) / angle_sq
    hat = skew(phi)
    return np.eye(3) + a * hat + b * (hat @ hat)


@numba.njit(cache=True)
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
    q /= math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    return q if q[0] >= 0.0 else -q


@numba.njit(cache=True)
def matrix_from_quat(q):
    """Rotation matrix (3, 3) of a quaternion wxyz (4,), normalised on the way."""
    n = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    w, x, y, z = q[0] / n, q[1] / n, q[2] / n, q[3] / n
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@numba.njit(cache=True)
def so3_log(R):
    """Rotation vector (3,) of a rotation matrix, angle in [0, pi]; through the quaternion, stable near 0 and pi."""
    q = quat_from_matrix(R)
    s = math.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if s < _SMALL:
        scale = 2.0 / q[0] * (1.0 - s * s / (3.0 * q[0] * q[0]))
    else:
        scale = 2.0 * math.atan2(s, q[0]) / s
    return scale * q[1:].copy()


@numba.njit(cache=True)
def right_jacobian(phi):
    """Right Jacobian (3, 3) of SO(3): exp(phi + d) ~ exp(phi) exp(J d); eq. 143."""
    angle_sq = phi[0] * phi[0] + phi[1] * phi[1] + phi[2] * phi[2]
    angle = math.sqrt(angle_sq)
    if angle < 1e-4:
        a, b = 0.5 - angle_sq / 24.0, 1.0 / 6.0 - angle_sq / 120.0
    else:
        a, b = (1.0 - math.cos(angle)) / angle_sq, (angle - math.sin(angle)) / (angle_sq * angle)
    hat = skew(phi)
    return np.eye(3) - a * hat + b * (hat @ hat)


@numba.njit(cache=True)
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
    hat = skew(phi)
    return np.eye(3) + 0.5 * hat + b * (hat @ hat)


@numba.njit(cache=True)
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
