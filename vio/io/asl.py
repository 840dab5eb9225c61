"""Reader of folders: the ASL layout (EuRoC MAV: Burri et al., IJRR 2016), TUM-VI's export of it, and images + CSV beside Kalibr's files.

Body is the IMU: should the IMU's own T_BS not be the identity, everything is re-expressed in the IMU's frame. TUM-VI's folders
have no sensor.yaml; their calibration is Kalibr's, in a folder `dso` beside `mav0` (Schubert et al., IROS 2018).
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vio import lie
from vio.calibration import Calibration
from vio.errors import DataError
from vio.io import kalibr, sensor_yaml, tables
from vio.io.images import read_picture
from vio.io.recording import Pictures, ReadOptions, Recording, sequence_of
from vio.io.sequence import GroundTruth, Sequence

_GROUND_TRUTH = (tables.TRUTH, tables.MOCAP)  # EuRoC's name, TUM-VI's name
_IMAGES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Rig:
    """A calibration, the transform T_SB (4, 4) from the IMU to the body frame of the ground truth, and the topics it names."""

    calibration: Calibration
    T_SB: np.ndarray
    topics: dict[str, str]


def read(folder: Path, mono: bool = False) -> Sequence:
    """Open a recording as `read_recording` does and make a sequence of it."""
    return sequence_of(read_recording(folder, ReadOptions(mono=mono)))


def read_recording(folder: Path, options: ReadOptions = ReadOptions()) -> Recording:
    """Open a folder: it is or holds `mav0`, or has the sensors in it. Images are not decoded yet, all the rest is read and checked.

    Raises DataError or CalibrationError, naming file and line, if odometry cannot start; lesser faults become `warnings`.
    """
    root = folder / "mav0" if (folder / "mav0").is_dir() else folder
    rig = find_rig([options.calibration] if options.calibration else [root, root / "dso", root.parent / "dso"], options.mono)
    if rig is None:
        _refuse_incomplete(root, options.mono)
        rig = Rig(*sensor_yaml.read_rig(root, options.mono), {})
    calibration = rig.calibration
    imu_t_ns, imu, faults = _numbers(_table(root, "imu0"), 6)
    cameras = []
    for name, camera in (("cam0", calibration.left), ("cam1", calibration.right)):
        if camera is not None:
            t_ns, files, more = _pictures(root, name)
            cameras.append(Pictures(t_ns, partial(_load, files, camera.width, camera.height)))
            faults += more
    truth, more = _ground_truth(root, rig.T_SB)
    name = root.resolve().parent.name if root.name == "mav0" else root.resolve().name
    return Recording(name, calibration, imu_t_ns, imu, tuple(cameras), truth, faults + more)


def find_rig(places: list[Path], mono: bool) -> Rig | None:
    """The calibration at the first place that has one: a Kalibr chain, or a folder with one or with sensor.yaml files; else None.

    Raises CalibrationError for one that is there and cannot be used, DataError for a file that is not.
    """
    for place in places:
        if place.is_file():
            return _kalibr_rig(place, mono)
        root = place / "mav0" if (place / "mav0").is_dir() else place
        if (root / "cam0" / "sensor.yaml").is_file() and (root / "imu0" / "sensor.yaml").is_file():
            _refuse_incomplete(root, mono, ("sensor.yaml",))
            return Rig(*sensor_yaml.read_rig(root, mono), {})
        chain = kalibr.find_chain(place) if place.is_dir() else None
        if chain:
            return _kalibr_rig(chain, mono)
    return None


def _kalibr_rig(chain: Path, mono: bool) -> Rig:
    calibration, topics = kalibr.read_pair(chain, mono)
    return Rig(calibration, np.eye(4), topics)


def _refuse_incomplete(root: Path, mono: bool, names: tuple[str, ...] = ("sensor.yaml", "data.csv")) -> None:
    """Raise DataError for the first file that an ASL folder lacks."""
    for sensor in ("imu0", "cam0") if mono else ("imu0", "cam0", "cam1"):
        for name in names:
            if not (root / sensor / name).is_file():
                layout = "an ASL/EuRoC folder has imu0, cam0 and cam1, each with sensor.yaml and data.csv (or Kalibr's camchain-imucam.yaml and imu.yaml)"
                remedy = "to use the left camera alone, add --mono" if sensor == "cam1" else layout
                raise DataError(f"{root / sensor / name}: missing; {remedy}")


def _table(root: Path, sensor: str) -> Path:
    """The CSV file of a sensor: in its folder, or beside it as Kalibr's bag maker wants it."""
    for path in (root / sensor / "data.csv", root / f"{sensor}.csv"):
        if path.is_file():
            return path
    raise DataError(f"{root / sensor / 'data.csv'}: missing, and there is no {sensor}.csv either")


