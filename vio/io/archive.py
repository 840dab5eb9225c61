"""Archives: where a member lies inside a zip that is somewhere else, and unpacking of zip and tar files that may be hostile.

Zip: PKWARE's APPNOTE 6.3, sections 4.3.7 (local header) and 4.4; `zipfile` reads the directory, ZIP64 included.
"""

import errno
import fnmatch
import gzip
import io
import itertools
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vio.errors import DataError
from vio.files import shown
from vio.io.catalog import gigabytes
from vio.io.disk import need_room
from vio.io.progress import Progress
from vio.io.ranged import Source

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
_JUNK = ("__MACOSX/*", "*/__MACOSX/*", "*.DS_Store")
_TAIL = 1 << 14  # holds the central directory of an archive of archives
_BOMB_RATIO = 20  # recordings are PNG and short tables: nothing honest unpacks to so many times its size
_BOMB_SLACK, _TAR_SLACK = 1 << 20, 1 << 20
_PIECE = 1 << 20
_LARGEST_READ = 1 << 26  # at once, of what a header says is there
_MOST_MEMBERS = 500_000  # an hour of stereo at 50 Hz has 360,000
_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL)  # faults of a member's name



class RangedFile(io.RawIOBase):
    """A source as a seekable file that asks for its end once and for each other part when it is read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._length = source.size()
        self._tail_at = max(0, self._length - _TAIL)
        self._tail = b"".join(source.stream(self._tail_at, self._length))
        self._at = 0

    def seekable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is transferred."""
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; those before the end part come with a request."""
        stop = self._length if size is None or size < 0 else min(self._at + size, self._length)
        if stop <= self._at:
            return b""
        if stop - self._at > _LARGEST_READ:
            raise zipfile.BadZipFile("a directory of more than 64 MB")
        before = b"".join(self._source.stream(self._at, min(stop, self._tail_at))) if self._at < self._tail_at else b""
        got = before + self._tail[max(0, self._at - self._tail_at) : max(0, stop - self._tail_at)]
        self._at += len(got)
        return got


@dataclass(frozen=True)
class Window:
    """Where the packed bytes of a member lie: start..stop-1 of the outer file; how it is packed, its true size and CRC-32.

    crc is None where the bytes are the whole outer file, which has none.
    """

    start: int
    stop: int
    deflated: bool
    size: int
    crc: int | None


def locate(source: Source, member: str) -> Window:
    """Find a member of a zip by its central directory. Raises DataError if there is no such zip or no such member."""
    try:
        with zipfile.ZipFile(RangedFile(source)) as outer:
            infos = {info.filename: info for info in outer.infolist()}
    except (zipfile.BadZipFile, struct.error, UnicodeDecodeError, ValueError, OverflowError, NotImplementedError):
        raise DataError(f"{source.name}: not a zip archive: it is another file, or an error page") from None
    if member not in infos:
        held = ", ".join(shown(name) for name in sorted(name for name in infos if name.endswith(".zip"))[:6]) or f"{len(infos)} other files"
        raise DataError(f"{source.name}: holds no {member}; it is another archive, with {held}")
    info = infos[member]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise DataError(f"{source.name}: {member} is packed by method {info.compress_type} or encrypted; only stored and deflated can be read")
    if not 0 <= info.header_offset <= source.size() - _LOCAL_HEADER.size:
        raise DataError(f"{source.name}: damaged: its directory names a place beyond its ends for {member}")
    header = b"".join(source.stream(info.header_offset, info.header_offset + _LOCAL_HEADER.size))
    signature, name, extra = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise DataError(f"{source.name}: damaged: its directory names a place where {member} is not")
    start = info.header_offset + _LOCAL_HEADER.size + name + extra
    return Window(start, start + info.compress_size, info.compress_type == zipfile.ZIP_DEFLATED, info.file_size, info.CRC)


@dataclass(frozen=True)
class _Member:
    """A file or a folder of an archive."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


