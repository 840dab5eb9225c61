"""Inertial datapaths on `CountingFloat`: one preintegration step, the inertial factor, one point of a frame's refinement."""

from counting import CountingFloat as F
from oracles_blocks import (
    apply, cross, dot, minus, negated, plus, product, right_jacobian, right_jacobian_inverse, scaled, skew_product, so3_exp, so3_log, turned,
)

GRAVITY = -9.81


def imu_step(pre, w, a, dt, gyro_var, accel_var):
    """(dR, dv, dp, bias Jacobian blocks, covariance's upper blocks) after one step; `pre` holds nested lists of CountingFloat.

    Blocks are 3x3: covariance P[i][j] of (p, theta, v), d_bias D[i] = (gyro, accelerometer).
    """
    wc, ac = minus(w, pre["bias"][:3]), minus(a, pre["bias"][3:])
    half_dt = dt * 0.5
    dt2 = half_dt * dt
    phi, half_phi = scaled(dt, wc), scaled(half_dt, wc)
    E, E_half, jr, jr_half = so3_exp(phi), so3_exp(half_phi), right_jacobian(phi), right_jacobian(half_phi)
    dR, P, D = pre["dR"], pre["P"], pre["D"]
    half = product(dR, E_half)
    acc = apply(half, ac)
    lever = negated(skew_product(dR, apply(E_half, ac)))
    A, B = scaled(dt2, lever), scaled(dt, lever)
    gyro_lever = scaled(half_dt, product(negated(skew_product(half, ac)), jr_half))
    G0, G1, G2 = scaled(dt2, gyro_lever), scaled(dt, jr), scaled(dt, gyro_lever)
    h0, h2 = scaled(dt2, half), scaled(dt, half)
    # F P
    X0 = [plus(plus(P[0][j], product(A, P[1][j])), scaled(dt, P[2][j])) for j in range(3)]
    X1 = [product(turned(E), P[1][j]) for j in range(3)]
    X2 = [plus(P[2][j], product(B, P[1][j])) for j in range(3)]
    # (F P) F^T, blocks on and above the diagonal
    new = {
        (0, 0): plus(plus(X0[0], product(X0[1], turned(A))), scaled(dt, X0[2])), (0, 1): product(X0[1], E), (0, 2): plus(X0[2], product(X0[1], turned(B))),
        (1, 1): product(X1[1], E), (1, 2): plus(X1[2], product(X1[1], turned(B))), (2, 2): plus(X2[2], product(X2[1], turned(B))),
    }
    q_gyro, q_accel = gyro_var / dt, accel_var / dt
    scaled_G = [scaled(q_gyro, G) for G in (G0, G1, G2)]
    for (i, j), block in new.items():
        new[i, j] = plus(block, product(scaled_G[i], turned((G0, G1, G2)[j])))
    s, r = dt2 * q_accel, dt * q_accel  # half half^T is the identity
    for (i, j), value in (((0, 0), s * dt2), ((0, 2), s * dt), ((2, 2), r * dt)):
        for k in range(3):
            new[i, j][k][k] = new[i, j][k][k] + value
    bias = [
        (minus(plus(plus(D[0][0], product(A, D[1][0])), scaled(dt, D[2][0])), G0), minus(plus(D[0][1], scaled(dt, D[2][1])), h0)),
        (minus(product(turned(E), D[1][0]), G1), None),
        (minus(plus(D[2][0], product(B, D[1][0])), G2), minus(D[2][1], h2)),
    ]
    dp = plus(plus(pre["dp"], scaled(dt, pre["dv"])), scaled(dt2, acc))
    dv = plus(pre["dv"], scaled(dt, acc))
    return product(dR, E), dv, dp, bias, new, pre["dt"] + dt


def factor_residual(pre, i, j):
    """(residual in three parts, arguments of the two skew matrices, corrected db_g); states are dicts R, p, v, bg, ba."""
    db = minus([*i["bg"], *i["ba"]], pre["bias"])
    D = pre["D"]
    d = [
        apply([[*a, *b] for a, b in zip(*D[0])], db), apply(D[1][0], db[:3]), apply([[*a, *b] for a, b in zip(*D[2])], db)]
    dp, dv = plus(pre["dp"], d[0]), plus(pre["dv"], d[2])
    dR = product(pre["dR"], so3_exp(d[1]))
    dt = pre["dt"]
    fall = dt * GRAVITY
    drop = fall * (dt * 0.5)
    along = minus(minus(j["p"], i["p"]), scaled(dt, i["v"]))
    along = [along[0], along[1], along[2] - drop]
    faster = minus(j["v"], i["v"])
    faster = [faster[0], faster[1], faster[2] - fall]
    Rt = turned(i["R"])
    here, change = apply(Rt, along), apply(Rt, faster)
    r_theta = so3_log(product(turned(dR), product(Rt, j["R"])))
    return [minus(here, dp), r_theta, minus(change, dv)], (here, change), db[:3]


