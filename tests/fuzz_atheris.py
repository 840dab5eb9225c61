"""Coverage-guided search with Atheris, where it is installed: `python tests/fuzz_atheris.py images -max_total_time=60`; without a name, the names.

The readers and the verdict are those of the test suite; what is searched for is any exception that is none of tinyvio's.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import fuzzing


def readers(folder: Path) -> dict[str, tuple[dict[str, bytes], Callable[[Path], object]]]:
    """Seeds and reader by name."""
    from vio import config
    from vio.io import archive, bag_mcap, bag_rosbag1, tables, yaml_text
    from vio.io.images import decode
    from vio.io.npz import read_arrays
    from vio.io.recorded_flight import read_poses
    from vio.sweeps import sweep_file

    out, made = folder / "out", fuzzing.recording_files(folder / "wall")
    out.mkdir()
    csv, yaml = "mav0/imu0/data.csv", "mav0/cam0/sensor.yaml"
    return {
        "profile": ({"p.toml": fuzzing.profile_text()}, config.load),
        "sweep": ({"s.toml": fuzzing.text_files()["sweep.toml"]}, lambda path: sweep_file.load(path, lambda name: config.Config())),
        "yaml": ({"s.yaml": made[yaml]}, yaml_text.read_yaml),
        "table": ({"d.csv": made[csv][:2000]}, lambda path: tables.read_numbers(path, 6)),
        "poses": ({"p.txt": b"1.5 0 0 0 0 0 0 1\n2.5 0 0 0 0 0 0 1\n"}, read_poses),
        "images": (fuzzing.images(), lambda path: decode(path.read_bytes(), "x", 32, 24)),
        "zip": ({"a.zip": fuzzing.archives()["a.zip"]}, lambda path: archive.unpack(path, _emptied(out), None, False, lambda done, total: None)),
        "tar": ({"a.tar": fuzzing.archives()["b.tar"]}, lambda path: archive.unpack(path, _emptied(out), None, False, lambda done, total: None)),
        "arrays": ({"a.npz": b"PK"}, read_arrays),
        "mcap": ({"a.mcap": b"\x89MCAP0\r\n"}, lambda path: bag_mcap.check(path, "x")),
        "rosbag1": ({"a.bag": b"#ROSBAG V2.0\n"}, lambda path: bag_rosbag1.check(path, "x")),
    }


def _emptied(folder: Path) -> Path:
    import shutil

    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def main() -> None:
    """Search."""
    import atheris

    folder = Path(tempfile.mkdtemp())
    with atheris.instrument_imports(include=["vio"]):
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
