"""Random numbers as a pure function of (seed, stream, counter): no state, so the order of evaluation cannot matter."""

import numpy as np

from vio.kernels import njit

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@njit(inline="always")
def mix(x):
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of uint64 whose output bits look independent."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def _words(key, first, count):
    words = np.empty(count, np.uint64)
    for i in range(count):
        words[i] = mix(key + np.uint64(first + i + 1) * np.uint64(0x9E3779B97F4A7C15))
    return words


def stream_key(seed: int, *path: int) -> np.uint64:
    """Key of the stream that the integers of `path` name below `seed`; different paths give unrelated streams."""
    key = seed & _MASK
    for step in path:
        key = (key * 0xD1342543DE82EF95 + (step + 1) * _GOLDEN) & _MASK
        key = int(_words(np.uint64(key), 0, 1)[0])
    return np.uint64(key)


def uniform(seed: int, *path: int, count: int, first: int = 0) -> np.ndarray:
    """`count` float64 numbers in (0, 1), neither end included, of which the first is number `first` of the stream."""
    return ((_words(stream_key(seed, *path), first, count) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def gaussian(seed: int, *path: int, shape: tuple[int, int], first: int = 0, rows: int | None = None) -> np.ndarray:
    """Standard normal numbers (Box and Muller 1958): `rows` rows (default: all) of a table of the given shape, from row `first`."""
    width, rows = shape[1], shape[0] if rows is None else rows
    part = rows * width
    radius = uniform(seed, *path, count=part, first=first * width)
    angle = uniform(seed, *path, count=part, first=(shape[0] + first) * width)
    return (np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle)).reshape(rows, width)
