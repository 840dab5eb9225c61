"""The work table of preintegration, inertial factor and refinement against counted datapaths that equal the engine's kernels."""

import numpy as np
from counting import counted
from hwmodel.work import estimator, work_per_event
from test_work_estimator import as_counter, flops, plain, positive
from tolerances import LOOSE, TIGHT
from vio.backend.preintegration import integrate, preintegrated
from vio.backend.residuals import imu_jacobian, imu_residual
from vio.config import Config
from vio.events import Event, new_counts
from vio.lie import so3_exp

import oracles_blocks as ob
import oracles_inertial as oi

CONFIG = Config()
RNG = np.random.default_rng(8)
BIAS_G, BIAS_A = np.array([0.01, -0.02, 0.005]), np.array([0.1, 0.05, -0.08])


def flown():
    """A preintegration of twenty samples."""
    pre = preintegrated(BIAS_G, BIAS_A)
    for _ in range(20):
        integrate(pre, RNG.normal(0, 0.5, 3), RNG.normal(0, 1, 3) + [0, 0, 9.81], 0.005, 1e-6, 1e-4, new_counts())
    return pre


def lifted(pre) -> dict:
    """The same as nested lists of CountingFloat in 3x3 blocks."""
    cut = [slice(0, 3), slice(3, 6), slice(6, 9)]
    return {
        "dt": ob.F(pre.dt[0]), "dR": ob.lift(pre.dR), "dv": ob.lift(pre.dv), "dp": ob.lift(pre.dp), "bias": ob.lift(pre.bias),
        "P": [[ob.lift(pre.covariance[a, b]) for b in cut] for a in cut], "D": [[ob.lift(pre.d_bias[a, b]) for b in cut[:2]] for a in cut]}


def test_one_preintegration_step_costs_its_closed_form() -> None:
    """Oracle: the engine's step for the values, counted operations for the work."""
    pre = flown()
    w, a, dt, gyro_var, accel_var = RNG.normal(0, 0.5, 3), RNG.normal(0, 1, 3), 0.005, 1e-6, 1e-4
    arguments = lifted(pre), ob.lift(w), ob.lift(a), ob.F(dt), ob.F(gyro_var), ob.F(accel_var)
    (dR, dv, dp, bias, P, _), ops = counted(oi.imu_step, *arguments)
    integrate(pre, w, a, dt, gyro_var, accel_var, new_counts())
    np.testing.assert_allclose(plain(dR), pre.dR, atol=TIGHT)
    np.testing.assert_allclose(plain(dv), pre.dv, atol=TIGHT)
    np.testing.assert_allclose(plain(dp), pre.dp, atol=TIGHT)
    for (i, j), block in P.items():
        np.testing.assert_allclose(plain(block), pre.covariance[3 * i : 3 * i + 3, 3 * j : 3 * j + 3], rtol=1e-6, atol=1e-12)
    for i, pair in enumerate(bias):
        for k, block in enumerate(pair):
            if block is not None:
                np.testing.assert_allclose(plain(block), pre.d_bias[3 * i : 3 * i + 3, 3 * k : 3 * k + 3], atol=TIGHT)
    assert ops == flops(work_per_event(CONFIG)[Event.IMU_SAMPLE])


def _states(pre) -> list[dict]:
    """Two states that nearly fit the preintegration."""
    R_i = so3_exp(np.array([0.3, -0.2, 0.5]))
    p_i, v_i, dt = RNG.normal(size=3), RNG.normal(size=3), pre.dt[0]
    g = np.array([0, 0, -9.81])
    i = dict(R=R_i, p=p_i, v=v_i, bg=BIAS_G + 1e-3, ba=BIAS_A - 2e-3)
    j = dict(R=R_i @ pre.dR @ so3_exp(np.array([0.002, -0.001, 0.003])), p=p_i + v_i * dt + 0.5 * g * dt * dt + R_i @ pre.dp + 0.01,
             v=v_i + g * dt + R_i @ pre.dv - 0.02, bg=i["bg"] + 1e-4, ba=i["ba"] - 1e-4)
    return [i, j]


def test_an_inertial_factor_costs_its_closed_form() -> None:
    """Oracle: the engine's residual, Jacobian and numpy's J^T W J for the values, counted operations for the work."""
    pre, W, walk = flown(), positive(9), (3.0, 5.0)
    i, j = _states(pre)
    up = [{k: ob.lift(v) for k, v in s.items()} for s in (i, j)]
    (H, g, _, _), ops = counted(oi.factor_normal, lifted(pre), *up, *up, ob.lift(W), [ob.F(v) for v in walk])
    assert ops == flops(work_per_event(CONFIG)[Event.IMU_FACTOR])
    Ji, Jj = imu_jacobian(pre, *i.values(), j["R"], j["p"], j["v"])
    r = imu_residual(pre, *i.values(), j["R"], j["p"], j["v"])
    J = np.hstack([Ji, Jj[:, :9]])
    full = J.T @ W @ J
    for (a, b), parts in H.items():
        np.testing.assert_allclose(sum(plain(part) for part in parts), full[3 * a : 3 * a + 3, 3 * b : 3 * b + 3], atol=LOOSE)
    for a, parts in g.items():
        np.testing.assert_allclose(sum(plain(part) for part in parts), (J.T @ W @ r)[3 * a : 3 * a + 3], atol=LOOSE)


