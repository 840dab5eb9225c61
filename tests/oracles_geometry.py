"""Datapaths of rays, RANSAC and stereo geometry on `CountingInt`: results equal the slow twins', operations the work table's."""

from counting import CountingInt as C
from oracles_counting import bits_for, zero

from vio.config import Config

GUARD = 2  # bits of growth of a sum of three products
Pair = tuple[C, C]


def rays(x: int, y: int, config: Config) -> Pair:
    """A ray in its registers."""
    return C(x, config.precision.ray.bits), C(y, config.precision.ray.bits)


# rays


def looked_up(u: int, v: int, lens, config: Config) -> list[C]:
    """Bilinear interpolation of the undistortion table."""
    p, table, shift = config.precision, lens.table, lens.fmt.cell_log2
    place = []
    for x, last in ((u, table.shape[1]), (v, table.shape[0])):
        moved = C(x, p.position.bits) + lens.fmt.origin
        place.append(moved.between(0, ((last - 1) << shift) - 1))
    (col, a), (row, b) = (divmod(x, 1 << shift) for x in place)
    weight = 2 * shift + 1
    a, b = C(a, shift), C(b, shift)
    both = a.times(b).wide(weight)
    right, down = C(a.value << shift, weight) - both, C(b.value << shift, weight) - both
    rest = ((C(1 << (2 * shift), weight) - right) - down) - both
    out = []
    for axis in (0, 1):
        corners = [C(int(table[r, c, axis]), p.ray.bits) for r, c in ((row, col), (row, col + 1), (row + 1, col), (row + 1, col + 1))]
        s, t, q, w = (k.times(corner) for k, corner in zip((rest, right, down, both), corners))
        out.append((((s + t) + q) + w).enter(2 * shift + p.ray.frac_bits, p.ray))
    return out


def rows(x: C, y: C, R, config: Config) -> list[C]:
    """R (x, y, 1) at full length."""
    p, out = config.precision, []
    wide = p.ray.bits + p.rotation.bits + GUARD
    for row in R:
        a, b = (v.times(C(int(r), p.rotation.bits)).wide(wide) for v, r in zip((x, y), row))
        out.append((a + b) + (int(row[2]) << p.ray.frac_bits))
    return out


def turned(x: C, y: C, R, config: Config) -> list[C]:
    """The same in point registers."""
    p = config.precision
    return [v.enter(p.rotation.frac_bits + p.ray.frac_bits, p.point) for v in rows(x, y, R, config)]


def rotated(x: C, y: C, R, config: Config) -> tuple[int, int, int]:
    """A ray turned, and its third component."""
    p = config.precision
    X, Y, Z = rows(x, y, R, config)
    z = Z.enter(p.rotation.frac_bits + p.ray.frac_bits, p.ray)
    assert z > 0
    return *((v << p.ray.frac_bits).quotient(Z, p.ray.rounding).fitted(p.ray).value for v in (X, Y)), z.value


def compensated(X: C, Y: C, Z: C, config: Config) -> list[C]:
    """X / Z and Y / Z."""
    p = config.precision
    return [(v << p.ray.frac_bits).quotient(Z, p.ray.rounding).fitted(p.ray) for v in (X, Y)]


def projected(x: C, y: C, lens, config: Config) -> list[C]:
    """Brown's model."""
    p, fmt, d = config.precision, lens.fmt, config.precision.distortion
    square = 2 * p.ray.bits
    xx, yy, xy = x.times(x), y.times(y), x.times(y)
    r2 = (xx + yy).enter(2 * p.ray.frac_bits, p.radius_sq)
    factor = _radial(r2, lens, config)
    wide, term = square + GUARD, square + d.bits + GUARD + 1
    three = [v.wide(wide) + C(v.value << 1, wide) for v in (xx, yy)]
    sums = three[0] + yy, three[1] + xx
    twice = C(fmt.p1, d.bits).times(xy << 0).wide(term), C(fmt.p2, d.bits).times(xy << 0).wide(term)
    tangential = [
        (C(twice[0].value * 2, term) + C(fmt.p2, d.bits).times(sums[0]).wide(term)), (C(twice[1].value * 2, term) + C(fmt.p1, d.bits).times(sums[1]).wide(term))]
    out = []
    long, pixel = d.bits + p.ray.bits + 1, p.focal.bits + d.bits + 1
    for ray, t, focal, centre in ((x, tangential[0], fmt.fx, fmt.cx), (y, tangential[1], fmt.fy, fmt.cy)):
        bent = t.enter(2 * p.ray.frac_bits + d.frac_bits, d)
        coordinate = (ray.times(factor).wide(long) + (bent.value << p.ray.frac_bits)).enter(p.ray.frac_bits + d.frac_bits, d)
        out.append((C(focal, p.focal.bits).times(coordinate).wide(pixel) + (centre << d.frac_bits)).enter(p.focal.frac_bits + d.frac_bits, p.position))
    return out


