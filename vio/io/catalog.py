"""The catalog of public recordings: datasets/*.toml, and the user's own in `catalog/` of the data folder.

A file holds title, homepage, licence, citation, traps, `base` and `md5_suffix` (address of an archive that names none), and the tables

- `archives.KEY`: file, url, bytes, md5, sha256;
- `sequences.NAME`: archive (a KEY), member (path of a nested archive inside it), calibration (a KEY whose files are laid beside the
  recording), bytes and sha256 of what is transferred, unpacked_bytes, size (rounded, in words), ground_truth, traps, frames, imu_samples.

What is not known is left out. A user's file replaces the shipped one of the same name.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vio.errors import DataError
from vio.files import read_toml, shown
from vio.io.resources import resource

_DATASET = {"title": str, "homepage": str, "licence": str, "citation": str, "traps": list, "base": str, "md5_suffix": str, "unverified": str}
_TABLES = {"archives": dict, "sequences": dict}
_ARCHIVE = {"file": str, "url": str, "bytes": int, "md5": str, "sha256": str}
_SEQUENCE = {
    **{"archive": str, "member": str, "calibration": str, "bytes": int, "sha256": str, "unpacked_bytes": int},
    **{"size": str, "ground_truth": str, "traps": list, "frames": int, "imu_samples": int},
}
_BUILTIN = "builtin"  # rendered, not fetched: a file of another form


@dataclass(frozen=True)
class Archive:
    """A file on a server; None is what nobody has published. `md5_url` is a text file that holds the md5."""

    file: str
    url: str
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    md5_url: str | None = None


@dataclass(frozen=True)
class Part:
    """What is brought for a recording: an archive, or the archive `member` inside it.

    bytes and sha256 are those of the member if there is one; unpacked_bytes the sum of its files; with `flat` its folders are dropped.
    """

    archive: Archive
    member: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    unpacked_bytes: int | None = None
    flat: bool = False

    @property
    def file(self) -> str:
        """Name of the file that is brought."""
        return (self.member or self.archive.file).rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Entry:
    """One recording of the catalog; `name` is `dataset/sequence`. frames: of cam0; both counts are None where unknown."""

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    parts: tuple[Part, ...]
    size: str
    ground_truth: str
    traps: tuple[str, ...]
    frames: int | None = None
    imu_samples: int | None = None

    @property
    def dataset(self) -> str:
        """Name of the dataset it belongs to."""
        return self.name.split("/")[0]

    @property
    def sequence(self) -> str:
        """Its name within the dataset."""
        return self.name.split("/")[1]


def data_root() -> Path:
    """Folder of the fetched recordings: $TINYVIO_DATA, or the one that the platform keeps for a user's data."""
    import platformdirs

    chosen = os.environ.get("TINYVIO_DATA")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("tinyvio", False))


def load() -> dict[str, Entry]:
    """Every entry by its name. Raises DataError naming file and field."""
    files = {p.stem: p for p in sorted(resource("datasets", f"{_BUILTIN}.toml").parent.glob("*.toml")) if p.stem != _BUILTIN}
    files |= {p.stem: p for p in sorted((data_root() / "catalog").glob("*.toml"))}
    return {entry.name: entry for path in files.values() for entry in _read(path)}


def rendered_names() -> tuple[str, ...]:
    """Names of the built-in sequences, which are not fetched; read without loading the renderer."""
    return tuple(read_toml(resource("datasets", f"{_BUILTIN}.toml")))


