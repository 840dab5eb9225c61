"""Pyramidal Lucas-Kanade tracking in integers, in the inverse-compositional form of Baker and Matthews 2004.

Template patch T and gradient g come from the previous picture once per level; an iteration interpolates only the next picture.
An unknown brightness offset is eliminated (each camera exposes on its own). With n window pixels and r = I(u) - T:

    H = sum g g^T - (sum g)(sum g)^T / n,   b = sum g r - (sum g)(sum r) / n,   u <- u - H^-1 b

Registers are those of `vio.precision`, in `KltFormat`. The solve divides by the determinant of the block-normalised mantissas of H.
"""

import numpy as np

from vio.events import Event
from vio.fixed import divide, fit, fit32, lower, narrow, narrow32, round_divide
from vio.frontend.klt_format import KltFormat, klt_format
from vio.frontend.patch import blend, differentiate, gather, interpolate_template, new_scratch, weights
from vio.kernels import leaf, njit
from vio.types import TrackStatus

_KLT_TEMPLATE, _KLT_ITERATION, _FEATURE_TRACKED = int(Event.KLT_TEMPLATE), int(Event.KLT_ITERATION), int(Event.FEATURE_TRACKED)
_TRACKED, _OUT_OF_IMAGE, _FLAT = int(TrackStatus.TRACKED), int(TrackStatus.OUT_OF_IMAGE), int(TrackStatus.FLAT)
_BLOCK_DECODED = int(Event.BLOCK_DECODED)
_NOT_CONVERGED, _RESIDUAL = int(TrackStatus.NOT_CONVERGED), int(TrackStatus.RESIDUAL)
_LANE = (1 << 32) - 1


@leaf(forceinline=True)
def _gradient_sums(gradient_x, gradient_y):
    """(sum gx, sum gy, sum gx gx, sum gx gy, sum gy gy) of one chunk in 32 bits."""
    x = y = xx = xy = yy = np.int32(0)
    for i in range(gradient_x.shape[0]):
        gx, gy = gradient_x[i], gradient_y[i]
        x, y = np.int32(x + gx), np.int32(y + gy)
        xx, xy, yy = np.int32(xx + np.int32(gx * gx)), np.int32(xy + np.int32(gx * gy)), np.int32(yy + np.int32(gy * gy))
    return x, y, xx, xy, yy


@leaf
def _centred(product, a, b, n, reg):
    """sum(p q) - sum(p) sum(q) / n as a register."""
    return narrow(round_divide(n * product - a * b, n), reg)


@leaf(forceinline=True)
def _differences(fmt, s):
    """Fill the template's gradients: (their sums x, y, xx, xy, yy, and how many products with a residual surely sum in 32 bits)."""
    x, y, xx, xy, yy = differentiate(fmt, s)
    squares_x, squares_y = np.int64(xx) & _LANE, np.int64(yy) & _LANE
    if max(squares_x, squares_y) <= fmt.gentle_sq:
        return np.int64(x), np.int64(y), squares_x, np.int64(xy), squares_y, s.mask.shape[0]
    total_x = total_y = total_xx = total_xy = total_yy = 0
    for start in range(0, s.mask.shape[0], fmt.chunk):
        stop = min(start + fmt.chunk, s.mask.shape[0])
        x, y, xx, xy, yy = _gradient_sums(s.gradient_x[start:stop], s.gradient_y[start:stop])
        total_x, total_y, total_xx, total_xy, total_yy = total_x + x, total_y + y, total_xx + xx, total_xy + xy, total_yy + yy
    return total_x, total_y, total_xx, total_xy, total_yy, fmt.chunk


@leaf(forceinline=True)
def _hessian(fmt, s):
    """Return (sum gx, sum gy, hxx, hxy, hyy, chunk) of the template."""
    x, y, xx, xy, yy, chunk = _differences(fmt, s)
    n = fmt.window * fmt.window
    hxx = _centred(xx, x, x, n, fmt.hessian)
    hxy = _centred(xy, x, y, n, fmt.hessian)
    hyy = _centred(yy, y, y, n, fmt.hessian)
    return x, y, hxx, hxy, hyy, chunk


@njit(inline="always")
def _residual_chunk(a, b, c, d, w00, w01, w10, w11, fmt, template, gradient_x, gradient_y, mask):
    """Interpolate one chunk and return (sum r, sum gx r, sum gy r) in 32 bits; storing nothing spares the loop its alias checks."""
    total = x = y = np.int32(0)
    for i in range(mask.shape[0]):
        sample = narrow32(blend(a[i], b[i], c[i], d[i], w00, w01, w10, w11), fmt.patch)
        r = fit32(np.int32(np.int32(sample - template[i]) & mask[i]), fmt.residual)
        total = np.int32(total + r)
        x, y = np.int32(x + np.int32(gradient_x[i] * r)), np.int32(y + np.int32(gradient_y[i] * r))
    return total, x, y


