"""The command line `tinyvio`: the table of its commands, which live in vio/commands. --help loads nothing heavy."""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer

_SERVING = ("run", "view")  # their --serve may stand alone
_NAMED = {"list": "list_sequences", "eval": "evaluate"}  # functions that cannot have the name of their command
COMMANDS = ("run", "view", "report", "doctor", "render", "convert", "corrupt", "fetch", "sweep", "stress", "bench", "chip", "budget", "precision", "vectors", "list", "eval")


def _version(wanted: bool) -> None:
    if wanted:
        from vio._version import __version__

        typer.echo(f"tinyvio {__version__}")
        raise typer.Exit()


def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    pass


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these of its commands; each is loaded."""
    from vio.commands.viewing import ServingCommand

    built = typer.Typer(
        help="Visual-inertial odometry for tiny robots.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    built.callback()(_main)
    for name in names:
        command = getattr(import_module(f"vio.commands.{name}"), _NAMED.get(name, name))
        built.command(name, **({"cls": ServingCommand} if name in _SERVING else {}))(command)
    return built


def __getattr__(name: str) -> Any:
    """`app`: the whole program, built when it is asked for."""
    if name == "app":
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Entry point of the console script. Where the command is known, it alone is loaded."""
    asked = [name for name in sys.argv[1:2] if name in COMMANDS]
    application(asked or COMMANDS)(prog_name="tinyvio")


if __name__ == "__main__":
    sys.exit(main())
