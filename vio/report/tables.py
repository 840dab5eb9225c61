"""Tables of the report: the runs at a glance, configurations, health."""

import tomllib
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np

from hwmodel.summary import Table
from hwmodel.tables import Band
from vio import config as configuration
from vio.config import Config
from vio.errors import ConfigError
from vio.io.resources import resource
from vio.report.subject import Subject

NONE = "–"
_MOST_EVENTS = 200


def _band(band: Band, unit: str) -> str:
    return f"{band.nominal:.3g} {unit} ({band.low:.3g} to {band.high:.3g})"


def _metric(name: str, form: str, factor: float = 1.0) -> Callable[[Subject], str | None]:
    """A number of metrics.json in words; None where it is null or absent."""
    def read(s: Subject) -> str | None:
        value = s.run.metrics.get(name)
        return None if value is None else form.format(factor * value)

    return read


def _relative(delta: str) -> Callable[[Subject], str | None]:
    """The relative error over `delta`."""
    def read(s: Subject) -> str | None:
        error = (s.run.metrics.get("rpe") or {}).get(delta)
        return error and f"{100 * error['translation_rmse_m']:.2f} cm, {error['rotation_rmse_deg']:.3f} deg"

    return read


def _ate(s: Subject) -> str | None:
    error, percent = s.run.metrics.get("ate_rmse_m"), s.run.metrics.get("ate_percent")
    return None if error is None else f"{error:.4f} m" + ("" if percent is None else f" = {percent:.3f} % of the path")


def _rotation(s: Subject) -> str | None:
    angles = s.aligned.rotation_deg[~np.isnan(s.aligned.rotation_deg)] if s.aligned else np.zeros(0)
    return f"{float(np.sqrt(np.mean(angles**2))):.3f} deg" if len(angles) else None


def _engine(s: Subject) -> str | None:
    ms = (s.run.metrics.get("stage_ms") or {}).get("engine")
    return ms and f"{ms['p50']:.2f} ms median, {ms['p99']:.2f} ms 99th percentile"


def _states(s: Subject) -> str:
    states = s.run.metrics["health"]["states"]
    return ", ".join(f"{state} {n}" for state, n in states.items() if state != "sequence")


def _duration(s: Subject) -> str:
    t = s.run.frame_t_ns
    return f"{s.run.metrics['frames']}, {(t[-1] - t[0]) / 1e9:.1f} s" if len(t) else "0"


def _chip(read: Callable[[Any], str]) -> Callable[[Subject], str | None]:
    """A figure of the price, where there is one."""
    return lambda s: read(s.price) if s.price else None


_ROWS: tuple[tuple[str, Callable[[Subject], str | None]], ...] = (
    ("sequence", lambda s: s.run.name),
    ("frames", _duration),
    ("coverage: frames with a pose", _metric("coverage", "{:.1f} %", 100.0)),
    ("path, by ground truth", _metric("path_m", "{:.2f} m")),
    ("ATE RMSE after SE3 alignment", _ate),
    ("largest position error", _metric("ate_max_m", "{:.4f} m")),
    ("rotation error, RMS", _rotation),
    ("relative error over 1 s, RMSE", _relative("1s")),
    ("relative error over 10 m, RMSE", _relative("10m")),
    ("speed, image decoding included", _metric("fps", "{:.1f} frames/s")),
    ("engine, per frame", _engine),
    ("peak memory of the process", _metric("peak_rss_mb", "{:.0f} MB")),
    ("health: frames by state", _states),
    ("initialised by", lambda s: s.run.metrics["health"].get("initialised_by") or None),
    ("chip: power", _chip(lambda p: f"{_band(p.report.power_mW, 'mW')} at {p.report.fps:.3g} frames/s")),
    ("chip: energy per frame", _chip(lambda p: _band(p.report.per_frame_uJ, "uJ"))),
    ("chip: memory", _chip(lambda p: f"{p.flight.kilobytes:.0f} kB, {p.flight.kilobytes_used:.0f} kB used")),
    ("chip: clock and voltage", _chip(lambda p: f"{p.flight.clock_MHz:.1f} MHz, {p.flight.vdd:.2f} V")),
    ("drone: share of hover power", _chip(lambda p: f"{100 * p.budget.hover_share.nominal:.2g} % of {p.design.drone.hover_W:g} W")),
)  # fmt: skip


