"""Rows of many entities, collected and sent together: a call per entity and batch instead of one per entity and frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import rerun as rr

FRAME, SENSOR = "frame", "sensor_time"  # the timelines: frame number, and ns of the sensor's clock


class Columns:
    """A batch of rows. `add` what happened at a moment, `send` now and then; `fixed` is for what holds at all times."""

    def __init__(self, recording: rr.RecordingStream) -> None:
        self._recording = recording
        self._rows: dict[tuple[str, type], list[tuple[int, int, dict[str, Sequence[Any]]]]] = {}

    def fixed(self, path: str, *parts: Any) -> None:
        """Archetypes that belong to the entity at every time."""
        self._recording.log(path, *parts, static=True)

    def legend(self, text: str) -> None:
        """The page that explains colours; Markdown."""
        self.fixed("legend", rr.TextDocument(text, media_type="text/markdown"))

    def place(self, path: str, T: np.ndarray) -> None:
        """Where an entity stands in its parent's frame, T (4, 4), at every time."""
        self.fixed(path, rr.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))

    def add(self, path: str, archetype: type, frame: int, t_ns: int, **components: Sequence[Any]) -> None:
        """One row: components by name, each with as many instances as the others."""
        self._rows.setdefault((path, archetype), []).append((frame, t_ns, components))

    def send(self) -> None:
        """Hand all rows over and forget them."""
        for (path, archetype), rows in self._rows.items():
            first = rows[0][2]
            joined = {name: _joined([row[2][name] for row in rows]) for name in first}
            lengths = [len(row[2][next(iter(first))]) for row in rows]
            self._recording.send_columns(path, self._index(rows), archetype.columns(**joined).partition(lengths))
        self._rows.clear()

    @staticmethod
    def _index(rows: list[tuple[int, int, dict[str, Sequence[Any]]]]) -> list[rr.TimeColumn]:
        stamps = np.array([row[1] for row in rows], np.int64)
        return [rr.TimeColumn(FRAME, sequence=[row[0] for row in rows]), rr.TimeColumn(SENSOR, timestamp=stamps.astype("datetime64[ns]"))]


def _joined(parts: list[Sequence[Any]]) -> Any:
    """Arrays one after the other; lists (texts, pictures) likewise.

    Lines and pictures become Arrow arrays here, without a copy per line: rerun's own conversion of them costs more than all the rest.
    """
    if not isinstance(parts[0], np.ndarray):
        items = [item for part in parts for item in part]
        return _blobs(items) if isinstance(items[0], bytes) else items
    values = np.concatenate(parts)
    return _strips(values) if values.ndim == 3 else values


def _blobs(items: list[bytes]) -> pa.Array:
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
