"""Energy of every single frame of a run: the model is linear in the events, so each event gets its price once."""

from dataclasses import dataclass, replace

import numpy as np

from hwmodel.area import kilogates
from hwmodel.buffers.record import ALL
from hwmodel.chip import Chip
from hwmodel.counts import Counts, from_run, high_water
from hwmodel.energy import Prices, leakage_mW, module_energy
from hwmodel.memory import memory_map, total_kilobytes, used_kilobytes
from hwmodel.operations import Work
from hwmodel.tables import NOTHING, Band
from hwmodel.technology import Technology
from hwmodel.timing import operating_point, timing
from hwmodel.traffic import refined, store_read, store_written
from hwmodel.work import MODULES, estimator, module_of, work_per_event
from vio.config import Config
from vio.events import Event

_STORE = MODULES.index("frame store")


@dataclass(frozen=True)
class Flight:
    """A run as a chip would have flown it. energy_uJ (frames, modules + 1) nominal, leakage last; total_uJ (frames, 3) with the band."""

    modules: tuple[str, ...]
    energy_uJ: np.ndarray
    total_uJ: np.ndarray
    fps: float
    power_mW: Band
    clock_MHz: float
    vdd: float
    kilobytes: float
    kilobytes_used: float
    high_water: dict[str, int]


def _one(event: Event | None, frames: int = 0, keyframes: int = 0) -> Counts:
    """Counts with a single event, or with frames and keyframes alone."""
    total = np.zeros(len(Event), np.int64)
    if event is not None:
        total[event] = 1
    total[Event.KEYFRAME] = keyframes
    return Counts(frames, total, total, "one event")


@dataclass(frozen=True)
class Tariff:
    """uJ of every event at one operating point. table (modules + 1, events + 2, 3): leakage is the last module; the last columns are one
    frame and one replayed observation; low, nominal, high.
    """

    table: np.ndarray
    clock_MHz: float
    vdd: float

    def price(self, counts: np.ndarray) -> np.ndarray:
        """uJ (frames, modules + 1, 3) of frames with counts (frames, events)."""
        steps, keys = counts[:, Event.GAUSS_NEWTON_ITERATION], counts[:, Event.KEYFRAME]
        replays = counts[:, Event.REPROJECTION] * steps / np.maximum(steps + keys, 1)
        return np.einsum("fe,meb->fmb", np.column_stack([counts, np.ones(len(counts)), replays]), self.table)


def tariff(config: Config, run: Counts, chip: Chip, technology: Technology, fps: float) -> Tariff:
    """Prices at the operating point that the rate needs with the counts of `run`. Raises ConfigError as `evaluate` does."""
    clock, point = operating_point(timing(config, run, chip), chip, technology, fps)
    buffers = memory_map(config, chip)
    prices = Prices(buffers, point, chip)

    def price(work: Work) -> np.ndarray:
        total = NOTHING
        for band in module_energy(work, prices, chip).values():
            total = total + band
        return np.array(total) * 1e-6

    table = np.zeros((len(MODULES) + 1, len(Event) + 2, 3))
    work = work_per_event(config)
    for event in Event:
        if event not in (Event.BLOCK_ENCODED, Event.BLOCK_DECODED, Event.KEYFRAME):
            table[MODULES.index(module_of(event)), event] = price(work[event])
            table[_STORE, event] += price(store_read(config, chip, ALL, _one(event)))
    table[_STORE, Event.KEYFRAME] = price(store_written(config, chip, ALL, _one(None, 0, 1)))
    table[_STORE, -2] = price(store_written(config, chip, ALL, _one(None, 1)))
    table[MODULES.index("refinement"), -2] = price(refined(config, _one(None, 2)))
    table[-1, -2] = sum((np.array(band) for band in leakage_mW(buffers, kilogates(config, chip), point)), np.zeros(3)) * 1e3 / fps
    table[MODULES.index("landmark elimination"), -1] = price(estimator.observation_replayed(config))
    return Tariff(table, clock, point.vdd)


def flight(config: Config, counts: np.ndarray, chip: Chip, technology: Technology, fps: float) -> Flight:
    """Price the frames of a run, counts (frames, events), at the operating point that its rate needs. Raises ConfigError as `evaluate` does."""
    run, buffers = from_run(counts), memory_map(config, chip)
    prices = tariff(config, run, chip, technology, fps)
    energy = prices.price(counts)
    total, used = energy.sum(1), high_water(run)
    return Flight(
        (*MODULES, "leakage"), energy[:, :, 1], total, fps, Band(*(total.mean(0) * fps * 1e-3)), prices.clock_MHz, prices.vdd,
        total_kilobytes(buffers), used_kilobytes(buffers, used), used)


def with_picture(chip: Chip, width: int, height: int) -> Chip:
    """The same chip for another picture size."""
    return replace(chip, image_width=width, image_height=height)
