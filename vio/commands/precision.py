"""`tinyvio precision`: the table of word lengths, and what a sequence makes of them."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vio.commands.common import guarded, resolve_config, say
from vio.errors import ConfigError

if TYPE_CHECKING:
    from vio.config import Config
    from vio.fixed import Fixed
    from vio.precision import Logs


@guarded
def precision(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="The folder of an earlier run, whose configuration is taken.")] = None,
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
    measure: Annotated[str | None, typer.Option(metavar="SEQUENCE", help="Run this sequence on recording registers and add what passed through each.")] = None,
    start: Annotated[float, typer.Option(min=0.0, metavar="S", help="Begin S seconds after the first frame.")] = 0.0,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N frames.")] = None,
) -> None:
    """Print every signal's format, range, resolution and place; with --measure its extremes, overflows and unused top bits.

    The registers of reduced levels, sums and quotients record every value; recording kernels are compiled apart (once), so that
    ordinary runs pay nothing.

    Examples:

    - `tinyvio precision` prints the reference design

    - `tinyvio precision runs/mine --measure room-small`

    - `tinyvio precision --profile tiny --measure MH_01_easy --max-frames 200`
    """
    if run is not None and not (run / "config.toml").is_file():
        raise ConfigError(f"{run}: no config.toml in there; give the folder of a run")
    config = resolve_config(str(run / "config.toml") if run else profile, assignments or [])
    logs = _measured(config, measure, start, max_frames) if measure else None
    for line in _table(config, logs):
        typer.echo(line)


def _measured(config: "Config", name: str, start: float, max_frames: int | None) -> "Logs":
    """Logs of a run on recording registers."""
    from vio import runner
    from vio.io.sequence import open_sequence
    from vio.precision import new_logs

    sequence, logs = open_sequence(name), new_logs(config.precision)
    result = runner.run(sequence, config, runner.RunOptions(start, max_frames), logs=logs)
    say(f"{sequence.name}: {result.frames} frames")
    return logs


def _format(fmt: "Fixed") -> str:
    """Like s14.5: signed or unsigned, bits, fraction bits; then what differs from nearest even and saturation."""
    text = f"{'s' if fmt.signed else 'u'}{fmt.bits}.{fmt.frac_bits}"
    rounding = {"nearest_even": "", "nearest_up": " up", "truncate": " trunc"}[fmt.rounding.value]
    return text + rounding + (" wrap" if fmt.overflow.value == "wrap" else "")


def _table(config: "Config", logs: "Logs | None") -> list[str]:
    from vio.precision import seen

    heads = ["signal", "format", "range", "resolution"] + (["seen", "overflows", "unused"] if logs is not None else []) + ["where"]
    rows = [heads]
    for f in fields(config.precision):
        fmt = getattr(config.precision, f.name)
        row = [f.name, _format(fmt), f"{fmt.to_float(fmt.raw_min):.6g} .. {fmt.to_float(fmt.raw_max):.6g}", f"{fmt.resolution:.3g}"]
        if logs is not None:
            found = seen(fmt, logs[f.name])
            extremes = "-" if found.smallest is None else f"{fmt.to_float(found.smallest):.6g} .. {fmt.to_float(found.largest):.6g}"
            row += [extremes, str(found.overflows), "-" if found.smallest is None else str(found.unused_bits)]
        rows.append(row + [f.metadata["where"]])
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads) - 1)] + [0]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
