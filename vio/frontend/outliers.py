"""RANSAC with the rotation known from the gyro: only a translation is left to guess, so two features or one suffice.

All residuals live in the normalised image plane. With a = R r0 the rotation-compensated old ray, r1 the new one and t the motion
(p1 = R p0 + t), a feature of inverse depth rho moves along e = (tx - tz ax, ty - tz ay) by d = r1 - a = rho / (1 + rho tz) e.
So its epipolar distance is |e x d| / |e|, and e . d < 0 would put it behind the camera.
Two-point hypothesis: t = n_i x n_j with n = a x r1 (Troiani et al., "2-point-based outlier rejection for camera-IMU systems", 2014).
One-point hypothesis, with depths from stereo: t = r1 / rho1 - a / rho0.
"""

from typing import NamedTuple

import numpy as np

from vio.config import Config
from vio.events import Event
from vio.fixed import Register, divide, fit, lower, narrow, quotient, round_shift
from vio.frontend.carried import check_outliers, check_thresholds
from vio.frontend.rays import rotate_point
from vio.kernels import leaf, njit
from vio.precision import Logs

_RANSAC_HYPOTHESIS, _RANSAC_TEST = int(Event.RANSAC_HYPOTHESIS), int(Event.RANSAC_TEST)
_DEPTH_HYPOTHESIS, _DEPTH_TEST = int(Event.DEPTH_HYPOTHESIS), int(Event.DEPTH_TEST)
_SEED_DISPLACEMENT = 1.0  # px a feature must have moved to enter a hypothesis: less is noise
_SEED_DISPARITY = 3.0  # px of disparity a feature must have to enter a stereo hypothesis
_LCG_MULTIPLIER, _LCG_INCREMENT, _LCG_BITS = 1664525, 1013904223, 32  # Numerical Recipes, 2nd edition, p. 284


class OutlierFormat(NamedTuple):
    """Thresholds and limits of the RANSAC kernels, plain integers."""

    iterations: int
    min_share: int  # of 256
    threshold_sq: int  # raw displacement squared
    near_sq: int  # the same, raw ray squared
    seed_sq: int  # raw displacement squared
    seed_inverse_depth: int
    depth_threshold: int  # raw inverse depth that moves the right image by the threshold
    ray_frac: int
    direction_frac: int
    translation_frac: int
    inverse_depth_frac: int
    displacement: Register
    epipolar: Register
    direction: Register
    cross: Register
    translation: Register
    inverse_depth: Register
    nearness: Register  # inverse depth times translation -> point
    scaled: Register  # ray times third component -> ransac_residual
    moved: Register  # inverse depth times translation -> ransac_residual
    residual: Register  # sum of the two -> ransac_residual


def outlier_format(config: Config, focal: float, baseline: float, logs: Logs | None = None) -> OutlierFormat:
    """Derive the kernels' integers. focal: px per unit of a ray; baseline: m (any positive number in mono)."""
    frontend, p = config.frontend, config.precision
    check_outliers(p)
    ray, translation = p.ray.frac_bits, p.translation.frac_bits + p.inverse_depth.frac_bits
    moved_one, depth_one = 2.0**p.displacement.frac_bits, 2.0**p.inverse_depth.frac_bits

    def enter(signal: str, from_frac: int | None = None) -> Register:
        return p.register(signal, getattr(p, signal).frac_bits if from_frac is None else from_frac, logs)

    fmt = OutlierFormat(
        iterations=frontend.ransac_iterations,
        min_share=round(frontend.ransac_min_share * 256),
        threshold_sq=round((frontend.ransac_threshold / focal * moved_one) ** 2),
        near_sq=round((frontend.ransac_threshold / focal * 2.0**ray) ** 2),
        seed_sq=round((_SEED_DISPLACEMENT / focal * moved_one) ** 2),
        seed_inverse_depth=max(1, round(_SEED_DISPARITY / (focal * baseline) * depth_one)),
        depth_threshold=max(1, round(frontend.ransac_threshold / (focal * baseline) * depth_one)),
        ray_frac=ray, direction_frac=p.direction.frac_bits,
        translation_frac=p.translation.frac_bits, inverse_depth_frac=p.inverse_depth.frac_bits,
        displacement=enter("displacement", ray), epipolar=enter("epipolar", p.direction.frac_bits + ray),
        direction=enter("direction"), cross=enter("cross"), translation=enter("translation"), inverse_depth=enter("inverse_depth"),
        nearness=enter("point", translation), scaled=enter("ransac_residual", 2 * ray), moved=enter("ransac_residual", translation),
        residual=enter("ransac_residual"),
    )
    check_thresholds(p, fmt.threshold_sq, fmt.near_sq)
    return fmt


