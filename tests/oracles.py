"""Slow transparent twins of the integer kernels, on Python integers straight from the formulas; compared with `==`.

They take the configuration and its `Fixed` registers, not the kernels' derived shifts. Pictures are indexed image[row][col].
"""

import math

from vio.config import Config
from vio.fixed import Fixed, Overflow, Rounding
from vio.types import TrackStatus


def nearest_even(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded to nearest, ties to even (denominator > 0)."""
    quotient, remainder = divmod(numerator, denominator)
    above = 2 * remainder - denominator
    return quotient + (above > 0 or (above == 0 and quotient % 2 == 1))


def rounded(numerator: int, denominator: int, rounding: Rounding) -> int:
    """numerator / denominator (> 0) rounded as a register declares."""
    if rounding is Rounding.NEAREST_EVEN:
        return nearest_even(numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator) if rounding is Rounding.NEAREST_UP else numerator // denominator


def held(raw: int, fmt: Fixed) -> int:
    """A raw value in its register: saturated or wrapped."""
    if fmt.overflow is Overflow.WRAP:
        return (raw - fmt.raw_min) % 2**fmt.bits + fmt.raw_min
    return min(max(raw, fmt.raw_min), fmt.raw_max)


def register(raw: int, frac_bits: int, fmt: Fixed) -> int:
    """A raw value of `frac_bits` fraction bits rounded and fitted into a register."""
    drop = frac_bits - fmt.frac_bits
    return held(raw * 2**-drop if drop <= 0 else rounded(raw, 2**drop, fmt.rounding), fmt)


def pixel(image, row: int, col: int) -> int:
    """Sample with replicated border."""
    return int(image[min(max(row, 0), len(image) - 1)][min(max(col, 0), len(image[0]) - 1)])


# pyramid


def sampled(image, fmt: Fixed) -> list[list[int]]:
    """A picture through the pixel register, in grey levels."""
    return [[register(int(value), 0, fmt) * 2**-fmt.frac_bits for value in row] for row in image]


def reduce_picture(image, fmt: Fixed) -> list[list[int]]:
    """One pyramid level: 5x5 binomial about every second pixel, in grey levels."""
    taps = (1, 4, 6, 4, 1)

    def sample(row: int, col: int) -> int:
        total = sum(taps[i] * taps[j] * pixel(image, row + i - 2, col + j - 2) for i in range(5) for j in range(5))
        return register(total, 8, fmt) * 2**-fmt.frac_bits

    return [[sample(row, col) for col in range(0, len(image[0]), 2)] for row in range(0, len(image), 2)]


# frame store


def stored(image, config: Config) -> tuple[list[list[int]], list[list[int]]]:
    """(code words, decoded picture)."""
    level_fmt, range_fmt = config.precision.store_level, config.precision.store_range
    bits = {"block1": 1, "block2": 2}[config.frontend.frame_store]
    height, width = len(image), len(image[0])
    words, decoded = [], [[0] * width for _ in range(height)]
    for top in range(0, height, 4):
        words.append([])
        for left in range(0, width, 4):
            block = [pixel(image, top + i, left + j) for i in range(4) for j in range(4)]
            low, high = min(block), max(block)
            if bits == 1:
                middle = (low + high + 1) // 2
                dark, bright = [p for p in block if p < middle], [p for p in block if p >= middle]
                low = nearest_even(sum(dark), len(dark)) if dark else low
                high = nearest_even(sum(bright), len(bright))
            level = register(low, 0, level_fmt)
            base = level * 2**-level_fmt.frac_bits
            spread = register(high - base, 0, range_fmt)
            span = spread * 2**-range_fmt.frac_bits
            shares = (0, 256) if bits == 1 else (0, 85, 171, 256)
            palette = [min(base + (share * span + 128) // 256, 255) for share in shares]
            index = [sum(2 * p >= a + b for a, b in zip(palette, palette[1:])) for p in block]
            packed = sum(k * 2 ** (bits * i) for i, k in enumerate(index))
            words[-1].append(packed + 2 ** (16 * bits) * (level + 2**level_fmt.bits * spread))
            for i, k in enumerate(index):
                if top + i // 4 < height and left + i % 4 < width:
                    decoded[top + i // 4][left + i % 4] = palette[k]
    return words, decoded


# corners


def sobel(image, row: int, col: int, fmt: Fixed) -> tuple[int, int]:
    """Gradient register (x, y) of one pixel; the operator's gain of 8 counts as three fraction bits."""
    weights = ((1, -1), (2, 0), (1, 1))
    gx = sum(w * (pixel(image, row + d, col + 1) - pixel(image, row + d, col - 1)) for w, d in weights)
    gy = sum(w * (pixel(image, row + 1, col + d) - pixel(image, row - 1, col + d)) for w, d in weights)
    return register(gx, 3, fmt), register(gy, 3, fmt)


def corner_score(image, row: int, col: int, config: Config) -> int:
    """Shi-Tomasi's smaller eigenvalue or Harris' response of the structure tensor about one pixel."""
    precision, side = config.precision, config.frontend.corner_window
    half = side // 2
    window = [sobel(image, row + i, col + j, precision.corner_gradient) for i in range(-half, half + 1) for j in range(-half, half + 1)]
    frac = 2 * precision.corner_gradient.frac_bits + math.ceil(math.log2(side * side))
    a = register(sum(x * x for x, _ in window), frac, precision.corner_sum)
    b = register(sum(x * y for x, y in window), frac, precision.corner_sum)
    c = register(sum(y * y for _, y in window), frac, precision.corner_sum)
    if config.frontend.corner == "harris":
        value = a * c - b * b - ((a + c) // 2) ** 2 // 4
    else:
        value = (a + c) // 2 - math.isqrt(((a - c) // 2) ** 2 + b * b)
    return held(value, precision.corner_score)


def detect(image, existing: list[tuple[int, int]], config: Config) -> list[tuple[int, int]]:
    """New corners as raw (column, row), in the order of choice."""
    frontend, frac = config.frontend, config.precision.position.frac_bits
    height, width = len(image), len(image[0])
    margin = max(frontend.border, frontend.corner_window // 2 + 2)
    rows, cols = range(margin, height - margin), range(margin, width - margin)
    room = frontend.max_features - len(existing)
    if room <= 0 or not rows or not cols:
        return []
    around = [(r, c) for r in range(margin - 1, height - margin + 1) for c in range(margin - 1, width - margin + 1)]
    score = {at: corner_score(image, *at, config) for at in around}
    squared = 2 if frontend.corner == "harris" else 1
    share = round(frontend.corner_quality * 65536) * max(0, *score.values()) // 65536
    least = max(frontend.corner_min_score**squared, 1, share)

    def is_peak(r: int, c: int) -> bool:
        near = [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        return all(score[at] < score[r, c] or (score[at] == score[r, c] and at > (r, c)) for at in near)

    def is_clear(r: int, c: int, others: list[tuple[int, int]]) -> bool:
        radius = frontend.min_distance << frac
        inside = [(u, v) for u, v in others if 0 <= u >> frac < width and 0 <= v >> frac < height]
        return all((u - (c << frac)) ** 2 + (v - (r << frac)) ** 2 >= radius**2 for u, v in inside)

    def cell(u: int, v: int) -> tuple[int, int]:
        return (v >> frac) * frontend.grid_rows // height, (u >> frac) * frontend.grid_cols // width

    block = max(2, 7 * frontend.min_distance // 10)
    best: dict[tuple[int, int], tuple[int, int, int]] = {}
    for r in rows:
        for c in cols:
            if score[r, c] >= least and is_peak(r, c) and is_clear(r, c, existing):
                key = (r // block, c // block)
                best[key] = min(best.get(key, (0, 0, 0)), (-score[r, c], r, c))
    waiting, features, quota = sorted(best.values()), list(existing), 1
    while waiting and len(features) < frontend.max_features:
        later = []
        for candidate in waiting:
            _, r, c = candidate
            held = sum(cell(*at) == cell(c << frac, r << frac) for at in features)
            if len(features) == frontend.max_features or not is_clear(r, c, features):
                continue
            if held >= quota:
                later.append(candidate)
            else:
                features.append((c << frac, r << frac))
        waiting, quota = later, quota + 1
    return features[len(existing) :]


# tracker


def interpolate(image, u: int, v: int, config: Config, into: Fixed) -> int:
    """Patch or template register at a raw position: bilinear, the four weights sum to one."""
    position, weight = config.precision.position, config.precision.weight
    one = 2**weight.frac_bits
    col, right = divmod(u, 2**position.frac_bits)
    row, down = divmod(v, 2**position.frac_bits)
    right, down = register(right, position.frac_bits, weight), register(down, position.frac_bits, weight)
    both = register(right * down, 2 * weight.frac_bits, weight)
    total = (one - right - down + both) * pixel(image, row, col) + (right - both) * pixel(image, row, col + 1)
    total += (down - both) * pixel(image, row + 1, col) + both * pixel(image, row + 1, col + 1)
    return register(total, weight.frac_bits, into)


def patch(image, u: int, v: int, half: int, config: Config, into: Fixed) -> dict[tuple[int, int], int]:
    """Samples about (u, v), keyed by (row, column) offset up to `half`."""
    frac = config.precision.position.frac_bits
    offsets = range(-half, half + 1)
    return {(i, j): interpolate(image, u + (j << frac), v + (i << frac), config, into) for i in offsets for j in offsets}


def centred(p: list[int], q: list[int]) -> int:
    """sum(p q) - sum(p) sum(q) / n, rounded."""
    return nearest_even(len(p) * sum(a * b for a, b in zip(p, q)) - sum(p) * sum(q), len(p))


class Template:
    """Patch, gradients and Hessian mantissas of one level."""

    def __init__(self, image, u: int, v: int, config: Config):
        precision, half = config.precision, config.frontend.klt_window // 2
        gradient, hessian = precision.gradient, precision.hessian
        samples = patch(image, u, v, half + 1, config, precision.template)
        self.window = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
        self.samples = [samples[at] for at in self.window]
        halved = precision.template.frac_bits + 1  # the difference spans two pixels
        self.gx = [register(samples[i, j + 1] - samples[i, j - 1], halved, gradient) for i, j in self.window]
        self.gy = [register(samples[i + 1, j] - samples[i - 1, j], halved, gradient) for i, j in self.window]
        pairs = ((self.gx, self.gx), (self.gx, self.gy), (self.gy, self.gy))
        full = [register(centred(p, q), 2 * gradient.frac_bits, hessian) for p, q in pairs]
        mantissa = precision.mantissa
        self.shift = max(max(abs(h) for h in full).bit_length() - mantissa.bits + 1, 0)
        self.xx, self.xy, self.yy = [held(rounded(h, 2**self.shift, mantissa.rounding), mantissa) for h in full]
        least = round(config.frontend.klt_min_eigenvalue * len(self.window) * 2**hessian.frac_bits)
        least = max(held(rounded(least, 2**self.shift, mantissa.rounding), mantissa), 1)
        self.is_flat = min(self.xx, self.yy) < least or (self.xx - least) * (self.yy - least) < self.xy**2


def is_outside(image, u: int, v: int, border: int, frac: int) -> bool:
    """True when the centre is nearer than `border` pixels to an edge."""
    return not (border << frac <= u <= (len(image[0]) - 1 - border) << frac and border << frac <= v <= (len(image) - 1 - border) << frac)


def step(template: Template, residual: list[int], config: Config) -> tuple[int, int]:
    """Gauss-Newton step registers -H^-1 b."""
    precision = config.precision
    frac, right_side = precision.gradient.frac_bits + precision.residual.frac_bits, precision.right_side
    solve_frac = precision.step.frac_bits + precision.hessian.frac_bits - precision.residual_sum.frac_bits
    b = []
    for g in (template.gx, template.gy):
        full = register(centred(g, residual), frac, precision.residual_sum)
        b.append(held(rounded(full, 2**template.shift, right_side.rounding), right_side))
    determinant = max(held(template.xx * template.yy - template.xy**2, precision.determinant), 1)
    x = -(template.yy * b[0] - template.xy * b[1])
    y = -(template.xx * b[1] - template.xy * b[0])
    return tuple(held(rounded(value << solve_frac, determinant, precision.step.rounding), precision.step) for value in (x, y))


def residuals(template: Template, image, u: int, v: int, config: Config) -> list[int]:
    """Residual registers of the window at (u, v)."""
    now = patch(image, u, v, config.frontend.klt_window // 2, config, config.precision.patch)
    return [held(now[at] - t, config.precision.residual) for at, t in zip(template.window, template.samples)]


def descended(template: Template, image, guess, border: int, config: Config):
    """(status, position, iterations) of the search for a template from a guess."""
    frontend, precision = config.frontend, config.precision
    frac = precision.position.frac_bits
    epsilon = max(1, 2 ** max(0, precision.step.frac_bits + frontend.klt_epsilon_log2))
    (u, v), iterations, moved = guess, 0, epsilon
    while iterations < frontend.klt_iterations and moved >= epsilon:
        if is_outside(image, u, v, border, frac):
            return TrackStatus.OUT_OF_IMAGE, (u, v), iterations
        iterations += 1
        du, dv = step(template, residuals(template, image, u, v, config), config)
        fine = max(frac, precision.step.frac_bits)
        u, v = (register(x * 2 ** (fine - frac) + d * 2 ** (fine - precision.step.frac_bits), fine, precision.position) for x, d in ((u, du), (v, dv)))
        moved = max(abs(du), abs(dv))
    if moved >= 8 * epsilon:
        return TrackStatus.NOT_CONVERGED, (u, v), iterations
    return (TrackStatus.OUT_OF_IMAGE if is_outside(image, u, v, border, frac) else TrackStatus.TRACKED), (u, v), iterations


def track_level(previous, following, start, guess, border: int, config: Config):
    """(status, position, iterations, template) of one level."""
    if is_outside(previous, *start, border, config.precision.position.frac_bits):
        return TrackStatus.OUT_OF_IMAGE, guess, 0, None
    template = Template(previous, *start, config)
    if template.is_flat:
        return TrackStatus.FLAT, guess, 0, template
    return *descended(template, following, guess, border, config), template


def mean_absolute(residual: list[int]) -> int:
    """Mean of the residuals' distance from their mean."""
    mean = nearest_even(sum(residual), len(residual))
    return nearest_even(sum(abs(r - mean) for r in residual), len(residual))


def track(pyr_prev, pyr_next, start, guess, top_level: int, config: Config):
    """(status, (u, v), residual, templates, iterations) of one feature."""
    frontend, position = config.frontend, config.precision.position
    u, v = (rounded(x, 2**top_level, position.rounding) for x in guess)
    templates = iterations = 0
    for level in range(top_level, -1, -1):
        at = tuple(rounded(x, 2**level, position.rounding) for x in start)
        border = frontend.border if level == 0 else 0
        status, found, steps, template = track_level(pyr_prev[level], pyr_next[level], at, (u, v), border, config)
        templates, iterations = templates + (template is not None), iterations + steps
        if level == 0 or status == TrackStatus.TRACKED:
            u, v = found
        if level > 0:
            u, v = (held(2 * x, position) for x in (u, v))
    if status != TrackStatus.TRACKED:
        return status, (u, v), 0, templates, iterations
    found = mean_absolute(residuals(template, pyr_next[0], u, v, config))
    is_like = found <= frontend.klt_max_residual << config.precision.residual.frac_bits
    return (TrackStatus.TRACKED if is_like else TrackStatus.RESIDUAL), (u, v), found, templates, iterations


# anchors


def anchored(image, u: int, v: int, config: Config) -> tuple[list[list[int]], tuple[int, int]]:
    """(pixels about (u, v) that the template's samples need, position within them)."""
    frac, reach = config.precision.position.frac_bits, config.frontend.klt_window // 2 + 1
    left, top = (u >> frac) - reach, (v >> frac) - reach
    side = range(2 * reach + 2)
    return [[pixel(image, top + i, left + j) for j in side] for i in side], (u - (left << frac), v - (top << frac))


def straightened(image, patch_of_birth, inside: tuple[int, int], at: tuple[int, int], reach: int, limit: int, config: Config) -> tuple[bool, tuple[int, int]]:
    """(whether the match with the patch of birth is believed, position)."""
    template = Template(patch_of_birth, *inside, config)
    if template.is_flat:
        return False, at
    status, (u, v), _ = descended(template, image, at, config.frontend.border, config)
    is_near = abs(u - at[0]) <= reach and abs(v - at[1]) <= reach
    if status != TrackStatus.TRACKED or not is_near or mean_absolute(residuals(template, image, u, v, config)) > limit:
        return False, at
    return True, (u, v)
