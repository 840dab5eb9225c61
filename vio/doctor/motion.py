"""Rotation between two pictures from their features alone: neither gyro nor extrinsics enter, for both are on trial.

Features come from the front end's own kernels, tracked forth and back. With unit rays f0, f1 and the motion (R, t) from the later
camera to the earlier one, a feature keeps the angle r = t . (f0 x R f1) / |t x f0| to its epipolar plane. R and t minimise the
sum of r^2 under Tukey's biweight by Levenberg-Marquardt; t starts from the generalised eigenvector of Kanatani's renormalisation
("Statistical optimization for geometric computation", 1996), R from the best pure rotation.
"""

from dataclasses import dataclass

import numpy as np

from vio import lie
from vio.camera import CameraModel
from vio.config import Config
from vio.events import new_counts
from vio.frontend import klt, pyramid
from vio.frontend.corners import allocate_workspace, corner_format, detect_corners
from vio.types import TrackStatus

MIN_TRACKS = 20  # fewer features give no rotation
_STEPS = 12
_BACK_PX = 0.3  # a track that does not come home this well is dropped
_LEAST_SIGMA = 2e-4  # rad, a tenth of a pixel: floor of the robust scale


@dataclass(frozen=True)
class PairMotion:
    """What two pictures say: `phi` (3,) the rotation vector of R_C0C1 or None, corners in the first, tracks that held, and the
    parallax: median displacement in px after the rotation is taken out."""

    phi: np.ndarray | None
    corners: int
    tracked: int
    parallax: float


