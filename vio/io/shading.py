"""Brightness of a point on a face: texture averaged over the footprint of a pixel, times the baked light."""

import numpy as np

from vio.io import textures
from vio.kernels import njit

_MAX_STRETCH = 4.0  # samples along a slanted footprint
_SHARPNESS = 1.2  # texels per pixel: a real lens is a little softer than the finest texture that would not alias
_BITS, _LEVELS, _STARTS, _PYRAMID = textures.LEVELS - 1, textures.LEVELS, textures.LEVEL_OFFSETS, textures.PYRAMID

# columns of the table of faces
TEXTURE, TEXELS_PER_M, TONE, TURNED, SHIFT_U, SHIFT_V = range(6)
LIGHT_START, LIGHT_COLUMNS, LIGHT_ROWS, LIGHT_PER_M_U, LIGHT_PER_M_V, HALF_U, HALF_V = range(6, 13)


@njit(inline="always")
def _bilinear(texels, start, bits, u, v):
    """Wrapped bilinear sample, times 2^16, of a level of 2^bits x 2^bits texels; u, v in 1/256 texels of that level.

    In integers, because turning eight bytes into floats would take longer than all the rest.
    """
    column, row, fu, fv = u >> 8, v >> 8, u & 255, v & 255
    mask = (1 << bits) - 1
    left, right = column & mask, (column + 1) & mask
    top, below = start + ((row & mask) << bits), start + (((row + 1) & mask) << bits)
    upper = int(texels[np.uint64(top + left)]) * (256 - fu) + int(texels[np.uint64(top + right)]) * fu
    lower = int(texels[np.uint64(below + left)]) * (256 - fu) + int(texels[np.uint64(below + right)]) * fu
    return upper * (256 - fv) + lower * fv


@njit(inline="always")
def _level_of(width):
    """Level, and its fraction in 1/256, whose texels are `width` fine ones wide: log2, straight between powers of two.

    Exponent and first bits of the mantissa are read from the number itself (IEEE 754), as no call could be quicker.
    """
    bits = np.float64(max(width * _SHARPNESS, 1.0)).view(np.int64)
    return min((bits >> 52) - 1023, _LEVELS - 2), (bits >> 44) & 255


@njit(inline="always")
def _albedo(texels, texture, u, v, step_u, step_v, samples, width):
    """Mean texel of `samples` points, step_u and step_v texels apart, around (u, v), each `width` texels wide."""
    level, blend = _level_of(width)
    bits = _BITS - level
    fine = texture * _PYRAMID + _STARTS[level]
    coarse = fine + (1 << 2 * bits)
    scale = 256.0 / (1 << level)
    step_u, step_v = step_u * scale, step_v * scale
    # 2^40 keeps the coordinates positive, so that cutting off the fraction rounds down; it is a multiple of every size
    first = 0.5 - 0.5 * samples
    u, v = u * scale + first * step_u + 2.0**40, v * scale + first * step_v + 2.0**40
    total = 0
    for _ in range(samples):
        uk, vk = int(u), int(v)
        total += (256 - blend) * _bilinear(texels, fine, bits, uk - 128, vk - 128)
        total += blend * _bilinear(texels, coarse, bits - 1, (uk >> 1) - 128, (vk >> 1) - 128)
        u, v = u + step_u, v + step_v
    return total / (samples * 2.0**24)


@njit(inline="always")
def _irradiance(light, start, columns, rows, x, y):
    """Baked light at column x, row y of a face's grid."""
    x, y = min(max(x, 0.0), columns - 1.001), min(max(y, 0.0), rows - 1.001)
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    at = start + row * columns + column
    upper = light[at] * (1.0 - fx) + light[at + 1] * fx
    lower = light[at + columns] * (1.0 - fx) + light[at + columns + 1] * fx
    return upper * (1.0 - fy) + lower * fy


@njit(inline="always")
def shade(faces, row, light, texels, u, v, du, dv, dn, width):
    """Radiance at (u, v) m from the middle of the face in row `row` of the table.

    (du, dv, dn) is the ray in the axes of the face, dn along its normal; `width` is what a pixel covers across the ray, in m.
    Along its slope it covers more: then several samples are taken in that direction.
    """
    columns, rows = int(faces[row, LIGHT_COLUMNS]), int(faces[row, LIGHT_ROWS])
    x, y = (u + faces[row, HALF_U]) * faces[row, LIGHT_PER_M_U], (v + faces[row, HALF_V]) * faces[row, LIGHT_PER_M_V]
    irradiance = _irradiance(light, int(faces[row, LIGHT_START]), columns, rows, x, y)
    if faces[row, TURNED] > 0.5:
        u, v, du, dv = v, u, dv, du
    per_m = faces[row, TEXELS_PER_M]
    slope_sq = du * du + dv * dv
    stretch_sq = 1.0 + slope_sq / max(dn * dn, 1e-9)
    samples, step = 1, 0.0
    width *= per_m
    if stretch_sq > 2.25:
        stretch = np.sqrt(stretch_sq)
        samples = int(min(stretch, _MAX_STRETCH) + 0.5)
        step = width * stretch / (samples * np.sqrt(slope_sq))
        width = max(width, width * stretch / _MAX_STRETCH)
    u, v = u * per_m + faces[row, SHIFT_U], v * per_m + faces[row, SHIFT_V]
    return faces[row, TONE] * irradiance * _albedo(texels, int(faces[row, TEXTURE]), u, v, step * du, step * dv, samples, width)
