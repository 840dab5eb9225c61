"""Sparse stereo in integers: search along the distorted epipolar curve, refine by Lucas-Kanade, check back, gate.

A left ray r at inverse depth rho is the point (R r + rho t) of the right camera (R, t: left to right). Candidates are uniform in
rho, hence about uniform along the curve. Each compares a window at a coarse level by the zero-mean sum of absolute differences
ZSAD = sum |(n I - sum I) - (n T - sum T)|, with n window pixels: exact in integers, and blind to a difference of exposure.
"""

from typing import NamedTuple

import numpy as np

from vio.calibration import Calibration
from vio.config import Config
from vio.events import Event
from vio.fixed import Fixed, Register, divide, fit, fit32, narrow, register, round_divide, round_shift
from vio.frontend.carried import check_stereo
from vio.frontend.lanes import add
from vio.frontend.klt import track
from vio.frontend.outliers import displacement, epipolar_direction, is_on_line, unit_direction
from vio.frontend.rays import Lens, distort_point, lookup
from vio.frontend.rows import chosen, picked
from vio.kernels import leaf, njit
from vio.precision import Logs
from vio.types import TrackStatus

_STEREO_CANDIDATE, _STEREO_MATCHED = int(Event.STEREO_CANDIDATE), int(Event.STEREO_MATCHED)
_TRACKED = int(TrackStatus.TRACKED)
_MAX_CANDIDATES = 128
_NEIGHBOURS = 2  # candidates beside the best that count as the same match
_PRIOR_REACH = 8  # candidates on either side of the depth known from the last keyframe that are tried first
_WORST = 2**31 - 1


class StereoFormat(NamedTuple):
    """Configuration of the stereo kernels as plain integers."""

    level: int
    reach: int  # window is 2 reach + 1
    candidates: int
    depth_step: int  # raw inverse depth between candidates
    uniqueness: int  # of 256
    max_difference: int  # raw ZSAD of the window
    back_sq: int  # raw position squared
    epipolar_sq: int  # raw displacement squared
    translation_frac: int
    inverse_depth_frac: int
    turned: Register  # rotated ray -> point
    shifted: Register  # inverse depth times baseline -> point
    point: Register  # their sum
    sample: Register  # a lane of 32 bits, as `difference`
    difference: Register
    metric: Register  # direction of the epipolar line times metres -> translation
    share: Register  # inverse depth over depth along the ray, two bits wider than an inverse depth
    inverse_depth: Register


class StereoRig(NamedTuple):
    """The right camera as the left one sees it: its lens, R (3, 3) and t (3,) int64 raw from left to right, and formats."""

    right: Lens
    R_raw: np.ndarray
    t_raw: np.ndarray
    fmt: StereoFormat


def make_rig(calibration: Calibration, config: Config, right: Lens, logs: Logs | None = None) -> StereoRig:
    """Quantise the extrinsics of a stereo calibration."""
    T_RC = np.linalg.inv(calibration.T_CR)
    precision = config.precision
    baseline = float(np.linalg.norm(T_RC[:3, 3]))
    R_raw, t_raw = precision.rotation.to_raw(T_RC[:3, :3]), precision.translation.to_raw(T_RC[:3, 3])
    return StereoRig(right, np.ascontiguousarray(R_raw), np.ascontiguousarray(t_raw), _format(config, calibration.left.fx, baseline, logs))


