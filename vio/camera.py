"""Camera models: three lenses, each a radial factor of the ray, and for the first a tangential term.

radial-tangential (Brown 1966, OpenCV's order k1, k2, p1, p2); equidistant (Kannala and Brandt 2006, k1..k4, OpenCV's fisheye);
double sphere (Usenko, Demmel and Cremers 2018, xi and alpha). Pixel centres lie on integers; uv = (column, row); a normalised
point xy means the ray (x, y, 1) in the camera frame, so only what lies ahead has one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vio.kernels import njit

FIELD_RADIUS = 1.75  # |xy| up to which a wide lens is used, 60 degrees off axis: further out one pixel is much on the plane of the rays
_FAR = 12.0  # |xy| given to pixels that see further off axis than 85 degrees, or behind
RADIAL_TANGENTIAL, EQUIDISTANT, DOUBLE_SPHERE = 0, 1, 2


@njit
def radial_factor(kind, r2, c0, c1, c2, c3):
    """Factor by which a lens of this kind scales a ray with x^2 + y^2 = r2, and its derivative by r2."""
    if kind == EQUIDISTANT:
        return _equidistant(r2, c0, c1, c2, c3)
    if kind == DOUBLE_SPHERE:
        return _double_sphere(r2, c0, c1)
    return 1.0 + r2 * (c0 + c1 * r2), c0 + 2.0 * c1 * r2


@njit
def _equidistant(r2, k1, k2, k3, k4):
    """theta_d / r with theta_d = theta (1 + k1 theta^2 + ... + k4 theta^8), theta = atan r."""
    if r2 < 1e-5:  # the Taylor series, for the difference below would cancel
        return 1.0 + r2 * (k1 - 1.0 / 3.0 + r2 * (0.2 - k1 + k2)), k1 - 1.0 / 3.0 + 2.0 * r2 * (0.2 - k1 + k2)
    r = np.sqrt(r2)
    theta = np.arctan(r)
    bent, slope = _bent(theta, k1, k2, k3, k4)
    return bent / r, (slope * r / (1.0 + r2) - bent) / (2.0 * r2 * r)


@njit
def _bent(theta, k1, k2, k3, k4):
    """theta_d and its derivative by theta."""
    t2 = theta * theta
    bent = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    return bent, 1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))


@njit
def _double_sphere(r2, xi, alpha):
    """Equations 40 to 42 of the paper for the point (x, y, 1)."""
    d1 = np.sqrt(1.0 + r2)
    k, dk = xi * d1 + 1.0, 0.5 * xi / d1
    d2 = np.sqrt(r2 + k * k)
    factor = 1.0 / (alpha * d2 + (1.0 - alpha) * k)
    return factor, -factor * factor * (alpha * (0.5 + k * dk) / d2 + (1.0 - alpha) * dk)


@njit
def distort(kind, x, y, c0, c1, c2, c3):
    """Distorted normalised point of an undistorted one, with its Jacobian: (xd, yd, dxd_dx, dxd_dy, dyd_dx, dyd_dy)."""
    p1, p2 = (c2, c3) if kind == RADIAL_TANGENTIAL else (0.0, 0.0)
    r2 = x * x + y * y
    radial, slope = radial_factor(kind, r2, c0, c1, c2, c3)
    slope = 2.0 * slope  # d radial / dx = slope x
    xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    dxd_dx = radial + slope * x * x + 2.0 * p1 * y + 6.0 * p2 * x
    dxd_dy = slope * x * y + 2.0 * p1 * x + 2.0 * p2 * y
    dyd_dy = radial + slope * y * y + 6.0 * p1 * y + 2.0 * p2 * x
    return xd, yd, dxd_dx, dxd_dy, dxd_dy, dyd_dy


@njit
def _undistort_newton(xt, yt, k1, k2, p1, p2):
    """Newton's method on `distort`; ten steps reach double precision inside the picture."""
    x, y = xt, yt
    for _ in range(10):
        xd, yd, a, b, c, d = distort(RADIAL_TANGENTIAL, x, y, k1, k2, p1, p2)
        ex, ey = xd - xt, yd - yt
        det = a * d - b * c
        if abs(ex) + abs(ey) < 1e-14 or det <= 1e-6:
            break
        x -= (d * ex - b * ey) / det
        y -= (a * ey - c * ex) / det
    return x, y


@njit
def _equidistant_radius(rd, k1, k2, k3, k4):
    """tan(theta) at a distorted radius: Newton's method in theta, halved where it would leave the quarter circle."""
    theta = min(rd, 1.4)
    for _ in range(30):
        bent, slope = _bent(theta, k1, k2, k3, k4)
        if abs(bent - rd) < 1e-15 or slope <= 1e-6:
            break
        step = theta - (bent - rd) / slope
        theta = 0.5 * (theta + 1.57) if step > 1.57 else max(step, 0.5 * theta)
    bent, _ = _bent(theta, k1, k2, k3, k4)
    return np.tan(theta) if abs(bent - rd) < 1e-9 else _FAR


@njit
def _double_sphere_radius(rd, xi, alpha):
    """|xy| at a distorted radius: equations 46 to 50 of the paper."""
    r2 = rd * rd
    inside = 1.0 - (2.0 * alpha - 1.0) * r2
    if inside < 0.0:
        return _FAR
    mz = (1.0 - alpha * alpha * r2) / (alpha * np.sqrt(inside) + 1.0 - alpha)
    under = mz * mz + (1.0 - xi * xi) * r2
    if under < 0.0:
        return _FAR
    scale = (mz * xi + np.sqrt(under)) / (mz * mz + r2)
    z = scale * mz - xi
    return scale * rd / z if z > 1e-3 else _FAR


