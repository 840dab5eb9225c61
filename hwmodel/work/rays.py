"""Operations and accesses of rays and RANSAC, per event."""

from hwmodel.operations import Work
from hwmodel.widths import GUARD
from vio.config import Config

_CELL_LOG2 = 3  # an undistortion sample every 8 px
_RADIAL_LOG2 = 6  # a radial sample every 1/64 of r^2
_LCG_BITS, _LCG_FACTOR_BITS = 32, 21


def ray_lookup(config: Config) -> Work:
    """Bilinear interpolation in the undistortion table: four weights, two sums of four."""
    p = config.precision
    fraction = p.position.frac_bits + _CELL_LOG2
    weight = 2 * fraction + 1
    work = Work().add(p.position.bits, 2).compare(p.position.bits, 4)
    work.mul(fraction, fraction).add(weight, 5)
    wide = weight + p.ray.bits
    work.mul(weight, p.ray.bits, 8).add(wide, 6).enter(wide, 2 * fraction + p.ray.frac_bits, p.ray, 2)
    return work.read("undistortion_left", 4).read("feature_table").write("feature_table")


def _rows(config: Config) -> Work:
    """R (x, y, 1): three rows of two products; the last column at the ray's scale is wiring."""
    p = config.precision
    return Work().mul(p.ray.bits, p.rotation.bits, 6).add(p.ray.bits + p.rotation.bits + GUARD, 6)


def turned(config: Config) -> Work:
    """A ray turned into a point's registers."""
    p = config.precision
    return _rows(config).enter(p.ray.bits + p.rotation.bits + GUARD, p.rotation.frac_bits + p.ray.frac_bits, p.point, 3)


def ray_rotation(config: Config) -> Work:
    """A ray turned and divided by its third component at full length."""
    p = config.precision
    wide = p.ray.bits + p.rotation.bits + GUARD
    work = _rows(config).enter(wide, p.rotation.frac_bits + p.ray.frac_bits, p.ray).compare(p.ray.bits)
    return work.divided(wide + p.ray.frac_bits, wide, p.ray, 2).read("feature_table")


def compensated(config: Config) -> Work:
    """X / Z and Y / Z of a point's registers."""
    p = config.precision
    return Work().divided(p.point.bits + p.ray.frac_bits, p.point.bits, p.ray, 2)


def projected(config: Config) -> Work:
    """Brown's distortion with its radial factor from a table, then focal length and principal point; 2 x is wiring, 3 x an addition."""
    p = config.precision
    ray, square, d, focal = p.ray.bits, 2 * p.ray.bits, p.distortion, p.focal
    work = Work().mul(ray, ray, 3).add(square).enter(square, 2 * p.ray.frac_bits, p.radius_sq)
    part = p.radius_sq.frac_bits - _RADIAL_LOG2  # bits between two samples
    work.compare(p.radius_sq.bits).add(part + 1).mul(d.bits, part + 1, 2).add(d.bits + part + 1).enter(d.bits + part + 1, d.frac_bits + part, d)
    term = square + d.bits + GUARD + 1  # 2 p1 x y + p2 (3 x x + y y), and with x and y exchanged
    work.add(square + GUARD, 4).mul(d.bits, square + GUARD, 2).mul(d.bits, square, 2).add(term, 2).enter(term, 2 * p.ray.frac_bits + d.frac_bits, d, 2)
    wide = d.bits + ray + 1
    work.mul(d.bits, ray, 2).add(wide, 2).enter(wide, p.ray.frac_bits + d.frac_bits, d, 2)
    pixel = focal.bits + d.bits + 1
    work.mul(focal.bits, d.bits, 2).add(pixel, 2).enter(pixel, focal.frac_bits + d.frac_bits, p.position, 2)
    return work.read("radial_left", 2)


def ray_projection(config: Config) -> Work:
    """A ray with its last flow added, distorted to the pixel where the search begins."""
    return Work().add(config.precision.ray.bits, 2).plus(projected(config)).write("feature_table")


def displaced(config: Config) -> Work:
    """Difference of two rays in its registers."""
    p = config.precision
    return Work().add(p.ray.bits + 1, 2).enter(p.ray.bits + 1, p.ray.frac_bits, p.displacement, 2)


