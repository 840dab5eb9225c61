"""What a report knows of one run: the run folder, its error against ground truth, what its features did, and its price on a chip."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vio.evaluation import interpolated
from vio.io.run_folder import StoredRun, open_run
from vio.lifetimes import LIVE, lengths
from vio.report.hardware import Design, Priced, priced
from vio.types import TrackStatus


@dataclass(frozen=True)
class Aligned:
    """An estimate moved onto ground truth by SE(3) without scale (Umeyama 1991). n poses, all in the ground truth's world frame.

    p_WB, truth (n, 3) m. position_m (n,) and rotation_deg (n,) errors. NaN where there is no ground truth.
    """

    p_WB: np.ndarray
    truth: np.ndarray
    position_m: np.ndarray
    rotation_deg: np.ndarray


@dataclass(frozen=True)
class Subject:
    """One run of the report. label: its name in legends and columns. refusal: why it has no price, or the buffer that would overflow."""

    label: str
    run: StoredRun
    price: Priced | None
    refusal: str

    def seconds(self, t_ns: np.ndarray) -> np.ndarray:
        """Time since the first frame in s."""
        first = self.run.frame_t_ns[0] if len(self.run.frame_t_ns) else 0
        return (np.asarray(t_ns) - first) / 1e9

    @cached_property
    def aligned(self) -> Aligned | None:
        """The trajectory on ground truth; None where there is none, or fewer than three poses inside it."""
        return align(self.run)

    @cached_property
    def statuses(self) -> np.ndarray:
        """Features of each frame by what became of them: (m, members of TrackStatus)."""
        tracks, kinds = self.run.tracks, len(TrackStatus)
        frame = np.repeat(np.arange(len(tracks.rows)), tracks.rows)
        flat = np.bincount(frame * kinds + tracks.status, minlength=len(tracks.rows) * kinds)
        return flat.reshape(-1, kinds)

    @cached_property
    def lifetimes(self) -> np.ndarray:
        """Frames in which each feature lived, (features,)."""
        return lengths(self.run.tracks)

    @cached_property
    def places(self) -> np.ndarray:
        """Where the live features lay in the picture, (k, 2) px, column and row."""
        alive = np.isin(self.run.tracks.status, LIVE)
        return self.run.tracks.uv_raw[alive] / 2.0**self.run.config.precision.position.frac_bits


def align(run: StoredRun) -> Aligned | None:
    """See `Aligned`. Where the rig stood still, and so the rotation is open, the first pose settles it."""
    trajectory, truth = run.trajectory, run.ground_truth
    if truth is None or len(trajectory.t_ns) == 0 or len(truth.t_ns) < 2:
        return None
    p_WB, q_WB, valid = interpolated(truth, trajectory.t_ns)
    if valid.sum() < 3:
        return None
    R, t = _transform(trajectory.p_WB[valid], trajectory.q_WB[valid][0], p_WB[valid], q_WB[valid][0])
    moved = trajectory.p_WB @ R.T + t
    apart = np.swapaxes(rotations(q_WB), 1, 2) @ R @ rotations(trajectory.q_WB)
    angle = np.degrees(np.arccos(np.clip((np.trace(apart, axis1=1, axis2=2) - 1) / 2, -1.0, 1.0)))
    gap = np.where(valid, 0.0, np.nan)
    return Aligned(moved, p_WB + gap[:, None], np.linalg.norm(moved - p_WB, axis=1) + gap, angle + gap)


def _transform(p: np.ndarray, q: np.ndarray, p_truth: np.ndarray, q_truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation that take positions (n, 3) onto those of the truth; q, q_truth: the first attitudes, wxyz."""
    from evo.core.geometry import GeometryException, umeyama_alignment

    try:
        R, t, _ = umeyama_alignment(p.T, p_truth.T, False)
    except GeometryException:
        R = rotations(q_truth[None])[0] @ rotations(q[None])[0].T
        t = p_truth.mean(0) - R @ p.mean(0)
    return R, t


def rotations(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (n, 3, 3) of quaternions (n, 4) wxyz."""
    w, x, y, z = q.T
    rows = [[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]  # fmt: skip
    return np.moveaxis(np.array(rows), 2, 0)


def subjects(folders: list[Path], design: Design) -> list[Subject]:
    """Open and price the runs. Raises DataError for a folder that is none, incomplete or of another version, ConfigError for a design that is none."""
    labels = names(folders)
    out = []
    for folder, label in zip(folders, labels):
        run = open_run(folder)
        out.append(Subject(label, run, *priced(run, design)))
    return out


def names(folders: list[Path]) -> list[str]:
    """Short names of run folders: the last part of each path, more of it where two would be the same."""
    paths = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        short = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(short)) == len(set(paths)):
            break
    return ["".join(c if c.isprintable() else "?" for c in (f"./{name}" if name.startswith("_") else name)) for name in short]  # matplotlib hides labels with "_"