def is_archive(file: str) -> bool:
    """Whether a file of this name is to be unpacked."""
    return file.endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def unpack(path: Path, folder: Path, most: int | None, flat: bool, progress: Progress) -> None:
    """Unpack a zip or tar into an existing folder; with `flat`, only its YAML files, without their folders.

    Nothing is written before every name and size is judged: no absolute name, no `..`, no link, no more than `most` bytes (without it:
    twenty times the archive). `progress(done, total)` counts bytes. Raises DataError naming archive and member, NoRoom for the disk.
    """
    try:
        with _members(path, _allowed(path, most)) as members:
            kept = [m for m in members if not any(fnmatch.fnmatch(m.name, junk) for junk in _JUNK)]
            _judge(path, kept, _allowed(path, most))
            if flat:
                kept = [m for m in kept if m.name.endswith((".yaml", ".yml"))]
            need_room(folder, sum(m.size for m in kept))
            _write(path, kept, folder, flat, progress)
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile) and error.errno not in _NAMES:
            raise
        raise DataError(f"{path.name}: damaged, or a member's name is none for a file: {error.strerror or error}") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error, RuntimeError, ValueError, LookupError, OverflowError) as error:
        raise DataError(f"{path.name}: damaged, or not an archive of its kind: {' '.join(str(error).split())}") from None


def _allowed(path: Path, most: int | None) -> int:
    """Bytes that an archive may unpack to."""
    return _BOMB_RATIO * path.stat().st_size + _BOMB_SLACK if most is None else most


class _Bounded(io.RawIOBase):
    """A packed stream that is read and passed over up to a limit only, and never much at once: a tar is walked by unpacking all of it."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises ReadError beyond the limits."""
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, which unpacks all that is passed over. Raises ReadError beyond the limits."""
        self._check(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Place of the next byte."""
        return self._file.tell()

    def _check(self, place: int) -> None:
        if place > self._limit:
            raise tarfile.ReadError(f"it would unpack to more than the {gigabytes(self._limit)} it may have; refused, nothing was unpacked")


@contextmanager
def _members(path: Path, limit: int) -> Iterator[list[_Member]]:
    """The members of an archive while it is open."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as packed:
            yield [_zip_member(path, packed, info) for info in packed.infolist()]
        return
    opener = open if path.name.endswith(".tar") else gzip.open
    overhead = limit + _TAR_SLACK  # headers, and padding to blocks
    with opener(path, "rb") as file, tarfile.open(fileobj=_Bounded(file, limit + overhead), mode="r:") as packed:
        yield [_tar_member(path, packed, info) for info in itertools.islice(packed, _MOST_MEMBERS + 1)]


def _zip_member(path: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{path.name}: {info.filename!r} is a link or a device; refused, nothing was unpacked")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{path.name}: {info.filename!r} is encrypted, or neither stored nor deflated")
    return _Member(info.filename, info.file_size, info.is_dir(), lambda: packed.open(info))


def _tar_member(path: Path, packed: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if not (info.isreg() or info.isdir()):
        raise DataError(f"{path.name}: {info.name!r} is a link or a device; refused, nothing was unpacked")
    return _Member(info.name, info.size, info.isdir(), lambda: packed.extractfile(info))


def _judge(path: Path, members: list[_Member], limit: int) -> None:
    """Refuse an archive with a name that leads outside, a name twice, or more bytes than it may have."""
    if len(members) > _MOST_MEMBERS:
        raise DataError(f"{path.name}: more than {_MOST_MEMBERS} members; refused, nothing was unpacked")
    seen: set[str] = set()
    for member in members:
        name = member.name.rstrip("/")
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise DataError(f"{path.name}: {member.name!r} leads outside of its folder; refused, nothing was unpacked")
        if name in seen and not member.is_folder:
            raise DataError(f"{path.name}: {member.name!r} is there twice; refused, nothing was unpacked")
        seen.add(name)
    total = sum(member.size for member in members)
    if total > limit:
        raise DataError(f"{path.name}: would unpack to {gigabytes(total)}, more than the {gigabytes(limit)} it may have; refused, nothing was unpacked")


def _write(path: Path, members: list[_Member], folder: Path, flat: bool, progress: Progress) -> None:
    """Write the judged members."""
    done, total = 0, sum(member.size for member in members)
    for member in members:
        target = folder / (member.name.rsplit("/", 1)[-1] if flat else member.name)
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        opened = member.open()
        if opened is None:
            raise DataError(f"{path.name}: {member.name!r} cannot be read")
        with opened as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, _PIECE)
            if file.tell() != member.size:
                raise DataError(f"{path.name}: {member.name!r} has {file.tell()} bytes instead of {member.size}")
        done += member.size
        progress(done, total)
