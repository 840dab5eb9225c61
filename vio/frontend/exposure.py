"""The picture as a whole: whether it shows anything, and jumps of its exposure, which are taken out before tracking.

The darker one of two pictures is brightened as the camera would have. Patches are compared without their mean, so slow changes of brightness need nothing; a gain changes the gradients as well.
All in integers: gains count 64ths, and grey levels saturate at 255 as the sensor does.
"""

import numpy as np

from vio.kernels import njit

GAIN_BITS = 6
_LARGEST = 32 << GAIN_BITS


def _brightened(gain: int) -> np.ndarray:
    """Grey level (256,) after a gain in 64ths, to the nearest."""
    return np.minimum((np.arange(256, dtype=np.int64) * gain + (1 << GAIN_BITS - 1)) >> GAIN_BITS, 255)


def gain_between(darker: np.ndarray, brighter: np.ndarray) -> int:
    """Gain in 64ths, 1 to 32 times, with which the picture `darker` has the mean of `brighter` (both uint8): by bisection on its histogram."""
    histogram = np.bincount(darker.ravel(), minlength=256)
    wanted = int(brighter.sum(dtype=np.int64))
    low, high = 1 << GAIN_BITS, _LARGEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if int(histogram @ _brightened(middle)) <= wanted else (low, middle)
    return low


def brighten(levels: tuple[np.ndarray, ...], gain: int) -> tuple[np.ndarray, ...]:
    """Copies of a pyramid's levels, brightened."""
    table = _brightened(gain).astype(np.uint8)
    return tuple(table[level] for level in levels)


def texture(image: np.ndarray) -> float:
    """Mean difference of neighbouring pixels along rows and columns of a picture uint8, grey levels: next to nothing in the dark."""
    height, width = image.shape
    down, across = _differences(image)
    return down / ((height - 1) * width) + across / (height * (width - 1))


@njit
def _differences(image):
    """Sums of the absolute differences between neighbouring rows, and between neighbouring columns."""
    down, across = 0, 0
    for row in range(image.shape[0]):
        for col in range(1, image.shape[1]):
            across += abs(np.int32(image[row, col]) - np.int32(image[row, col - 1]))
        if row:
            for col in range(image.shape[1]):
                down += abs(np.int32(image[row, col]) - np.int32(image[row - 1, col]))
    return down, across


def equalised(
    previous: tuple[np.ndarray, ...], current: tuple[np.ndarray, ...], jump: float
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], bool]:
    """The two pyramids as the tracker is to see them, and whether their brightness differed by more than the factor `jump`.

    Judged by the smallest level; a picture without light is left as it is.
    """
    small, smaller = previous[-1], current[-1]
    sums = int(small.sum(dtype=np.int64)), int(smaller.sum(dtype=np.int64))
    if min(sums) < small.size or max(sums) < jump * min(sums):
        return previous, current, False
    if sums[0] < sums[1]:
        return brighten(previous, gain_between(small, smaller)), current, True
    return previous, brighten(current, gain_between(smaller, small)), True
