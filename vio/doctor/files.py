"""Opening a recording for examination: whatever can be read of it, however broken, and verdicts on its files."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vio.calibration import ImuNoise
from vio.doctor import salvage
from vio.doctor.clocks import Clock
from vio.doctor.verdict import Level, Verdict, unknown
from vio.errors import DataError
from vio.io.sequence import GroundTruth, Sequence, open_sequence

_LEAST_FRAME_HZ, _LEAST_IMU_HZ = 8.0, 50.0
_SENSORS = ("imu0", "cam0", "cam1")
_TRUTHS = ("state_groundtruth_estimate0", "mocap0")
_MISSING_FAULT = 0.01  # share of the listed images
_PNG_END = b"IEND\xaeB`\x82"
Opener = Callable[[Path, bool], Sequence]
Imu = tuple[np.ndarray, np.ndarray, np.ndarray]  # t_ns (n,), w_B (n, 3), a_B (n, 3), ascending


@dataclass(frozen=True)
class Patient:
    """What could be read of a recording. sequence: None without usable cameras; its frames ascend. clocks: stamps as recorded, `pair` those of the two cameras."""

    name: str
    sequence: Sequence | None
    clocks: tuple[Clock, ...]
    pair: tuple[np.ndarray, np.ndarray] | None
    imu: Imu | None
    noise: ImuNoise | None
    truth: GroundTruth | None
    verdicts: tuple[Verdict, ...] = ()


def of_sequence(sequence: Sequence) -> Patient:
    """A sequence of any reader, or one damaged on the fly: its stamps may be in any order."""
    noise = sequence.calibration.imu
    clocks = (Clock("imu", sequence.imu_t_ns, _LEAST_IMU_HZ, noise.rate_hz), Clock("camera", sequence.frame_t_ns, _LEAST_FRAME_HZ))
    imu = _ascending(sequence.imu_t_ns, sequence.imu_w_B, sequence.imu_a_B)
    return Patient(sequence.name, _frames_ascending(sequence), clocks, None, imu, noise, sequence.ground_truth, tuple(_noted(sequence)))


def _ascending(t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> Imu:
    order = np.unique(t_ns, return_index=True)[1]
    return t_ns[order], w_B[order], a_B[order]


def _frames_ascending(sequence: Sequence) -> Sequence:
    order = np.unique(sequence.frame_t_ns, return_index=True)[1]
    if np.array_equal(order, np.arange(len(sequence.frame_t_ns))):
        return sequence
    return replace(sequence, frame_t_ns=sequence.frame_t_ns[order], load=lambda k: sequence.load(int(order[k])))


def open_recording(path: Path, scratch: Path, opener: Opener = open_sequence) -> Patient:
    """Open a folder or bag, whatever can be read of it; `scratch` is an empty folder for a cleaned copy of a broken one's tables.

    opener(path, mono) opens what is whole.
    """
    root = path / "mav0" if (path / "mav0").is_dir() else path
    if any((root / sensor).is_dir() for sensor in ("imu0", *_TRUTHS)):
        return _of_folder(root, scratch, opener)
    try:
        return of_sequence(opener(path, False))
    except DataError as error:
        return Patient(path.resolve().name, None, (), None, None, None, None, (_refused(error),))


def _refused(error: DataError) -> Verdict:
    return Verdict("files.reader", Level.FAULT, str(error), "", "tinyvio run refuses this recording until it is repaired")


def _of_folder(root: Path, scratch: Path, opener: Opener) -> Patient:
    """Everything that can be read of a folder of sensors."""
    tables = {name: table for name in (*_SENSORS, *_TRUTHS) if (table := salvage.read(root / name)) is not None}
    sequence, told = _opened(root, tables, scratch, opener)
    verdicts = [verdict for name in _SENSORS for verdict in _inventory(root / name, tables.get(name), sequence is not None)] + told
    noise = sequence.calibration.imu if sequence is not None else salvage.noise(root / "imu0")
    clocks = tuple(_clock(name, tables[name].t_ns, noise) for name in _SENSORS if name in tables)
    pair = (tables["cam0"].t_ns, tables["cam1"].t_ns) if "cam0" in tables and "cam1" in tables else None
    name = root.resolve().parent.name if root.name == "mav0" else root.resolve().name
    if sequence is not None:  # the reader's samples and poses are in the IMU's own frame
        imu = _ascending(sequence.imu_t_ns, sequence.imu_w_B, sequence.imu_a_B)
        return Patient(name, sequence, clocks, pair, imu, noise, sequence.ground_truth, tuple(verdicts))
    values = tables["imu0"].values if "imu0" in tables else None
    imu = None if values is None else _ascending(tables["imu0"].t_ns, values[:, :3].copy(), values[:, 3:].copy())
    return Patient(name, None, clocks, pair, imu, noise, salvage.truth([tables[name] for name in _TRUTHS if name in tables]), tuple(verdicts))


def _clock(sensor: str, t_ns: np.ndarray, noise: ImuNoise | None) -> Clock:
    if sensor == "imu0":
        return Clock(sensor, t_ns, _LEAST_IMU_HZ, noise.rate_hz if noise else None)
    return Clock(sensor, t_ns, _LEAST_FRAME_HZ)


def _opened(root: Path, tables: dict[str, salvage.Table], scratch: Path, opener: Opener) -> tuple[Sequence | None, list[Verdict]]:
    """The sequence as the reader gives it, else that of a cleaned copy, else None; and what is to be said about it."""
    if not (root / "cam0").is_dir():
        return None, [unknown("files.cam0", "no cameras in this folder: IMU and ground truth alone are examined")]
    mono = not (root / "cam1").is_dir()
    notes = [Verdict("files.cam1", Level.WARNING, "there is no right camera", "", "scale comes from the IMU alone; run with --mono")] if mono else []
    try:
        sequence = opener(root, mono)
        return sequence, notes + _noted(sequence)
    except DataError as error:
        notes.append(_refused(error))
    return salvage.reopened(root, tables, scratch, mono), notes


def _noted(sequence: Sequence) -> list[Verdict]:
    """The reader's own warnings."""
    return [Verdict("files.reader", Level.WARNING, text, "", "repair the recording; tinyvio goes on without it") for text in sequence.warnings]


