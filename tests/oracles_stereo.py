"""Slow transparent twins of the ray, stereo and outlier kernels on Python integers; compared with `==`.

Registers are taken from the kernels' formats; that those formats mean what they should is tested against the exact lens model.
"""

from oracles import nearest_even

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


# rays


def undistorted(u: int, v: int, lens: Lens) -> Ray:
    """Bilinear interpolation in the table, one corner at a time."""
    fmt, table, cell = lens.fmt, lens.table, 2**lens.fmt.cell_log2
    u = clamp(u + fmt.origin, 0, (len(table[0]) - 1) * cell - 1)
    v = clamp(v + fmt.origin, 0, (len(table) - 1) * cell - 1)
    (col, a), (row, b) = divmod(u, cell), divmod(v, cell)
    corners = ((row, col, (cell - a) * (cell - b)), (row, col + 1, a * (cell - b)), (row + 1, col, (cell - a) * b), (row + 1, col + 1, a * b))
    sums = [sum(weight * int(table[r, c, axis]) for r, c, weight in corners) for axis in (0, 1)]
    return tuple(clamp(nearest_even(s, cell * cell), fmt.ray_min, fmt.ray_max) for s in sums)


def distorted(x: int, y: int, lens: Lens) -> Ray:
    """Brown's model; the radial factor linear between the samples of its table."""
    fmt, table = lens.fmt, lens.radial.tolist()
    one, low, high = 2**fmt.ray_frac, fmt.distortion_min, fmt.distortion_max
    r2 = nearest_even(x * x + y * y, one)
    index, part = divmod(r2, 2**fmt.radius_log2)
    if index >= len(table) - 1:
        factor = table[-1]
    else:
        factor = clamp(shifted(table[index] * (2**fmt.radius_log2 - part) + table[index + 1] * part, fmt.radius_log2), low, high)
    tangential = 2 * fmt.p1 * x * y + fmt.p2 * (3 * x * x + y * y), fmt.p1 * (x * x + 3 * y * y) + 2 * fmt.p2 * x * y
    out = []
    for ray, term, focal, centre in ((x, tangential[0], fmt.fx, fmt.cx), (y, tangential[1], fmt.fy, fmt.cy)):
        coordinate = clamp(nearest_even(ray * factor + clamp(nearest_even(term, one * one), low, high) * one, one), low, high)
        raw = focal * coordinate + centre * 2**fmt.distortion_frac
        out.append(clamp(shifted(raw, fmt.focal_frac + fmt.distortion_frac - fmt.position_frac), fmt.position_min, fmt.position_max))
    return tuple(out)


def product(R, x: int, y: int, one: int) -> list[int]:
    """R (x, y, 1) at full length."""
    return [int(R[k][0]) * x + int(R[k][1]) * y + int(R[k][2]) * one for k in range(3)]


def rotated(x: int, y: int, R, fmt: RayFormat) -> tuple[int, int, int]:
    """Ray after a rotation and the third component it had before the division; 0 when it points backwards."""
    one = 2**fmt.ray_frac
    X, Y, Z = product(R, x, y, one)
    z = clamp(shifted(Z, fmt.rotation_frac), fmt.ray_min, fmt.ray_max)
    if z <= 0:
        return x, y, 0
    return clamp(nearest_even(X * one, Z), fmt.ray_min, fmt.ray_max), clamp(nearest_even(Y * one, Z), fmt.ray_min, fmt.ray_max), z


def borrowed_flow(new: list[Ray], old: list[Ray], flow: list[Ray]) -> list[Ray]:
    """Flow of the nearest old ray, the first of equals."""
    return [flow[min(range(len(old)), key=lambda j: ((x - old[j][0]) ** 2 + (y - old[j][1]) ** 2, j))] for x, y in new]


# outliers


def moved(a: Ray, r: Ray, fmt: OutlierFormat) -> Ray:
    """Saturated displacement."""
    return tuple(clamp(r[k] - a[k], fmt.displacement_min, fmt.displacement_max) for k in (0, 1))


def epipolar(a: Ray, t: tuple[int, int, int], fmt: OutlierFormat) -> Ray:
    """Direction of motion of a ray under a translation."""
    one = 2**fmt.ray_frac
    return tuple(clamp(nearest_even(t[k] * one - t[2] * a[k], one), fmt.epipolar_min, fmt.epipolar_max) for k in (0, 1))


def on_line(d: Ray, e: Ray, sign: int, threshold_sq: int) -> bool:
    """Distance from the half line along e."""
    across, along = e[0] * d[1] - e[1] * d[0], sign * (e[0] * d[0] + e[1] * d[1])
    limit = threshold_sq * (e[0] ** 2 + e[1] ** 2)
    return across**2 <= limit and (along >= 0 or along**2 <= limit)


