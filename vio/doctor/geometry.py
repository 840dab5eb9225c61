"""The camera against the gyro (time offset, drift, rotation, units) and against the other camera (epipolar error, exchange)."""

from dataclasses import replace

import numpy as np

from vio import lie
from vio.calibration import Calibration
from vio.doctor.alignment import STANDING, Alignment, align
from vio.doctor.look import Look
from vio.doctor.motion import cross, rays_of
from vio.doctor.verdict import Level, Verdict, graded, unknown

_LAG_WARN, _LAG_FAULT = 0.003, 0.006  # s
_LAG_KNOWN = 0.005  # s of three sigmas
_DRIFT_WARN, _DRIFT_FAULT = 200e-6, 500e-6
_DRIFT_KNOWN = 150e-6  # of three sigmas
_TURN_WARN, _TURN_FAULT = 1.5, 3.0  # degrees
_TURN_KNOWN = 1.5  # degrees of three sigmas
_INVERTED = 10.0  # degrees within which the inverse of the calibration fits
_SCALE_WARN, _SCALE_FAULT = 0.03, 0.10
_AGREEMENT = 0.7  # share of the turning in common below which camera and gyro do not belong together
_STEREO_MATCHES = 15  # that a share is told of, at least
_EPIPOLAR_WARN, _EPIPOLAR_FAULT = 1.0, 2.0  # px, median
_BEHIND = 0.5  # share of the points behind the cameras
_DISPARITY = 2.0  # px from which on the sign of a disparity is told

_EXCHANGED, _INVERTED_BOTH = "left and right are exchanged", "T_BS of both cameras is inverted"
_REMEDIES = {
    _EXCHANGED: "exchange cam0 and cam1, in the pictures or in the calibration",
    _INVERTED_BOTH: "T_BS maps the camera to the body (p_B = T_BS p_C): write the inverse of what stands there",
}


def against_gyro(seen: Look, calibration: Calibration, imu: tuple[np.ndarray, np.ndarray] | None) -> list[Verdict]:
    """Verdicts from the alignment of the visual rotation with the gyro; imu is (t_ns, w_B) ascending."""
    if imu is None:
        return [unknown("camera.lag", "there are no inertial samples")]
    found = align(seen.turns, *imu)
    if found is None:
        return [unknown("camera.lag", f"too few pictures with motion ({len(seen.turns.t0_ns)} tracked pairs)")]
    if found.excitation < STANDING:
        return [unknown("camera.lag", f"the rig hardly turns (its rates vary by {found.excitation:.3f} rad/s)")]
    if found.correlation < _AGREEMENT:
        figure = f"the pictures turn unlike the gyro at any lag within 0.5 s (agreement {max(found.correlation, 0.0):.2f})"
        remedy = "do camera and IMU share a clock and a rigid body? is the gyro alive?"
        return [Verdict("camera.lag", Level.FAULT, figure, f"agreement {_AGREEMENT:g}", remedy, found.correlation, "")]
    return [_lag(found, calibration.time_offset), _drift(found), rotation(found, calibration.T_BC[:3, :3]), _units(found)]


def _is_known(value: float, sigma: float, wanted: float) -> bool:
    """Three sigmas are as small as wanted, or the value is nine of them."""
    return bool(3.0 * sigma <= wanted or abs(value) >= 9.0 * sigma)


def _lag(found: Alignment, declared: float) -> Verdict:
    """What remains after the declared offset, which the reader has applied."""
    item = "camera.lag"
    if not _is_known(found.lag, found.lag_sigma, _LAG_KNOWN):
        return unknown(item, f"too little change of rotation: known to {3e3 * found.lag_sigma:.0f} ms only")
    side = "ahead of" if found.lag < 0 else "behind"
    figure = f"the camera's clock is {abs(1e3 * found.lag):.1f} ms {side} the IMU's (+- {3e3 * found.lag_sigma:.1f} ms)"
    remedy = f"run with --time-offset {declared + found.lag:.4f}, or declare it in the calibration (IMU time = camera time + offset)"
    return Verdict(item, graded(abs(found.lag), _LAG_WARN, _LAG_FAULT), figure, f"{1e3 * _LAG_WARN:g} ms", remedy, 1e3 * found.lag, "ms")


def _drift(found: Alignment) -> Verdict:
    item = "camera.drift"
    if not _is_known(found.drift, found.drift_sigma, _DRIFT_KNOWN):
        return unknown(item, "the recording is too short or turns too little")
    ppm = -1e6 * found.drift
    figure = f"the camera's clock runs {abs(ppm):.0f} ppm too {'fast' if ppm > 0 else 'slow'} (+- {3e6 * found.drift_sigma:.0f} ppm)"
    remedy = "two clocks without synchronisation: stamp both sensors by one clock"
    return Verdict(item, graded(abs(found.drift), _DRIFT_WARN, _DRIFT_FAULT), figure, f"{1e6 * _DRIFT_WARN:g} ppm", remedy, ppm, "ppm")


