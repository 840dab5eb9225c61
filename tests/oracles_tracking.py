"""Datapaths of tracker, rays, stereo and RANSAC on `CountingInt`: results equal the slow twins', operations the work table's."""

from counting import CountingInt
from oracles_counting import bits_for, register, zero

from vio.config import Config
from vio.fixed import Fixed

# tracker


def weights(u: int, v: int, config: Config) -> list[CountingInt]:
    """Bilinear weights w00, w01, w10, w11."""
    position, weight = config.precision.position, config.precision.weight
    mask = 2**position.frac_bits - 1
    right, down = (register(CountingInt(x & mask, position.frac_bits), position.frac_bits, weight) for x in (u, v))
    both = register(right.times(down), 2 * weight.frac_bits, weight)
    one = CountingInt(1 << weight.frac_bits, weight.bits)
    return [((one - right) - down) + both, right - both, down - both, both]


def sample(image, row: int, col: int, w: list[CountingInt], fmt: Fixed, config: Config) -> CountingInt:
    """Weighted sum of four pixels, border replicated, into a register."""
    pixel, weight = config.precision.pixel.bits, config.precision.weight

    def at(i: int, j: int) -> CountingInt:
        r, c = min(max(row + i, 0), len(image) - 1), min(max(col + j, 0), len(image[0]) - 1)
        return CountingInt(image[r][c], pixel)

    a, b, c, d = (x.times(y) for x, y in zip(w, (at(0, 0), at(0, 1), at(1, 0), at(1, 1))))
    return register((a + b) + (c + d), weight.frac_bits, fmt)


def square(image, u: int, v: int, half: int, fmt: Fixed, config: Config) -> dict[tuple[int, int], CountingInt]:
    """Samples about a raw position by (row, column) offset."""
    frac = config.precision.position.frac_bits
    w, offsets = weights(u, v, config), range(-half, half + 1)
    return {(i, j): sample(image, (v >> frac) + i, (u >> frac) + j, w, fmt, config) for i in offsets for j in offsets}


def centred(product: CountingInt, a: CountingInt, b: CountingInt, area: int, frac: int, fmt: Fixed) -> CountingInt:
    """sum(p q) - sum(p) sum(q) / area into a register."""
    bits = max(product.bits + area.bit_length(), a.bits + b.bits)
    difference = product.times(area, area.bit_length()).wide(bits) - a.times(b)
    return register(difference.divided(area, area.bit_length()), frac, fmt)


class Template:
    """Patch, gradients, normalised Hessian, flatness and determinant of one level."""

    def __init__(self, image, u: int, v: int, config: Config) -> None:
        p, half = config.precision, config.frontend.klt_window // 2
        area, grow = config.frontend.klt_window**2, bits_for(config.frontend.klt_window**2)
        samples = square(image, u, v, half + 1, p.patch, config)
        self.window = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
        self.samples = [samples[at] for at in self.window]
        wide = p.patch.bits + 1

        def slope(ahead: CountingInt, behind: CountingInt) -> CountingInt:
            return register(ahead.wide(wide) - behind, p.patch.frac_bits + 1, p.gradient)

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
        hessian = config.precision.hessian
        largest = CountingInt(abs(full[0].value), hessian.bits)
        for other in full[1:]:  # magnitudes; the leading one is found on the larger
            larger = CountingInt(abs(other.value), hessian.bits)
            largest = larger if larger > largest else largest
        self.shift = max(largest.value.bit_length() - 20, 0)
        limit = 2**20 - 1
        self.xx, self.xy, self.yy = (self._mantissa(h, -limit, limit) for h in full)
        flat = round(config.frontend.klt_min_eigenvalue * area * 2**hessian.frac_bits)
        least = self._mantissa(CountingInt(min(flat, 2 ** (hessian.bits - 1) - 1), hessian.bits), 1, limit)
        a, c, b = self.xx - least, self.yy - least, self.xy.times(self.xy)
        low = [self.xx < least, self.yy < least]
        self.is_flat = bool(sum([*low, a.times(c) < b]))
        self.determinant = self.xx.times(self.yy) - b

    def _mantissa(self, h: CountingInt, low: int, high: int) -> CountingInt:
        """Shifted by the common exponent, rounded, limited; the hardware always has the rounding adder in the way."""
        out = h.barrel(self.shift)
        if self.shift == 0:
            out + 0  # noqa: B018 the adder passes the value
            clipped = CountingInt(out.value, h.bits - 1 if abs(out.value) < 2 ** (h.bits - 2) else h.bits)
            [clipped.wide(h.bits - 1) < 0, clipped.wide(h.bits - 1) > 0]  # noqa: B018
            return CountingInt(min(max(out.value, low), high), 21)
        down = CountingInt(_nearest(out.value, self.shift), h.bits - 1)
        out + 0  # noqa: B018
        [down < low, down > high]  # noqa: B018
        return CountingInt(min(max(down.value, low), high), 21)


def _nearest(value: int, shift: int) -> int:
    quotient, remainder = divmod(value, 1 << shift)
    above = 2 * remainder - (1 << shift)
    return quotient + (above > 0 or (above == 0 and quotient % 2 == 1))
