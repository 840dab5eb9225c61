"""Renderer: stereo pictures and inertial data of a flight through a textured room, written as an ASL/EuRoC folder.

One seed gives the same bytes whatever the number of threads. Both kinds of data are written piece by piece: an hour's flight
needs hardly more memory than a second's.
"""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from vio.calibration import Calibration, ImuNoise
from vio.errors import ConfigError, DataError
from vio.io import asl_writer, counter_rng
from vio.io.euroc_rig import euroc_rig
from vio.io.progress import Progress
from vio.io.render_spec import ImuSpec, RenderSpec, checked
from vio.io.render_toml import load_specs
from vio.io.resources import resource
from vio.io.rooms import RoomSpec, enlarged, furnished
from vio.io.scene import Scene
from vio.io.simulator import ImuFaults, measured_pieces, simulate_flight, stamps
from vio.io.trajectory import Flight, Harmonics, from_harmonics


VERSION = 4  # raise it whenever the same specification gives other bytes: cached sequences of old versions are then not used
EPOCH_NS = 1_700_000_000_000_000_000  # stamp of the first frame, of the size real recordings have
_TAIL = 0.02  # s of inertial data after the last frame
_IMU_STREAM = 22
_AWAY = 0.6  # m: nothing stands nearer than this to the flight
_LOWEST = 0.2  # m above the floor


def flight_of(spec: RenderSpec) -> Flight:
    """The flight of a specification; time 0 is the first frame, at `EPOCH_NS`."""
    return _flight(spec.flight, spec.lead, spec.duration, exposure_margin(spec))


@lru_cache(maxsize=2)
def _flight(shape: Harmonics, lead: float, duration: float, margin: float) -> Flight:
    return from_harmonics(shape, -lead - margin, duration + _TAIL + margin, EPOCH_NS)


def exposure_margin(spec: RenderSpec) -> float:
    """Seconds before and after a frame's stamp within which its light is gathered."""
    return spec.camera.shutter + spec.camera.readout


def render_sequence(spec: RenderSpec, directory: Path, progress: Progress | None = None) -> Path:
    """Render a sequence into the new ASL folder `directory`, which appears only when it is whole; returns it.

    `progress(frames_done, frames)` hears of every frame. Raises ConfigError for an impossible specification, DataError if
    the folder exists or cannot be written.
    """
    from vio.io.pictures import write_pictures

    checked(spec)
    flight, rig = flight_of(spec), euroc_rig(spec.width, spec.height)
    imu_ns = stamps(-spec.lead, spec.duration + _TAIL, rig.imu.rate_hz, EPOCH_NS)
    frame_ns = stamps(0.0, spec.duration, spec.frame_hz, EPOCH_NS)[:-1]
    with asl_writer.whole_folder(Path(directory)) as folder:
        write_simulated_imu(spec, flight, rig, imu_ns, folder / "mav0")
        write_pictures(spec, scene_of(spec), flight, rig, frame_ns, folder / "mav0", progress)
    return Path(directory)


def write_simulated_imu(spec: RenderSpec, flight: Flight, rig: Calibration, imu_ns: np.ndarray, root: Path) -> None:
    """Write inertial data at stamps imu_ns (n,) and the exact states there below `root`."""
    seed, imu = int(counter_rng.stream_key(spec.seed, _IMU_STREAM)), spec.imu
    noise, biases = _scaled(rig.imu, imu.noise_factor), (np.array(imu.gyro_bias), np.array(imu.accel_bias))
    asl_writer.write_simulated(root, rig.imu, measured_pieces(flight, imu_ns, noise, seed, *biases, _faults(imu)))


def _scaled(noise: ImuNoise, factor: float) -> ImuNoise:
    """All densities times a factor."""
    return replace(noise, gyro_noise=factor * noise.gyro_noise, gyro_walk=factor * noise.gyro_walk, accel_noise=factor * noise.accel_noise, accel_walk=factor * noise.accel_walk)


def _faults(imu: ImuSpec) -> ImuFaults:
    """Scale, misalignment and ranges."""
    matrices = [_lower(imu.gyro_scale, imu.gyro_misalignment), _lower(imu.accel_scale, imu.accel_misalignment)]
    return ImuFaults(*matrices, imu.gyro_limit, imu.accel_limit)


def _lower(scale: tuple[float, float, float], misalignment: tuple[float, float, float]) -> np.ndarray:
    """Lower triangular matrix (3, 3) near the identity."""
    yx, zx, zy = misalignment
    return np.array([[1.0 + scale[0], 0.0, 0.0], [yx, 1.0 + scale[1], 0.0], [zx, zy, 1.0 + scale[2]]])


def scene_of(spec: RenderSpec) -> Scene:
    """The room of a specification with its light, large enough for the flight, without what would stand in its way.

    The last ones asked for are kept. Raises ConfigError for a flight below the floor.
    """
    return _furnished(spec.room, spec.seed, spec.flight, spec.lead, spec.duration)


@lru_cache(maxsize=2)
def _furnished(room: RoomSpec, seed: int, shape: Harmonics, lead: float, duration: float) -> Scene:
    path = simulate_flight(_flight(shape, lead, duration, 0.0), 10.0).p_WB
    if path[:, 2].min() < _LOWEST:
        raise ConfigError(f"the flight comes down to {path[:, 2].min():.2f} m above the floor; raise flight.z.offset until it keeps {_LOWEST} m")
    return furnished(enlarged(room, path, _AWAY), seed, path, _AWAY)


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
