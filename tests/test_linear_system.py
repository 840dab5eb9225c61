"""The compressed linear system and the elimination of landmarks against dense solves."""

import numpy as np
import pytest
from tolerances import TIGHT
from vio.backend import landmarks
from vio.backend.linear_system import _coupled, add_dense, factorise, layout, substitute
from vio.events import Event, new_counts

from windows import RIG, noisy_window, reprojection, reprojection_jacobian, scratch_of

NO_CAUCHY = 1e9


def patterned(n: int, seed: int) -> np.ndarray:
    """A random positive definite matrix (15 n, 15 n) that is non-zero exactly where the window couples states."""
    rng = np.random.default_rng(seed)
    pattern = np.kron(_coupled(n, layout(n).position), np.ones((3, 3), bool))
    A = np.where(pattern, rng.normal(size=pattern.shape), 0.0)
    A = A + A.T
    return A + np.diag(np.abs(A).sum(1) + rng.uniform(0.1, 2.0, len(A)))


def compressed(A: np.ndarray, n: int) -> np.ndarray:
    """The stored blocks of a matrix in system order; asserts that nothing of it is lost."""
    where, blocks, rebuilt = layout(n), np.zeros((layout(n).slots, 3, 3)), np.zeros_like(A)
    for r, c in np.argwhere(where.slot >= 0):
        blocks[where.slot[r, c]] = A[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
        rebuilt[3 * r : 3 * r + 3, 3 * c : 3 * c + 3] = A[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
    np.testing.assert_array_equal(np.tril(rebuilt), np.tril(A))
    return blocks


def solve(blocks: np.ndarray, n: int, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Solution through the sparse factor."""
    where, x = layout(n), b.reshape(-1, 1).copy()
    assert factorise(blocks, where.slot, where.rows, where.row_begin, None, counts)
    substitute(blocks, where.slot, where.rows, where.row_begin, x, None, counts)
    return x[:, 0]


@pytest.mark.parametrize("n", range(1, 13))
def test_the_sparse_solution_equals_the_dense_one(n: int) -> None:
    """Oracle: numpy's dense solve of the same matrix."""
    A, b = patterned(n, n), np.random.default_rng(n).normal(size=15 * n)
    x = solve(compressed(A, n), n, b, new_counts())
    np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=TIGHT, atol=TIGHT)


def test_right_hand_sides_side_by_side_are_solved_and_counted_one_by_one() -> None:
    """Oracle: numpy's dense solve; as much work is counted as in as many single solutions."""
    A, B, where, counts = patterned(4, 4), np.random.default_rng(4).normal(size=(60, 3)), layout(4), new_counts()
    blocks, X = compressed(A, 4), B.copy()
    assert factorise(blocks, where.slot, where.rows, where.row_begin, None, new_counts())
    substitute(blocks, where.slot, where.rows, where.row_begin, X, None, counts)
    np.testing.assert_allclose(X, np.linalg.solve(A, B), rtol=TIGHT, atol=TIGHT)
    assert counts[Event.SUBSTITUTION_BLOCK] == 3 * 2 * (len(where.rows) + len(where.slot))


@pytest.mark.parametrize("n", [2, 5, 10])
def test_the_sparse_factor_equals_the_dense_cholesky_block_by_block(n: int) -> None:
    """Oracle: numpy's Cholesky: every non-zero block of it has a slot, and the slot holds it."""
    A, where = patterned(n, 50 + n), layout(n)
    blocks, L = compressed(A, n), np.linalg.cholesky(A)
    assert factorise(blocks, where.slot, where.rows, where.row_begin, None, new_counts())
    for r in range(5 * n):
        for c in range(r + 1):
            dense = L[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
            if where.slot[r, c] < 0:
                np.testing.assert_allclose(dense, 0.0, atol=TIGHT)
            else:
                sparse = blocks[where.slot[r, c]]
                np.testing.assert_allclose(np.tril(sparse) if r == c else sparse, dense, rtol=TIGHT, atol=TIGHT)


def test_the_storage_has_no_block_that_is_always_zero() -> None:
    """Oracle: the non-zero blocks of a random matrix' dense Cholesky factor are as many as the slots."""
    for n in (1, 3, 10):
        L = np.linalg.cholesky(patterned(n, n))
        nonzero = sum(np.abs(L[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]).max() > 1e-12 for r in range(5 * n) for c in range(r + 1))
        assert layout(n).slots == nonzero


def test_ten_keyframes_store_less_than_the_whole_triangle() -> None:
    """Oracle: counting: the 50 x 50 blocks' triangle has 1275 blocks."""
    where = layout(10)
    assert where.slots == len(np.unique(where.slot[where.slot >= 0])) == where.rows.size + 50
    assert where.slots < 50 * 51 // 2


@pytest.mark.parametrize("n", [1, 4])
def test_a_matrix_that_is_not_positive_definite_is_refused(n: int) -> None:
    """Oracle: a negative, a zero and a NaN pivot have no Cholesky factor."""
    where = layout(n)
    for value in (-1.0, 0.0, np.nan):
        A = patterned(n, 1)
        k = 15 * n // 2
        A[k, :] = A[:, k] = 0.0
        A[k, k] = value
        assert not factorise(compressed(np.nan_to_num(A, nan=0.0), n) if value == 0.0 else _raw(A, n), where.slot, where.rows, where.row_begin, None, new_counts())


def _raw(A: np.ndarray, n: int) -> np.ndarray:
    """Stored blocks of a matrix that need not be finite."""
    blocks = np.zeros((layout(n).slots, 3, 3))
    for r, c in np.argwhere(layout(n).slot >= 0):
        blocks[layout(n).slot[r, c]] = A[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
    return blocks


def test_dense_parts_add_up_in_the_compressed_system() -> None:
    """Oracle: numpy's indexed addition, for an inertial factor's two states and for the poses."""
    rng, n, where = np.random.default_rng(2), 4, layout(4)
    blocks, gradient, H_full, g_full = np.zeros((where.slots, 3, 3)), np.zeros(60), np.zeros((60, 60)), np.zeros(60)
    for targets in (np.concatenate([where.position[1], where.position[2]]), where.position[:, :2].ravel()):
        A = rng.normal(size=(3 * len(targets), 3 * len(targets)))
        H, g = A + A.T, rng.normal(size=3 * len(targets))
        add_dense(blocks, gradient, where.slot, targets, H, g)
        at = (3 * targets[:, None] + np.arange(3)).ravel()
        H_full[np.ix_(at, at)] += H
        g_full[at] += g
    np.testing.assert_allclose(blocks, compressed(H_full, n), atol=TIGHT)
    np.testing.assert_allclose(gradient, g_full, atol=TIGHT)


def test_work_counts_follow_from_the_layout() -> None:
    """Oracle: one block update per pair of rows below a pivot; two products per stored block in the substitutions."""
    where, counts = layout(6), new_counts()
    solve(compressed(patterned(6, 0), 6), 6, np.ones(90), counts)
    below = np.diff(where.row_begin)
    assert counts[Event.CHOLESKY_BLOCK] == (below * (below + 1) // 2).sum()
    assert (counts[Event.CHOLESKY_COLUMN], counts[Event.CHOLESKY_SOLVE]) == (30, below.sum())
    assert counts[Event.SUBSTITUTION_BLOCK] == 2 * where.slots


def whole(H: np.ndarray) -> np.ndarray:
    """A symmetric matrix of which only the blocks on and below the diagonal were filled."""
    return np.tril(H) + np.tril(H, -1).T


def explicit(w, n: int, cauchy: float) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations with the landmarks as unknowns: poses first (6 n), then three per row."""
    size = 6 * n + 3 * len(w.ids)
    H, g = np.zeros((size, size)), np.zeros(size)
    for m, t, c in np.argwhere(w.seen):
        r, J = reprojection(w, m, t, c), np.zeros((2, size))
        if r is None:
            continue
        J_h, J_t, J_l = reprojection_jacobian(w, m, t, c)
        h = w.host[m]
        J[:, 6 * h : 6 * h + 6] += J_h
        J[:, 6 * t : 6 * t + 6] += J_t
        J[:, 6 * n + 3 * m : 6 * n + 3 * m + 3] = J_l
        weight = 1.0 / (1.0 + np.dot(r, r) / cauchy**2)
        H += weight * J.T @ J
        g += weight * J.T @ r
    return H, g


@pytest.mark.parametrize("cauchy", [NO_CAUCHY, 1.5], ids=["quadratic", "cauchy"])
def test_eliminated_landmarks_give_the_step_of_the_full_normal_equations(cauchy: float) -> None:
    """Oracle: dense solve with every landmark explicit; same pose step, same landmark step."""
    n, rows = 5, 30
    w, _ = noisy_window(7, n, rows)
    scratch = scratch_of(w)
    H, g = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    landmarks.linearise(w, RIG, n, cauchy, 0.0, -1, H, g, scratch, new_counts())
    H = whole(H)
    full, gradient = explicit(w, n, cauchy)
    assert scratch.used.all()
    hold = np.diag(np.full(6 * n, 1e2))  # fixes the gauge; the same for both
    full[: 6 * n, : 6 * n] += hold
    x, dx = np.linalg.solve(full, -gradient), np.linalg.solve(H + hold, -g)
    np.testing.assert_allclose(dx, x[: 6 * n], rtol=0, atol=1e-8 * np.abs(x).max())
    before = w.point.copy()
    landmarks.back_substitute(w, n, dx, scratch, 1e6)
    np.testing.assert_allclose(w.point - before, x[6 * n :].reshape(rows, 3), rtol=0, atol=1e-8 * np.abs(x).max())


def test_elimination_counts_rows_and_the_blocks_of_their_triangle() -> None:
    """Oracle: keyframes that see each landmark, from the window's own table; a landmark of r rows updates r (r + 1) / 2 blocks."""
    n, rows, counts = 5, 30, new_counts()
    w, _ = noisy_window(7, n, rows)
    landmarks.linearise(w, RIG, n, NO_CAUCHY, 0.0, -1, np.zeros((6 * n, 6 * n)), np.zeros(6 * n), scratch_of(w), counts)
    seeing = np.array([1 + sum(w.seen[m, t].any() for t in range(w.host[m] + 1, n)) for m in range(rows)])
    seeing[seeing == 1] = 0  # seen from its host alone: it ties nothing
    assert counts[Event.SCHUR_ROW] == seeing.sum()
    assert counts[Event.SCHUR_BLOCK] == (seeing * (seeing + 1) // 2).sum()
    assert (counts[Event.LANDMARK_ELIMINATED], counts[Event.REPROJECTION]) == (rows, w.seen.sum())


def test_long_windows_fill_with_n_log_n_blocks() -> None:
    """Oracle: eliminating the chain from one end would store 2715 blocks of 21 keyframes."""
    assert layout(21).slots == 2193


def test_the_reduced_system_is_the_schur_complement_of_the_full_one() -> None:
    """Oracle: numpy's H_pp - H_pl H_ll^-1 H_lp."""
    n, rows = 4, 20
    w, _ = noisy_window(9, n, rows)
    scratch = scratch_of(w)
    H, g = np.zeros((6 * n, 6 * n)), np.zeros(6 * n)
    landmarks.linearise(w, RIG, n, NO_CAUCHY, 0.0, -1, H, g, scratch, new_counts())
    H = whole(H)
    full, gradient = explicit(w, n, NO_CAUCHY)
    k = 6 * n
    K = full[:k, k:] @ np.linalg.inv(full[k:, k:])
    np.testing.assert_allclose(H, full[:k, :k] - K @ full[k:, :k], rtol=0, atol=TIGHT * np.abs(full[:k, :k]).max())
    np.testing.assert_allclose(g, gradient[:k] - K @ gradient[k:], rtol=0, atol=TIGHT * np.abs(gradient).max())
