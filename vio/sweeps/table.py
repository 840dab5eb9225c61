"""The tidy table of a sweep: one row per variant and stretch, nothing in it that another machine or another day would change."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vio.config import Config
from vio.io.writers import write_atomic
from vio.sweeps.fields import value_of
from vio.sweeps.hardware import costs
from vio.sweeps.outcome import Outcome
from vio.sweeps.points import Entry

if TYPE_CHECKING:
    import pandas

METRICS = (
    "frames", "poses", "coverage", "path_m", "ate_rmse_m", "ate_max_m", "ate_percent", "rpe_1s_m", "rpe_1s_deg", "degraded", "lost",
)  # fmt: skip
COSTS = ("memory_kb", "energy_uj_per_frame")
_WHOLE = ("seed", "bits", "max_frames", "frames", "poses", "degraded", "lost")
NOT_RUN = Outcome("not_run", "the sweep was ended before")


def table(entries: tuple[Entry, ...], outcomes: dict[str, Outcome], fields: tuple[str, ...]) -> "pandas.DataFrame":
    """One row per entry, in their order. Columns: place, swept `fields`, signal and bits, status and reason, METRICS, costs, key."""
    import pandas

    rows = [_row(entry, outcomes, fields) for entry in entries]
    frame = pandas.DataFrame(rows)
    for name in _WHOLE:
        frame[name] = frame[name].astype("Int64")
    for name in (*METRICS, *COSTS):
        if name in frame and name not in _WHOLE:
            frame[name] = frame[name].astype("Float64")
    return frame


def _row(entry: Entry, outcomes: dict[str, Outcome], fields: tuple[str, ...]) -> dict[str, Any]:
    place, config = entry.stretch, entry.variant.config
    outcome = Outcome("skipped", place.missing) if entry.point is None else outcomes.get(entry.point.key, NOT_RUN)
    return {
        "sequence": place.sequence, "seed": place.seed, "start_s": place.start, "max_frames": place.max_frames, "mono": place.mono,
        **{name: value_of(config, name) for name in fields},
        "signal": entry.variant.signal or None, "bits": entry.variant.bits,
        "status": outcome.status, "reason": outcome.reason,
        **{name: outcome.metrics.get(name) for name in METRICS},
        **costs(config, outcome),
        "key": entry.point.key if entry.point else None,
    }  # fmt: skip


def write(folder: Path, frame: "pandas.DataFrame", entries: tuple[Entry, ...], outcomes: dict[str, Outcome]) -> None:
    """Write results.parquet, and timing.csv with what is different every time."""
    data = io.BytesIO()
    frame.to_parquet(data, index=False)
    write_atomic(folder / "results.parquet", data.getvalue())
    keys = dict.fromkeys(entry.point.key for entry in entries if entry.point)
    names = ("seconds", "cpu_seconds", "run_seconds", "worker")
    lines = [",".join(("key", *names))]
    lines += [",".join([key, *(str(outcomes[key].timing.get(name, "")) for name in names)]) for key in keys if key in outcomes]
    write_atomic(folder / "timing.csv", ("\n".join(lines) + "\n").encode())


def write_profile(path: Path, config: Config, comment: str) -> None:
    """The word lengths of a configuration as a profile."""
    from vio import config as configuration

    text = "".join(f"# {line}\n" for line in comment.splitlines()) + configuration.dumps(config)
    write_atomic(path, text.encode())


def swept(frame: "pandas.DataFrame") -> list[str]:
    """Names of the columns that say what a row's variant is."""
    names = [name for name in frame.columns if "." in name]
    return names + [name for name in ("signal", "bits") if frame[name].notna().any()]


def averaged(frame: "pandas.DataFrame", by: list[str]) -> "pandas.DataFrame":
    """Mean ATE and costs of the rows that are ok, for each value of the columns `by`, and how many rows there are and how many are ok."""
    numbers = [name for name in ("ate_rmse_m", *COSTS) if name in frame]
    groups = frame.assign(ok=frame["status"] == "ok").groupby(by, sort=False, dropna=False)
    means = groups.apply(lambda rows: rows.loc[rows["ok"], numbers].mean(), include_groups=False)
    means = means.astype("Float64")
    return means.assign(rows=groups.size(), ok=groups["ok"].sum()).reset_index()