@leaf(forceinline=True)
def displacement(ax, ay, x1, y1, fmt):
    """Saturated difference (dx, dy) of two raw rays."""
    return narrow(x1 - ax, fmt.displacement), narrow(y1 - ay, fmt.displacement)


@leaf(forceinline=True)
def epipolar_direction(ax, ay, tx, ty, tz, fmt):
    """Raw direction (ex, ey), in `precision.epipolar`, in which the ray a moves as it comes nearer under the translation t (in `precision.direction`)."""
    ex = narrow((tx << fmt.ray_frac) - tz * ax, fmt.epipolar)
    ey = narrow((ty << fmt.ray_frac) - tz * ay, fmt.epipolar)
    return ex, ey


@njit
def squared_displacements(rays_a, rays_1, fmt, out):
    """Fill out (n,) int64 with the squared saturated distance of two sets of rays (n, 2) int32, raw displacement squared."""
    for i in range(rays_a.shape[0]):
        dx, dy = displacement(np.int64(rays_a[i, 0]), np.int64(rays_a[i, 1]), rays_1[i, 0], rays_1[i, 1], fmt)
        out[i] = dx * dx + dy * dy


@leaf
def _scaled(value, shift, reg):
    return fit(lower(value, shift, reg), reg)


@leaf
def unit_direction(tx, ty, tz, fmt):
    """Scale a vector by a power of two so that its largest component has `direction_frac` bits; a zero vector stays zero."""
    largest = max(abs(tx), abs(ty), abs(tz))
    bits = 0
    while largest >> bits > 0:
        bits += 1
    bits -= fmt.direction_frac
    return _scaled(tx, bits, fmt.direction), _scaled(ty, bits, fmt.direction), _scaled(tz, bits, fmt.direction)


@leaf
def next_random(state):
    """One step of a 32-bit linear congruential generator; its high bits are the random ones."""
    return (state * _LCG_MULTIPLIER + _LCG_INCREMENT) & ((1 << _LCG_BITS) - 1)


@leaf
def _draw(state, n):
    return (state * n) >> _LCG_BITS


@leaf(forceinline=True)
def is_on_line(dx, dy, ex, ey, threshold_sq, fmt):
    """Whether d lies within the threshold of the points lambda * e with lambda >= 0, and of those with lambda <= 0."""
    across, along = fit(ex * dy - ey * dx, fmt.cross), fit(ex * dx + ey * dy, fmt.cross)
    limit = threshold_sq * (ex * ex + ey * ey)
    is_near, is_end = across * across <= limit, along * along <= limit
    return is_near and (along >= 0 or is_end), is_near and (along <= 0 or is_end)


@leaf
def _normal(ax, ay, dx, dy, frac):
    """Epipolar normal (a, 1) x (a + d, 1), exact; fraction bits are those of ray and displacement together."""
    return -dy << frac, dx << frac, ax * dy - ay * dx


@leaf
def _pair_translation(rays_a, rays_1, i, j, fmt):
    """Translation direction of two features."""
    ax, ay, bx, by = np.int64(rays_a[i, 0]), np.int64(rays_a[i, 1]), np.int64(rays_a[j, 0]), np.int64(rays_a[j, 1])
    dx, dy = displacement(ax, ay, rays_1[i, 0], rays_1[i, 1], fmt)
    n0, n1, n2 = _normal(ax, ay, dx, dy, fmt.ray_frac)
    dx, dy = displacement(bx, by, rays_1[j, 0], rays_1[j, 1], fmt)
    m0, m1, m2 = _normal(bx, by, dx, dy, fmt.ray_frac)
    return unit_direction(n1 * m2 - n2 * m1, n2 * m0 - n0 * m2, n0 * m1 - n1 * m0, fmt)


