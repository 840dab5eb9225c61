"""Room on the disk: asked for beforehand, and told in one line when it ends all the same."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vio.errors import DataError
from vio.io.catalog import gigabytes

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(DataError):
    """The disk is full, or would be."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn the system's errors of a full disk into NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom(f"{folder}: no space left ({error.strerror}); what came is kept: make room and run again") from None


def need_room(folder: Path, count: int) -> None:
    """Raise NoRoom unless the disk of an existing folder has room for `count` bytes."""
    free = shutil.disk_usage(folder).free
    if free < count:
        raise NoRoom(f"{folder}: {gigabytes(count)} are needed and {gigabytes(free)} are free; make room, or choose another folder with --to")
