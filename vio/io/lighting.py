"""Light of a scene, computed once: on a grid of points per face, from glowing boxes with soft shadows, plus ambient light.

The pictures' shadows and corners darkened by their surroundings come from here; a ray only interpolates.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from vio.io import counter_rng
from vio.io.counter_rng import mix
from vio.kernels import njit

_LAMP_SAMPLES = 5
_SKY_SAMPLES = 16
_SKY_REACH = 1.2  # m: what is further away does not darken a corner
_GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
_THREADS = 2


class Geometry(NamedTuple):
    """The part of a scene that light depends on: center, half (n, 3), R_WO (n, 3, 3), grids (n, 6, 3), glow (n,).

    A grid is (first number, points along u, points along v) of a face's light.
    """

    center: np.ndarray
    half: np.ndarray
    R_WO: np.ndarray
    grids: np.ndarray
    glow: np.ndarray


def bake(geometry: Geometry, size: int, ambient: float, seed: int) -> np.ndarray:
    """Irradiance (size,) float32 on every grid point of every face."""
    light = np.empty(size, np.float32)
    lamps = np.flatnonzero(geometry.glow > 0.0)
    key = counter_rng.stream_key(seed, 7)
    rows = _grid_rows(geometry.grids)
    with ThreadPoolExecutor(_THREADS) as pool:  # every point is written once and read never: threads cannot matter
        list(pool.map(lambda part: _bake(geometry, lamps, ambient, key, part, light), np.array_split(rows, 4 * _THREADS)))
    return light


def _grid_rows(grids: np.ndarray) -> np.ndarray:
    """All rows of all grids: (rows, 3) int64 of box, face, row."""
    counts = grids[:, :, 2].ravel()
    face = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.column_stack([face // 6, face % 6, row])


@njit(nogil=True)
def _bake(geometry, lamps, ambient, key, rows, light):
    near = np.empty(len(geometry.center), np.int64)
    for k in range(rows.shape[0]):
        _bake_row(geometry, lamps, ambient, key, rows[k, 0], rows[k, 1], rows[k, 2], near, light)


@njit
def _bake_row(geometry, lamps, ambient, key, box, face, row, near, light):
    """One row of a face's grid; the outer points lie on the border."""
    start, columns, rows = geometry.grids[box, face]
    axis = face // 2
    u_axis, v_axis = (1, 2) if axis == 0 else (0, 2) if axis == 1 else (0, 1)
    side = 1.0 if face % 2 == 1 else -1.0
    normal = geometry.R_WO[box, :, axis] * (-side if box == 0 else side)  # the room is seen from inside
    local = np.empty(3)
    local[axis] = side * geometry.half[box, axis]
    local[v_axis] = geometry.half[box, v_axis] * (2.0 * row / (rows - 1) - 1.0) * 0.999
    for column in range(columns):
        local[u_axis] = geometry.half[box, u_axis] * (2.0 * column / (columns - 1) - 1.0) * 0.999
        point = geometry.center[box] + geometry.R_WO[box] @ local + 1e-3 * normal
        at = start + row * columns + column
        seed = mix(key + np.uint64(at))
        if geometry.glow[box] > 0.0:
            light[at] = geometry.glow[box]
        else:
            light[at] = ambient * _open_sky(geometry, point, normal, seed, near) + _from_lamps(geometry, lamps, point, normal, seed, near)