@leaf
def _score_pair(rays_a, rays_1, tx, ty, tz, fmt, inlier, opposite):
    """Mark the features that agree with a translation direction, and with the opposite one; return how many of either."""
    total, total_opposite = 0, 0
    for i in range(rays_a.shape[0]):
        ax, ay = np.int64(rays_a[i, 0]), np.int64(rays_a[i, 1])
        dx, dy = displacement(ax, ay, rays_1[i, 0], rays_1[i, 1], fmt)
        ex, ey = epipolar_direction(ax, ay, tx, ty, tz, fmt)
        # a feature that hardly moved contradicts no translation; at t = 0 nothing else is an inlier
        inlier[i] = opposite[i] = dx * dx + dy * dy <= fmt.threshold_sq
        if not inlier[i] and (ex != 0 or ey != 0):
            inlier[i], opposite[i] = is_on_line(dx, dy, ex, ey, fmt.threshold_sq, fmt)
        total, total_opposite = total + inlier[i], total_opposite + opposite[i]
    return total, total_opposite


@leaf
def _moving(rays_a, rays_1, fmt, seeds):
    """List the features that moved enough to carry a direction; return how many."""
    total = 0
    for i in range(rays_a.shape[0]):
        dx, dy = displacement(np.int64(rays_a[i, 0]), np.int64(rays_a[i, 1]), rays_1[i, 0], rays_1[i, 1], fmt)
        if dx * dx + dy * dy >= fmt.seed_sq:
            seeds[total] = i
            total += 1
    return total


@leaf
def _copy(source, out):
    """Element by element: an assignment of slices brings the text of its error along, a second of compilation."""
    for i in range(out.shape[0]):
        out[i] = source[i]


@leaf
def _accept(best, inlier, fmt):
    """Trust the best hypothesis only with enough support; else keep everything."""
    if best * 256 < fmt.min_share * inlier.shape[0]:
        inlier[:] = True
    return best


@njit(nogil=True)
def reject_by_direction(rays_a, rays_1, seed, fmt, inlier, counts):
    """Two-point RANSAC between consecutive frames; return the support of the best hypothesis.

    rays_a, rays_1: (n, 2) int32, old rays rotated into the new frame, and new rays. seed: of the sampling, any int.
    inlier: (n,) bool out; all True when less than `ransac_min_share` of the features agree on anything.
    """
    n = rays_a.shape[0]
    seeds, trial, opposite = np.empty(n, np.int64), np.empty(n, np.bool_), np.empty(n, np.bool_)
    best, _ = _score_pair(rays_a, rays_1, 0, 0, 0, fmt, inlier, opposite)
    counts[_RANSAC_TEST] += n
    moving = _moving(rays_a, rays_1, fmt, seeds)
    state = next_random(seed & ((1 << _LCG_BITS) - 1))
    for _ in range(fmt.iterations if moving >= 2 and best < n else 0):
        state = next_random(state)
        i = _draw(state, moving)
        state = next_random(state)
        j = (i + 1 + _draw(state, moving - 1)) % moving
        tx, ty, tz = _pair_translation(rays_a, rays_1, seeds[i], seeds[j], fmt)
        # the cross product knows the line, not which way along it
        support, support_opposite = _score_pair(rays_a, rays_1, tx, ty, tz, fmt, trial, opposite)
        counts[_RANSAC_HYPOTHESIS] += 2
        counts[_RANSAC_TEST] += 2 * n
        if support > best:
            best = support
            _copy(trial, inlier)
        if support_opposite > best:
            best = support_opposite
            _copy(opposite, inlier)
    return _accept(best, inlier, fmt)


@leaf(forceinline=True)
def _point_translation(ax, ay, depth_a, x1, y1, depth_1, fmt):
    """Translation r1 / rho1 - a / rho0 of one feature, raw in the translation format."""
    shift = fmt.translation_frac + fmt.inverse_depth_frac - fmt.ray_frac
    one = 1 << fmt.ray_frac
    reg = fmt.translation
    tx = quotient(x1 << shift, depth_1, reg) - quotient(ax << shift, depth_a, reg)
    ty = quotient(y1 << shift, depth_1, reg) - quotient(ay << shift, depth_a, reg)
    tz = quotient(one << shift, depth_1, reg) - quotient(one << shift, depth_a, reg)
    return fit(tx, reg), fit(ty, reg), fit(tz, reg)