@leaf(forceinline=True)
def _residual_sums(u, v, chunk, fmt, s):
    """Residual window at (u, v) from the gathered pixels: (sum r, sum gx r, sum gy r), `chunk` products at a time."""
    stride, length = fmt.window + 3, s.mask.shape[0]
    w00, w01, w10, w11 = weights(u, v, fmt)
    total = x = y = 0
    for i in range(0, length, chunk):
        k, size = i + stride, min(chunk, length - i)
        sums = _residual_chunk(
            s.pixels[i : i + size], s.pixels[i + 1 : i + 1 + size], s.pixels[k : k + size], s.pixels[k + 1 : k + 1 + size],
            w00, w01, w10, w11, fmt, s.template[i : i + size], s.gradient_x[i : i + size], s.gradient_y[i : i + size], s.mask[i : i + size],
        )
        total, x, y = total + sums[0], x + sums[1], y + sums[2]
    return total, x, y


@leaf(forceinline=True)
def _residual_window(image, u, v, fmt, s):
    """Store the residuals at (u, v) in s.residual and return their sum."""
    stride, length, reach = fmt.window + 3, s.mask.shape[0], fmt.window // 2
    gather(image, (u >> fmt.position_frac) - reach, (v >> fmt.position_frac) - reach, fmt.window + 1, stride, s.pixels)
    w00, w01, w10, w11 = weights(u, v, fmt)
    a, b, c, d = s.pixels[:length], s.pixels[1 : length + 1], s.pixels[stride : length + stride], s.pixels[stride + 1 : length + stride + 1]
    template, mask, residual, total = s.template, s.mask, s.residual, np.int32(0)
    for i in range(length):
        sample = narrow32(blend(a[i], b[i], c[i], d[i], w00, w01, w10, w11), fmt.patch)
        residual[i] = fit32(np.int32(np.int32(sample - template[i]) & mask[i]), fmt.residual)
        total = np.int32(total + residual[i])
    return total


@leaf(forceinline=True)
def mean_absolute(image, u, v, fmt, s):
    """Mean over the window at (u, v) of |r - mean r|, in residual format."""
    n = fmt.window * fmt.window
    mean = np.int32(round_divide(np.int64(_residual_window(image, u, v, fmt, s)), n))
    absolute = np.int32(0)
    for i in range(s.mask.shape[0]):
        absolute = np.int32(absolute + np.int32(abs(np.int32(s.residual[i] - mean)) & s.mask[i]))
    return round_divide(np.int64(absolute), n)


