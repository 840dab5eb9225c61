"""Hybrid sequences: rendered pictures along a recorded flight, beside the inertial data that was really measured on it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from vio.errors import DataError
from vio.io import asl_writer, tables
from vio.io.euroc_rig import euroc_rig
from vio.io.render_spec import RenderSpec, checked
from vio.io.renderer import Progress, write_pictures
from vio.io.rooms import furnished
from vio.io.scene import Scene
from vio.io.trajectory import Flight, Motion, through_poses

_ROOM_MARGIN = 2.5  # m from the flight to the walls, at least
_FLOOR_MARGIN, _CEILING_MARGIN = 0.9, 1.2  # m below and above the flight
_EDGE = 0.1  # s at either end of the poses that no picture shows: there the spline is least sure
_LEAD = 0.5  # s of inertial data before the first picture


def render_hybrid(source: Path, spec: RenderSpec, directory: Path, progress: Progress | None = None) -> Path:
    """Render pictures along the ground truth of the ASL folder `source` and keep its IMU file byte for byte.

    The pictures show the smooth flight nearest to the recorded poses, and that flight is written as the ground truth (biases
    are the recorded ones). `spec` gives the room, the cameras, their rate and, as a limit, the duration; its flight and IMU
    are not used, and the room grows until the flight fits in. Raises DataError if the recording has no usable poses.
    """
    checked(spec)
    root = Path(source) / "mav0" if (Path(source) / "mav0").is_dir() else Path(source)
    t_ns, states = _recorded_states(root)
    imu_ns = tables.read_numbers(root / "imu0" / "data.csv", 6)[0]
    try:
        flight = through_poses(t_ns, states[:, :3], states[:, 3:7])
    except ValueError as error:
        raise DataError(f"{root / asl_writer.TRUTH}: {error}") from None
    frame_ns = _frame_stamps(t_ns, imu_ns, spec)
    kept = (t_ns >= frame_ns[0] - round(_LEAD * 1e9)) & (t_ns <= frame_ns[-1] + round(_EDGE * 1e9 / 2))
    motion = flight.at(t_ns[kept])
    scene = room_around(motion, spec)
    rig = euroc_rig(spec.width, spec.height)
    with asl_writer.whole_folder(Path(directory)) as folder:
        asl_writer.copy_imu(root / "imu0", folder / "mav0" / "imu0", rig.imu)
        asl_writer.write_truth(folder / "mav0" / asl_writer.TRUTH, motion, states[kept, 10:13], states[kept, 13:16])
        write_pictures(spec, scene, flight, rig, frame_ns, folder / "mav0", progress)
    return Path(directory)


def _recorded_states(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (n,) and states (n, 16) of the ground truth."""
    path = root / asl_writer.TRUTH / "data.csv"
    if not path.is_file():
        raise DataError(f"{path}: missing; a hybrid needs the ground truth of a recording")
    return tables.read_numbers(path, 16)[:2]


def _frame_stamps(t_ns: np.ndarray, imu_ns: np.ndarray, spec: RenderSpec) -> np.ndarray:
    """Evenly spaced stamps that begin where both poses and inertial data have begun."""
    first = max(int(t_ns[0]) + round(_EDGE * 1e9), int(imu_ns[0]) + round(_LEAD * 1e9))
    last = min(int(t_ns[-1]) - round(_EDGE * 1e9), int(imu_ns[-1]), first + round(spec.duration * 1e9))
    if last <= first:
        raise DataError("ground truth and inertial data do not overlap long enough")
    count = int((last - first) * 1e-9 * spec.frame_hz)
    return first + np.rint(np.arange(count) * (1e9 / spec.frame_hz)).astype(np.int64)


def room_around(motion: Motion, spec: RenderSpec) -> Scene:
    """The room of the specification, as large as the flight needs, around it, without what would stand in its way."""
    low, high = motion.p_WB.min(axis=0), motion.p_WB.max(axis=0)
    span = high - low
    length, width = (max(size, span[k] + 2 * _ROOM_MARGIN) for k, size in enumerate((spec.room.length, spec.room.width)))
    height = max(spec.room.height, span[2] + _FLOOR_MARGIN + _CEILING_MARGIN)
    room = replace(spec.room, length=float(length), width=float(width), height=float(height))
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2] - _FLOOR_MARGIN])
    scene = furnished(room, spec.seed, motion.p_WB[::20] - origin)
    return scene._replace(center=scene.center + origin)


def flight_along(source: Path) -> Flight:
    """The smooth flight through the ground truth of an ASL folder."""
    root = Path(source) / "mav0" if (Path(source) / "mav0").is_dir() else Path(source)
    t_ns, states = _recorded_states(root)
    return through_poses(t_ns, states[:, :3], states[:, 3:7])