def glance(subjects: list[Subject]) -> Table:
    """The figures by which runs are compared, a column per run; rows that no run can fill are left out."""
    cells = [(name, [read(s) for s in subjects]) for name, read in _ROWS]
    lines = [(name, *(value or NONE for value in values)) for name, values in cells if any(values)]
    return Table("at a glance", ("", *(s.label for s in subjects)), lines)


def flat(config: Config) -> dict[str, str]:
    """Every field of a configuration by its dotted name, as TOML writes it."""
    out: dict[str, str] = {}

    def walk(table: dict[str, Any], path: str) -> None:
        for name, value in table.items():
            if isinstance(value, dict):
                walk(value, f"{path}{name}.")
            else:
                out[path + name] = str(value).lower() if isinstance(value, bool) else str(value)

    walk(tomllib.loads(configuration.dumps(config)), "")
    return out


def profiles() -> dict[str, Config]:
    """The profiles of the distribution by name, the default first."""
    folder = resource("launch", "default.toml").parent
    found = {"default": Config()}
    for path in sorted(folder.glob("*.toml")):
        try:
            found.setdefault(path.stem, configuration.load(path))
        except ConfigError:  # sweep files lie in the same folder
            continue
    return found


def nearest_profile(config: Config) -> tuple[str, list[str]]:
    """The profile with the fewest fields that differ, and these."""
    mine, best = flat(config), None
    for name, profile in profiles().items():
        differ = [field for field, value in flat(profile).items() if value != mine[field]]
        if best is None or len(differ) < len(best[1]):
            best = (name, differ)
    return best


def differences(subjects: list[Subject]) -> Table:
    """Fields in which a run differs from the defaults, the defaults beside them; the note says how far each run is from a profile."""
    defaults, mine = flat(Config()), [flat(s.run.config) for s in subjects]
    lines = [(field, value, *(m[field] for m in mine)) for field, value in defaults.items() if any(m[field] != value for m in mine)]
    notes = []
    for s in subjects:
        name, fields = nearest_profile(s.run.config)
        but = f" but for {', '.join(fields[:8])}{' and more' if len(fields) > 8 else ''}" if fields else ""
        notes.append(f"{s.label} is the profile {name}{but}")
    return Table("what differs from the defaults", ("field", "default", *(s.label for s in subjects)), lines, "; ".join(notes))


def events(s: Subject) -> Table:
    """What health said, one line per stretch of frames with the same verdict."""
    lines: list[tuple[Any, ...]] = []
    for (state, reasons, message), rows in groupby(s.run.health, lambda row: (row.state, row.reasons, row.message)):
        stretch = list(rows)
        first, last = (float(s.seconds(np.array(row.t_ns))) for row in (stretch[0], stretch[-1]))
        count = "" if state == "sequence" else str(len(stretch))
        lines.append((f"{first:.2f}", f"{last:.2f}", count, state, ", ".join(reasons).replace("_", " "), message))
    more = len(lines) - _MOST_EVENTS
    note = f"{more} more in health.csv" if more > 0 else ""
    return Table(f"health of {s.label}", ("from [s]", "to [s]", "frames", "state", "reasons", "message"), lines[:_MOST_EVENTS], note)


def origin(subjects: list[Subject]) -> Table:
    """The command of each run, as its configuration remembers it, and the versions it ran with."""
    rows = [(s.label, _command(s), ", ".join(f"{name} {version}" for name, version in s.run.metrics.get("versions", {}).items())) for s in subjects]
    return Table("origin", ("run", "command", "versions"), rows)


def _command(s: Subject) -> str:
    """The comment at the head of config.toml; it names no profile, for the file itself is one."""
    lines = (s.run.folder / "config.toml").read_text(encoding="utf-8").splitlines()
    return " ".join(line[2:] for line in lines if line.startswith("# ")) or NONE
