"""Datapaths of the integer kernels on `CountingInt`, register by register: their results equal the kernels', their operations the work table's.

They take the configuration as the work table does; pictures are indexed image[row][col].
"""

from counting import CountingInt

from vio.config import Config


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
    return binomial(*sums).enter(8, config.precision.pyramid_sample)


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
        return tuple(g.enter(3, self.p.corner_gradient) for g in (gx, gy))

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
        a, b, c = (t.enter(frac, self.p.corner_sum) for t in self.totals)
        total, score = self.p.corner_sum.bits, self.p.corner_score
        if self.config.frontend.corner == "harris":
            mean = (a.wide(total + 1) + c) >> 1
            squared = CountingInt(mean.times(mean).value >> 2, 2 * total)
            value = (a.times(c) - b.times(b)) - squared
            out = value.fitted(score)
        else:
            mean, half = (a.wide(total + 1) + c) >> 1, (a.wide(total + 1) - c) >> 1
            root = self._root(half.times(half) + b.times(b))
            value = mean.wide(total + 2) - CountingInt(root.value, total + 2)
            out = value.fitted(score)
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


def accepted(u: int, v: int, candidates: list[tuple[int, int]], held: int, quota: int, config: Config) -> tuple[list[bool], int, bool]:
    """Which candidates (raw) of the squares around an accepted corner are too near to it, its cell's new count, and whether more may come.

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
    return taken, count.value, count < quota


# frame store


def palette(low: CountingInt, span: CountingInt, config: Config) -> list[CountingInt]:
    """Grey levels from the darkest one and the range."""
    pixel = config.precision.pixel.bits

    def limited(x: CountingInt) -> CountingInt:
        wide = low.wide(pixel + 1) + x
        return CountingInt(255, pixel) if wide > 255 else wide.wide(pixel + 1)

    if config.frontend.frame_store == "block1":
        return [low, limited(span)]
    thirds = [CountingInt((span.times(k, 8) + 128).value >> 8, pixel) for k in (85, 171)]
    return [low, *(limited(x) for x in (*thirds, span))]


def encoded(block: list[int], config: Config) -> tuple[int, int, list[int]]:
    """(level, range, index of each pixel) of a 4x4 block."""
    p, pixel = config.precision, config.precision.pixel.bits
    values = [CountingInt(v, pixel) for v in block]
    low, high = values[0], values[0]
    for v in values[1:]:
        low = v if v < low else low
        high = v if v > high else high
    if config.frontend.frame_store == "block1":
        low, high = _means(values, low, high, pixel)
    level = low.enter(0, p.store_level)
    base = CountingInt(level.value << -p.store_level.frac_bits, pixel)
    span = (high.wide(pixel + 1) - base).enter(0, p.store_range)
    levels = palette(base, CountingInt(span.value << -p.store_range.frac_bits, pixel), config)
    cuts = [a.wide(pixel + 1) + b for a, b in zip(levels, levels[1:])]
    indices = []
    for v in values:
        above = [CountingInt(2 * v.value, pixel + 1) >= cut for cut in cuts]
        index = CountingInt(above[0], 2)
        for bit in above[1:]:
            index = index + int(bit)
        indices.append(index.value)
    return level.value, span.value, indices


def _means(values: list[CountingInt], low: CountingInt, high: CountingInt, pixel: int) -> tuple[CountingInt, CountingInt]:
    """Means of the pixels below the middle of low and high and of the others."""
    middle = CountingInt(((low.wide(pixel + 1) + high) + 1).value >> 1, pixel)
    total, below, count = zero(pixel + 4), zero(pixel + 4), zero(5)
    for v in values:
        is_below = v < middle
        total, below, count = total + v, below + (v if is_below else 0), count + int(is_below)
    others, rest = total - below, 16 - count
    dark = below.quotient(CountingInt(max(count.value, 1), 5))
    bright = others.quotient(rest)
    return (CountingInt(dark.value, pixel) if count.value else low), CountingInt(bright.value, pixel)