def test_one_point_of_a_frame_costs_its_closed_form() -> None:
    """Oracle: numpy's normal equations of the counted Jacobian, finite differences for that Jacobian, counted operations for the work."""
    R, R_CB = so3_exp(np.array([0.1, 0.2, -0.3])), so3_exp(np.array([-0.2, 0.1, 0.05]))
    p, t_CB, X, xy, scale, per_square = RNG.normal(size=3), RNG.normal(0, 0.1, 3), np.array([0.5, 0.4, 6.0]), np.array([0.1, -0.2]), 700.0, 1e-6
    arguments = [ob.lift(v) for v in (R, p, R_CB, t_CB)] + [ob.F(scale), ob.lift(xy), ob.lift(X), ob.F(per_square)]
    (r, J, H, g, squared), ops = counted(oi.frame_point, *arguments)
    assert ops == flops(work_per_event(CONFIG)[Event.FRAME_RESIDUAL])

    def value(dx: np.ndarray) -> np.ndarray:
        y = R_CB @ ((R @ so3_exp(dx[3:])).T @ (X - p - dx[:3])) + t_CB
        return scale * (y[:2] / y[2] - xy)

    steps = np.eye(6) * 1e-6
    numeric = np.stack([(value(s) - value(-s)) / 2e-6 for s in steps], 1)
    np.testing.assert_allclose(plain(r), value(np.zeros(6)), rtol=TIGHT)
    np.testing.assert_allclose(plain(J), numeric, rtol=1e-4, atol=1e-3)
    Jp, low, weight = plain(J), np.tril_indices(6), 1.0 / (1.0 + per_square * float(squared))
    np.testing.assert_allclose([float(v) for row in H for v in row], (weight * Jp.T @ Jp)[low], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(plain(g), weight * Jp.T @ plain(r), rtol=1e-9, atol=1e-6)


def test_a_pair_of_keyframes_is_spread_over_its_triangles() -> None:
    """Oracle: numpy's Y^T G Y with Y = [[I, A], [0, B]], counted operations."""
    A, B, gamma, full = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=6), positive(6)
    Y = np.block([[np.eye(3), A], [np.zeros((3, 3)), B]])

    def spread() -> tuple:
        G, Yl = ob.lift(full), ob.lift(Y)
        right = ob.turned(ob.turned(Yl)[3:])
        below = ob.product(ob.turned(right), G)  # rows 3 .. 5 of Y^T G; the first three are G's
        corner = [[ob.dot(below[i], [right[k][j] for k in range(6)]) for j in range(i + 1)] for i in range(3)]
        turned = ob.apply(ob.turned(right), ob.lift(gamma))
        hh = [G[i][j] + 0.0 for i in range(6) for j in range(i + 1)]
        th = [v + 0.0 for row in [*G[:3], *below] for v in row]
        tt = [v + 0.0 for v in [*(G[i][j] for i in range(3) for j in range(i + 1)), *(v for row in below for v in row[:3]), *(v for row in corner for v in row)]]
        g = [v + 0.0 for v in [*ob.lift(gamma), *ob.lift(gamma)[:3], *turned]]
        return below, corner, (hh, th, tt, g)

    (below, corner, _), ops = counted(spread)
    assert ops == as_counter(estimator.SPREAD)
    np.testing.assert_allclose(plain(below), (Y.T @ full)[3:], atol=TIGHT)
    low = np.tril_indices(3)
    np.testing.assert_allclose([float(v) for row in corner for v in row], (Y.T @ full @ Y)[3:, 3:][low], atol=TIGHT)