@njit
def _from_lamps(geometry, lamps, point, normal, key, near):
    """Irradiance from points spread over every lamp: cosine at the surface over distance squared, where nothing is between."""
    total = 0.0
    for lamp in lamps:
        half = geometry.half[lamp]
        way = geometry.center[lamp] - point
        size = np.sqrt(half @ half)
        if way @ normal < -size:
            continue
        count = _near_segment(geometry, point, way, size, lamp, near)
        for k in range(_LAMP_SAMPLES):  # one point in each of equal parts of its length: less noise than free points
            key = mix(key + np.uint64(1))
            u = (2.0 * k + float(key & np.uint64(0xFFFF)) / 32768.0) / _LAMP_SAMPLES - 1.0
            v = float((key >> np.uint64(16)) & np.uint64(0xFFFF)) / 32768.0 - 1.0
            w = float((key >> np.uint64(32)) & np.uint64(0xFFFF)) / 32768.0 - 1.0
            way = geometry.center[lamp] + geometry.R_WO[lamp] @ np.array([u * half[0], v * half[1], w * half[2]]) - point
            distance_sq = way @ way
            cosine = (way @ normal) / np.sqrt(distance_sq)
            if cosine > 0.0 and _is_free(geometry, point, way, near, count):
                total += geometry.glow[lamp] * cosine / max(distance_sq, 0.3)  # lamps are not points: no peak beside them
    return total / _LAMP_SAMPLES


@njit
def _open_sky(geometry, point, normal, key, near):
    """Share of cosine-weighted directions in which nothing is within `_SKY_REACH`."""
    count = _near_segment(geometry, point, np.zeros(3), _SKY_REACH, 0, near)
    free = 0
    turn = float(mix(key + np.uint64(2)) & np.uint64(0xFFFF)) * (2.0 * np.pi / 65536.0)
    for k in range(_SKY_SAMPLES):  # a Fibonacci spiral over the sphere, turned at random
        z = (2.0 * k + 1.0) / _SKY_SAMPLES - 1.0
        angle = turn + k * _GOLDEN_ANGLE
        ring = np.sqrt(1.0 - z * z)
        # a point of the unit sphere around the tip of the normal has the cosine distribution
        way = normal + 0.999 * np.array([ring * np.cos(angle), ring * np.sin(angle), z])
        way *= _SKY_REACH / np.sqrt(way @ way)
        free += _is_inside(geometry, point + way) and _is_free(geometry, point, way, near, count)
    return free / _SKY_SAMPLES


@njit
def _is_inside(geometry, point):
    """Whether a point is within the room (box 0, never turned)."""
    inside = True
    for axis in range(3):
        inside = inside and abs(point[axis] - geometry.center[0, axis]) < geometry.half[0, axis]
    return inside


@njit
def _near_segment(geometry, origin, way, margin, ignored, near):
    """Put the objects whose bounding spheres come within `margin` of the segment into `near`; returns how many."""
    count = 0
    length_sq = max(way[0] * way[0] + way[1] * way[1] + way[2] * way[2], 1e-12)
    for box in range(1, geometry.center.shape[0]):
        x, y, z = geometry.center[box, 0] - origin[0], geometry.center[box, 1] - origin[1], geometry.center[box, 2] - origin[2]
        along = min(max((x * way[0] + y * way[1] + z * way[2]) / length_sq, 0.0), 1.0)
        off_sq = (x - along * way[0]) ** 2 + (y - along * way[1]) ** 2 + (z - along * way[2]) ** 2
        size = np.sqrt(geometry.half[box, 0] ** 2 + geometry.half[box, 1] ** 2 + geometry.half[box, 2] ** 2)
        if box != ignored and off_sq < (size + margin) ** 2:
            near[count] = box
            count += 1
    return count


@njit
def _is_free(geometry, origin, way, near, count):
    """Whether none of the first `count` objects of `near` cuts the segment origin .. origin + way (slab test)."""
    for index in range(count):
        box = near[index]
        first, last = 0.0, 1.0
        for axis in range(3):
            o, d = 0.0, 0.0
            for k in range(3):
                o += geometry.R_WO[box, k, axis] * (origin[k] - geometry.center[box, k])
                d += geometry.R_WO[box, k, axis] * way[k]
            if abs(d) < 1e-12:
                d = 1e-12
            a, b = (-geometry.half[box, axis] - o) / d, (geometry.half[box, axis] - o) / d
            first, last = max(first, min(a, b)), min(last, max(a, b))
        if first < last:
            return False
    return True
