"""Pyramidal Lucas-Kanade tracking in integers, in the inverse-compositional form of Baker and Matthews 2004.

Template patch T and gradient g come from the previous picture once per level; an iteration interpolates only the next picture.
An unknown brightness offset is eliminated (each camera exposes on its own). With n window pixels and r = I(u) - T:

    H = sum g g^T - (sum g)(sum g)^T / n,   b = sum g r - (sum g)(sum r) / n,   u <- u - H^-1 b

Registers are those of `vio.precision`; `KltFormat` carries their shifts and limits, so a word length is data, not code.
"""

from typing import NamedTuple

import numba
import numpy as np

from vio.config import Config
from vio.errors import ConfigError
from vio.events import Event
from vio.fixed import Fixed, Rounding, narrow, narrow32, round_divide, round_shift, saturate
from vio.frontend.patch import blend, differentiate, gather, interpolate_template, new_scratch, weights
from vio.types import TrackStatus

_KLT_TEMPLATE, _KLT_ITERATION, _FEATURE_TRACKED = int(Event.KLT_TEMPLATE), int(Event.KLT_ITERATION), int(Event.FEATURE_TRACKED)
_TRACKED, _OUT_OF_IMAGE, _FLAT = int(TrackStatus.TRACKED), int(TrackStatus.OUT_OF_IMAGE), int(TrackStatus.FLAT)
_NOT_CONVERGED, _RESIDUAL = int(TrackStatus.NOT_CONVERGED), int(TrackStatus.RESIDUAL)
_PIXEL_MAX = 255  # of the uint8 container
_SOLVE_BITS = 20  # the Hessian enters the 2x2 solve as a block-normalised 20-bit mantissa, good to 1e-6
_WORD_BITS = 61  # numerator of the solve, one bit kept for the rounding of the quotient


class KltFormat(NamedTuple):
    """The tracker's configuration as plain integers; `_raw` lengths are in the format of `precision.position`."""

    window: int
    iterations: int
    border_raw: int  # a centre closer than this to the edge of level 0 is out of the image
    epsilon_raw: int  # converged when both components of a step are below
    divergence_raw: int  # not converged when the last of all iterations still moves this far
    max_residual_raw: int  # in patch format
    flat_raw: int  # smallest eigenvalue of the window-summed Hessian, in hessian format
    chunk: int  # products summed in 32 bits before they are carried to 64
    position_frac: int
    position_min: int
    position_max: int
    fraction_shift: int  # position fraction -> weight
    weight_frac: int
    weight_max: int
    patch_shift: int  # weighted sum -> patch
    patch_min: int
    patch_max: int
    gradient_shift: int
    gradient_min: int
    gradient_max: int
    hessian_shift: int
    hessian_min: int
    hessian_max: int
    residual_shift: int
    residual_min: int
    residual_max: int
    solve_max: int  # largest right-hand side that cannot overflow the solve
    solve_shift: int  # quotient -> step
    step_shift: int  # step -> position
    step_min: int
    step_max: int


def _require(holds: bool, name: str, why: str) -> None:
    if not holds:
        raise ConfigError(f"precision.{name}: {why}")