def find(name: str) -> Entry:
    """The entry of this name, with or without its dataset. Raises DataError with the nearest names if there is none."""
    entries = load()
    if name in entries:
        return entries[name]
    same = [entry for entry in entries.values() if entry.sequence == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise DataError(f"{name}: several sequences have this name: {', '.join(e.name for e in same)}")
    raise DataError(f"{name}: no recording and no sequence of this name; {_meant(name, entries)}")


def place(entry: Entry, root: Path | None = None) -> Path:
    """Folder of a recording, whether it is there or not."""
    return (root or data_root()) / entry.dataset / entry.sequence


def recording(name: str) -> Path:
    """What a reader opens for a catalogued name: its folder, or the bag in it. Raises DataError that says how to fetch it."""
    entry = find(name)
    folder = place(entry)
    if not folder.is_dir():
        raise DataError(f"{name}: known, but not at {folder}; bring it with: tinyvio fetch {entry.name}")
    bags = sorted(folder.glob("*.bag"))
    return bags[0] if len(bags) == 1 and not (folder / "mav0").is_dir() else folder


def _meant(name: str, entries: Mapping[str, Entry]) -> str:
    """`did you mean`, or where all names are listed."""
    known = {full.lower(): full for full in (*rendered_names(), *entries)}
    known |= {entry.sequence.lower(): entry.name for entry in entries.values() if entry.sequence.lower() not in known}
    close = [name.lower()] if name.lower() in known else difflib.get_close_matches(name.lower(), known, n=6, cutoff=0.6)
    meant = list(dict.fromkeys(known[match] for match in close))[:3]
    if meant:
        return f"did you mean {' or '.join(meant)}?"
    return f"built in: {', '.join(rendered_names())}; `tinyvio list` prints those that can be fetched"


def _read(path: Path) -> list[Entry]:
    """The entries of one file."""
    table = read_toml(path, DataError, "the catalog")
    _check(path, "", table, _DATASET | _TABLES, ("title", "licence"))
    archives = {key: _archive(path, key, fields, table) for key, fields in table.get("archives", {}).items()}
    return [_entry(path, name, fields, table, archives) for name, fields in table.get("sequences", {}).items()]


def _check(path: Path, where: str, table: Any, kinds: Mapping[str, type], needed: tuple[str, ...]) -> None:
    """Refuse unknown fields, fields of a wrong kind and missing ones."""
    if not isinstance(table, dict):
        raise DataError(f"{path}: {_named(where)} must be a table")
    for key, value in table.items():
        if key not in kinds:
            raise DataError(f"{path}: {_named(where + key)}: no such field; known: {', '.join(kinds)}")
        if not isinstance(value, kinds[key]):
            raise DataError(f"{path}: {_named(where + key)}: must be of type {kinds[key].__name__}")
    for key in needed:
        if key not in table:
            raise DataError(f"{path}: {_named(where + key)}: missing")


def _named(field: str) -> str:
    """A field as the file calls it, where that is short and can be printed."""
    return field if field.isprintable() and len(field) <= 80 else shown(field)


def _archive(path: Path, key: str, fields: Any, table: Mapping[str, Any]) -> Archive:
    """One archive; without an address of its own it lies under `base`."""
    _check(path, f"archives.{key}.", fields, _ARCHIVE, ("file",))
    file = fields["file"]
    if "/" in file or "\\" in file or file.startswith("."):
        raise DataError(f"{path}: archives.{_named(key)}.file: a file name has no slash and does not begin with a dot")
    if "url" not in fields and "base" not in table:
        raise DataError(f"{path}: archives.{_named(key)}.url: missing, and the file gives no `base`")
    url = fields.get("url", table.get("base", "") + file)
    suffix = table.get("md5_suffix")
    return Archive(file, url, fields.get("bytes"), fields.get("md5"), fields.get("sha256"), url + suffix if suffix else None)


def _entry(path: Path, name: str, fields: Any, table: Mapping[str, Any], archives: Mapping[str, Archive]) -> Entry:
    """One recording with what it inherits from its dataset."""
    where = f"sequences.{name}."
    _check(path, where, fields, _SEQUENCE, ("archive",))
    if "/" in name or name.startswith("."):
        raise DataError(f"{path}: {_named(where[:-1])}: a name has no slash and does not begin with a dot")
    for key in ("archive", "calibration"):
        if key in fields and fields[key] not in archives:
            raise DataError(f"{path}: {_named(where + key)}: no archive {shown(fields[key])} in this file")
    parts = _parts(fields, archives)
    traps = (*fields.get("traps", ()), *table.get("traps", ()), *([table["unverified"]] if "unverified" in table else ()))
    size = fields.get("size") or (gigabytes(parts[0].bytes) if parts[0].bytes else "unknown")
    texts = (table["title"], table.get("homepage", ""), table["licence"], table.get("citation", ""))
    truth = fields.get("ground_truth", "unknown")
    return Entry(f"{path.stem}/{name}", *texts, parts, size, truth, traps, fields.get("frames"), fields.get("imu_samples"))


def _parts(fields: Mapping[str, Any], archives: Mapping[str, Archive]) -> tuple[Part, ...]:
    """The recording's archive, then that of its calibration."""
    archive, member = archives[fields["archive"]], fields.get("member")
    bytes_ = fields.get("bytes", None if member else archive.bytes)
    sha256 = fields.get("sha256", None if member else archive.sha256)
    main = Part(archive, member, bytes_, sha256, fields.get("unpacked_bytes"))
    if "calibration" not in fields:
        return (main,)
    beside = archives[fields["calibration"]]
    return main, Part(beside, None, beside.bytes, beside.sha256, None, flat=True)


def gigabytes(count: int) -> str:
    """A number of bytes in words: decimal units, three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