def skew(v):
    """[v]x: wiring."""
    zero = F(0)
    return [[zero, -v[2], v[1]], [v[2], zero, -v[0]], [-v[1], v[0], zero]]


def factor_jacobian(pre, i, j):
    """The 14 non-zero 3x3 blocks by (row, column); columns p, theta, v, b_g, b_a of i, then p, theta, v of j."""
    (_, r_theta, _), (here, change), db = factor_residual(pre, i, j)
    Rt, D = turned(i["R"]), pre["D"]
    jr_inv = right_jacobian_inverse(r_theta)
    relative = product(turned(j["R"]), i["R"])
    gyro = product(product(product(jr_inv, turned(so3_exp(r_theta))), right_jacobian(apply(D[1][0], db))), D[1][0])
    return {
        (0, 0): negated(Rt), (0, 1): skew(here), (0, 2): negated(scaled(pre["dt"], Rt)), (0, 3): negated(D[0][0]), (0, 4): negated(D[0][1]), (0, 5): Rt,
        (1, 1): negated(product(jr_inv, relative)), (1, 3): negated(gyro), (1, 6): jr_inv,
        (2, 1): skew(change), (2, 2): negated(Rt), (2, 3): negated(D[2][0]), (2, 4): negated(D[2][1]), (2, 7): Rt,
    }


def factor_normal(pre, i, j, i_lin, j_lin, information, walk):
    """(lower blocks of H over the eight columns, g, the walk's additions, cost) of one inertial factor."""
    r, _, _ = factor_residual(pre, i, j)
    J = factor_jacobian(pre, i_lin, j_lin)
    W = [[[row[3 * b : 3 * b + 3] for row in information[3 * a : 3 * a + 3]] for b in range(3)] for a in range(3)]
    WJ: dict = {}
    for (row, col), block in J.items():
        for a in range(3):
            WJ.setdefault((a, col), []).append(product(W[a][row], block))
    H = {}
    for (row, a), left in J.items():
        for b in range(a + 1):
            # W J of a column is one block: its parts were accumulated in place, so a product with their sum is one product
            total = [[F(sum(float(part[x][y]) for part in WJ[row, b])) for y in range(3)] for x in range(3)]
            H.setdefault((a, b), []).append(product(turned(left), total))
    flat = [v for part in r for v in part]
    Wr = apply(information, flat)
    g: dict = {}
    for (row, a), block in J.items():
        g.setdefault(a, []).append(apply(turned(block), Wr[3 * row : 3 * row + 3]))
    added = []
    for k, name in enumerate(("bg", "ba")):
        for c in range(3):
            change = j[name][c] - i[name][c]
            pull = walk[k] * change
            added.append([F(0) + walk[k], F(0) + walk[k], F(0) - walk[k], F(0) - pull, F(0) + pull])
    return H, g, added, factor_cost(pre, i, j, information, walk)


def factor_cost(pre, i, j, information, walk):
    """Half the squared whitened residual and walk; the halves are in the weights."""
    r, _, _ = factor_residual(pre, i, j)
    flat = [v for part in r for v in part]
    total = dot(flat, apply(information, flat))
    for k, name in enumerate(("bg", "ba")):
        for c in range(3):
            change = j[name][c] - i[name][c]
            total = total + (change * change) * walk[k]
    return total


def frame_point(R, p, R_CB, t_CB, scale, xy, X, per_square):
    """(r, J, H triangle, g) of one known point seen from a frame, as in `vio.backend.refinement`."""
    d = apply(turned(R), minus(X, p))
    y = plus(apply(R_CB, d), t_CB)
    inverse = 1.0 / y[2]
    uv = [y[0] * inverse, y[1] * inverse]
    s = scale * inverse
    r = [scale * (uv[k] - xy[k]) for k in (0, 1)]
    J = []
    for a in (0, 1):
        f = [s * (u - uv[a] * w) for u, w in zip(R_CB[a], R_CB[2])]
        J.append([*negated(apply(R, f)), *cross(f, d)])
    squared = r[0] * r[0] + r[1] * r[1]
    wJ = scaled(1.0 / (squared * per_square + 1.0), J)
    g = [dot([wJ[0][i], wJ[1][i]], r) for i in range(6)]
    H = [[dot([wJ[0][i], wJ[1][i]], [J[0][j], J[1][j]]) for j in range(i + 1)] for i in range(6)]
    return r, J, H, g, squared
