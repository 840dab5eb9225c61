"""Rotations: group axioms, exponential and logarithm, Jacobians, quaternions; sampled near 0 and pi as well."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tolerances import TIGHT
from vio import lie

ANGLES = [0.0, 1e-12, 1e-9, 9e-6, 1.1e-5, 9e-5, 1.1e-4, 9e-4, 1.1e-3, 0.1, 1.0, 2.0, 3.0, np.pi - 1e-3, np.pi - 1e-6, np.pi - 1e-9]


def axes() -> np.ndarray:
    """Unit axes (8, 3): the coordinate axes, both signs of one diagonal, random ones."""
    rng = np.random.default_rng(0)
    raw = np.vstack([np.eye(3), [[1, 1, 1], [-1, -1, -1]], rng.normal(size=(3, 3))])
    return raw / np.linalg.norm(raw, axis=1)[:, None]


def vectors(largest: float = np.pi) -> list[np.ndarray]:
    """Rotation vectors of every axis and angle."""
    return [angle * axis for angle in ANGLES if angle < largest for axis in axes()]


def test_the_exponential_equals_scipys() -> None:
    """Oracle: scipy's Rotation."""
    for phi in vectors():
        np.testing.assert_allclose(lie.so3_exp(phi), Rotation.from_rotvec(phi).as_matrix(), atol=1e-14)


def test_logarithm_undoes_the_exponential() -> None:
    """Oracle: the vector itself, with an error relative to its length near zero."""
    for phi in vectors():
        np.testing.assert_allclose(lie.so3_log(lie.so3_exp(phi)), phi, atol=TIGHT * max(np.linalg.norm(phi), 1e-6))


def test_half_turns_have_a_logarithm_of_length_pi() -> None:
    """Oracle: at pi the axis is known up to its sign; the exponential of the logarithm is the rotation again."""
    for axis in axes():
        R = Rotation.from_rotvec(np.pi * axis).as_matrix()
        phi = lie.so3_log(R)
        np.testing.assert_allclose(np.linalg.norm(phi), np.pi, atol=TIGHT)
        np.testing.assert_allclose(lie.so3_exp(phi), R, atol=TIGHT)


def test_rotations_form_a_group() -> None:
    """Oracle: the axioms: closure, associativity, neutral element, inverse exp(-phi) = transpose."""
    some = [lie.so3_exp(phi) for phi in vectors()[::9]]
    for A, B, C in zip(some, some[1:], some[2:], strict=False):
        np.testing.assert_allclose((A @ B) @ (A @ B).T, np.eye(3), atol=TIGHT)
        np.testing.assert_allclose(np.linalg.det(A @ B), 1.0, atol=TIGHT)
        np.testing.assert_allclose((A @ B) @ C, A @ (B @ C), atol=TIGHT)
    np.testing.assert_array_equal(lie.so3_exp(np.zeros(3)), np.eye(3))
    for phi in vectors():
        np.testing.assert_allclose(lie.so3_exp(-phi), lie.so3_exp(phi).T, atol=1e-14)


def test_the_right_jacobian_equals_finite_differences() -> None:
    """Oracle: central differences of log(exp(phi)^T exp(phi + d)); h = 1e-5 errs by h^2 / 24 and eps / h, both below 1e-10."""
    h = 1e-5
    for phi in vectors():
        numeric = np.column_stack(
            [lie.so3_log(lie.so3_exp(phi - h * e).T @ lie.so3_exp(phi + h * e)) / (2 * h) for e in np.eye(3)]
        )
        np.testing.assert_allclose(lie.right_jacobian(phi), numeric, atol=1e-9)


def test_the_inverse_right_jacobian_is_its_inverse() -> None:
    """Oracle: the product is the identity; also beyond pi, up to the singularity at 2 pi."""
    for phi in [*vectors(), *(angle * axis for angle in (3.2, 4.5, 6.0) for axis in axes())]:
        np.testing.assert_allclose(lie.right_jacobian_inverse(phi) @ lie.right_jacobian(phi), np.eye(3), atol=TIGHT)


def test_the_inverse_right_jacobian_is_exact_at_pi() -> None:
    """Oracle: numpy's inverse; at pi the closed form divides zero by zero and 1 / pi^2 takes its place, within 1e-8 of the limit."""
    for axis in axes():
        for angle in (np.pi - 1e-5, np.pi - 2e-7, np.pi - 1e-8, np.pi, np.pi + 1e-8):
            exact = np.linalg.inv(lie.right_jacobian(angle * axis))
            np.testing.assert_allclose(lie.right_jacobian_inverse(angle * axis), exact, atol=1e-7)


def test_the_cross_matrix_is_the_cross_product() -> None:
    """Oracle: numpy's cross."""
    u, v = np.random.default_rng(1).normal(size=(2, 3))
    np.testing.assert_allclose(lie.skew(u) @ v, np.cross(u, v), atol=1e-15)


def test_quaternions_equal_scipys_and_have_positive_real_part() -> None:
    """Oracle: scipy's Rotation, scalar first."""
    for phi in vectors():
        q = lie.quat_from_matrix(lie.so3_exp(phi))
        theirs = Rotation.from_rotvec(phi).as_quat(canonical=True)[[3, 0, 1, 2]]
        assert q[0] >= 0.0
        np.testing.assert_allclose(min(np.abs(q - theirs).max(), np.abs(q + theirs).max()), 0.0, atol=1e-8)
        np.testing.assert_allclose(lie.matrix_from_quat(3.0 * q), lie.so3_exp(phi), atol=TIGHT)


@pytest.mark.parametrize("size", [1e-12, 1e-6])
def test_a_drifted_matrix_is_brought_back(size: float) -> None:
    """Oracle: orthonormality after, and no further from the rotation than the drift."""
    rng = np.random.default_rng(2)
    for phi in vectors()[::5]:
        R = lie.so3_exp(phi)
        back = lie.orthonormalised(R + size * rng.normal(size=(3, 3)))
        np.testing.assert_allclose(back @ back.T, np.eye(3), atol=1e-14)
        np.testing.assert_allclose(back, R, atol=10 * size + 1e-14)


def test_the_inverse_of_a_pose_undoes_it() -> None:
    """Oracle: numpy's matrix inverse."""
    for phi in vectors()[::7]:
        T = lie.pose(lie.so3_exp(phi), np.array([1.0, -2.0, 3.0]))
        np.testing.assert_allclose(lie.inverse(T), np.linalg.inv(T), atol=TIGHT)
        np.testing.assert_array_equal(T[3], [0.0, 0.0, 0.0, 1.0])
