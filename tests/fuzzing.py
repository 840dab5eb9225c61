"""Broken and hostile files by the thousand: seeds that are whole, edits that break them, and what a reader may do with the result.

A reader returns, or raises one of tinyvio's errors whose text is one line. Anything else is a crash. By itself the suite draws a few
dozen files for each reader, the same on every run; TINYVIO_FUZZ=20 draws twenty times as many, others on every run.
`python tests/fuzz_atheris.py NAME` lets Atheris, where it is installed, search on by coverage.
"""

import contextlib
import io
import json
import os
import signal
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hwmodel
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from conftest import write_recording
from vio.errors import TinyvioError

FACTOR = float(os.environ.get("TINYVIO_FUZZ", "1"))
HANG = 20  # s of the processor after which a case counts as hung; the slowest of a whole run takes 2 s
_WAITS = 300  # s of the clock for one that waits without working

_TOKENS = (
    b"", b"\0", b"\xff\xfe", b"\xc3\x28", b"\xe2\x80\xa8", b"\n", b",", b",,,,", b"-", b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-999", b"9" * 30, b"9" * 5000,
    b"[" * 2000, b"{a=" * 500, b"a." * 500, b"'''", b'"', b"&a [*a]", b"*a", b"<<: *a", b"!!python/object/apply:os.system ['false']", b"!!int ''", b"!!timestamp x",
    b"2001-99-99", b"0x", b"../" * 9, b"/etc/passwd", b"\\", b"%YAML:1.0", b"\x1b[2J", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\0" * 8, b"\x01" * 4, b"{}", b"[]", b"null", b"true",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 127, 255, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


@st.composite
def _edit(draw: st.DrawFn) -> tuple[str, float, float, bytes]:
    """Kind, place and length (shares of the file), and bytes."""
    kind = draw(st.sampled_from(("flip", "put", "insert", "cut", "repeat", "number", "end", "swap")))
    return kind, draw(st.floats(0, 1)), draw(st.floats(0, 1)), draw(st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=12)))


edits = st.lists(_edit(), min_size=1, max_size=6)


