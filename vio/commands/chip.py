"""`tinyvio chip`: memory, energy, area and timing of a configuration as a chip."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.commands.common import guarded, resolve_config, say
from vio.errors import ConfigError, DataError

if TYPE_CHECKING:
    from hwmodel.chip import Chip
    from hwmodel.counts import Counts
    from hwmodel.summary import Table
    from hwmodel.technology import Technology
    from vio.config import Config


@dataclass(frozen=True)
class _Design:
    """What the model is asked about; counts are None where neither a run nor typical counts fit the configuration."""

    config: "Config"
    chip: "Chip"
    technology: "Technology"
    counts: "Counts | None"
    fps: float
    vdd_given: bool


@guarded
def chip(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Folder of a `tinyvio run`: its configuration and its counts.", show_default=False)] = None,
    profile: Annotated[str | None, typer.Option(help="A named profile or a TOML file.", show_default="navion, or the run's own")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    technology: Annotated[str, typer.Option(help="A technology of hwmodel/data/technologies or a TOML file.")] = "65nm-lstp",
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 20.0,
    vdd: Annotated[float | None, typer.Option(help="Voltage in V.", show_default="the lowest that keeps up")] = None,
    design: Annotated[str, typer.Option("--chip", help="Lanes, clock and macros: a chip of hwmodel/data/chips or a TOML file.")] = "navion",
    vs: Annotated[str | None, typer.Option(metavar="PROFILE", help="Compare with another profile.")] = None,
    validate: Annotated[bool, typer.Option("--validate", help="Only the table of published against modelled figures.")] = False,
    explain: Annotated[str | None, typer.Option(metavar="BUFFER|MODULE", help="Derive one number down to its sources.")] = None,
    accelergy: Annotated[Path | None, typer.Option(metavar="DIR", help="Write architecture, action counts and energy table for Accelergy 0.4.")] = None,
    save_counts: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Write the counts as a file of typical counts.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Tables as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Tables as CSV.")] = False,
) -> None:
    """Memory map, energy, power, area and timing of a configuration as a chip, with bands and sources.

    Examples:

    - `tinyvio chip` reconstructs Navion, with typical counts

    - `tinyvio chip runs/room-navion --fps 171` prices a run

    - `tinyvio chip --validate` holds the model against the published chip

    - `tinyvio chip --explain observations`, `tinyvio chip --explain tracker`

    - `tinyvio chip --vs default --technology 32nm-lstp`
    """
    asked = make_design(run, profile, assignments or [], technology, fps, vdd, design)
    if explain:
        return _explain(asked, explain)
    tables = _validation(asked) if validate else _tables(asked) + (_versus(asked, vs) if vs else [])
    if accelergy:
        _write_accelergy(asked, accelergy)
    if save_counts:
        _save_counts(asked, save_counts)
    from vio.commands import tables as form

    typer.echo((form.as_json if json else form.as_csv if csv else form.as_text)(tables).rstrip())


def make_design(
    run: Path | None, profile: str | None, assignments: list[str], technology: str, fps: float, vdd: float | None, chip_name: str
) -> _Design:
    """Resolve everything the user named. Raises ConfigError or DataError with the reason."""
    from hwmodel.chip import load_chip
    from hwmodel.counts import check
    from hwmodel.technology import load_technology

    if not 0 < fps < 1e6:
        raise ConfigError(f"--fps {fps:g}: a frame rate must be positive")
    process, chip_ = load_technology(technology, vdd), load_chip(chip_name)
    if run is not None:
        config, counts = load_run(run)
        _same_configuration(config, profile, assignments, run)
        chip_ = _with_the_runs_picture(chip_, run)
        check(counts, config, chip_)
        return _Design(config, chip_, process, counts, fps, vdd is not None)
    config = resolve_config(profile or "navion", assignments)
    return _Design(config, chip_, process, _typical(config, chip_, profile or "navion"), fps, vdd is not None)


def load_run(folder: Path) -> tuple["Config", "Counts"]:
    """Configuration and counts of a run's folder. Raises DataError naming the file."""
    import numpy as np
    from hwmodel.counts import from_run
    from vio import config
    from vio.events import Event
    from vio.io.npz import read_arrays

    for name in ("config.toml", "counts.npz"):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: not there; give the folder that `tinyvio run` wrote")
    arrays = read_arrays(folder / "counts.npz")
    counts, events = arrays.get("counts"), [str(name) for name in np.atleast_1d(arrays.get("events", ()))]
    if counts is None or counts.ndim != 2 or counts.dtype.kind not in "iu" or counts.shape[1] != len(events):
        raise DataError(f"{folder / 'counts.npz'}: not the counts of a run")
    if events != [event.name for event in Event]:
        raise DataError(f"{folder / 'counts.npz'}: its events are those of another version; run the sequence again")
    return config.load(folder / "config.toml"), from_run(counts, str(folder))


def _with_the_runs_picture(chip: "Chip", run: Path) -> "Chip":
    """The chip for the picture size that the run's metrics.json names, if there is one."""
    import json

    from hwmodel.live import with_picture
    from vio.files import LARGEST_JSON, read_text

    path = run / "metrics.json"
    if not path.is_file():
        return chip
    try:
        metrics = json.loads(read_text(path, LARGEST_JSON, DataError))
        return with_picture(chip, int(metrics["image_width"]), int(metrics["image_height"])) if "image_width" in metrics else chip
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not the metrics of a run ({error})") from None


