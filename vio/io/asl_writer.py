"""Writer of the ASL/EuRoC layout: a whole folder or none, numbers with all their digits."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vio.calibration import ImuNoise
from vio.camera import CameraModel
from vio.errors import DataError
from vio.io.camera_yaml import lens_names, number, number_list
from vio.io.sensor_yaml import TIME_OFFSET
from vio.io.sequence import GroundTruth
from vio.io.simulator import Inertial
from vio.io.tables import MOCAP, TRUTH
from vio.io.trajectory import Motion

_IMU_HEADER = (
    "#timestamp [ns],w_RS_S_x [rad s^-1],w_RS_S_y [rad s^-1],w_RS_S_z [rad s^-1],"
    "a_RS_S_x [m s^-2],a_RS_S_y [m s^-2],a_RS_S_z [m s^-2]"
)
_TRUTH_HEADER = (
    "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z [], "
    "v_RS_R_x [m s^-1], v_RS_R_y [m s^-1], v_RS_R_z [m s^-1], b_w_RS_S_x [rad s^-1], b_w_RS_S_y [rad s^-1], b_w_RS_S_z [rad s^-1], "
    "b_a_RS_S_x [m s^-2], b_a_RS_S_y [m s^-2], b_a_RS_S_z [m s^-2]"
)


@contextmanager
def whole_folder(directory: Path) -> Iterator[Path]:
    """Yield a new folder beside `directory` to write into; it takes that name at the end, or vanishes if anything went wrong.

    Raises DataError if `directory` already exists and is not empty.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError(f"{directory}: exists already; remove it or choose another folder")
    temporary = directory.with_name(f".{directory.name}.part-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed and had our number
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_camera(folder: Path, camera: CameraModel, T_BS: np.ndarray, rate_hz: float, t_ns: np.ndarray, time_offset: float = 0.0) -> Path:
    """Write sensor.yaml and data.csv of a camera; returns the folder for its pictures `<t_ns>.png`."""
    model, intrinsics, distortion, coefficients = lens_names(camera)
    distortion = "radial-tangential" if distortion == "radtan" else distortion  # EuRoC's word for it
    text = (
        _sensor("camera", T_BS)
        + f"rate_hz: {number(rate_hz)}\nresolution: [{camera.width}, {camera.height}]\ncamera_model: {model}\n"
        + f"intrinsics: {number_list(intrinsics)} # {'xi, alpha, ' if model == 'ds' else ''}fu, fv, cu, cv\n"
        + f"distortion_model: {distortion}\ndistortion_coefficients: {number_list(coefficients)}\n"
        + (f"{TIME_OFFSET}: {number(time_offset)} # s, t_imu = t_cam + this\n" if time_offset else "")
    )
    rows = [f"{t},{t}.png" for t in t_ns.tolist()]
    _write(folder, text, ["#timestamp [ns],filename", *rows])
    (folder / "data").mkdir()
    return folder / "data"


def write_imu(folder: Path, noise: ImuNoise, inertial: Inertial) -> None:
    """Write sensor.yaml and data.csv of the IMU, which is the body."""
    _write(folder, _imu_sensor(noise), [_IMU_HEADER, *_rows(inertial.t_ns, inertial.w_B, inertial.a_B)])


def write_simulated(root: Path, noise: ImuNoise, pieces: Iterable[tuple[Motion, Inertial]]) -> None:
    """Write the IMU and the exact states below `root`, piece by piece as they are made: `write_imu` and `write_truth` in constant memory."""
    _write(root / "imu0", _imu_sensor(noise), [_IMU_HEADER])
    _write(root / TRUTH, _sensor("visual-inertial", np.eye(4)), [_TRUTH_HEADER])
    with (root / "imu0" / "data.csv").open("a", encoding="utf-8") as imu, (root / TRUTH / "data.csv").open("a", encoding="utf-8") as truth:
        for motion, inertial in pieces:
            imu.writelines(f"{row}\n" for row in _rows(inertial.t_ns, inertial.w_B, inertial.a_B))
            truth.writelines(f"{row}\n" for row in _rows(motion.t_ns, motion.p_WB, motion.q_WB, motion.v_WB, inertial.b_g, inertial.b_a))


def copy_imu(source: Path, folder: Path, noise: ImuNoise) -> None:
    """Copy a recorded IMU byte for byte; where it has no sensor.yaml, one is written from `noise`."""
    folder.mkdir(parents=True)
    shutil.copyfile(source / "data.csv", folder / "data.csv")
    if (source / "sensor.yaml").is_file():
        shutil.copyfile(source / "sensor.yaml", folder / "sensor.yaml")
    else:
        (folder / "sensor.yaml").write_text(_imu_sensor(noise), encoding="utf-8")


def _imu_sensor(noise: ImuNoise) -> str:
    """sensor.yaml of an IMU, which is the body."""
    names = ("gyroscope_noise_density", "gyroscope_random_walk", "accelerometer_noise_density", "accelerometer_random_walk")
    values = (noise.gyro_noise, noise.gyro_walk, noise.accel_noise, noise.accel_walk)
    fields = "".join(f"{name}: {number(value)}\n" for name, value in zip(names, values))
    return _sensor("imu", np.eye(4)) + f"rate_hz: {number(noise.rate_hz)}\n" + fields


def write_truth(folder: Path, motion: Motion, b_g: np.ndarray, b_a: np.ndarray) -> None:
    """Write the exact states as ground truth in EuRoC's seventeen columns."""
    rows = _rows(motion.t_ns, motion.p_WB, motion.q_WB, motion.v_WB, b_g, b_a)
    _write(folder, _sensor("visual-inertial", np.eye(4)), [_TRUTH_HEADER, *rows])


def write_ground_truth(root: Path, truth: GroundTruth) -> None:
    """Write what is known of a reference trajectory: poses alone as `mocap0`, with velocities (and biases) in EuRoC's columns."""
    if truth.v_WB is None:
        name, columns = MOCAP, [truth.p_WB, truth.q_WB]
    else:
        name, columns = TRUTH, [truth.p_WB, truth.q_WB, truth.v_WB] + ([] if truth.biases is None else [truth.biases])
    header = ",".join(_TRUTH_HEADER.split(",")[: 1 + sum(column.shape[1] for column in columns)])
    _write(root / name, _sensor("visual-inertial" if name == TRUTH else "mocap", np.eye(4)), [header, *_rows(truth.t_ns, *columns)])


def _rows(t_ns: np.ndarray, *columns: np.ndarray) -> Iterator[str]:
    """Comma-separated lines, every number such that reading it gives the same float64."""
    for t, row in zip(t_ns.tolist(), np.hstack(columns).tolist()):
        yield ",".join([str(t), *map(repr, row)])


def _sensor(kind: str, T_BS: np.ndarray) -> str:
    """The part of sensor.yaml that all sensors share."""
    rows = ",\n         ".join(", ".join(map(number, row)) for row in T_BS)
    return f"sensor_type: {kind}\ncomment: written by tinyvio\n\nT_BS:\n  cols: 4\n  rows: 4\n  data: [{rows}]\n\n"


def _write(folder: Path, sensor: str, rows: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "sensor.yaml").write_text(sensor, encoding="utf-8")
    (folder / "data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
