"""Every reader against files that are broken in ways nobody thought of. Oracle: `fuzzing.attempt`, an answer or an error of one line.

TINYVIO_FUZZ=20 draws twenty times as many files, and others on every run.
"""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from bags import KINDS, written
from fuzzing import Reader, archives, attempt, broken, edits, images, map_file, outcome_text, profile_text, recording_files, text_files
from hypothesis import given
from hypothesis import strategies as st
from hwmodel.chip import load_chip
from hwmodel.drones import load_drone
from hwmodel.technology import load_technology
from test_bags import NAMES, RIG, fill
from test_run_folder import CONFIG, _result

from vio import config
from vio.compilation import warm_up
from vio.io import archive, bag, kalibr
from vio.io.asl import read_recording
from vio.io.catalog import load as load_catalog
from vio.io.images import decode
from vio.io.map_file import read_map
from vio.io.npz import read_arrays
from vio.io.ranged import FileSource
from vio.io.recorded_flight import flight_through, read_poses
from vio.io.recording import Recording
from vio.io.render_spec import RenderSpec
from vio.io.render_toml import load_spec
from vio.io.run_folder import open_run
from vio.io.sequence import GroundTruth
from vio.io.writers import write_run
from vio.stress import plan
from vio.sweeps import sweep_file
from vio.sweeps.outcome import Store


def _look(recording: Recording) -> None:
    """What any use of a recording begins with, and each of its pictures."""
    from vio.errors import DataError
    from vio.io.recording import sequence_of

    sequence = sequence_of(recording)
    for index in range(min(len(sequence.frame_t_ns), 8)):
        try:
            sequence.load(index)
        except DataError:
            continue


def _run_folder(folder: Path) -> dict[str, bytes]:
    """The files of a run."""
    folder.mkdir()
    t = 1_403_636_579_763_555_584 + 50_000_000 * np.arange(4)
    rng = np.random.default_rng(7)
    truth = GroundTruth(t, rng.normal(size=(4, 3)), rng.normal(size=(4, 4)), rng.normal(size=(4, 3)), rng.normal(size=(4, 6)))
    write_run(folder, _result(rng), {"sequence": "drawn"}, CONFIG, truth=truth)
    (folder / "map.npz").write_bytes(map_file())
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "trajectory.tum"}


def _fuzz(reader: Reader, folder: Path) -> None:
    """Break one of the seeds, put it where it belongs, read, put the whole one back."""
    names = sorted(reader.seeds)
    for name in names:  # whole ones are taken: what is refused is refused for its faults
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(reader.seeds[name])
        assert attempt(reader.read, folder / name) == ""

    @reader.settings()
    @given(which=st.integers(0, len(names) - 1), changes=edits)
    def case(which: int, changes: list) -> None:
        path = folder / names[which]
        path.write_bytes(broken(reader.seeds[names[which]], changes))
        try:
            attempt(reader.read, path)
        finally:
            path.write_bytes(reader.seeds[names[which]])

    case()


def test_profiles_are_read_or_refused(tmp_path: Path) -> None:
    """A profile in TOML, and each of its lines as `--set` gives it."""

    def read(path: Path) -> None:
        config.load(path)
        for line in path.read_text().splitlines():
            attempt(lambda _: config.override(CONFIG, [line]), path)

    _fuzz(Reader({"profile.toml": profile_text()}, read, 60), tmp_path)