def _chunk(gradient: Fixed, patch: Fixed) -> int:
    """Largest power of two of gradient-residual products whose sum surely fits 32 bits."""
    patch_max = min(patch.raw_max, _PIXEL_MAX << patch.frac_bits)
    gradient_max = min(-gradient.raw_min, (_PIXEL_MAX << gradient.frac_bits) // 2 + 1)
    room = (2**31 - 1) // (gradient_max * max(patch_max, gradient_max))
    _require(room >= 8, "gradient", f"{gradient.bits} bits times patch does not sum in 32 bits; take fewer fraction bits")
    return 1 << min(room.bit_length() - 1, 10)


def _check(precision) -> None:
    """Refuse formats for which a 32-bit lane or a left shift would be needed."""
    position, weight, patch, gradient = precision.position, precision.weight, precision.patch, precision.gradient
    for name in ("position", "weight", "patch", "gradient", "hessian", "residual_sum", "step"):
        _require(getattr(precision, name).rounding is Rounding.NEAREST_EVEN, name, "the tracker rounds to nearest even")
    _require(weight.frac_bits <= 20, "weight", "at most 20 fraction bits")
    _require(patch.frac_bits <= weight.frac_bits, "patch", "no more fraction bits than weight")
    _require(gradient.frac_bits <= patch.frac_bits + 1, "gradient", "at most one fraction bit more than patch")
    _require(precision.hessian.frac_bits <= 2 * gradient.frac_bits, "hessian", "at most twice the fraction bits of gradient")
    _require(precision.residual_sum.frac_bits <= gradient.frac_bits + patch.frac_bits, "residual_sum", "at most gradient's plus patch's fraction bits")
    _require(position.frac_bits <= 12, "position", "at most 12 fraction bits")
    _require(precision.step.frac_bits + precision.hessian.frac_bits - precision.residual_sum.frac_bits in range(17), "step",
             "fraction bits of step plus hessian minus residual_sum must be 0 to 16")


def klt_format(config: Config) -> KltFormat:
    """Derive the tracker's integers from configuration and word lengths. Raises ConfigError for formats it cannot carry."""
    frontend, precision = config.frontend, config.precision
    position, weight, patch, gradient = precision.position, precision.weight, precision.patch, precision.gradient
    hessian, residual, step = precision.hessian, precision.residual_sum, precision.step
    _check(precision)
    solve_shift = step.frac_bits + hessian.frac_bits - residual.frac_bits
    epsilon = max(1, 1 << max(0, step.frac_bits + frontend.klt_epsilon_log2))
    return KltFormat(
        window=frontend.klt_window, iterations=frontend.klt_iterations,
        border_raw=frontend.border << position.frac_bits,
        epsilon_raw=epsilon, divergence_raw=8 * epsilon,
        max_residual_raw=frontend.klt_max_residual << patch.frac_bits,
        flat_raw=round(frontend.klt_min_eigenvalue * frontend.klt_window**2 * 2**hessian.frac_bits),
        chunk=_chunk(gradient, patch),
        position_frac=position.frac_bits, position_min=position.raw_min, position_max=position.raw_max,
        fraction_shift=position.frac_bits - weight.frac_bits, weight_frac=weight.frac_bits, weight_max=weight.raw_max,
        patch_shift=weight.frac_bits - patch.frac_bits, patch_min=patch.raw_min, patch_max=patch.raw_max,
        gradient_shift=patch.frac_bits + 1 - gradient.frac_bits, gradient_min=gradient.raw_min, gradient_max=gradient.raw_max,
        hessian_shift=2 * gradient.frac_bits - hessian.frac_bits, hessian_min=hessian.raw_min, hessian_max=hessian.raw_max,
        residual_shift=gradient.frac_bits + patch.frac_bits - residual.frac_bits,
        residual_min=residual.raw_min, residual_max=residual.raw_max,
        solve_max=(1 << (_WORD_BITS - _SOLVE_BITS - 1 - solve_shift)) - 1, solve_shift=solve_shift,
        step_shift=step.frac_bits - position.frac_bits, step_min=step.raw_min, step_max=step.raw_max,
    )


@numba.njit(cache=True, nogil=True)
def _gradient_sums(gradient_x, gradient_y):
    """(sum gx, sum gy, sum gx gx, sum gx gy, sum gy gy) of one chunk in 32 bits."""
    x = y = xx = xy = yy = np.int32(0)
    for i in range(gradient_x.shape[0]):
        gx, gy = gradient_x[i], gradient_y[i]
        x, y = np.int32(x + gx), np.int32(y + gy)
        xx, xy, yy = np.int32(xx + np.int32(gx * gx)), np.int32(xy + np.int32(gx * gy)), np.int32(yy + np.int32(gy * gy))
    return x, y, xx, xy, yy


@numba.njit(cache=True, nogil=True)
def _centred(product, a, b, n, shift, raw_min, raw_max):
    """sum(p q) - sum(p) sum(q) / n as a register."""
    return narrow(round_divide(n * product - a * b, n), shift, raw_min, raw_max)


@numba.njit(cache=True, nogil=True)
def _hessian(fmt, s):
    """Return (sum gx, sum gy, hxx, hxy, hyy) of the template."""
    x = y = xx = xy = yy = 0
    for start in range(0, s.mask.shape[0], fmt.chunk):
        stop = min(start + fmt.chunk, s.mask.shape[0])
        sums = _gradient_sums(s.gradient_x[start:stop], s.gradient_y[start:stop])
        x, y, xx, xy, yy = x + sums[0], y + sums[1], xx + sums[2], xy + sums[3], yy + sums[4]
    n = fmt.window * fmt.window
    hxx = _centred(xx, x, x, n, fmt.hessian_shift, fmt.hessian_min, fmt.hessian_max)
    hxy = _centred(xy, x, y, n, fmt.hessian_shift, fmt.hessian_min, fmt.hessian_max)
    hyy = _centred(yy, y, y, n, fmt.hessian_shift, fmt.hessian_min, fmt.hessian_max)
    return x, y, hxx, hxy, hyy


@numba.njit(cache=True, nogil=True, inline='always')
def _residual_chunk(a, b, c, d, w00, w01, w10, w11, fmt, template, gradient_x, gradient_y, mask):
    """Interpolate one chunk and return (sum r, sum gx r, sum gy r) in 32 bits; storing nothing spares the loop its alias checks."""
    total = x = y = np.int32(0)
    for i in range(mask.shape[0]):
        sample = narrow32(blend(a[i], b[i], c[i], d[i], w00, w01, w10, w11), fmt.patch_shift, fmt.patch_min, fmt.patch_max)
        r = np.int32(np.int32(sample - template[i]) & mask[i])
        total = np.int32(total + r)
        x, y = np.int32(x + np.int32(gradient_x[i] * r)), np.int32(y + np.int32(gradient_y[i] * r))
    return total, x, y


@numba.njit(cache=True, nogil=True)
def _residual_sums(u, v, fmt, s):
    """Residual window at (u, v) from the gathered pixels: (sum r, sum gx r, sum gy r)."""
    stride, length = fmt.window + 3, s.mask.shape[0]
    w00, w01, w10, w11 = weights(u, v, fmt)
    total = x = y = 0
    for i in range(0, length, fmt.chunk):
        k, size = i + stride, min(fmt.chunk, length - i)
        sums = _residual_chunk(
            s.pixels[i : i + size], s.pixels[i + 1 : i + 1 + size], s.pixels[k : k + size], s.pixels[k + 1 : k + 1 + size],
            w00, w01, w10, w11, fmt, s.template[i : i + size], s.gradient_x[i : i + size], s.gradient_y[i : i + size], s.mask[i : i + size],
        )
        total, x, y = total + sums[0], x + sums[1], y + sums[2]
    return total, x, y


@numba.njit(cache=True, nogil=True)
def _residual_window(image, u, v, fmt, s):
    """Store the residuals at (u, v) in s.residual and return their sum."""
    stride, length, reach = fmt.window + 3, s.mask.shape[0], fmt.window // 2
    gather(image, (u >> fmt.position_frac) - reach, (v >> fmt.position_frac) - reach, fmt.window + 1, stride, s.pixels)
    w00, w01, w10, w11 = weights(u, v, fmt)
    a, b, c, d = s.pixels[:length], s.pixels[1 : length + 1], s.pixels[stride : length + stride], s.pixels[stride + 1 : length + stride + 1]
    template, mask, residual, total = s.template, s.mask, s.residual, np.int32(0)
    for i in range(length):
        sample = narrow32(blend(a[i], b[i], c[i], d[i], w00, w01, w10, w11), fmt.patch_shift, fmt.patch_min, fmt.patch_max)
        residual[i] = np.int32(np.int32(sample - template[i]) & mask[i])
        total = np.int32(total + residual[i])
    return total


@numba.njit(cache=True, nogil=True)
def _mean_absolute(image, u, v, fmt, s):
    """Mean over the window at (u, v) of |r - mean r|, in patch format."""
    n = fmt.window * fmt.window
    mean = np.int32(round_divide(np.int64(_residual_window(image, u, v, fmt, s)), n))
    absolute = np.int32(0)
    for i in range(s.mask.shape[0]):
        absolute = np.int32(absolute + np.int32(abs(np.int32(s.residual[i] - mean)) & s.mask[i]))
    return round_divide(np.int64(absolute), n)


@numba.njit(cache=True, nogil=True)
def _is_flat(hxx, hxy, hyy, least):
    """True when the smaller eigenvalue is below `least`, tested without a root: H - least I has a negative pivot or determinant."""
    xx, yy = hxx - least, hyy - least
    shift = max(_bit_length(max(max(xx, yy), abs(hxy))) - 30, 0)  # products of 30 bits fit
    return xx < 0 or yy < 0 or (xx >> shift) * (yy >> shift) < (hxy >> shift) * (hxy >> shift)


@numba.njit(cache=True, nogil=True)
def _bit_length(value):
    """Bits of a non-negative integer."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@numba.njit(cache=True, nogil=True)
def _step(determinant, adjugate_a, adjugate_b, b_a, b_b, fmt):
    """One component of -H^-1 b as a step register: -(adjugate row . b) / determinant."""
    numerator = -(adjugate_a * b_a + adjugate_b * b_b)
    return narrow(round_divide(numerator << fmt.solve_shift, determinant), 0, fmt.step_min, fmt.step_max)


@numba.njit(cache=True, nogil=True)
def _is_outside(u, v, border, image, fmt):
    """True when the centre is less than `border` (raw) from an edge."""
    right, bottom = (image.shape[1] - 1) << fmt.position_frac, (image.shape[0] - 1) << fmt.position_frac
    return u < border or v < border or u > right - border or v > bottom - border


@numba.njit(cache=True, nogil=True)
def _template(image, u, v, fmt, s, counts):
    """Template, gradients and block-normalised Hessian: (is flat, sum gx, sum gy, hxx, hxy, hyy, normalising shift)."""
    counts[_KLT_TEMPLATE] += 1
    interpolate_template(image, u, v, fmt, s)
    differentiate(fmt, s)
    sum_x, sum_y, hxx, hxy, hyy = _hessian(fmt, s)
    shift = max(_bit_length(max(max(hxx, hyy), abs(hxy))) - _SOLVE_BITS, 0)
    limit = (1 << _SOLVE_BITS) - 1
    is_flat = _is_flat(hxx, hxy, hyy, fmt.flat_raw)
    hxx, hxy, hyy = narrow(hxx, shift, 0, limit), narrow(hxy, shift, -limit, limit), narrow(hyy, shift, 0, limit)
    return is_flat or hxx * hyy <= hxy * hxy, sum_x, sum_y, hxx, hxy, hyy, shift


@numba.njit(cache=True, nogil=True)
def _descend(image, u, v, border, sum_x, sum_y, hxx, hxy, hyy, shift, fmt, s, counts):
    """Iterate from (u, v) in one level: (status, u, v)."""
    n, half = fmt.window * fmt.window, fmt.window // 2
    determinant = hxx * hyy - hxy * hxy
    at_x = at_y = -(1 << 40)
    largest = 0
    for _ in range(fmt.iterations):
        if _is_outside(u, v, border, image, fmt):
            return _OUT_OF_IMAGE, u, v
        x, y = u >> fmt.position_frac, v >> fmt.position_frac
        if x != at_x or y != at_y:
            gather(image, x - half, y - half, fmt.window + 1, fmt.window + 3, s.pixels)
            at_x, at_y = x, y
        counts[_KLT_ITERATION] += 1
        total, bx, by = _residual_sums(u, v, fmt, s)
        bx = _centred(bx, sum_x, total, n, fmt.residual_shift, fmt.residual_min, fmt.residual_max)
        by = _centred(by, sum_y, total, n, fmt.residual_shift, fmt.residual_min, fmt.residual_max)
        bx, by = narrow(bx, shift, -fmt.solve_max, fmt.solve_max), narrow(by, shift, -fmt.solve_max, fmt.solve_max)
        du, dv = _step(determinant, hyy, -hxy, bx, by, fmt), _step(determinant, -hxy, hxx, bx, by, fmt)
        u = saturate(u + round_shift(du, fmt.step_shift), fmt.position_min, fmt.position_max)
        v = saturate(v + round_shift(dv, fmt.step_shift), fmt.position_min, fmt.position_max)
        largest = max(abs(du), abs(dv))
        if largest < fmt.epsilon_raw:
            break
    return (_NOT_CONVERGED if largest >= fmt.divergence_raw else _TRACKED), u, v


@numba.njit(cache=True, nogil=True)
def _track_level(previous, following, u0, v0, u, v, border, fmt, s, counts):
    """One level: template at (u0, v0) of the previous picture, sought from (u, v): (status, u, v)."""
    if _is_outside(u0, v0, border, previous, fmt):
        return _OUT_OF_IMAGE, u, v
    is_flat, sum_x, sum_y, hxx, hxy, hyy, shift = _template(previous, u0, v0, fmt, s, counts)
    if is_flat:
        return _FLAT, u, v
    status, u, v = _descend(following, u, v, border, sum_x, sum_y, hxx, hxy, hyy, shift, fmt, s, counts)
    if status == _TRACKED and _is_outside(u, v, border, following, fmt):
        status = _OUT_OF_IMAGE
    return status, u, v


@numba.njit(cache=True, nogil=True)
def _track_one(pyr_prev, pyr_next, u0, v0, u, v, top_level, fmt, s, counts):
    """One feature through the levels: (status, u, v, residual). A coarse level that fails is skipped, the finest decides."""
    u, v = round_shift(u, top_level), round_shift(v, top_level)
    for level in range(top_level, 0, -1):
        found = _track_level(pyr_prev[level], pyr_next[level], round_shift(u0, level), round_shift(v0, level), u, v, 0, fmt, s, counts)
        if found[0] == _TRACKED:
            u, v = found[1], found[2]
        u, v = narrow(u, -1, fmt.position_min, fmt.position_max), narrow(v, -1, fmt.position_min, fmt.position_max)
    status, u, v = _track_level(pyr_prev[0], pyr_next[0], u0, v0, u, v, fmt.border_raw, fmt, s, counts)
    if status != _TRACKED:
        return status, u, v, 0
    residual = _mean_absolute(pyr_next[0], u, v, fmt, s)
    return (_RESIDUAL if residual > fmt.max_residual_raw else _TRACKED), u, v, residual


@numba.njit(cache=True, nogil=True)
def track(pyr_prev, pyr_next, uv_prev, uv_guess, top_level, fmt, uv_out, status, residual, counts):
    """Find in the next picture the patches around `uv_prev` of the previous one.

    pyr_prev, pyr_next: tuples of (h, w) uint8 from `pyramid.build`. uv_prev, uv_guess, uv_out: (n, 2) int32, (column, row) in level 0,
    `precision.position` format; `uv_guess` is where the search starts, `uv_out` where it ended (also for lost tracks).
    top_level: coarsest level used. status: (n,) uint8 of TrackStatus: TRACKED, OUT_OF_IMAGE (centre within the border), FLAT,
    NOT_CONVERGED or RESIDUAL. residual: (n,) int32, mean |r - mean r| over the window at uv_out in `precision.patch` format (0 when lost earlier).
    """
    s = new_scratch(fmt)
    for i in range(uv_prev.shape[0]):
        found = _track_one(pyr_prev, pyr_next, np.int64(uv_prev[i, 0]), np.int64(uv_prev[i, 1]), np.int64(uv_guess[i, 0]), np.int64(uv_guess[i, 1]),
                           top_level, fmt, s, counts)
        status[i], uv_out[i, 0], uv_out[i, 1], residual[i] = found[0], found[1], found[2], found[3]
        counts[_FEATURE_TRACKED] += 1
