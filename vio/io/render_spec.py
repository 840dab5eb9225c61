"""What a rendered sequence is: plain data that a TOML table can hold, and its digest."""

import dataclasses
import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vio.errors import ConfigError, DataError
from vio.io.euroc_rig import INITIAL_ACCEL_BIAS, INITIAL_GYRO_BIAS
from vio.io.rooms import KINDS, RoomSpec
from vio.io.trajectory import Harmonics


@dataclass(frozen=True)
class CameraSpec:
    """How light becomes grey levels, alike for both cameras.

    gain: grey levels are 255 gain radiance. vignetting: share of light lost in the corners. softness: weight of each of the
    four neighbours in the lens's blur. read_noise: deviation in grey levels; shot_noise: variance per grey level.
    shutter: s the shutter is open, seen at `shutter_samples` moments. auto_exposure: mean grey level that each camera seeks
    by itself, following with a delay of `exposure_lag` s; 0 keeps `gain`.
    """

    gain: float = 2.0
    vignetting: float = 0.3
    softness: float = 0.08
    read_noise: float = 0.9
    shot_noise: float = 0.012
    shutter: float = 0.0
    shutter_samples: int = 1
    auto_exposure: float = 0.0
    exposure_lag: float = 0.4


@dataclass(frozen=True)
class ImuSpec:
    """Biases at the start, b_g rad/s and b_a m/s^2, and a factor on EuRoC's noise densities (0: a perfect IMU)."""

    gyro_bias: tuple[float, float, float] = INITIAL_GYRO_BIAS
    accel_bias: tuple[float, float, float] = INITIAL_ACCEL_BIAS
    noise_factor: float = 1.0


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
        """Twelve hexadecimal digits that differ when any field differs."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


def load_specs(path: Path) -> dict[str, RenderSpec]:
    """Read a TOML file of sequences, one table each; `like = "name"` starts from an earlier table instead of the defaults.

    Raises DataError or ConfigError naming file and field.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    specs: dict[str, RenderSpec] = {}
    for name, table in tables.items():
        base = RenderSpec()
        if isinstance(table, dict) and "like" in table:
            like = table.pop("like")
            if like not in specs:
                raise ConfigError(f"{path}: '{name}.like' is {like!r}, which is no table above it")
            base = specs[like]
        specs[name] = checked(_filled(base, table, name, path), f"{path}: {name}")
    return specs


def checked(spec: RenderSpec, source: str = "render") -> RenderSpec:
    """The specification itself. Raises ConfigError if nothing can be rendered from it."""
    limits = {
        "duration": (spec.duration, 0.1, 3600.0),
        "lead": (spec.lead, 0.0, 60.0),
        "frame_hz": (spec.frame_hz, 0.1, 1000.0),
        "width": (spec.width, 16, 4096),
        "height": (spec.height, 16, 4096),
        "room.pieces": (spec.room.pieces, 0, 100),
        "camera.shutter_samples": (spec.camera.shutter_samples, 1, 64),
        "camera.softness": (spec.camera.softness, 0.0, 0.2),
        "camera.auto_exposure": (spec.camera.auto_exposure, 0.0, 250.0),
        "camera.exposure_lag": (spec.camera.exposure_lag, 0.001, 100.0),
        "camera.vignetting": (spec.camera.vignetting, 0.0, 1.0),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ConfigError(f"{source}: '{name}' is {value}; allowed: {low} to {high}")
    if spec.room.kind not in KINDS:
        raise ConfigError(f"{source}: no room of kind '{spec.room.kind}'; known: {', '.join(KINDS)}")
    return spec


def _filled(base: Any, table: Any, where: str, path: Path) -> Any:
    """`base` with the fields of a TOML table put in; unknown names and wrong types are refused."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: '{where}' is a table, not {table!r}")
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    values = {}
    for name, value in table.items():
        if name not in fields:
            raise ConfigError(f"{path}: unknown field '{where}.{name}'; known here: {', '.join(fields)}")
        values[name] = _converted(fields[name], value, f"{where}.{name}", path)
    return dataclasses.replace(base, **values)


def _converted(old: Any, value: Any, where: str, path: Path) -> Any:
    """One TOML value in the type of the field it replaces."""
    if dataclasses.is_dataclass(old):
        return _filled(old, value, where, path)
    try:
        if isinstance(old, tuple):
            # the only tuples are a vector and the waves of a channel: rows of three numbers
            if isinstance(value[0], list):
                return tuple(_numbers(row, 3) for row in value)
            return _numbers(value, len(old))
        return float(value) if isinstance(old, float) else _same_type(old, value)
    except (TypeError, ValueError, IndexError, KeyError):
        raise ConfigError(f"{path}: '{where}' is {value!r}, which does not fit") from None


def _numbers(row: list, count: int) -> tuple[float, ...]:
    if len(row) != count:
        raise ValueError
    return tuple(float(v) for v in row)


def _same_type(old: Any, value: Any) -> Any:
    if type(value) is not type(old):
        raise TypeError
    return value

