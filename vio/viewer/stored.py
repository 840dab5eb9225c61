"""A finished run, or two, from their folders: nothing is computed again; pictures come from the recording where it is still there."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vio import lie
from vio.backend.snapshot import Snapshot
from vio.errors import TinyvioError
from vio.events import Event
from vio.io.map_file import LandmarkMap, landmarks_at, read_map
from vio.io.progress import Progress
from vio.io.run_folder import StoredRun, open_run
from vio.io.sequence import Sequence, open_sequence
from vio.io.sources import source_of
from vio.types import NavState
from vio.viewer import layout, marks
from vio.viewer.alignment import Alignment
from vio.viewer.columns import Columns
from vio.viewer.moment import Moment
from vio.viewer.outputs import Output
from vio.viewer.pictures import jpeg
from vio.viewer.scene import Scene

_BATCH = 100  # frames drawn together


@dataclass(frozen=True)
class Finished:
    """A run folder, its map, and its recording if it was found. title: of the run, unique among those shown."""

    title: str
    run: StoredRun
    landmarks: LandmarkMap
    pictures: Sequence | None


def open_finished(folder: Path, say: Callable[[str], None]) -> Finished:
    """Read everything that is to be shown. Raises DataError for a folder that is none, incomplete or of another version."""
    run, landmarks = open_run(folder), read_map(folder)
    title = re.sub(r"\W+", "_", folder.resolve().name).strip("_") or "run"
    return Finished(title, run, landmarks, _pictures(run, say))


def _pictures(run: StoredRun, say: Callable[[str], None]) -> Sequence | None:
    """The recording of a run, if it is still where it was and its frames are the run's."""
    try:
        name, mono = source_of(run.folder)
        opened = open_sequence(name, mono)
    except TinyvioError as error:
        say(f"{run.folder}: shown without pictures: {error}")
        return None
    if not np.isin(run.frame_t_ns, opened.frame_t_ns).all():
        say(f"{run.folder}: shown without pictures: {name} has other frames now")
        return None
    say(f"{run.folder}: pictures are those of {name}")
    return opened


def moments(finished: Finished) -> Iterator[Moment]:
    """The frames that the engine was given, in order."""
    run, tracks = finished.run, finished.run.tracks
    position, begins = run.config.precision.position, np.concatenate([[0], np.cumsum(tracks.rows)])
    frame_of = np.repeat(np.arange(len(tracks.rows)), tracks.rows)
    _, first, inverse = np.unique(tracks.ids, return_index=True, return_inverse=True)
    ages = (frame_of - frame_of[first][inverse]).astype(np.int32)
    keyframes, verdicts = np.flatnonzero(run.counts[:, Event.KEYFRAME]), {row.t_ns: row for row in run.health if row.state not in ("skipped", "sequence")}
    states = _states(run)
    for k, t_ns in enumerate(run.frame_t_ns.tolist()):
        part = slice(begins[k], begins[k + 1])
        row, state, is_key = verdicts[t_ns], states.get(t_ns), bool(run.counts[k, Event.KEYFRAME])
        window = _window(run, states, keyframes, k) if is_key and state is not None else None
        yield Moment(
            k, t_ns, state, tracks.ids[part], position.to_float(tracks.uv_raw[part]), tracks.status[part], ages[part], run.counts[k],
            {stage: int(ns[k]) for stage, ns in run.stage_ns.items()}, row.state, row.reasons, row.tracked, _left(finished.pictures, t_ns),
            landmarks=landmarks_at(finished.landmarks, k, keyframes) if window is not None else None, window=window)


def _states(run: StoredRun) -> dict[int, NavState]:
    """States by their stamp."""
    at = run.trajectory
    rows = zip(at.t_ns.tolist(), at.q_WB, at.p_WB, at.v_WB, at.b_g, at.b_a, run.covariance)
    return {t: NavState(t, lie.pose(lie.matrix_from_quat(q), p), v, b_g, b_a, S) for t, q, p, v, b_g, b_a, S in rows}


def _window(run: StoredRun, states: dict[int, NavState], keyframes: np.ndarray, frame: int) -> Snapshot | None:
    """The last keyframes where they were first estimated; what coupled them is not kept."""
    recent = keyframes[keyframes <= frame][-run.config.backend.window :]
    poses = [states[t].T_WB for t in run.frame_t_ns[recent].tolist() if t in states]
    n = len(poses)
    return Snapshot(np.array(poses), np.zeros(n, bool), np.zeros((n, n), np.int64)) if n else None


def _left(pictures: Sequence | None, t_ns: int) -> bytes | None:
    """The left picture of a frame; one that cannot be read is left out, as the run did."""
    if pictures is None:
        return None
    try:
        return jpeg(pictures.load(int(np.searchsorted(pictures.frame_t_ns, t_ns))).left)
    except TinyvioError:
        return None


def draw(output: Output, runs: list[Finished], heard: Progress = lambda done, total: None) -> None:
    """Draw one run, or two over each other; `heard(done, total)` follows the frames."""
    columns = Columns(output.recording)
    columns.legend(layout.LEGEND)
    if len(runs) == 1:
        output.recording.send_blueprint(layout.single("", False, False))
    else:
        titles = _titles(runs)
        output.recording.send_blueprint(layout.double(*titles))
        columns.place(f"{titles[1]}/world", onto(*runs))
    total, done = sum(len(item.run.frame_t_ns) for item in runs), 0
    for k, item in enumerate(runs):
        root, label, extra = ("", "", {}) if len(runs) == 1 else (titles[k], titles[k], {"colour": marks.SECOND} if k else {})
        scene = Scene(columns, item.landmarks.rig, item.run.config, item.run.ground_truth, root, label, **extra)
        waiting = moments(item)
        while batch := list(islice(waiting, _BATCH)):
            scene.draw(batch)
            done += len(batch)
            heard(done, total)
        scene.finish()


def _titles(runs: list[Finished]) -> tuple[str, str]:
    first, second = (item.title for item in runs)
    return (first, second) if first != second else (f"{first}_1", f"{second}_2")


def onto(first: Finished, second: Finished) -> np.ndarray:
    """T (4, 4) of the second run's world in the first one's, by least squares over the poses at common stamps; identity without any."""
    ours, theirs = _states(first.run), _states(second.run)
    shared = sorted(ours.keys() & theirs.keys())
    alignment = Alignment()
    alignment.add(*(np.array([states[t_ns].T_WB for t_ns in shared]).reshape(-1, 4, 4) for states in (ours, theirs)))
    return alignment.T_WG