@leaf
def _times_square(factor, value, shift):
    """factor * value**2 / 2**shift to nearest, ties to even, without the full product: of a point far away it would leave 64 bits."""
    square = value * value
    high = factor * (square >> shift)
    parity = high & 1  # of two equally near, the even sum
    return high - parity + round_shift((parity << shift) + factor * (square & ((1 << shift) - 1)), shift)


@leaf(forceinline=True)
def _agrees(ax, ay, depth_a, x1, y1, depth_1, tx, ty, tz, fmt):
    """Whether a point moved by t is seen where it is now, in the left image and (by its inverse depth) in the right one."""
    z = (1 << fmt.ray_frac) + narrow(depth_a * tz, fmt.nearness)
    if z << 3 < 1 << fmt.ray_frac:  # the point would have come eight times nearer, or behind
        return False
    # residuals times z, so that nothing is divided
    ex = fit(narrow(x1 * z, fmt.scaled) - ax - narrow(depth_a * tx, fmt.moved), fmt.residual)
    ey = fit(narrow(y1 * z, fmt.scaled) - ay - narrow(depth_a * ty, fmt.moved), fmt.residual)
    depth_error = abs(round_shift(depth_1 * z, fmt.ray_frac) - depth_a)
    in_left = ex * ex + ey * ey <= _times_square(fmt.near_sq, z, 2 * fmt.ray_frac)
    return in_left and depth_error <= round_shift(fmt.depth_threshold * z, fmt.ray_frac)


@leaf(forceinline=True)
def _score_point(points, rays_1, depth_1, tx, ty, tz, fmt, inlier):
    total = 0
    for i in range(points.shape[0]):
        inlier[i] = _agrees(points[i, 0], points[i, 1], points[i, 2], np.int64(rays_1[i, 0]), np.int64(rays_1[i, 1]), np.int64(depth_1[i]), tx, ty, tz, fmt)
        total += inlier[i]
    return total


@leaf
def _rotate_points(rays_0, depth_0, R_raw, ray_fmt, fmt, points):
    """Rotated old points as (ax, ay, inverse depth), int64; the depth changes with the third component of the ray."""
    for i in range(rays_0.shape[0]):
        ax, ay, z = rotate_point(np.int64(rays_0[i, 0]), np.int64(rays_0[i, 1]), R_raw, ray_fmt)
        points[i, 0], points[i, 1] = ax, ay
        points[i, 2] = divide(np.int64(depth_0[i]) << fmt.ray_frac, max(z, 1), fmt.inverse_depth)


@njit(nogil=True)
def reject_by_depth(rays_0, depth_0, rays_1, depth_1, R_raw, ray_fmt, fmt, inlier, counts):
    """One-point RANSAC between two keyframes for features with stereo depth in both; return the best support.

    rays (n, 2) int32 and inverse depths (n,) int32 raw, old and new; R_raw (3, 3) int64 maps old rays into the new frame.
    Hypotheses are the first `ransac_iterations` features in the order given that are near enough. inlier: (n,) bool out,
    all True when less than `ransac_min_share` of the features agree on anything.
    """
    n, tried, best = rays_0.shape[0], 0, 0
    points, trial = np.empty((n, 3), np.int64), np.empty(n, np.bool_)
    _rotate_points(rays_0, depth_0, R_raw, ray_fmt, fmt, points)
    inlier[:] = False
    for i in range(n):
        if tried == fmt.iterations or min(points[i, 2], np.int64(depth_1[i])) < fmt.seed_inverse_depth:
            continue
        tried += 1
        tx, ty, tz = _point_translation(points[i, 0], points[i, 1], points[i, 2], np.int64(rays_1[i, 0]), np.int64(rays_1[i, 1]), np.int64(depth_1[i]), fmt)
        support = _score_point(points, rays_1, depth_1, tx, ty, tz, fmt, trial)
        counts[_DEPTH_HYPOTHESIS] += 1
        counts[_DEPTH_TEST] += n
        if support > best:
            best = support
            _copy(trial, inlier)
    return _accept(best, inlier, fmt)
