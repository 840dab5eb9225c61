"""`tinyvio render`: pictures and inertial data of a flight, as an ASL folder."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vio.commands.common import guarded, say
from vio.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vio.io.render_spec import RenderSpec


@guarded
def render(
    source: Annotated[str, typer.Argument(metavar="NAME|SPEC.toml|GROUND_TRUTH", help="A built-in flight; a specification; or poses: an ASL folder, a CSV in EuRoC's columns, a TUM file.")],
    out: Annotated[Path | None, typer.Option(help="The new ASL folder.", show_default="rendered/NAME")] = None,
    room: Annotated[str | None, typer.Option(metavar="KIND", help="Another room: workshop, cluttered, hall, plain (low texture), dark.")] = None,
    imu: Annotated[Literal["simulated", "real"], typer.Option(help="`real` keeps the recorded IMU of an ASL folder.")] = "simulated",
    duration: Annotated[float | None, typer.Option(metavar="S", help="Seconds of pictures, at most 3600; of a recorded flight, at most these.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the room, its textures and all noise.")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the specification; repeatable, the last word.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar and no summary.")] = False,
) -> None:
    """Render stereo pictures, inertial data and exact ground truth of a flight through a room, as an ASL/EuRoC folder.

    Built-in flights: room, hover, circle, corkscrew, figure-eight, shake, plain, dark, room-small. The same seed gives the same bytes.

    Examples:

    - `tinyvio render circle --out circle --room hall --duration 60`

    - `tinyvio render shake --set camera.readout=0.02 --set camera.shutter=0.01 --set camera.shutter_samples=8` has a rolling shutter and blur

    - `tinyvio render hover --set "imu.gyro_scale=[0.01, 0.0, -0.01]" --set imu.gyro_limit=4`

    - `tinyvio render V1_02_medium --imu real --duration 60 --out hybrid` draws the pictures of a recorded flight beside its own IMU

    - `tinyvio render trajectory.tum --room cluttered --seed 7`

    - `tinyvio render mine.toml`, with `like = "circle"` and the fields of `vio/io/render_spec.py` in the file

    Ctrl-C leaves no half folder.
    """
    spec, recorded = _specification(source)
    spec = _changed(spec, room, assignments or [], duration, seed)
    folder = out or Path("rendered") / Path(source).stem
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists already; remove it or choose another with --out")
    if imu == "real" and not recorded:
        raise ConfigError("--imu real keeps the IMU of a recording; give an ASL folder with imu0 and a ground truth")
    _draw(source, spec, recorded, imu == "real", folder, quiet)


def _specification(source: str) -> tuple["RenderSpec", bool]:
    """What to start from, and whether the flight is a recorded one."""
    from vio.io.render_toml import load_spec
    from vio.io.renderer import builtin_specs
    from vio.io.resources import resource

    known = builtin_specs()
    if source in known:
        return known[source], False
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"{source}: no such file or folder, and no built-in flight of this name; built in: {', '.join(known)}")
    if path.suffix == ".toml":
        return load_spec(path, known), False
    return load_spec(resource("datasets", "render/recorded.toml"), known), True


def _changed(spec: "RenderSpec", room: str | None, assignments: list[str], duration: float | None, seed: int | None) -> "RenderSpec":
    """The specification after all options, checked."""
    from dataclasses import replace

    from vio.io.render_spec import checked
    from vio.io.render_toml import overlaid, overridden
    from vio.io.resources import resource

    if room is not None:
        spec = overlaid(spec, resource("datasets", "render/rooms.toml"), room)
    spec = replace(spec, duration=spec.duration if duration is None else duration, seed=spec.seed if seed is None else seed)
    return checked(overridden(spec, assignments), "render")


def _draw(source: str, spec: "RenderSpec", recorded: bool, keep_imu: bool, folder: Path, quiet: bool) -> None:
    """Render, and say what came of it."""
    from vio.console import Progress
    from vio.io.hybrid import render_along, render_hybrid
    from vio.io.renderer import render_sequence

    start, frames = time.monotonic(), 0
    with Progress(quiet) as bar:
        show = bar.work("rendering")

        def progress(done: int, total: int) -> None:
            nonlocal frames
            frames = done
            show(done, total)

        if recorded:
            poses = (render_hybrid if keep_imu else render_along)(Path(source).expanduser(), spec, folder, progress)
            for text in poses.warnings:
                say(f"warning: {text}")
        else:
            render_sequence(spec, folder, progress)
    if not quiet:
        seconds = time.monotonic() - start
        typer.echo(f"{folder}: {frames} stereo frames of {spec.width}x{spec.height}, {frames / spec.frame_hz:.1f} s; drawn in {seconds:.1f} s ({frames / seconds:.1f} frames/s)")
