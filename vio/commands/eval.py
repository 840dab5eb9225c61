"""`tinyvio eval`: how far a finished run is from the truth, and whether it knew."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vio.commands.common import guarded
from vio.commands.tables import as_text

if TYPE_CHECKING:
    from hwmodel.summary import Table
    from vio.scorecard import Scorecard

_NONE = "-"


@guarded
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `tinyvio run` wrote.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Errors of finished runs, the consistency of their covariances, and the lives of their features.

    ATE after SE3 alignment, and RPE over times and distances, by evo. NEES of position, attitude, velocity and biases, after an
    alignment by position and yaw of the first pose: the average over states a second apart, with its 95 % bounds. Above them the
    estimator is too sure of itself, below them too careful.

    Examples:

    - `tinyvio eval runs/room-default`

    - `tinyvio eval runs/room-default runs/room-tiny --json > scores.json`
    """
    from vio.console import Progress
    from vio.io.run_folder import open_run
    from vio.scorecard import as_dict, scorecard

    cards = []
    with Progress(quiet or as_json) as progress:
        show = progress.work("evaluating", "runs/s")
        for done, folder in enumerate(runs):
            show(done, len(runs))
            cards.append(scorecard(open_run(folder)))
    if as_json:
        typer.echo(json.dumps({"runs": [as_dict(card) for card in cards]}, indent=2, allow_nan=False))
    else:
        typer.echo("\n\n\n".join(text(card) for card in cards))


def text(card: "Scorecard") -> str:
    """A run in words and tables."""
    found = card.accuracy
    head = f"{card.folder}: {card.sequence}, {card.frames} frames, {card.poses} poses, {found.matched} with ground truth"
    return "\n\n".join([head, _absolute(card), as_text([*([_relative(card)] if found.rpe else []), _consistency(card), *_features(card)])])


def _absolute(card: "Scorecard") -> str:
    """The ATE, or why there is none."""
    found = card.accuracy
    if card.missing:
        return card.missing
    percent = "" if found.ate_percent is None else f" = {found.ate_percent:.3f} % of {found.path_m:.2f} m"
    return f"ATE, SE3: RMSE {found.ate_rmse_m:.4f} m{percent}; largest {found.ate_max_m:.4f} m"


def _relative(card: "Scorecard") -> "Table":
    """RPE by time and distance."""
    from hwmodel.summary import Table

    rows = [
        (over, error.translation_rmse_m, error.rotation_rmse_deg, error.pairs) if error else (over, _NONE, _NONE, 0)
        for over, error in (card.accuracy.rpe or {}).items()
    ]
    return Table("RPE, RMSE", ("over", "m", "deg", "pairs"), rows, "all pairs of poses this far apart by the ground truth; without one the run is too short")


def _consistency(card: "Scorecard") -> "Table":
    """NEES by part of the state."""
    from hwmodel.summary import Table

    columns = ("of", "average", "dof", "from", "to", "samples", "worth", "verdict", "no truth", "initialising", "singular")
    rows = []
    for part, n in card.nees.items():
        numbers = (_NONE if value is None else value for value in (n.average, n.dof, n.low, n.high))
        rows.append((part.replace("_", " "), *numbers, n.samples, round(n.independent, 1), n.verdict or n.missing, n.without_truth, n.initialising, n.singular))
    note = "average of states a second apart and its 95 % bounds, for as many independent samples as errors that resemble each other are worth; states left out"
    return Table("NEES", columns, rows, note)


def _features(card: "Scorecard") -> "list[Table]":
    """How long features lived, and what ended them."""
    from hwmodel.summary import Table

    found = card.features
    if found.frames is None:
        return [Table("features", ("tracks",), [(0,)])]
    lives = Table("features: frames lived", ("tracks", *found.frames), [(found.tracks, *found.frames.values())])
    return [lives, Table("features: what ended them", ("fate", "%"), [(fate.replace("_", " "), 100.0 * share) for fate, share in found.fates.items()])]
