"""Time series of a run: errors, biases, speed, features, milliseconds, microjoules, kilobytes."""

import numpy as np
import rerun as rr

from vio import lie
from vio.calibration import Calibration
from vio.config import Config
from vio.evaluation import interpolated
from vio.io.sequence import GroundTruth
from vio.types import TrackStatus
from vio.viewer import marks
from vio.viewer.alignment import Alignment, errors
from vio.viewer.columns import Columns
from vio.viewer.meter import Meter
from vio.viewer.moment import Moment

STAGES = ("decode_wait", "imu", "front_end", "refine", "back_end", "engine")
_XYZ = ("x", "y", "z")
_RGB = (0xD55E00FF, 0x009E73FF, 0x56B4E9FF)  # axes, colour-blind safe
_PALETTE = (0xE69F00FF, 0x56B4E9FF, 0x009E73FF, 0xF0E442FF, 0x0072B2FF, 0xD55E00FF, 0xCC79A7FF, 0xAAAAAAFF)
_FAINT = 0x55


class Plots:
    """The series of a run, under `root`/plots. Ground truth is aligned with what is known so far; after the last frame, with everything."""

    def __init__(self, columns: Columns, calibration: Calibration, config: Config, truth: GroundTruth | None, root: str, label: str, colour: int) -> None:
        self._columns, self._truth, self._root = columns, truth, f"{root}/plots"
        self._calibration, self._config = calibration, config
        self._alignment, self._meter = Alignment(), None
        self._poses: list[tuple[int, int, np.ndarray, np.ndarray]] = []  # frame, t_ns, T_WB, T_GB
        self._early: list[Moment] = []
        self.truth_p = np.zeros(3)
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

    def _add(self, moment: Moment, path: str, *values: float) -> None:
        self._columns.add(f"{self._root}/{path}", rr.Scalars, moment.index, moment.t_ns, scalars=np.array(values, np.float64))

    def _brief(self, moment: Moment, what: str, value: float) -> None:
        """One number that stands for several, where two runs are compared."""
        if self._label:
            self._add(moment, f"brief/{what}", float(value))

    def draw(self, moment: Moment) -> np.ndarray | None:
        """Take a frame into the batch; returns ground truth's alignment so far, T_WG (4, 4), None where there is no truth at that time."""
        alive = int((moment.status <= TrackStatus.NEW).sum())
        self._add(moment, "features", alive, moment.tracked, len(moment.status) - alive)
        spent = [moment.stage_ns.get(stage, -1) * 1e-6 for stage in STAGES]
        self._add(moment, "ms", *(ms if ms >= 0 else 0.0 for ms in spent))
        self._brief(moment, "features", alive)
        self._brief(moment, "ms", spent[-1])
        self._price(moment)
        state = moment.state
        if state is None:
            return None
        sigma = 3.0 * np.sqrt(np.maximum(np.diag(state.covariance), 0.0))
        for sensor, bias, bound in (("gyro", state.b_g, sigma[9:12]), ("accel", state.b_a, sigma[12:15])):
            self._add(moment, f"bias/{sensor}", *bias)
            self._add(moment, f"bias/{sensor}/3sigma", *np.column_stack([bias - bound, bias + bound]).ravel())
        self._add(moment, "speed", float(np.linalg.norm(state.v_WB)))
        return self._compare(moment, state.T_WB)

    def _compare(self, moment: Moment, T_WB: np.ndarray) -> np.ndarray | None:
        """Errors against ground truth, aligned so far."""
        if self._truth is None or len(self._truth.t_ns) < 2:
            return None
        p_GB, q_GB, valid = interpolated(self._truth, np.array([moment.t_ns]))
        if not valid[0]:
            return None
        self.truth_p, T_GB = p_GB[0], lie.pose(lie.matrix_from_quat(q_GB[0]), p_GB[0])
        self._poses.append((moment.index, moment.t_ns, T_WB, T_GB))
        T_WG = self._alignment.add(T_WB, T_GB)
        position, rotation = errors(T_WG, T_WB[None], T_GB[None])
        self._add(moment, "error/position", float(position[0]))
        self._add(moment, "error/rotation", float(rotation[0]))
        near = min(int(np.searchsorted(self._truth.t_ns, moment.t_ns)), len(self._truth.t_ns) - 1)
        if self._truth.v_WB is not None:
            self._add(moment, "speed/truth", float(np.linalg.norm(self._truth.v_WB[near])))
        if self._truth.biases is not None:
            self._add(moment, "bias/gyro/truth", *self._truth.biases[near, :3])
            self._add(moment, "bias/accel/truth", *self._truth.biases[near, 3:])
        return T_WG

    def _price(self, moment: Moment) -> None:
        """uJ by module and kB in use; the first frame waits for the second, which tells the rate."""
        if self._meter is None:
            self._early.append(moment)
            if len(self._early) < 2:
                return
            left = self._calibration.left
            self._meter = Meter(self._config, left.width, left.height, 1e9 / (self._early[1].t_ns - self._early[0].t_ns))
            self._name("uJ", self._meter.modules, _PALETTE)
            self._name("kB", ("in use", "on the chip"), (marks.ESTIMATE, 0x999999FF))
        for waiting in self._early or [moment]:
            energy = self._meter.energy(waiting.counts)
            if energy is not None:
                self._add(waiting, "uJ", *energy)
                self._brief(waiting, "uJ", energy.sum())
            self._add(waiting, "kB", self._meter.used(waiting.counts), self._meter.kilobytes)
        self._early.clear()

    def finish(self) -> None:
        """The errors once more, with the alignment of the whole run: their root mean square is the ATE."""
        if not self._poses:
            return
        frames, stamps, T_WB, T_GB = zip(*self._poses)
        position, rotation = errors(self._alignment.T_WG, np.array(T_WB), np.array(T_GB))
        for frame, t_ns, metres, degrees in zip(frames, stamps, position, rotation):
            self._columns.add(f"{self._root}/error/position/final", rr.Scalars, frame, t_ns, scalars=np.array([metres]))
            self._columns.add(f"{self._root}/error/rotation/final", rr.Scalars, frame, t_ns, scalars=np.array([degrees]))
