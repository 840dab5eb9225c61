"""Reader of the ASL layout (EuRoC MAV: Burri et al., IJRR 2016): one folder per sensor, each with sensor.yaml and data.csv.

Body is the IMU: should the IMU's own T_BS not be the identity, everything is re-expressed in the IMU's frame.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from vio import lie
from vio.calibration import Calibration
from vio.camera import CameraModel
from vio.errors import CalibrationError, DataError
from vio.io import tables
from vio.io.images import read_grey
from vio.io.sensor_yaml import read_camera, read_extrinsics, read_imu_noise, read_sensor
from vio.io.sequence import GroundTruth, Sequence
from vio.types import StereoFrame

_GROUND_TRUTH = ("state_groundtruth_estimate0", "mocap0")  # EuRoC's name, TUM-VI's name


def read(folder: Path, mono: bool = False) -> Sequence:
    """Open a recording: `folder` is or holds `mav0`. Images are not decoded yet, all the rest is read and checked.

    Raises DataError or CalibrationError, naming file and line, if odometry cannot start; lesser faults become `warnings`.
    """
    root = _root(folder, mono)
    calibration, T_SB = _calibration(root, mono)
    imu_t_ns, imu, imu_faults = _numbers(root / "imu0" / "data.csv", 6)
    left, left_faults = _pictures(root / "cam0")
    faults = imu_faults + left_faults
    right = None
    if calibration.right is not None:
        right, right_faults = _pictures(root / "cam1")
        left, right, unpaired = _paired(left, right)
        faults += right_faults + unpaired
    _check_overlap(root, left[0], imu_t_ns)
    truth, truth_faults = _ground_truth(root, T_SB)
    load = partial(_load, calibration, root, left, right)
    _check_size(load)
    name = root.resolve().parent.name if root.name == "mav0" else root.resolve().name
    return Sequence(name, calibration, imu_t_ns, imu[:, :3].copy(), imu[:, 3:].copy(), left[0], load, truth, faults + truth_faults)


def _root(folder: Path, mono: bool) -> Path:
    """The folder that holds the sensors, all of them present."""
    root = folder / "mav0" if (folder / "mav0").is_dir() else folder
    for sensor in ("imu0", "cam0") if mono else ("imu0", "cam0", "cam1"):
        for name in ("sensor.yaml", "data.csv"):
            if not (root / sensor / name).is_file():
                layout = "an ASL/EuRoC folder has imu0, cam0 and cam1, each with sensor.yaml and data.csv"
                remedy = "to use the left camera alone, add --mono" if sensor == "cam1" else layout
                raise DataError(f"{root / sensor / name}: missing; {remedy}")
    return root


def _calibration(root: Path, mono: bool) -> tuple[Calibration, np.ndarray]:
    """The rig with B = IMU, and the transform (4, 4) from the IMU to the folder's own body frame."""
    imu_path = root / "imu0" / "sensor.yaml"
    imu = read_sensor(imu_path)
    T_SB = read_extrinsics(imu, imu_path) if "T_BS" in imu else np.eye(4)
    left, T_BC = _camera(root / "cam0", T_SB)
    right, T_BR = None, None
    if not mono:
        right, T_BR = _camera(root / "cam1", T_SB)
        _check_baseline(root, lie.inverse(T_BC) @ T_BR)
    try:
        return Calibration(left, T_BC, read_imu_noise(imu, imu_path), right, T_BR), T_SB
    except CalibrationError as error:
        raise CalibrationError(f"{root}: {error}") from None


def _camera(folder: Path, T_SB: np.ndarray) -> tuple[CameraModel, np.ndarray]:
    """A camera and the transform from it to the IMU."""
    path = folder / "sensor.yaml"
    sensor = read_sensor(path)
    return read_camera(sensor, path), lie.inverse(T_SB) @ read_extrinsics(sensor, path)


def _check_baseline(root: Path, T_CR: np.ndarray) -> None:
    """Stereo needs two cameras at different places that look the same way."""
    baseline = float(np.linalg.norm(T_CR[:3, 3]))
    if not 1e-3 <= baseline <= 10.0:
        raise CalibrationError(f"{root}: the cameras stand {baseline:.4g} m apart by the T_BS of cam0 and cam1; allowed: 0.001 to 10 m")
    if T_CR[2, 2] < 0.5:
        raise CalibrationError(f"{root}: the cameras look more than 60 degrees apart by the T_BS of cam0 and cam1; use --mono")


