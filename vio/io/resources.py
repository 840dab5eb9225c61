"""Where the data folders `launch/` and `datasets/` lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

from vio.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(folder: str, name: str) -> Path:
    """Path of `name` in the data folder `folder` (`launch` or `datasets`). Raises DataError if it is not there."""
    root = _PACKAGE.parent if (_PACKAGE.parent / "launch").is_dir() else _PACKAGE / "_data"
    path = root / folder / name
    if not path.is_file():
        raise DataError(f"{path}: this file of the distribution is missing; install tinyvio again")
    return path
