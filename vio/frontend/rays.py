"""Pixels to rays and back in integers: a table for the undistortion, a radial table and two products for the distortion.

A ray is a normalised image point (x, y), the direction (x, y, 1), raw in `precision.ray`. Undistortion has no closed form, so
it is sampled every 8 pixels, or closer where the lens bends more, and interpolated; the radial factor of the distortion is a
function of r^2 alone, for every lens that `vio.camera` knows, and is sampled every 2**_RADIUS_LOG2. Against the exact model
with EuRoC's lens: undistortion below 0.08 px (corners; median 0.013), distortion below 0.01 px.
"""

import math
from typing import NamedTuple

import numpy as np

from vio.camera import FIELD_RADIUS, CameraModel
from vio.errors import ConfigError
from vio.events import Event
from vio.fixed import Register, divide, narrow
from vio.frontend.carried import check_rays
from vio.kernels import leaf, njit
from vio.precision import Logs, Precision
from vio.types import TrackStatus

_GRID_LOG2 = (3, 2, 1)  # pixels between samples, the first that is close enough: the error grows with the square of the spacing
_GRID_ERROR = 0.1  # px
_MARGIN = 32  # pixels sampled beyond the border, so that a feature on its way out still has a ray
_RADIUS_LOG2 = -6  # spacing of the radial table in r^2
_RADIUS_MAX = 16.0  # r^2 where the radial table ends at the latest (76 degrees off axis)
_RAY_LOOKUP = int(Event.RAY_LOOKUP)
_TRACKED, _OUT_OF_IMAGE = int(TrackStatus.TRACKED), int(TrackStatus.OUT_OF_IMAGE)


class RayFormat(NamedTuple):
    """Shifts, limits and lens constants of the ray kernels, plain integers."""

    position_frac: int
    ray_frac: int
    rotation_frac: int
    distortion_frac: int
    focal_frac: int
    cell_log2: int  # raw position bits inside one cell of the ray table
    origin: int  # raw position of the border's negative, added before the cell index is taken
    radius_log2: int  # raw r^2 bits inside one cell of the radial table
    fx: int
    fy: int
    cx: int
    cy: int
    p1: int
    p2: int
    field_sq: int  # raw r^2, with twice the fraction bits of a ray, up to which the lens is used
    sampled: Register  # weighted sum of four table entries -> ray
    radius_sq: Register
    factor: Register  # interpolated radial factor -> distortion
    tangential: Register  # -> distortion
    distorted: Register  # -> distortion
    position: Register  # focal length times distorted coordinate -> position
    turned: Register  # third component of a rotated ray -> ray
    ray: Register  # quotient of two components


class Lens(NamedTuple):
    """A camera in integers: table (rows, cols, 2) int32 rays, radial (m,) int32 factors, and their format."""

    table: np.ndarray
    radial: np.ndarray
    fmt: RayFormat


def make_lens(camera: CameraModel, precision: Precision, logs: Logs | None = None) -> Lens:
    """Quantise a camera: sample its undistortion on a pixel grid and its radial factor on a grid of r^2.

    Raises ConfigError for a picture that is larger than the position format, or a focal length beyond its own.
    """
    _check_range(camera, precision)
    grid_log2 = next((g for g in _GRID_LOG2 if _grid_error(camera, g) < _GRID_ERROR), _GRID_LOG2[-1])
    uv = _grid(camera, grid_log2)
    xy = camera.unproject(uv.reshape(-1, 2))
    table = precision.ray.to_raw(xy).astype(np.int32).reshape(uv.shape)
    # where the lens model folds back, no ray lands on the pixel: such rays must not stretch the radial table
    valid = abs(camera.project(xy) - uv.reshape(-1, 2)).max(1) < 0.01
    reach = min((xy[valid] ** 2).sum(1).max(initial=2.0**_RADIUS_LOG2), _RADIUS_MAX)
    radius_bits = min(-_RADIUS_LOG2, precision.radius_sq.frac_bits)
    r2 = np.arange(int(np.ceil(reach * 2.0**radius_bits)) + 2) * 2.0**-radius_bits
    radial = precision.distortion.to_raw(camera.radial(r2)).astype(np.int32)
    return Lens(np.ascontiguousarray(table), radial, _ray_format(camera, precision, radius_bits, grid_log2, logs))


def _check_range(camera: CameraModel, precision: Precision) -> None:
    """Refuse what would saturate without a word: a 4K picture in the position format of a VGA chip."""
    for name, value in (("position", max(camera.width, camera.height) - 1), ("focal", max(camera.fx, camera.fy, camera.cx, camera.cy))):
        register = getattr(precision, name)
        bits = math.floor(math.log2(max(value, 1))) + 1 + register.frac_bits + int(register.signed)
        if bits > register.bits:
            raise ConfigError(f"precision.{name}: {register.bits} bits do not hold {value:g} px of a {camera.width}x{camera.height} camera; --set precision.{name}.bits={bits}")