def test_the_relation_of_a_pair_and_the_views_cost_their_closed_forms() -> None:
    """Oracle: `vio.backend.views` for the values of one host, target and camera; counted operations for two keyframes and two cameras."""
    R = [so3_exp(RNG.normal(0, 0.3, 3)) for _ in range(2)]
    p, cams, t_cam = RNG.normal(size=(2, 3)), [so3_exp(RNG.normal(0, 0.3, 3)) for _ in range(2)], RNG.normal(size=(2, 3))
    R_BC, t_BC = so3_exp(RNG.normal(0, 0.3, 3)), RNG.normal(size=3)

    def views() -> dict:
        out, M, host, base = {}, {}, {}, {}
        for t in range(2):
            for c in range(2):
                M[t, c] = ob.product(ob.lift(cams[c]), ob.turned(ob.lift(R[t])))
            host[t] = ob.product(ob.lift(R[t]), ob.lift(R_BC))
            base[t] = ob.plus(ob.apply(ob.lift(R[t]), ob.lift(t_BC)), ob.lift(p[t]))
        for h in range(2):
            for t in range(h, 2):
                lever = ob.minus(base[h], ob.lift(p[t]))
                for c in range(2):
                    out[h, t, c] = ob.product(M[t, c], host[h]), ob.plus(ob.apply(M[t, c], lever), ob.lift(t_cam[c]))
        return out

    value, ops = counted(views)
    assert ops == as_counter(estimator.views(2))
    A, b = value[0, 1, 1]
    np.testing.assert_allclose(plain(A), cams[1] @ R[1].T @ R[0] @ R_BC, atol=TIGHT)
    np.testing.assert_allclose(plain(b), cams[1] @ R[1].T @ (R[0] @ t_BC + p[0] - p[1]) + t_cam[1], atol=TIGHT)

    def relation() -> tuple:
        d = ob.minus(ob.lift(p[0]), ob.lift(p[1]))
        return ob.negated(ob.turned(ob.skew_product(ob.turned(ob.lift(R[1])), d))), ob.product(ob.turned(ob.lift(R[0])), ob.lift(R[1]))

    (upper, lower), ops = counted(relation)
    assert ops == as_counter(estimator.PAIR)
    d = p[0] - p[1]
    skew = np.array([[0, -d[2], d[1]], [d[2], 0, -d[0]], [-d[1], d[0], 0]])
    np.testing.assert_allclose(plain(lower), R[0].T @ R[1], atol=TIGHT)
    np.testing.assert_allclose(np.abs(plain(upper)), np.abs(skew @ R[1]), atol=TIGHT)


def test_the_prior_and_a_moved_state_cost_their_closed_forms() -> None:
    """Oracle: numpy for the prior's gradient and cost; `vio.lie` for the rotation, orthogonal to rounding after one Newton step."""
    k = 12
    H, b, d, old, gradient = positive(k), RNG.normal(size=k), RNG.normal(size=k), RNG.normal(size=(k, k)), RNG.normal(size=k)

    def prior() -> tuple:
        step, low = ob.lift(d), np.tril_indices(k)
        Hd = ob.apply(ob.lift(H), step)
        system = [ob.lift(old)[i][j] + H[i, j] for i, j in zip(*low)]
        total = ob.plus(ob.lift(gradient), ob.plus(ob.lift(b), Hd))
        again = ob.apply(ob.lift(H), step)
        return system, total, ob.dot(ob.lift(b), step), ob.dot(step, again)

    (system, total, linear, square), ops = counted(prior)
    assert ops == as_counter(estimator.prior_added(k))
    np.testing.assert_allclose(plain(system), (old + H)[np.tril_indices(k)], atol=TIGHT)
    np.testing.assert_allclose(plain(total), gradient + b + H @ d, atol=TIGHT)
    np.testing.assert_allclose(float(linear) + 0.5 * float(square), b @ d + 0.5 * d @ H @ d, rtol=TIGHT)

    R, phi, vectors, steps = so3_exp(np.array([0.4, 0.1, -0.7])), np.array([0.01, -0.02, 0.015]), RNG.normal(size=12), RNG.normal(size=12)

    def move() -> tuple:
        turned = ob.product(ob.lift(R), ob.so3_exp(ob.lift(phi)))
        gram = ob.product(ob.turned(turned), turned)
        half = [[v * -0.5 for v in row] for row in gram]
        for i in range(3):
            half[i][i] = half[i][i] + 1.5
        return ob.product(turned, half), ob.plus(ob.lift(vectors), ob.lift(steps))

    (turned, moved), ops = counted(move)
    assert ops == as_counter(estimator.MOVED)
    np.testing.assert_allclose(plain(turned), R @ so3_exp(phi), atol=1e-7)
    np.testing.assert_allclose(plain(turned).T @ plain(turned), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(plain(moved), vectors + steps, atol=TIGHT)


def test_a_gauss_newton_step_is_the_sum_of_its_parts() -> None:
    """Oracle: views three times, every pair related and spread once, the prior once, every state moved once, for three windows."""
    import dataclasses

    from hwmodel.structure import prior_size

    for window in (5, 10, 20):
        config = dataclasses.replace(CONFIG, backend=dataclasses.replace(CONFIG.backend, window=window))
        n, pairs = window + 1, window * (window + 1) // 2
        parts = estimator.views(n).times(3).plus(estimator.PAIR.times(pairs), estimator.SPREAD.times(pairs), estimator.MOVED.times(n))
        assert flops(work_per_event(config)[Event.GAUSS_NEWTON_ITERATION]) == as_counter(parts.plus(estimator.prior_added(prior_size(window))))