def _numbers(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Stamps and values of a table, rows with a late or repeated stamp dropped."""
    t_ns, values, lines = tables.read_numbers(path, columns)
    keep, faults = tables.ascending(path, t_ns, lines)
    return t_ns[keep], values[keep], faults


def _pictures(folder: Path) -> tuple[tuple[np.ndarray, list[str]], tuple[str, ...]]:
    """Stamps and file names of a camera; at least one of the files has to exist."""
    path = folder / "data.csv"
    t_ns, names, lines = tables.read_names(path)
    keep, faults = tables.ascending(path, t_ns, lines)
    names = [name for name, kept in zip(names, keep) if kept]
    if not any((folder / "data" / name).is_file() for name in names):
        raise DataError(f"{folder / 'data'}: holds none of the {len(names)} images that data.csv lists")
    return (t_ns[keep], names), faults


def nearest(t_ns: np.ndarray, wanted_ns: np.ndarray) -> np.ndarray:
    """Index (m,) into ascending `t_ns` (n,) of the stamp nearest to each wanted one (m,); ties go to the earlier."""
    after = np.clip(np.searchsorted(t_ns, wanted_ns), 1, max(len(t_ns) - 1, 1))
    before = after - 1
    if len(t_ns) == 1:
        return np.zeros(len(wanted_ns), np.int64)
    return np.where(wanted_ns - t_ns[before] <= t_ns[after] - wanted_ns, before, after)


def _paired(left: tuple, right: tuple) -> tuple[tuple, tuple, tuple[str, ...]]:
    """Left and right pictures that are each other's nearest within half a frame period; the rest is reported."""
    period = int(np.median(np.diff(left[0]))) if len(left[0]) > 1 else 100_000_000
    partner = nearest(right[0], left[0])
    mutual = nearest(left[0], right[0])[partner] == np.arange(len(left[0]))
    pair = mutual & (np.abs(right[0][partner] - left[0]) <= period // 2)
    if not pair.any():
        raise DataError(f"cam0 and cam1: no two images lie within half a frame period ({period / 2e6:.1f} ms); is their clock the same?")
    i, j = np.flatnonzero(pair), partner[pair]
    faults: tuple[str, ...] = ()
    if len(i) < len(left[0]) or len(j) < len(right[0]):
        faults = (f"dropped {len(left[0]) - len(i)} left and {len(right[0]) - len(j)} right images without a partner within {period / 2e6:.1f} ms",)
    return (left[0][i], [left[1][k] for k in i]), (right[0][j], [right[1][k] for k in j]), faults


def _check_overlap(root: Path, frame_t_ns: np.ndarray, imu_t_ns: np.ndarray) -> None:
    """Refuse recordings whose cameras and IMU never ran at the same time."""
    if frame_t_ns[-1] < imu_t_ns[0] or frame_t_ns[0] > imu_t_ns[-1]:
        raise DataError(
            f"{root}: the images ({frame_t_ns[0]} to {frame_t_ns[-1]} ns) and the IMU ({imu_t_ns[0]} to {imu_t_ns[-1]} ns) have no time in common"
        )


def _load(calibration: Calibration, root: Path, left: tuple, right: tuple | None, index: int) -> StereoFrame:
    """Decode one frame, stamped by its left picture."""
    camera = calibration.left
    picture = read_grey(root / "cam0" / "data" / left[1][index], camera.width, camera.height)
    other = None
    if right is not None:
        camera = calibration.right
        other = read_grey(root / "cam1" / "data" / right[1][index], camera.width, camera.height)
    return StereoFrame(int(left[0][index]), picture, other)


def _check_size(load: Callable[[int], StereoFrame]) -> None:
    """Refuse images that are not of the calibrated size; other faults of the first frame are the run's to report."""
    try:
        load(0)
    except CalibrationError:
        raise
    except DataError:
        pass


def _ground_truth(root: Path, T_SB: np.ndarray) -> tuple[GroundTruth | None, tuple[str, ...]]:
    """The reference trajectory if there is one; rows that are not finite or carry no rotation are dropped and reported."""
    path = next((p for name in _GROUND_TRUTH if (p := root / name / "data.csv").is_file()), None)
    if path is None:
        return None, ()
    columns = 10 if path.parent.name == _GROUND_TRUTH[0] else 7
    t_ns, values, faults = _numbers(path, columns)
    length = np.linalg.norm(values[:, 3:7], axis=1)
    good = np.isfinite(values).all(axis=1) & (length > 0.5) & (length < 2.0)
    if not good.all():
        faults += (f"{path}: dropped {int((~good).sum())} of {len(good)} rows that are not finite or not a rotation",)
    if good.sum() < 2:
        return None, (*faults, f"{path}: fewer than two usable rows, so nothing is compared with it")
    t_ns, values = t_ns[good], values[good]
    truth = GroundTruth(t_ns, values[:, :3].copy(), values[:, 3:7] / length[good, None], values[:, 7:10].copy() if columns == 10 else None)
    return _at_imu(truth, T_SB), faults


def _at_imu(truth: GroundTruth, T_SB: np.ndarray) -> GroundTruth:
    """Move a trajectory of the folder's body frame to the IMU; its velocity there would need the rotation rate, so it goes."""
    if np.array_equal(T_SB, np.eye(4)):
        return truth
    R_WS = [lie.matrix_from_quat(q) for q in truth.q_WB]
    p_WB = truth.p_WB + np.array([R @ T_SB[:3, 3] for R in R_WS])
    q_WB = np.array([lie.quat_from_matrix(R @ T_SB[:3, :3]) for R in R_WS])
    return GroundTruth(truth.t_ns, p_WB, q_WB, None)
