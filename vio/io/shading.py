"""Brightness of a point on a face: texture averaged over the footprint of a pixel, times the baked light."""

import numba
import numpy as np

from vio.io import textures

MAX_STRETCH = 4.0  # samples along a slanted footprint
_LOD_BIAS = 0.25  # octaves: a real lens is a little softer than the finest texture that would not alias
_SIZE, _LEVELS, _STARTS = textures.SIZE, textures.LEVELS, textures.LEVEL_OFFSETS

# columns of the table of faces
TEXTURE, TEXELS_PER_M, TONE, TURNED, SHIFT_U, SHIFT_V, LIGHT_START, LIGHT_COLUMNS, LIGHT_ROWS, FACE_COLUMNS = range(10)


@numba.njit(cache=True, inline="always", error_model="numpy")
def _bilinear(texels, texture, start, size, u, v):
    """Wrapped bilinear sample of one level; u, v in texels of that level."""
    u, v = u - 0.5, v - 0.5
    column, row = int(np.floor(u)), int(np.floor(v))
    fu, fv = u - column, v - row
    left, right = column & (size - 1), (column + 1) & (size - 1)
    top, below = start + (row & (size - 1)) * size, start + ((row + 1) & (size - 1)) * size
    upper = texels[texture, top + left] * (1.0 - fu) + texels[texture, top + right] * fu
    lower = texels[texture, below + left] * (1.0 - fu) + texels[texture, below + right] * fu
    return upper * (1.0 - fv) + lower * fv


@numba.njit(cache=True, error_model="numpy")
def _albedo(texels, texture, u, v, du, dv, width, stretch, length):
    """Mean texel over a footprint of `width` x `length` texels around (u, v), the long side along the unit vector (du, dv)."""
    lod = min(max(np.log2(width) + _LOD_BIAS, 0.0), _LEVELS - 2.001)
    level = int(lod)
    start, size, scale, blend = _STARTS[level], _SIZE >> level, 1.0 / (1 << level), lod - level
    samples = int(np.ceil(stretch - 0.25))
    total = 0.0
    for k in range(samples):
        along = ((k + 0.5) / samples - 0.5) * length
        uk, vk = (u + along * du) * scale, (v + along * dv) * scale
        fine = _bilinear(texels, texture, start, size, uk, vk)
        if blend > 0.0:
            fine += blend * (_bilinear(texels, texture, start + size * size, size >> 1, 0.5 * uk, 0.5 * vk) - fine)
        total += fine
    return total / samples


@numba.njit(cache=True, inline="always", error_model="numpy")
def _irradiance(light, start, columns, rows, across, up):
    """Baked light at a position across, up in [0, 1] of a face."""
    x, y = min(max(across, 0.0), 1.0) * (columns - 1), min(max(up, 0.0), 1.0) * (rows - 1)
    column, row = min(int(x), columns - 2), min(int(y), rows - 2)
    fx, fy = x - column, y - row
    at = start + row * columns + column
    upper = light[at] * (1.0 - fx) + light[at + 1] * fx
    lower = light[at + columns] * (1.0 - fx) + light[at + columns + 1] * fx
    return upper * (1.0 - fy) + lower * fy


@numba.njit(cache=True, error_model="numpy")
def shade(face, light, texels, u, v, half_u, half_v, du, dv, width, slant):
    """Radiance at (u, v) m from the middle of a face (a row of the table), whose half sizes are half_u, half_v.

    width: m that a pixel covers across the view; slant >= 1 times that along the unit vector (du, dv).
    """
    across, up = 0.5 + 0.5 * u / half_u, 0.5 + 0.5 * v / half_v
    irradiance = _irradiance(light, int(face[LIGHT_START]), int(face[LIGHT_COLUMNS]), int(face[LIGHT_ROWS]), across, up)
    if face[TURNED] > 0.5:
        u, v, du, dv = v, u, dv, du
    per_m = face[TEXELS_PER_M]
    length = width * slant * per_m
    stretch = min(slant, MAX_STRETCH)
    narrow = max(width * per_m, length / MAX_STRETCH)
    albedo = _albedo(texels, int(face[TEXTURE]), u * per_m + face[SHIFT_U], v * per_m + face[SHIFT_V], du, dv, narrow, stretch, length)
    return albedo * face[TONE] * irradiance
