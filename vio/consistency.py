"""Whether the estimator knows how wrong it is: the normalised estimation error squared (NEES).

e^T P^-1 e of an error e with the covariance P that the estimator claims is chi-square distributed with as many degrees of freedom as e has,
and n independent samples sum to one of n times as many (Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and
Navigation", 2001, section 5.4). An average above its bounds belongs to an estimator that is too sure of itself.

The estimator fixes position and yaw of its first pose, for nothing observes them; so ground truth is moved onto the estimate by the
position and the yaw of the first pose (Zhang and Scaramuzza, "A Tutorial on Quantitative Trajectory Evaluation for
Visual(-Inertial) Odometry", 2018: four degrees of freedom, a single state).

Position and yaw drift: their errors stay alike for much longer than the second between samples, of which many then are worth few
independent ones. How many they are worth is read from the whitened errors themselves: for Gaussian ones whose autocorrelation is r_j at j
samples' distance, the variance of the mean of n squares is that of n / (1 + 2 sum_j (1 - j / n) r_j^2) independent ones (Bartlett 1946).
"""

from dataclasses import dataclass

import numpy as np

from vio import lie
from vio.evaluation import blended, bracketed, interpolated
from vio.io.sequence import GroundTruth
from vio.runner import Trajectory

PARTS = ("position", "attitude", "velocity", "gyro_bias", "accel_bias")  # the tangent order of `vio.types`, three numbers each
DOF = 3
SPACING_NS = 1_000_000_000
LEVEL = 0.95
_SINGULAR = 1e-6  # of smallest to largest eigenvalue; run folders keep covariances as float32


@dataclass(frozen=True)
class Nees:
    """NEES of one part of the state, averaged over `samples` states a second and more apart, which are worth `independent` ones.

    low, high: its 95 % bounds. None without samples.
    Of the run's other states: without_truth, initialising (before vision has settled the state) and singular (no covariance to divide by)
    count those that could not be samples. missing: why there is no average, in words.
    """

    dof: int
    average: float | None
    low: float | None
    high: float | None
    samples: int
    independent: float
    without_truth: int
    initialising: int
    singular: int
    missing: str = ""

    @property
    def verdict(self) -> str:
        """What the average says; empty without one."""
        if self.average is None or self.low is None or self.high is None:
            return ""
        return "too sure" if self.average > self.high else "too careful" if self.average < self.low else "consistent"


@dataclass(frozen=True)
class Errors:
    """Errors (n, 15) of n states in the tangent order of `vio.types`: truth = estimate + error, the attitude's on the right.

    known (n, 5): for which part of `PARTS` there is truth; errors are 0 elsewhere. first: the pose that aligns, None without any.
    """

    tangent: np.ndarray
    known: np.ndarray
    first: int | None