def _format(config: Config, focal: float, baseline: float, logs: Logs | None) -> StereoFormat:
    frontend, precision = config.frontend, config.precision
    level = min(frontend.stereo_level, frontend.pyramid_levels - 1)
    pixels = focal * baseline * frontend.stereo_max_inverse_depth / 2**level
    candidates = min(max(int(np.ceil(pixels / frontend.stereo_step)), 1), _MAX_CANDIDATES)
    area, product = frontend.stereo_window**2, precision.translation.frac_bits + precision.inverse_depth.frac_bits
    depth = precision.inverse_depth
    depth_step = max(1, int(depth.to_raw(frontend.stereo_max_inverse_depth / candidates)))
    epipolar_sq = round((frontend.stereo_epipolar_tolerance / focal * 2**precision.displacement.frac_bits) ** 2)
    check_stereo(precision, candidates * depth_step, epipolar_sq)

    def enter(signal: str, from_frac: int) -> Register:
        return precision.register(signal, from_frac, logs)

    return StereoFormat(
        level=level, reach=frontend.stereo_window // 2, candidates=candidates,
        depth_step=depth_step,
        uniqueness=round(frontend.stereo_uniqueness * 256),
        max_difference=frontend.stereo_max_difference * area * area,
        back_sq=round((frontend.stereo_back_tolerance * 2**precision.position.frac_bits) ** 2),
        epipolar_sq=epipolar_sq,
        translation_frac=precision.translation.frac_bits,
        inverse_depth_frac=precision.inverse_depth.frac_bits,
        turned=enter("point", precision.rotation.frac_bits + precision.ray.frac_bits), shifted=enter("point", product),
        point=enter("point", precision.point.frac_bits), sample=enter("stereo_sample", 0), difference=enter("stereo_sum", 0),
        metric=enter("translation", precision.translation.frac_bits + precision.ray.frac_bits),
        share=register(Fixed(depth.bits + 2, depth.frac_bits, True, depth.rounding), depth.frac_bits),
        inverse_depth=enter("inverse_depth", depth.frac_bits),
    )


@leaf
def _window(image, col, row, fmt, out):
    """Fill out (n,) int32 with n I - sum I of the window about (col, row)."""
    top, left, side, total = np.uint64(row - fmt.reach), np.uint64(col - fmt.reach), np.uint64(2 * fmt.reach + 1), np.int32(0)
    for i in range(side):
        for j in range(side):
            out[i * side + j] = image[top + i, left + j]
            total = add(total, image[top + i, left + j])
    n = np.int32(out.shape[0])
    for i in range(out.shape[0]):
        out[i] = fit32(np.int32(np.int32(n * out[i]) - total), fmt.sample)


@leaf
def _difference(a, b, fmt):
    """Sum of absolute differences of two zero-mean windows; at most 2 n^2 255, so 32 bits up to 31 x 31."""
    total = np.int32(0)
    for i in range(a.shape[0]):
        total = np.int32(total + np.int32(abs(np.int32(a[i] - b[i]))))
    return np.int64(fit32(total, fmt.difference))


@leaf
def _fits(image, col, row, reach):
    return reach <= col < image.shape[1] - reach and reach <= row < image.shape[0] - reach


@leaf
def turn(x, y, R, ray_fmt, fmt):
    """R (x, y, 1) raw in `precision.point`, not divided by its third component."""
    one = 1 << ray_fmt.ray_frac
    X = narrow(R[0, 0] * x + R[0, 1] * y + R[0, 2] * one, fmt.turned)
    Y = narrow(R[1, 0] * x + R[1, 1] * y + R[1, 2] * one, fmt.turned)
    Z = narrow(R[2, 0] * x + R[2, 1] * y + R[2, 2] * one, fmt.turned)
    return X, Y, Z


@leaf(forceinline=True)
def candidate(X, Y, Z, depth, t, radial, ray_fmt, fmt):
    """Raw right pixel (u, v) of the turned ray (X, Y, Z) at a raw inverse depth; the third value is False behind the camera."""
    X, Y = fit(X + narrow(depth * t[0], fmt.shifted), fmt.point), fit(Y + narrow(depth * t[1], fmt.shifted), fmt.point)
    Z = fit(Z + narrow(depth * t[2], fmt.shifted), fmt.point)
    if Z << 3 < 1 << ray_fmt.ray_frac:
        return 0, 0, False
    x, y = divide(X << ray_fmt.ray_frac, Z, ray_fmt.ray), divide(Y << ray_fmt.ray_frac, Z, ray_fmt.ray)
    u, v = distort_point(x, y, radial, ray_fmt)
    return u, v, True


@leaf(forceinline=True)
def _scan(right, first, last, template, col_offset, row_offset, X, Y, Z, t, radial, ray_fmt, fmt, window, scores):
    """Score candidates first..last-1 of one feature, the rest as worst; return how many windows were compared.

    The offsets carry the template's own rounding over, so both windows are off the grid by the same fraction.
    """
    shift = ray_fmt.position_frac + fmt.level
    compared = 0
    for k in range(scores.shape[0]):
        scores[k] = _WORST
    for k in range(first, last):
        u, v, is_ahead = candidate(X, Y, Z, k * fmt.depth_step, t, radial, ray_fmt, fmt)
        col, row = round_shift(u - col_offset, shift), round_shift(v - row_offset, shift)
        if is_ahead and _fits(right, col, row, fmt.reach):
            _window(right, col, row, fmt, window)
            scores[k] = _difference(template, window, fmt)
            compared += 1
    return compared


