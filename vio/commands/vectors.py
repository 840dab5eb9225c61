"""`tinyvio vectors`: golden vectors of the integer kernels."""

from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import guarded, resolve_config, say
from vio.errors import ConfigError, DataError


@guarded
def vectors(
    sequence: Annotated[str, typer.Argument(metavar="[SEQUENCE]", help="A recording or a built-in sequence.")] = "room-small",
    kernel: Annotated[str, typer.Option(help="pyramid, corners, klt, undistort, ransac, stereo, store, or all.")] = "all",
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Frames to write a case for.")] = 1,
    features: Annotated[int, typer.Option(min=1, metavar="N", help="Features in a case.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder for the files: OUT/KERNEL/FRAME.")] = Path("vectors"),
    start: Annotated[float, typer.Option(min=0.0, metavar="S", help="Begin S seconds after the first frame.")] = 0.0,
    profile: Annotated[str, typer.Option(help="A named profile, or a TOML file.")] = "default",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the configuration; repeatable.")] = None,
) -> None:
    """Write each kernel's inputs, every named register in the order written, and its outputs, as hex text for $readmemh, with a manifest.

    Examples:

    - `tinyvio vectors --kernel klt --frames 5 --out vectors`

    - `tinyvio vectors MH_01_easy --kernel store --profile navion`
    """
    from vio.vectors import KERNELS

    if kernel not in (*KERNELS, "all"):
        raise ConfigError(f"--kernel {kernel}: no kernel of this name; known: {', '.join(KERNELS)}, all")
    config = resolve_config(profile, assignments or [])
    chosen = list(KERNELS) if kernel == "all" else [kernel]
    if config.frontend.frame_store == "raw" and kernel == "all":
        chosen.remove("store")
    elif config.frontend.frame_store == "raw" and kernel == "store":
        raise ConfigError("--kernel store: this configuration keeps raw pictures; take --set frontend.frame_store=block1")
    _write(sequence, config, chosen, frames, features, out, start)


def _write(name: str, config: object, kernels: list[str], count: int, features: int, out: Path, start: float) -> None:
    """Cases of every kernel for consecutive frames."""
    from vio import vectors as golden
    from vio.io.sequence import frames, open_sequence
    from vio.runner import RunOptions, selected

    sequence = open_sequence(name)
    first, last = selected(sequence, RunOptions(start, count + 1))
    loaded = [item.frame for item in frames(sequence, first, last, 1) if item.frame is not None]
    if len(loaded) < 2:
        raise DataError(f"{sequence.name}: vectors need two readable frames in a row")
    if sequence.calibration.right is None and "stereo" in kernels:
        kernels.remove("stereo")
    for kernel in kernels:
        for index, (previous, frame) in enumerate(zip(loaded, loaded[1:])):
            stage = golden.Stage(sequence.calibration, config, previous, frame, golden.new_traces(config), features)
            folder = out / kernel / f"{index:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            golden.write_manifest(folder, kernel, frame.t_ns, golden.write_case(folder, kernel, stage))
    say(f"{sequence.name}: {', '.join(kernels)} of {len(loaded) - 1} frames in {out}")
