"""The back end's block operations on `CountingFloat`, as the lanes of a chip do them: nested lists, products accumulate from zero.

Values are compared with numpy and with the engine's kernels, the operations with the work table.
"""

from counting import CountingFloat as F

Matrix = list[list]
Vector = list


def lift(a) -> list:
    """Nested lists of CountingFloat from an array."""
    return [lift(row) for row in a] if getattr(a, "ndim", 0) else F(a)


def product(A: Matrix, B: Matrix) -> Matrix:
    """A B."""
    out = [[F(0) for _ in B[0]] for _ in A]
    for i, row in enumerate(A):
        for j in range(len(B[0])):
            for k, a in enumerate(row):
                out[i][j] = out[i][j] + a * B[k][j]
    return out


def turned(A: Matrix) -> Matrix:
    """Transpose, which is addressing."""
    return [list(column) for column in zip(*A)]


def apply(A: Matrix, x: Vector) -> Vector:
    """A x."""
    return [row[0] for row in product(A, [[v] for v in x])]


def dot(x: Vector, y: Vector):
    """Inner product, accumulated from zero."""
    return product([x], [[v] for v in y])[0][0]


def plus(A, B):
    """A + B of matrices or vectors."""
    return [plus(a, b) for a, b in zip(A, B)] if isinstance(A, list) else A + B


def minus(A, B):
    """A - B."""
    return [minus(a, b) for a, b in zip(A, B)] if isinstance(A, list) else A - B


def negated(A):
    """-A: sign bits."""
    return [negated(a) for a in A] if isinstance(A, list) else -A


def scaled(s, A):
    """s A."""
    return [scaled(s, a) for a in A] if isinstance(A, list) else s * A


def skew_product(A: Matrix, v: Vector) -> Matrix:
    """A [v]x, two products and a difference an element."""
    return [[r[1] * v[2] - r[2] * v[1], r[2] * v[0] - r[0] * v[2], r[0] * v[1] - r[1] * v[0]] for r in A]


def cross(a: Vector, b: Vector) -> Vector:
    """a x b."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _series(phi: Vector, sign: int, first: tuple, second: tuple) -> Matrix:
    """I + sign a [phi] + b (phi phi^T - |phi|^2 I) with a, b polynomials of |phi|^2."""
    x, y, z = phi
    t2 = x * x + y * y + z * z
    t4 = t2 * t2
    a = (t2 * first[1] + first[0]) + t4 * first[2]
    b = (t2 * second[1] + second[0]) + t4 * second[2]
    p, q, r = (a * v if sign > 0 else -(a * v) for v in phi)
    xx, xy, xz, yy, yz, zz = x * x, x * y, x * z, y * y, y * z, z * z
    bxx, bxy, bxz, byy, byz, bzz = (b * s for s in (xx - t2, xy, xz, yy - t2, yz, zz - t2))
    return [[bxx + 1.0, bxy - r, bxz + q], [bxy + r, byy + 1.0, byz - p], [bxz - q, byz + p, bzz + 1.0]]


def so3_exp(phi: Vector) -> Matrix:
    """Rotation of a small vector."""
    return _series(phi, 1, (1.0, -1 / 6, 1 / 120), (0.5, -1 / 24, 1 / 720))


def right_jacobian(phi: Vector) -> Matrix:
    """Its right Jacobian."""
    return _series(phi, -1, (0.5, -1 / 24, 1 / 720), (1 / 6, -1 / 120, 1 / 5040))


def right_jacobian_inverse(phi: Vector) -> Matrix:
    """And the inverse of that."""
    return _series(phi, 1, (0.5, 0.0, 0.0), (1 / 12, 1 / 720, 1 / 30240))


def so3_log(R: Matrix) -> Vector:
    """Vector of a small rotation."""
    v = [0.5 * (R[2][1] - R[1][2]), 0.5 * (R[0][2] - R[2][0]), 0.5 * (R[1][0] - R[0][1])]
    s2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    factor = (s2 * (1 / 6) + 1.0) + (s2 * s2) * (3 / 40)
    return [factor * x for x in v]


# linear solver


def cholesky_column(D: Matrix) -> tuple[Matrix, Matrix]:
    """Lower factor of a 3x3 block and the factor's inverse."""
    zero = F(0)
    a = D[0][0].sqrt()
    ia = 1.0 / a
    b, d = D[1][0] * ia, D[2][0] * ia
    c = (D[1][1] - b * b).sqrt()
    ic = 1.0 / c
    e = (D[2][1] - d * b) * ic
    f = (D[2][2] - d * d - e * e).sqrt()
    i_f = 1.0 / f
    low = -((b * ia) * ic)
    mid = -((e * ic) * i_f)
    corner = -((zero + d * ia + e * low) * i_f)
    return [[a, zero, zero], [b, c, zero], [d, e, f]], [[ia, zero, zero], [low, ic, zero], [corner, mid, i_f]]


def less_product(Z: Matrix, X: Matrix, Y: Matrix) -> Matrix:
    """Z - X Y^T."""
    out = [list(row) for row in Z]
    for i, x in enumerate(X):
        for j, y in enumerate(Y):
            for a, b in zip(x, y):
                out[i][j] = out[i][j] - a * b
    return out