def _numbers(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Stamps and values of a table, rows with a late or repeated stamp dropped."""
    t_ns, values, lines = tables.read_numbers(path, columns)
    keep, faults = tables.ascending(path, t_ns, lines)
    return t_ns[keep], values[keep], faults


def _pictures(root: Path, name: str) -> tuple[np.ndarray, list[Path], tuple[str, ...]]:
    """Stamps and files of a camera, by its table or, without one, by file names that are stamps; at least one file has to exist."""
    folder = root / name / "data" if (root / name / "data").is_dir() else root / name
    if not any(path.is_file() for path in (root / name / "data.csv", root / f"{name}.csv", root / name / "sensor.yaml")):
        return _named_by_stamp(folder)
    path = _table(root, name)
    t_ns, names, lines = tables.read_names(path)
    keep, faults = tables.ascending(path, t_ns, lines)
    files = [folder / name for name, kept in zip(names, keep) if kept]
    if not any(file.is_file() for file in files):
        raise DataError(f"{folder}: holds none of the {len(files)} images that {path.name} lists")
    return t_ns[keep], files, faults


def _named_by_stamp(folder: Path) -> tuple[np.ndarray, list[Path], tuple[str, ...]]:
    """Images called `<nanoseconds>.png` (or another image suffix), in time order."""
    found = [path for path in folder.glob("*") if path.suffix.lower() in _IMAGES] if folder.is_dir() else []
    stamped = sorted((int(path.stem), path) for path in found if path.stem.isascii() and path.stem.isdigit() and len(path.stem) <= 19)
    if not stamped or stamped[-1][0] >= tables.FARTHEST_NS:
        raise DataError(f"{folder}: no images with a table data.csv, and none whose names are stamps in nanoseconds")
    other = len(found) - len(stamped)
    return np.array([t for t, _ in stamped], np.int64), [p for _, p in stamped], (f"{folder}: {other} images whose names are no stamps",) if other else ()


def _load(files: list[Path], width: int, height: int, index: int) -> np.ndarray:
    return read_picture(files[index], width, height)


def _ground_truth(root: Path, T_SB: np.ndarray) -> tuple[GroundTruth | None, tuple[str, ...]]:
    """The reference trajectory if there is one; rows that are not finite or carry no rotation are dropped and reported."""
    path = next((p for name in _GROUND_TRUTH if (p := root / name / "data.csv").is_file()), None)
    if path is None:
        return None, ()
    columns = next(c for c in (16, 10, 7) if c == 7 or tables.columns(path) > c)
    t_ns, values, faults = _numbers(path, columns)
    length = np.linalg.norm(values[:, 3:7], axis=1)
    good = (np.abs(values) <= tables.FARTHEST_M).all(axis=1) & (length > 0.5) & (length < 2.0)
    if not good.all():
        faults += (f"{path}: dropped {int((~good).sum())} of {len(good)} rows that are not finite or not a rotation",)
    if good.sum() < 2:
        return None, (*faults, f"{path}: fewer than two usable rows, so nothing is compared with it")
    t_ns, values = t_ns[good], values[good]
    v_WB = values[:, 7:10].copy() if columns >= 10 else None
    biases = values[:, 10:16].copy() if columns == 16 else None
    return _at_imu(GroundTruth(t_ns, values[:, :3].copy(), values[:, 3:7] / length[good, None], v_WB, biases), T_SB), faults


def _at_imu(truth: GroundTruth, T_SB: np.ndarray) -> GroundTruth:
    """Move a trajectory of the folder's body frame to the IMU; its velocity there would need the rotation rate, so it goes."""
    if np.array_equal(T_SB, np.eye(4)):
        return truth
    R_WS = [lie.matrix_from_quat(q) for q in truth.q_WB]
    p_WB = truth.p_WB + np.array([R @ T_SB[:3, 3] for R in R_WS])
    q_WB = np.array([lie.quat_from_matrix(R @ T_SB[:3, :3]) for R in R_WS])
    return replace(truth, p_WB=p_WB, q_WB=q_WB, v_WB=None)
