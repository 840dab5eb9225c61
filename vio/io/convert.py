"""Any recording as an ASL folder or a bag: every stamp, pixel and inertial value as it was, the calibration to the last bit."""

from pathlib import Path

import numpy as np

from vio.calibration import Calibration
from vio.camera import CameraModel
from vio.io import asl_writer, bag_writer
from vio.io.images import encode_png
from vio.io.progress import Progress
from vio.io.recording import Recording
from vio.io.simulator import Inertial

FORMATS = ("asl", *bag_writer.FORMATS)


def convert(recording: Recording, directory: Path, kind: str = "asl", progress: Progress = lambda done, total: None) -> Path:
    """Write a recording into the new folder `directory`, which appears only when it is whole; returns it.

    kind: one of FORMATS. `progress(done, all)` hears of the pictures. Raises DataError if the folder exists or a picture cannot be read.
    """
    with asl_writer.whole_folder(directory) as folder:
        if kind == "asl":
            _write_asl(recording, folder / "mav0", progress)
        else:
            bag_writer.write_bag(recording, folder, kind, progress)
    return directory


def _write_asl(recording: Recording, root: Path, progress: Progress) -> None:
    calibration = recording.calibration
    unknown = np.zeros((0, 3))
    asl_writer.write_imu(root / "imu0", calibration.imu, Inertial(recording.imu_t_ns, recording.imu[:, :3], recording.imu[:, 3:], unknown, unknown))
    if recording.ground_truth is not None:
        asl_writer.write_ground_truth(root, recording.ground_truth)
    total, done = sum(len(camera.t_ns) for camera in recording.cameras), 0
    for k, (pictures, (camera, T_BC)) in enumerate(zip(recording.cameras, _cameras(calibration))):
        folder = asl_writer.write_camera(root / f"cam{k}", camera, T_BC, _rate_hz(pictures.t_ns), pictures.t_ns, calibration.time_offset)
        for i, t_ns in enumerate(pictures.t_ns.tolist()):
            path = folder / f"{t_ns}.png"
            path.write_bytes(encode_png(pictures.load(i), str(path)))
            done += 1
            progress(done, total)


def _cameras(calibration: Calibration) -> list[tuple[CameraModel, np.ndarray]]:
    left = (calibration.left, calibration.T_BC)
    return [left] if calibration.right is None else [left, (calibration.right, calibration.T_BR)]


def _rate_hz(t_ns: np.ndarray) -> float:
    """Rate of the pictures, to a thousandth of a hertz."""
    return round(1e9 / float(np.median(np.diff(t_ns))), 3) if len(t_ns) > 1 else 1.0
