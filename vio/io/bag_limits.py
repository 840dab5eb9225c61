"""What a bag may ask for, and packed bytes unpacked within a limit."""

import bz2
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from vio.errors import DataError

LARGEST_CHUNK = 1 << 27  # bytes of a chunk or a message when unpacked; a picture of 4096x4096 in three colours of 16 bits has 100 MB
LARGEST_AT_ONCE = 1 << 29  # of chunks whose times overlap: a reader holds all of them at once
REREAD = 50  # times that the order of the messages may make a reader unpack the whole bag
SLACK = 1 << 26
_PIECE = 1 << 20

Refuse = Callable[[str], DataError]


def unpacked(pieces: Iterable[bytes], method: str, most: int, refuse: Refuse) -> Iterator[bytes]:
    """What a stream packed by `method` (bz2, lz4 or zstd) unpacks to. Raises what `refuse` makes of a reason: damaged, or beyond `most` bytes."""
    total = 0
    try:
        for piece in _stream(pieces, method):
            total += len(piece)
            if total > most:
                raise refuse(f"it unpacks to more than the {most} bytes that are read")
            yield piece
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise refuse(f"packed bytes that cannot be unpacked: {error}") from None


def unpacked_size(pieces: Iterable[bytes], method: str, most: int, refuse: Refuse) -> int:
    """How many bytes `unpacked` gives; they are not kept."""
    return sum(map(len, unpacked(pieces, method, most, refuse)))


def pieces_of(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The next `size` bytes of a file, a piece at a time."""
    while size > 0 and (piece := file.read(min(_PIECE, size))):
        size -= len(piece)
        yield piece


def unpack_from(form: struct.Struct, data: bytes, at: int, refuse: Refuse) -> tuple[Any, ...]:
    """Numbers at a place. Raises what `refuse` makes of a reason where they are cut off."""
    try:
        return form.unpack_from(data, at)
    except struct.error:
        raise refuse("a record is cut off") from None


def _stream(pieces: Iterable[bytes], method: str) -> Iterator[bytes]:
    """The unpacked pieces, none larger than one that is read; a stream may be several, one after the other."""
    new = {"bz2": bz2.BZ2Decompressor, "lz4": _lz4, "zstd": _zstd}[method]
    stream = new()
    for piece in pieces:
        while piece or not stream.needs_input:
            yield stream.decompress(piece, _PIECE)
            piece = b""
            if stream.eof:
                piece, stream = stream.unused_data or b"", new()


def _lz4() -> Any:
    from lz4.frame import LZ4FrameDecompressor

    return LZ4FrameDecompressor()


def _zstd() -> Any:
    try:
        from compression import zstd
    except ImportError:  # before Python 3.14
        from backports import zstd
    return zstd.ZstdDecompressor()
