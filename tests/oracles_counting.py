"""Datapaths of the integer kernels on `CountingInt`, register by register: their results equal the kernels', their operations the work table's.

They take the configuration as the work table does; pictures are indexed image[row][col].
"""

from counting import CountingInt

from vio.config import Config
from vio.fixed import Fixed


def register(x: CountingInt, frac: int, fmt: Fixed) -> CountingInt:
    """A value of `frac` fraction bits into a register."""
    return x.into(frac - fmt.frac_bits, fmt.raw_min, fmt.raw_max, fmt.bits)


def bits_for(count: int) -> int:
    """Bits that tell `count` things apart."""
    return max(1, (count - 1).bit_length())


def zero(bits: int) -> CountingInt:
    """An empty accumulator."""
    return CountingInt(0, bits)


# pyramid


def binomial(a: CountingInt, b: CountingInt, c: CountingInt, d: CountingInt, e: CountingInt) -> CountingInt:
    """a + 4 b + 6 c + 4 d + e."""
    bits = a.bits
    near = ((b + d).value << 2, bits)
    six = CountingInt(c.value << 2, bits) + CountingInt(c.value << 1, bits)
    return ((a + e) + CountingInt(*near)) + six


def pyramid_pixel(image, row: int, col: int, config: Config) -> CountingInt:
    """One reduced pixel: two columns summed, the other three come from the neighbours before; here they are summed uncounted."""
    height, width, pixel = len(image), len(image[0]), config.precision.pixel.bits

    def column(x: int) -> list[CountingInt]:
        x = min(max(x, 0), width - 1)
        return [CountingInt(image[min(max(2 * row + k, 0), height - 1)][x], pixel + 4) for k in range(-2, 3)]

    def silent(x: int) -> CountingInt:
        taps = (1, 4, 6, 4, 1)
        return CountingInt(sum(t * v.value for t, v in zip(taps, column(x))), pixel + 8)

    first, second = (binomial(*column(2 * col + k)).wide(pixel + 8) for k in (1, 2))
    sums = [silent(2 * col - 2), silent(2 * col - 1), silent(2 * col), first, second]
    total = binomial(*sums) + 128
    return total >> 8


# detector