def yaw_between(R_WB: np.ndarray, R_GB: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) about z that takes attitude R_GB closest to R_WB: it maximises trace(R^T R_WB R_GB^T)."""
    M = R_WB @ R_GB.T
    return lie.so3_exp(np.array([0.0, 0.0, np.arctan2(M[1, 0] - M[0, 1], M[0, 0] + M[1, 1])]))


def errors(trajectory: Trajectory, truth: GroundTruth | None) -> Errors:
    """Errors of a trajectory after the alignment of the module docstring, at the first pose that has ground truth."""
    n = len(trajectory.t_ns)
    out, known = np.zeros((n, 5, 3)), np.zeros((n, 5), bool)
    if truth is None or len(truth.t_ns) < 2 or n == 0:
        return Errors(out.reshape(n, 15), known, None)
    p_GB, q_GB, valid = interpolated(truth, trajectory.t_ns)
    if not valid.any():
        return Errors(out.reshape(n, 15), known, None)
    first = int(np.argmax(valid))
    R_WB, R_GB = (np.array([lie.matrix_from_quat(q) for q in quaternions]) for quaternions in (trajectory.q_WB, q_GB))
    R_WG = yaw_between(R_WB[first], R_GB[first])
    out[:, 0] = (p_GB - p_GB[first]) @ R_WG.T - (trajectory.p_WB - trajectory.p_WB[first])
    out[:, 1] = [lie.so3_log(R) for R in np.swapaxes(R_WB, 1, 2) @ R_WG @ R_GB]
    known[:, :2] = True
    before, share, _ = bracketed(truth, trajectory.t_ns)
    if truth.v_WB is not None:
        out[:, 2], known[:, 2] = blended(truth.v_WB, before, share) @ R_WG.T - trajectory.v_WB, True
    if truth.biases is not None:
        estimated = np.hstack([trajectory.b_g, trajectory.b_a])
        out[:, 3:], known[:, 3:] = (blended(truth.biases, before, share) - estimated).reshape(n, 2, 3), True
    known &= valid[:, None] & np.isfinite(out).all(axis=2)
    return Errors(np.where(known[:, :, None], out, 0.0).reshape(n, 15), known, first)


def nees(trajectory: Trajectory, covariance: np.ndarray, truth: GroundTruth | None, initialising: np.ndarray) -> dict[str, Nees]:
    """NEES by part of the state. covariance (n, 15, 15); initialising (n,) bool: states that are none yet.

    The pose that aligns is no sample: its error is zero by definition.
    """
    found, out = errors(trajectory, truth), {}
    for k, part in enumerate(PARTS):
        at = slice(DOF * k, DOF * k + DOF)
        out[part] = _of_part(trajectory.t_ns, found, k, covariance[:, at, at], initialising, _missing(truth, found, k))
    return out


def _missing(truth: GroundTruth | None, found: Errors, part: int) -> str:
    """Why a part of the state has no truth at all; empty if it has."""
    if truth is None:
        return "no ground truth"
    if found.first is None:
        return "no pose inside the ground truth"
    lacking = (None, None, truth.v_WB, truth.biases, truth.biases)
    return "" if part < 2 or lacking[part] is not None else f"the ground truth has no {'velocity' if part == 2 else 'biases'}"


def _of_part(t_ns: np.ndarray, found: Errors, part: int, P: np.ndarray, initialising: np.ndarray, missing: str) -> Nees:
    """NEES of part number `part` with covariances P (n, 3, 3)."""
    known = found.known[:, part]
    usable = known & ~initialising
    good, error = usable & regular(P), found.tangent[:, DOF * part : DOF * part + DOF]
    values = squared(error, P, good)
    good &= np.isfinite(values)
    counts = int((~known).sum()), int((known & initialising).sum()), int((usable & ~good).sum())
    chosen = np.flatnonzero(good & (np.arange(len(t_ns)) != found.first))
    chosen = chosen[spaced(t_ns[chosen], SPACING_NS)]
    if len(chosen) == 0:
        return Nees(DOF, None, None, None, 0, 0.0, *counts, missing or "no state to judge: all are left out")
    worth = independent(np.linalg.solve(np.linalg.cholesky(P[chosen]), error[chosen][:, :, None])[:, :, 0])
    return Nees(DOF, float(values[chosen].mean()), *bounds(DOF, worth), len(chosen), worth, *counts)


def squared(error: np.ndarray, P: np.ndarray, good: np.ndarray) -> np.ndarray:
    """e^T P^-1 e of errors (n, k) and covariances P (n, k, k), (n,); infinite where not `good` (n,)."""
    out = np.full(len(error), np.inf)
    with np.errstate(over="ignore"):
        out[good] = (error[good] * np.linalg.solve(P[good], error[good][:, :, None])[:, :, 0]).sum(axis=1)
    return out


def regular(P: np.ndarray) -> np.ndarray:
    """Which of the matrices (n, k, k) are finite and positive definite by more than their rounding, (n,) bool."""
    finite = np.isfinite(P).all(axis=(1, 2))
    eigenvalues = np.linalg.eigvalsh(np.where(finite[:, None, None], P, 0.0))
    return finite & (eigenvalues[:, 0] > _SINGULAR * eigenvalues[:, -1])


def spaced(t_ns: np.ndarray, spacing_ns: int) -> np.ndarray:
    """Indices of ascending stamps (n,) of which each is at least spacing_ns after the one before."""
    kept: list[int] = []
    for i, t in enumerate(t_ns.tolist()):
        if not kept or t - int(t_ns[kept[-1]]) >= spacing_ns:
            kept.append(i)
    return np.array(kept, np.int64)


def independent(whitened: np.ndarray) -> float:
    """How many independent samples the errors (n, k) are worth for the mean of their squares; each whitened by its own covariance.

    The sum over distances ends at the first whose autocorrelation is not above two of its deviations for independent errors, 1 / sqrt(n k).
    """
    (n, k), total, spread = whitened.shape, float((whitened**2).sum()), 1.0
    for j in range(1, n if total > 0.0 else 1):
        r = float((whitened[j:] * whitened[:-j]).sum()) / total * n / (n - j)
        if r < 2.0 / np.sqrt(n * k):
            break
        spread += 2.0 * (1.0 - j / n) * min(r, 1.0) ** 2
    return n / spread


def bounds(dof: int, samples: float) -> tuple[float, float]:
    """The interval that holds the average of `samples` independent values of chi-square with dof degrees of freedom 95 % of the time."""
    from scipy.stats import chi2

    low, high = chi2.ppf([(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0], dof * samples) / samples
    return float(low), float(high)