# landmarks


def seen(A: Matrix, b: Vector, x0, x1, rho) -> Vector:
    """y = A (x0, x1, 1) + rho b."""
    return [((row[0] * x0 + row[1] * x1) + row[2]) + rho * t for row, t in zip(A, b)]


def residual(view, x0, x1, rho, scale, xy, left, P) -> tuple[Vector, Vector, object]:
    """(whitened residual, y, 1 / y_z); left (2,): the left camera's error, of which the share P is taken off."""
    y = seen(*view, x0, x1, rho)
    inverse = 1.0 / y[2]
    error = [y[k] * inverse - xy[k] for k in (0, 1)]
    return [scale * (error[k] - P[k][0] * left[0] - P[k][1] * left[1]) for k in (0, 1)], y, inverse


def less_left(J: Matrix, left: Matrix, share: Matrix) -> Matrix:
    """J less the share of the left camera's rows."""
    return [[v - a * left[0][j] - b * left[1][j] for j, v in enumerate(row)] for row, (a, b) in zip(J, share)]


def jacobian(view, M, R_h, R_BC, t_BC, x0, x1, rho, scale, left_h, left_l, P, own) -> tuple[Matrix, Matrix]:
    """J_h (2, 6), J_l (2, 3) of one observation beside the left camera's, whitened by `own`; as in `vio.backend.landmarks`."""
    A, shift = view
    y = seen(A, shift, x0, x1, rho)
    inverse = 1.0 / y[2]
    s = scale * inverse
    ray = seen(R_BC, t_BC, x0, x1, rho)
    J_h, J_l = [], []
    for a in (0, 1):
        z = y[a] * inverse
        J_l.append([s * (u - z * w) for u, w in ((A[a][0], A[2][0]), (A[a][1], A[2][1]), (shift[a], shift[2]))])
        e = [s * (u - z * w) for u, w in zip(M[a], M[2])]
        g = [e[0] * R_h[0][j] + e[1] * R_h[1][j] + e[2] * R_h[2][j] for j in range(3)]
        J_h.append([*(rho * v for v in e), *cross(ray, g)])
    share = scaled(scale / own, P)
    return less_left(J_h, left_h, share), less_left(J_l, left_l, share)


def observation(now, lin, M, R_h, R_BC, t_BC, x0, x1, rho, scale, xy, left, left_h, left_l, P, own, per_square):
    """One observation linearised: H_l (triangle), g_l, G (triangle), gamma and V, all from zero; V also goes to host and target."""
    r, _, _ = residual(now, x0, x1, rho, scale, xy, left, P)
    squared = r[0] * r[0] + r[1] * r[1]
    weight = 1.0 / (squared * per_square + 1.0)
    J_h, J_l = jacobian(lin, M, R_h, R_BC, t_BC, x0, x1, rho, scale, left_h, left_l, P, own)
    wl, wh = scaled(weight, J_l), scaled(weight, J_h)
    g_l = [dot([wl[0][i], wl[1][i]], r) for i in range(3)]
    H_l = [[dot([wl[0][i], wl[1][i]], [J_l[0][j], J_l[1][j]]) for j in range(i + 1)] for i in range(3)]
    gamma = [dot([wh[0][i], wh[1][i]], r) for i in range(6)]
    G = [[dot([wh[0][i], wh[1][i]], [J_h[0][j], J_h[1][j]]) for j in range(i + 1)] for i in range(6)]
    V = [[dot([wl[0][i], wl[1][i]], [J_h[0][j], J_h[1][j]]) for j in range(6)] for i in range(3)]
    host, target = ([[v + 0.0 for v in row] for row in V] for _ in "ht")
    return squared, H_l, g_l, G, gamma, host, target


def replayed(now, lin, M, R_h, R_BC, t_BC, x0, x1, rho, scale, xy, left, left_h, left_l, P, own, weight, delta):
    """Share of one observation in the landmark's step, and its new cost."""
    J_h, J_l = jacobian(lin, M, R_h, R_BC, t_BC, x0, x1, rho, scale, left_h, left_l, P, own)
    moved = [weight * a for a in apply(J_h, delta)]
    share = apply(turned(J_l), moved)
    r, _, _ = residual(now, x0, x1, rho, scale, xy, left, P)
    cost = F(0) + (r[0] * r[0] + r[1] * r[1]) * 0.5
    return share, cost


def inverted(A: Matrix, raised: float) -> Matrix:
    """Inverse of a symmetric 3x3 matrix with its diagonal times `raised`, by cofactors."""
    a, d, f = (A[k][k] * raised for k in range(3))
    b, c, e = A[1][0], A[2][0], A[2][1]
    m0, m1, m2 = d * f - e * e, c * e - b * f, b * e - c * d
    r = 1.0 / (a * m0 + b * m1 + c * m2)
    p, q, s, t, u, v = m0 * r, m1 * r, m2 * r, (a * f - c * c) * r, (b * c - a * e) * r, (a * d - b * b) * r
    return [[p, q, s], [q, t, u], [s, u, v]]
