"""Renderer: stereo pictures and inertial data of a flight through a textured room, written as an ASL/EuRoC folder.

One seed gives the same bytes whatever the number of threads: a picture depends on its pose, its exposure and its key alone.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from vio import lie
from vio.calibration import Calibration, ImuNoise
from vio.errors import DataError
from vio.io import asl_writer, counter_rng
from vio.io.euroc_rig import euroc_rig
from vio.io.eye import draw, exposures, eye_of
from vio.io.images import encode_png
from vio.io.render_spec import CameraSpec, RenderSpec, checked, load_specs
from vio.io.resources import resource
from vio.io.rooms import RoomSpec, furnished
from vio.io.scene import Scene
from vio.io.simulator import measure, stamps
from vio.io.trajectory import Flight, from_harmonics

VERSION = 3  # raise it whenever the same specification gives other bytes: cached sequences of old versions are then not used
EPOCH_NS = 1_700_000_000_000_000_000  # stamp of the first frame, of the size real recordings have
Progress = Callable[[int, int], None]
_THREADS = 2
_TAIL = 0.02  # s of inertial data after the last frame
_NOISE_STREAM, _IMU_STREAM = 21, 22


def flight_of(spec: RenderSpec) -> Flight:
    """The flight of a specification; time 0 is the first frame, at `EPOCH_NS`."""
    margin = spec.camera.shutter
    return from_harmonics(spec.flight, -spec.lead - margin, spec.duration + _TAIL + margin, EPOCH_NS)


def render_sequence(spec: RenderSpec, directory: Path, progress: Progress | None = None) -> Path:
    """Render a sequence into the new ASL folder `directory`, which appears only when it is whole; returns it.

    `progress(frames_done, frames)` hears of every frame. Raises ConfigError for an impossible specification, DataError if
    the folder exists or cannot be written.
    """
    checked(spec)
    flight, rig = flight_of(spec), euroc_rig(spec.width, spec.height)
    imu_ns = stamps(-spec.lead, spec.duration + _TAIL, rig.imu.rate_hz, EPOCH_NS)
    frame_ns = stamps(0.0, spec.duration, spec.frame_hz, EPOCH_NS)[:-1]
    motion = flight.at(imu_ns)
    noise = _scaled(rig.imu, spec.imu.noise_factor)
    inertial = measure(motion, noise, int(counter_rng.stream_key(spec.seed, _IMU_STREAM)), np.array(spec.imu.gyro_bias), np.array(spec.imu.accel_bias))
    with asl_writer.whole_folder(Path(directory)) as folder:
        asl_writer.write_imu(folder / "mav0" / "imu0", rig.imu, inertial)
        asl_writer.write_truth(folder / "mav0" / asl_writer.TRUTH, motion, inertial.b_g, inertial.b_a)
        write_pictures(spec, scene_of(spec), flight, rig, frame_ns, folder / "mav0", progress)
    return Path(directory)


def _scaled(noise: ImuNoise, factor: float) -> ImuNoise:
    """All densities times a factor."""
    return replace(noise, gyro_noise=factor * noise.gyro_noise, gyro_walk=factor * noise.gyro_walk, accel_noise=factor * noise.accel_noise, accel_walk=factor * noise.accel_walk)


def poses_at(flight: Flight, t_ns: np.ndarray) -> np.ndarray:
    """Body poses T_WB (n, 4, 4) of a flight."""
    motion = flight.at(t_ns)
    return np.array([lie.pose(lie.matrix_from_quat(q), p) for p, q in zip(motion.p_WB, motion.q_WB)])


def _shutter_poses(flight: Flight, frame_ns: np.ndarray, spec: CameraSpec) -> np.ndarray:
    """Poses (frames, shutter_samples, 4, 4): moments evenly over the exposure, whose middle is the frame's stamp."""
    k = spec.shutter_samples
    offsets = np.rint(((np.arange(k) + 0.5) / k - 0.5) * spec.shutter * 1e9).astype(np.int64)
    return poses_at(flight, (frame_ns[:, None] + offsets).ravel()).reshape(len(frame_ns), k, 4, 4)


