"""A rosbag 1 file looked through, record by record (http://wiki.ros.org/Bags/Format/2.0): chunks and an index that say what is there."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from vio.errors import DataError
from vio.io.bag_limits import LARGEST_CHUNK, REREAD, SLACK, Refuse, pieces_of, unpack_from, unpacked_size

_MAGIC = b"#ROSBAG V2.0\n"
_INDEX, _CHUNK, _CHUNK_INFO = 4, 5, 6
_LARGEST_HEADER, _LARGEST_RECORD = 1 << 20, 1 << 27
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass
class _Chunk:
    """Unpacked bytes, and the index that follows it: one array (n, 3) uint32 of second, nanosecond and offset per connection."""

    size: int
    index: list[np.ndarray] = field(default_factory=list)


def check(path: Path, source: str) -> None:
    """Raise DataError for a file that would take a reader too much, or whose index lies."""

    def refuse(reason: str) -> DataError:
        return DataError(f"{source}: the bag is damaged, cut off or of an unknown version ({reason}); `rosbag reindex` may recover it")

    chunks: dict[int, _Chunk] = {}
    named: set[int] = set()
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise refuse("it does not begin as a bag of version 2.0")
        last = None
        for at, header, length in _records(file, path.stat().st_size, refuse):
            kind = header.get(b"op", b"")[:1]
            if kind == bytes([_CHUNK]):
                last = chunks[at] = _Chunk(_chunk_size(file, header, length, refuse))
            elif kind == bytes([_INDEX]) and last is not None:
                last.index.append(_index(file, length, last.size, refuse))
            elif kind == bytes([_CHUNK_INFO]):
                _check_named(header, chunks, named, refuse)
    _check_order(chunks, refuse)


def _records(file: IO[bytes], size: int, refuse: Refuse) -> Iterator[tuple[int, dict[bytes, bytes], int]]:
    """(place, fields of the header, bytes of data) of each record, with the file at its data."""
    at = len(_MAGIC)
    while at < size:
        file.seek(at)
        (length,) = unpack_from(_U32, file.read(4), 0, refuse)
        if length > _LARGEST_HEADER:
            raise refuse(f"the record at byte {at} claims a header of {length} bytes")
        header = _fields(file.read(length), refuse)
        (data,) = unpack_from(_U32, file.read(4), 0, refuse)
        if at + 8 + length + data > size or data > max(_LARGEST_RECORD, LARGEST_CHUNK):
            raise refuse(f"the record at byte {at} claims {data} bytes")
        yield at, header, data
        at += 8 + length + data


def _fields(header: bytes, refuse: Refuse) -> dict[bytes, bytes]:
    at, fields = 0, {}
    while at < len(header):
        (length,) = unpack_from(_U32, header, at, refuse)
        name, _, value = header[at + 4 : at + 4 + length].partition(b"=")
        fields[name] = value
        at += 4 + length
    return fields


def _chunk_size(file: IO[bytes], header: dict[bytes, bytes], length: int, refuse: Refuse) -> int:
    """Unpacked bytes of a chunk, which has to be what its header says."""
    (size,) = unpack_from(_U32, header.get(b"size", b""), 0, refuse)
    method = header.get(b"compression", b"")
    if method not in (b"none", b"bz2", b"lz4") or size > LARGEST_CHUNK:
        raise refuse(f"a chunk packed by {method!r} claims {size} bytes")
    found = length if method == b"none" else unpacked_size(pieces_of(file, length), method.decode(), size, refuse)
    if found != size:
        raise refuse(f"a chunk claims {size} bytes and has {found}")
    return size


def _index(file: IO[bytes], length: int, size: int, refuse: Refuse) -> np.ndarray:
    """Rows of an index, whose offsets lie in the chunk."""
    rows = np.frombuffer(file.read(length // 12 * 12), "<u4").reshape(-1, 3)
    if length % 12 or (len(rows) and int(rows[:, 2].max()) >= size):
        raise refuse("an index leads out of its chunk")
    return rows


def _check_named(header: dict[bytes, bytes], chunks: dict[int, _Chunk], named: set[int], refuse: Refuse) -> None:
    """The list of chunks has each of them once, with no more connections than its index has."""
    (at,) = unpack_from(_U64, header.get(b"chunk_pos", b""), 0, refuse)
    (count,) = unpack_from(_U32, header.get(b"count", b""), 0, refuse)
    if at not in chunks or at in named or count > len(chunks[at].index):
        raise refuse(f"its index names a chunk at byte {at} that is not there, is another, or was named before")
    named.add(at)


def _check_order(chunks: dict[int, _Chunk], refuse: Refuse) -> None:
    """Refuse messages that are named twice, and an order of time in which the same chunks are unpacked again and again."""
    parts = [(k, chunk, rows) for k, chunk in enumerate(chunks.values()) for rows in chunk.index]
    if not parts:
        return
    rows = np.concatenate([part for _, _, part in parts])
    which = np.repeat(np.array([k for k, _, _ in parts]), [len(part) for _, _, part in parts])
    if len(np.unique((which.astype(np.int64) << 32) | rows[:, 2])) != len(rows):
        raise refuse("its index names a message twice")
    order = np.argsort(rows[:, 0].astype(np.int64) * 1_000_000_000 + rows[:, 1], kind="stable")
    sizes = np.array([chunk.size for chunk in chunks.values()], np.int64)
    visited = which[order]
    again = visited[1:][visited[1:] != visited[:-1]]
    if int(sizes[again].sum()) > REREAD * int(sizes.sum()) + SLACK:
        raise refuse("its messages lie so that the same chunks would be unpacked again and again")
