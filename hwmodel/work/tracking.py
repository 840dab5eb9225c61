"""Operations and accesses of the tracker and of stereo, per event.

The notation follows the kernels: a patch is sampled bilinearly, sums are centred, the 2x2 system is solved with a normalised Hessian.
"""

from hwmodel.operations import Work
from hwmodel.widths import Area, residual_input, window_area
from hwmodel.work.rays import compensated, direction_of_motion, displaced, near_line, projected, turned
from vio.config import Config
from vio.fixed import Fixed


def _weights(config: Config) -> Work:
    """The four bilinear weights of a position: two fractions, their product, five differences."""
    frac, weight = config.precision.position.frac_bits, config.precision.weight
    work = Work().enter(frac, frac, weight, 2).mul(weight.bits, weight.bits).enter(2 * weight.bits, 2 * weight.frac_bits, weight)
    return work.add(weight.bits, 5)


def _samples(config: Config, n: int, fmt: Fixed) -> Work:
    """n bilinear samples into registers."""
    p = config.precision
    wide = p.weight.bits + p.pixel.bits
    return Work().mul(p.weight.bits, p.pixel.bits, 4 * n).add(wide, 3 * n).enter(wide, p.weight.frac_bits, fmt, n)


def _centred(product: int, a: int, b: int, area: Area, frac: int, fmt: Fixed, n: int) -> Work:
    """n registers of sum(p q) - sum(p) sum(q) / area."""
    wide = max(product + area.bits, a + b)
    return Work().mul(product, area.bits, n).mul(a, b, n).add(wide, n).divide(wide, area.bits, n).enter(wide, frac, fmt, n)


def klt_template(config: Config) -> Work:
    """Template patch, gradients, Hessian, its normalisation, the test for flatness and the determinant."""
    p, side, area = config.precision, config.frontend.klt_window + 2, window_area(config.frontend.klt_window)
    n, g, m = area.pixels, p.gradient.bits, p.mantissa.bits
    work = _weights(config).plus(_samples(config, side * side, p.template))
    work.add(p.template.bits + 1, 2 * n).enter(p.template.bits + 1, p.template.frac_bits + 1, p.gradient, 2 * n)
    product, total = 2 * g + area.growth, g + area.growth
    work.mul(g, g, 3 * n).add(product, 3 * n).add(total, 2 * n)
    work.plus(_centred(product, total, total, area, 2 * p.gradient.frac_bits, p.hessian, 3))
    work.add(p.hessian.bits).compare(p.hessian.bits, 3)  # the magnitude of hxy, the largest of three: where the leading one is
    work.lowered(p.hessian.bits, p.mantissa, 4).compare(m)  # three elements and the least eigenvalue, which is at least 1
    work.compare(m, 2).add(m + 1, 2).mul(m + 1, m + 1).mul(m, m).compare(2 * m + 2)
    work.mul(m, m).add(2 * m).fitted(2 * m, p.determinant).compare(p.determinant.bits)
    return work.plus(_patch_traffic(config)).write("template", config.frontend.klt_window)


def klt_iteration(config: Config) -> Work:
    """Residual window, right-hand side, 2x2 solve, step, and the tests for the border and for convergence."""
    p, area = config.precision, window_area(config.frontend.klt_window)
    n, r, g = area.pixels, p.residual.bits, p.gradient.bits
    total, product = r + area.growth, r + g + area.growth
    work = _weights(config).plus(_samples(config, n, p.patch), _residuals(config, n)).add(total, n)
    work.mul(g, r, 2 * n).add(product, 2 * n)
    work.plus(_centred(product, g + area.growth, total, area, p.gradient.frac_bits + p.residual.frac_bits, p.residual_sum, 2))
    work.lowered(p.residual_sum.bits, p.right_side, 2)
    numerator, up = p.mantissa.bits + p.right_side.bits + 1, solve_up(config)
    work.mul(p.right_side.bits, p.mantissa.bits, 4).add(numerator, 2).divided(numerator + up, p.determinant.bits, p.step, 2)
    frac = max(p.position.frac_bits, p.step.frac_bits)
    moved = max(p.position.bits + frac - p.position.frac_bits, p.step.bits + frac - p.step.frac_bits) + 1
    work.add(moved, 2).enter(moved, frac, p.position, 2)
    work.add(p.step.bits, 2).compare(p.step.bits, 4).compare(p.position.bits, 4)
    return work.plus(_patch_traffic(config)).read("template", config.frontend.klt_window)


