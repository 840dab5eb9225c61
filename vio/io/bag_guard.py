"""A bag is looked through before a library reads it: lengths, counts and offsets in it may be lies, and what is packed may be a bomb.

Formats: http://wiki.ros.org/Bags/Format/2.0, https://mcap.dev/spec, and rosbag 2's metadata.yaml with SQLite or MCAP files.
"""

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

from vio.errors import DataError
from vio.io import bag_mcap, bag_rosbag1
from vio.io.bag_limits import LARGEST_CHUNK, SLACK, pieces_of, unpacked_size
from vio.io.yaml_text import parse_yaml, read_yaml

_RATIO = 20  # that a whole packed file may grow by
_ALIVE = re.compile(r"\bVIRTUAL\b|\bGENERATED\b|\bAS\s*\(|\bWITHOUT\b", re.IGNORECASE)  # columns and tables that are programs
_INFORMATION = "rosbag2_bagfile_information"


def check(path: Path) -> None:
    """Raise DataError for a bag, by its path, that would take a reader more memory, or more often the same bytes, than `bag_limits` allows."""
    if path.is_dir():
        _check_folder(path)
    elif path.is_file():
        _check_file(path, str(path))
    else:
        raise DataError(f"{path}: neither a file nor a folder")


def check_profiles(text: Any, source: str) -> None:
    """Raise DataError for quality-of-service profiles, which are YAML within a bag, that stand for too much."""
    if isinstance(text, str):
        parse_yaml(text, f"{source}: quality of service", DataError)


def _check_file(path: Path, source: str) -> None:
    suffix = path.suffix.lower()
    if suffix == ".bag":
        bag_rosbag1.check(path, source)
    elif suffix == ".mcap":
        for profiles in bag_mcap.check(path, source):
            check_profiles(profiles, source)
    else:
        _check_sqlite(path, source)


def _check_folder(path: Path) -> None:
    """metadata.yaml, and each file it names, which lies in this very folder."""
    information = read_yaml(path / "metadata.yaml", DataError).get(_INFORMATION)
    if not isinstance(information, dict) or not isinstance(information.get("relative_file_paths"), list):
        raise DataError(f"{path / 'metadata.yaml'}: not the metadata of a bag")
    for topic in information.get("topics_with_message_count") or ():
        if isinstance(topic, dict) and isinstance(topic.get("topic_metadata"), dict):
            check_profiles(topic["topic_metadata"].get("offered_qos_profiles"), str(path / "metadata.yaml"))
    mode = str(information.get("compression_mode") or "").lower()
    for name in information["relative_file_paths"]:
        file = path / PurePath(str(name)).name
        if not file.is_file():
            raise DataError(f"{file}: named in metadata.yaml, but not there")
        if mode == "file":
            _check_packed(file)
        else:
            _check_file(file, str(file))
        if mode == "message":
            _check_messages(file)


def _check_packed(path: Path) -> None:
    """A file that is packed as a whole: unpacked to a temporary place, within its limit, and looked at there."""
    try:
        from compression import zstd
    except ImportError:  # before Python 3.14
        from backports import zstd

    def refuse(reason: str) -> DataError:
        return DataError(f"{path}: {reason}")

    with path.open("rb") as file:
        unpacked_size(pieces_of(file, path.stat().st_size), "zstd", _RATIO * path.stat().st_size + SLACK, refuse)
    with tempfile.TemporaryDirectory() as folder, zstd.open(path, "rb") as source:
        inner = Path(folder) / PurePath(path.stem).name
        with inner.open("wb") as target:
            while piece := source.read(1 << 20):
                target.write(piece)
        _check_file(inner, str(path))


def _check_messages(path: Path) -> None:
    """Messages that are packed one by one."""
    if path.suffix.lower() != ".db3":
        raise DataError(f"{path}: messages packed one by one in an MCAP file; `ros2 bag convert` to its own compression")

    def refuse(reason: str) -> DataError:
        return DataError(f"{path}: a message: {reason}")

    with closing(_opened(path)) as database:
        for (data,) in database.execute("SELECT data FROM messages"):
            if not isinstance(data, bytes):
                raise refuse("not bytes")
            unpacked_size([data], "zstd", LARGEST_CHUNK, refuse)


def _check_sqlite(path: Path, source: str) -> None:
    """Plain tables only: a view or a generated column is a program that runs when it is read."""
    try:
        with closing(_opened(path)) as database:
            for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_master"):
                if kind not in ("table", "index") or (kind == "table" and _ALIVE.search(str(sql or ""))):
                    raise DataError(f"{source}: '{name}' is a {kind} that computes; a bag has plain tables")
            columns = [str(row[1]) for row in database.execute("PRAGMA table_info(topics)")]
            if "offered_qos_profiles" in columns:
                for (text,) in database.execute("SELECT offered_qos_profiles FROM topics"):
                    check_profiles(text, source)
    except sqlite3.Error as error:
        raise DataError(f"{source}: the bag is damaged, or not an SQLite file ({error}); `ros2 bag reindex` may recover it") from None


def _opened(path: Path) -> sqlite3.Connection:
    """The database for reading, without a lock and without the files beside it."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    return database