def visible_blocks(camera: CameraModel, block: int) -> np.ndarray:
    """Which squares of `block` pixels have their centre in view, row-major: (n,) uint8."""
    v, u = np.arange(0, camera.height, block), np.arange(0, camera.width, block)
    corners = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2).astype(np.float64)
    return camera.in_view(corners + (block - 1) / 2).astype(np.uint8)


def _grid(camera: CameraModel, grid_log2: int, margin: int = _MARGIN) -> np.ndarray:
    """Pixels (rows, cols, 2) that far apart, `margin` beyond the picture."""
    step = 1 << grid_log2
    u = np.arange(-margin, camera.width + margin + step, step, dtype=np.float64)
    v = np.arange(-margin, camera.height + margin + step, step, dtype=np.float64)
    return np.stack(np.meshgrid(u, v), -1)


def _grid_error(camera: CameraModel, grid_log2: int) -> float:
    """Largest error in pixels in the middle of a cell, where interpolation is worst, among the cells in view."""
    uv = _grid(camera, grid_log2, 0)
    xy = camera.unproject(uv.reshape(-1, 2)).reshape(uv.shape)
    centre, mean = (0.25 * (c[:-1, :-1] + c[1:, :-1] + c[:-1, 1:] + c[1:, 1:]).reshape(-1, 2) for c in (uv, xy))
    seen = camera.in_view(centre) & (centre < (camera.width, camera.height)).all(1)
    return float(abs(camera.project(mean[seen]) - centre[seen]).max(initial=0.0))


def _ray_format(camera: CameraModel, p: Precision, radius_bits: int, grid_log2: int, logs: Logs | None) -> RayFormat:
    position, ray, distortion, focal = p.position, p.ray, p.distortion, p.focal
    p1, p2 = (int(distortion.to_raw(value)) for value in camera.tangential)
    check_rays(p, grid_log2, 4 * max(abs(p1), abs(p2)) + 2 * min(abs(p1), abs(p2)))
    return RayFormat(
        *(position.frac_bits, ray.frac_bits, p.rotation.frac_bits, distortion.frac_bits, focal.frac_bits),
        *(position.frac_bits + grid_log2, _MARGIN << position.frac_bits, p.radius_sq.frac_bits - radius_bits),
        *(int(focal.to_raw(value)) for value in (camera.fx, camera.fy, camera.cx, camera.cy)),
        *(p1, p2),
        round(FIELD_RADIUS**2 * 4.0**ray.frac_bits),
        sampled=p.register("ray", ray.frac_bits + 2 * (position.frac_bits + grid_log2), logs),
        radius_sq=p.register("radius_sq", 2 * ray.frac_bits, logs),
        factor=p.register("distortion", distortion.frac_bits + p.radius_sq.frac_bits - radius_bits, logs),
        tangential=p.register("distortion", distortion.frac_bits + 2 * ray.frac_bits, logs),
        distorted=p.register("distortion", distortion.frac_bits + ray.frac_bits, logs),
        position=p.register("position", focal.frac_bits + distortion.frac_bits, logs),
        turned=p.register("ray", p.rotation.frac_bits + ray.frac_bits, logs),
        ray=p.register("ray", ray.frac_bits, logs),
    )


@leaf
def undistort_point(u, v, table, fmt):
    """Raw ray (x, y) of a raw pixel (u, v): bilinear in the table; pixels beyond it take its border cell."""
    shift, last = fmt.cell_log2, (1 << fmt.cell_log2) - 1
    u, v = max(u + fmt.origin, 0), max(v + fmt.origin, 0)
    u, v = min(u, ((table.shape[1] - 1) << shift) - 1), min(v, ((table.shape[0] - 1) << shift) - 1)
    col, row = u >> shift, v >> shift
    a, b = u & last, v & last
    # the four weights add up to exactly 2**(2 shift), so a constant table comes out unchanged
    w11 = a * b
    w01, w10 = (a << shift) - w11, (b << shift) - w11
    w00 = (1 << (2 * shift)) - w01 - w10 - w11
    x = w00 * table[row, col, 0] + w01 * table[row, col + 1, 0] + w10 * table[row + 1, col, 0] + w11 * table[row + 1, col + 1, 0]
    y = w00 * table[row, col, 1] + w01 * table[row, col + 1, 1] + w10 * table[row + 1, col, 1] + w11 * table[row + 1, col + 1, 1]
    return narrow(x, fmt.sampled), narrow(y, fmt.sampled)


