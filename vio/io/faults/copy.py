"""A damaged recording as an ASL folder: unharmed pictures are links to the source's files where these are known."""

import os
import shutil
from pathlib import Path

import numpy as np

from vio.errors import DataError
from vio.io import asl_writer, tables
from vio.io.faults.take import LEFT, MISSING, RIGHT, Take
from vio.io.images import encode_png
from vio.io.progress import Progress
from vio.io.recording import nearest
from vio.io.sequence import Sequence
from vio.io.simulator import Inertial

_CUT = 0.6  # of a truncated file or row that remains


def write_copy(take: Take, source: Path, directory: Path, progress: Progress | None = None) -> Path:
    """Write the damaged recording into the new folder `directory`, which appears when it is whole; returns it.

    source: where the recording came from; if it is an ASL folder, its pictures are hard-linked, so never edit those of the copy in place.
    Raises DataError if `directory` exists.
    """
    files = image_files(source, take.source)
    with asl_writer.whole_folder(Path(directory)) as folder:
        root = folder / "mav0"
        still = np.zeros_like(take.imu_w_B)
        asl_writer.write_imu(root / "imu0", take.calibration.imu, Inertial(take.imu_t_ns, take.imu_w_B, take.imu_a_B, still, still))
        if take.source.ground_truth is not None:
            asl_writer.write_ground_truth(root, take.source.ground_truth)
        for slot in (LEFT, RIGHT) if take.calibration.right is not None else (LEFT,):
            _write_camera(take, slot, root, files, progress)
        for sensor in take.cut:
            _cut_last_row(root / sensor / "data.csv")
    return Path(directory)


def image_files(source: Path, sequence: Sequence) -> list[list[Path]] | None:
    """Files of the left and right pictures of every frame of an ASL folder with 8-bit PNGs, paired by time as the reader pairs them.

    None for other sources: damaged pictures have 8 bits, and a recording has to be of one depth.
    """
    root = source / "mav0" if (source / "mav0").is_dir() else source
    if not (root / "cam0" / "data.csv").is_file():
        return None
    files, t_cam = [], sequence.frame_t_ns - round(sequence.calibration.time_offset * 1e9)
    for name in ("cam0", "cam1") if sequence.calibration.right is not None else ("cam0",):
        t_ns, names, _ = tables.read_names(root / name / "data.csv")
        order = np.argsort(t_ns, kind="stable")
        at = order[nearest(t_ns[order], t_cam)]
        files.append([root / name / "data" / names[k] for k in at])
    return files if all(_is_shallow_png(file) for side in files for file in side[:: max(len(side) // 9, 1)] if file.is_file()) else None


def _is_shallow_png(path: Path) -> bool:
    """The bit depth stands in byte 24 of a PNG (specification, 11.2.2)."""
    with path.open("rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[24:] == b"\x08"


def _write_camera(take: Take, slot: int, root: Path, files: list[list[Path]] | None, progress: Progress | None) -> None:
    """sensor.yaml, data.csv and the pictures of one camera."""
    rig = take.calibration
    camera, T_BS = (rig.left, rig.T_BC) if slot == LEFT else (rig.right, rig.T_BR)
    index = np.flatnonzero(take.pick[:, slot] != MISSING)
    rate_hz = round(1e9 / float(np.median(np.diff(np.sort(take.frame_t_ns)))), 3)
    folder = asl_writer.write_camera(root / f"cam{slot}", camera, T_BS, rate_hz, take.frame_t_ns[index])
    for done, i in enumerate(index.tolist(), 1):
        target = folder / f"{take.frame_t_ns[i]}.png"
        _write_picture(take, i, slot, files, target)
        if slot == LEFT and take.broken[i]:
            _cut_file(target)
        if progress and slot == LEFT:
            progress(done, len(index))


def _write_picture(take: Take, index: int, slot: int, files: list[list[Path]] | None, target: Path) -> None:
    """Link or copy the source's file, or encode the damaged picture; a source that cannot be decoded is copied as it is."""
    file = None if files is None else files[take.side[slot]][take.pick[index, slot]]
    if file is not None and not take.touched(index, slot):
        if not file.is_file():
            return  # missing in the source, missing in the copy
        if not (slot == LEFT and take.broken[index]) and _linked(file, target):
            return
        shutil.copyfile(file, target)
        return
    try:
        picture = take.picture(index, slot)
    except DataError:
        if file is not None and file.is_file():
            shutil.copyfile(file, target)
        return
    target.write_bytes(encode_png(picture, str(target)))


def _linked(file: Path, target: Path) -> bool:
    """Hard link where the file system allows it."""
    try:
        os.link(file.resolve(), target)
    except OSError:
        return False
    return True


def _cut_file(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()  # the link may be the source's own file
    path.write_bytes(data[: int(_CUT * len(data))])


def _cut_last_row(path: Path) -> None:
    text = path.read_text(encoding="utf-8").rstrip("\n")
    last = text.rfind("\n") + 1
    path.write_text(text[: last + int(_CUT * (len(text) - last))], encoding="utf-8")