def write_pictures(spec: RenderSpec, scene: Scene, flight: Flight, rig: Calibration, frame_ns: np.ndarray, root: Path, progress: Progress | None) -> None:
    """Draw and encode all pictures of both cameras into root/cam0 and root/cam1, each picture by one of the threads."""
    poses = _shutter_poses(flight, frame_ns, spec.camera)
    pairs = [(rig.left, rig.T_BC), (rig.right, rig.T_BR)]
    eyes = [eye_of(camera, T_BS, spec.camera) for camera, T_BS in pairs]
    gains = [exposures(scene, eye, poses[:, 0], spec.camera, spec.frame_hz) for eye in eyes]
    folders = [asl_writer.write_camera(root / f"cam{k}", eye.camera, eye.T_BS, spec.frame_hz, frame_ns) for k, eye in enumerate(eyes)]

    def one(index: int, side: int) -> None:
        key = counter_rng.stream_key(spec.seed, _NOISE_STREAM, side, index)
        picture = draw(scene, eyes[side], poses[index], spec.camera, key, float(gains[side][index]))
        path = folders[side] / f"{frame_ns[index]}.png"
        path.write_bytes(encode_png(picture, str(path)))

    jobs = [(index, side) for index in range(len(frame_ns)) for side in range(2)]
    for done, _ in enumerate(_in_threads(one, jobs), 1):
        if progress and done % 2 == 0:
            progress(done // 2, len(frame_ns))


def _in_threads(work: Callable[..., None], jobs: list[tuple[int, int]]) -> Iterator[None]:
    """Do all jobs, a few at a time, yielding in their order; on an error or an interruption no further one is begun."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="render") as pool:
        pending: deque[Future[None]] = deque()
        try:
            for job in jobs:
                pending.append(pool.submit(work, *job))
                if len(pending) > 2 * _THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@lru_cache(maxsize=2)
def _furnished(room: RoomSpec, seed: int) -> Scene:
    return furnished(room, seed)


def scene_of(spec: RenderSpec) -> Scene:
    """The room of a specification with its light; the last ones asked for are kept."""
    return _furnished(spec.room, spec.seed)


def builtin_names() -> tuple[str, ...]:
    """Names of the sequences that tinyvio renders itself, in the order of datasets/builtin.toml."""
    return tuple(builtin_specs())


def builtin_specs() -> dict[str, RenderSpec]:
    """Specifications of the built-in sequences, from datasets/builtin.toml."""
    return load_specs(resource("datasets", "builtin.toml"))


def builtin_sequence(name: str, cache_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """ASL folder of a built-in sequence, rendered when the cache does not hold it yet; `room@7` is `room` with seed 7.

    The cache is `cache_dir`, else $TINYVIO_CACHE, else the user's cache folder. Raises DataError for an unknown name.
    """
    specs = builtin_specs()
    base, at, seed = name.partition("@")
    if base not in specs or (at and not seed.isdecimal()):
        raise DataError(f"{name}: no built-in sequence of this name; built in: {', '.join(specs)}, each with another seed as in {next(iter(specs))}@7")
    spec = replace(specs[base], seed=int(seed)) if at else specs[base]
    folder = builtin_folder(name, spec, cache_dir)
    if (folder / "mav0").is_dir():
        return folder
    try:
        return render_sequence(spec, folder, progress)
    except (OSError, DataError) as error:
        if (folder / "mav0").is_dir():  # another process was quicker
            return folder
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder}: cannot be written ({error.strerror}); set TINYVIO_CACHE to a folder with room") from None


def builtin_folder(name: str, spec: RenderSpec, cache_dir: Path | None = None) -> Path:
    """Where a built-in sequence lies once it is rendered; the cache as for `builtin_sequence`."""
    return (Path(cache_dir) if cache_dir else default_cache()) / "rendered" / f"{name}-{spec.digest()}-v{VERSION}"


def default_cache() -> Path:
    """$TINYVIO_CACHE, or the folder that the platform keeps for such things."""
    chosen = os.environ.get("TINYVIO_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tinyvio"))
