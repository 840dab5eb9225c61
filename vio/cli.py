"""The command line `tinyvio`: the table of its commands, which live in vio/commands. --help loads nothing heavy."""

import sys
from typing import Annotated

import typer

from vio.commands.bench import bench
from vio.commands.budget import budget
from vio.commands.chip import chip
from vio.commands.convert import convert
from vio.commands.corrupt import corrupt
from vio.commands.doctor import doctor
from vio.commands.eval import evaluate
from vio.commands.fetch import fetch
from vio.commands.list import list_sequences
from vio.commands.precision import precision
from vio.commands.render import render
from vio.commands.report import report
from vio.commands.run import run
from vio.commands.stress import stress
from vio.commands.sweep import sweep
from vio.commands.vectors import vectors
from vio.commands.view import view
from vio.commands.viewing import ServingCommand

app = typer.Typer(
    help="Visual-inertial odometry for tiny robots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        from vio._version import __version__

        typer.echo(f"tinyvio {__version__}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    pass


for _command in (run, view):
    app.command(cls=ServingCommand)(_command)
for _command in (report, doctor, render, convert, corrupt, fetch, sweep, stress, bench, chip, budget, precision, vectors):
    app.command()(_command)
app.command("list")(list_sequences)
app.command("eval")(evaluate)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="tinyvio")


if __name__ == "__main__":
    sys.exit(main())
