"""Files made to hurt: each is refused in one line, within a bound on memory, and nothing they name outside of their folder is touched.

Oracle, where none is named: the file was made by hand to break the rule.
"""

import bz2
import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bags import written
from fuzzing import attempt, images
from test_bags import NAMES, RIG, fill

from vio import config, files
from vio.errors import ConfigError, DataError
from vio.io import archive, bag, kalibr, tables, yaml_text
from vio.io.images import decode
from vio.io.npz import read_arrays
from vio.io.ranged import FileSource

ROOM = 192 << 20  # bytes that any of the bombs below may take beside the program itself; each would take gigabytes


def _laughs(levels: int = 12) -> str:
    """Aliases of aliases: ten to the power of `levels` values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    return "\n".join(lines + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, levels)])


def _merges(levels: int = 30) -> str:
    """Merge keys of merge keys."""
    lines = ["a0: &a0 {x: 1, y: 2}"]
    return "\n".join(lines + [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}], k{k}: 1}}" for k in range(1, levels)])


@pytest.mark.parametrize("text", [_laughs(), _merges(), "a: &a [*a]", "[" * 5000, "a: " + "{b: " * 3000, "!!int ''", "!!timestamp x", "2001-99-99", "1" * 5000 + ": 1"])
def test_yaml_that_explodes_or_does_not_exist_is_refused(tmp_path: Path, text: str) -> None:
    """A billion laughs, merge keys, a list in itself, depth, and values that their tags do not allow."""
    (tmp_path / "imu.yaml").write_text(text)
    assert attempt(yaml_text.read_yaml, tmp_path / "imu.yaml")


def test_aliases_that_stand_for_little_are_read() -> None:
    """Oracle: PyYAML itself; Kalibr's own files are dumped with aliases when two cameras share a list."""
    assert yaml_text.parse_yaml("a: &x [1, 2]\nb: *x\n", "text") == {"a": [1, 2], "b": [1, 2]}


def test_yaml_tags_do_not_run_anything(tmp_path: Path) -> None:
    """Oracle: the file that the tag would make."""
    (tmp_path / "imu.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    assert "not YAML" in attempt(yaml_text.read_yaml, tmp_path / "imu.yaml") and not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text", ["v = " + "[" * 3000, "v = " + "{a=" * 2000, "a." * 50_000 + "a = 1", "v = " + "9" * 5000, "v = 2001-99-99", "v = 1\n" * 50_000, "[backend]\nwindow = 9e999", "[health]\nmax_gyro = nan"],
    ids=["depth", "tables", "key", "digits", "date", "size", "infinite", "nan"],
)  # fmt: skip
def test_toml_that_is_too_deep_too_long_or_no_number_is_refused(tmp_path: Path, text: str) -> None:
    """Also what `tomllib` would read, but no configuration can be."""
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError):
        config.load(tmp_path / "p.toml")
    with pytest.raises(ConfigError):
        config.override(config.Config(), ["frontend.max_features=" + text])


@pytest.mark.parametrize("field", ["frontend.corner_min_score=99999999999999999999", "frontend.ransac_threshold=inf", "initial.still_gyro=0.0", "backend.window=-1"])
def test_numbers_that_no_register_can_hold_are_refused(field: str) -> None:
    """Oracle: 64 bits, and division by zero."""
    with pytest.raises(ConfigError, match=field.split("=")[0]):
        config.override(config.Config(), [field])


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("1," + "," * 1_000_000, "characters"), ("1,a\0b.png", "no name for a file"), ("1,../../../etc/passwd", "leads out"), ("1,/etc/passwd", "leads out"),
        ("1," + "x" * 300, "no name for a file"), (f"{2**62},a.png", "no time"), ("9" * 400 + ",a.png", "not a stamp"), ("1,\udcff.png", "not a text file"),
    ],
)  # fmt: skip
def test_tables_with_names_and_stamps_that_lead_astray_are_refused(tmp_path: Path, row: str, word: str) -> None:
    """A million columns, a null, paths out of the folder, a stamp whose differences overflow, bytes that are no UTF-8."""
    path = tmp_path / "data.csv"
    path.write_bytes(f"#t\n0,a.png\n{row}\n".encode("utf-8", "surrogateescape"))
    assert word in attempt(tables.read_names, path) and str(path) in attempt(tables.read_names, path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device without an end, a folder, a link to itself: a reader that opens one of them hangs or fills the memory."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zero", "loop", "folder", "nul\0l"):
        assert attempt(lambda path: files.read_bytes(path, 1000, DataError), tmp_path / name), name


