"""Reading what is left of a damaged ASL folder: rows that parse, and a cleaned copy of the tables for the reader proper."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vio.calibration import ImuNoise
from vio.errors import DataError
from vio.files import read_bytes
from vio.io import asl, tables
from vio.io.sensor_yaml import read_imu_noise
from vio.io.sequence import GroundTruth, Sequence
from vio.io.yaml_text import read_yaml

_COLUMNS = {"imu0": 6, "state_groundtruth_estimate0": 7, "mocap0": 7}  # that are needed; cameras have file names


@dataclass(frozen=True)
class Table:
    """Rows of a data.csv that parse: t_ns (n,), values (n, columns) or names, the text `rows`; and the others as (line, text)."""

    t_ns: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    rows: tuple[str, ...]
    bad: tuple[tuple[int, str], ...]


def read(folder: Path) -> Table | None:
    """The readable rows of a sensor's table, in file order; None if there are none."""
    try:
        text = read_bytes(folder / "data.csv", tables.LARGEST, DataError).decode("utf-8-sig", "replace").splitlines()
    except DataError:
        return None
    columns = _COLUMNS.get(folder.name, 0)
    good, bad = [], []
    for line, row in enumerate(text, 1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        parsed = _parsed(row, columns)
        if parsed is None:
            bad.append((line, row))
        else:
            good.append((*parsed, row))
    if not good:
        return None
    t_ns, values, names, rows = zip(*good)
    return Table(np.array(t_ns, np.int64), np.array(values, np.float64).reshape(len(rows), -1), names, rows, tuple(bad))


def _parsed(row: str, columns: int) -> tuple[int, list[float], str] | None:
    """Stamp, numbers and file name of a row."""
    cells = row.split(",")
    try:
        t_ns = int(cells[0])
        if columns:
            return (t_ns, [float(cell) for cell in cells[1 : columns + 1]], "") if len(cells) > columns and abs(t_ns) < tables.FARTHEST_NS else None
        name = cells[1].strip()
    except (ValueError, IndexError):
        return None
    return (t_ns, [], name) if tables.is_inside(name) and Path(name).suffix and abs(t_ns) < tables.FARTHEST_NS else None


def reopened(root: Path, tables: dict[str, Table], scratch: Path, mono: bool) -> Sequence | None:
    """The sequence of a copy in `scratch` that has the readable rows in order of time, and links to the images; None if that fails too."""
    for name, table in tables.items():
        (scratch / name).mkdir()
        order = np.unique(table.t_ns, return_index=True)[1]
        (scratch / name / "data.csv").write_text("\n".join(table.rows[k] for k in order) + "\n", encoding="utf-8")
        if (root / name / "sensor.yaml").is_file():
            (scratch / name / "sensor.yaml").write_bytes((root / name / "sensor.yaml").read_bytes())
        if (root / name / "data").is_dir():
            (scratch / name / "data").symlink_to((root / name / "data").resolve(), target_is_directory=True)
    try:
        sequence = asl.read(scratch, mono)
    except DataError:
        return None
    return replace(sequence, name=root.name)


def noise(folder: Path) -> ImuNoise | None:
    """Declared densities of an IMU, if its sensor.yaml can be read."""
    try:
        return read_imu_noise(read_yaml(folder / "sensor.yaml"), str(folder))
    except DataError:
        return None


def truth(tables: list[Table]) -> GroundTruth | None:
    """The first table as a trajectory, rows with a finite rotation only, in order of time."""
    if not tables:
        return None
    table = tables[0]
    length = np.linalg.norm(table.values[:, 3:7], axis=1)
    keep = np.isfinite(table.values).all(axis=1) & (length > 0.5) & (length < 2.0)
    t_ns, order = np.unique(table.t_ns[keep], return_index=True)
    if len(t_ns) < 2:
        return None
    values = table.values[keep][order]
    return GroundTruth(t_ns, values[:, :3].copy(), values[:, 3:7] / length[keep][order, None], None)