def direction_of_motion(config: Config) -> Work:
    """Direction in which a ray moves under a translation: t_xy - t_z a."""
    p = config.precision
    wide = p.direction.bits + p.ray.bits + 1
    return Work().mul(p.direction.bits, p.ray.bits, 2).add(wide, 2).enter(wide, p.direction.frac_bits + p.ray.frac_bits, p.epipolar, 2)


def near_line(config: Config) -> Work:
    """Distance from the half line along e: cross and inner product of e and d, their squares against the threshold times |e|^2."""
    p = config.precision
    e, d, cross = p.epipolar.bits, p.displacement.bits, p.cross.bits
    work = Work().mul(e, d, 4).add(e + d + 1, 2).fitted(e + d + 1, p.cross, 2)
    work.mul(e, e, 2).add(2 * e).mul(2 * e, 2 * d)
    return work.mul(cross, cross, 2).compare(max(2 * cross, 2 * e + 2 * d), 2).compare(cross)


def ransac_hypothesis(config: Config) -> Work:
    """Half the work of a pair, for each pair is scored with both signs: two epipolar normals, their product, its scaling, two draws."""
    p = config.precision
    normal = p.ray.bits + p.displacement.bits + 1
    one = displaced(config).mul(p.ray.bits, p.displacement.bits, 2).add(normal)
    product = 2 * normal + 1
    pair = Work().plus(one, times=2).mul(normal, normal, 6).add(product, 3)
    pair.add(product, 3).compare(product, 3 + 2).lowered(product, p.direction, 3)  # magnitudes, the largest of them
    index = config.frontend.max_features.bit_length()
    draw = Work().mul(_LCG_BITS, _LCG_FACTOR_BITS, 2).add(_LCG_BITS + _LCG_FACTOR_BITS, 2).mul(_LCG_BITS, index, 2).add(index + 1, 2).compare(index + 1)
    return Work().plus(pair.plus(draw), times=0.5).read("feature_table")


def ransac_test(config: Config) -> Work:
    """One feature against one translation: displacement, direction, still or near the half line."""
    d = config.precision.displacement.bits
    work = displaced(config).plus(direction_of_motion(config)).mul(d, d, 2).add(2 * d).compare(2 * d)
    return work.plus(near_line(config)).read("feature_table")


def depth_hypothesis(config: Config) -> Work:
    """Translation of one point between keyframes: six quotients, three differences, and whether both depths are near enough."""
    p = config.precision
    up = p.translation.frac_bits + p.inverse_depth.frac_bits - p.ray.frac_bits
    wide = p.ray.bits + up
    work = Work().quotient(wide, p.inverse_depth.bits, p.translation, 6).add(wide + 1, 3).fitted(wide + 1, p.translation, 3)
    return work.compare(p.inverse_depth.bits, 2).read("feature_table")


def depth_test(config: Config) -> Work:
    """One feature against a translation in both pictures, multiplied through by its depth so that nothing is divided."""
    p = config.precision
    depth, t, point, left = p.inverse_depth.bits, p.translation, p.point.bits, p.ransac_residual
    near, scaled = depth + t.bits, p.ray.bits + point + 1
    work = Work().mul(depth, t.bits, 3).enter(near, t.frac_bits + p.inverse_depth.frac_bits, p.point).add(point + 1).compare(point + 1)
    work.enter(near, t.frac_bits + p.inverse_depth.frac_bits, left, 2).mul(p.ray.bits, point + 1, 2).enter(scaled, 2 * p.ray.frac_bits, left, 2)
    sum_bits = max(left.bits, p.ray.bits) + GUARD
    work.add(sum_bits, 4).fitted(sum_bits, left, 2)
    z = point + 1
    work.mul(z, depth, 1).rounded(z + depth).add(z + depth, 2).compare(z + depth)  # |rho z - rho_0|
    work.mul(left.bits, left.bits, 2).add(2 * left.bits).mul(z, z).mul(2 * z, 2 * p.ray.bits).rounded(2 * z + 2 * p.ray.bits).compare(2 * z + 2 * p.ray.bits)
    return work.mul(z, depth).rounded(z + depth).compare(z + depth).read("feature_table")
