"""Rendered pictures along recorded poses, with simulated inertial data or with those that were really measured ("hybrid")."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from vio.errors import DataError
from vio.io import asl_writer, tables
from vio.io.euroc_rig import euroc_rig
from vio.io.pictures import write_pictures
from vio.io.progress import Progress
from vio.io.recorded_flight import RecordedPoses, flight_through, read_poses
from vio.io.render_spec import RenderSpec, checked
from vio.io.renderer import exposure_margin, write_simulated_imu
from vio.io.rooms import furnished
from vio.io.scene import Scene
from vio.io.simulator import stamps
from vio.io.trajectory import Flight, Motion

_ROOM_MARGIN = 2.5  # m from the flight to the walls, at least
_FLOOR_MARGIN, _CEILING_MARGIN = 0.9, 1.2  # m below and above the flight
_EDGE = 0.1  # s at either end of the poses that no picture shows: there the spline is least sure
_LEAD = 0.5  # s of recorded inertial data before the first picture
_CLEAR_EVERY = 0.1  # s between the points of the flight that furniture keeps away from


def render_along(source: Path, spec: RenderSpec, directory: Path, progress: Progress | None = None) -> RecordedPoses:
    """Render pictures along the poses of `source` (see `read_poses`) and simulate the IMU on the same smooth flight.

    That flight is the ground truth, exactly; its stamps are the recording's. `spec` gives the room, the cameras, the IMU and,
    as a limit, the duration; its flight is not used, and the room grows until the recorded one fits in. Returns the poses.
    Raises DataError if the recording has no usable poses.
    """
    checked(spec)
    poses = read_poses(source)
    flight, rig = flight_through(poses), euroc_rig(spec.width, spec.height)
    edge = _edge(spec)
    lead = min(spec.lead, 0.5 * (flight.end - flight.start))
    frame_ns = _frame_stamps(poses, int(poses.t_ns[0]) + round((lead + edge) * 1e9), int(poses.t_ns[-1]) - round(edge * 1e9), spec)
    shift = int(frame_ns[0])
    imu_ns = stamps(-lead, (int(frame_ns[-1]) - shift) * 1e-9 + edge / 2, rig.imu.rate_hz, shift)
    scene = room_around(flight.at(poses.t_ns), spec)
    with asl_writer.whole_folder(Path(directory)) as folder:
        write_simulated_imu(spec, flight, rig, imu_ns, folder / "mav0")
        write_pictures(spec, scene, flight, rig, frame_ns, folder / "mav0", progress)
    return poses


def render_hybrid(source: Path, spec: RenderSpec, directory: Path, progress: Progress | None = None) -> RecordedPoses:
    """Render pictures along the ground truth of the ASL folder `source` and keep its IMU file byte for byte.

    The pictures show the smooth flight nearest to the recorded poses, and that flight is written as the ground truth (biases
    are the recorded ones). `spec` is used as by `render_along`, but for its IMU. Raises DataError if the recording has no
    usable poses or no inertial data.
    """
    checked(spec)
    root = Path(source) / "mav0" if (Path(source) / "mav0").is_dir() else Path(source)
    if not (root / "imu0" / "data.csv").is_file():
        raise DataError(f"{root / 'imu0' / 'data.csv'}: missing; a hybrid keeps the IMU of an ASL folder, so simulate one here")
    poses = read_poses(source)
    flight, rig, edge = flight_through(poses), euroc_rig(spec.width, spec.height), round(_edge(spec) * 1e9)
    imu_ns = tables.read_numbers(root / "imu0" / "data.csv", 6)[0]
    first = max(int(poses.t_ns[0]) + edge, int(imu_ns[0]) + round(_LEAD * 1e9))
    frame_ns = _frame_stamps(poses, first, min(int(poses.t_ns[-1]) - edge, int(imu_ns[-1])), spec)
    kept = (poses.t_ns >= frame_ns[0] - round(_LEAD * 1e9)) & (poses.t_ns <= frame_ns[-1] + edge // 2)
    motion, scene = flight.at(poses.t_ns[kept]), room_around(flight.at(poses.t_ns), spec)
    with asl_writer.whole_folder(Path(directory)) as folder:
        asl_writer.copy_imu(root / "imu0", folder / "mav0" / "imu0", rig.imu)
        asl_writer.write_truth(folder / "mav0" / asl_writer.TRUTH, motion, poses.states[kept, 10:13], poses.states[kept, 13:16])
        write_pictures(spec, scene, flight, rig, frame_ns, folder / "mav0", progress)
    return poses


def _edge(spec: RenderSpec) -> float:
    """Seconds at either end of the poses that are left out."""
    return max(_EDGE, exposure_margin(spec))


def _frame_stamps(poses: RecordedPoses, first: int, last: int, spec: RenderSpec) -> np.ndarray:
    """Evenly spaced stamps from `first` to at most `last`, and at most the specification's duration."""
    last = min(last, first + round(spec.duration * 1e9))
    count = int((last - first) * 1e-9 * spec.frame_hz)
    if count < 2:
        raise DataError(f"{poses.path}: {len(poses.t_ns)} poses over {(poses.t_ns[-1] - poses.t_ns[0]) * 1e-9:.2f} s leave no time for two frames")
    return first + np.rint(np.arange(count) * (1e9 / spec.frame_hz)).astype(np.int64)


def room_around(motion: Motion, spec: RenderSpec) -> Scene:
    """The room of the specification, as large as the flight needs, around it, without what would stand in its way."""
    low, high = motion.p_WB.min(axis=0), motion.p_WB.max(axis=0)
    span = high - low
    length, width = (max(size, span[k] + 2 * _ROOM_MARGIN) for k, size in enumerate((spec.room.length, spec.room.width)))
    height = max(spec.room.height, span[2] + _FLOOR_MARGIN + _CEILING_MARGIN)
    room = replace(spec.room, length=float(length), width=float(width), height=float(height))
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2] - _FLOOR_MARGIN])
    seconds = (motion.t_ns - motion.t_ns[0]) * 1e-9
    at = np.unique(np.searchsorted(seconds, np.arange(0.0, seconds[-1], _CLEAR_EVERY)))
    scene = furnished(room, spec.seed, motion.p_WB[at] - origin)
    return scene._replace(center=scene.center + origin)


def flight_along(source: Path) -> Flight:
    """The smooth flight through the ground truth of a recording."""
    return flight_through(read_poses(source))