def cross(a, b) -> tuple[int, int, int]:
    """Vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def scaled(t: tuple[int, int, int], frac: int) -> tuple[int, int, int]:
    """Power-of-two scaling that leaves the largest component `frac` bits."""
    bits = max(abs(v) for v in t).bit_length()
    return tuple(shifted(v, bits - frac) for v in t)


def agreeing(rays_a: list[Ray], rays_1: list[Ray], t, sign: int, fmt: OutlierFormat) -> list[bool]:
    """Support of one translation direction."""
    out = []
    for a, r in zip(rays_a, rays_1):
        d, e = moved(a, r, fmt), epipolar(a, t, fmt)
        still = d[0] ** 2 + d[1] ** 2 <= fmt.threshold_sq
        out.append(still or (e != (0, 0) and on_line(d, e, sign, fmt.threshold_sq)))
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
    return scaled(cross(*normals), fmt.ray_frac)


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
        points.append((ax, ay, min(nearest_even(depth * one, max(z, 1)), fmt.inverse_depth_max)))

    def translation(i: int) -> tuple[int, ...]:
        new, old = (*rays_1[i], one), (*points[i][:2], one)
        both = [nearest_even(n * 2**shift, depth_1[i]) - nearest_even(o * 2**shift, points[i][2]) for n, o in zip(new, old)]
        return tuple(clamp(v, fmt.translation_min, fmt.translation_max) for v in both)

    def agrees(i: int, t: tuple[int, ...]) -> bool:
        ax, ay, depth = points[i]
        z = one + shifted(depth * t[2], shift)
        if 8 * z < one:
            return False
        error = [nearest_even(rays_1[i][k] * z, one) - points[i][k] - shifted(depth * t[k], shift) for k in (0, 1)]
        depth_error = abs(nearest_even(depth_1[i] * z, one) - depth)
        return (error[0] ** 2 + error[1] ** 2 <= nearest_even(fmt.threshold_sq * z * z, one * one)
                and depth_error <= nearest_even(fmt.depth_threshold * z, one))

    best = [False] * len(points)
    near = [i for i in range(len(points)) if min(points[i][2], depth_1[i]) >= fmt.seed_inverse_depth]
    for i in near[: fmt.iterations]:
        best = max(best, [agrees(j, translation(i)) for j in range(len(points))], key=sum)
    return sum(best), trusted(best, fmt)


# stereo


def turned(ray: Ray, R, ray_fmt: RayFormat) -> tuple[int, int, int]:
    """R (x, y, 1) rounded to the ray's fraction bits."""
    return tuple(shifted(v, ray_fmt.rotation_frac) for v in product(R, *ray, 2**ray_fmt.ray_frac))


def candidate(turned_ray, depth: int, rig: StereoRig) -> Ray | None:
    """Right pixel at an inverse depth, None behind the camera."""
    ray_fmt, fmt = rig.right.fmt, rig.fmt
    shift = fmt.translation_frac + fmt.inverse_depth_frac - ray_fmt.ray_frac
    X, Y, Z = (v + shifted(depth * int(t), shift) for v, t in zip(turned_ray, rig.t_raw))
    one = 2**ray_fmt.ray_frac
    if 8 * Z < one:
        return None
    return distorted(*(clamp(nearest_even(v * one, Z), ray_fmt.ray_min, ray_fmt.ray_max) for v in (X, Y)), rig.right)


def window(image: list[list[int]], col: int, row: int, reach: int) -> list[int] | None:
    """n I - sum I of the window, None where it leaves the picture."""
    if not (reach <= col < len(image[0]) - reach and reach <= row < len(image) - reach):
        return None
    values = [image[row + i][col + j] for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    return [len(values) * value - sum(values) for value in values]


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
    template = window(left, col, row, fmt.reach)
    if template is None:
        return None
    turned_ray, offset = turned(ray, rig.R_raw, rig.right.fmt), (uv[0] - col * 2**shift, uv[1] - row * 2**shift)

    def scores(ks) -> dict[int, int]:
        out = {}
        for k in ks:
            place = candidate(turned_ray, k * fmt.depth_step, rig)
            there = place and window(right, *(shifted(p - o, shift) for p, o in zip(place, offset)), fmt.reach)
            if there:
                out[k] = sum(abs(a - b) for a, b in zip(template, there))
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
    X, Y, Z = turned(ray, rig.R_raw, ray_fmt)
    if (uv[0] - back[0]) ** 2 + (uv[1] - back[1]) ** 2 > fmt.back_sq or Z <= 0:
        return 0
    a = nearest_even(X * one, Z), nearest_even(Y * one, Z)
    if not on_line(moved(a, right, outlier), epipolar(a, scaled(t, ray_fmt.ray_frac), outlier), 1, fmt.epipolar_sq):
        return 0
    e = [nearest_even(t[k] * one - t[2] * a[k], one) for k in (0, 1)]
    shift = fmt.translation_frac + fmt.inverse_depth_frac - ray_fmt.ray_frac
    share = nearest_even(sum(e[k] * (right[k] - a[k]) for k in (0, 1)) * 2**shift, e[0] ** 2 + e[1] ** 2)
    rest = max(one - shifted(share * t[2], shift), 1)
    return max(min(nearest_even(share * Z, rest), fmt.inverse_depth_max), 0)