def broken(data: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    """A file after some edits; never more than 64 kB longer."""
    for kind, where, share, extra in changes:
        at = int(where * len(data))
        reach = 1 + int(share * share * share * len(data) / 2)  # mostly short
        if kind == "flip":
            data = data[:at] + bytes([data[at % len(data)] ^ (1 << int(7 * share))] if data else b"") + data[at + 1 :]
        elif kind == "put":
            data = data[:at] + extra + data[at + len(extra) :]
        elif kind == "insert":
            data = data[:at] + extra + data[at:]
        elif kind == "cut":
            data = data[:at] + data[at + reach :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + min(reach, 8192)] * 2 + data[at + reach :]
        elif kind == "number":
            value = struct.pack("<Q", _NUMBERS[int(share * (len(_NUMBERS) - 1))])[: 2 << len(extra) % 3]
            data = data[:at] + (value[::-1] if len(extra) > 6 else value) + data[at + len(value) :]
        elif kind == "end":
            data = data[:at] if share < 0.5 else data + extra
        else:
            data = data[at:] + data[:at] if share < 0.1 else data[:at] + data[at : at + reach][::-1] + data[at + reach :]
    return data


@dataclass(frozen=True)
class Reader:
    """How a kind of file is read. seeds: whole ones by the name they are kept under; read: reads the file, or the folder it lies in."""

    seeds: dict[str, bytes]
    read: Callable[[Path], object]
    examples: int = 40

    def settings(self) -> settings:
        """How many files are drawn; the same ones every time unless more than usual are asked for."""
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
        return settings(max_examples=max(1, int(self.examples * FACTOR)), deadline=None, derandomize=FACTOR == 1.0, database=None, suppress_health_check=checks)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """A case that hangs ends in a TimeoutError, which no reader is allowed to raise."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"a case took more than {HANG} s of the processor or {_WAITS} s of the clock")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, HANG), signal.SIGALRM: (signal.ITIMER_REAL, _WAITS)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def attempt(read: Callable[[Path], object], path: Path) -> str:
    """Read a file that may be anything: "" if it was taken, else the error's one line. Every other exception is the caller's to see."""
    with _watched():
        try:
            read(path)
        except TinyvioError as error:
            text = str(error)
            assert text.strip() and "\n" not in text.strip() and len(text) < 5000, text
            return text
    return ""


def profile_text() -> bytes:
    """A profile of every kind of field."""
    return b'[frontend]\ncorner = "harris"\nmax_features = 100\n[backend]\nwindow = 8\ngate = 3.5\n[precision]\nweight = { bits = 7, frac_bits = 6 }\n'


def text_files() -> dict[str, bytes]:
    """TOML of each kind that a user may write, and words of the command line."""
    data = Path(hwmodel.__file__).parent / "data"
    shipped = {"chip.toml": "chips/navion.toml", "technology.toml": "technologies/65nm-lstp.toml", "drone.toml": "drones/crazyflie_2.1.toml"}
    return {name: (data / path).read_bytes() for name, path in shipped.items()} | {
        "stress.toml": b'seconds = 9.0\nquick = "room"\n[flights]\nroom = 5.0\n[[fault]]\nname = "black"\nfaults = ["black:start={at},duration={v}"]\n'
        b'values = [0.5, 1.0]\nlasts = "{v}"\nseen = ["lost"]\nate_m = [0.0, 0.1]\n[[fault]]\nname = "late"\nvalues = [2.0]\nstart = "{v}"\nfrom_start = true\n',
        "sweep.toml": b'sequences = ["room"]\nseeds = [1, 2]\nmax_frames = 20\n[set]\nbackend.window = 8\n[grid]\nfrontend.max_features = [100, 50]\n'
        b"[word_length]\nweight = [8, 5]\n[one_at_a_time]\nmax_loss = 0.05\n",
        "render.toml": b'like = "hover"\nduration = 7\n[camera]\nread_noise = 2\n[room]\nkind = "hall"\n[flight.x]\nwaves = [[1.0, 0.1, 0.0]]\n',
        "catalog.toml": b'title = "Lab"\nlicence = "CC0"\nbase = "http://localhost/"\n[archives.a]\nfile = "a.zip"\nbytes = 5\n[sequences.one]\narchive = "a"\nframes = 3\n',
    }


def images() -> dict[str, bytes]:
    """A small picture in every format that is read."""
    import cv2

    picture = np.random.default_rng(1).integers(0, 256, (24, 32), np.uint8)
    colour = np.dstack([picture, picture[::-1], picture[:, ::-1]])
    kinds = {"a.png": picture, "b.png": picture.astype(np.uint16) * 200, "c.png": colour, "d.jpg": picture, "e.pgm": picture, "f.bmp": picture, "g.tif": picture, "h.ppm": colour}
    return {name: cv2.imencode(name[1:], data)[1].tobytes() for name, data in kinds.items()}


def archives() -> dict[str, bytes]:
    """A zip and two tars of three files."""
    files = {"mav0/cam0/data.csv": b"1,1.png\n" * 40, "mav0/imu0/sensor.yaml": b"a: 1\n", "dso/camchain.yaml": b"b: 2\n"}
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = len(data), {"comment": "x" * 30}
            packed.addfile(entry, io.BytesIO(data))
    import gzip

    return {"a.zip": zipped.getvalue(), "b.tar": tarred.getvalue(), "c.tar.gz": gzip.compress(tarred.getvalue(), mtime=0)}


def recording_files(folder: Path) -> dict[str, bytes]:
    """The tables and calibrations of an ASL folder, by their path in it; the folder itself is written too."""
    from vio.io import asl_writer

    write_recording(folder, 3)
    truth = folder / "mav0" / asl_writer.TRUTH
    truth.mkdir()
    rows = "".join(f"{1403636584763555584 + 50_000_000 * k},{k},0,1,1,0,0,0,0.1,0,0,0,0,0,0,0,0\n" for k in range(3))
    (truth / "data.csv").write_text("#t\n" + rows)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".csv", ".yaml")}


def map_file() -> bytes:
    """The map of a run: three landmarks."""
    data, column = io.BytesIO(), np.arange(3, dtype=np.int32)
    np.savez_compressed(
        data, ids=column.astype(np.int64), p_WL=np.ones((3, 3), np.float32), first=column, last=column + 1, observations=column + 2,
        T_BC=np.eye(4), camera=np.array([64.0, 48.0, 50.0, 50.0, 32.0, 24.0]))  # fmt: skip
    return data.getvalue()


def outcome_text() -> bytes:
    """A finished point of a sweep."""
    content = {"key": "k", "status": "ok", "reason": "", "metrics": {"ate_rmse_m": 0.01, "frames": 3}, "counts": {"KEYFRAME": [3, 1]}, "timing": {"seconds": 1.5}}
    return json.dumps(content).encode()
