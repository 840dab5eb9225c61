"""Slow transparent twins of the ray, stereo and outlier kernels on Python integers; compared with `==`.

Registers are taken from the kernels' formats; that those formats mean what they should is tested against the exact lens model.
"""

from oracles import nearest_even

from vio.fixed import Register
from vio.frontend.outliers import OutlierFormat
from vio.frontend.rays import Lens, RayFormat
from vio.frontend.stereo import StereoFormat, StereoRig

Ray = tuple[int, int]


def shifted(value: int, bits: int) -> int:
    """value / 2**bits to nearest even; a negative shift multiplies."""
    return nearest_even(value, 2**bits) if bits > 0 else value * 2**-bits


def clamp(value: int, low: int, high: int) -> int:
    """Saturation."""
    return max(low, min(high, value))


def quotient(numerator: int, denominator: int, reg: Register) -> int:
    """Rounded as the register declares."""
    if reg.tie == 2:
        return nearest_even(numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator) if reg.tie == 1 else numerator // denominator


def fitted(value: int, reg: Register) -> int:
    """Saturated, or wrapped where the register has a mask."""
    return clamp(value, reg.low, reg.high) if reg.mask is None else (value - reg.low) % (reg.mask + 1) + reg.low


def entered(value: int, reg: Register) -> int:
    """Scaled, rounded, fitted."""
    return fitted(quotient(value * 2**reg.up, 2**reg.shift, reg), reg)


# rays


def undistorted(u: int, v: int, lens: Lens) -> Ray:
    """Bilinear interpolation in the table, one corner at a time."""
    fmt, table, cell = lens.fmt, lens.table, 2**lens.fmt.cell_log2
    u = clamp(u + fmt.origin, 0, (len(table[0]) - 1) * cell - 1)
    v = clamp(v + fmt.origin, 0, (len(table) - 1) * cell - 1)
    (col, a), (row, b) = divmod(u, cell), divmod(v, cell)
    corners = ((row, col, (cell - a) * (cell - b)), (row, col + 1, a * (cell - b)), (row + 1, col, (cell - a) * b), (row + 1, col + 1, a * b))
    sums = [sum(weight * int(table[r, c, axis]) for r, c, weight in corners) for axis in (0, 1)]
    return tuple(entered(s, fmt.sampled) for s in sums)


def distorted(x: int, y: int, lens: Lens) -> Ray:
    """Brown's model; the radial factor linear between the samples of its table."""
    fmt, table = lens.fmt, lens.radial.tolist()
    one = 2**fmt.ray_frac
    r2 = entered(x * x + y * y, fmt.radius_sq)
    index, part = divmod(r2, 2**fmt.radius_log2)
    if index >= len(table) - 1:
        factor = table[-1]
    else:
        factor = entered(table[index] * (2**fmt.radius_log2 - part) + table[index + 1] * part, fmt.factor)
    tangential = 2 * fmt.p1 * x * y + fmt.p2 * (3 * x * x + y * y), fmt.p1 * (x * x + 3 * y * y) + 2 * fmt.p2 * x * y
    out = []
    for ray, term, focal, centre in ((x, tangential[0], fmt.fx, fmt.cx), (y, tangential[1], fmt.fy, fmt.cy)):
        coordinate = entered(ray * factor + entered(term, fmt.tangential) * one, fmt.distorted)
        raw = focal * coordinate + centre * 2**fmt.distortion_frac
        out.append(entered(raw, fmt.position))
    return tuple(out)


def product(R, x: int, y: int, one: int) -> list[int]:
    """R (x, y, 1) at full length."""
    return [int(R[k][0]) * x + int(R[k][1]) * y + int(R[k][2]) * one for k in range(3)]


def rotated(x: int, y: int, R, fmt: RayFormat) -> tuple[int, int, int]:
    """Ray after a rotation and the third component it had before the division; 0 when it points backwards."""
    one = 2**fmt.ray_frac
    X, Y, Z = product(R, x, y, one)
    z = entered(Z, fmt.turned)
    if z <= 0:
        return x, y, 0
    return fitted(quotient(X * one, Z, fmt.ray), fmt.ray), fitted(quotient(Y * one, Z, fmt.ray), fmt.ray), z


def borrowed_flow(new: list[Ray], old: list[Ray], flow: list[Ray]) -> list[Ray]:
    """Flow of the nearest old ray, the first of equals."""
    return [flow[min(range(len(old)), key=lambda j: ((x - old[j][0]) ** 2 + (y - old[j][1]) ** 2, j))] for x, y in new]


# outliers


def moved(a: Ray, r: Ray, fmt: OutlierFormat) -> Ray:
    """Saturated displacement."""
    return tuple(entered(r[k] - a[k], fmt.displacement) for k in (0, 1))


def epipolar(a: Ray, t: tuple[int, int, int], fmt: OutlierFormat) -> Ray:
    """Direction of motion of a ray under a translation."""
    one = 2**fmt.ray_frac
    return tuple(entered(t[k] * one - t[2] * a[k], fmt.epipolar) for k in (0, 1))


