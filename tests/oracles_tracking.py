"""Datapaths of tracker, stereo, rays and RANSAC on `CountingInt`: results equal the slow twins', operations the work table's."""

from counting import CountingInt
from oracles_counting import bits_for, zero

from vio.config import Config
from vio.fixed import Fixed

# tracker


def weights(u: int, v: int, config: Config) -> list[CountingInt]:
    """Bilinear weights w00, w01, w10, w11."""
    frac, weight = config.precision.position.frac_bits, config.precision.weight
    right, down = (CountingInt(x & (2**frac - 1), frac).enter(frac, weight) for x in (u, v))
    both = right.times(down).enter(2 * weight.frac_bits, weight)
    one = CountingInt(1 << weight.frac_bits, weight.bits)
    return [((one - right) - down) + both, right - both, down - both, both]


def sample(image, row: int, col: int, w: list[CountingInt], fmt: Fixed, config: Config) -> CountingInt:
    """Weighted sum of four pixels, border replicated, into a register."""
    p = config.precision

    def at(i: int, j: int) -> CountingInt:
        r, c = min(max(row + i, 0), len(image) - 1), min(max(col + j, 0), len(image[0]) - 1)
        return CountingInt(image[r][c], p.pixel.bits)

    a, b, c, d = (x.times(y) for x, y in zip(w, (at(0, 0), at(0, 1), at(1, 0), at(1, 1))))
    return ((a + b) + (c + d)).enter(p.weight.frac_bits, fmt)


def square(image, u: int, v: int, half: int, fmt: Fixed, config: Config) -> dict[tuple[int, int], CountingInt]:
    """Samples about a raw position by (row, column) offset."""
    frac = config.precision.position.frac_bits
    w, offsets = weights(u, v, config), range(-half, half + 1)
    return {(i, j): sample(image, (v >> frac) + i, (u >> frac) + j, w, fmt, config) for i in offsets for j in offsets}


def centred(product: CountingInt, a: CountingInt, b: CountingInt, area: int, frac: int, fmt: Fixed) -> CountingInt:
    """sum(p q) - sum(p) sum(q) / area into a register."""
    bits = max(product.bits + area.bit_length(), a.bits + b.bits)
    difference = product.times(area, area.bit_length()).wide(bits) - a.times(b)
    return difference.quotient(area, bits=area.bit_length()).enter(frac, fmt)


class Template:
    """Patch, gradients, normalised Hessian, flatness and determinant of one level."""

    def __init__(self, image, u: int, v: int, config: Config) -> None:
        p, half, side = config.precision, config.frontend.klt_window // 2, config.frontend.klt_window
        area, grow = side * side, bits_for(side * side)
        samples = square(image, u, v, half + 1, p.template, config)
        self.window = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
        self.samples = [samples[at] for at in self.window]

        def slope(ahead: CountingInt, behind: CountingInt) -> CountingInt:
            return (ahead.wide(p.template.bits + 1) - behind).enter(p.template.frac_bits + 1, p.gradient)

        self.gx = [slope(samples[i, j + 1], samples[i, j - 1]) for i, j in self.window]
        self.gy = [slope(samples[i + 1, j], samples[i - 1, j]) for i, j in self.window]
        products = [zero(2 * p.gradient.bits + grow) for _ in range(3)]
        self.sums = [zero(p.gradient.bits + grow) for _ in range(2)]
        for gx, gy in zip(self.gx, self.gy):
            products = [total + x.times(y) for total, (x, y) in zip(products, ((gx, gx), (gx, gy), (gy, gy)))]
            self.sums = [total + g for total, g in zip(self.sums, (gx, gy))]
        x, y = self.sums
        full = [centred(t, a, b, area, 2 * p.gradient.frac_bits, p.hessian) for t, (a, b) in zip(products, ((x, x), (x, y), (y, y)))]
        self._normalise(full, area, config)

    def _normalise(self, full: list[CountingInt], area: int, config: Config) -> None:
        p = config.precision
        xx, xy, yy = full[0], abs(full[1]), full[2]
        largest = xx if xx > yy else yy
        largest = xy if xy > largest else largest
        self.shift = max(largest.value.bit_length() - p.mantissa.bits + 1, 0)
        self.xx, self.xy, self.yy = (h.lowered(self.shift, p.mantissa) for h in full)
        flat = round(config.frontend.klt_min_eigenvalue * area * 2**p.hessian.frac_bits)
        least = CountingInt(flat, p.hessian.bits).lowered(self.shift, p.mantissa)
        least = least if least > 1 else CountingInt(1, p.mantissa.bits)
        m = p.mantissa.bits
        a, c, b = self.xx.wide(m + 1) - least, self.yy.wide(m + 1) - least, self.xy.times(self.xy)
        low = [self.xx < least, self.yy < least, a.times(c) < b]
        self.is_flat = any(low)
        self.determinant = (self.xx.times(self.yy) - b).fitted(p.determinant)
        self.determinant = self.determinant if self.determinant > 1 else CountingInt(1, p.determinant.bits)


