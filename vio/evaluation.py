"""Accuracy of a trajectory against ground truth, by `evo`, and the numbers of metrics.json."""

import platform
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from vio._version import __version__
from vio.io.sequence import GroundTruth
from vio.runner import HealthRow, RunResult, Trajectory, peak_rss_mb

if TYPE_CHECKING:
    from evo.core.trajectory import PoseTrajectory3D

_MAX_GAP_NS = 200_000_000  # over a longer outage of the tracking system a straight line is no ground truth
_MIN_PATH_M = 1e-3  # below it a percentage of the distance says nothing


@dataclass(frozen=True)
class RelativeError:
    """Root mean square error of the motion between poses a fixed delta apart, and how many pairs of poses there were."""

    translation_rmse_m: float
    rotation_rmse_deg: float
    pairs: int


@dataclass(frozen=True)
class Accuracy:
    """Errors after SE(3) alignment without scale (Umeyama 1991). None where they cannot be had.

    matched: poses with ground truth. path_m: length of the ground truth over these. rpe: by delta, `1s` and `10m`.
    """

    matched: int = 0
    path_m: float | None = None
    ate_rmse_m: float | None = None
    ate_max_m: float | None = None
    ate_percent: float | None = None
    rpe: dict[str, RelativeError | None] | None = None


