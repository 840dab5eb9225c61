"""From light on the sensor to grey levels: lens softness, vignetting, shot and read noise, saturation."""

import numpy as np

from vio.io.counter_rng import mix
from vio.kernels import njit

_BYTE_SUM_MEAN = 8 * 127.5
_BYTE_SUM_DEVIATION = np.sqrt(8 * (256.0**2 - 1.0) / 12.0)  # of the sum of eight independent uniform bytes


def vignetting_table(width: int, height: int, loss: float) -> np.ndarray:
    """Factor (height, width) float32 on the light: 1 in the middle, 1 - loss in the corners, falling with the square of the radius."""
    rows, columns = np.mgrid[0:height, 0:width]
    down, across = rows / (height - 1) * 2.0 - 1.0, columns / (width - 1) * 2.0 - 1.0
    radius_sq = (down**2 * height**2 + across**2 * width**2) / (height**2 + width**2)
    return (1.0 - loss * radius_sq).astype(np.float32)


@njit(nogil=True)
def develop(radiance, factor, gain, softness, read_noise, shot_noise, key, picture):
    """Fill `picture` (h, w) uint8 from `radiance` (h, w) float32; `factor` is a vignetting table, `key` names the noise.

    The lens spreads each point over its four neighbours with weight `softness` each. The noise of a pixel has variance
    read_noise^2 + shot_noise * value and is the sum of eight hashed bytes, near enough to a Gaussian (Irwin-Hall).
    """
    height, width = radiance.shape
    for i in range(height):
        above, below = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            around = radiance[above, j] + radiance[below, j] + radiance[i, left] + radiance[i, right]
            light = (1.0 - 4.0 * softness) * radiance[i, j] + softness * around
            value = 255.0 * gain * light * factor[i, j]
            word, total = mix(key + np.uint64(i * width + j)), 0
            for byte in range(8):
                total += (word >> np.uint64(8 * byte)) & np.uint64(255)
            deviation = np.sqrt(read_noise * read_noise + shot_noise * value)
            value += deviation * (total - _BYTE_SUM_MEAN) / _BYTE_SUM_DEVIATION
            picture[i, j] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
