"""Coverage-guided search with Atheris, where it is installed: `python tests/fuzz_atheris.py images -max_total_time=60`; without a name, the names.

The readers and the verdict are those of the test suite; what is searched for is any exception that is none of tinyvio's.
"""

import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import fuzzing


def readers(folder: Path) -> dict[str, tuple[dict[str, bytes], Callable[[Path], object]]]:
    """Seeds and reader by name."""
    from hwmodel import chip, drones, technology
    from vio import config
    from vio.io import archive, bag_mcap, bag_rosbag1, kalibr, map_file, tables, yaml_text
    from vio.io.asl import read_recording
    from vio.io.images import decode
    from vio.io.npz import read_arrays
    from vio.io.ranged import FileSource
    from vio.io.recorded_flight import read_poses
    from vio.stress import plan
    from vio.sweeps import sweep_file

    out, made = folder / "out", fuzzing.recording_files(folder / "wall")
    out.mkdir()
    csv, yaml, texts, packed = "mav0/imu0/data.csv", "mav0/cam0/sensor.yaml", fuzzing.text_files(), fuzzing.archives()
    (chain,) = (data for name, data in _kalibr(folder / "rig").items() if name == kalibr.CHAIN)
    return {
        "profile": ({"p.toml": fuzzing.profile_text()}, config.load),
        "sweep": ({"s.toml": texts["sweep.toml"]}, lambda path: sweep_file.load(path, lambda name: config.Config())),
        "stress": ({"s.toml": texts["stress.toml"]}, plan.load),
        "chip": ({"c.toml": texts["chip.toml"]}, lambda path: chip.load_chip(str(path))),
        "technology": ({"t.toml": texts["technology.toml"]}, lambda path: technology.load_technology(str(path))),
        "drone": ({"d.toml": texts["drone.toml"]}, lambda path: drones.load_drone(str(path))),
        "yaml": ({"s.yaml": made[yaml]}, yaml_text.read_yaml),
        "kalibr": ({kalibr.CHAIN: chain}, lambda path: kalibr.read_pair(path.replace(folder / "rig" / kalibr.CHAIN), False)),
        "sensor": ({"sensor.yaml": made[yaml]}, lambda path: read_recording(path.replace(folder / "wall" / yaml).parents[2])),
        "table": ({"d.csv": made[csv][:2000]}, lambda path: tables.read_numbers(path, 6)),
        "poses": ({"p.txt": b"1.5 0 0 0 0 0 0 1\n2.5 0 0 0 0 0 0 1\n"}, read_poses),
        "images": (fuzzing.images(), lambda path: decode(path.read_bytes(), "x", 32, 24)),
        "png": ({"even": bytes(24 * 33), "odd": b"\x01\x09" + zlib.compress(bytes(24 * 33))}, _same_as_opencv),
        "zip": ({"a.zip": packed["a.zip"]}, lambda path: archive.unpack(path, _emptied(out), None, False, lambda done, total: None)),
        "directory": ({"a.zip": packed["a.zip"]}, lambda path: archive.locate(FileSource(path), "mav0/imu0/sensor.yaml")),
        "tar": ({"a.tar": packed["b.tar"]}, lambda path: archive.unpack(path, _emptied(out), None, False, lambda done, total: None)),
        "arrays": ({map_file.NAME: fuzzing.map_file()}, read_arrays),
        "map": ({map_file.NAME: fuzzing.map_file()}, lambda path: map_file.read_map(path.parent)),
        "state": ({"changes": bytes(10)}, _state_reader()),
        "mcap": ({"a.mcap": b"\x89MCAP0\r\n"}, lambda path: bag_mcap.check(path, "x")),
        "rosbag1": ({"a.bag": b"#ROSBAG V2.0\n"}, lambda path: bag_rosbag1.check(path, "x")),
    }


def _kalibr(folder: Path) -> dict[str, bytes]:
    """Kalibr's files of a rig, by name; they are in the folder too."""
    from test_bags import NAMES, RIG
    from vio.io import kalibr

    folder.mkdir()
    kalibr.write_pair(folder, RIG, NAMES)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _same_as_opencv(path: Path) -> None:
    """A grey PNG whose checksums are right around bytes that may be anything: rows with their filters, or the stream itself. What our reader takes, OpenCV reads alike."""
    import cv2
    import numpy as np

    from vio.io.png import plain_grey

    data = path.read_bytes().ljust(3, b"\0")
    stream = data[2:] if data[0] % 2 else zlib.compress(data[2:].ljust(24 * 33, b"\0")[: 24 * 33], 1)
    cut = data[1] % len(stream)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 32, 24, 8, 0, 0, 0, 0)), (b"IDAT", stream[:cut]), (b"IDAT", stream[cut:]), (b"IEND", b"")]
    blocks = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts)
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(blocks)
    ours, theirs = plain_grey(whole, 32, 24), cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED)
    assert ours is None or (theirs is not None and np.array_equal(ours, theirs))


def _state_reader() -> Callable[[Path], object]:
    """Takes a saved state in whose arrays bytes are changed, and flies one frame with it. Ten bytes of the file are a change: array, place in it, eight bytes."""
    import numpy as np
    from test_odometry import RIG, feed, finite

    from vio.odometry import Odometry

    flown = Odometry(RIG)
    for k in range(16):
        feed(flown, k)
    whole = flown.state_dict()
    names = sorted(name for name, array in whole.items() if array.size and array.dtype.kind in "biuf")

    def read(path: Path) -> None:
        data, table, other = path.read_bytes(), dict(whole), Odometry(RIG)
        for at in range(0, len(data) - 9, 10):
            name = names[data[at] % len(names)]
            raw = bytearray(np.ascontiguousarray(table[name]).tobytes())
            place = data[at + 1] * len(raw) // 256 // 8 * 8
            raw[place : place + 8] = data[at + 2 : at + 10][: len(raw) - place]
            table[name] = np.frombuffer(bytes(raw), table[name].dtype).reshape(table[name].shape)
        other.load_state_dict(table)
        assert finite(feed(other, 16))

    return read


def _emptied(folder: Path) -> Path:
    import shutil

    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _compiled() -> list[str]:
    """Modules whose functions numba compiles, which Atheris must leave as they are."""
    root = Path(__file__).resolve().parents[1]
    return [".".join(path.relative_to(root).with_suffix("").parts) for path in (root / "vio").rglob("*.py") if "vio.kernels" in path.read_text(encoding="utf-8")]


def main() -> None:
    """Search."""
    import atheris

    folder = Path(tempfile.mkdtemp())
    with atheris.instrument_imports(include=["vio", "hwmodel", "yaml", "zipfile", "tarfile"], exclude=_compiled()):
        known = readers(folder)
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"name one of: {', '.join(known)}")
    seeds, read = known[sys.argv.pop(1)]
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, data in seeds.items():
        (corpus / name).write_bytes(data)
    path = folder / next(iter(seeds))

    def one(data: bytes) -> None:
        path.write_bytes(data)
        fuzzing.attempt(read, path)

    atheris.Setup([*sys.argv, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