def _png(width: int, height: int, **extra: bytes) -> bytes:
    """A PNG whose header claims a size."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    blocks = b"".join(chunk(kind.encode(), data) for kind, data in extra.items())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + blocks + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def _claims() -> dict[str, bytes]:
    """Images of a few hundred bytes whose headers claim 60000x60000, or the right size in a way that a decoder reads otherwise."""
    small = images()
    jpeg = small["d.jpg"]
    frame = jpeg.index(b"\xff\xc0")
    huge_jpeg = jpeg[: frame + 5] + struct.pack(">HH", 60000, 60000) + jpeg[frame + 9 :]
    tiff = bytearray(struct.pack("<2sHI H", b"II", 42, 8, 3))
    for tag, value in ((256, 32), (257, 24), (257, 60000)):
        tiff += struct.pack("<HHII", tag, 4, 1, value)
    bmp = bytearray(small["f.bmp"])
    bmp[18:26] = struct.pack("<ii", 60000, -60000)
    return {
        "png": _png(60000, 60000), "png of nothing": _png(0, 0), "animated": _png(32, 24, acTL=bytes(8)), "jpeg": huge_jpeg,
        "jpeg with junk before its frame": huge_jpeg[:frame] + b"\0\0" + huge_jpeg[frame:], "jpeg of a thousand scans": jpeg[:-2] + b"\xff\xda\0\x08" * 1000 + b"\xff\xd9",
        "two heights": bytes(tiff) + bytes(64), "bmp": bytes(bmp), "pgm": b"P5\n60000 60000\n255\n" + bytes(99), "webp": b"RIFF\x40\0\0\0WEBPVP8X" + b"\xff" * 60, "empty": b"",
    }  # fmt: skip


@pytest.mark.parametrize("kind", _claims())
def test_an_image_is_refused_by_its_header_before_a_decoder_sees_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a decoder that must not be called."""
    import cv2

    data = _claims()[kind]
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: pytest.fail("decoded"))
    with pytest.raises(DataError):
        decode(data, "x", 32, 24)


def _zip_of(members: dict[str, bytes], path: Path, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o120777 if link else 0o100644) << 16
            packed.writestr(entry, data, zipfile.ZIP_DEFLATED, 1)
    return path


def _tar_of(path: Path, *entries: tuple[str, bytes, bytes]) -> Path:
    """Entries: name, type, data (the target of a link)."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as packed:
        for name, kind, data in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            entry.linkname = data.decode() if kind != tarfile.REGTYPE else ""
            packed.addfile(entry, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return path


HOSTILE_ARCHIVES: dict[str, Callable[[Path], Path]] = {
    "zip to above": lambda f: _zip_of({"../out.txt": b"x"}, f / "a.zip"),
    "zip to the root": lambda f: _zip_of({"/tmp/out.txt": b"x"}, f / "a.zip"),
    "zip with a link": lambda f: _zip_of({"link": b"/etc"}, f / "a.zip", link=True),
    "zip with a file that is a folder": lambda f: _zip_of({"a": b"x", "a/b": b"y"}, f / "a.zip"),
    "zip with a name of 300 letters": lambda f: _zip_of({"n" * 300: b"x"}, f / "a.zip"),
    "zip of zeros": lambda f: _zip_of({"zeros": bytes(64 << 20)}, f / "a.zip"),
    "tar to above": lambda f: _tar_of(f / "a.tar", ("../out.txt", tarfile.REGTYPE, b"x")),
    "tar with a link and a file through it": lambda f: _tar_of(f / "a.tar", ("l", tarfile.SYMTYPE, b"/tmp"), ("l/out.txt", tarfile.REGTYPE, b"x")),
    "tar with a hard link": lambda f: _tar_of(f / "a.tar", ("l", tarfile.LNKTYPE, b"/etc/passwd")),
    "tar with a device": lambda f: _tar_of(f / "a.tar", ("l", tarfile.CHRTYPE, b"")),
    "tar of zeros": lambda f: _tar_of(f / "a.tar.gz", ("zeros", tarfile.REGTYPE, bytes(64 << 20))),
}


@pytest.mark.parametrize("kind", HOSTILE_ARCHIVES)
def test_archives_that_lead_outside_or_explode_write_nothing_outside_and_are_refused(tmp_path: Path, kind: str) -> None:
    """Oracle: the folders before and after."""
    (tmp_path / "in").mkdir()
    path = HOSTILE_ARCHIVES[kind](tmp_path / "in")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError):
        archive.unpack(path, tmp_path / "out", None, False, lambda done, total: None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"] and not list((tmp_path / "out").rglob("out.txt"))


@pytest.mark.parametrize("cut", [30, 100])
def test_a_zip_without_its_beginning_is_refused_when_one_member_is_looked_for(tmp_path: Path, cut: int) -> None:
    """Atheris found it: the directory places the first member before the beginning of the file."""
    path = _zip_of({"a": bytes(500), "b": b"y"}, tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[cut:])
    with pytest.raises(DataError, match="damaged|not a zip"):
        archive.locate(FileSource(path), "a")


def test_an_images_damage_is_told_on_one_line(tmp_path: Path) -> None:
    """Atheris found it: the kind of a PNG's damaged block may hold a line break."""
    broken = images()["a.png"].replace(b"IHDR", b"IH\nR")
    assert "nameless" in attempt(lambda _: decode(broken, "x", 32, 24), tmp_path)


