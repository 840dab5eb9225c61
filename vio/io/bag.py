"""Reader of bags: rosbag 1 (.bag), rosbag 2 (a folder with metadata.yaml, or .db3) and MCAP, through the `rosbags` library.

One pass over the messages gathers stamps, inertial data and ground truth; pictures are fetched one by one when asked for.
Stamps are those of the message headers, to the nanosecond.
"""

from functools import partial
from pathlib import Path

import numpy as np

from vio import lie
from vio.camera import CameraModel
from vio.errors import CalibrationError, DataError
from vio.io.asl import find_rig
from vio.io.bag_images import check_encoding, decode_message
from vio.io.bag_store import Bag
from vio.io.bag_topics import choose
from vio.io.progress import Progress
from vio.io.recording import Pictures, ReadOptions, Recording
from vio.io.sequence import GroundTruth
from vio.io.tables import FARTHEST_M

_FILES = (".bag", ".mcap", ".db3")


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: by its suffix, or as a folder by its metadata.yaml."""
    return (path / "metadata.yaml").is_file() if path.is_dir() else path.suffix.lower() in _FILES


def read_recording(path: Path, options: ReadOptions = ReadOptions(), progress: Progress | None = None) -> Recording:
    """Open a bag; `progress(messages, all)` hears of the pass over it. The calibration stands beside it or is given.

    Raises DataError or CalibrationError naming the bag, the topics in question and the remedy.
    """
    beside = [path, path.parent] if path.is_dir() else [path.parent]
    rig = find_rig([options.calibration] if options.calibration else beside, options.mono)
    if rig is None:
        given = options.calibration or path
        raise CalibrationError(f"{given}: no calibration there; put camchain-imucam.yaml and imu.yaml beside the bag, or name them with --calibration")
    calibration = rig.calibration
    bag = Bag(path)
    topics = choose(bag.types, options.topics, rig.topics, calibration.right is not None, str(path))
    scan = bag.scan(sorted(set(topics.values())), progress)
    warnings = [f"{path}: {scan.lost} messages that its index lists are gone"] if scan.lost else []
    imu_t_ns, rows = _in_order(f"{path}: {topics['imu0']}", *scan.values(topics["imu0"]), warnings)
    cameras = []
    for name, camera in (("cam0", calibration.left), ("cam1", calibration.right)):
        if camera is not None:
            cameras.append(_pictures(bag, topics[name], camera, *scan.places(topics[name]), warnings))
    truth = _truth(f"{path}: {topics['truth']}", *scan.values(topics["truth"]), warnings) if "truth" in topics else None
    return Recording(path.name if path.is_dir() else path.stem, calibration, imu_t_ns, rows, tuple(cameras), truth, tuple(warnings))


def _in_order(source: str, t_ns: np.ndarray, rows: np.ndarray, warnings: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Messages by header stamp, which transport may have shuffled; those that repeat a stamp are dropped and reported."""
    if len(t_ns) == 0:
        raise DataError(f"{source}: the topic has no messages")
    order = np.argsort(t_ns, kind="stable")
    t_ns = t_ns[order]
    keep = np.r_[True, t_ns[1:] > t_ns[:-1]]
    if 2 * keep.sum() < len(keep):
        raise DataError(f"{source}: {len(keep) - int(keep.sum())} of {len(keep)} messages repeat a header stamp; are the stamps set?")
    if not keep.all():
        warnings.append(f"{source}: dropped {len(keep) - int(keep.sum())} messages that repeat a stamp")
    return t_ns[keep], rows[order][keep]


def _pictures(bag: Bag, topic: str, camera: CameraModel, t_ns: np.ndarray, places: np.ndarray, warnings: list[str]) -> Pictures:
    """A camera's pictures; the first message tells whether its encoding can be read at all."""
    t_ns, places = _in_order(f"{bag.path}: {topic}", t_ns, places, warnings)
    check_encoding(bag.message(topic, places[0]), f"{bag.path}: {topic}")
    return Pictures(t_ns, partial(_load, bag, topic, camera, t_ns, places))


def _load(bag: Bag, topic: str, camera: CameraModel, t_ns: np.ndarray, places: np.ndarray, index: int) -> np.ndarray:
    source = f"{bag.path}: {topic} at {t_ns[index]} ns"
    return decode_message(bag.message(topic, places[index]), source, camera.width, camera.height)


def _truth(source: str, t_ns: np.ndarray, rows: np.ndarray, warnings: list[str]) -> GroundTruth | None:
    """Ground truth of a topic of poses: rows hold p_WB, q_WB and, from odometry, the velocity in B."""
    if len(t_ns) < 2:
        return None
    t_ns, rows = _in_order(source, t_ns, rows, warnings)
    length = np.linalg.norm(rows[:, 3:7], axis=1)
    good = (np.abs(rows) <= FARTHEST_M).all(axis=1) & (length > 0.5) & (length < 2.0)
    if good.sum() < 2:
        warnings.append(f"{source}: fewer than two usable poses, so nothing is compared with it")
        return None
    t_ns, rows, q_WB = t_ns[good], rows[good], rows[good, 3:7] / length[good, None]
    v_WB = np.array([lie.matrix_from_quat(q) @ v for q, v in zip(q_WB, rows[:, 7:10])]) if rows.shape[1] == 10 else None
    return GroundTruth(t_ns, rows[:, :3].copy(), q_WB, v_WB)
