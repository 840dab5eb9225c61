"""Camera model: pinhole with radial-tangential distortion (Brown 1966, in OpenCV's parameter order k1, k2, p1, p2).

Pixel centres lie on integers; uv = (column, row); a normalised point xy means the ray (x, y, 1) in the camera frame.
"""

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np


@numba.njit(cache=True)
def distort(x, y, k1, k2, p1, p2):
    """Distorted normalised point of an undistorted one, with its Jacobian: (xd, yd, dxd_dx, dxd_dy, dyd_dx, dyd_dy)."""
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + k2 * r2)
    slope = 2.0 * (k1 + 2.0 * k2 * r2)  # d radial / d r2 * 2
    xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    dxd_dx = radial + slope * x * x + 2.0 * p1 * y + 6.0 * p2 * x
    dxd_dy = slope * x * y + 2.0 * p1 * x + 2.0 * p2 * y
    dyd_dy = radial + slope * y * y + 6.0 * p1 * y + 2.0 * p2 * x
    return xd, yd, dxd_dx, dxd_dy, dxd_dy, dyd_dy


@numba.njit(cache=True)
def _project(xy, parameters, uv):
    fx, fy, cx, cy, k1, k2, p1, p2 = parameters
    for i in range(xy.shape[0]):
        xd, yd, _, _, _, _ = distort(xy[i, 0], xy[i, 1], k1, k2, p1, p2)
        uv[i, 0], uv[i, 1] = fx * xd + cx, fy * yd + cy


@numba.njit(cache=True)
def _unproject(uv, parameters, xy):
    """Newton's method on `distort`; ten steps reach double precision inside the picture."""
    fx, fy, cx, cy, k1, k2, p1, p2 = parameters
    for i in range(uv.shape[0]):
        xt, yt = (uv[i, 0] - cx) / fx, (uv[i, 1] - cy) / fy
        x, y = xt, yt
        for _ in range(10):
            xd, yd, a, b, c, d = distort(x, y, k1, k2, p1, p2)
            ex, ey = xd - xt, yd - yt
            det = a * d - b * c
            if abs(ex) + abs(ey) < 1e-14 or det <= 1e-6:
                break
            x -= (d * ex - b * ey) / det
            y -= (a * ey - c * ex) / det
        xy[i, 0], xy[i, 1] = x, y


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with radial-tangential distortion. Focal lengths and principal point in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    @cached_property
    def parameters(self) -> tuple[float, ...]:
        """(fx, fy, cx, cy, k1, k2, p1, p2) as plain floats, the form kernels take."""
        return tuple(float(v) for v in (self.fx, self.fy, self.cx, self.cy, self.k1, self.k2, self.p1, self.p2))

    def project(self, xy: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of normalised points (n, 2)."""
        xy = np.ascontiguousarray(xy, np.float64)
        uv = np.empty_like(xy)
        _project(xy, self.parameters, uv)
        return uv

    def unproject(self, uv: np.ndarray) -> np.ndarray:
        """Normalised points (n, 2) of pixels (n, 2): the exact inverse of `project` inside the picture."""
        uv = np.ascontiguousarray(uv, np.float64)
        xy = np.empty_like(uv)
        _unproject(uv, self.parameters, xy)
        return xy