def _same_configuration(config: "Config", profile: str | None, assignments: list[str], run: Path) -> None:
    """Refuse to price a run's counts with another configuration."""
    from vio.config import dumps

    if profile is None and not assignments:
        return
    wanted = resolve_config(profile, assignments) if profile else resolve_config(str(run / "config.toml"), assignments)
    if wanted != config:
        mine, theirs = dumps(config).splitlines(), dumps(wanted).splitlines()
        first = next((f"{a.strip()} in the run, {b.strip()} asked for" for a, b in zip(mine, theirs) if a != b), "different fields")
        raise ConfigError(f"{run}: its counts are of another configuration ({first}); run the sequence again with that profile")


def _typical(config: "Config", chip: "Chip", profile: str) -> "Counts | None":
    """Stored counts of the profile if they fit the configuration; says so, or why there are none."""
    from hwmodel.counts import check, typical

    counts = typical(Path(profile).stem)
    try:
        if counts is None:
            raise ConfigError(f"no typical counts of profile {Path(profile).stem}")
        check(counts, config, chip)
    except ConfigError as error:
        say(f"note: memory and area alone: {error}; for energy and timing give the folder of a run with this configuration")
        return None
    return counts


def operating(asked: _Design) -> tuple[float, "Technology"]:
    """(clock MHz, technology at its voltage) at the asked frame rate."""
    from hwmodel.technology import speed
    from hwmodel.timing import operating_point, timing

    t = timing(asked.config, asked.counts, asked.chip)
    if asked.vdd_given:
        needed = t.frame * asked.fps / 1e6
        if needed > asked.chip.clock_MHz * speed(asked.technology):
            reached = asked.chip.clock_MHz * speed(asked.technology)
            raise ConfigError(f"{asked.fps:g} fps need {needed:.1f} MHz; at {asked.technology.vdd:g} V the chip reaches {reached:.1f} MHz")
        return needed, asked.technology
    return operating_point(t, asked.chip, asked.technology, asked.fps)


def _tables(asked: _Design) -> list["Table"]:
    """The whole report."""
    from hwmodel import summary
    from hwmodel.counts import high_water
    from hwmodel.energy import evaluate
    from hwmodel.memory import check_depths, memory_map
    from hwmodel.timing import timing

    config, chip_ = asked.config, asked.chip
    out = [summary.memory_table(config, chip_, asked.counts), summary.savings(config, chip_)]
    if asked.counts is None:
        return [*out, summary.area_table(config, chip_, asked.technology), summary.platform_table(None), summary.accelerator_table()]
    check_depths(memory_map(config, chip_), high_water(asked.counts))
    clock, process = operating(asked)
    report = evaluate(config, asked.counts, process, chip_, asked.fps)
    t = timing(config, asked.counts, chip_)
    return [
        *out, summary.energy_table(report), summary.power_table(report, clock), summary.area_table(config, chip_, process),
        summary.timing_table(t, chip_, config, clock, asked.fps), summary.dram_table(config, asked.counts, chip_, asked.fps),
        summary.platform_table(report), summary.accelerator_table()]


def _versus(asked: _Design, profile: str) -> list["Table"]:
    """One line per quantity for both profiles and their ratio; power where both have counts."""
    from hwmodel.area import area
    from hwmodel.energy import evaluate
    from hwmodel.memory import by_module, memory_map
    from hwmodel.summary import Table

    config = resolve_config(profile, [])
    other = replace(asked, config=config, counts=_typical(config, asked.chip, profile))
    pairs: list[tuple[str, Any, Any]] = []
    mine, theirs = (by_module(memory_map(d.config, d.chip)) for d in (asked, other))
    pairs += [(f"{name} kB", mine.get(name, 0.0), theirs.get(name, 0.0)) for name in dict.fromkeys([*mine, *theirs])]
    pairs.append(("all memory kB", sum(mine.values()), sum(theirs.values())))
    pairs.append(("die mm2", *(area(d.config, d.chip, d.technology)["die"].nominal for d in (asked, other))))
    if asked.counts and other.counts:
        pairs.append(("power mW", *(evaluate(d.config, d.counts, operating(d)[1], d.chip, d.fps).power_mW.nominal for d in (asked, other))))
    return [Table("comparison", ("quantity", "this", profile, "ratio"), [(n, a, b, f"{b / a:.2f}" if a else "") for n, a, b in pairs])]


def _validation(asked: _Design) -> list["Table"]:
    """Published against modelled."""
    from hwmodel.published import validation
    from hwmodel.summary import validation_table

    if asked.counts is None:
        raise ConfigError("--validate needs counts: give a run's folder or a profile with typical counts")
    return [replace(validation_table(validation(asked.config, asked.counts, asked.chip, asked.technology), asked.chip))]


def _need_counts(asked: _Design, option: str) -> "Counts":
    if asked.counts is None:
        raise ConfigError(f"{option} needs counts: give a run's folder or a profile with typical counts")
    return asked.counts


def _explain(asked: _Design, name: str) -> None:
    from hwmodel.explain import explain

    counts = _need_counts(asked, "--explain")
    typer.echo("\n".join(explain(name, asked.config, counts, operating(asked)[1], asked.chip)))


def _write_accelergy(asked: _Design, folder: Path) -> None:
    """The three YAML files."""
    import yaml
    from hwmodel.accelergy import documents

    counts = _need_counts(asked, "--accelergy")
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents(asked.config, counts, operating(asked)[1], asked.chip, asked.fps).items():
        (folder / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    say(f"{folder}: architecture.yaml, action_counts.yaml, ERT.yaml; energies in pJ, counts of {counts.frames} frames")


def _save_counts(asked: _Design, path: Path) -> None:
    from hwmodel.counts import as_toml

    path.write_text(as_toml(_need_counts(asked, "--save-counts"), asked.counts.source), encoding="utf-8")
    say(f"{path}: counts of {asked.counts.frames} frames")
