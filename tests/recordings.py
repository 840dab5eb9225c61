"""A rerun recording, read back by rerun's own reader."""

from collections import Counter
from pathlib import Path

import numpy as np


def rows(path: Path) -> Counter:
    """How many rows each entity has on the timelines."""
    from rerun.chunk import RrdReader

    found: Counter = Counter()
    for chunk in RrdReader(path).stream():
        if not chunk.is_static:
            assert {"frame", "sensor_time"} <= set(chunk.timeline_names), chunk.entity_path
            found[chunk.entity_path] += chunk.num_rows
    return found


def column(path: Path, entity: str, component: str) -> tuple[np.ndarray, list]:
    """The frames (n,) of an entity's rows, ascending, and what the component holds in each."""
    from rerun.chunk import RrdReader

    frames, values = [], []
    for chunk in RrdReader(path).stream():
        if chunk.entity_path == entity and not chunk.is_static:
            batch = chunk.to_record_batch()
            frames += batch.column("frame").to_pylist()
            values += batch.column(component).to_pylist()
    order = np.argsort(frames, kind="stable")
    return np.array(frames)[order], [values[k] for k in order]
