"""The small dense kernels against numpy."""

import numpy as np
from tolerances import TIGHT
from vio.backend import dense
from vio.backend.guard import is_finite
from vio.backend.unknowns import deviation
from vio.lie import so3_exp


def test_a_border_equals_the_products_of_whole_matrices() -> None:
    """Oracle: numpy: with T = [I X], T^T H T and T^T g; of H only the lower triangle is given. None, one and seven columns."""
    rng = np.random.default_rng(0)
    for k in (0, 1, 7):
        A, g, X = rng.normal(size=(12, 12)), rng.normal(size=12), rng.normal(size=(12, k))
        H, T = A @ A.T, np.hstack([np.eye(12), X])
        whole, gradient = dense.bordered(np.tril(H) + np.triu(np.full((12, 12), np.nan), 1), g, X)
        np.testing.assert_allclose(whole, T.T @ H @ T, atol=TIGHT * np.abs(H).max())
        np.testing.assert_allclose(gradient, T.T @ g, atol=TIGHT * np.abs(H).max())


def test_parts_are_added_at_their_rows() -> None:
    """Oracle: numpy's open mesh."""
    rng, at = np.random.default_rng(1), np.array([5, 0, 3])
    H, g, H_part, g_part = rng.normal(size=(7, 7)), rng.normal(size=7), rng.normal(size=(3, 3)), rng.normal(size=3)
    expected_H, expected_g = H.copy(), g.copy()
    expected_H[np.ix_(at, at)] += H_part
    expected_g[at] += g_part
    dense.scatter(H, g, at, H_part, g_part)
    np.testing.assert_array_equal(H, expected_H)
    np.testing.assert_array_equal(g, expected_g)


def test_a_small_system_is_solved_whatever_its_units() -> None:
    """Oracle: numpy's solve of the same system before its rows and columns changed units; also an indefinite one, which needs pivots."""
    rng = np.random.default_rng(2)
    for k in (1, 2, 7):
        A, B = rng.normal(size=(k, k)), rng.normal(size=(k, 3))
        units = 10.0 ** rng.uniform(-3.0, 3.0, k)
        S = A @ A.T + np.eye(k)
        got = dense.solve(S * np.outer(units, units), units[:, None] * B)
        np.testing.assert_allclose(units[:, None] * got, np.linalg.solve(S, B), rtol=0, atol=TIGHT * k)
    turned = np.array([[0.0, 2.0], [2.0, 1.0]])
    np.testing.assert_allclose(dense.solve(turned, np.eye(2)), np.linalg.inv(turned), rtol=0, atol=TIGHT)


def test_one_number_that_is_none_is_found_wherever_it_stands() -> None:
    """Oracle: construction: NaN and both infinities, at every place of a matrix, also a transposed one."""
    whole = np.ones((3, 4))
    assert is_finite(whole, whole.T, whole[0], np.zeros(0))
    for bad in (np.nan, np.inf, -np.inf):
        for place in range(whole.size):
            broken = whole.copy()
            broken.flat[place] = bad
            assert not is_finite(broken) and not is_finite(whole, broken.T)


def test_estimates_differ_by_the_tangent_that_leads_from_one_to_the_other() -> None:
    """Oracle: construction: an offset, a shift and a turn are put on top of others; also of one kind alone."""
    rng = np.random.default_rng(3)
    step, turn, shift, offset = 0.1 * rng.normal(size=7), so3_exp(rng.normal(size=3)), rng.normal(size=3), np.array([0.01])
    moved = offset + step[0], shift + step[1:4], so3_exp(step[4:]) @ turn
    for with_time, with_mount, expected in ((True, True, step), (True, False, step[:1]), (False, True, step[1:])):
        out = np.empty(len(expected))
        deviation(*moved, offset, shift, turn, with_time, with_mount, out)
        np.testing.assert_allclose(out, expected, rtol=0, atol=TIGHT)
