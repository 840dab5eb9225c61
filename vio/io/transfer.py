"""One file, or one member of a remote zip, brought to the disk: resumed after any interruption, then checked, then named."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vio.errors import DataError
from vio.io.archive import Window, locate
from vio.io.catalog import Part
from vio.io.disk import disk_errors, need_room
from vio.io.ranged import Changed, FileSource, HttpSource, Missing, Patience, RangesIgnored, Source

_PIECE = 1 << 20
_RESTARTS = 3  # of a download from a server that cannot resume


@dataclass(frozen=True)
class Report:
    """Who hears of the work: `say` one line of text, `progress` what is done, bytes of it, and of how many."""

    say: Callable[[str], None] = lambda text: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


@dataclass(frozen=True)
class Candidate:
    """A place that may hold a part: the source, and the member inside it, or None if the source itself is the part."""

    source: Source
    member: str | None


@dataclass(frozen=True)
class Brought:
    """A checked file; `owned` if it lies in the work folder and may be moved; sha256 of its bytes; source: where it came from."""

    path: Path
    owned: bool
    sha256: str
    source: str


def bring(part: Part, candidates: list[Candidate], official: bool, work: Path, report: Report) -> Brought:
    """Bring a part into the folder `work`, or find it whole on the disk. A second call continues where the first was stopped.

    With `official` the archive must have the catalog's length. Raises DataError; nothing but checked bytes gets the part's name.
    """
    finished, noted = work / part.file, work / f"{part.file}.sha256"
    if finished.is_file() and noted.is_file():
        sha256, source = noted.read_text(encoding="utf-8").split("\n")[:2]
        return Brought(finished, True, sha256, source)
    try:
        return _bring(part, candidates, official, work, report)
    except Changed as change:
        _forget(part, work)
        report.say(f"{change}: from the beginning")
        return _bring(part, candidates, official, work, report)


def _bring(part: Part, candidates: list[Candidate], official: bool, work: Path, report: Report) -> Brought:
    """Find the bytes, transfer what is missing of them, check, unpack the outer layer, name."""
    chosen, window = _begun(part, candidates, work) or _begin(part, candidates, official, work)
    if part.bytes is not None and window.size != part.bytes:
        _forget(part, work)
        raise DataError(f"{chosen.source.name}: {part.file} has {window.size} bytes there, the catalog says {part.bytes}: it is another file")
    if chosen.member is None and isinstance(chosen.source, FileSource):
        return Brought(chosen.source.path, False, _check(part, window, chosen, chosen.source.path, report), chosen.source.name)
    packed, finished = work / f"{part.file}.part", work / part.file
    ready = work / f"{part.file}.whole" if window.deflated else packed
    have = packed.stat().st_size if packed.is_file() else 0
    need_room(work, window.stop - window.start - have + (window.size if window.deflated else 0) + (part.unpacked_bytes or window.size))
    with disk_errors(work):
        _transfer(chosen, window, packed, report)
        if window.deflated:
            _inflate(part, window, packed, ready, work)
        sha256 = _check(part, window, chosen, ready, report, work)
        (work / f"{part.file}.sha256").write_text(f"{sha256}\n{chosen.source.name}\n", encoding="utf-8")
    ready.replace(finished)
    packed.unlink(missing_ok=True)
    return Brought(finished, True, sha256, chosen.source.name)


def _begin(part: Part, candidates: list[Candidate], official: bool, work: Path) -> tuple[Candidate, Window]:
    """The first candidate that is there, and where in it the part lies; noted for the next call."""
    _forget(part, work)
    for number, candidate in enumerate(candidates):
        try:
            window = _window(part, candidate, official)
        except Missing:
            if number == len(candidates) - 1:
                raise
            continue
        note = {"source": candidate.source.name, "member": candidate.member, "length": candidate.source.size(), "stamp": candidate.source.stamp()}
        with disk_errors(work):
            (work / f"{part.file}.json").write_text(json.dumps(note | {"window": asdict(window)}), encoding="utf-8")
        return candidate, window
    raise DataError(f"{part.file}: no place to fetch it from")


def _window(part: Part, candidate: Candidate, official: bool) -> Window:
    """Where the part lies in a candidate."""
    length, known = candidate.source.size(), part.archive.bytes
    if official and known is not None and length != known:
        raise DataError(f"{candidate.source.name}: has {length} bytes, the catalog says {known} for {part.archive.file}: it is another file")
    return locate(candidate.source, candidate.member) if candidate.member else Window(0, length, False, length, None)


def _begun(part: Part, candidates: list[Candidate], work: Path) -> tuple[Candidate, Window] | None:
    """What an earlier call noted, if it is of use."""
    try:
        note = json.loads((work / f"{part.file}.json").read_text(encoding="utf-8"))
        window, length, stamp = Window(**note["window"]), note["length"], note["stamp"]
        chosen = next(c for c in candidates if (c.source.name, c.member) == (note["source"], note["member"]))
    except (OSError, ValueError, KeyError, TypeError, StopIteration):  # none, or half written when the power went
        return None
    chosen.source.expect(length, stamp)
    return chosen, window


def _forget(part: Part, work: Path) -> None:
    """Drop what is there of a part."""
    for ending in ("json", "part", "whole", "sha256"):
        (work / f"{part.file}.{ending}").unlink(missing_ok=True)


def _transfer(chosen: Candidate, window: Window, target: Path, report: Report) -> None:
    """Append what is missing; from a server that cannot resume, a whole file starts anew a few times."""
    for restart in range(_RESTARTS + 1):
        try:
            return _append(chosen, window, target, report)
        except RangesIgnored:
            if chosen.member is not None or restart == _RESTARTS:
                raise
            report.say(f"{chosen.source.name}: the server cannot resume: from the beginning")
            target.unlink(missing_ok=True)


def _append(chosen: Candidate, window: Window, target: Path, report: Report) -> None:
    """Bytes from where the file ends; a member has an end, a whole file is asked for without one."""
    total = window.stop - window.start
    have = target.stat().st_size if target.is_file() else 0
    if have > total:
        target.unlink()
        have = 0
    report.progress("fetching", have, total)
    with target.open("ab") as file:
        if have == total:
            return
        for piece in chosen.source.stream(window.start + have, window.stop if chosen.member else None):
            file.write(piece)
            have += len(piece)
            report.progress("fetching", have, total)
            if have > total:
                raise DataError(f"{chosen.source.name}: sends more bytes than it announced; run again")
    if have < total:
        raise DataError(f"{chosen.source.name}: sent {have} of {total} bytes; run again to continue")


def _inflate(part: Part, window: Window, packed: Path, whole: Path, work: Path) -> None:
    """Undo the outer layer's packing, never beyond the declared size."""
    stream, left = zlib.decompressobj(-zlib.MAX_WBITS), window.size
    try:
        with packed.open("rb") as source, whole.open("wb") as target:
            while piece := stream.unconsumed_tail or source.read(_PIECE):
                out = stream.decompress(piece, min(_PIECE, left + 1))
                left -= len(out)
                if left < 0:
                    raise zlib.error("more bytes than declared")
                target.write(out)
            out = stream.flush()
            if len(out) > left or not stream.eof:
                raise zlib.error("it does not end where it should")
            target.write(out)
    except zlib.error as error:
        _forget(part, work)
        raise DataError(f"{part.file}: damaged on its way, or another file ({error}); it was dropped, run again to fetch it anew") from None


