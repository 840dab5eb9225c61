"""What a rendered sequence is: plain data that a TOML table can hold, and its digest."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vio.errors import ConfigError
from vio.io.euroc_rig import INITIAL_ACCEL_BIAS, INITIAL_GYRO_BIAS
from vio.io.rooms import KINDS, RoomSpec
from vio.io.trajectory import Harmonics


@dataclass(frozen=True)
class CameraSpec:
    """How light becomes grey levels, alike for both cameras.

    gain: grey levels are 255 gain radiance. vignetting: share of light lost in the corners. softness: weight of each of the
    four neighbours in the lens's blur. read_noise: deviation in grey levels; shot_noise: variance per grey level.
    shutter: s the shutter is open, seen at up to `shutter_samples` moments: as many as pixels move by, and one at least.
    readout: s from the first row's exposure to the last row's, the middle row's being at the stamp; 0 is a global shutter. auto_exposure: mean grey level that each camera seeks
    by itself, following with a delay of `exposure_lag` s; 0 keeps `gain`.
    """

    gain: float = 2.0
    vignetting: float = 0.3
    softness: float = 0.08
    read_noise: float = 0.9
    shot_noise: float = 0.012
    shutter: float = 0.0
    shutter_samples: int = 1
    readout: float = 0.0
    auto_exposure: float = 0.0
    exposure_lag: float = 0.4


@dataclass(frozen=True)
class ImuSpec:
    """What the IMU makes of the motion: saturated(M motion + bias + noise), with a matrix M for each of its triads.

    Biases at the start, b_g rad/s and b_a m/s^2; noise_factor on EuRoC's densities (0: none). M is lower triangular (Rehder et
    al., "Extending kalibr", ICRA 2016): 1 + scale on its diagonal, misalignment (yx, zx, zy) below it. limits: rad/s and m/s^2;
    the defaults are the ranges of EuRoC's ADIS16448, 1000 degrees/s and 18 g.
    """

    gyro_bias: tuple[float, float, float] = INITIAL_GYRO_BIAS
    accel_bias: tuple[float, float, float] = INITIAL_ACCEL_BIAS
    noise_factor: float = 1.0
    gyro_scale: tuple[float, float, float] = (0.0, 0.0, 0.0)
    accel_scale: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gyro_misalignment: tuple[float, float, float] = (0.0, 0.0, 0.0)
    accel_misalignment: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gyro_limit: float = 17.45
    accel_limit: float = 176.5


@dataclass(frozen=True)
class RenderSpec:
    """A sequence: `duration` s of pictures at `frame_hz`, inertial data from `lead` s before the first to just after the last.

    width, height: pixels of both cameras. seed: of the room, its textures and all noise.
    """

    seed: int = 1
    duration: float = 20.0
    lead: float = 0.5
    frame_hz: float = 20.0
    width: int = 752
    height: int = 480
    room: RoomSpec = field(default_factory=RoomSpec)
    camera: CameraSpec = field(default_factory=CameraSpec)
    imu: ImuSpec = field(default_factory=ImuSpec)
    flight: Harmonics = field(default_factory=Harmonics)

    def digest(self) -> str:
        """Twelve hexadecimal digits of all that differs from the defaults: a new option leaves them as they are."""
        defaults = dict(_leaves(RenderSpec()))
        changed = [(name, value) for name, value in _leaves(self) if defaults.get(name) != value]
        return hashlib.sha256(repr(changed).encode()).hexdigest()[:12]


def checked(spec: RenderSpec, source: str = "render") -> RenderSpec:
    """The specification itself. Raises ConfigError if nothing can be rendered from it."""
    for name, value in _leaves(spec):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{source}: '{name}' is {value}; it must be finite")
    if not 0.1 <= spec.frame_hz <= 1000.0:
        raise ConfigError(f"{source}: 'frame_hz' is {spec.frame_hz}; allowed: 0.1 to 1000")
    limits = {
        "duration": (spec.duration, 0.1, 3600.0),
        "lead": (spec.lead, 0.0, 60.0),
        "width": (spec.width, 16, 4096),
        "height": (spec.height, 16, 4096),
        "room.length": (spec.room.length, 2.0, 1000.0),
        "room.width": (spec.room.width, 2.0, 1000.0),
        "room.height": (spec.room.height, 1.5, 200.0),
        "room.light": (spec.room.light, 0.0, 1000.0),
        "room.ambient": (spec.room.ambient, 0.0, 1000.0),
        "room.pieces": (spec.room.pieces, 0, 100),
        "camera.gain": (spec.camera.gain, 0.001, 1000.0),
        "camera.read_noise": (spec.camera.read_noise, 0.0, 100.0),
        "camera.shot_noise": (spec.camera.shot_noise, 0.0, 10.0),
        "camera.shutter": (spec.camera.shutter, 0.0, 1.0 / spec.frame_hz),
        "camera.readout": (spec.camera.readout, 0.0, 1.0 / spec.frame_hz),
        "camera.shutter_samples": (spec.camera.shutter_samples, 1, 64),
        "camera.softness": (spec.camera.softness, 0.0, 0.2),
        "camera.auto_exposure": (spec.camera.auto_exposure, 0.0, 250.0),
        "camera.exposure_lag": (spec.camera.exposure_lag, 0.001, 100.0),
        "camera.vignetting": (spec.camera.vignetting, 0.0, 1.0),
        "imu.noise_factor": (spec.imu.noise_factor, 0.0, 1e6),
        "imu.gyro_limit": (spec.imu.gyro_limit, 0.01, 1e6),
        "imu.accel_limit": (spec.imu.accel_limit, 0.01, 1e6),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ConfigError(f"{source}: '{name}' is {value}; allowed: {low} to {high}")
    if spec.room.kind not in KINDS:
        raise ConfigError(f"{source}: no room of kind '{spec.room.kind}'; known: {', '.join(KINDS)}")
    return spec


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, plain value) of every field, those of vectors and waves one by one."""
    if dataclasses.is_dataclass(value):
        for entry in dataclasses.fields(value):
            yield from _leaves(getattr(value, entry.name), f"{name}.{entry.name}".lstrip("."))
    elif isinstance(value, tuple):
        yield name, len(value)
        for k, item in enumerate(value):
            yield from _leaves(item, f"{name}[{k}]")
    else:
        yield name, value