def residuals(template: Template, image, u: int, v: int, config: Config) -> tuple[list[CountingInt], CountingInt]:
    """(residual registers, their sum) of the window at a position."""
    p, wide = config.precision, max(config.precision.patch.bits, config.precision.template.bits) + 1
    now = square(image, u, v, config.frontend.klt_window // 2, p.patch, config)
    total = zero(p.residual.bits + bits_for(len(template.window)))
    out = []
    for at, t in zip(template.window, template.samples):
        out.append((now[at].wide(wide) - t).enter(p.patch.frac_bits, p.residual))
        total = total + out[-1]
    return out, total


def iteration(template: Template, image, u: int, v: int, border: int, config: Config) -> tuple[tuple[int, int], tuple[int, int], bool, bool]:
    """(new position, step, whether the old one was inside, whether it converged)."""
    p, area = config.precision, len(template.window)
    low, right, bottom = border, ((len(image[0]) - 1) << p.position.frac_bits) - border, ((len(image) - 1) << p.position.frac_bits) - border
    here = CountingInt(u, p.position.bits), CountingInt(v, p.position.bits)
    inside = all([here[0] >= low, here[1] >= low, here[0] <= right, here[1] <= bottom])
    r, total = residuals(template, image, u, v, config)
    b = [zero(p.residual.bits + p.gradient.bits + bits_for(area)) for _ in range(2)]
    for gx, gy, value in zip(template.gx, template.gy, r):
        b = [b[0] + gx.times(value), b[1] + gy.times(value)]
    frac = p.gradient.frac_bits + p.residual.frac_bits
    b = [centred(s, g, total, area, frac, p.residual_sum).lowered(template.shift, p.right_side) for s, g in zip(b, template.sums)]
    up = p.step.frac_bits + p.hessian.frac_bits - p.residual_sum.frac_bits
    steps = []
    for own, other in ((template.yy.times(b[0]), template.xy.times(b[1])), (template.xx.times(b[1]), template.xy.times(b[0]))):
        numerator = (other.wide(other.bits + 1) - own) << up
        steps.append(numerator.quotient(template.determinant, p.step.rounding).fitted(p.step))
    frac = max(p.position.frac_bits, p.step.frac_bits)
    wires = max(p.position.bits + frac - p.position.frac_bits, p.step.bits + frac - p.step.frac_bits) + 1
    moved = []
    for place, step in zip(here, steps):
        lifted = CountingInt(place.value << (frac - p.position.frac_bits), wires), CountingInt(step.value << (frac - p.step.frac_bits), wires)
        moved.append((lifted[0] + lifted[1]).enter(frac, p.position).value)
    size = [abs(s) for s in steps]
    largest = size[0] if size[0] > size[1] else size[1]
    return tuple(moved), tuple(s.value for s in steps), inside, largest < max(1, 1 << max(0, p.step.frac_bits + config.frontend.klt_epsilon_log2))


def through_levels(start: tuple[int, int], guess: tuple[int, int], config: Config) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """(start of each level, coarsest first; where the search of the finest begins) of a feature that does not move on the way."""
    position, levels = config.precision.position, config.frontend.pyramid_levels
    at = [CountingInt(x, position.bits).nearest(levels - 1) for x in guess]
    starts = []
    for level in range(levels - 1, 0, -1):
        starts.append(tuple(CountingInt(x, position.bits).nearest(level).value for x in start))
        at = [CountingInt(2 * x.value, position.bits + 1).fitted(position) for x in at]
    return [*starts, start], tuple(x.value for x in at)


def finish(template: Template, image, u: int, v: int, config: Config) -> tuple[int, bool]:
    """(mean absolute deviation of the final window, whether it is too large)."""
    p, area = config.precision, len(template.window)
    r, total = residuals(template, image, u, v, config)
    mean = total.quotient(area, bits=area.bit_length())
    absolute = zero(p.residual.bits + 1 + bits_for(area))
    for value in r:
        absolute = absolute + abs(value.wide(p.residual.bits + 1) - CountingInt(mean.value, p.residual.bits))
    out = absolute.quotient(area, bits=area.bit_length())
    return out.value, out > config.frontend.klt_max_residual << p.residual.frac_bits