@leaf
def _pick(scores, fmt):
    """Index of the best candidate, or -1 if it is bad or has a rival elsewhere on the curve."""
    best = 0
    for k in range(scores.shape[0]):
        if scores[k] < scores[best]:
            best = k
    rival = _WORST
    for k in range(scores.shape[0]):
        if abs(k - best) > _NEIGHBOURS:
            rival = min(rival, scores[k])
    if scores[best] > fmt.max_difference or scores[best] * 256 >= rival * fmt.uniqueness:
        return -1
    return best


@leaf
def _range(known_depth, fmt):
    """Candidates (first, last + 1) to try before all others."""
    if known_depth <= 0:
        return 0, fmt.candidates
    middle = min(round_divide(known_depth, fmt.depth_step), fmt.candidates - 1)
    return max(middle - _PRIOR_REACH, 0), min(middle + _PRIOR_REACH + 1, fmt.candidates)


@njit(nogil=True)
def search(left, right, uv_left, rays_left, known_depth, R_raw, t_raw, radial, ray_fmt, fmt, uv_guess, found, counts):
    """Coarse right pixel of every left feature.

    left, right: (h, w) uint8, the pictures of `fmt.level`. uv_left, rays_left: (n, 2) int32. known_depth: (n,) int32, raw inverse depth
    of the last keyframe or 0; only where nothing fits near it the whole curve is searched. radial, ray_fmt: the right lens.
    Out: uv_guess (n, 2) int32, valid where found (n,) bool.
    """
    area = (2 * fmt.reach + 1) ** 2
    template, window = np.empty(area, np.int32), np.empty(area, np.int32)
    scores = np.empty(fmt.candidates, np.int64)
    shift = ray_fmt.position_frac + fmt.level
    for i in range(uv_left.shape[0]):
        u, v = np.int64(uv_left[i, 0]), np.int64(uv_left[i, 1])
        col, row = round_shift(u, shift), round_shift(v, shift)
        found[i] = _fits(left, col, row, fmt.reach)
        if not found[i]:
            continue
        _window(left, col, row, fmt, template)
        X, Y, Z = turn(np.int64(rays_left[i, 0]), np.int64(rays_left[i, 1]), R_raw, ray_fmt, fmt)
        u, v = u - (col << shift), v - (row << shift)
        first, last = _range(np.int64(known_depth[i]), fmt)
        counts[_STEREO_CANDIDATE] += _scan(right, first, last, template, u, v, X, Y, Z, t_raw, radial, ray_fmt, fmt, window, scores)
        best = _pick(scores, fmt)
        if best < 0 and last - first < fmt.candidates:
            counts[_STEREO_CANDIDATE] += _scan(right, 0, fmt.candidates, template, u, v, X, Y, Z, t_raw, radial, ray_fmt, fmt, window, scores)
            best = _pick(scores, fmt)
        found[i] = best >= 0
        uv_guess[i, 0], uv_guess[i, 1], _ = candidate(X, Y, Z, max(best, 0) * fmt.depth_step, t_raw, radial, ray_fmt, fmt)


@leaf
def _compensated(X, Y, Z, ray_fmt):
    """The left ray as the right camera would see it if the point were at infinity."""
    return divide(X << ray_fmt.ray_frac, Z, ray_fmt.ray), divide(Y << ray_fmt.ray_frac, Z, ray_fmt.ray)


@leaf
def inverse_depth(X, Y, Z, x1, y1, t, ray_fmt, fmt):
    """Raw inverse depth of a turned left ray seen at the right ray (x1, y1), by projection on the epipolar line; 0 beyond infinity."""
    ax, ay = _compensated(X, Y, Z, ray_fmt)
    ex = narrow((t[0] << ray_fmt.ray_frac) - t[2] * ax, fmt.metric)
    ey = narrow((t[1] << ray_fmt.ray_frac) - t[2] * ay, fmt.metric)
    length_sq = ex * ex + ey * ey
    if length_sq == 0:
        return 0
    # share = e.d / e.e = rho / (Z + rho tz), so rho = share Z / (1 - share tz)
    up = fmt.translation_frac + fmt.inverse_depth_frac - ray_fmt.ray_frac
    share = divide((ex * (x1 - ax) + ey * (y1 - ay)) << up, length_sq, fmt.share)
    rest = (1 << ray_fmt.ray_frac) - narrow(share * t[2], fmt.shifted)
    return divide(share * Z, max(rest, 1), fmt.inverse_depth)


