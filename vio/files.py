"""Files from strangers: read whole only up to a stated size, and only if they are files; TOML only as deep as a person writes it.

A pipe never ends, a device neither; a parser may take the square of a key's length in time, or as many frames of the stack as there are
brackets. All of it ends here, in an error of one line.
"""

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from vio.errors import ConfigError, TinyvioError

LARGEST_TOML = 1 << 18  # bytes; the shipped ones have up to 9 kB
LARGEST_JSON = 1 << 24
_DEEPEST_KEY = 32  # parts of a dotted key; time grows with the square
_LONG_KEY = re.compile(rf"(?:\.[^.,=\[\]{{}}#\n]*){{{_DEEPEST_KEY}}}")


def read_bytes(path: Path, most: int, error: type[TinyvioError], what: str = "the file") -> bytes:
    """Content of a regular file of at most `most` bytes; else raises `error` with a line that names the file, and `what` it was to be."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{path}: {what} cannot be read (it is not a regular file)")
        if status.st_size > most:
            raise error(f"{path}: {what} cannot be read ({status.st_size} bytes; at most {most} are read)")
        with path.open("rb") as file:
            data = file.read(status.st_size + 1)  # not `most`: python makes room for all that is asked for
    except OSError as fault:
        raise error(f"{path}: {what} cannot be read ({fault.strerror})") from None
    except ValueError:  # a name with a null in it
        raise error(f"{str(path)!r}: {what} cannot be read (no name for a file)") from None
    if len(data) > status.st_size:
        raise error(f"{path}: {what} cannot be read (it grows, or is not a file of a disk)")
    return data


def read_text(path: Path, most: int, error: type[TinyvioError], what: str = "the file") -> str:
    """Text of a regular file in UTF-8, a byte order mark taken off. Raises `error` as `read_bytes` does."""
    try:
        return read_bytes(path, most, error, what).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise error(f"{path}: not a text file: byte {fault.start} is not UTF-8") from None


def read_toml(path: Path, error: type[TinyvioError] = ConfigError, what: str = "the file") -> dict[str, Any]:
    """Tables of a TOML file of at most LARGEST_TOML bytes. Raises `error` naming the file and, where the parser tells it, the line."""
    return parse_toml(read_text(path, LARGEST_TOML, error, what), str(path), error)


def parse_toml(text: str, source: str, error: type[TinyvioError] = ConfigError) -> dict[str, Any]:
    """Tables of a text in TOML. Raises `error`, which begins with `source`."""
    if _LONG_KEY.search(text):
        raise error(f"{source}: not a TOML file: a dotted key of more than {_DEEPEST_KEY} parts")
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError:
        raise error(f"{source}: not a TOML file: brackets within brackets, too deep") from None
    except ValueError as fault:  # also of numbers with thousands of digits and of dates that do not exist
        raise error(f"{source}: not a TOML file: {fault}") from None


def shown(value: Any, most: int = 80) -> str:
    """A value from a file as text for an error: what Python calls it, at most so many characters."""
    try:
        text = repr(value)
    except RecursionError:
        text = "a value within values"
    return text if len(text) <= most else f"{text[:most]}..."
