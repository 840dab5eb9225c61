"""The floating-point work table against counted block operations, whose values equal numpy's and the engine's."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from counting import counted
from hwmodel.operations import Op
from hwmodel.structure import dense, marginal_size, sparse
from hwmodel.work import estimator, work_per_event
from tolerances import LOOSE, TIGHT
from vio.backend.linear_system import layout
from vio.config import Config
from vio.events import Event

import oracles_blocks as ob

CONFIG = Config()
RNG = np.random.default_rng(4)


def flops(work) -> Counter[Op]:
    """Floating-point part of a work table's entry."""
    return Counter({op: n for op, n in work.ops.items() if op.kind.startswith("f")})


def as_counter(f: estimator.Flops) -> Counter[Op]:
    """Flops as counted operations."""
    return Counter({Op(kind, 64): n for kind, n in zip(("fadd", "fmul", "fdiv"), f) if n})


def plain(a) -> np.ndarray:
    """Array of the values of nested lists."""
    return np.array([[float(v) for v in row] for row in a]) if isinstance(a[0], list) else np.array([float(v) for v in a])


def positive(n: int) -> np.ndarray:
    """A random positive definite matrix."""
    A = RNG.normal(size=(n, n))
    return A @ A.T + np.eye(n)


@pytest.mark.parametrize("n", [2, 3, 4, 6, 11, 16, 21])
def test_the_block_structure_is_the_engines(n: int) -> None:
    """Oracle: `layout`, the engine's own storage."""
    where, below = layout(n), np.diff(layout(n).row_begin)
    assert sparse(n) == (5 * n, where.rows.size, (below * (below + 1) // 2).sum())
    assert sparse(n).stored == where.slots


def test_a_dense_system_has_every_block() -> None:
    """Oracle: closed forms of n = 100 block columns: n (n - 1) / 2 blocks below, (n - 1) n (n + 1) / 6 updates."""
    assert dense(20) == (100, 4950, 99 * 100 * 101 // 6)


def test_a_sparse_factorisation_in_blocks_costs_what_the_events_say() -> None:
    """Oracle: counted Cholesky of the window's matrix, block by block, equal to numpy's; operations are events x work."""
    n, where = 3, layout(3)
    A = np.zeros((45, 45))
    for r, c in np.argwhere(where.slot >= 0):
        A[3 * r : 3 * r + 3, 3 * c : 3 * c + 3] = RNG.normal(size=(3, 3))
    A = np.tril(A) @ np.tril(A).T + 40 * np.eye(45)  # the pattern of a factor, so of its own fill

    def factorise() -> dict:
        blocks = {(r, c): ob.lift(A[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]) for r, c in np.argwhere(where.slot >= 0).tolist()}
        for k in range(5 * n):
            blocks[k, k], inverse = ob.cholesky_column(blocks[k, k])
            rows = where.rows[where.row_begin[k] : where.row_begin[k + 1]].tolist()
            for r in rows:
                blocks[r, k] = ob.product(blocks[r, k], ob.turned(inverse))
            for i, r in enumerate(rows):
                for q in rows[: i + 1]:
                    blocks[r, q] = ob.less_product(blocks[r, q], blocks[r, k], blocks[q, k])
        return blocks

    blocks, ops = counted(factorise)
    L = np.linalg.cholesky(A)
    for (r, c), block in blocks.items():
        expected = L[3 * r : 3 * r + 3, 3 * c : 3 * c + 3]
        np.testing.assert_allclose(np.tril(plain(block)) if r == c else plain(block), expected, atol=LOOSE)
    table, shape = work_per_event(CONFIG), sparse(n)
    expected_ops: Counter[Op] = Counter()
    for event, count in ((Event.CHOLESKY_COLUMN, shape.columns), (Event.CHOLESKY_SOLVE, shape.below), (Event.CHOLESKY_BLOCK, shape.updates)):
        for op, per in flops(table[event]).items():
            expected_ops[op] += per * count
    assert ops == expected_ops


def test_the_inverse_of_a_triangle_replaces_its_divisions() -> None:
    """Oracle: numpy's inverse of numpy's factor."""
    A = positive(3)
    (low, inverse), _ = counted(ob.cholesky_column, ob.lift(A))
    np.testing.assert_allclose(plain(inverse), np.linalg.inv(np.linalg.cholesky(A)), atol=TIGHT)
    np.testing.assert_allclose(plain(low), np.linalg.cholesky(A), atol=TIGHT)


@pytest.mark.parametrize(("arithmetic", "bits"), [("float32", 32), ("m10", 22), ("float64", 64)])
def test_the_solvers_arithmetic_changes_the_width_of_its_operations_alone(arithmetic: str, bits: int) -> None:
    """Oracle: counted doubles, with the other width put in; landmarks and inertial factors keep theirs."""
    config = dataclasses.replace(CONFIG, backend=dataclasses.replace(CONFIG.backend, arithmetic=arithmetic))
    ours, doubles = work_per_event(config), work_per_event(CONFIG)
    for event in (Event.CHOLESKY_COLUMN, Event.CHOLESKY_SOLVE, Event.CHOLESKY_BLOCK, Event.SUBSTITUTION_BLOCK):
        assert flops(ours[event]) == Counter({Op(op.kind, bits): n for op, n in flops(doubles[event]).items()})
    for event in (Event.REPROJECTION, Event.IMU_FACTOR, Event.SCHUR_BLOCK):
        assert ours[event] == doubles[event]


def test_substitutions_and_schur_complements_are_block_products() -> None:
    """Oracle: numpy's products, and their counted operations."""
    table = work_per_event(CONFIG)
    M, x = RNG.normal(size=(3, 3)), RNG.normal(size=3)
    value, ops = counted(ob.apply, ob.lift(M), ob.lift(x))
    np.testing.assert_allclose(plain(value), M @ x, atol=TIGHT)
    assert ops == flops(table[Event.SUBSTITUTION_BLOCK])
    H, K, W = RNG.normal(size=(6, 6)), RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
    value, ops = counted(ob.less_product, ob.lift(H), ob.lift(K), ob.lift(W))
    np.testing.assert_allclose(plain(value), H - K @ W.T, atol=TIGHT)
    assert ops == flops(table[Event.SCHUR_BLOCK])


def test_a_row_of_the_schur_complement_is_turned_scaled_and_summed() -> None:
    """Oracle: numpy on the same matrices."""
    V, Y, H_inv, h = RNG.normal(size=(3, 6)), np.eye(6), positive(3), RNG.normal(size=3)
    Y[:3, 3:], Y[3:, 3:] = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))

    def row() -> tuple:
        v = ob.lift(V)
        rest = ob.product(v, ob.turned(ob.turned(ob.lift(Y))[3:]))
        W = ob.negated([a[:3] + b for a, b in zip(v, rest)])
        return W, ob.product(ob.turned(W), ob.lift(H_inv)), ob.apply(ob.turned(W), ob.lift(h))

    (W, K, g), ops = counted(row)
    np.testing.assert_allclose(plain(W), -V @ Y, atol=TIGHT)
    np.testing.assert_allclose(plain(K), (-V @ Y).T @ H_inv, atol=TIGHT)
    np.testing.assert_allclose(plain(g), (-V @ Y).T @ h, atol=TIGHT)
    assert ops == flops(work_per_event(CONFIG)[Event.SCHUR_ROW])


def test_a_landmark_is_inverted_by_cofactors() -> None:
    """Oracle: numpy's inverse; then the step from it."""
    A, v, point = positive(3), RNG.normal(size=3), RNG.normal(size=3)

    def eliminate() -> tuple:
        inverse = ob.inverted(ob.lift(A), 1.0)
        return inverse, ob.minus(ob.lift(point), ob.apply(inverse, ob.lift(v)))

    (inverse, moved), ops = counted(eliminate)
    np.testing.assert_allclose(plain(inverse), np.linalg.inv(A), atol=TIGHT)
    np.testing.assert_allclose(plain(moved), point - np.linalg.inv(A) @ v, atol=TIGHT)
    assert ops == flops(work_per_event(CONFIG)[Event.LANDMARK_ELIMINATED])


def _scene() -> dict:
    """Arguments of one observation."""
    lift = ob.lift
    view = lift(RNG.normal(size=(3, 3)) + 3 * np.eye(3)), lift(RNG.normal(size=3))
    rotation, camera = (np.linalg.qr(RNG.normal(size=(3, 3)))[0] for _ in "rc")
    x0, x1, rho, scale = (ob.F(v) for v in (0.2, -0.1, 0.4, 700.0))
    return dict(now=view, lin=view, M=lift(RNG.normal(size=(3, 3))), R_h=lift(rotation), R_BC=lift(camera), t_BC=lift(RNG.normal(size=3)),
                x0=x0, x1=x1, rho=rho, scale=scale, xy=lift(np.array([0.1, 0.2])), left=lift(RNG.normal(size=2)), left_h=lift(RNG.normal(size=(2, 6))),
                left_l=lift(RNG.normal(size=(2, 3))), P=lift(RNG.normal(size=(2, 2))), own=ob.F(300.0))


def test_an_observation_and_its_replay_cost_their_closed_forms() -> None:
    """Oracle: counted operations; the products equal numpy's J^T w J, J^T w r."""
    scene, per_square = _scene(), 1e-7
    (_, H_l, g_l, G, gamma, V, _), ops = counted(lambda: ob.observation(**scene, per_square=ob.F(per_square)))
    assert ops == flops(work_per_event(CONFIG)[Event.REPROJECTION])
    J_h, J_l = (plain(J) for J in ob.jacobian(*(scene[k] for k in ("lin", "M", "R_h", "R_BC", "t_BC", "x0", "x1", "rho", "scale", "left_h", "left_l", "P", "own"))))
    r = plain(ob.residual(*(scene[k] for k in ("now", "x0", "x1", "rho", "scale", "xy", "left", "P")))[0])
    w = 1.0 / (1.0 + per_square * r @ r)
    np.testing.assert_allclose(plain(g_l), w * J_l.T @ r, rtol=TIGHT)
    np.testing.assert_allclose(plain(gamma), w * J_h.T @ r, rtol=TIGHT)
    np.testing.assert_allclose(plain(V), w * J_l.T @ J_h, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose([float(v) for row in G for v in row], (w * J_h.T @ J_h)[np.tril_indices(6)], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose([float(v) for row in H_l for v in row], (w * J_l.T @ J_l)[np.tril_indices(3)], rtol=1e-9, atol=1e-6)
    delta = RNG.normal(size=6)
    (share, _), ops = counted(lambda: ob.replayed(**scene, weight=ob.F(w), delta=ob.lift(delta)))
    np.testing.assert_allclose(plain(share), w * J_l.T @ J_h @ delta, rtol=1e-9, atol=1e-6)
    assert ops == flops(estimator.observation_replayed(CONFIG))


def test_series_of_small_rotations_cost_their_closed_forms() -> None:
    """Oracle: the exact functions of `vio.lie`, to the series' next term."""
    from vio.lie import right_jacobian, right_jacobian_inverse, so3_exp, so3_log

    phi = np.array([0.02, -0.05, 0.03])
    for mine, exact, cost in ((ob.so3_exp, so3_exp, estimator.EXP), (ob.right_jacobian, right_jacobian, estimator.RIGHT_JACOBIAN),
                              (ob.right_jacobian_inverse, right_jacobian_inverse, estimator.RIGHT_JACOBIAN)):
        value, ops = counted(mine, ob.lift(phi))
        np.testing.assert_allclose(plain(value), exact(phi), atol=LOOSE)
        assert ops == as_counter(cost)
    value, ops = counted(ob.so3_log, ob.lift(so3_exp(phi)))
    np.testing.assert_allclose(plain(value), so3_log(so3_exp(phi)), atol=1e-7)
    assert ops == as_counter(estimator.LOG)


@pytest.mark.parametrize("window", [4, 10, 20])
def test_marginalisation_is_fifteen_pivots_of_a_triangle(window: int) -> None:
    """Oracle: counted elimination of a small system of the same shape rule, extrapolated by its own closed form; value: numpy's Schur complement."""
    config = dataclasses.replace(CONFIG, backend=dataclasses.replace(CONFIG.backend, window=window))
    size = marginal_size(4) if window == 4 else None
    expected = flops(estimator.marginalization(config))
    if size is None:
        m = marginal_size(window) - np.arange(15) - 1
        assert expected[Op("fadd", 64)] == (m * (m + 1) // 2 + m).sum() and expected[Op("fdiv", 64)] == 15
        return
    H, g = positive(size), RNG.normal(size=size)

    def eliminate() -> tuple:
        A, b = ob.lift(H), ob.lift(g)
        for p in range(15):
            inverse = 1.0 / A[p][p]
            factors = {i: A[i][p] * inverse for i in range(p + 1, size)}
            for i, f in factors.items():
                b[i] = b[i] - f * b[p]
                for j in range(p + 1, i + 1):
                    A[i][j] = A[i][j] - f * A[j][p]
        return A, b

    (A, b), ops = counted(eliminate)
    rest = H[15:, 15:] - H[15:, :15] @ np.linalg.solve(H[:15, :15], H[:15, 15:])
    low = np.tril_indices(size - 15)
    np.testing.assert_allclose(plain(A)[15:, 15:][low], rest[low], atol=LOOSE)
    np.testing.assert_allclose(plain(b)[15:], g[15:] - H[15:, :15] @ np.linalg.solve(H[:15, :15], g[:15]), atol=LOOSE)
    assert ops == expected
