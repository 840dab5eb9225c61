"""Faults by name, as texts like `black:left,start=5,duration=2`, and applied in turn."""

import dataclasses
import math

import numpy as np

from vio.errors import ConfigError
from vio.io.faults import clocks, inertial, pictures, rig, scene
from vio.io.faults.base import Fault
from vio.io.faults.take import Take
from vio.io.sequence import Sequence

FAULTS: dict[str, type[Fault]] = {
    "drop": pictures.Drop,
    "duplicate": pictures.Duplicate,
    "black": pictures.Black,
    "frozen": pictures.Frozen,
    "overexposed": pictures.Overexposed,
    "exposure-jumps": pictures.ExposureJumps,
    "plain": scene.Plain,
    "moving": scene.Moving,
    "lost": pictures.Lost,
    "truncated-images": pictures.TruncatedImages,
    "truncated-table": inertial.TruncatedTable,
    "imu-gap": inertial.ImuGap,
    "imu-drop": inertial.ImuDrop,
    "imu-saturation": inertial.ImuSaturation,
    "imu-spikes": inertial.ImuSpikes,
    "imu-noise": inertial.ImuNoise,
    "units": inertial.Units,
    "clock-offset": clocks.ClockOffset,
    "clock-drift": clocks.ClockDrift,
    "jitter": clocks.Jitter,
    "out-of-order": clocks.OutOfOrder,
    "extrinsics": rig.Extrinsics,
    "mount": rig.Mount,
    "extrinsics-inverted": rig.ExtrinsicsInverted,
    "swapped-cameras": rig.SwappedCameras,
}


def parse(text: str) -> Fault:
    """The fault that `NAME`, `NAME:WORD` or `NAME:WORD,key=value,...` describes. Raises ConfigError listing what is known."""
    name, _, rest = text.strip().partition(":")
    if name not in FAULTS:
        raise ConfigError(f"--fault {text}: no fault '{name}'; known: {', '.join(FAULTS)}")
    fields = {f.name: f for f in dataclasses.fields(FAULTS[name])}
    values: dict[str, str | float] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = _field_of(part, fields, text), part
        if key not in fields:
            raise ConfigError(f"--fault {text}: '{name}' has no parameter '{key}'; it has: {', '.join(fields)}")
        values[key] = _value(fields[key], value.strip(), text)
    return FAULTS[name](**values)


def corrupted(sequence: Sequence, faults: list[str], seed: int = 0) -> Sequence:
    """The sequence with faults given as texts, on the fly. Raises ConfigError for a text, DataError for a fault it cannot have."""
    return damaged(sequence, faults, seed).sequence()


def damaged(sequence: Sequence, faults: list[str], seed: int = 0) -> Take:
    """The record behind `corrupted`: faults apply in their order, each with random numbers of its own."""
    take = Take.of(sequence)
    for number, fault in enumerate([parse(text) for text in faults]):
        take = fault.apply(take, np.random.default_rng((seed, number)))
    return take


def descriptions() -> list[tuple[str, str, str]]:
    """Name, what it does and its parameters with their defaults, for every fault."""
    rows = []
    for name, kind in FAULTS.items():
        rows.append((name, " ".join((kind.__doc__ or "").split()), "; ".join(_described(f) for f in dataclasses.fields(kind))))
    return rows


def _described(field: dataclasses.Field) -> str:
    """One parameter in words."""
    if "choices" in field.metadata:
        return f"{field.name}={'|'.join(field.metadata['choices'])}"
    default = "to the end" if math.isinf(field.default) else f"{field.default:g}"
    return f"{field.name}={default} ({field.metadata['meaning']})"


def _field_of(word: str, fields: dict[str, dataclasses.Field], text: str) -> str:
    """The parameter that takes a bare word."""
    choices = {key: f.metadata["choices"] for key, f in fields.items() if "choices" in f.metadata}
    for key, words in choices.items():
        if word in words:
            return key
    known = "; ".join(f"{key}: {', '.join(words)}" for key, words in choices.items()) or f"write key=value; it has: {', '.join(fields)}"
    raise ConfigError(f"--fault {text}: '{word}' is not understood; known words: {known}")


def _value(field: dataclasses.Field, value: str, text: str) -> str | float:
    """A word of the field's choices, or a number of its range."""
    if "choices" in field.metadata:
        if value not in field.metadata["choices"]:
            raise ConfigError(f"--fault {text}: '{field.name}' is '{value}'; allowed: {', '.join(field.metadata['choices'])}")
        return value
    low, high = field.metadata["low"], field.metadata["high"]
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ConfigError(f"--fault {text}: '{field.name}' is '{value}'; allowed: a number of {low:g} to {high:g}")
    return number
