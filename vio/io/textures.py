"""Procedural textures, every one tileable, baked to mip-mapped uint8 pyramids when rendering starts.

Values are albedo times 255. A pyramid lies flat in memory: level 0 (SIZE x SIZE), then each level a quarter of the one before.
"""

from functools import lru_cache

import numpy as np

from vio.io import counter_rng
from vio.io.counter_rng import mix
from vio.kernels import njit

SIZE = 1024
LEVELS = 11
LEVEL_OFFSETS = np.cumsum([0] + [(SIZE >> level) ** 2 for level in range(LEVELS - 1)])
PYRAMID = int(LEVEL_OFFSETS[-1]) + 1  # bytes of one texture

NAMES = ("plaster", "brick", "planks", "tiles", "mosaic", "poster", "concrete", "carton", "lattice", "wood", "print", "flat")
PLASTER, BRICK, PLANKS, TILES, MOSAIC, POSTER, CONCRETE, CARTON, LATTICE, WOOD, PRINT, FLAT = range(len(NAMES))


@njit(inline="always")
def _lattice_value(key, column, row):
    """Uniform number in [0, 1) of a lattice point."""
    word = mix(key + np.uint64(column) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(row) * np.uint64(0xC2B2AE3D27D4EB4F))
    return float(word >> np.uint64(11)) * 2.0**-53


@njit
def _add_octave(picture, key, columns, rows, weight):
    """Add value noise with `columns` x `rows` cells per tile, smoothly interpolated."""
    size = picture.shape[0]
    for i in range(size):
        y = i * rows / size
        row = int(y)
        fy = (y - row) ** 2 * (3.0 - 2.0 * (y - row))
        below = (row + 1) % rows
        for j in range(size):
            x = j * columns / size
            column = int(x)
            fx = (x - column) ** 2 * (3.0 - 2.0 * (x - column))
            right = (column + 1) % columns
            top = _lattice_value(key, column, row) * (1.0 - fx) + _lattice_value(key, right, row) * fx
            bottom = _lattice_value(key, column, below) * (1.0 - fx) + _lattice_value(key, right, below) * fx
            picture[i, j] += weight * (top * (1.0 - fy) + bottom * fy - 0.5)


def _noise(seed: int, columns: int, rows: int, octaves: int, gain: float = 0.6) -> np.ndarray:
    """Fractal value noise (SIZE, SIZE) around 0, from cells of SIZE / columns texels to `octaves` halvings of them."""
    picture = np.zeros((SIZE, SIZE))
    for octave in range(octaves):
        _add_octave(picture, counter_rng.stream_key(seed, octave), columns << octave, rows << octave, gain**octave)
    return picture


@njit
def _cells(key, cells, size):
    """Voronoi cells of a jittered lattice: (tone in [0, 1) of the nearest cell, distance to the border in cells)."""
    tone, border = np.empty((size, size)), np.empty((size, size))
    for i in range(size):
        for j in range(size):
            y, x = i * cells / size, j * cells / size
            best, second, nearest = 9.0, 9.0, 0.0
            for dr in range(-1, 2):
                for dc in range(-1, 2):
                    row, column = int(y) + dr, int(x) + dc
                    wrapped_row, wrapped_column = row % cells, column % cells
                    py = row + _lattice_value(key, wrapped_column, wrapped_row)
                    px = column + _lattice_value(key, wrapped_column + cells, wrapped_row)
                    distance = (y - py) ** 2 + (x - px) ** 2
                    if distance < best:
                        second, best = best, distance
                        nearest = _lattice_value(key, wrapped_column, wrapped_row + cells)
                    elif distance < second:
                        second = distance
            tone[i, j], border[i, j] = nearest, np.sqrt(second) - np.sqrt(best)
    return tone, border


@njit
def _paint_shapes(picture, shapes):
    """Paint rotated rectangles and ellipses over each other; shapes rows: centre (2), half sizes (2), cos, sin, tone, round."""
    size = picture.shape[0]
    for k in range(shapes.shape[0]):
        cy, cx, a, b, c, s, tone, is_round = shapes[k]
        reach = int(np.sqrt(a * a + b * b)) + 1
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                u, v = (c * j + s * i) / a, (c * i - s * j) / b
                inside = u * u + v * v < 1.0 if is_round > 0.5 else abs(u) < 1.0 and abs(v) < 1.0
                if inside:
                    picture[(int(cy) + i) % size, (int(cx) + j) % size] = tone