@leaf(forceinline=True)
def radial_factor(r2, radial, fmt):
    """Raw radial factor at raw r^2 (`precision.radius_sq`), linear in the table, constant beyond its end.

    The constant keeps the distortion monotonic where the polynomial would fold back into the picture.
    """
    index = r2 >> fmt.radius_log2
    if index >= radial.shape[0] - 1:
        return np.int64(radial[radial.shape[0] - 1])
    weight = r2 & ((1 << fmt.radius_log2) - 1)
    mixed = radial[index] * ((1 << fmt.radius_log2) - weight) + radial[index + 1] * weight
    return narrow(mixed, fmt.factor)


@leaf(forceinline=True)
def distort_point(x, y, radial, fmt):
    """Raw pixel (u, v) of a raw ray (x, y), saturated to the position format. Brown's model as in `camera.distort`."""
    xx, yy, xy = x * x, y * y, x * y
    factor = radial_factor(narrow(xx + yy, fmt.radius_sq), radial, fmt)
    # tangential terms carry 2 ray_frac more fraction bits than the distorted coordinate
    tangential_x = narrow(2 * fmt.p1 * xy + fmt.p2 * (3 * xx + yy), fmt.tangential)
    tangential_y = narrow(fmt.p1 * (xx + 3 * yy) + 2 * fmt.p2 * xy, fmt.tangential)
    xd = narrow((x * factor) + (tangential_x << fmt.ray_frac), fmt.distorted)
    yd = narrow((y * factor) + (tangential_y << fmt.ray_frac), fmt.distorted)
    u = narrow(fmt.fx * xd + (fmt.cx << fmt.distortion_frac), fmt.position)
    v = narrow(fmt.fy * yd + (fmt.cy << fmt.distortion_frac), fmt.position)
    return u, v


@leaf
def rotate_point(x, y, R, fmt):
    """Rotate the ray (x, y, 1) by R (3, 3) raw: (x', y', z), the new raw ray and the raw third component, 0 if behind."""
    one = 1 << fmt.ray_frac
    X = R[0, 0] * x + R[0, 1] * y + R[0, 2] * one
    Y = R[1, 0] * x + R[1, 1] * y + R[1, 2] * one
    Z = R[2, 0] * x + R[2, 1] * y + R[2, 2] * one
    z = narrow(Z, fmt.turned)
    if z <= 0:
        return x, y, 0
    # one common division of full-length products: rounding X, Y first would cost a bit of the ray
    new_x = divide(X << fmt.ray_frac, Z, fmt.ray)
    new_y = divide(Y << fmt.ray_frac, Z, fmt.ray)
    return new_x, new_y, z


@njit
def lookup(uv_raw, table, fmt, rays_out, counts):
    """Fill rays_out (n, 2) int32 with the rays of uv_raw (n, 2) int32."""
    for i in range(uv_raw.shape[0]):
        rays_out[i, 0], rays_out[i, 1] = undistort_point(np.int64(uv_raw[i, 0]), np.int64(uv_raw[i, 1]), table, fmt)
    counts[_RAY_LOOKUP] += uv_raw.shape[0]


@njit
def reject_out_of_view(rays, fmt, status):
    """Mark tracked features whose ray (n, 2) int32 lies outside the lens's field; status (n,) uint8."""
    for i in range(rays.shape[0]):
        x, y = np.int64(rays[i, 0]), np.int64(rays[i, 1])
        if status[i] == _TRACKED and x * x + y * y > fmt.field_sq:
            status[i] = _OUT_OF_IMAGE


@njit
def rotate(rays, R_raw, fmt, rays_out):
    """Fill rays_out (n, 2) int32 with R r; a ray that turns behind the camera stays as it was."""
    for i in range(rays.shape[0]):
        rays_out[i, 0], rays_out[i, 1], _ = rotate_point(np.int64(rays[i, 0]), np.int64(rays[i, 1]), R_raw, fmt)


@njit
def project(rays, radial, fmt, uv_out):
    """Fill uv_out (n, 2) int32 with the distorted pixels of rays (n, 2) int32."""
    for i in range(rays.shape[0]):
        uv_out[i, 0], uv_out[i, 1] = distort_point(np.int64(rays[i, 0]), np.int64(rays[i, 1]), radial, fmt)


@njit
def borrow_flow(rays_new, rays_old, flow_old, flow_new):
    """Fill flow_new (n, 2) with the flow of the nearest of the old rays, for want of its own; untouched without any. All int32."""
    for i in range(rays_new.shape[0]):
        nearest, where = 1 << 62, -1
        for j in range(rays_old.shape[0]):
            dx, dy = np.int64(rays_new[i, 0]) - rays_old[j, 0], np.int64(rays_new[i, 1]) - rays_old[j, 1]
            if dx * dx + dy * dy < nearest:
                nearest, where = dx * dx + dy * dy, j
        if where >= 0:
            flow_new[i, 0], flow_new[i, 1] = flow_old[where, 0], flow_old[where, 1]