@leaf
def _bit_length(value):
    """Bits of a non-negative integer."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@leaf
def _step(determinant, adjugate_a, adjugate_b, b_a, b_b, fmt):
    """One component of -H^-1 b as a step register: -(adjugate row . b) / determinant."""
    numerator = -(adjugate_a * b_a + adjugate_b * b_b)
    return divide(numerator << fmt.solve_up, determinant, fmt.step)


@leaf
def is_outside(u, v, border, image, fmt):
    """True when the centre is less than `border` (raw) from an edge."""
    right, bottom = (image.shape[1] - 1) << fmt.position_frac, (image.shape[0] - 1) << fmt.position_frac
    return u < border or v < border or u > right - border or v > bottom - border


@leaf
def _mantissa(value, shift, fmt):
    return fit(lower(value, shift, fmt.mantissa), fmt.mantissa)


@leaf
def _blocks_read(image, u, v, fmt):
    """Blocks of the frame store that the template's samples about (u, v) lie in."""
    height, width = image.shape
    reach, size = fmt.window // 2 + 1, fmt.store_block
    left, top = (u >> fmt.position_frac) - reach, (v >> fmt.position_frac) - reach
    right, bottom = left + fmt.window + 2, top + fmt.window + 2
    across = min(max(right, 0), width - 1) // size - min(max(left, 0), width - 1) // size + 1
    return across * (min(max(bottom, 0), height - 1) // size - min(max(top, 0), height - 1) // size + 1)


@leaf(forceinline=True)
def template(image, u, v, fmt, s, counts):
    """Template, gradients and block-normalised Hessian: (is flat, (sum gx, sum gy, hxx, hxy, hyy, normalising shift, chunk))."""
    counts[_KLT_TEMPLATE] += 1
    if fmt.store_block > 0:
        counts[_BLOCK_DECODED] += _blocks_read(image, u, v, fmt)
    interpolate_template(image, u, v, fmt, s)
    sum_x, sum_y, hxx, hxy, hyy, chunk = _hessian(fmt, s)
    shift = max(_bit_length(max(max(hxx, hyy), abs(hxy))) - fmt.mantissa_bits, 0)
    hxx, hxy, hyy = _mantissa(hxx, shift, fmt), _mantissa(hxy, shift, fmt), _mantissa(hyy, shift, fmt)
    # The smaller eigenvalue is below `least` when H - least I has a negative pivot or determinant; least > 0 keeps det H positive.
    least = max(_mantissa(fmt.flat_raw, shift, fmt), 1)
    is_flat = hxx < least or hyy < least or (hxx - least) * (hyy - least) < hxy * hxy
    return is_flat, (sum_x, sum_y, hxx, hxy, hyy, shift, chunk)


@leaf(forceinline=True)
def descend(image, u, v, border, system, fmt, s, counts):
    """Iterate from (u, v) in one level, with the system of `template`: (status, u, v)."""
    sum_x, sum_y, hxx, hxy, hyy, shift, chunk = system
    n, half = fmt.window * fmt.window, fmt.window // 2
    determinant = max(fit(hxx * hyy - hxy * hxy, fmt.determinant), 1)  # a register that wraps may leave nothing to divide by
    at_x = at_y = -(1 << 40)
    largest = 0
    for _ in range(fmt.iterations):
        if is_outside(u, v, border, image, fmt):
            return _OUT_OF_IMAGE, u, v
        x, y = u >> fmt.position_frac, v >> fmt.position_frac
        if x != at_x or y != at_y:
            gather(image, x - half, y - half, fmt.window + 1, fmt.window + 3, s.pixels)
            at_x, at_y = x, y
        counts[_KLT_ITERATION] += 1
        total, bx, by = _residual_sums(u, v, chunk, fmt, s)
        bx = _centred(bx, sum_x, total, n, fmt.residual_sum)
        by = _centred(by, sum_y, total, n, fmt.residual_sum)
        bx, by = fit(lower(bx, shift, fmt.right_side), fmt.right_side), fit(lower(by, shift, fmt.right_side), fmt.right_side)
        du, dv = _step(determinant, hyy, -hxy, bx, by, fmt), _step(determinant, -hxy, hxx, bx, by, fmt)
        u = narrow((u << fmt.position_up) + (du << fmt.step_up), fmt.moved)
        v = narrow((v << fmt.position_up) + (dv << fmt.step_up), fmt.moved)
        largest = max(abs(du), abs(dv))
        if largest < fmt.epsilon_raw:
            break
    return (_NOT_CONVERGED if largest >= fmt.divergence_raw else _TRACKED), u, v


@leaf(forceinline=True)
def _track_level(previous, following, u0, v0, u, v, border, fmt, s, counts):
    """One level: template at (u0, v0) of the previous picture, sought from (u, v): (status, u, v)."""
    if is_outside(u0, v0, border, previous, fmt):
        return _OUT_OF_IMAGE, u, v
    is_flat, system = template(previous, u0, v0, fmt, s, counts)
    if is_flat:
        return _FLAT, u, v
    status, u, v = descend(following, u, v, border, system, fmt, s, counts)
    if status == _TRACKED and is_outside(u, v, border, following, fmt):
        status = _OUT_OF_IMAGE
    return status, u, v


@leaf(forceinline=True)
def _track_one(pyr_prev, pyr_next, u0, v0, u, v, top_level, fmt, s, counts):
    """One feature through the levels: (status, u, v, residual). A coarse level that fails is skipped, the finest decides."""
    u, v = lower(u, top_level, fmt.position), lower(v, top_level, fmt.position)
    status = _TRACKED
    for level in range(top_level, -1, -1):
        border = fmt.border_raw if level == 0 else 0
        start_u, start_v = lower(u0, level, fmt.position), lower(v0, level, fmt.position)
        status, found_u, found_v = _track_level(pyr_prev[level], pyr_next[level], start_u, start_v, u, v, border, fmt, s, counts)
        if level == 0 or status == _TRACKED:
            u, v = found_u, found_v
        if level > 0:
            u, v = fit(u << 1, fmt.position), fit(v << 1, fmt.position)
    if status != _TRACKED:
        return status, u, v, 0
    residual = mean_absolute(pyr_next[0], u, v, fmt, s)
    return (_RESIDUAL if residual > fmt.max_residual_raw else _TRACKED), u, v, residual


@njit(nogil=True)
def track(pyr_prev, pyr_next, uv_prev, uv_guess, top_level, fmt, uv_out, status, residual, counts):
    """Find in the next picture the patches around `uv_prev` of the previous one.

    pyr_prev, pyr_next: tuples of (h, w) uint8 from `pyramid.build`. uv_prev, uv_guess, uv_out: (n, 2) int32, (column, row) in level 0,
    `precision.position` format; `uv_guess` is where the search starts, `uv_out` where it ended (also for lost tracks).
    top_level: coarsest level used. status: (n,) uint8 of TrackStatus: TRACKED, OUT_OF_IMAGE (centre within the border), FLAT,
    NOT_CONVERGED or RESIDUAL. residual: (n,) int32, mean |r - mean r| over the window at uv_out in `precision.residual` format (0 when lost earlier).
    """
    s = new_scratch(fmt)
    for i in range(uv_prev.shape[0]):
        u0, v0 = np.int64(uv_prev[i, 0]), np.int64(uv_prev[i, 1])
        u, v = np.int64(uv_guess[i, 0]), np.int64(uv_guess[i, 1])
        found = _track_one(pyr_prev, pyr_next, u0, v0, u, v, top_level, fmt, s, counts)
        status[i], uv_out[i, 0], uv_out[i, 1], residual[i] = found[0], found[1], found[2], found[3]
        counts[_FEATURE_TRACKED] += 1
