"""`fetch`: a recording of the catalog, from its host or a stand-in, to its place in the data folder."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vio._version import __version__
from vio.errors import DataError
from vio.io.archive import is_archive, unpack
from vio.io.catalog import Entry, Part, place
from vio.io.disk import NoRoom, disk_errors, need_room
from vio.io.ranged import FileSource, HttpSource, Patience
from vio.io.transfer import Brought, Candidate, Report, bring

_PARTIAL = ".partial"  # beside the datasets, so that the last step is a rename on one disk
_NOTE = "fetched.json"
_LICENCE = "LICENCE.txt"


def fetch(entry: Entry, root: Path, given: str | None = None, patience: Patience = Patience(), report: Report = Report()) -> Path:
    """Bring a recording to `root/dataset/sequence` and return that folder; at once if it is there.

    given: an address, folder or file that stands in for the catalog's host. The folder appears whole or not at all; an interrupted
    call is continued by the next. Raises DataError.
    """
    target = place(entry, root)
    if target.is_dir():
        return target
    work = root / _PARTIAL / entry.dataset / entry.sequence
    with disk_errors(root):
        work.mkdir(parents=True, exist_ok=True)
        _show_licence(entry, root, report)
        with _alone(work):
            brought = [bring(part, _candidates(part, given, patience, report), given is None, work, report) for part in entry.parts]
            staged = _stage(entry, brought, work, report)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(target)
            shutil.rmtree(work, ignore_errors=True)
    return target


def _show_licence(entry: Entry, root: Path, report: Report) -> None:
    """Say the dataset's licence the first time, and keep it beside the recordings."""
    path = root / entry.dataset / _LICENCE
    if path.is_file():
        return
    texts = [text for text in (f"{entry.title}: {entry.licence}", entry.citation, entry.homepage) if text]
    report.say("; ".join(texts))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Keep a second fetch of the same recording out."""
    from filelock import FileLock, Timeout

    lock = FileLock(work.with_name(f"{work.name}.lock"), timeout=0)
    try:
        with lock:
            yield
    except Timeout:
        raise DataError(f"{work}: another `tinyvio fetch` is at work on it") from None


def _candidates(part: Part, given: str | None, patience: Patience, report: Report) -> list[Candidate]:
    """Where a part may be, best first."""
    if given is None:
        return [Candidate(HttpSource(part.archive.url, patience, report.say), part.member)]
    if "://" not in given:
        return _local(part, Path(given).expanduser())
    base = given.rstrip("/")
    for name in (part.archive.file, part.file):
        base = base.removesuffix(f"/{name}")
    found = [Candidate(HttpSource(f"{base}/{part.archive.file}", patience, report.say), part.member)]
    if part.member:
        found.append(Candidate(HttpSource(f"{base}/{part.file}", patience, report.say), None))
    return found


def _local(part: Part, given: Path) -> list[Candidate]:
    """The part in a folder: by itself, as the unpacked archive has it, or inside the archive; or a file of any name."""
    if not given.exists():
        raise DataError(f"--from {given}: no such file or folder; give an address with https://, or where the downloaded archives are")
    if given.is_file() and not part.flat:
        return [Candidate(FileSource(given), part.member if given.name != part.file else None)]
    folder = given if given.is_dir() else given.parent
    places = [folder / part.file]
    if part.member:
        places += [folder / part.member, folder / Path(part.member).parent.name / part.file]
    found = [Candidate(FileSource(path), None) for path in places if path.is_file()]
    if part.member and (folder / part.archive.file).is_file():
        found.append(Candidate(FileSource(folder / part.archive.file), part.member))
    if not found:
        wanted = part.file if not part.member else f"neither {part.file} nor {part.archive.file}"
        raise DataError(f"--from {given}: holds {'no ' if not part.member else ''}{wanted}")
    return found


def _stage(entry: Entry, brought: list[Brought], work: Path, report: Report) -> Path:
    """The whole recording in a folder of the same disk, checked and described. What cannot be used is dropped, so that a re-run is fresh."""
    folder = work / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        for part, file in sorted(zip(entry.parts, brought), key=lambda pair: not is_archive(pair[1].path.name)):  # what is moved comes last
            _lay(part, file, folder, report)
        staged = _recording_in(folder, entry)
        _count(entry, staged)
    except NoRoom:
        raise
    except DataError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    files = [{"file": part.file, "from": file.source, "sha256": file.sha256} for part, file in zip(entry.parts, brought)]
    note = {"name": entry.name, "licence": entry.licence, "citation": entry.citation, "files": files, "tinyvio": __version__}
    (staged / _NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return staged


def _lay(part: Part, file: Brought, folder: Path, report: Report) -> None:
    """Unpack, move or copy what was brought into the folder."""
    if is_archive(file.path.name):
        unpack(file.path, folder, part.unpacked_bytes, part.flat, lambda done, total: report.progress("unpacking", done, total))
    elif file.owned:
        file.path.rename(folder / part.file)
    else:
        need_room(folder, file.path.stat().st_size)
        shutil.copyfile(file.path, folder / part.file)


def _recording_in(folder: Path, entry: Entry) -> Path:
    """Where in an unpacked archive the recording is: its top, or its only folder that holds `mav0`."""
    if (folder / "mav0").is_dir() or any(folder.glob("*.bag")):
        return folder
    inner = [path for path in folder.iterdir() if (path / "mav0").is_dir()]
    if len(inner) != 1:
        raise DataError(f"{entry.name}: the archive holds no recording (no folder mav0, no .bag); it is another file, and was dropped")
    return inner[0]


def _count(entry: Entry, folder: Path) -> None:
    """Compare the number of frames and inertial samples with the catalog's."""
    for sensor, wanted in (("cam0", entry.frames), ("imu0", entry.imu_samples)):
        if wanted is None:
            continue
        path = folder / "mav0" / sensor / "data.csv"
        if not path.is_file():
            raise DataError(f"{entry.name}: the archive holds no mav0/{sensor}/data.csv; it is another file, and was dropped")
        with path.open("rb") as lines:
            found = sum(1 for line in lines if line.strip() and not line.startswith(b"#"))
        if found != wanted:
            raise DataError(f"{entry.name}: mav0/{sensor}/data.csv has {found} rows, the catalog says {wanted}; it is another recording, and was dropped")
