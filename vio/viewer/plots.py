"""Time series of a run: errors, biases, speed, features, milliseconds, microjoules, kilobytes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import rerun as rr

from vio import lie
from vio.calibration import Calibration
from vio.config import Config
from vio.evaluation import interpolated
from vio.io.sequence import GroundTruth
from vio.types import NavState, TrackStatus
from vio.viewer import marks
from vio.viewer.alignment import Alignment, errors
from vio.viewer.columns import Columns, Stamps
from vio.viewer.meter import Meter
from vio.viewer.moment import Moment, stamps

STAGES = ("decode_wait", "imu", "front_end", "solve_wait", "refine", "back_end", "engine")
_XYZ = ("x", "y", "z")
_RGB = (0xD55E00FF, 0x009E73FF, 0x56B4E9FF)  # axes, colour-blind safe
_PALETTE = (0xE69F00FF, 0x56B4E9FF, 0x009E73FF, 0xF0E442FF, 0x0072B2FF, 0xD55E00FF, 0xCC79A7FF, 0xAAAAAAFF)
_FAINT = 0x55


class Truth(NamedTuple):
    """Ground truth at some frames: p_GB (n, 3) m in its own frame G, and T_WG (n, 4, 4), its alignment with the poses until then."""

    at: Stamps
    p_GB: np.ndarray
    T_WG: np.ndarray

    @staticmethod
    def nothing() -> "Truth":
        """Where there is none."""
        return Truth(Stamps(np.zeros(0, np.int64), np.zeros(0, np.int64)), np.zeros((0, 3)), np.zeros((0, 4, 4)))


class Plots:
    """The series of a run, under `root`/plots. Ground truth is aligned with what is known so far; after the last frame, with everything."""

    def __init__(self, columns: Columns, calibration: Calibration, config: Config, truth: GroundTruth | None, root: str, label: str, colour: int) -> None:
        self._columns, self._truth, self._root = columns, truth, f"{root}/plots"
        self._calibration, self._config = calibration, config
        self._alignment, self._meter = Alignment(), None
        self._poses: list[tuple[Stamps, np.ndarray, np.ndarray]] = []  # T_WB, T_GB (n, 4, 4)
        self._early: list[Moment] = []
        self._label = label
        for error in ("error/position", "error/rotation"):
            self._name(error, ("aligned so far",), (marks.ESTIMATE,))
            self._name(f"{error}/final", (label or "aligned at the end",), (colour if label else 0xE69F00FF,))
        for brief in ("brief/features", "brief/ms", "brief/uJ") if label else ():
            self._name(brief, (label,), (colour,))
        for sensor in ("gyro", "accel"):
            self._name(f"bias/{sensor}", tuple(f"{label} {axis}".strip() for axis in _XYZ), _RGB, 2.0 if colour != marks.ESTIMATE else 1.25)
            bounds = tuple(f"{axis} {sign} 3 sigma" for axis in _XYZ for sign in "-+")
            self._name(f"bias/{sensor}/3sigma", bounds, tuple(c - 0xFF + _FAINT for c in _RGB for _ in "-+"))
            self._name(f"bias/{sensor}/truth", tuple(f"{axis} truth" for axis in _XYZ), tuple(c - 0xFF + 0xAA for c in _RGB), 0.75)
        self._name("speed", ("speed",), (marks.ESTIMATE,))
        self._name("speed/truth", ("truth",), (0x999999FF,))
        self._name("features", ("tracked", "landmarks used", "lost"), (0x009E73FF, marks.ESTIMATE, 0xD55E00FF))
        self._name("ms", STAGES, _PALETTE)

    def _name(self, path: str, names: tuple[str, ...], colours: tuple[int, ...], width: float = 1.25) -> None:
        colours = tuple(colours[k % len(colours)] for k in range(len(names)))
        self._columns.fixed(f"{self._root}/{path}", rr.SeriesLines(names=names, colors=np.array(colours, np.uint32), widths=[width] * len(names)))

    def _add(self, at: Stamps, path: str, values: np.ndarray) -> None:
        """Rows of a plot: values (n,) of one curve, or (n, curves)."""
        curves = values.shape[1] if values.ndim == 2 else 1
        self._columns.send(f"{self._root}/{path}", rr.Scalars, at, [curves] * len(values), scalars=np.asarray(values, np.float64).ravel())

    def _brief(self, at: Stamps, what: str, values: np.ndarray) -> None:
        """One number (n,) that stands for several, where two runs are compared."""
        if self._label:
            self._add(at, f"brief/{what}", values)

    def draw(self, at: Stamps, moments: Sequence[Moment]) -> Truth:
        """Send the series of some frames; returns what ground truth says of them."""
        all_alive = [(int((m.status <= TrackStatus.NEW).sum()), m.tracked, len(m.status)) for m in moments]
        alive, used, total = np.array(all_alive).T
        self._add(at, "features", np.column_stack([alive, used, total - alive]))
        spent = 1e-6 * np.array([[m.stage_ns.get(stage, -1) for stage in STAGES] for m in moments])
        self._add(at, "ms", np.maximum(spent, 0.0))
        self._brief(at, "features", alive)
        self._brief(at, "ms", spent[:, -1])
        self._price(at, moments)
        posed = [k for k, m in enumerate(moments) if m.state is not None]
        return self._draw_states(at.of(posed), [moments[k].state for k in posed])

    def _draw_states(self, at: Stamps, states: Sequence[NavState]) -> Truth:
        """Biases with their bounds, and speed."""
        if not states:
            return Truth.nothing()
        variances = np.array([state.covariance.diagonal() for state in states])
        sigma = 3.0 * np.sqrt(np.maximum(variances, 0.0))
        biases = {"gyro": (np.array([s.b_g for s in states]), sigma[:, 9:12]), "accel": (np.array([s.b_a for s in states]), sigma[:, 12:15])}
        for sensor, (bias, bound) in biases.items():
            self._add(at, f"bias/{sensor}", bias)
            self._add(at, f"bias/{sensor}/3sigma", np.stack([bias - bound, bias + bound], axis=2).reshape(-1, 6))
        self._add(at, "speed", np.linalg.norm([s.v_WB for s in states], axis=1))
        return self._compare(at, np.array([s.T_WB for s in states]))

    def _compare(self, at: Stamps, T_WB: np.ndarray) -> Truth:
        """Errors against ground truth, aligned so far."""
        if self._truth is None or len(self._truth.t_ns) < 2:
            return Truth.nothing()
        p_GB, q_GB, valid = interpolated(self._truth, at.t_ns)
        at, T_WB, p_GB = at.of(valid), T_WB[valid], p_GB[valid]
        T_GB = np.array([lie.pose(lie.matrix_from_quat(q), p) for q, p in zip(q_GB[valid], p_GB)]).reshape(-1, 4, 4)
        self._poses.append((at, T_WB, T_GB))
        T_WG = self._alignment.add(T_WB, T_GB)
        self._draw_errors(at, "", *errors(T_WG, T_WB, T_GB))
        near = np.minimum(np.searchsorted(self._truth.t_ns, at.t_ns), len(self._truth.t_ns) - 1)
        if self._truth.v_WB is not None:
            self._add(at, "speed/truth", np.linalg.norm(self._truth.v_WB[near], axis=1))
        if self._truth.biases is not None:
            self._add(at, "bias/gyro/truth", self._truth.biases[near, :3])
            self._add(at, "bias/accel/truth", self._truth.biases[near, 3:])
        return Truth(at, p_GB, T_WG)

    def _draw_errors(self, at: Stamps, suffix: str, position: np.ndarray, rotation: np.ndarray) -> None:
        self._add(at, f"error/position{suffix}", position)
        self._add(at, f"error/rotation{suffix}", rotation)

    def _price(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """uJ by module and kB in use; the first frame waits for the second, which tells the rate."""
        if self._early:
            moments, self._early = [*self._early, *moments], []
            at = stamps(moments)
        if self._meter is None and len(moments) < 2:
            self._early = list(moments)
            return
        if self._meter is None:
            left = self._calibration.left
            self._meter = Meter(self._config, left.width, left.height, 1e9 / (moments[1].t_ns - moments[0].t_ns))
            self._name("uJ", self._meter.modules, _PALETTE)
            self._name("kB", ("in use", "on the chip"), (marks.ESTIMATE, 0x999999FF))
        counts = np.array([m.counts for m in moments])
        energy = self._meter.energy(counts)
        priced = ~np.isnan(energy[:, 0])
        self._add(at.of(priced), "uJ", energy[priced])
        self._brief(at.of(priced), "uJ", energy[priced].sum(axis=1))
        self._add(at, "kB", np.column_stack([self._meter.used(counts), np.full(len(counts), self._meter.kilobytes)]))

    def finish(self) -> None:
        """The errors once more, with the alignment of the whole run: their root mean square is the ATE."""
        if self._poses:
            times, T_WB, T_GB = zip(*self._poses)
            at = Stamps(*(np.concatenate(column) for column in zip(*times)))
            self._draw_errors(at, "/final", *errors(self._alignment.T_WG, np.concatenate(T_WB), np.concatenate(T_GB)))
