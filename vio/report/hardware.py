"""A run priced by the hardware model: what the counts of its frames cost on a chip, and what the chip costs a drone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vio.errors import ConfigError

if TYPE_CHECKING:
    from hwmodel.buffers.record import Buffer
    from hwmodel.chip import Chip
    from hwmodel.drones import Budget, Drone
    from hwmodel.energy import Report
    from hwmodel.live import Flight
    from hwmodel.summary import Table
    from hwmodel.technology import Technology
    from vio.io.run_folder import StoredRun


@dataclass(frozen=True)
class Design:
    """The chip, the process and the drone that the runs are priced for. fps: frame rate, None for each run's own."""

    chip: "Chip"
    technology: "Technology"
    drone: "Drone"
    fps: float | None = None


@dataclass(frozen=True)
class Priced:
    """A run on a chip of its picture size, at the lowest clock and voltage that keep up with its frames.

    flight: energy frame by frame. report: that of the average frame, by module and kind.
    """

    design: Design
    flight: "Flight"
    report: "Report"
    buffers: "tuple[Buffer, ...]"
    budget: "Budget"
    tables: "tuple[Table, ...]"


def design(chip: str, technology: str, drone: str, fps: float | None = None) -> Design:
    """The design by its names, or by the user's TOML files. Raises ConfigError."""
    from hwmodel.chip import load_chip
    from hwmodel.drones import load_drone
    from hwmodel.technology import load_technology

    if fps is not None and not 0 < fps < 1e6:
        raise ConfigError(f"--fps {fps:g}: a frame rate must be positive")
    return Design(load_chip(chip), load_technology(technology), load_drone(drone), fps)


def priced(run: "StoredRun", design: Design) -> tuple[Priced | None, str]:
    """The run's price; or None, or a price that would overflow a buffer, and the reason in words."""
    from hwmodel.counts import from_run
    from hwmodel.live import with_picture
    from hwmodel.memory import check_depths, memory_map
    from vio.events import Event

    if run.events != tuple(event.name for event in Event):
        return None, "its events are those of another version; run the sequence again"
    if len(run.frame_t_ns) < 2:
        return None, "two frames or more are needed to know the frame rate"
    chip = design.chip
    if "image_width" in run.metrics:
        chip = with_picture(chip, int(run.metrics["image_width"]), int(run.metrics["image_height"]))
    found, refusal = None, ""
    try:
        counts = from_run(run.counts, str(run.folder.name))
        found = _price(run, counts, chip, design)
        check_depths(memory_map(run.config, chip), found.flight.high_water)
    except ConfigError as error:
        refusal = str(error)
    return found, refusal


def _price(run: "StoredRun", counts: "object", chip: "Chip", design: Design) -> Priced:
    """All figures of the model at the run's frame rate."""
    from hwmodel import summary
    from hwmodel.drones import budget
    from hwmodel.energy import evaluate
    from hwmodel.live import flight
    from hwmodel.memory import memory_map
    from hwmodel.timing import operating_point, timing

    config, fps = run.config, design.fps or 1e9 / float(np.median(np.diff(run.frame_t_ns)))
    t = timing(config, counts, chip)
    clock, point = operating_point(t, chip, design.technology, fps)
    flown = flight(config, run.counts, chip, design.technology, fps)
    report = evaluate(config, counts, point, chip, fps)
    tables = (
        summary.power_table(report, clock), summary.energy_table(report), summary.timing_table(t, chip, config, clock, fps),
        summary.area_table(config, chip, point), summary.memory_table(config, chip, counts), summary.savings(config, chip),
        summary.budget_table(design.drone, report.power_mW, fps),
    )  # fmt: skip
    return Priced(design, flown, report, memory_map(config, chip), budget(design.drone, report.power_mW), tables)