def on_line(d: Ray, e: Ray, sign: int, threshold_sq: int, fmt: OutlierFormat) -> bool:
    """Distance from the half line along e."""
    across, along = fitted(e[0] * d[1] - e[1] * d[0], fmt.cross), sign * fitted(e[0] * d[0] + e[1] * d[1], fmt.cross)
    limit = threshold_sq * (e[0] ** 2 + e[1] ** 2)
    return across**2 <= limit and (along >= 0 or along**2 <= limit)


def cross(a, b) -> tuple[int, int, int]:
    """Vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def scaled(t: tuple[int, int, int], fmt: OutlierFormat) -> tuple[int, int, int]:
    """Power-of-two scaling that leaves the largest component `direction_frac` bits."""
    drop = max(abs(v) for v in t).bit_length() - fmt.direction_frac
    return tuple(fitted(quotient(v, 2**drop, fmt.direction) if drop > 0 else v * 2**-drop, fmt.direction) for v in t)


def agreeing(rays_a: list[Ray], rays_1: list[Ray], t, sign: int, fmt: OutlierFormat) -> list[bool]:
    """Support of one translation direction."""
    out = []
    for a, r in zip(rays_a, rays_1):
        d, e = moved(a, r, fmt), epipolar(a, t, fmt)
        still = d[0] ** 2 + d[1] ** 2 <= fmt.threshold_sq
        out.append(still or (e != (0, 0) and on_line(d, e, sign, fmt.threshold_sq, fmt)))
    return out


def trusted(best: list[bool], fmt: OutlierFormat) -> list[bool]:
    """Everything, when too few agree."""
    return best if 256 * sum(best) >= fmt.min_share * len(best) else [True] * len(best)


def pair_direction(a: Ray, ra: Ray, b: Ray, rb: Ray, fmt: OutlierFormat) -> tuple[int, int, int]:
    """Vector product of two epipolar normals (a, 1) x (a + d, 1)."""
    one = 2**fmt.ray_frac
    normals = []
    for old, new in ((a, ra), (b, rb)):
        d = moved(old, new, fmt)
        normals.append(cross((old[0], old[1], one), (old[0] + d[0], old[1] + d[1], one)))
    return scaled(cross(*normals), fmt)


def direction_inliers(rays_a: list[Ray], rays_1: list[Ray], seed: int, fmt: OutlierFormat) -> tuple[int, list[bool]]:
    """Two-point RANSAC with the generator of Numerical Recipes."""
    best = agreeing(rays_a, rays_1, (0, 0, 0), 1, fmt)
    moving = [i for i, (a, r) in enumerate(zip(rays_a, rays_1)) if sum(v * v for v in moved(a, r, fmt)) >= fmt.seed_sq]
    state = (seed * 1664525 + 1013904223) % 2**32
    for _ in range(fmt.iterations if len(moving) >= 2 and not all(best) else 0):
        draws = []
        for _ in (0, 1):
            state = (state * 1664525 + 1013904223) % 2**32
            draws.append(state)
        i = draws[0] * len(moving) // 2**32
        j = (i + 1 + draws[1] * (len(moving) - 1) // 2**32) % len(moving)
        i, j = moving[i], moving[j]
        t = pair_direction(rays_a[i], rays_1[i], rays_a[j], rays_1[j], fmt)
        best = max([best] + [agreeing(rays_a, rays_1, t, sign, fmt) for sign in (1, -1)], key=sum)
    return sum(best), trusted(best, fmt)


def depth_inliers(rays_0, depth_0, rays_1, depth_1, R, ray_fmt: RayFormat, fmt: OutlierFormat) -> tuple[int, list[bool]]:
    """One-point RANSAC."""
    one, shift = 2**fmt.ray_frac, fmt.translation_frac + fmt.inverse_depth_frac - fmt.ray_frac
    points = []
    for (x, y), depth in zip(rays_0, depth_0):
        ax, ay, z = rotated(x, y, R, ray_fmt)
        points.append((ax, ay, fitted(quotient(depth * one, max(z, 1), fmt.inverse_depth), fmt.inverse_depth)))

    def translation(i: int) -> tuple[int, ...]:
        new, old = (*rays_1[i], one), (*points[i][:2], one)
        reg = fmt.translation
        return tuple(fitted(quotient(n * 2**shift, depth_1[i], reg) - quotient(o * 2**shift, points[i][2], reg), reg) for n, o in zip(new, old))

    def agrees(i: int, t: tuple[int, ...]) -> bool:
        ax, ay, depth = points[i]
        z = one + entered(depth * t[2], fmt.nearness)
        if 8 * z < one:
            return False
        error = [fitted(entered(rays_1[i][k] * z, fmt.scaled) - points[i][k] - entered(depth * t[k], fmt.moved), fmt.residual) for k in (0, 1)]
        depth_error = abs(nearest_even(depth_1[i] * z, one) - depth)
        return (error[0] ** 2 + error[1] ** 2 <= nearest_even(fmt.near_sq * z * z, one * one)
                and depth_error <= nearest_even(fmt.depth_threshold * z, one))

    best = [False] * len(points)
    near = [i for i in range(len(points)) if min(points[i][2], depth_1[i]) >= fmt.seed_inverse_depth]
    for i in near[: fmt.iterations]:
        best = max(best, [agrees(j, translation(i)) for j in range(len(points))], key=sum)
    return sum(best), trusted(best, fmt)


# stereo


def turned(ray: Ray, rig: StereoRig) -> tuple[int, int, int]:
    """R (x, y, 1) in point registers."""
    return tuple(entered(v, rig.fmt.turned) for v in product(rig.R_raw, *ray, 2**rig.right.fmt.ray_frac))


def candidate(turned_ray, depth: int, rig: StereoRig) -> Ray | None:
    """Right pixel at an inverse depth, None behind the camera."""
    ray_fmt, fmt = rig.right.fmt, rig.fmt
    X, Y, Z = (fitted(v + entered(depth * int(t), fmt.shifted), fmt.point) for v, t in zip(turned_ray, rig.t_raw))
    one = 2**ray_fmt.ray_frac
    if 8 * Z < one:
        return None
    return distorted(*(fitted(quotient(v * one, Z, ray_fmt.ray), ray_fmt.ray) for v in (X, Y)), rig.right)


def window(image: list[list[int]], col: int, row: int, fmt: StereoFormat) -> list[int] | None:
    """n I - sum I of the window, None where it leaves the picture."""
    reach = fmt.reach
    if not (reach <= col < len(image[0]) - reach and reach <= row < len(image) - reach):
        return None
    values = [image[row + i][col + j] for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    return [fitted(len(values) * value - sum(values), fmt.sample) for value in values]


def best_candidate(scores: dict[int, int], fmt: StereoFormat) -> int | None:
    """Least difference, unless too large or rivalled three or more candidates away."""
    if not scores:
        return None
    best = min(scores, key=lambda k: (scores[k], k))
    rival = min((score for k, score in scores.items() if abs(k - best) > 2), default=2**31 - 1)
    return best if scores[best] <= fmt.max_difference and 256 * scores[best] < fmt.uniqueness * rival else None


def coarse_match(left, right, uv: Ray, ray: Ray, known: int, rig: StereoRig) -> Ray | None:
    """Right pixel of one feature: near the known depth first, then the whole curve."""
    fmt, shift = rig.fmt, rig.right.fmt.position_frac + rig.fmt.level
    col, row = (shifted(v, shift) for v in uv)
    template = window(left, col, row, fmt)
    if template is None:
        return None
    turned_ray, offset = turned(ray, rig), (uv[0] - col * 2**shift, uv[1] - row * 2**shift)

    def scores(ks) -> dict[int, int]:
        out = {}
        for k in ks:
            place = candidate(turned_ray, k * fmt.depth_step, rig)
            there = place and window(right, *(shifted(p - o, shift) for p, o in zip(place, offset)), fmt)
            if there:
                out[k] = fitted(sum(abs(a - b) for a, b in zip(template, there)), fmt.difference)
        return out

    middle = min(nearest_even(known, fmt.depth_step), fmt.candidates - 1)
    first = range(max(middle - 8, 0), min(middle + 9, fmt.candidates)) if known > 0 else range(fmt.candidates)
    best = best_candidate(scores(first), fmt)
    if best is None and len(first) < fmt.candidates:
        best = best_candidate(scores(range(fmt.candidates)), fmt)
    return None if best is None else candidate(turned_ray, best * fmt.depth_step, rig)


def inverse_depth(uv: Ray, back: Ray, ray: Ray, right: Ray, rig: StereoRig, outlier: OutlierFormat) -> int:
    """Inverse depth of a refined match, 0 if it is refused."""
    ray_fmt, fmt, one = rig.right.fmt, rig.fmt, 2**rig.right.fmt.ray_frac
    t = [int(v) for v in rig.t_raw]
    X, Y, Z = turned(ray, rig)
    if (uv[0] - back[0]) ** 2 + (uv[1] - back[1]) ** 2 > fmt.back_sq or Z <= 0:
        return 0
    a = tuple(fitted(quotient(v * one, Z, ray_fmt.ray), ray_fmt.ray) for v in (X, Y))
    if not on_line(moved(a, right, outlier), epipolar(a, scaled(t, outlier), outlier), 1, fmt.epipolar_sq, outlier):
        return 0
    e = [entered(t[k] * one - t[2] * a[k], fmt.metric) for k in (0, 1)]
    if e == [0, 0]:
        return 0
    shift = fmt.translation_frac + fmt.inverse_depth_frac - ray_fmt.ray_frac
    share = fitted(quotient(sum(e[k] * (right[k] - a[k]) for k in (0, 1)) * 2**shift, e[0] ** 2 + e[1] ** 2, fmt.share), fmt.share)
    rest = max(one - entered(share * t[2], fmt.shifted), 1)
    return fitted(quotient(share * Z, rest, fmt.inverse_depth), fmt.inverse_depth)
