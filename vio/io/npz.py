"""Archives of arrays from strangers: judged by their directory and by each array's own header before an array is made. Never a pickle.

numpy would allocate whatever shape a header claims, and unpack a zip however large it becomes.
"""

import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from vio.errors import DataError

LARGEST = 1 << 30  # bytes of all arrays together; an hour at 20 Hz has 350 MB of tracks
_MOST_ARRAYS = 256
_LONGEST_HEADER = 4096
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = "biufSU"  # numbers and texts


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz archive, at most LARGEST bytes of them. Raises DataError naming the file."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: missing, or not a file")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_ARRAYS or sum(member.file_size for member in members) > LARGEST:
                raise DataError(f"{path}: more than {_MOST_ARRAYS} arrays or {LARGEST} bytes; refused")
            return dict(_member(archive, member) for member in members)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, RuntimeError, SyntaxError, TypeError, OverflowError, tokenize.TokenError) as error:
        raise DataError(f"{path}: damaged, or not an archive of arrays ({' '.join(str(error).split())[:160] or type(error).__name__})") from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str, np.ndarray]:
    """Name and array of a member. Raises ValueError for anything but plain numbers or texts that fill it to the byte."""
    if member.compress_type not in _METHODS or not member.filename.endswith(".npy"):
        raise ValueError(f"{member.filename!r} is not a plain array")
    with archive.open(member) as file:
        shape, fortran, dtype = _header(file)
        count = math.prod(shape)
        if dtype.kind not in _KINDS or dtype.itemsize == 0 or file.tell() + count * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename!r} is not what its header says")
        array = np.frombuffer(file.read(), dtype, count).copy()
    return member.filename.removesuffix(".npy"), array.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, order and type by the header of an npy file."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file, max_header_size=_LONGEST_HEADER)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file, max_header_size=_LONGEST_HEADER)
    raise ValueError(f"version {version} of an array's header")
