"""What a run was made of: the head of its config.toml is the command that made it."""

from dataclasses import replace
from pathlib import Path

from vio.errors import DataError

_COMMAND = "# tinyvio run "


def source_of(folder: Path) -> tuple[str, bool]:
    """The recording that a run folder's run opened, by path or name, and whether it was told --mono.

    Raises DataError where that is not known, or where it is a built-in sequence that would have to be rendered again.
    """
    from vio.io.renderer import builtin_folder, builtin_specs

    first = (folder / "config.toml").read_text(encoding="utf-8").partition("\n")[0]
    name, start, options = first.removeprefix(_COMMAND).rpartition(" --start ")
    if not first.startswith(_COMMAND) or not start:
        raise DataError("its config.toml does not name the recording")
    base, at, seed = name.partition("@")
    specs = builtin_specs()
    if not Path(name).exists() and base in specs:
        spec = replace(specs[base], seed=int(seed)) if at else specs[base]
        if not builtin_folder(name, spec).is_dir():
            raise DataError(f"{name} is not rendered; `tinyvio run {name}` renders it")
    return name, "--mono" in options.split()
