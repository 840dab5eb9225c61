"""An open bag: its topics, one pass over its messages, and any message again by where it stands."""

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vio.errors import DataError, TinyvioError
from vio.files import shown
from vio.io.bag_guard import check
from vio.io.progress import Progress

_REPAIR = {".bag": "rosbag reindex", ".mcap": "mcap recover", ".db3": "ros2 bag reindex"}
_REPORT_EVERY = 500  # messages
IMAGE, COMPRESSED, IMU = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Imu"
POSE, TRANSFORM, ODOMETRY = "geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/TransformStamped", "nav_msgs/msg/Odometry"


def _of_imu(message: Any) -> tuple[float, ...]:
    w, a = message.angular_velocity, message.linear_acceleration
    return w.x, w.y, w.z, a.x, a.y, a.z


def _of_pose(message: Any) -> tuple[float, ...]:
    p, q = message.pose.position, message.pose.orientation
    return p.x, p.y, p.z, q.w, q.x, q.y, q.z


def _of_transform(message: Any) -> tuple[float, ...]:
    p, q = message.transform.translation, message.transform.rotation
    return p.x, p.y, p.z, q.w, q.x, q.y, q.z


def _of_odometry(message: Any) -> tuple[float, ...]:
    v = message.twist.twist.linear
    return (*_of_pose(message.pose), v.x, v.y, v.z)


_NUMBERS: dict[str, tuple[int, Callable[[Any], tuple[float, ...]]]] = {
    IMU: (6, _of_imu), POSE: (7, _of_pose), TRANSFORM: (7, _of_transform), ODOMETRY: (10, _of_odometry),
}


class Scan:
    """What one pass gathered: per topic header stamps, and either the numbers of each message or the place of each picture.

    lost: messages that the bag's index lists and the pass did not meet.
    """

    def __init__(self, types: dict[str, str]) -> None:
        self._types, self.lost = types, 0
        self._stamps: dict[str, list[int]] = {topic: [] for topic in types}
        self._rows: dict[str, list[tuple]] = {topic: [] for topic in types}

    def add(self, topic: str, stamp_ns: int, row: tuple) -> None:
        """Keep one message."""
        self._stamps[topic].append(stamp_ns)
        self._rows[topic].append(row)

    def place(self, topic: str, log_ns: int) -> tuple[int, int]:
        """The place of the next picture: its time in the bag and its number among those of that time."""
        before = self._rows[topic][-1] if self._rows[topic] else (None, -1)
        return log_ns, before[1] + 1 if before[0] == log_ns else 0

    def values(self, topic: str) -> tuple[np.ndarray, np.ndarray]:
        """Header stamps (n,) and numbers (n, k) of a topic: gyro and accelerometer; or p, q wxyz and perhaps v in the body."""
        return np.array(self._stamps[topic], np.int64), np.array(self._rows[topic], np.float64).reshape(-1, _NUMBERS[self._types[topic]][0])

    def places(self, topic: str) -> tuple[np.ndarray, np.ndarray]:
        """Header stamps (n,) and places (n, 2) int64 of a topic of pictures."""
        return np.array(self._stamps[topic], np.int64), np.array(self._rows[topic], np.int64).reshape(-1, 2)


class Bag:
    """A bag opened for reading; stays open as long as anything refers to it. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open; raises DataError for a bag that is damaged, cut off, or of another version."""
        from rosbags import rosbag1, rosbag2
        from rosbags.typesys import Stores, get_typestore

        self.path = path
        self._lock = threading.Lock()
        self._ros1 = path.suffix.lower() == ".bag" and path.is_file()
        with self._readable():
            check(path)
            # the types as ROS defines them: those in the bag would have to be compiled, and whoever wrote them is a stranger
            self._store = get_typestore(Stores.ROS1_NOETIC if self._ros1 else Stores.ROS2_HUMBLE)
            self._reader = (rosbag1 if self._ros1 else rosbag2).Reader(path)
            self._reader.open()
            self.types = {c.topic: c.msgtype for c in self._reader.connections if c.msgcount}

    def scan(self, topics: list[str], progress: Progress | None = None) -> Scan:
        """One pass over the messages of these topics. Raises DataError if the bag is damaged."""
        result = Scan({topic: self.types[topic] for topic in topics})
        connections = [c for c in self._reader.connections if c.topic in topics]
        for connection in connections:
            self._check_type(connection)
        total = result.lost = sum(c.msgcount for c in connections)
        with self._lock, self._readable():
            for done, (connection, log_ns, data) in enumerate(self._reader.messages(connections), 1):
                topic, kind = connection.topic, connection.msgtype
                if type(log_ns) is not int or not 0 <= log_ns < 2**63:
                    raise DataError(f"{self.path}: {topic}: a message logged at {shown(log_ns)}, which is no time")
                if kind in _NUMBERS:
                    message = self._deserialized(data, kind)
                    result.add(topic, _nanoseconds(message.header.stamp.sec, message.header.stamp.nanosec), _NUMBERS[kind][1](message))
                else:
                    result.add(topic, self._stamp_of(data), result.place(topic, log_ns))
                result.lost = total - done
                if progress and (done % _REPORT_EVERY == 0 or done == total):
                    progress(done, total)
        return result

    def message(self, topic: str, place: np.ndarray) -> Any:
        """The message of a topic at a place (time in the bag, number). Raises DataError if it cannot be read."""
        log_ns, number = int(place[0]), int(place[1])
        with self._lock, self._readable():
            connections = [c for c in self._reader.connections if c.topic == topic]
            for k, (connection, _, data) in enumerate(self._reader.messages(connections, start=log_ns, stop=log_ns + 1)):
                if k == number:
                    return self._deserialized(data, connection.msgtype)
        raise DataError(f"{self.path}: {topic}: the message logged at {log_ns} ns is gone")

    def _deserialized(self, data: bytes, kind: str) -> Any:
        """The message that these bytes are."""
        return self._store.deserialize_ros1(data, kind) if self._ros1 else self._store.deserialize_cdr(data, kind)

    def _check_type(self, connection: Any) -> None:
        """Raise DataError for a type that has ROS's name, but by its digest other fields."""
        if not connection.digest:
            return
        kind = connection.msgtype
        known = self._store.generate_msgdef(kind)[1] if self._ros1 else self._store.hash_rihs01(kind)
        if self._ros1 != connection.digest.startswith("RIHS") and connection.digest not in (known, "*"):
            raise DataError(f"{self.path}: {connection.topic}: its {kind} is not ROS's, its fields are others; convert it to a standard message")

    def _stamp_of(self, data: bytes) -> int:
        """Header stamp of a serialised message that begins with one, without touching the picture behind it."""
        if self._ros1:
            return _nanoseconds(*struct.unpack_from("<II", data, 4))
        return _nanoseconds(*struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Whatever the library stumbles over in a damaged file becomes one DataError."""
        try:
            yield
        except (TinyvioError, PermissionError):
            raise
        except Exception as error:  # of sqlite, of a decompressor, of struct: the bytes decide which
            repair = _REPAIR.get(self.path.suffix.lower(), "ros2 bag reindex")
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise DataError(f"{self.path}: the bag is damaged, cut off or of an unknown version ({reason}); `{repair}` may recover it") from None


def _nanoseconds(sec: int, nanosec: int) -> int:
    return sec * 1_000_000_000 + nanosec
