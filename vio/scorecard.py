"""Everything that `tinyvio eval` says of one run."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vio.consistency import Nees, nees
from vio.errors import DataError
from vio.evaluation import Accuracy, accuracy
from vio.io.run_folder import StoredRun
from vio.lifetimes import Lifetimes, lifetimes
from vio.types import HealthState

SECONDS = (0.5, 1.0, 2.0, 5.0)
METRES = (1.0, 2.0, 5.0, 10.0)
_LARGEST = 1e12  # of a position in m, which is out of this world; NaN is not below it
_UNIT = 1e-3


@dataclass(frozen=True)
class Scorecard:
    """Errors, consistency and features of a run. missing: why there are no errors, in words."""

    folder: str
    sequence: str
    frames: int
    poses: int
    accuracy: Accuracy
    missing: str
    nees: dict[str, Nees]
    features: Lifetimes


def scorecard(run: StoredRun) -> Scorecard:
    """Judge a run; what cannot be had is None and said in words. Raises DataError for a trajectory or a ground truth that is none."""
    _check(run)
    errors = accuracy(run.trajectory, run.ground_truth, SECONDS, METRES)
    consistency = nees(run.trajectory, run.covariance, run.ground_truth, _initialising(run))
    return Scorecard(
        str(run.folder), run.name, len(run.frame_t_ns), len(run.trajectory.t_ns), errors, _missing(run, errors), consistency, lifetimes(run.tracks)
    )


def _check(run: StoredRun) -> None:
    """Raise DataError where a damaged file says what no run would."""
    path, truth = run.trajectory, run.ground_truth
    sane = {"trajectory": _is_sane(path.t_ns, path.q_WB, path.p_WB, path.v_WB, path.b_g, path.b_a)}
    if truth is not None:
        sane["ground truth"] = _is_sane(truth.t_ns, truth.q_WB, truth.p_WB, truth.v_WB, truth.biases)
    for name, is_sane in sane.items():
        if not is_sane:
            raise DataError(f"{run.folder}: the {name} is damaged: numbers, quaternions or stamps that cannot be; run `tinyvio run` again")


def _is_sane(t_ns: np.ndarray, q: np.ndarray, *arrays: np.ndarray | None) -> bool:
    """Whether stamps (n,) ascend, quaternions (n, 4) are of length one and all numbers have a sensible size."""
    sized = all(array is None or (np.abs(array) < _LARGEST).all() for array in (q, *arrays))
    return sized and bool((np.diff(t_ns) > 0).all() and (np.abs(np.linalg.norm(q, axis=1) - 1.0) < _UNIT).all())


def _initialising(run: StoredRun) -> np.ndarray:
    """Which states (n,) come before vision has settled the first one, by the verdict on their frame."""
    early = [row.t_ns for row in run.health if row.state == HealthState.INITIALISING.value]
    return np.isin(run.trajectory.t_ns, np.array(early, np.int64))


def _missing(run: StoredRun, errors: Accuracy) -> str:
    """Why there is no absolute error."""
    if errors.ate_rmse_m is not None:
        return ""
    if run.ground_truth is None:
        return "no ground truth: there are no errors to speak of"
    if errors.matched < 3:
        return f"{errors.matched} poses inside the ground truth: an alignment takes three"
    return "no absolute error: the path leaves the alignment open"


def as_dict(card: Scorecard) -> dict[str, Any]:
    """The scorecard as JSON's own types."""
    out = asdict(card)
    for part, found in card.nees.items():
        out["nees"][part]["verdict"] = found.verdict
    return out