def _npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return path


def _npy(shape: str, dtype: str = "<f8", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (64 - (len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    "member", [_npy("(9999999999,)"), _npy("(-1,)"), _npy("(2,)", "|O", bytes(16)), _npy("(1,)", "<f8", bytes(9)), _npy("('a',)"), _npy("(1,)", "|V0"), b"\x93NUMPY\x09\x00", b"", _npy("(" * 900)],
    ids=["eighty gigabytes", "negative", "pickle", "a byte too many", "text as a shape", "nothing", "version", "empty", "depth"],
)  # fmt: skip
def test_arrays_that_are_not_what_their_header_says_are_refused(tmp_path: Path, member: bytes) -> None:
    """Among them one of Python objects, which only a pickle could hold."""
    assert attempt(read_arrays, _npz(tmp_path / "a.npz", a=member))


def test_arrays_come_back_as_numpy_reads_them(tmp_path: Path) -> None:
    """Oracle: `numpy.load`, for texts, scalars, empty arrays and both orders."""
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.arange(6).reshape(2, 3)), "c": np.array("text"), "d": np.zeros((0, 3)), "e": np.array(True)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as known:
        assert all(np.array_equal(found[name], known[name]) and found[name].dtype == known[name].dtype for name in known.files) and found.keys() == set(known.files)


def _bag(folder: Path, kind: str, change: Callable[[bytes], bytes], compressed: str = "") -> Path:
    """A bag whose bytes are changed."""
    with written(folder, kind, compressed) as (maker, path):
        fill(maker)
    kalibr.write_pair(path.parent, RIG, NAMES)
    file = path if path.is_file() else next(path.glob("*.db3"))
    file.write_bytes(change(file.read_bytes()))
    return path


def _twice_named(data: bytes) -> bytes:
    """The list of chunks of a rosbag 1 with its last entry repeated."""
    return data + data[_record_before(data, data.rindex(b"chunk_pos=")) :]


def _record_before(data: bytes, inside: int) -> int:
    """Start of the record whose header holds a place."""
    at = len(b"#ROSBAG V2.0\n")
    while True:
        (header,) = struct.unpack_from("<I", data, at)
        (length,) = struct.unpack_from("<I", data, at + 4 + header)
        if at <= inside < at + 8 + header + length:
            return at
        at += 8 + header + length


def _bomb_chunk(data: bytes) -> bytes:
    """The first bz2 stream replaced by one of a gigabyte of zeros, packed to under a kilobyte, cut or filled to the same length."""
    start = data.index(b"BZh")
    bomb = _gigabyte()
    return data[:start] + bomb + data[start + len(bomb) :]


def _gigabyte() -> bytes:
    """A gigabyte of zeros as one bz2 stream after the other."""
    return bz2.compress(bytes(1 << 24)) * 64


@pytest.mark.parametrize(
    ("kind", "compressed", "change"),
    [("rosbag1", "", _twice_named), ("rosbag1", "bz2", _bomb_chunk)],
    ids=["a chunk named twice", "a chunk that explodes"],
)
def test_bags_whose_index_lies_or_that_explode_are_refused(tmp_path: Path, kind: str, compressed: str, change: Callable[[bytes], bytes]) -> None:
    """Oracle: the faults put in by hand."""
    with pytest.raises(DataError):
        bag.read_recording(_bag(tmp_path, kind, change, compressed))


def test_a_database_with_a_program_in_it_is_not_asked(tmp_path: Path) -> None:
    """A view that would count for ever, by the name of a table that the reader asks."""
    import sqlite3

    path = _bag(tmp_path, "rosbag2", lambda data: data)
    with sqlite3.connect(next(path.glob("*.db3"))) as database:
        database.execute("DROP TABLE IF EXISTS schema")
        database.execute("CREATE VIEW schema AS WITH RECURSIVE n(schema_version) AS (SELECT 1 UNION ALL SELECT schema_version FROM n) SELECT max(schema_version) AS schema_version FROM n")
    database.close()
    with pytest.raises(DataError, match="computes"):
        bag.read_recording(path)


def test_a_bag_cannot_bring_its_own_types(tmp_path: Path) -> None:
    """Oracle: a definition that does not even parse; the fields are ROS's own, and another digest is refused."""
    hidden = _bag(tmp_path, "rosbag1", lambda data: data.replace(b"float64[9] orientation_covariance", b"float64[9] __import__('os').abort"))
    assert len(bag.read_recording(hidden).imu) == 60
    (tmp_path / "other").mkdir()
    other = _bag(tmp_path / "other", "rosbag1", lambda data: data.replace(b"6a62c6daae103f4ff57a132d6f95cec2", b"0" * 32))
    with pytest.raises(DataError, match="its fields are others"):
        bag.read_recording(other)


BOMBS = """
import resource, sys
from pathlib import Path
import numpy, cv2, yaml, tarfile, zipfile, rosbags.rosbag1, rosbags.rosbag2, scipy.interpolate
from vio.errors import TinyvioError
from vio.io import archive, bag, tables
from vio.io.images import read_picture
from vio.io.npz import read_arrays
from vio.io.yaml_text import read_yaml
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, resource.RLIM_INFINITY))
folder, out = Path(sys.argv[1]), Path(sys.argv[1]) / "out"
readers = {{
    "laughs.yaml": read_yaml, "merges.yaml": read_yaml, "zeros.zip": lambda p: archive.unpack(p, out, None, False, lambda a, b: None),
    "pax.tar.gz": lambda p: archive.unpack(p, out, None, False, lambda a, b: None), "huge.png": lambda p: read_picture(p, 32, 24),
    "huge.npz": read_arrays, "wide.csv": lambda p: tables.read_numbers(p, 6), "flight.bag": bag.read_recording, "sparse.csv": tables.columns,
}}
for name, read in readers.items():
    try:
        read(folder / name)
    except TinyvioError as error:
        print(name, "refused:", str(error)[:60])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's memory, and its use, are asked of Linux")
def test_no_bomb_takes_more_memory_than_the_bound(tmp_path: Path) -> None:
    """Oracle: the system, which refuses the process more than ROOM beyond what its libraries take."""
    (tmp_path / "out").mkdir()
    (tmp_path / "laughs.yaml").write_text(_laughs())
    (tmp_path / "merges.yaml").write_text(_merges())
    _zip_of({"zeros": bytes(256 << 20)}, tmp_path / "zeros.zip")
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "pax.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(64 << 20)))
    (tmp_path / "huge.png").write_bytes(_png(60000, 60000))
    _npz(tmp_path / "huge.npz", a=_npy("(99999999,)"))
    (tmp_path / "wide.csv").write_text("1" + ",1" * 4_000_000)
    with (tmp_path / "sparse.csv").open("wb") as file:
        file.truncate(1 << 40)
    _bag(tmp_path, "rosbag1", _bomb_chunk, "bz2")
    done = subprocess.run([sys.executable, "-c", BOMBS.format(room=ROOM), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    refused = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(refused) == {p.name for p in tmp_path.iterdir() if p.is_file() and p.suffix} - {"camchain-imucam.yaml", "imu.yaml"}, done.stdout


@pytest.mark.parametrize("row", ["{k},0.1,0.2,0.3,0.4,0.5,0.6\n", "{k},1,1,1,1,1,1\n", "#\n"])
def test_a_table_takes_the_memory_that_its_size_allows(tmp_path: Path, row: str) -> None:
    """Oracle: the bound in `vio.io.tables`: nine bytes for each byte and 300 for each line, and a megabyte."""
    path = tmp_path / "data.csv"
    path.write_text("".join(row.format(k=k) for k in range(20_000)) + "1,2,3,4,5,6,7\n")
    tracemalloc.start()
    try:
        tables.read_numbers(path, 6)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most <= 9 * path.stat().st_size + 300 * 20_001 + (1 << 20)


def test_errors_do_not_carry_the_files_control_characters_to_the_terminal(tmp_path: Path) -> None:
    """Oracle: the bytes of an escape sequence; a line of the terminal is not as long as the file wants it."""
    from typer.testing import CliRunner

    from vio.cli import app

    path = tmp_path / "p.toml"
    path.write_text(f'[backend]\n"\\u001b[2Jx{"y" * 5000}" = 1\n')
    result = CliRunner().invoke(app, ["run", "room-small", "--profile", str(path)])
    assert result.exit_code == 2 and "\x1b[2J" not in result.output and len(result.output) < 2500
