"""An MCAP file looked through, record by record (https://mcap.dev/spec): chunks that unpack to what they say, an index that says what is there."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from vio.errors import DataError
from vio.io.bag_limits import LARGEST_AT_ONCE, LARGEST_CHUNK, Refuse, pieces_of, unpack_from, unpacked

_MAGIC = b"\x89MCAP0\r\n"
_CHANNEL, _CHUNK, _CHUNK_INDEX = 0x04, 0x06, 0x08
_LARGEST_RECORD = 1 << 27  # outside of a chunk, which may be larger when it is packed by nothing
_RECORD = struct.Struct("<BQ")
_U16, _U32, _U64, _TIMES = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<QQQI")
_INDEX = struct.Struct("<QQQQ")


class _Chunk(NamedTuple):
    length: int
    compression: bytes
    packed: int
    size: int


def check(path: Path, source: str) -> list[str]:
    """The texts of all channels' metadata. Raises DataError for a file that would take a reader too much, or whose index lies."""

    def refuse(reason: str) -> DataError:
        return DataError(f"{source}: the bag is damaged, cut off or of an unknown version ({reason}); `mcap recover` may recover it")

    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise refuse("it does not begin as an MCAP file")
        chunks: dict[int, _Chunk] = {}
        index: list[tuple[int, int, int]] = []  # start, end, bytes
        texts: list[str] = []
        for at, kind, length in _records(file, path.stat().st_size, refuse):
            if kind == _CHUNK:
                chunks[at], content = _chunk(file, length, refuse)
                texts += _channels(content, refuse)
            elif kind == _CHANNEL:
                texts += _texts(file.read(length), refuse)
            elif kind == _CHUNK_INDEX:
                index.append(_indexed(file.read(length), chunks, refuse))
    _check_overlap(index, refuse)
    return texts


def _records(file: IO[bytes], size: int, refuse: Refuse) -> Iterator[tuple[int, int, int]]:
    """(place, kind, length) of each record, with the file at its content; all but chunks of bounded length."""
    at = len(_MAGIC)
    while at < size - len(_MAGIC):
        file.seek(at)
        kind, length = unpack_from(_RECORD, file.read(_RECORD.size), 0, refuse)
        if at + _RECORD.size + length > size or (kind != _CHUNK and length > _LARGEST_RECORD):
            raise refuse(f"the record at byte {at} claims {length} bytes")
        yield at, kind, length
        at += _RECORD.size + length


def _chunk(file: IO[bytes], length: int, refuse: Refuse) -> tuple[_Chunk, bytes]:
    """A chunk's own claims, found to be true, and what it unpacks to."""
    head = file.read(min(length, 64))
    size = unpack_from(_TIMES, head, 0, refuse)[2]
    (name,) = unpack_from(_U32, head, _TIMES.size, refuse)
    compression = head[_TIMES.size + 4 : _TIMES.size + 4 + name]
    if compression not in (b"", b"lz4", b"zstd"):
        raise refuse(f"chunks packed by {compression!r}")
    (packed,) = unpack_from(_U64, head, _TIMES.size + 4 + name, refuse)
    begin = _TIMES.size + 12 + name
    if size > LARGEST_CHUNK or begin + packed > length or (not compression and packed != size):
        raise refuse(f"a chunk claims {packed} packed and {size} unpacked bytes")
    file.seek(begin - len(head), 1)
    pieces = pieces_of(file, packed)
    content = b"".join(unpacked(pieces, compression.decode(), size, refuse) if compression else pieces)
    if len(content) != size:
        raise refuse("a chunk unpacks to less than it says")
    return _Chunk(length + _RECORD.size, compression, packed, size), content


def _channels(content: bytes, refuse: Refuse) -> list[str]:
    """Texts of the channels within a chunk."""
    at, texts = 0, []
    while at < len(content):
        kind, length = unpack_from(_RECORD, content, at, refuse)
        at += _RECORD.size + length
        if kind == _CHANNEL:
            texts += _texts(content[at - length : at], refuse)
    return texts


def _texts(record: bytes, refuse: Refuse) -> list[str]:
    """Keys and values of a channel's metadata."""
    at, texts = 4, []
    for _ in range(2):  # topic and encoding
        at += 4 + unpack_from(_U32, record, at, refuse)[0]
    (length,) = unpack_from(_U32, record, at, refuse)
    at, end = at + 4, at + 4 + length
    while at < min(end, len(record)):
        (size,) = unpack_from(_U32, record, at, refuse)
        texts.append(record[at + 4 : at + 4 + size].decode("utf-8", "replace"))
        at += 4 + size
    return texts[1::2]


def _indexed(record: bytes, chunks: dict[int, _Chunk], refuse: Refuse) -> tuple[int, int, int]:
    """Start, end and unpacked bytes of a chunk by the index, which has each chunk once and says the same of it as the chunk."""
    start, end, at, length = unpack_from(_INDEX, record, 0, refuse)
    place = _INDEX.size
    place += 4 + unpack_from(_U32, record, place, refuse)[0] + 8
    (name,) = unpack_from(_U32, record, place, refuse)
    compression = record[place + 4 : place + 4 + name]
    packed, size = (unpack_from(_U64, record, place + 4 + name + shift, refuse)[0] for shift in (0, 8))
    if chunks.pop(at, None) != _Chunk(length, compression, packed, size):
        raise refuse(f"its index names a chunk at byte {at} that is not there, is another, or was named before")
    return start, end, size


def _check_overlap(index: list[tuple[int, int, int]], refuse: Refuse) -> None:
    """Refuse chunks of which too many bytes are of one time."""
    steps = sorted([(start, 1, size) for start, _, size in index] + [(end, 2, -size) for _, end, size in index])
    held = 0
    for _, _, size in steps:
        held += size
        if held > LARGEST_AT_ONCE:
            raise refuse("too many chunks of one time")