def rotation(found: Alignment, R_BC: np.ndarray) -> Verdict:
    """The calibrated rotation of the left camera against that of the alignment."""
    item, sigma = "camera.rotation", float(np.rad2deg(found.rotation_sigma))
    off, inverse = angle(R_BC.T @ found.R_BS), angle(R_BC @ found.R_BS)
    if not _is_known(off, sigma, _TURN_KNOWN):
        return unknown(item, f"the rig turns about too few axes: known to {3.0 * sigma:.0f} degrees only")
    figure = f"T_BS of the left camera is off by {off:.2f} degrees (+- {3.0 * sigma:.2f})"
    remedy = "calibrate the rotation between camera and IMU; found R_BC: " + _rows(found.R_BS)
    if off > _TURN_FAULT and inverse < min(_INVERTED, off):
        figure = f"T_BS of the left camera is inverted: its inverse fits to {inverse:.2f} degrees, itself to {off:.1f}"
        remedy = "T_BS maps the camera to the body (p_B = T_BS p_C): write the inverse of what stands there"
    return Verdict(item, graded(off, _TURN_WARN, _TURN_FAULT), figure, f"{_TURN_WARN:g} degrees", remedy, off, "degrees")


def _rows(R: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(f"{v:.4f}" for v in row) for row in R) + "]"


def angle(R: np.ndarray) -> float:
    """Angle of a rotation matrix in degrees."""
    return float(np.rad2deg(np.linalg.norm(lie.so3_log(np.ascontiguousarray(R)))))


def _units(found: Alignment) -> Verdict:
    """Scale between gyro and pictures."""
    ratio = found.scale
    if 0.85 < ratio / np.rad2deg(1.0) < 1.15:
        return Verdict("camera.gyro_scale", Level.FAULT, f"the gyro shows {ratio:.1f} times the visual rotation: degrees per second, not rad/s", "rad/s",
                       "multiply the rates by pi / 180", ratio, "")
    off = abs(ratio - 1.0)
    level = Level.UNKNOWN if 3.0 * found.scale_sigma > _SCALE_WARN else graded(off, _SCALE_WARN, _SCALE_FAULT)
    figure = f"the gyro shows {ratio:.4f} times the visual rotation"
    return Verdict("camera.gyro_scale", level, figure, f"{100 * _SCALE_WARN:g} % off", "the gyro's scale, the focal length or the lens model is wrong", ratio, "")


def stereo(seen: Look, calibration: Calibration) -> list[Verdict]:
    """Epipolar error and order of the cameras from features matched without any calibration."""
    if seen.right is None:
        return []
    left, right = seen.matches
    if len(left) < 3 * _STEREO_MATCHES:
        return [unknown("stereo.epipolar", f"{len(left)} matches between left and right are too few")]
    return judged(calibration, left, right)


def judged(calibration: Calibration, left: np.ndarray, right: np.ndarray) -> list[Verdict]:
    """Verdicts on matches (n, 2) px: distance from the epipolar lines and depth, as calibrated and as it is often got wrong."""
    fits = {name: _fit(rig, left, right) for name, rig in _suspects(calibration).items()}
    error, behind, near = fits[""]
    name, (best, best_behind, _) = min(fits.items(), key=lambda item: item[1][0] + (1e3 if item[1][1] > _BEHIND else 0.0))
    figure = f"median distance from the epipolar line {error:.2f} px over {len(left)} matches"
    remedy = "calibrate the right camera against the left one again: T_BS or intrinsics of cam0 and cam1 do not fit together"
    level = graded(error, _EPIPOLAR_WARN, _EPIPOLAR_FAULT)
    verdicts = [Verdict("stereo.epipolar", level, figure, f"{_EPIPOLAR_WARN:g} px", remedy, error, "px")]
    if near < _STEREO_MATCHES:
        return [*verdicts, unknown("stereo.order", "all points are too far away")]
    figure = f"{100 * behind:.0f} % of {near} points would lie behind the cameras"
    is_wrong = name and best < _EPIPOLAR_WARN and (behind > _BEHIND or best < 0.5 * error and error > _EPIPOLAR_WARN)
    if is_wrong:
        figure = f"{name}: with that undone the epipolar error is {best:.2f} px instead of {error:.2f}, "
        figure += f"and {100 * best_behind:.0f} % of the points instead of {100 * behind:.0f} % lie behind the cameras"
    level = Level.FAULT if is_wrong or behind > _BEHIND else Level.OK
    return [*verdicts, Verdict("stereo.order", level, figure, f"{100 * _BEHIND:g} %", _REMEDIES.get(name, remedy), 100 * behind, "%")]


def _suspects(rig: Calibration) -> dict[str, Calibration]:
    """The calibration, and what it should be if one of the usual mistakes was made."""
    exchanged = replace(rig, left=rig.right, T_BC=rig.T_BR, right=rig.left, T_BR=rig.T_BC)
    inverted = replace(rig, T_BC=lie.inverse(rig.T_BC), T_BR=lie.inverse(rig.T_BR))
    return {"": rig, _EXCHANGED: exchanged, _INVERTED_BOTH: inverted}


def _fit(rig: Calibration, left: np.ndarray, right: np.ndarray) -> tuple[float, float, int]:
    """Median distance from the epipolar line in px, share of the near points behind the cameras, number of near points."""
    f0, f1 = rays_of(rig.left, left), rays_of(rig.right, right)
    T_CR = rig.T_CR
    t = T_CR[:3, 3] / np.linalg.norm(T_CR[:3, 3])
    v = f1 @ T_CR[:3, :3].T
    normal = cross(t, f0)
    error = np.abs(np.sum(normal * v, axis=1)) / np.linalg.norm(normal, axis=1) * rig.right.fx
    # depth z0 f0 = t + z1 v, so (v x f0) z0 = v x t: its sign is that of (v x t) . (v x f0)
    ahead = np.sum(cross(v, t) * cross(v, f0), axis=1)
    near = np.linalg.norm(f0 - v, axis=1) * rig.left.fx > _DISPARITY
    return float(np.median(error)), float((ahead[near] < 0).mean()) if near.any() else 0.0, int(near.sum())