def _radial(r2: C, lens, config: Config) -> C:
    """Linear between two samples of the radial factor."""
    d, part = config.precision.distortion, lens.fmt.radius_log2
    index, rest = divmod(r2.value, 1 << part)
    assert r2 < (len(lens.radial) - 1) << part
    weight = C(rest, part + 1)
    other = C(1 << part, part + 1) - weight
    low, high = (C(int(lens.radial[index + k]), d.bits) for k in (0, 1))
    return (low.times(other) + high.times(weight)).enter(d.frac_bits + part, d)


# RANSAC


def displaced(a: Pair, r: Pair, config: Config) -> list[C]:
    """Difference of two rays."""
    p = config.precision
    return [(new.wide(p.ray.bits + 1) - old).enter(p.ray.frac_bits, p.displacement) for old, new in zip(a, r)]


def direction_of_motion(a: Pair, t: tuple[int, int, int], config: Config) -> list[C]:
    """t_xy - t_z a."""
    p = config.precision
    wide = p.direction.bits + p.ray.bits + 1
    tz = C(t[2], p.direction.bits)
    return [(C(t[k] << p.ray.frac_bits, wide) - tz.times(a[k])).enter(p.direction.frac_bits + p.ray.frac_bits, p.epipolar) for k in (0, 1)]


def near_line(d: list[C], e: list[C], sign: int, threshold_sq: int, config: Config) -> bool:
    """Whether d lies near the half line along e."""
    p = config.precision
    wide = p.epipolar.bits + p.displacement.bits + 1
    across = (e[0].times(d[1]).wide(wide) - e[1].times(d[0])).fitted(p.cross)
    along = (e[0].times(d[0]).wide(wide) + e[1].times(d[1])).fitted(p.cross)
    limit = C(threshold_sq, 2 * p.displacement.bits).times(e[0].times(e[0]) + e[1].times(e[1]))
    verdict = [across.times(across) <= limit, along.times(along) <= limit, along >= 0 if sign > 0 else along <= 0]
    return verdict[0] and (verdict[2] or verdict[1])


def agrees(a: Pair, r: Pair, t, sign: int, threshold_sq: int, config: Config) -> bool:
    """One feature against one translation direction."""
    d, e = displaced(a, r, config), direction_of_motion(a, t, config)
    still = d[0].times(d[0]) + d[1].times(d[1]) <= C(threshold_sq, 2 * config.precision.displacement.bits)
    on_line = near_line(d, e, sign, threshold_sq, config)
    return still or ((e[0].value, e[1].value) != (0, 0) and on_line)


def pair_direction(first: tuple[Pair, Pair], second: tuple[Pair, Pair], config: Config) -> tuple[int, ...]:
    """Scaled product of two epipolar normals."""
    p = config.precision
    normal, one = p.ray.bits + p.displacement.bits + 1, p.ray.frac_bits
    n, m = [], []
    for out, (a, r) in ((n, first), (m, second)):
        dx, dy = displaced(a, r, config)
        out += [C(-dy.value << one, normal), C(dx.value << one, normal), a[0].times(dy).wide(normal) - a[1].times(dx)]
    wide = 2 * normal + 1
    t = [n[i].times(m[j]).wide(wide) - n[j].times(m[i]) for i, j in ((1, 2), (2, 0), (0, 1))]
    size = [abs(v) for v in t]
    largest = size[0]
    for other in size[1:]:
        largest = other if other > largest else largest
    drop = max(largest.value.bit_length() - p.direction.frac_bits, 0)
    return tuple(v.lowered(drop, p.direction).value for v in t)


def draws(state: int, moving: int, config: Config) -> tuple[int, int]:
    """Two features out of `moving`, drawn by the generator of Numerical Recipes."""
    index, picked = config.frontend.max_features.bit_length(), []
    for count in (moving, moving - 1):
        state = (C(state, 32).times(1664525, 21) + 1013904223).value % 2**32
        picked.append(C(state, 32).times(C(count, index)).value >> 32)
    second = (C(picked[0], index + 1) + 1) + picked[1]
    return picked[0], second.value - moving if second >= moving else second.value


def point_translation(a: list[int], depth_a: int, r: list[int], depth_1: int, config: Config) -> tuple[int, ...]:
    """r1 / rho1 - a / rho0 with rays as (x, y, one)."""
    p, t = config.precision, config.precision.translation
    up = t.frac_bits + p.inverse_depth.frac_bits - p.ray.frac_bits
    old, new = (C(v, p.inverse_depth.bits) for v in (depth_a, depth_1))
    assert [old > 0, new > 0] == [True, True]
    out = []
    for x0, x1 in zip(a, r):
        ends = [C(x << up, p.ray.bits + up).quotient(depth, t.rounding) for x, depth in ((x1, new), (x0, old))]
        out.append((ends[0].wide(p.ray.bits + up + 1) - ends[1]).fitted(t).value)
    return tuple(out)