@njit
def _project(kind, xy, parameters, uv, jacobian):
    fx, fy, cx, cy, c0, c1, c2, c3 = parameters
    for i in range(xy.shape[0]):
        xd, yd, a, b, c, d = distort(kind, xy[i, 0], xy[i, 1], c0, c1, c2, c3)
        uv[i, 0], uv[i, 1] = fx * xd + cx, fy * yd + cy
        jacobian[i, 0, 0], jacobian[i, 0, 1], jacobian[i, 1, 0], jacobian[i, 1, 1] = fx * a, fx * b, fy * c, fy * d


@njit
def _unproject(kind, uv, parameters, xy):
    fx, fy, cx, cy, c0, c1, c2, c3 = parameters
    for i in range(uv.shape[0]):
        xt, yt = (uv[i, 0] - cx) / fx, (uv[i, 1] - cy) / fy
        if kind == RADIAL_TANGENTIAL:
            xy[i, 0], xy[i, 1] = _undistort_newton(xt, yt, c0, c1, c2, c3)
            continue
        rd = np.sqrt(xt * xt + yt * yt)
        radius = _equidistant_radius(rd, c0, c1, c2, c3) if kind == EQUIDISTANT else _double_sphere_radius(rd, c0, c1)
        scale = min(radius, _FAR) / rd if rd > 1e-9 else 1.0 / radial_factor(kind, 0.0, c0, c1, c2, c3)[0]
        xy[i, 0], xy[i, 1] = xt * scale, yt * scale


@dataclass(frozen=True)
class CameraModel(ABC):
    """What every camera has: size, focal lengths and principal point in pixels, and the way from rays to pixels and back."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    @abstractmethod
    def kind(self) -> int:
        """The lens, as kernels number it."""

    @property
    @abstractmethod
    def coefficients(self) -> tuple[float, ...]:
        """The lens's own parameters, at most four."""

    @cached_property
    def parameters(self) -> tuple[float, ...]:
        """(fx, fy, cx, cy) and four coefficients as plain floats, the form kernels take."""
        four = (*self.coefficients, 0.0, 0.0, 0.0)[:4]
        return tuple(float(v) for v in (self.fx, self.fy, self.cx, self.cy, *four))

    @property
    def tangential(self) -> tuple[float, float]:
        """(p1, p2), zero for lenses that are symmetric about their axis."""
        return 0.0, 0.0

    def radial(self, r2: np.ndarray) -> np.ndarray:
        """Radial factor at squared ray radii r2 (n,)."""
        return np.array([radial_factor(self.kind, value, *self.parameters[4:])[0] for value in np.asarray(r2, np.float64)])

    def project(self, xy: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of normalised points (n, 2)."""
        return self.project_with_jacobian(xy)[0]

    def project_with_jacobian(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 2) of normalised points (n, 2), and d_uv_d_xy (n, 2, 2)."""
        xy = np.ascontiguousarray(xy, np.float64)
        uv, jacobian = np.empty_like(xy), np.empty((len(xy), 2, 2))
        _project(self.kind, xy, self.parameters, uv, jacobian)
        return uv, jacobian

    def unproject(self, uv: np.ndarray) -> np.ndarray:
        """Normalised points (n, 2) of pixels (n, 2): the exact inverse of `project` where `in_view`; finite everywhere."""
        uv = np.ascontiguousarray(uv, np.float64)
        xy = np.empty_like(uv)
        _unproject(self.kind, uv, self.parameters, xy)
        return xy

    def unproject_with_jacobian(self, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised points (n, 2) of pixels (n, 2), and d_xy_d_uv (n, 2, 2)."""
        xy = self.unproject(uv)
        return xy, np.linalg.inv(self.project_with_jacobian(xy)[1])

    def in_view(self, uv: np.ndarray) -> np.ndarray:
        """Whether pixels (n, 2) have a ray of their own within `FIELD_RADIUS`: (n,) bool."""
        xy = self.unproject(uv)
        radius = np.hypot(xy[:, 0], xy[:, 1])
        return (radius <= FIELD_RADIUS) & (np.abs(self.project(xy) - uv).max(axis=1, initial=0.0) < 0.01)


@dataclass(frozen=True)
class Camera(CameraModel):
    """Pinhole camera with radial-tangential distortion."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    @property
    def kind(self) -> int:
        """The lens, as kernels number it."""
        return RADIAL_TANGENTIAL

    @property
    def coefficients(self) -> tuple[float, ...]:
        """(k1, k2, p1, p2)."""
        return self.k1, self.k2, self.p1, self.p2

    @property
    def tangential(self) -> tuple[float, float]:
        """(p1, p2)."""
        return self.p1, self.p2


@dataclass(frozen=True)
class EquidistantCamera(CameraModel):
    """Fisheye camera: the image radius is a polynomial of the angle off axis."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    @property
    def kind(self) -> int:
        """The lens, as kernels number it."""
        return EQUIDISTANT

    @property
    def coefficients(self) -> tuple[float, ...]:
        """(k1, k2, k3, k4)."""
        return self.k1, self.k2, self.k3, self.k4


@dataclass(frozen=True)
class DoubleSphereCamera(CameraModel):
    """Fisheye camera: two unit spheres `xi` apart, then a pinhole shifted by alpha / (1 - alpha)."""

    xi: float = 0.0
    alpha: float = 0.5

    @property
    def kind(self) -> int:
        """The lens, as kernels number it."""
        return DOUBLE_SPHERE

    @property
    def coefficients(self) -> tuple[float, ...]:
        """(xi, alpha)."""
        return self.xi, self.alpha
