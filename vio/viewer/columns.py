"""Rows of many moments, sent together: a call per entity and batch instead of one per entity and frame."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import rerun as rr

FRAME, SENSOR = "frame", "sensor_time"  # the timelines: frame number, and ns of the sensor's clock


class Stamps(NamedTuple):
    """When rows happened: frame (n,) int64 and t_ns (n,) int64 of the sensor's clock."""

    frame: np.ndarray
    t_ns: np.ndarray

    def of(self, rows: Sequence[int] | np.ndarray) -> "Stamps":
        """Those of some rows: indices, or a mask (n,)."""
        picked = np.arange(len(self.frame))[rows] if len(rows) else np.zeros(0, np.int64)
        return self if len(picked) == len(self.frame) else Stamps(self.frame[picked], self.t_ns[picked])


class Columns:
    """The way into a recording: `fixed` for what holds at all times, `send` for a batch of rows of an entity."""

    def __init__(self, recording: rr.RecordingStream) -> None:
        self._recording = recording
        self._at, self._index = Stamps(np.zeros(0, np.int64), np.zeros(0, np.int64)), list[rr.TimeColumn]()  # many entities have rows at the same stamps

    def fixed(self, path: str, *parts: Any) -> None:
        """Archetypes that belong to the entity at every time."""
        self._recording.log(path, *parts, static=True)

    def legend(self, text: str) -> None:
        """The page that explains colours; Markdown."""
        self.fixed("legend", rr.TextDocument(text, media_type="text/markdown"))

    def place(self, path: str, T: np.ndarray) -> None:
        """Where an entity stands in its parent's frame, T (4, 4), at every time."""
        self.fixed(path, rr.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))

    def send(self, path: str, archetype: type, at: Stamps, lengths: Sequence[int] | np.ndarray | None = None, **components: Any) -> None:
        """Rows of an entity at their stamps: components by name, the instances of all rows one after the other.

        lengths (n,): how many instances belong to each row, one where it is left out. Arrays (k, ...) or lists of texts or of files.
        """
        if len(at.frame):
            columns = archetype.columns(**{name: _arrow(values) for name, values in components.items()})
            if at is not self._at:
                self._at = at
                self._index = [rr.TimeColumn(FRAME, sequence=at.frame), rr.TimeColumn(SENSOR, timestamp=at.t_ns.astype("datetime64[ns]"))]
            self._recording.send_columns(path, self._index, columns if lengths is None else columns.partition(lengths))


def _arrow(values: Any) -> Any:
    """Lines and files as Arrow arrays, without a copy per line: rerun's own conversion of them costs more than all the rest."""
    if isinstance(values, np.ndarray):
        return _strips(values) if values.ndim == 3 else values
    return _blobs(values) if isinstance(values[0], bytes) else values


def _blobs(items: Sequence[bytes]) -> pa.Array:
    """Byte strings as a list array of uint8."""
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in items])]).astype(np.int32)
    inner = pa.Array.from_buffers(pa.uint8(), int(offsets[-1]), [None, pa.py_buffer(b"".join(items))])
    return pa.ListArray.from_arrays(offsets, inner, type=pa.list_(pa.field("item", pa.uint8(), nullable=False)))


def _strips(values: np.ndarray) -> pa.Array:
    """Lines (n, points, 2 or 3) as a list array of vectors of float32."""
    n, points, dimensions = values.shape
    vector = pa.list_(pa.field("item", pa.float32(), nullable=False), dimensions)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values, np.float32).ravel()), type=vector)
    offsets = np.arange(n + 1, dtype=np.int32) * points
    return pa.ListArray.from_arrays(offsets, inner, type=pa.list_(pa.field("item", vector, nullable=False)))