@njit
def verify(uv_left, uv_back, rays_left, rays_right, R_raw, t_raw, ray_fmt, outlier_fmt, fmt, has_right, depth, counts):
    """Clear has_right (n,) where the way back misses, the match leaves its epipolar line, or the depth is not positive.

    uv_back: (n, 2) int32, left pixels tracked back from the right. depth: (n,) int32 out, raw inverse depth, 0 without match.
    """
    tx, ty, tz = unit_direction(t_raw[0], t_raw[1], t_raw[2], outlier_fmt)
    for i in range(uv_left.shape[0]):
        depth[i] = 0
        du, dv = np.int64(uv_left[i, 0]) - uv_back[i, 0], np.int64(uv_left[i, 1]) - uv_back[i, 1]
        has_right[i] = has_right[i] and du * du + dv * dv <= fmt.back_sq
        if not has_right[i]:
            continue
        X, Y, Z = turn(np.int64(rays_left[i, 0]), np.int64(rays_left[i, 1]), R_raw, ray_fmt, fmt)
        x1, y1 = np.int64(rays_right[i, 0]), np.int64(rays_right[i, 1])
        ax, ay = _compensated(X, Y, max(Z, 1), ray_fmt)
        dx, dy = displacement(ax, ay, x1, y1, outlier_fmt)
        ex, ey = epipolar_direction(ax, ay, tx, ty, tz, outlier_fmt)
        rho = inverse_depth(X, Y, max(Z, 1), x1, y1, t_raw, ray_fmt, fmt)
        has_right[i] = Z > 0 and rho > 0 and is_on_line(dx, dy, ex, ey, fmt.epipolar_sq, outlier_fmt)[0]
        if has_right[i]:
            depth[i] = rho
            counts[_STEREO_MATCHED] += 1


@njit(nogil=True)
def match(pyramid_left, pyramid_right, uv_left, rays_left, known_depth, rig, klt, outlier, uv_right, has_right, depth, counts):
    """Match left features in the right picture: fill uv_right (n, 2) int32, has_right (n,) bool and depth (n,) int32, raw.

    pyramid_left, pyramid_right: from `pyramid.build`. uv_left, rays_left: (n, 2) int32. known_depth: (n,) int32 raw inverse depth of the
    last keyframe, 0 where unknown. rig, klt, outlier: `StereoRig`, `KltFormat`, `OutlierFormat`. Without a match uv_right is
    where the search ended, or uv_left, and the inverse depth 0.
    """
    n, level, lens = uv_left.shape[0], rig.fmt.level, rig.right
    for i in range(n):
        uv_right[i, 0], uv_right[i, 1], depth[i] = uv_left[i, 0], uv_left[i, 1], 0
    search(pyramid_left[level], pyramid_right[level], uv_left, rays_left, known_depth, rig.R_raw, rig.t_raw, lens.radial, lens.fmt, rig.fmt, uv_right, has_right, counts)
    tried = np.empty(n, np.int64)
    tried = tried[: chosen(has_right, True, tried)]
    left, rays, k = picked(uv_left, tried), picked(rays_left, tried), tried.shape[0]
    right, back, rays_right, residual = np.empty_like(left), np.empty_like(left), np.empty_like(left), np.empty(k, np.int32)
    way, way_back, is_good, rho = np.empty(k, np.uint8), np.empty(k, np.uint8), np.empty(k, np.bool_), np.empty(k, np.int32)
    track(pyramid_left, pyramid_right, left, picked(uv_right, tried), level, klt, right, way, residual, counts)
    track(pyramid_right, pyramid_left, right, left, level, klt, back, way_back, residual, counts)
    for i in range(k):
        is_good[i] = way[i] == _TRACKED and way_back[i] == _TRACKED
    lookup(right, lens.table, lens.fmt, rays_right, counts)
    verify(left, back, rays, rays_right, rig.R_raw, rig.t_raw, lens.fmt, outlier, rig.fmt, is_good, rho, counts)
    for i in range(k):
        uv_right[tried[i], 0], uv_right[tried[i], 1], has_right[tried[i]], depth[tried[i]] = right[i, 0], right[i, 1], is_good[i], rho[i]