def solve_up(config: Config) -> int:
    """Bits by which the solve's numerator is shifted up, so that the quotient has the step's scale."""
    p = config.precision
    return p.step.frac_bits + p.hessian.frac_bits - p.residual_sum.frac_bits


def _residuals(config: Config, n: int) -> Work:
    """n samples minus template samples, into registers."""
    p, wide = config.precision, residual_input(config)
    return Work().add(wide, n).enter(wide, p.patch.frac_bits, p.residual, n)


def feature_tracked(config: Config) -> Work:
    """The final window of a track: residuals, their mean, the mean absolute deviation; and its way through the levels."""
    p, levels, area = config.precision, config.frontend.pyramid_levels, window_area(config.frontend.klt_window)
    n, total, wide = area.pixels, p.residual.bits + area.growth, p.residual.bits + 1
    work = _weights(config).plus(_samples(config, n, p.patch), _residuals(config, n)).add(total, n).divide(total, area.bits)
    work.add(wide, 2 * n).compare(wide, n).add(wide + area.growth, n).divide(wide + area.growth, area.bits).compare(wide + area.growth)
    position = p.position.bits
    work.rounded(position, 2 * levels).fitted(position + 1, p.position, 2 * (levels - 1))  # starts and guess; twice as far a level down
    work.plus(_patch_traffic(config)).read("template", config.frontend.klt_window)
    return work.read("feature_table").write("feature_table")


def _patch_traffic(config: Config) -> Work:
    """A patch enters its register file row by row and leaves it once; what the frame store gives is counted as blocks."""
    return Work().write("patch", config.frontend.klt_window + 3).read("patch", config.frontend.klt_window + 3)


def stereo_candidate(config: Config) -> Work:
    """One candidate: the point moved along the curve, projected, and its zero-mean window against the template's."""
    p, side, area = config.precision, config.frontend.stereo_window, window_area(config.frontend.stereo_window)
    n, depth, point = area.pixels, p.inverse_depth.bits, p.point
    near = p.translation.bits + depth
    work = Work().add(depth).mul(p.translation.bits, depth, 3).enter(near, p.translation.frac_bits + p.inverse_depth.frac_bits, point, 3)
    work.add(point.bits + 1, 3).fitted(point.bits + 1, point, 3).compare(point.bits)
    work.plus(compensated(config), projected(config))
    work.add(p.position.bits + 1, 2).rounded(p.position.bits + 1, 2).compare(p.position.bits + 1, 4)
    total = p.pixel.bits + area.bits
    work.add(total, n).mul(p.pixel.bits, area.bits, n).add(total + 1, n).fitted(total + 1, p.stereo_sample, n)
    away = p.stereo_sample.bits + 1
    work.add(away, 2 * n).compare(away, n).add(away + area.growth, n).fitted(away + area.growth, p.stereo_sum).compare(p.stereo_sum.bits, 2)
    return work.write("stereo_windows", side).read("stereo_windows", 2 * side)


def stereo_matched(config: Config) -> Work:
    """The checks of a match: the way back, the epipolar line, the inverse depth."""
    p = config.precision
    position, ray, t, point, depth = p.position.bits, p.ray.bits, p.translation, p.point, p.inverse_depth
    work = Work().add(position + 1, 2).mul(position + 1, position + 1, 2).add(2 * position + 2).compare(2 * position + 2)
    work.plus(turned(config), compensated(config), displaced(config), direction_of_motion(config), near_line(config)).compare(point.bits)
    wide = max(t.bits + p.ray.frac_bits, t.bits + ray) + 1
    work.mul(t.bits, ray, 2).add(wide, 2).enter(wide, t.frac_bits + p.ray.frac_bits, t, 2)
    work.mul(t.bits, t.bits, 2).add(2 * t.bits).add(ray + 1, 2).mul(t.bits, ray + 1, 2).add(t.bits + ray + 2)
    up = t.frac_bits + depth.frac_bits - p.ray.frac_bits
    share = t.bits + ray + 2 + up
    work.quotient(share, 2 * t.bits, depth)
    work.mul(depth.bits + 2, t.bits).enter(depth.bits + 2 + t.bits, t.frac_bits + depth.frac_bits, point).add(point.bits).compare(point.bits)
    work.mul(depth.bits + 2, point.bits).divided(depth.bits + 2 + point.bits, point.bits, depth).compare(depth.bits)
    return work.read("feature_table").write("feature_table")