def interpolated(truth: GroundTruth, t_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth at stamps (n,): p_WB (n, 3) linear, q_WB (n, 4) slerp (Shoemake 1985), and where it is valid (n,) bool.

    Not valid outside its span and inside gaps of more than 0.2 s.
    """
    before, share, valid = bracketed(truth, t_ns)
    return blended(truth.p_WB, before, share), _slerp(truth.q_WB[before], truth.q_WB[before + 1], share), valid


def bracketed(truth: GroundTruth, t_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For stamps (n,): the sample of ground truth before each (n,), the share (n, 1) of the way to the next, and `valid` as in `interpolated`."""
    after = np.clip(np.searchsorted(truth.t_ns, t_ns), 1, len(truth.t_ns) - 1)
    before = after - 1
    gap = truth.t_ns[after] - truth.t_ns[before]
    valid = (t_ns >= truth.t_ns[0]) & (t_ns <= truth.t_ns[-1]) & (gap <= _MAX_GAP_NS)
    # integer difference first: the stamps themselves do not fit into a float64
    return before, np.clip((t_ns - truth.t_ns[before]) / gap, 0.0, 1.0)[:, None], valid


def blended(values: np.ndarray, before: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rows (n, k) of ground truth's values (m, k) on the straight lines between samples, as `bracketed` found them."""
    return (1.0 - share) * values[before] + share * values[before + 1]


def _slerp(q0: np.ndarray, q1: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Between quaternions (n, 4) by shares (n, 1), the short way round; close ones by a normalised straight line."""
    cosine = (q0 * q1).sum(axis=1, keepdims=True)
    q1, cosine = np.where(cosine < 0, -q1, q1), np.minimum(np.abs(cosine), 1.0)
    angle = np.arccos(cosine)
    sine = np.where(angle < 1e-6, 1.0, np.sin(angle))
    w0 = np.where(angle < 1e-6, 1.0 - share, np.sin((1.0 - share) * angle) / sine)
    w1 = np.where(angle < 1e-6, share, np.sin(share * angle) / sine)
    q = w0 * q0 + w1 * q1
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def accuracy(trajectory: Trajectory, truth: GroundTruth | None, seconds: tuple[float, ...] = (1.0,), metres: tuple[float, ...] = (10.0,)) -> Accuracy:
    """Absolute error of a trajectory and relative errors over times in s and distances in m.

    Empty without ground truth or with fewer than three poses inside it.
    """
    if truth is None or len(truth.t_ns) < 2 or len(trajectory.t_ns) == 0:
        return Accuracy()
    p_WB, q_WB, valid = interpolated(truth, trajectory.t_ns)
    matched = int(valid.sum())
    if matched < 3:
        return Accuracy(matched)
    path_m = float(np.linalg.norm(np.diff(p_WB[valid], axis=0), axis=1).sum())
    reference = _evo(trajectory.t_ns[valid], p_WB[valid], q_WB[valid])
    estimate = _evo(trajectory.t_ns[valid], trajectory.p_WB[valid], trajectory.q_WB[valid])
    spacing = float(np.median(np.diff(trajectory.t_ns[valid]))) / 1e9
    rpe = {f"{delta:g}s": _relative(reference, estimate, max(1, round(delta / spacing)), "frames") for delta in seconds}
    rpe |= {f"{delta:g}m": _relative(reference, estimate, delta, "meters") for delta in metres}
    errors = _absolute(reference, estimate)
    if errors is None:
        return Accuracy(matched, path_m, rpe=rpe)
    rmse = float(np.sqrt(np.mean(errors**2)))
    percent = 100.0 * rmse / path_m if path_m > _MIN_PATH_M else None
    return Accuracy(matched, path_m, rmse, float(errors.max()), percent, rpe)


def _evo(t_ns: np.ndarray, p_WB: np.ndarray, q_WB: np.ndarray) -> "PoseTrajectory3D":
    """The trajectory as evo wants it; times count from its first pose, so that they fit into a float64."""
    from evo.core.trajectory import PoseTrajectory3D

    return PoseTrajectory3D(positions_xyz=p_WB, orientations_quat_wxyz=q_WB, timestamps=(t_ns - t_ns[0]) / 1e9)


def _absolute(reference: "PoseTrajectory3D", estimate: "PoseTrajectory3D") -> np.ndarray | None:
    """Distances (n,) m after alignment (`estimate` is moved); None if a standing rig leaves the rotation open."""
    from evo.core import metrics
    from evo.core.geometry import GeometryException

    try:
        estimate.align(reference, correct_scale=False)
    except GeometryException:
        return None
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((reference, estimate))
    return np.asarray(ape.error)


def _relative(reference: "PoseTrajectory3D", estimate: "PoseTrajectory3D", delta: float, unit: str) -> RelativeError | None:
    """Relative error over all pairs of poses `delta` apart on the ground truth; None if there is no such pair."""
    from evo.core import filters, metrics
    from evo.core.units import Unit

    errors = []
    for relation in (metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg):
        rpe = metrics.RPE(relation, delta, Unit[unit], rel_delta_tol=0.05, all_pairs=True, pairs_from_reference=True)
        try:
            rpe.process_data((reference, estimate))
        except filters.FilterException:
            return None
        if len(rpe.error) == 0:
            return None
        errors.append(np.asarray(rpe.error))
    rmse = [float(np.sqrt(np.mean(e**2))) for e in errors]
    return RelativeError(rmse[0], rmse[1], len(errors[0]))


def coverage_and_error(result: RunResult, errors: Accuracy) -> dict[str, float | int | None]:
    """The numbers by which two runs over the same frames are compared."""
    poses = len(result.trajectory.t_ns)
    return {
        "frames": result.frames,
        "poses": poses,
        "coverage": poses / result.frames if result.frames else 0.0,
        "path_m": errors.path_m,
        "ate_rmse_m": errors.ate_rmse_m,
        "ate_max_m": errors.ate_max_m,
        "ate_percent": errors.ate_percent,
    }


def metrics(name: str, result: RunResult, errors: Accuracy) -> dict[str, Any]:
    """The content of metrics.json; null where a number cannot be had."""
    return {
        "sequence": name,
        **coverage_and_error(result, errors),
        "matched": errors.matched,
        "rpe": None if errors.rpe is None else {delta: e and asdict(e) for delta, e in errors.rpe.items()},
        "seconds": result.seconds,
        "fps": result.frames / result.seconds if result.seconds > 0 else None,
        "warmup_seconds": result.warmup_seconds,
        "first_output_at": result.first_output_at,
        "stage_ms": {stage: _percentiles_ms(ns) for stage, ns in result.stage_ns.items()},
        "peak_rss_mb": peak_rss_mb(),
        "interrupted": result.interrupted,
        "failed": bool(result.failure),
        "health": health_summary(result.health),
        "online_calibration": result.online and {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in result.online._asdict().items()},
        "versions": versions(),
    }


def _percentiles_ms(ns: np.ndarray) -> dict[str, float]:
    """Median and 99th percentile in ms of durations (n,) ns, those of frames without this stage (-1) left out."""
    p50, p99 = np.percentile(ns[ns >= 0], [50, 99]) / 1e6
    return {"p50": float(p50), "p99": float(p99)}


def health_summary(rows: tuple[HealthRow, ...]) -> dict[str, Any]:
    """How many frames were in each state, had each reason, and how the engine was initialised."""
    return {
        "states": dict(Counter(row.state for row in rows)),
        "reasons": dict(Counter(reason for row in rows for reason in row.reasons)),
        "initialised_by": next((row.initialised_by for row in rows if row.initialised_by), ""),
    }


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {"tinyvio": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in ("numpy", "numba", "scipy", "opencv-python-headless", "evo"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # for example another distribution of OpenCV
    return found
