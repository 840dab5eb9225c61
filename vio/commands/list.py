"""`tinyvio list`: the catalog."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.commands.common import guarded

if TYPE_CHECKING:
    from rich.table import Table


@guarded
def list_sequences(
    part: Annotated[str, typer.Argument(metavar="[WORD]", help="Only the names that hold this word.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on standard output.")] = False,
) -> None:
    """Print the recordings tinyvio knows: size, licence, ground truth, known traps, and whether they are on this disk.

    Examples:

    - `tinyvio list`

    - `tinyvio list MH_0`

    - `tinyvio list euroc --json`
    """
    found = [row for row in rows() if part.lower() in row["name"].lower()]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print(found)


def rows() -> list[dict[str, Any]]:
    """The catalog and the built-in sequences as plain values, `on_disk` a path or None. Raises DataError."""
    from vio.io import catalog
    from vio.io.renderer import builtin_folder, builtin_specs

    table = [_row(name, "built-in renders", "rendered on first use", "BSD-3-Clause", builtin_folder(name, spec)) for name, spec in builtin_specs().items()]
    for entry in catalog.load().values():
        row = _row(entry.name, entry.title, entry.size, entry.licence, catalog.place(entry))
        table.append(row | {"bytes": entry.parts[0].bytes, "ground_truth": entry.ground_truth, "traps": list(entry.traps)})
    return table


def _row(name: str, dataset: str, size: str, licence: str, folder: Path) -> dict[str, Any]:
    """The row of a render, which a fetched recording then changes."""
    row = {"name": name, "dataset": dataset, "size": size, "bytes": None, "licence": licence}
    return row | {"ground_truth": "exact, with velocities", "traps": [], "on_disk": str(folder) if folder.is_dir() else None}


def _print(found: list[dict[str, Any]]) -> None:
    """One table per dataset; what all its sequences share is said once, above."""
    from rich.console import Console

    from vio.io.catalog import data_root

    console = Console()
    for dataset in dict.fromkeys(row["dataset"] for row in found):
        group = [row for row in found if row["dataset"] == dataset]
        shared = [trap for trap in group[0]["traps"] if len(group) > 1 and all(trap in row["traps"] for row in group)]
        console.print(f"\n[bold]{dataset}[/bold] ({group[0]['licence']})", highlight=False)
        for trap in shared:
            console.print(f"  all: {trap}", markup=False, highlight=False)
        console.print(_table(group, shared))
    if not found:
        console.print("no such sequence; `tinyvio list` prints all", markup=False)
    console.print(f"\nfetched to {data_root()}; `tinyvio fetch NAME` brings one", markup=False, highlight=False, soft_wrap=True)


def _table(group: list[dict[str, Any]], shared: list[str]) -> "Table":
    """The rows of one dataset."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for title in ("size", "on disk", "ground truth", "traps"):
        table.add_column(title, no_wrap=title == "on disk")
    for row in group:
        traps = "; ".join(trap for trap in row["traps"] if trap not in shared)
        table.add_row(row["name"], row["size"], "yes" if row["on_disk"] else "-", row["ground_truth"], traps)
    return table