class Tracker:
    """Tracks features between the pictures of one camera."""

    def __init__(self, camera: CameraModel) -> None:
        """Allocate the picture buffers."""
        config = Config()
        self._camera, self._levels, self._position = camera, config.frontend.pyramid_levels, config.precision.position
        self._klt, self._corner, self._pyramid = klt.klt_format(config), corner_format(config), pyramid.pyramid_format(config.precision)
        self._workspace = allocate_workspace(camera.height, camera.width, self._corner)
        self._counts = new_counts()
        self._old, self._new = (pyramid.allocate(camera.height, camera.width, self._levels) for _ in range(2))

    def show(self, picture: np.ndarray) -> int:
        """Take the next picture (height, width) uint8; returns the number of corners in it."""
        self._old, self._new = self._new, self._old
        pyramid.build(picture, self._new, self._pyramid, self._counts)
        self._uv = detect_corners(self._new[0], np.zeros((0, 2), np.int32), self._corner, self._workspace, self._counts)
        return len(self._uv)

    def motion(self, uv0: np.ndarray) -> PairMotion:
        """Motion from the picture before the last, whose corners uv0 (n, 2) raw were, to the last."""
        uv1, good = self._track(self._old, self._new, uv0, uv0)
        back, again = self._track(self._new, self._old, uv1, uv0)
        home = np.abs(back - uv0).max(axis=1, initial=0) <= _BACK_PX * 2**self._position.frac_bits
        kept = good & again & home
        p0, p1 = (self._position.to_float(uv[kept]) for uv in (uv0, uv1))
        return self._solved(p0, p1, len(uv0))

    @property
    def corners(self) -> np.ndarray:
        """Corners (n, 2) raw of the last picture."""
        return self._uv

    def _track(self, source: tuple, target: tuple, uv: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out, status, residual = np.empty_like(uv), np.empty(len(uv), np.uint8), np.empty(len(uv), np.int32)
        klt.track(source, target, uv, guess.copy(), self._levels - 1, self._klt, out, status, residual, self._counts)
        return out, status == TrackStatus.TRACKED

    def _solved(self, p0: np.ndarray, p1: np.ndarray, corners: int) -> PairMotion:
        if len(p0) < MIN_TRACKS:
            return PairMotion(None, corners, len(p0), np.nan)
        f0, f1 = (rays_of(self._camera, p) for p in (p0, p1))
        R = rotation_between(f0, f1)
        turned = f1 @ R.T
        parallax = self._camera.fx * np.linalg.norm(turned[:, :2] / turned[:, 2:] - f0[:, :2] / f0[:, 2:], axis=1)
        return PairMotion(lie.so3_log(R), corners, len(p0), float(np.median(parallax)))


def rays_of(camera: CameraModel, uv: np.ndarray) -> np.ndarray:
    """Unit rays (n, 3) of pixels (n, 2)."""
    xy = camera.unproject(uv)
    rays = np.column_stack([xy, np.ones(len(xy))])
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of (n, 3) or (3,) arrays; numpy's own takes five times as long on so few rows."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def rotation_between(f0: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """R (3, 3), from the later to the earlier camera, of unit rays f0, f1 (n, 3) seen before and after."""
    R = _pure_rotation(f0, f1)
    t, damping = _first_direction(f0, f1 @ R.T), 1e-3
    r, J = _residuals(f0, f1 @ R.T, t)
    for _ in range(_STEPS):
        w = _biweight(r)
        A, b, cost = J.T @ (w[:, None] * J), J.T @ (w * r), float(w @ r**2)
        d = -np.linalg.solve(A + damping * np.diag(np.diag(A) + 1e-12), b)
        R_new, t_new = lie.so3_exp(d[:3]) @ R, _moved(t, d[3:])
        r_new, J_new = _residuals(f0, f1 @ R_new.T, t_new)
        if float(w @ r_new**2) > cost:
            damping *= 10.0
            continue
        R, t, r, J, damping = R_new, t_new, r_new, J_new, 0.1 * damping
        if np.abs(d[:3]).max() < 1e-7:
            break
    return lie.orthonormalised(R)


def _residuals(f0: np.ndarray, v: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles r (n,) between rays and epipolar planes, and their derivatives (n, 5) by a left turn of v = R f1 and by `_moved`."""
    n, side = cross(f0, v), cross(t, f0)
    length = np.maximum(np.linalg.norm(side, axis=1), 1e-3)[:, None]
    r = (n @ t)[:, None] / length
    by_turn = cross(v, side) / length
    by_t = n / length - r * (t - (f0 @ t)[:, None] * f0) / length**2
    return r[:, 0], np.hstack([by_turn, by_t @ _basis(t)])


def _basis(t: np.ndarray) -> np.ndarray:
    """Two unit vectors (3, 2) across the unit vector t."""
    axis = np.zeros(3)
    axis[np.argmin(np.abs(t))] = 1.0
    first = cross(t, axis)
    first /= np.sqrt(first @ first)
    return np.stack([first, cross(t, first)], axis=1)


def _moved(t: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The unit vector t moved by d (2,) along `_basis`."""
    moved = t + _basis(t) @ d
    return moved / np.linalg.norm(moved)


def _first_direction(f0: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Direction t of the motion for a given rotation: Kanatani's renormalisation, which takes out the pull towards the viewing direction."""
    n = cross(f0, v)
    length = np.linalg.norm(n, axis=1)
    w = np.minimum(1.0, 2.0 * np.median(length) / np.maximum(length, 1e-12)) ** 2  # long ones are outliers
    noise = w.sum() * np.eye(3) - f0.T @ (w[:, None] * f0)
    values, vectors = np.linalg.eig(np.linalg.solve(noise, n.T @ (w[:, None] * n)))
    t = np.real(vectors[:, np.argmin(np.real(values))])
    return t / np.linalg.norm(t)


def _biweight(r: np.ndarray) -> np.ndarray:
    sigma = max(1.4826 * float(np.median(np.abs(r))), _LEAST_SIGMA)
    return np.maximum(1.0 - (r / (4.685 * sigma)) ** 2, 0.0) ** 2


def _pure_rotation(f0: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """Best rotation by Kabsch 1976, reweighted against outliers."""
    w = np.ones(len(f0))
    for _ in range(5):
        U, _, Vt = np.linalg.svd(f0.T @ (w[:, None] * f1))
        R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        e = np.linalg.norm(f0 - f1 @ R.T, axis=1)
        w = 1.0 / np.maximum(e, 0.5 * np.median(e) + 1e-6)
    return R