def _inventory(folder: Path, table: salvage.Table | None, is_read: bool) -> list[Verdict]:
    """Is the sensor there, does its table parse, are its images there and whole?"""
    item = f"files.{folder.name}"
    if not folder.is_dir():
        return []
    if table is None and is_read:
        return [Verdict(item, Level.OK, "no data.csv of its own; the reader found the stamps")]
    if table is None:
        return [Verdict(item, Level.FAULT, "data.csv is missing or has no readable row", "", "record or copy it again")]
    if table.bad:
        line, text = table.bad[0]
        figure = f"{len(table.bad)} of {len(table.bad) + len(table.t_ns)} rows of data.csv cannot be read, first line {line}: '{text[:40]}'"
        return [Verdict(item, Level.FAULT, figure, "none", "the table was cut off or damaged: remove these rows", float(len(table.bad)), "rows")]
    if folder.name == "imu0":
        return [Verdict(item, Level.OK, f"{len(table.t_ns)} rows")]
    return [_images(item, folder / "data", table.names)]


def _images(item: str, folder: Path, names: tuple[str, ...]) -> Verdict:
    """Listed against present, and the ends of the files."""
    present = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    missing = [name for name in names if name not in present]
    cut = [name for name in names if name in present and not _is_whole(folder / name, present[name])]
    unlisted = len(present.keys() - set(names))
    figure = f"{len(names)} rows, {len(present)} images"
    for count, what in ((len(missing), "listed but missing"), (len(cut), "cut off or empty"), (unlisted, "not listed")):
        figure += f", {count} {what}" if count else ""
    share = (len(missing) + len(cut)) / max(len(names), 1)
    level = Level.FAULT if share >= _MISSING_FAULT else Level.WARNING if share or unlisted else Level.OK
    return Verdict(item, level, figure, f"{100 * _MISSING_FAULT:g} % missing or cut off", f"copy these again: {', '.join((missing + cut)[:3])}", 100 * share, "%")


def _is_whole(path: Path, size: int) -> bool:
    """The end of a PNG or JPEG file; other formats are only not empty."""
    if size < 16:
        return False
    with path.open("rb") as file:
        head = file.read(2)
        file.seek(-12, os.SEEK_END)
        tail = file.read()
    return _PNG_END in tail if head == b"\x89P" else b"\xff\xd9" in tail if head == b"\xff\xd8" else True
