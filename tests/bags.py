"""Tiny bags of every format, written with the `rosbags` library's own writers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

KINDS = ("rosbag1", "rosbag2", "mcap")


class Maker:
    """Writes messages into one bag; `store.types` are the message classes of the bag's ROS version."""

    def __init__(self, writer: Any, ros1: bool) -> None:
        self._writer, self._ros1 = writer, ros1
        self._store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
        self._connections: dict[str, Any] = {}

    def _new(self, kind: str, **fields: Any) -> Any:
        return self._store.types[kind](**fields)

    def _header(self, t_ns: int) -> Any:
        stamp = self._new("builtin_interfaces/msg/Time", sec=t_ns // 10**9, nanosec=t_ns % 10**9)
        return self._new("std_msgs/msg/Header", stamp=stamp, frame_id="odd", **({"seq": 7} if self._ros1 else {}))

    def _write(self, topic: str, kind: str, message: Any, log_ns: int) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        serialize = self._store.serialize_ros1 if self._ros1 else self._store.serialize_cdr
        self._writer.write(self._connections[topic], log_ns, serialize(message, kind))

    def image(self, topic: str, t_ns: int, log_ns: int, picture: np.ndarray, encoding: str = "mono8") -> None:
        """A raw picture."""
        fields = {"height": picture.shape[0], "width": picture.shape[1], "encoding": encoding, "is_bigendian": 0, "step": picture.nbytes // picture.shape[0]}
        kind = "sensor_msgs/msg/Image"
        self._write(topic, kind, self._new(kind, header=self._header(t_ns), data=np.ascontiguousarray(picture).reshape(-1).view(np.uint8), **fields), log_ns)

    def compressed(self, topic: str, t_ns: int, log_ns: int, data: bytes, form: str = "png") -> None:
        """An encoded picture."""
        kind = "sensor_msgs/msg/CompressedImage"
        self._write(topic, kind, self._new(kind, header=self._header(t_ns), format=form, data=np.frombuffer(data, np.uint8)), log_ns)

    def imu(self, topic: str, t_ns: int, log_ns: int, row: np.ndarray) -> None:
        """Gyro and accelerometer."""
        vectors = [self._new("geometry_msgs/msg/Vector3", **dict(zip("xyz", map(float, part)))) for part in (row[:3], row[3:])]
        q, zero, kind = self._new("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0), np.zeros(9), "sensor_msgs/msg/Imu"
        message = self._new(
            kind, header=self._header(t_ns), orientation=q, orientation_covariance=zero, angular_velocity=vectors[0],
            angular_velocity_covariance=zero, linear_acceleration=vectors[1], linear_acceleration_covariance=zero,
        )
        self._write(topic, kind, message, log_ns)

    def transform(self, topic: str, t_ns: int, p: np.ndarray, q_wxyz: np.ndarray) -> None:
        """A pose as motion capture sends it."""
        kind = "geometry_msgs/msg/TransformStamped"
        w, x, y, z = map(float, q_wxyz)
        transform = self._new(
            "geometry_msgs/msg/Transform", rotation=self._new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
            translation=self._new("geometry_msgs/msg/Vector3", **dict(zip("xyz", map(float, p)))),
        )
        self._write(topic, kind, self._new(kind, header=self._header(t_ns), child_frame_id="body", transform=transform), t_ns)


@contextmanager
def written(folder: Path, kind: str, compressed: str = "") -> Iterator[tuple[Maker, Path]]:
    """A maker, and the path of the bag it writes in `folder`: a .bag or .mcap file, or a rosbag 2 folder.

    compressed: for rosbag1 "lz4" or "bz2", for the others zstd of each "message", of the "file", or in the "storage".
    """
    if kind == "rosbag1":
        writer1 = Writer1(folder / "flight.bag")
        if compressed:
            writer1.set_compression(Writer1.CompressionFormat[compressed.upper()])
        with writer1 as writer:
            yield Maker(writer, True), folder / "flight.bag"
        return
    writer2 = Writer2(folder / "flight", version=9, storage_plugin=StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3)
    if compressed:
        writer2.set_compression(CompressionMode[compressed.upper()], CompressionFormat.ZSTD)
    with writer2 as writer:
        yield Maker(writer, False), folder / "flight" / "flight.mcap" if kind == "mcap" else folder / "flight"


def raw_message(picture: np.ndarray, encoding: str, **changes: Any) -> SimpleNamespace:
    """An Image message as a reader sees it."""
    height, width = picture.shape[:2]
    fields = {"height": height, "width": width, "encoding": encoding, "is_bigendian": 0, "step": picture.nbytes // height}
    return SimpleNamespace(**fields | {"data": np.ascontiguousarray(picture).reshape(-1).view(np.uint8)} | changes)