def test_files_in_toml_of_every_kind_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOML of seven more kinds: of faults, and of the hardware model too."""
    seeds = text_files()
    readers = {
        "sweep.toml": lambda path: sweep_file.load(path, lambda name: config.Config()),
        "render.toml": lambda path: load_spec(path, {"hover": RenderSpec()}),
        "catalog.toml": lambda path: load_catalog(),
        "stress.toml": plan.load,
        "chip.toml": lambda path: load_chip(str(path)),
        "technology.toml": lambda path: load_technology(str(path)),
        "drone.toml": lambda path: load_drone(str(path)),
    }
    monkeypatch.setenv("TINYVIO_DATA", str(tmp_path))
    (tmp_path / "catalog").mkdir()
    for name, read in readers.items():
        _fuzz(Reader({name: seeds[name]}, read, 40), tmp_path / "catalog" if name == "catalog.toml" else tmp_path)


def test_recordings_in_folders_are_read_or_refused(tmp_path: Path) -> None:
    """Tables and calibrations of the ASL layout, of Kalibr, and poses for the renderer."""
    seeds = recording_files(tmp_path / "wall")
    _fuzz(Reader(seeds, lambda path: _look(read_recording(tmp_path / "wall")), 50), tmp_path / "wall")
    kalibr_folder = tmp_path / "kalibr"
    kalibr_folder.mkdir()
    kalibr.write_pair(kalibr_folder, RIG, NAMES)
    chain = {path.name: path.read_bytes() for path in kalibr_folder.iterdir()}
    _fuzz(Reader(chain, lambda path: kalibr.read_pair(kalibr_folder / kalibr.CHAIN, False), 50), kalibr_folder)


def test_poses_are_read_or_refused(tmp_path: Path) -> None:
    """TUM files and CSV tables of poses, and the spline through them."""
    rows = [(k * 0.02, k * 0.01, 0.1, 1.0) for k in range(80)]
    tum = "".join(f"{t + 1403636584:.9f} {x} {y} {z} 0 0 0 1\n" for t, x, y, z in rows).encode()
    csv = "".join(f"{1403636584000000000 + int(t * 1e9)},{x},{y},{z},1,0,0,0\n" for t, x, y, z in rows).encode()
    _fuzz(Reader({"a.txt": tum, "b.csv": csv}, lambda path: flight_through(read_poses(path)), 40), tmp_path)


def test_images_are_decoded_or_refused(tmp_path: Path) -> None:
    """PNG, JPEG, TIFF, BMP and Netpbm, of 8 and 16 bits."""
    _fuzz(Reader(images(), lambda path: decode(path.read_bytes(), str(path), 32, 24), 150), tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, "lz4", "zstd"])
def test_bags_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    """The files of bags of every kind, their metadata among them."""
    packed = {"lz4": ("rosbag1", "lz4"), "zstd": ("mcap", "storage")}.get(kind, (kind, ""))
    with written(tmp_path, *packed) as (maker, path):
        fill(maker)
    kalibr.write_pair(path.parent, RIG, NAMES)
    folder = path if path.is_dir() else path.parent
    seeds = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".bag", ".mcap", ".db3") or (path.is_dir() and file.name == "metadata.yaml")}
    _fuzz(Reader(seeds, lambda _: _look(bag.read_recording(path)), 15), folder)


def test_archives_are_unpacked_within_their_folder_or_refused(tmp_path: Path) -> None:
    """Zip and tar: also, nothing appears outside of the folder that was named, and no link inside."""
    jail = tmp_path / "jail"
    (jail / "files").mkdir(parents=True)

    def read(path: Path) -> None:
        target = jail / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        try:
            archive.unpack(path, target, None, False, lambda done, total: None)
            if path.suffix == ".zip":
                archive.locate(FileSource(path), "mav0/imu0/sensor.yaml")
        finally:
            assert sorted(p.name for p in jail.iterdir()) == ["files", "target"] and sorted(p.name for p in tmp_path.iterdir()) == ["jail"]
            assert not any(p.is_symlink() for p in target.rglob("*"))

    _fuzz(Reader(archives(), read, 80), jail / "files")


def test_run_folders_and_sweep_results_are_read_or_refused(tmp_path: Path) -> None:
    """Every file of a run; a point of a sweep, which is run again where its file is damaged."""
    seeds = _run_folder(tmp_path / "run")
    _fuzz(Reader(seeds, lambda path: (open_run(tmp_path / "run"), read_map(tmp_path / "run")), 60), tmp_path / "run")

    def read(path: Path) -> None:
        outcome = Store(path.parent).load("k")
        assert outcome is None or (outcome.ate_m is None or isinstance(outcome.ate_m, int | float | str))

    _fuzz(Reader({"k.json": outcome_text()}, read, 40), tmp_path)


def test_saved_states_are_read_or_refused(tmp_path: Path) -> None:
    """The archive of an odometry's state, bytes of it changed; what is taken in has every array of its form."""
    from test_odometry import RIG as rig

    from vio.odometry import Odometry

    data = io.BytesIO()
    np.savez(data, **Odometry(rig).state_dict())
    _fuzz(Reader({"state.npz": data.getvalue()}, lambda path: Odometry(rig).load_state_dict(read_arrays(path)), 15), tmp_path)


_ODD = st.sampled_from((0, 1, -1, 2, 255, -(2**31), 2**31 - 1, 2**62, 1e-300, 1e300, -1e9, 0.5))


def test_saved_states_with_other_numbers_in_them_are_refused_or_flown_on(tmp_path: Path) -> None:
    """One number of one array changed, in form still a state: refused in one line, or the next frames come out finite."""
    from test_odometry import RIG as rig
    from test_odometry import EPOCH, FRAME_NS, IMU_NS, finite, pictures, samples

    from vio.odometry import Odometry

    def feed(odometry: Odometry, first: int, last: int) -> None:
        for k in range(first, last):
            odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
            assert finite(odometry.add_frame(EPOCH + k * FRAME_NS, *pictures(k)))

    warm_up(rig, config.Config())  # what is not compiled yet is no hang
    feed(odometry := Odometry(rig), 0, 16)
    whole = odometry.state_dict()
    names = sorted(name for name, array in whole.items() if array.size and array.dtype.kind in "biuf")

    @Reader({}, feed, 25).settings()
    @given(name=st.sampled_from(names), where=st.floats(0, 1, exclude_max=True), value=_ODD)
    def case(name: str, where: float, value: float) -> None:
        array = whole[name].copy()
        with np.errstate(all="ignore"):
            array.reshape(-1)[int(where * array.size)] = np.array(value).astype(array.dtype)

        def read(_: Path) -> None:
            other = Odometry(rig)
            other.load_state_dict(whole | {name: array})
            feed(other, 16, 19)

        attempt(read, tmp_path)

    case()