class CornerStream:
    """The detector as it streams: one `step` per pixel of a row, with the line buffers filled."""

    def __init__(self, image, config: Config) -> None:
        self.image, self.config, self.p = image, config, config.precision
        self.height, self.width, self.window = len(image), len(image[0]), config.frontend.corner_window
        self.column_bits = 2 * self.p.corner_gradient.bits - 1 + bits_for(self.window)
        self.total_bits = self.column_bits + bits_for(self.window)
        silent = CountingInt(0, 1)
        self.columns = [[silent.wide(self.column_bits)] * 3 for _ in range(self.width)]
        self.gradients: dict[tuple[int, int], tuple[int, int]] = {}
        self.totals = [silent.wide(self.total_bits)] * 3
        self.scores: dict[tuple[int, int], CountingInt] = {}
        self.peaks: dict[tuple[int, int], bool] = {}
        self.largest = CountingInt(0, self.p.corner_score.bits)

    def _gradient(self, row: int, col: int) -> tuple[CountingInt, CountingInt]:
        bits = self.p.pixel.bits + 3

        def at(i: int, j: int) -> CountingInt:
            return CountingInt(self.image[row + i][col + j], bits)

        down, up = at(1, 1) - at(-1, -1), at(-1, 1) - at(1, -1)
        across, along = (at(0, 1) - at(0, -1)) << 1, (at(1, 0) - at(-1, 0)) << 1
        gx = (down + up) + CountingInt(across.value, bits)
        gy = (down - up) + CountingInt(along.value, bits)
        return tuple(register(g, 3, self.p.corner_gradient) for g in (gx, gy))

    def begin_row(self) -> None:
        """The row sums start empty."""
        self.totals = [CountingInt(0, self.total_bits)] * 3

    def step(self, row: int, col: int) -> CountingInt:
        """Pixel (row, col) comes in: the score of the window that ends there, whole once it is full."""
        bits, old = self.p.corner_gradient.bits, self.gradients.get((row - self.window, col), (0, 0))
        gx, gy = self._gradient(row, col)
        self.gradients[row, col] = gx.value, gy.value
        ox, oy = (CountingInt(v, bits) for v in old)
        column = self.columns[col]
        left = self.columns[col - self.window] if col >= self.window + 1 else [CountingInt(0, self.column_bits)] * 3
        new = []
        for k, (a, b) in enumerate(((gx, gx), (gx, gy), (gy, gy))):
            c, d = ((ox, ox), (ox, oy), (oy, oy))[k]
            narrow = [CountingInt(product.value, self.column_bits) for product in (a.times(b), c.times(d))]
            new.append((column[k] + narrow[0]) - narrow[1])
        self.columns[col] = new
        self.totals = [(total + n.wide(self.total_bits)) - o.wide(self.total_bits) for total, n, o in zip(self.totals, new, left)]
        return self._peak(row, col, self._score())

    def _score(self) -> CountingInt:
        frac = 2 * self.p.corner_gradient.frac_bits + (self.window**2 - 1).bit_length()
        a, b, c = (register(t, frac, self.p.corner_sum) for t in self.totals)
        total, score = self.p.corner_sum.bits, self.p.corner_score
        if self.config.frontend.corner == "harris":
            mean = (a.wide(total + 1) + c) >> 1
            squared = CountingInt(mean.times(mean).value >> 2, 2 * total)
            value = (a.times(c) - b.times(b)) - squared
            out = value.into(0, score.raw_min, score.raw_max, score.bits)
        else:
            mean, half = (a.wide(total + 1) + c) >> 1, (a.wide(total + 1) - c) >> 1
            root = self._root(half.times(half) + b.times(b))
            value = mean.wide(total + 2) - CountingInt(root.value, total + 2)
            out = value.into(0, score.raw_min, score.raw_max, score.bits)
        if out > self.largest:
            self.largest = out
        return out

    def _root(self, value: CountingInt) -> CountingInt:
        bits = value.bits
        root, bit = CountingInt(0, bits), 1 << 30
        for _ in range(16):
            trial = root + bit
            fits = value >= trial
            rest = value - trial
            root = CountingInt(root.value >> 1, bits) + (bit if fits else 0)
            value = rest if fits else value
            bit >>= 2
        return root

    def _peak(self, row: int, col: int, score: CountingInt) -> CountingInt:
        """With this score the pixel above and to the left has all its neighbours: is it a peak?"""
        self.scores[row, col] = score
        at = row - 1, col - 1
        middle = self.scores.get(at, CountingInt(0, score.bits))
        near = [(at[0] + i, at[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        others = [(place, self.scores.get(place, CountingInt(0, score.bits))) for place in near]
        wins = [middle > other if place < at else middle >= other for place, other in others]
        self.peaks[at] = all(wins)
        return score


def accepted(u: int, v: int, candidates: list[tuple[int, int]], held: int, config: Config) -> tuple[list[bool], CountingInt]:
    """Which candidates (raw) of the squares around an accepted corner are too near to it, and its cell's new count.

    `candidates` has one place for every square in reach, empty ones far away.
    """
    position, frac = config.precision.position.bits, config.precision.position.frac_bits
    radius = CountingInt((config.frontend.min_distance << frac) ** 2, 2 * position)
    here = CountingInt(u, position), CountingInt(v, position)
    taken = []
    for x, y in candidates:
        dx, dy = CountingInt(x, position) - here[0], CountingInt(y, position) - here[1]
        taken.append(dx.times(dx) + dy.times(dy) < radius)
    bits = bits_for(config.frontend.max_features + 1)
    count = CountingInt(held, bits) + 1
    count < CountingInt(2**bits - 1, bits)  # noqa: B015 against the cell's quota
    return taken, count


# frame store


def encoded(block: list[int], config: Config) -> tuple[int, int, list[int]]:
    """(level, range, index of each pixel) of a 4x4 block."""
    p, pixel = config.precision, config.precision.pixel.bits
    values = [CountingInt(v, pixel) for v in block]
    dark, bright = values[0], values[0]
    for v in values[1:]:
        dark = v if v < dark else dark
        bright = v if v > bright else bright
    level = dark.into(-p.store_level.frac_bits, 0, p.store_level.raw_max, p.store_level.bits)
    base = CountingInt(level.value << -p.store_level.frac_bits, pixel)
    spread = bright - CountingInt(min(base.value, bright.value), pixel)
    span = spread.into(-p.store_range.frac_bits, 0, p.store_range.raw_max, p.store_range.bits)
    step = span.value << -p.store_range.frac_bits
    cuts = [step // 2] if config.frontend.frame_store == "block1" else [step // 6, step // 2, 5 * step // 6]
    thresholds = [base + cut if base.value + cut < 1 << pixel else CountingInt((base + 0).value, pixel) for cut in cuts]
    return level.value, span.value, [sum([v > t for t in thresholds]) for v in values]
