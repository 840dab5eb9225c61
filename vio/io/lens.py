"""From a camera model to the table of its rays."""

from typing import NamedTuple

import numpy as np

from vio.camera import CameraModel
from vio.io.raycast import TILE

VISIBLE_RADIUS = 6.0  # |xy| up to which light reaches the picture: 80 degrees off axis


class Lens(NamedTuple):
    """Rays (x, y, 1): xy (h + 2, w + 2, 2) with a border of one pixel; tiles (rows, columns, 4), each one's range of x and of y;
    spread (h, w), the distance between neighbouring rays on the plane at depth 1.
    """

    xy: np.ndarray
    spread: np.ndarray
    tiles: np.ndarray


def lens_of(camera: CameraModel) -> Lens:
    """Rays through every pixel centre, and through a border of one pixel around the picture."""
    rows, columns = np.mgrid[-1 : camera.height + 1, -1 : camera.width + 1]
    xy = camera.unproject(np.column_stack([columns.ravel(), rows.ravel()])).reshape(camera.height + 2, camera.width + 2, 2)
    tiles = [[_range(xy[r : r + TILE + 2, c : c + TILE + 2]) for c in range(0, camera.width, TILE)] for r in range(0, camera.height, TILE)]
    across, down = 0.5 * (xy[1:-1, 2:] - xy[1:-1, :-2]), 0.5 * (xy[2:, 1:-1] - xy[:-2, 1:-1])
    area = np.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    return Lens(xy, np.sqrt(area), np.array(tiles))


def _range(xy: np.ndarray) -> tuple[float, float, float, float]:
    """Lowest and highest x, lowest and highest y."""
    (x_low, y_low), (x_high, y_high) = xy.min(axis=(0, 1)), xy.max(axis=(0, 1))
    return x_low, x_high, y_low, y_high
