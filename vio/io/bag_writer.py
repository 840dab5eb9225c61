"""Writer of rosbag 2 folders, sqlite3 or MCAP inside, with Kalibr's calibration files: what `vio.io.bag` reads back to the last bit."""

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vio import lie
from vio.errors import DataError
from vio.io import kalibr
from vio.io.bag_store import IMAGE, IMU, ODOMETRY, POSE
from vio.io.progress import Progress
from vio.io.recording import Pictures, Recording
from vio.io.sequence import GroundTruth

TOPICS = {"cam0": "/cam0/image_raw", "cam1": "/cam1/image_raw", "imu0": "/imu0", "truth": "/ground_truth"}
FORMATS = ("rosbag2", "mcap")
_ENCODINGS = {(1, 2): "mono8", (2, 2): "mono16", (1, 3): "bgr8", (2, 3): "bgr16"}  # (bytes per sample, dimensions)
_LAST_SECOND = 2**31 - 1  # of a ROS 2 stamp
_FRAMES = {"cam0": "cam0", "cam1": "cam1", "imu0": "imu0", "truth": "world"}


def write_bag(recording: Recording, folder: Path, kind: str, progress: Progress) -> None:
    """Write a recording into an existing folder, `kind` of FORMATS; messages are logged at their header stamps, in time order.

    `progress(done, all)` hears of the pictures. Raises DataError for stamps that ROS cannot hold and for pictures that cannot be read.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    _check_stamps(recording)
    store = get_typestore(Stores.ROS2_HUMBLE)
    messages = _Messages(store)
    plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
    inner = folder / recording.name  # the library makes the folder itself, and names the file after it
    with Writer(inner, version=9, storage_plugin=plugin) as writer:
        streams, types = _streams(recording, messages)
        connections = {name: writer.add_connection(TOPICS[name], kind, typestore=store) for name, kind in types.items()}
        total, done = sum(len(camera.t_ns) for camera in recording.cameras), 0
        for t_ns, name, make in heapq.merge(*streams, key=lambda entry: entry[0]):
            writer.write(connections[name], t_ns, store.serialize_cdr(make(), types[name]))
            if name.startswith("cam"):
                done += 1
                progress(done, total)
    for path in inner.iterdir():
        path.rename(folder / path.name)
    inner.rmdir()
    kalibr.write_pair(folder, recording.calibration, TOPICS)


def _check_stamps(recording: Recording) -> None:
    for t_ns in (recording.imu_t_ns, *(camera.t_ns for camera in recording.cameras)):
        if t_ns[0] < 0 or t_ns[-1] // 10**9 > _LAST_SECOND:
            raise DataError(f"{recording.name}: stamps from {t_ns[0]} to {t_ns[-1]} ns do not fit a ROS stamp (0 to 2^31 seconds)")


Stream = Iterator[tuple[int, str, Callable[[], Any]]]


def _streams(recording: Recording, messages: "_Messages") -> tuple[list[Stream], dict[str, str]]:
    """Per sensor its messages in time order, made only when written; and the type of each."""
    streams = [_stream("imu0", recording.imu_t_ns, lambda i: messages.imu(int(recording.imu_t_ns[i]), recording.imu[i]))]
    types = {"imu0": IMU}
    for k, camera in enumerate(recording.cameras):
        streams.append(_stream(f"cam{k}", camera.t_ns, _picture_maker(f"cam{k}", camera, messages)))
        types[f"cam{k}"] = IMAGE
    truth = recording.ground_truth
    if truth is not None:
        streams.append(_stream("truth", truth.t_ns, lambda i: messages.truth(truth, i)))
        types["truth"] = POSE if truth.v_WB is None else ODOMETRY
    return streams, types


def _stream(name: str, t_ns: np.ndarray, make: Callable[[int], Any]) -> Stream:
    return ((int(t), name, lambda i=i: make(i)) for i, t in enumerate(t_ns))


def _picture_maker(name: str, camera: Pictures, messages: "_Messages") -> Callable[[int], Any]:
    return lambda i: messages.image(name, int(camera.t_ns[i]), camera.load(i))


class _Messages:
    """Makes ROS messages of a type store."""

    def __init__(self, store: Any) -> None:
        self._types = store.types

    def _header(self, name: str, t_ns: int) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](sec=t_ns // 10**9, nanosec=t_ns % 10**9)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=_FRAMES[name])

    def _vector(self, v: np.ndarray) -> Any:
        return self._types["geometry_msgs/msg/Vector3"](*(float(x) for x in v))

    def _quaternion(self, q_wxyz: Any) -> Any:
        w, x, y, z = (float(v) for v in q_wxyz)
        return self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)

    def imu(self, t_ns: int, row: np.ndarray) -> Any:
        """Gyro and accelerometer; a covariance of -1 says that there is no orientation."""
        none, unknown = np.zeros(9), np.zeros(9)
        none[0] = -1.0
        return self._types[IMU](self._header("imu0", t_ns), self._quaternion((1, 0, 0, 0)), none, self._vector(row[:3]), unknown, self._vector(row[3:]), unknown)

    def image(self, name: str, t_ns: int, picture: np.ndarray) -> Any:
        """A picture as it is stored, little endian."""
        height, width = picture.shape[:2]
        little = np.ascontiguousarray(picture, picture.dtype.newbyteorder("<"))
        return self._types[IMAGE](
            header=self._header(name, t_ns), height=height, width=width, encoding=_ENCODINGS[picture.itemsize, picture.ndim],
            is_bigendian=0, step=little.nbytes // height, data=little.reshape(-1).view(np.uint8),
        )

    def truth(self, truth: GroundTruth, i: int) -> Any:
        """A pose of the body, and its velocity in the body's own frame where it is known, as odometry has it."""
        header = self._header("truth", int(truth.t_ns[i]))
        position = self._types["geometry_msgs/msg/Point"](*(float(v) for v in truth.p_WB[i]))
        pose = self._types["geometry_msgs/msg/Pose"](position, self._quaternion(truth.q_WB[i]))
        if truth.v_WB is None:
            return self._types[POSE](header, pose)
        v_B = lie.matrix_from_quat(truth.q_WB[i]).T @ truth.v_WB[i]
        twist = self._types["geometry_msgs/msg/Twist"](self._vector(v_B), self._vector(np.zeros(3)))
        covariance = np.zeros(36)
        return self._types[ODOMETRY](
            header, "imu0", self._types["geometry_msgs/msg/PoseWithCovariance"](pose, covariance),
            self._types["geometry_msgs/msg/TwistWithCovariance"](twist, covariance),
        )
