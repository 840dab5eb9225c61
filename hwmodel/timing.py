"""Cycles per frame and keyframe by module, and from them rates, latency, utilisation, and the slowest clock that does a job."""

from dataclasses import dataclass

from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.operations import Work
from hwmodel.structure import Structure, dense, sparse
from hwmodel.technology import Technology, at_voltage, speed
from hwmodel.traffic import refined, replayed
from hwmodel.work import module_of, work_per_event
from vio.config import Config, ConfigError
from vio.events import Event

_BACK_END = ("landmark elimination", "solver", "marginalisation")
_ROWS = {Event.KLT_TEMPLATE: 3, Event.KLT_ITERATION: 0, Event.FEATURE_TRACKED: 0}  # rows of a patch beyond the window's
_SCALAR = (Event.RAY_LOOKUP, Event.RAY_ROTATION, Event.RAY_PROJECTION, Event.STEREO_MATCHED, Event.FEATURE_DETECTED)
_VOLTAGE_STEPS = 50


@dataclass(frozen=True)
class Timing:
    """Cycles on average: per frame of the streaming part, of the sparse front end and of the per-frame estimator, per keyframe of the back end."""

    stream: float
    track: float
    keyframe_front_end: float  # detection's second pass, stereo; per keyframe
    back_end: float  # per keyframe
    refine: float  # per frame
    imu: float  # per sample
    keyframe_share: float  # keyframes per frame
    parallel: bool

    @property
    def sparse(self) -> float:
        """Cycles of the sparse front end in an average frame."""
        return self.track + self.keyframe_share * self.keyframe_front_end

    @property
    def frame(self) -> float:
        """Cycles between two frames at the highest rate; streaming and tracking overlap if the chip is parallel, else follow one another."""
        front = max(self.stream, self.sparse) if self.parallel else self.stream + self.sparse
        return max(front, self.refine + self.keyframe_share * self.back_end)

    @property
    def latency(self) -> float:
        """Cycles from a frame's last pixel to its state."""
        return self.track + self.refine

    def utilisation(self, clock_MHz: float, fps: float) -> dict[str, float]:
        """Share of the cycles in which each stage works at a frame rate."""
        available = clock_MHz * 1e6 / fps
        estimator = self.refine + self.keyframe_share * self.back_end
        return {"stream": self.stream / available, "sparse front end": self.sparse / available, "back end": estimator / available}


def float_cycles(work: Work, lanes: int, dividers: int, chip: Chip) -> float:
    """Cycles of floating-point work on multiply-add lanes with dividers beside them; the longer of the two counts."""
    multiply = max(work.of(("fmul",)), work.of(("fadd",)))
    return max(multiply / (lanes * chip.lane_utilisation), work.of(("fdiv",)) * chip.divider_cycles / dividers)


def factorisation_cycles(shape: Structure, chip: Chip) -> float:
    """Cycles of one factorisation with its two substitutions in 3x3 blocks: one block product takes 27 lane cycles."""
    products = 27 * (shape.updates + shape.below) + 14 * shape.columns + 9 * 2 * (shape.below + shape.columns)
    return max(products / (chip.multipliers * chip.lane_utilisation), 6 * chip.divider_cycles * shape.columns / chip.dividers)


def solver_speedup(window: int, chip: Chip) -> float:
    """Dense over sparse cycles of one solve, on the same lanes."""
    return factorisation_cycles(dense(window + 1), chip) / factorisation_cycles(sparse(window + 1), chip)


def timing(config: Config, counts: Counts, chip: Chip) -> Timing:
    """The cycle model of a flight's average frame and keyframe."""
    work, frames, keyframes = work_per_event(config), counts.frames, max(counts.keyframes, 1)
    window, levels = config.frontend.klt_window, config.frontend.pyramid_levels
    rows = {event: window + extra for event, extra in _ROWS.items()}
    solve = {Event.KLT_TEMPLATE: chip.tracker_solve_cycles, Event.KLT_ITERATION: chip.tracker_solve_cycles, Event.FEATURE_TRACKED: levels}
    track = sum(counts.per_frame(e) * (rows[e] * chip.tracker_cycles_per_row + solve[e]) for e in rows)
    track += sum(counts.per_frame(e) for e in (*_SCALAR, Event.RANSAC_HYPOTHESIS, Event.RANSAC_TEST)) * chip.scalar_cycles
    candidate = max(config.frontend.stereo_window * chip.stereo_cycles_per_row, chip.stereo_candidate_cycles)
    front = counts.total[Event.STEREO_CANDIDATE] * candidate + (counts.total[Event.DEPTH_TEST] + counts.total[Event.DEPTH_HYPOTHESIS]) * chip.scalar_cycles
    back = replayed(config, counts)
    for event in Event:
        if event in (Event.KEYFRAME,) or module_of(event) not in _BACK_END:
            continue
        back.plus(work[event], times=float(counts.total[event]))
    per_frame = refined(config, counts).plus(work[Event.FRAME_RESIDUAL], times=float(counts.total[Event.FRAME_RESIDUAL]))
    return Timing(
        stream=chip.image_width * chip.image_height / chip.pixels_per_cycle, track=track,
        keyframe_front_end=float(front) / keyframes,
        back_end=float_cycles(back, chip.multipliers, chip.dividers, chip) / keyframes,
        refine=float_cycles(per_frame, chip.multipliers, chip.dividers, chip) / frames,
        imu=float_cycles(work[Event.IMU_SAMPLE], chip.imu_multipliers, 1, chip), keyframe_share=counts.keyframes / frames, parallel=chip.parallel,
    )


def peak_rates(t: Timing, clock_MHz: float) -> tuple[float, float, float]:
    """(frames/s, keyframes/s, inertial samples/s) at a clock."""
    hertz = clock_MHz * 1e6
    return hertz / t.frame, hertz / t.back_end, hertz / t.imu


def operating_point(t: Timing, chip: Chip, technology: Technology, fps: float) -> tuple[float, Technology]:
    """Lowest clock in MHz that keeps up with `fps`, and the technology at the lowest voltage that allows it.

    The chip's clock is what its logic reaches at the nominal voltage. Raises ConfigError if even the highest voltage is too slow.
    """
    if not 0 < fps < 1e6:
        raise ConfigError(f"a frame rate of {fps:g} fps makes no sense; give a positive number")
    needed = t.frame * fps / 1e6
    for step in range(_VOLTAGE_STEPS + 1):
        vdd = technology.vdd_min + (technology.vdd_max - technology.vdd_min) * step / _VOLTAGE_STEPS
        point = at_voltage(technology, min(vdd, technology.vdd_max))
        if chip.clock_MHz * speed(point) >= needed * (1 - 1e-9):
            return needed, point
    fastest = chip.clock_MHz * speed(at_voltage(technology, technology.vdd_max)) * 1e6 / t.frame
    raise ConfigError(f"{fps:g} fps need a clock of {needed:.1f} MHz; {technology.name} reaches {fastest:.0f} fps at {technology.vdd_max:g} V")
