"""Operations and accesses of the tracker and of stereo, per event.

The notation follows the kernels: a patch is sampled bilinearly, sums are centred, the 2x2 system is solved with a normalised Hessian.
"""

from hwmodel.operations import Work
from hwmodel.widths import TrackerWidths, index_bits, tracker_widths
from hwmodel.work.rays import projected, turned
from vio.config import Config


def _weights(t: TrackerWidths) -> Work:
    """The four bilinear weights of a position: two fractions, their product, five differences."""
    work = Work().register(t.position_frac, t.position_frac - t.weight_frac, 2)
    return work.mul(t.weight, t.weight).register(2 * t.weight, t.weight_frac).add(t.weight, 5)


def _samples(t: TrackerWidths, n: int, frac: int) -> Work:
    """n bilinear samples into registers with `frac` fraction bits."""
    return Work().mul(t.weight, t.pixel, 4 * n).add(t.weight + t.pixel, 3 * n).register(t.weight + t.pixel, t.weight_frac - frac, n)


def _centred(t: TrackerWidths, product: int, a: int, b: int, drop: int, n: int) -> Work:
    """n registers of sum(p q) - sum(p) sum(q) / area."""
    wide = max(product + t.area_bits, a + b)
    return Work().mul(product, t.area_bits, n).mul(a, b, n).add(wide, n).divide(wide, t.area_bits, n).register(wide, drop, n)


def klt_template(config: Config) -> Work:
    """Template patch, gradients, Hessian, its normalisation, the test for flatness and the determinant."""
    t, side = tracker_widths(config), config.frontend.klt_window + 2
    n = config.frontend.klt_window**2
    work = Work().plus(_weights(t)).plus(_samples(t, side * side, t.template_frac))
    work.add(t.template + 1, 2 * n).register(t.template + 1, t.template_frac + 1 - t.gradient_frac, 2 * n)
    product, total = 2 * t.gradient + t.area_log2, t.gradient + t.area_log2
    work.mul(t.gradient, t.gradient, 3 * n).add(product, 3 * n).add(total, 2 * n)
    work.plus(_centred(t, product, total, total, 2 * t.gradient_frac - t.hessian_frac, 3))
    work.compare(t.hessian, 2).shift(t.hessian, 3).register(t.hessian, 1, 3)  # leading one of the largest, then a barrel shift each
    work.shift(t.hessian).register(t.hessian, 1).compare(t.mantissa, 2).add(t.mantissa, 2).mul(t.mantissa, t.mantissa, 2).compare(2 * t.mantissa)
    work.mul(t.mantissa, t.mantissa).add(2 * t.mantissa)
    return work.plus(_patch_traffic(config)).write("template", config.frontend.klt_window)


def klt_iteration(config: Config) -> Work:
    """Residual window, right-hand side, 2x2 solve, step, and the tests for the border and for convergence."""
    t = tracker_widths(config)
    n = config.frontend.klt_window**2
    total, product = t.residual + t.area_log2, t.residual + t.gradient + t.area_log2
    work = Work().plus(_weights(t)).plus(_samples(t, n, t.patch_frac)).add(t.residual, n).add(total, n)
    work.mul(t.gradient, t.residual, 2 * n).add(product, 2 * n)
    work.plus(_centred(t, product, t.gradient + t.area_log2, total, t.gradient_frac + t.patch_frac - t.residual_sum_frac, 2))
    work.shift(t.residual_sum, 2).register(t.residual_sum, 1, 2)
    numerator = t.mantissa + t.right_side + 1
    work.mul(t.right_side, t.mantissa, 4).add(numerator, 2).divide(numerator + t.solve_shift, 2 * t.mantissa, 2)
    work.register(numerator + t.solve_shift, 0, 2)
    work.register(t.step, t.step_frac - t.position_frac, 2).add(t.position, 2).compare(t.position, 2 * 2)
    work.compare(t.step, 3).compare(t.position, 4)
    return work.plus(_patch_traffic(config)).read("template", config.frontend.klt_window)


def feature_tracked(config: Config) -> Work:
    """The final window of a track: residuals, their mean, the mean absolute deviation; and its way through the levels."""
    t, levels = tracker_widths(config), config.frontend.pyramid_levels
    n = config.frontend.klt_window**2
    total = t.residual + t.area_log2
    work = Work().plus(_weights(t)).plus(_samples(t, n, t.patch_frac)).add(t.residual, n).add(total, n).divide(total, t.area_bits)
    work.add(t.residual + 1, n).compare(t.residual + 1, n).add(total, n).divide(total, t.area_bits).compare(t.residual)
    work.rounded(t.position, 2 * (levels - 1)).rounded(t.position, 2).compare(t.position, 4 * (levels - 1))
    work.plus(_patch_traffic(config)).read("template", config.frontend.klt_window)
    return work.read("feature_table").write("feature_table")


def _patch_traffic(config: Config) -> Work:
    """A patch enters its register file row by row and leaves it once; what the frame store gives is counted as blocks."""
    return Work().write("patch", config.frontend.klt_window + 3).read("patch", config.frontend.klt_window + 3)


def stereo_candidate(config: Config) -> Work:
    """One candidate: the point moved along the curve, projected, and its zero-mean window against the template's."""
    p, side = config.precision, config.frontend.stereo_window
    n, area = side * side, index_bits(side * side + 1)
    sample, point = p.pixel.bits + area, p.ray.bits + 6
    work = Work().add(p.inverse_depth.bits).mul(p.translation.bits, p.inverse_depth.bits, 3)
    work.rounded(p.translation.bits + p.inverse_depth.bits, 3).add(point, 3).compare(point)
    work.divide(point + p.ray.frac_bits, point, 2).compare(point, 4).plus(projected(config))
    work.add(p.position.bits, 2).rounded(p.position.bits, 2).compare(p.position.bits, 4)
    work.add(sample, n).mul(p.pixel.bits, area, n).add(sample + 1, n)
    work.add(sample + 2, n).compare(sample + 2, n).add(sample + 2 + area, n).compare(sample + 2 + area, 2)
    return work.write("stereo_windows", side).read("stereo_windows", 2 * side)


def stereo_matched(config: Config) -> Work:
    """The checks of a match: the way back, the epipolar line, the inverse depth."""
    p = config.precision
    position, ray, point = p.position.bits, p.ray.bits, p.ray.bits + 6
    work = Work().add(position, 2).mul(position, position, 2).add(2 * position).compare(2 * position).plus(turned(config))
    work.compare(point).divide(point + p.ray.frac_bits, point, 2)
    wide = p.translation.bits + ray
    work.mul(p.translation.bits, ray, 2).add(wide, 2).rounded(wide, 2)  # e = t - t_z a
    e = p.epipolar.bits + 6
    work.mul(e, e, 2).add(2 * e).mul(e, ray, 2).add(e + ray, 3).divide(2 * e + 16, 2 * e)  # share of the line
    work.mul(point, p.translation.bits).rounded(point + p.translation.bits).add(point).mul(point, point).divide(2 * point, point).compare(p.inverse_depth.bits, 3)
    return work.read("feature_table").write("feature_table")