def depth_agrees(a: Pair, depth_0: int, r: Pair, depth_1: int, t, near_sq: int, depth_threshold: int, config: Config) -> bool:
    """Whether a point moved by t is seen where it is now, in both pictures."""
    p, left = config.precision, config.precision.ransac_residual
    one, frac = p.ray.frac_bits, p.translation.frac_bits + p.inverse_depth.frac_bits
    old, new = (C(v, p.inverse_depth.bits) for v in (depth_0, depth_1))
    moved = [C(v, p.translation.bits).times(old) for v in t]
    z = moved[2].enter(frac, p.point).wide(p.point.bits + 1) + (1 << one)
    assert z >= 1 << (one - 3)
    wide = max(left.bits, p.ray.bits) + GUARD
    error = []
    for k in (0, 1):
        seen = r[k].times(z).enter(2 * one, left)
        error.append((((seen.wide(wide)) - a[k]) - moved[k].enter(frac, left)).fitted(left))
    wires = z.bits + p.inverse_depth.bits
    gap = abs(z.times(new).nearest(one) - C(depth_0, wires))
    square = error[0].times(error[0]) + error[1].times(error[1])
    limit = z.times(z).times(C(near_sq, 2 * p.ray.bits)).nearest(2 * one)
    allowed = z.times(C(depth_threshold, p.inverse_depth.bits)).nearest(one)
    return all([limit >= square, gap <= allowed])


# stereo


def candidate(turned_ray: list[C], depth: int, step: int, rig, config: Config) -> list[C]:
    """Right pixel of the next candidate after a raw inverse depth."""
    p = config.precision
    rho = C(depth, p.inverse_depth.bits) + step
    frac = p.translation.frac_bits + p.inverse_depth.frac_bits
    moved = []
    for v, t in zip(turned_ray, rig.t_raw):
        shift = C(int(t), p.translation.bits).times(rho).enter(frac, p.point)
        moved.append((v.wide(p.point.bits + 1) + shift).fitted(p.point))
    assert moved[2] > 1 << (p.ray.frac_bits - 3)
    return projected(*compensated(*moved, config), rig.right, config)


def scored(turned_ray, depth: int, step: int, offset, template: list[int], right, rig, best: tuple[int, int], config: Config) -> tuple[int, bool, bool]:
    """One candidate of the search: its difference from the template, and whether it beats the best and the best rival so far."""
    p, side, shift = config.precision, config.frontend.stereo_window, rig.right.fmt.position_frac + rig.fmt.level
    n, ab, reach, position = side * side, (side * side).bit_length(), side // 2, p.position.bits + 1
    place = candidate(turned_ray, depth, step, rig, config)
    col, row = ((v.wide(position) - o).nearest(shift) for v, o in zip(place, offset))
    assert all([col >= reach, row >= reach, col < len(right[0]) - reach, row < len(right) - reach])
    pixels = [C(right[row.value + i][col.value + j], p.pixel.bits) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    total = zero(p.pixel.bits + ab)
    for pixel in pixels:
        total = total + pixel
    away = p.stereo_sample.bits + 1
    difference = zero(away + bits_for(n))
    for pixel, t in zip(pixels, template):
        value = (pixel.times(n, ab).wide(p.pixel.bits + ab + 1) - total).fitted(p.stereo_sample)
        difference = difference + abs(value.wide(away) - C(t, p.stereo_sample.bits))
    out = difference.fitted(p.stereo_sum)
    return out.value, out < best[0], out < best[1]


def matched(uv, back, ray: Pair, right: Pair, direction, rig, limits: tuple[int, int], config: Config) -> int:
    """Inverse depth of a refined match; every check is made, whatever the others say. limits: way back and line, raw squares."""
    p, t, depth = config.precision, config.precision.translation, config.precision.inverse_depth
    position, one = p.position.bits + 1, p.ray.frac_bits
    d = [C(a, position) - b for a, b in zip(uv, back)]
    came_back = d[0].times(d[0]) + d[1].times(d[1]) <= limits[0]
    X, Y, Z = turned(*ray, rig.R_raw, config)
    ahead = Z > 0
    a = compensated(X, Y, Z, config)
    on_line = near_line(displaced(a, right, config), direction_of_motion(a, direction, config), 1, limits[1], config)
    wide = max(t.bits + one, t.bits + p.ray.bits) + 1
    base = [C(int(v), t.bits) for v in rig.t_raw]
    e = [(C(base[k].value << one, wide) - base[2].times(a[k])).enter(t.frac_bits + one, t) for k in (0, 1)]
    length = e[0].times(e[0]) + e[1].times(e[1])
    gap = [r.wide(p.ray.bits + 1) - v for r, v in zip(right, a)]
    up, product = t.frac_bits + depth.frac_bits - one, t.bits + p.ray.bits + 2
    along = e[0].times(gap[0]).wide(product) + e[1].times(gap[1])
    share = (along << up).quotient(length, depth.rounding)
    share = C(share.value, depth.bits + 2)
    rest = C(1 << one, p.point.bits) - share.times(base[2]).enter(t.frac_bits + depth.frac_bits, p.point)
    rest = rest if rest > 1 else C(1, p.point.bits)
    rho = share.times(Z).quotient(rest, depth.rounding).fitted(depth)
    return rho.value if all([came_back, ahead, on_line, rho > 0]) else 0
