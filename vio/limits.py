"""What a configuration may be: the range of every number, the words of every text field."""

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from vio import precision
from vio.errors import ConfigError
from vio.files import shown

if TYPE_CHECKING:
    from vio.config import Config

MOST_LANDMARKS = 20_000

# (field, smallest, largest): outside of these a run is meaningless or a fixed-size buffer overflows.
_LIMITS = (
    ("frontend.max_features", 10, 2000),
    ("frontend.pyramid_levels", 1, 6),
    ("frontend.klt_window", 5, 31),
    ("frontend.klt_iterations", 1, 100),
    ("frontend.klt_epsilon_log2", -12, 2),
    ("frontend.klt_max_residual", 0, 255),
    ("frontend.klt_min_eigenvalue", 0.0, 1e4),
    ("frontend.corner_window", 3, 7),
    ("frontend.corner_quality", 0.0, 1.0),
    ("frontend.min_distance", 0, 200),
    ("frontend.grid_rows", 1, 100),
    ("frontend.grid_cols", 1, 100),
    ("frontend.ransac_iterations", 1, 10000),
    ("frontend.stereo_level", 0, 5),
    ("frontend.stereo_window", 3, 31),
    ("frontend.stereo_step", 0.25, 10.0),
    ("frontend.border", 1, 100),
    ("backend.window", 3, 30),
    ("backend.iterations", 1, 100),
    ("backend.frame_iterations", 0, 100),
    ("backend.max_landmarks", 50, MOST_LANDMARKS),
    ("backend.pixel_sigma", 1e-3, 100.0),
    ("backend.stereo_sigma", 1e-3, 100.0),
    ("backend.cauchy", 1e-3, 1e6),
    ("backend.cauchy_contradicted", 1e-3, 1.0),
    ("backend.gate", 0.1, 1e9),
    ("backend.min_depth", 1e-3, 10.0),
    ("backend.max_depth", 1.0, 1e6),
    ("frontend.anchor_reach", 0.0, 16.0),
    ("frontend.anchor_max_residual", 0.0, 255.0),
    ("frontend.hold_time", 0.0, 60.0),
    ("frontend.exposure_jump", 1.01, 1e6),
    ("health.frame_gap", 1.01, 1e6),
    ("health.recover_frames", 1, 10000),
    ("health.restart_after", 0.1, 1e6),
    ("rest.span", 0.1, 10.0),
    ("rest.min_tracks", 3, 2000),
    ("rest.velocity_sigma", 1e-4, 10.0),
    ("rest.memory", 0.1, 1e4),
    ("online.dead_zone", 0.0, 1.0),
    ("online.beat_scatter", 0.0, 1.0),
    ("online.witnesses", 1, 1000),
    ("mono.window", 3, 30),
    ("mono.keyframe_max_interval", 0.01, 10.0),
    ("mono.accel_walk_scale", 1e-6, 1e6),
    ("mono.parallax", 0.0, 1000.0),
    ("mono.usual_depth", 0.1, 1000.0),
    ("mono.iterations", 1, 100),
    ("mono.cost_tolerance", 0.0, 1.0),
    ("mono.pixel_sigma", 1e-3, 100.0),
    ("mono.interval", 0.0, 10.0),
    ("mono.span", 0.01, 1.0),
    ("mono.velocity_sigma", 1e-3, 1e3),
    ("mono.tilt_sigma", 1e-3, 3.0),
    ("mono.gyro_noise_scale", 1e-6, 1e6),
    ("mono.accel_noise_scale", 1e-6, 1e6),
    ("mono.jitter", 0.0, 1.0),
    ("mono.contradiction", 1e-3, 1e6),
    ("mono.trembling", 1.0, 1e6),
    ("online.time_offset_sigma", 1e-5, 1.0),
    ("online.time_offset_walk", 0.0, 1.0),
    ("online.shift_sigma", 1e-5, 10.0),
    ("online.turn_sigma", 1e-5, 3.0),
    ("online.max_time_offset", 0.0, 1.0),
    ("online.max_shift", 0.0, 10.0),
    ("online.max_turn", 0.0, 3.0),
    ("backend.gyro_noise_scale", 1e-6, 1e6),
    ("backend.accel_noise_scale", 1e-6, 1e6),
    *((f"backend.{sensor}_{cause}", 0.0, 1e3) for sensor in ("gyro", "accel") for cause in ("vibration", "motion")),
    *((f"initial.{name}", 1e-9, 1e6) for name in ("accel_window", "still_gyro", "still_accel")),
    *((f"initial.{name}_sigma_{case}", 1e-9, 1e6) for name in ("tilt", "velocity") for case in ("still", "moving")),
    ("initial.gyro_bias_sigma", 1e-9, 1e6),
    ("initial.accel_bias_sigma", 1e-9, 1e6),
)

_LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 1e12  # of the fields without a range of their own

_WORDS = (
    ("frontend.corner", r"shi_tomasi|harris", "shi_tomasi, harris"),
    ("frontend.frame_store", r"raw|block1|block2", "raw, block2, block1"),
    ("backend.arithmetic", r"float64|float32|m([1-9]|[1-4]\d|5[0-2])", "float64, float32, or m1 to m52, a mantissa of so many bits"),
)


def _check_numbers(part: Any, where: str, source: str) -> None:
    """Raise ConfigError for a number that no register and no equation can take, whatever its field."""
    for name, value in vars(part).items():
        if dataclasses.is_dataclass(value):
            _check_numbers(value, f"{where}{name}.", source)
        most = _LARGEST_INT if isinstance(value, int) else LARGEST_FLOAT
        if isinstance(value, int | float) and not abs(value) <= most:
            raise ConfigError(f"{source}: '{where}{name}' is {shown(value)}; allowed: up to {most:g} in magnitude")


def _check_words(config: "Config", source: str) -> None:
    """Raise ConfigError for a text field that is none of its words."""
    for name, pattern, allowed in _WORDS:
        section, attribute = name.split(".")
        value = getattr(getattr(config, section), attribute)
        if not re.fullmatch(pattern, value):
            raise ConfigError(f"{source}: '{name}' is {value!r}; allowed: {allowed}")


def validated(config: "Config", source: str) -> "Config":
    """Return the config if every value makes sense, else raise ConfigError naming the field and its range."""
    _check_numbers(config, "", source)
    for name, smallest, largest in _LIMITS:
        section, attribute = name.split(".")
        value = getattr(getattr(config, section), attribute)
        if not smallest <= value <= largest:
            raise ConfigError(f"{source}: '{name}' is {value}; allowed: {smallest} to {largest}")
    _check_words(config, source)
    for name in ("klt_window", "corner_window"):
        if getattr(config.frontend, name) % 2 == 0:
            raise ConfigError(f"{source}: 'frontend.{name}' is {getattr(config.frontend, name)}; it must be odd")
    try:
        precision.check(config.precision)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return config
