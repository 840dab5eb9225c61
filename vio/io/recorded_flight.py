"""Recorded poses from any file of them, and the smooth flight through them."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from vio.errors import DataError
from vio.io import tables
from vio.io.tables import MOCAP, TRUTH
from vio.io.trajectory import Flight, through_poses

_KNOT_SPACING = 0.05  # s, or 2.5 poses if these are further apart
_POSES_PER_KNOT = 2.5
_STATE = 16  # columns of a full state: p_WB, q_WB, v_WB, b_g, b_a


@dataclass(frozen=True)
class RecordedPoses:
    """Poses of a recording: t_ns (n,) ascending; states (n, 16): p_WB, q_WB wxyz, v_WB, b_g, b_a, zero where the file has none.

    path: the file. warnings: one line for each fault that was worked around.
    """

    path: Path
    t_ns: np.ndarray
    states: np.ndarray
    warnings: tuple[str, ...] = ()


def read_poses(source: Path) -> RecordedPoses:
    """Read the ground truth of an ASL folder, a CSV in EuRoC's columns (8 or more), or a TUM text file.

    Of poses with gaps the longest unbroken part is kept. Raises DataError naming file and line.
    """
    path = _file_of(Path(source))
    if path.suffix.lower() == ".csv":
        t_ns, states, lines = _euroc(path)
    else:
        t_ns, states, lines = _tum(path)
    keep, faults = tables.ascending(path, t_ns, lines)
    length = np.linalg.norm(states[:, 3:7], axis=1)
    good = keep & (np.abs(states) <= tables.FARTHEST_M).all(axis=1) & (np.abs(length - 1.0) < 0.1)
    if good.sum() < keep.sum():
        faults += (f"{path}: dropped {int(keep.sum() - good.sum())} rows that are not finite or not a rotation",)
    t_ns, states = t_ns[good], states[good]
    states[:, 3:7] /= length[good, None]
    part, cut = _unbroken(path, t_ns)
    return RecordedPoses(path, t_ns[part], states[part], faults + cut)


def _file_of(source: Path) -> Path:
    """The file of poses that a path means."""
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if source.is_file():
        return source
    root = source / "mav0" if (source / "mav0").is_dir() else source
    for name in (TRUTH, MOCAP):
        if (root / name / "data.csv").is_file():
            return root / name / "data.csv"
    raise DataError(f"{root / TRUTH / 'data.csv'}: missing; the flight is read from it (or from {MOCAP}/data.csv)")


def _euroc(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps, states and line numbers of a CSV: nanoseconds, position, quaternion wxyz, and perhaps velocity and biases."""
    count = min(tables.columns(path) - 1, _STATE)
    if count < 7:
        raise DataError(f"{path}: {count + 1} columns; a ground truth has 8 or more: stamp in ns, position, quaternion wxyz")
    t_ns, values, lines = tables.read_numbers(path, count)
    return t_ns, np.hstack([values, np.zeros((len(values), _STATE - count))]), lines


def _tum(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of a TUM file: seconds, position, quaternion xyzw, separated by blanks."""
    rows = [(number, line.split()) for number, line in enumerate(tables.read_lines(path), 1) if line.strip() and not line.lstrip().startswith("#")]
    stamps, values = np.empty(len(rows), np.int64), np.zeros((len(rows), _STATE))
    for k, (number, cells) in enumerate(rows):
        try:
            stamp = Decimal(cells[0]) * 10**9  # a float64 would be off by 100 ns at today's dates
            stamps[k] = int(stamp.to_integral_value()) if abs(stamp) < tables.FARTHEST_NS else tables.FARTHEST_NS
            values[k, [0, 1, 2, 4, 5, 6, 3]] = [float(cell) for cell in cells[1:]]
        except (ValueError, ArithmeticError):
            raise DataError(f"{path}, line {number}: not a TUM row: t[s] tx ty tz qx qy qz qw") from None
    lines = np.array([number for number, _ in rows], np.int64)
    tables.check_stamps(path, stamps, lines)
    return stamps, values, lines


def _unbroken(path: Path, t_ns: np.ndarray) -> tuple[slice, tuple[str, ...]]:
    """The longest part without a gap that a spline would have to invent motion for, and a line of text if that is not all."""
    if len(t_ns) < 2:
        raise DataError(f"{path}: {len(t_ns)} usable poses are no flight")
    gaps = np.flatnonzero(np.diff(t_ns) > 1e9 * knot_spacing(t_ns)) + 1
    if len(gaps) == 0:
        return slice(0, len(t_ns)), ()
    edges = np.r_[0, gaps, len(t_ns)]
    longest = int(np.argmax(t_ns[edges[1:] - 1] - t_ns[edges[:-1]]))
    part = slice(int(edges[longest]), int(edges[longest + 1]))
    seconds = (t_ns[part][-1] - t_ns[part][0]) * 1e-9
    return part, (f"{path}: the poses have {len(gaps)} gaps; the flight is the longest part without one, {seconds:.1f} s",)


def knot_spacing(t_ns: np.ndarray) -> float:
    """Seconds between the knots of a spline through poses at t_ns (n,)."""
    return max(_KNOT_SPACING, _POSES_PER_KNOT * float(np.median(np.diff(t_ns))) * 1e-9)


def flight_through(poses: RecordedPoses) -> Flight:
    """The smooth flight through recorded poses. Raises DataError if they are too few."""
    try:
        return through_poses(poses.t_ns, poses.states[:, :3], poses.states[:, 3:7], knot_spacing(poses.t_ns))
    except (ValueError, np.linalg.LinAlgError) as error:
        raise DataError(f"{poses.path}: {error}") from None
