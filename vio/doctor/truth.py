"""Ground truth against the IMU: does it turn with the gyro, and does gravity point down in it?"""

import numpy as np

from vio import lie
from vio.doctor.alignment import STANDING, Alignment, Turns, align
from vio.doctor.imu import GRAVITY
from vio.doctor.verdict import Level, Verdict, graded, unknown
from vio.io.sequence import GroundTruth

_INTERVAL = 0.05  # s between poses compared
_LONGEST = 0.2  # s, over a longer outage nothing is compared
_LAG_WARN, _LAG_FAULT = 0.010, 0.030  # s
_TURN_WARN, _TURN_FAULT = 3.0, 10.0  # degrees
_TILT_WARN, _TILT_FAULT = 3.0, 10.0  # degrees


def turns_of(truth: GroundTruth) -> Turns:
    """Rotations between poses about 50 ms apart."""
    step = max(1, round(_INTERVAL * 1e9 / float(np.median(np.diff(truth.t_ns)))))
    t_ns, q_WB = truth.t_ns[::step], truth.q_WB[::step]
    R = [lie.matrix_from_quat(q) for q in q_WB]
    phi = np.array([lie.so3_log(a.T @ b) for a, b in zip(R[:-1], R[1:])]).reshape(-1, 3)
    phi[np.diff(t_ns) > _LONGEST * 1e9] = np.nan
    return Turns(t_ns[:-1], t_ns[1:], phi)


def examine(truth: GroundTruth | None, imu: tuple[np.ndarray, np.ndarray, np.ndarray] | None) -> list[Verdict]:
    """Verdicts on lag, rotation and gravity; imu is (t_ns, w_B, a_B) ascending."""
    if truth is None or len(truth.t_ns) < 2:
        return [unknown("truth", "there is no ground truth")]
    if imu is None:
        return [unknown("truth", "there are no inertial samples to compare it with")]
    found = align(turns_of(truth), imu[0], imu[1])
    if found is None:
        return [unknown("truth.lag", "too few poses within the IMU's time, or no rotation"), *_gravity(truth, imu)]
    if found.excitation < STANDING:
        return [unknown("truth.lag", "the rig hardly turns"), *_gravity(truth, imu)]
    if found.correlation < 0.5:
        figure = f"turns unlike the gyro at any lag within 0.5 s (agreement {max(found.correlation, 0.0):.2f})"
        return [Verdict("truth.lag", Level.FAULT, figure, "agreement 0.5", "is it the ground truth of this recording, and on its clock?")]
    return [_lag(found), _turn(found), *_gravity(truth, imu)]


def _lag(found: Alignment) -> Verdict:
    if found.lag_sigma > 0.002:
        return unknown("truth.lag", f"too little rotation: known to {3e3 * found.lag_sigma:.0f} ms only")
    late = "ahead of" if found.lag < 0 else "behind"
    remedy = f"add {1e3 * found.lag:+.1f} ms to the stamps of the ground truth before it is compared with anything"
    figure = f"{abs(1e3 * found.lag):.1f} ms {late} the IMU's clock"
    return Verdict("truth.lag", graded(abs(found.lag), _LAG_WARN, _LAG_FAULT), figure, f"{1e3 * _LAG_WARN:.0f} ms", remedy, 1e3 * found.lag, "ms")


def _turn(found: Alignment) -> Verdict:
    if np.rad2deg(found.rotation_sigma) > 1.0:
        return unknown("truth.rotation", "turns about too few axes")
    degrees = float(np.rad2deg(np.linalg.norm(lie.so3_log(found.R_BS))))
    remedy = "its body frame is not the IMU's: apply the T_BS of its sensor.yaml, or compare positions only"
    return Verdict("truth.rotation", graded(degrees, _TURN_WARN, _TURN_FAULT), f"its body is turned {degrees:.1f} degrees from the IMU", f"{_TURN_WARN:g} degrees",
                   remedy, degrees, "degrees")


def _gravity(truth: GroundTruth, imu: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[Verdict]:
    """Mean specific force in W less the mean acceleration between the ends: gravity's reaction, which points up."""
    t_ns, _, a_B = imu
    inside = np.flatnonzero((truth.t_ns > t_ns[0]) & (truth.t_ns < t_ns[-1]))
    if len(inside) < 20 or truth.t_ns[inside[-1]] - truth.t_ns[inside[0]] < 5e9 or np.diff(truth.t_ns[inside]).max() > _LONGEST * 1e9:
        return [unknown("truth.gravity", "less than 5 s of poses without a gap within the IMU's time")]
    at = (truth.t_ns[inside] - t_ns[0]) / 1e9
    force = np.column_stack([np.interp(at, (t_ns - t_ns[0]) / 1e9, a_B[:, k]) for k in range(3)])
    in_W = np.array([lie.matrix_from_quat(q) @ f for q, f in zip(truth.q_WB[inside], force)])
    p = truth.p_WB[inside]
    k = max(1, min(len(at) // 4, round(_LONGEST / float(np.median(np.diff(at))))))
    dv = (p[-1] - p[-1 - k]) / (at[-1] - at[-1 - k]) - (p[k] - p[0]) / (at[k] - at[0])
    # the two velocities belong to the middles of their intervals
    mean = np.diff(at) @ (0.5 * (in_W[1:] + in_W[:-1])) / (at[-1] - at[0])
    dv = dv * np.linalg.norm(mean) / GRAVITY  # in the accelerometer's unit, whatever it is
    up = mean - dv / (0.5 * (at[-1] + at[-1 - k] - at[k] - at[0]))
    tilt = float(np.rad2deg(np.arccos(np.clip(up[2] / np.linalg.norm(up), -1.0, 1.0))))
    figure = f"gravity's reaction is {tilt:.1f} degrees off the world's z axis"
    remedy = "the world of the ground truth is not z up, its rotation is the inverse one, or its quaternion is not in the order w, x, y, z"
    return [Verdict("truth.gravity", graded(tilt, _TILT_WARN, _TILT_FAULT), figure, f"{_TILT_WARN:g} degrees", remedy, tilt, "degrees")]
