"""What became of a run with a fault: error, recovery, what the health report said and when; and whether that is allowed."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from vio import evaluation, lie
from vio.io.sequence import GroundTruth
from vio.runner import HealthRow, RunResult
from vio.stress.plan import Case

NEVER = 1e9  # s, for a state that does not recover
_FLYING = ("good", "degraded")
_SKIPPED = ("sequence", "skipped")


@dataclass(frozen=True)
class Verdict:
    """Numbers of one run; None where one cannot be had.

    ate_m: RMSE after SE3 alignment. worst_m: largest error of the motion since the fault's begin, while it lasts. blind_m: way flown
    in frames that were lost. recover_s: from the fault's end until the state is good or degraded for good, `NEVER` if it does not
    become so; for one that does not end, how long it was neither at the last frame. seen_s: from its begin until the first report of one of the words that the case wants, of anything but `good` if it wants
    none; None if there is none. words: states and reasons since, most frequent first. alarms: frames with a reason before the fault
    began. broken: frames whose state is not finite. failure: in words.
    """

    poses: float
    ate_m: float | None
    worst_m: float | None
    blind_m: float
    recover_s: float
    seen_s: float | None
    words: str
    alarms: int
    broken: int
    failure: str = ""


def judged(case: Case, result: RunResult, truth: GroundTruth | None, first_ns: int, lasts_to_ns: int) -> Verdict:
    """Measure a run of a case. first_ns: stamp of the sequence's first frame; lasts_to_ns: of the last one flown."""
    begin, end = (first_ns + round(1e9 * s) if np.isfinite(s) else lasts_to_ns for s in (case.begin, case.end))
    rows = [row for row in result.health if row.state not in _SKIPPED]
    errors = evaluation.accuracy(result.trajectory, truth)
    return Verdict(
        poses=len(result.trajectory.t_ns) / max(len(rows), 1),
        ate_m=errors.ate_rmse_m,
        worst_m=_worst(result, truth, begin, min(end, lasts_to_ns)),
        blind_m=_blind_way(result, truth, rows),
        recover_s=_recovery(rows, end, lasts_to_ns) if case.fault else 0.0,
        seen_s=_seen(rows, begin, case.limits.seen),
        words=_words(rows, begin if case.fault else first_ns),
        alarms=sum(bool(row.reasons) for row in rows if row.t_ns < begin or not case.fault),
        broken=sum("state_not_finite" in row.reasons for row in rows),
        failure=result.failure.strip().splitlines()[-1] if result.failure else "",
    )


def complaints(case: Case, verdict: Verdict, free_ate_m: float | None) -> list[str]:
    """In what an outcome is worse than allowed, in words; free_ate_m: ATE of the same flight without a fault."""
    limits, found = case.limits, []
    if verdict.failure:
        return [verdict.failure]
    if verdict.broken:
        found.append(f"{verdict.broken} states not finite")
    if case.limits.seen and (verdict.seen_s is None or verdict.seen_s > limits.seen_s):
        late = "never" if verdict.seen_s is None else f"after {verdict.seen_s:.2f} s"
        found.append(f"{' or '.join(limits.seen)} reported {late}")
    if verdict.recover_s > limits.recover_s:
        found.append(f"recovered {'never' if verdict.recover_s >= NEVER else f'after {verdict.recover_s:.2f} s'}, allowed {limits.recover_s:g} s")
    if not case.fault:
        return found + ([f"{verdict.alarms} false alarms"] if verdict.alarms else [])
    allowed = allowed_ate(case, verdict, free_ate_m)
    if allowed is not None and not (verdict.ate_m is not None and verdict.ate_m <= allowed):
        found.append(f"ATE {'none' if verdict.ate_m is None else f'{verdict.ate_m:.4f} m'}, allowed {allowed:.4f} m")
    return found


def allowed_ate(case: Case, verdict: Verdict, free_ate_m: float | None) -> float | None:
    """ATE that the case's line allows; None without one of the flight without a fault."""
    limits = case.limits
    return None if free_ate_m is None else limits.ate_free * free_ate_m + limits.ate_blind * verdict.blind_m + limits.ate_m


def _worst(result: RunResult, truth: GroundTruth | None, begin: int, end: int) -> float | None:
    """Largest difference between estimated and true motion since the last pose at or before `begin`, up to `end`."""
    path = result.trajectory
    first = max(int(np.searchsorted(path.t_ns, begin, "right")) - 1, 0)
    part = slice(first, int(np.searchsorted(path.t_ns, end, "right")))
    if truth is None or len(path.t_ns[part]) < 2:
        return None
    p, q, valid = evaluation.interpolated(truth, path.t_ns[part])
    if not valid[0]:
        return None
    motions = []
    for positions, attitude in ((path.p_WB[part], path.q_WB[first]), (p, q[0])):
        R = lie.matrix_from_quat(np.ascontiguousarray(attitude))
        motions.append((positions - positions[0]) @ R)
    return float(np.linalg.norm(motions[0] - motions[1], axis=1)[valid].max())


def _blind_way(result: RunResult, truth: GroundTruth | None, rows: list[HealthRow]) -> float:
    """Length of the true path between frames that were lost and the ones before them, m."""
    if truth is None or len(rows) < 2:
        return 0.0
    t_ns = np.array([row.t_ns for row in rows], np.int64)
    p, _, valid = evaluation.interpolated(truth, t_ns)
    lost = np.array([row.state == "lost" for row in rows])[1:]
    return float(np.linalg.norm(np.diff(p, axis=0), axis=1)[lost & valid[1:] & valid[:-1]].sum())


def _recovery(rows: list[HealthRow], end: int, last_ns: int) -> float:
    """Seconds from `end` to the first frame from which on the state stays good or degraded, NEVER if the last frame's is not.

    For a fault that is not over at last_ns: from the last frame with such a state to the last of all, NEVER if there is none.
    """
    flying = [row.t_ns for row in rows if row.state in _FLYING]
    if end >= last_ns:
        return (rows[-1].t_ns - flying[-1]) * 1e-9 if flying else NEVER
    after = [row for row in rows if row.t_ns >= end]
    if after and after[-1].state not in _FLYING:
        return NEVER
    last = max((row.t_ns for row in after if row.state not in _FLYING), default=None)
    return 0.0 if last is None else (last - end) * 1e-9


def _seen(rows: list[HealthRow], begin: int, wanted: tuple[str, ...]) -> float | None:
    """Seconds from `begin` to the first report of one of the wanted words; of anything but good without any."""
    for row in rows:
        said = {row.state, *row.reasons}
        if row.t_ns >= begin and (said & set(wanted) if wanted else row.state != "good"):
            return (row.t_ns - begin) * 1e-9
    return None


def _words(rows: list[HealthRow], begin: int) -> str:
    """States but good, and reasons, from `begin` on, with the number of frames."""
    found = Counter(word for row in rows if row.t_ns >= begin for word in (row.state, *row.reasons) if word != "good")
    return ", ".join(f"{word} {n}" for word, n in found.most_common())
