"""Operations and accesses of rays and RANSAC, per event."""

from hwmodel.operations import Work
from vio.config import Config



def ray_lookup(config: Config) -> Work:
    """Bilinear interpolation in the undistortion table: four weights, two sums of four."""
    p = config.precision
    fraction = p.position.frac_bits + 3
    work = Work().add(p.position.bits, 2).compare(p.position.bits, 4)
    work.mul(fraction, fraction).add(2 * fraction + 1, 5)
    wide = 2 * fraction + 1 + p.ray.bits
    work.mul(2 * fraction + 1, p.ray.bits, 8).add(wide, 6).register(wide, 2 * fraction, 2)
    return work.read("undistortion_left", 4).read("feature_table").write("feature_table")


def turned(config: Config) -> Work:
    """R (x, y, 1): three rows of two products, the last column at the ray's scale is wiring."""
    p = config.precision
    wide = p.ray.bits + p.rotation.bits
    return Work().mul(p.ray.bits, p.rotation.bits, 6).add(wide, 6).rounded(wide, 3)


def ray_rotation(config: Config) -> Work:
    """A ray turned and divided by its third component."""
    p = config.precision
    wide = p.ray.bits + p.rotation.bits
    work = Work().mul(p.ray.bits, p.rotation.bits, 6).add(wide, 6).register(wide, p.rotation.frac_bits).compare(p.ray.bits)
    return work.divide(wide + p.ray.frac_bits, wide, 2).compare(p.ray.bits, 4).read("feature_table")


def projected(config: Config) -> Work:
    """Brown's distortion with its radial factor from a table, then focal length and principal point."""
    p = config.precision
    ray, square, d, focal = p.ray.bits, 2 * p.ray.bits, p.distortion.bits, p.focal.bits
    work = Work().mul(ray, ray, 3).add(square).rounded(square)
    work.mul(d, ray, 2).add(d + ray).register(d + ray, ray - 6)  # between two samples of the table
    term = square + d + 2  # 2 p1 xy + p2 (3 xx + yy) and its mirror image
    work.add(square + 2, 4).mul(square + 2, d, 4).add(term, 2).register(term, 2 * p.ray.frac_bits, 2)
    work.mul(d, ray, 2).add(d + ray, 2).register(d + ray, p.ray.frac_bits, 2)
    work.mul(focal, d, 2).add(focal + d, 2).register(focal + d, p.focal.frac_bits + p.distortion.frac_bits - p.position.frac_bits, 2)
    return work.read("radial_left", 2)


def ray_projection(config: Config) -> Work:
    """A ray with its last flow added, distorted to the pixel where the search begins."""
    return Work().add(config.precision.ray.bits, 2).plus(projected(config)).write("feature_table")


def ransac_hypothesis(config: Config) -> Work:
    """Half the work of a pair: two epipolar normals, their product, its scaling; each pair is scored with both signs."""
    p = config.precision
    ray, move = p.ray.bits, p.displacement.bits
    normal = ray + move
    one = Work().add(ray, 2).compare(ray, 4).mul(ray, move, 2).add(normal).add(normal, 1)
    pair = Work().plus(one, 2).mul(normal, normal, 6).add(2 * normal, 3).compare(2 * normal, 2).shift(2 * normal, 3).rounded(2 * normal, 3)
    draw = Work().mul(32, 21, 2).add(32, 2).mul(32, 8, 2).add(8, 2)
    return Work().plus(pair, 0.5).plus(draw, 0.5).read("feature_table")


def ransac_test(config: Config) -> Work:
    """One feature against one translation: displacement, direction, and the distance from the half line."""
    p = config.precision
    ray, move, e = p.ray.bits, p.displacement.bits, p.epipolar.bits
    wide, cross, square = p.ray.bits + p.ray.frac_bits, p.epipolar.bits + p.displacement.bits, 2 * (p.epipolar.bits + p.displacement.bits)
    work = Work().add(ray, 2).compare(ray, 4).mul(ray, p.ray.frac_bits + 2, 2).add(wide, 2).register(wide, p.ray.frac_bits, 2)
    work.mul(move, move, 2).add(2 * move).compare(2 * move)
    work.mul(e, move, 4).add(cross, 2).mul(e, e, 2).add(2 * e).mul(2 * e, 2 * move)
    return work.mul(cross, cross, 2).compare(square, 2).compare(cross).read("feature_table")


def depth_hypothesis(config: Config) -> Work:
    """Translation of one point between keyframes: six quotients, three differences."""
    p = config.precision
    wide = p.translation.bits + p.inverse_depth.bits
    return Work().divide(wide, p.inverse_depth.bits, 6).add(p.translation.bits + 1, 3).compare(p.translation.bits + 1, 6).compare(p.inverse_depth.bits, 2).read("feature_table")


def depth_test(config: Config) -> Work:
    """One feature against a translation in both pictures, multiplied through by its depth so that nothing is divided."""
    p = config.precision
    ray, depth, wide = p.ray.bits + 2, p.inverse_depth.bits, p.inverse_depth.bits + p.translation.bits
    work = Work().mul(p.translation.bits, depth, 3).rounded(wide, 3).add(ray).compare(ray)
    work.mul(p.ray.bits, ray, 2).rounded(p.ray.bits + ray, 2).add(p.ray.bits + 2, 4)
    work.mul(depth, ray, 2).rounded(depth + ray, 2).add(depth + 1).compare(depth + 1, 2)
    return work.mul(ray, ray, 4).add(2 * ray).rounded(2 * ray + 16).compare(2 * ray).read("feature_table")
