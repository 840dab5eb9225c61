"""The page: sections of words, figures and tables, and the one HTML file they become."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vio._version import __version__
from vio.io.progress import Progress
from vio.io.writers import prepare_folder, write_atomic
from vio.report import chip, engine, motion, tables, words
from vio.report.picture import Picture
from vio.report.style import inline_svg, save, styled
from vio.report.subject import Subject

if TYPE_CHECKING:
    from hwmodel.summary import Table

PAGE, FIGURES = "report.html", "figures"


@dataclass(frozen=True)
class Section:
    """One part of the page. folded: tables that open on a click."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: "tuple[Table, ...]" = ()
    folded: "tuple[Table, ...]" = field(default=())


def sections(subjects: list[Subject]) -> Iterator[Section]:
    """The parts of the page in their order; runs over the same sequence share figures."""
    groups = _by_sequence(subjects)
    several = len(groups) > 1

    def each(draw: Callable[[list[Subject], str], Picture]) -> tuple[Picture, ...]:
        if not several:
            return (draw(groups[0], ""),)
        drawn = [draw(group, f"-{k + 1}") for k, group in enumerate(groups)]
        return tuple(replace(picture, title=f"{picture.title}: {group[0].run.name}") for picture, group in zip(drawn, groups))

    def single(draw: Callable[[Subject, str], Picture], runs: list[Subject]) -> tuple[Picture, ...]:
        return tuple(draw(s, f"-{subjects.index(s) + 1}" if len(subjects) > 1 else "") for s in runs)

    flown = [s for s in subjects if len(s.run.frame_t_ns)]
    yield Section("flight", "The flight", pictures=(*each(motion.trajectories), *each(motion.errors)))
    yield Section("biases", "Biases", pictures=each(motion.biases))
    yield Section("features", "Features", pictures=single(engine.features, flown))
    yield Section("time", "Time", pictures=each(engine.stages))
    priced = [s for s in subjects if s.price]
    if priced:
        yield from _hardware(priced, single)
    yield Section("configuration", "Configuration", ("What differs from the defaults:",), tables=(tables.differences(subjects),), folded=(_whole(subjects),))
    yield Section("health", "Health", tables=tuple(tables.events(s) for s in subjects))
    again = "`tinyvio run SEQUENCE --profile RUN/config.toml` flies a run again, bit for bit; `tinyvio report RUN` draws this page."
    yield Section("origin", "Where this comes from", (again,), tables=(tables.origin(subjects),))


def _by_sequence(subjects: list[Subject]) -> list[list[Subject]]:
    """Runs grouped by the name of their sequence, in the order given."""
    groups: dict[str, list[Subject]] = {}
    for s in subjects:
        groups.setdefault(s.run.name, []).append(s)
    return list(groups.values())


def _hardware(priced: list[Subject], single: Callable[..., tuple[Picture, ...]]) -> Iterator[Section]:
    """Memory, energy, the chip's tables and the drone."""
    design = priced[0].price.design
    note = (f"A model, not a measurement: counted work times published energies per operation and access, for the lanes and clock of the chip {design.chip.name} in {design.technology.name}; "
            "low, nominal and high follow the spread of the published tables. 1 kB = 1024 bytes.")  # fmt: skip
    yield Section("memory", "Memory on the chip", (note,), single(chip.memory, priced))
    yield Section("energy", "Energy on the chip", (), (*single(chip.energy_over_time, priced), chip.energy_by_module(priced, "")))
    yield Section("chip", "The chip in numbers", tables=tuple(_named(s, t) for s in priced for t in s.price.tables[:1]), folded=tuple(_named(s, t) for s in priced for t in s.price.tables[1:-1]))
    yield Section("drone", "On a drone", tuple(words.in_short(s)[2] for s in priced), (chip.drone(priced, ""),), tuple(_named(s, s.price.tables[-1]) for s in priced))


def _named(s: Subject, table: "Table") -> "Table":
    """The table with its run's name."""
    return replace(table, name=f"{table.name}: {s.label}")


def _whole(subjects: list[Subject]) -> "Table":
    """Every field of every configuration."""
    from hwmodel.summary import Table

    mine = [tables.flat(s.run.config) for s in subjects]
    return Table("all fields", ("field", *(s.label for s in subjects)), [(name, *(m[name] for m in mine)) for name in mine[0]])


def write(subjects: list[Subject], folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Draw everything into `folder`: report.html, and each figure in figures/ as PNG and SVG. Returns the page."""
    prepare_folder(folder / FIGURES)
    with styled():
        parts = list(sections(subjects))
        pictures = [picture for part in parts for picture in part.pictures]
        drawn = {}
        for done, picture in enumerate(pictures):
            progress(done, len(pictures))
            svg = save(picture.figure, folder / FIGURES / picture.name)
            drawn[picture.name] = inline_svg(svg.decode("utf-8"), picture.name)
    write_atomic(folder / PAGE, html(subjects, parts, drawn).encode("utf-8"))
    return folder / PAGE


def html(subjects: list[Subject], parts: list[Section], drawn: dict[str, str]) -> str:
    """The page's text. drawn: figures by name, as SVG elements; everything else is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"cell": cell, "numeric": _numeric}
    return environment.get_template("page.html").render(
        title="tinyvio: " + ", ".join(s.label for s in subjects), subjects=subjects, sections=parts, glance=tables.glance(subjects),
        short=[words.in_short(s) for s in subjects], cards=words.cards(subjects[0]) if len(subjects) == 1 else [],
        svg={name: Markup(text) for name, text in drawn.items()}, version=__version__)  # noqa: S704 - matplotlib's own output


def cell(value: Any) -> str:
    """A cell's text; numbers with four digits."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)


def _numeric(table: "Table") -> list[bool]:
    """Which columns hold numbers and belong to the right."""
    return [any(isinstance(row[k], int | float) for row in table.rows) for k in range(len(table.columns))]