def _shapes(seed: int, count: int, small: float, large: float, tilted: bool = True) -> np.ndarray:
    """Random shapes for `_paint_shapes`, sizes spread evenly over the logarithm from `large` down to `small` texels."""
    u = counter_rng.uniform(seed, count=7 * count).reshape(7, count)
    sizes = large * (small / large) ** np.sort(u[0])  # large ones first, so that small ones remain visible
    angle = np.pi * u[3] * tilted
    aspect = 0.35 + 0.65 * u[4]
    return np.column_stack([SIZE * u[1], SIZE * u[2], sizes, sizes * aspect, np.cos(angle), np.sin(angle), u[5], u[6] > 0.7])


def _grid(columns: int, rows: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masonry: integer (column, row) of each texel's stone and its position (across, down) in [0, 1) within it."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows).astype(np.int64)
    along = x * columns + shift * row
    column = np.floor(along).astype(np.int64)
    return column % columns, row, along - np.floor(along), y * rows - row


def _joints(across: np.ndarray, down: np.ndarray, width: float, height: float) -> np.ndarray:
    """Where the joints between stones are."""
    return (across < width) | (down < height)


def _plaster(seed: int) -> np.ndarray:
    picture = 0.72 + 0.22 * _noise(seed, 3, 3, 5, 0.7) + 0.16 * _noise(seed + 1, 48, 48, 4, 0.8)
    _, border = _cells(counter_rng.stream_key(seed, 90), 7, SIZE)
    cracks = (border < 0.012 + 0.01 * _noise(seed + 2, 16, 16, 3)) & (_noise(seed + 3, 3, 3, 3) > 0.05)
    spots = np.ones((SIZE, SIZE))
    _paint_shapes(spots, _with_tones(_shapes(seed + 4, 260, 1.5, 14.0), 0.35, 0.85))
    return np.where(cracks, 0.25, picture * spots)


def _with_tones(shapes: np.ndarray, low: float, high: float) -> np.ndarray:
    shapes[:, 6] = low + (high - low) * shapes[:, 6]
    return shapes


def _stone_tones(seed: int, columns: int, rows: int) -> np.ndarray:
    return counter_rng.uniform(seed, count=columns * rows).reshape(rows, columns)


def _brick(seed: int) -> np.ndarray:
    column, row, across, down = _grid(16, 40, 0.5)
    tone = 0.25 + 0.4 * _stone_tones(seed, 16, 40)[row, column] + 0.25 * _noise(seed + 1, 40, 40, 4, 0.8)
    return np.where(_joints(across, down, 0.07, 0.16), 0.72 + 0.2 * _noise(seed + 2, 64, 64, 3), tone)


def _planks(seed: int) -> np.ndarray:
    column, row, across, down = _grid(3, 12, 13.0 / 12.0)
    tone = 0.35 + 0.3 * _stone_tones(seed, 3, 12)[row, column]
    return np.where(_joints(across, down, 0.008, 0.05), 0.08, tone + _grain(seed + 1))


def _grain(seed: int) -> np.ndarray:
    """Wood fibres along the columns, with knots."""
    fibres = 0.28 * _noise(seed, 3, 48, 4, 0.8)
    knots = np.zeros((SIZE, SIZE))
    for ring, tone in ((1.0, -0.28), (0.6, -0.1), (0.35, -0.42)):
        shapes = _shapes(seed + 1, 26, 5.0, 16.0, tilted=False)
        shapes[:, 2:4] *= ring
        shapes[:, 6], shapes[:, 7] = tone, 1.0
        _paint_shapes(knots, shapes)
    return fibres + knots


def _wood(seed: int) -> np.ndarray:
    return 0.68 + _grain(seed) + 0.15 * _noise(seed + 2, 2, 5, 2)


def _tiles(seed: int) -> np.ndarray:
    column, row, across, down = _grid(8, 8, 0.0)
    chess = np.where((column + row) % 2 == 0, 0.62, 0.30)
    tone = chess + 0.16 * (_stone_tones(seed, 8, 8)[row, column] - 0.5) + 0.2 * _noise(seed + 1, 24, 24, 5, 0.75)
    worn = np.ones((SIZE, SIZE))
    _paint_shapes(worn, _with_tones(_shapes(seed + 2, 420, 1.5, 22.0), 0.5, 1.35))
    return np.where(_joints(across, down, 0.03, 0.03), 0.12, tone * worn)


def _mosaic(seed: int) -> np.ndarray:
    large, border = _cells(counter_rng.stream_key(seed), 14, SIZE)
    small, _ = _cells(counter_rng.stream_key(seed + 1), 44, SIZE)
    picture = 0.1 + 0.6 * large + 0.3 * (small - 0.5) * (large > 0.3) + 0.12 * _noise(seed + 2, 64, 64, 3)
    return np.where(border < 0.05, 0.85, picture)


def _poster(seed: int) -> np.ndarray:
    picture = np.full((SIZE, SIZE), 0.8)
    _paint_shapes(picture, _with_tones(_shapes(seed, 500, 4.0, 170.0), 0.05, 0.95))
    return picture + 0.06 * _noise(seed + 1, 64, 64, 3)


def _concrete(seed: int) -> np.ndarray:
    pores = np.ones((SIZE, SIZE))
    _paint_shapes(pores, _with_tones(_shapes(seed + 1, 1500, 1.0, 9.0), 0.3, 1.3))
    return (0.5 + 0.5 * _noise(seed, 5, 5, 7, 0.72)) * pores


def _carton(seed: int) -> np.ndarray:
    picture = 0.52 + 0.12 * _noise(seed, 4, 128, 2) + 0.1 * _noise(seed + 1, 6, 6, 4)
    labels = np.zeros((SIZE, SIZE))
    _paint_shapes(labels, _with_tones(_shapes(seed + 2, 14, 50.0, 130.0, tilted=False) * [1, 1, 1, 1, 1, 1, 1, 0], 0.8, 0.95))
    return np.where(labels > 0.0, labels * _writing(seed + 3), picture)


def _writing(seed: int) -> np.ndarray:
    """Lines of dark strokes, as print seen from too far to read: factors in {0.12, 1}."""
    column, row, across, down = _grid(128, 48, 0.0)
    inked = _stone_tones(seed, 128, 48)[row, column] > 0.35
    return np.where(inked & (down > 0.35) & (across > 0.25), 0.12, 1.0)


def _print(seed: int) -> np.ndarray:
    picture = 0.86 * _writing(seed)
    blocks = np.zeros((SIZE, SIZE))
    _paint_shapes(blocks, _with_tones(_shapes(seed + 1, 40, 24.0, 120.0, tilted=False), 0.05, 0.9))
    return np.where(blocks > 0.0, blocks, picture)


def _lattice(seed: int) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    warp = 0.02 * _noise(seed, 6, 6, 3)
    u, v = (x + y + warp) * 20 % 1.0, (x - y - warp) * 20 % 1.0
    strands = (u < 0.22) | (v < 0.22)
    return np.where(strands, 0.85 + 0.2 * _noise(seed + 1, 64, 64, 2), 0.12 + 0.3 * (_noise(seed + 2, 20, 20, 4) + 0.3))


def _flat(seed: int) -> np.ndarray:
    return 0.62 + 0.03 * _noise(seed, 4, 4, 3)


_MAKERS = (_plaster, _brick, _planks, _tiles, _mosaic, _poster, _concrete, _carton, _lattice, _wood, _print, _flat)


@lru_cache(maxsize=4)
def baked(seed: int) -> np.ndarray:
    """Every texture of `NAMES` as a flat mip-map pyramid: len(NAMES) times PYRAMID uint8, read-only."""
    stack = np.concatenate([_pyramid(make(seed * 1000 + 50 * number)) for number, make in enumerate(_MAKERS)])
    stack.setflags(write=False)
    return stack


def _pyramid(albedo: np.ndarray) -> np.ndarray:
    """Flat pyramid of an albedo picture (SIZE, SIZE): each level the 2 x 2 mean of the one before, rounded once from float."""
    level = np.clip(albedo, 0.03, 0.97)
    flat = []
    for _ in range(LEVELS):
        flat.append(np.rint(255.0 * level).astype(np.uint8).ravel())
        if level.shape[0] > 1:
            level = 0.25 * (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2])
    return np.concatenate(flat)