def _check(part: Part, window: Window, chosen: Candidate, path: Path, report: Report, work: Path | None = None) -> str:
    """Length, CRC-32 and published sums of a file against its own; its sha256. A file of the work folder is dropped if they differ."""
    crc, md5, sha256, done = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            crc, done = zlib.crc32(piece, crc), done + len(piece)
            md5.update(piece)
            sha256.update(piece)
            report.progress("checking", done, window.size)
    found = {"length": done, "CRC-32": crc, "md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
    wanted = {"length": window.size, "CRC-32": window.crc, "md5": _md5(part, chosen, report), "sha256": part.sha256}
    wrong = [key for key, value in wanted.items() if value is not None and value != found[key]]
    if wrong:
        if work is not None:
            _forget(part, work)
        what = ", ".join(f"{key} {found[key]} instead of {wanted[key]}" for key in wrong[:1])
        remedy = "it was dropped, run again to fetch it anew" if work is not None else "give another one"
        raise DataError(f"{chosen.source.name}: {part.file} is damaged or another file ({what}); {remedy}")
    if all(wanted[key] is None for key in ("CRC-32", "md5", "sha256")):
        report.say(f"{part.file}: no checksum is known; its length is right")
    return found["sha256"]


def _md5(part: Part, chosen: Candidate, report: Report) -> str | None:
    """The md5 of a whole archive: the catalog's, or that of a text file beside it."""
    if part.member or chosen.member:
        return None
    archive = part.archive
    if archive.md5 or not archive.md5_url:
        return archive.md5
    beside = chosen.source.name + archive.md5_url.removeprefix(archive.url)
    source = FileSource(Path(beside)) if isinstance(chosen.source, FileSource) else HttpSource(beside, Patience(tries=2))
    try:
        text = _beginning(source.stream(0, None)).decode("ascii").split()
    except (DataError, OSError, UnicodeDecodeError):
        text = []
    if text and len(text[0]) == 32:
        return text[0].lower()
    report.say(f"{beside}: no md5 there")
    return None


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """The first 200 bytes of a stream, of which no more is taken."""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) >= 200:
            break
    return data[:200]
