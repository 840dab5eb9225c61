"""Fields of a configuration by their dotted names, and word lengths by the names of their signals."""

import dataclasses
import re
from typing import Any

from vio import config as configuration
from vio.config import Config
from vio.errors import ConfigError
from vio.fixed import Fixed
from vio.precision import FOLLOWING, GREY, Precision, tied

_QUOTIENT = 16  # fraction bits that the tracker's division yields
_FLOATS = {"float64": 52, "float32": 23}  # bits of the mantissa as stored (IEEE 754-2019, table 3.5)


def flattened(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested TOML table as {dotted name: value}; quoted dotted keys and nested tables come to the same."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flattened`."""
    table: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        inner = table
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return table


def changed(base: Config, values: dict[str, Any], source: str) -> Config:
    """`base` with {dotted name: value} put in. Raises ConfigError naming `source`, the field and what is allowed."""
    return configuration.replaced(base, nested(values), source)


def value_of(config: Config, path: str) -> Any:
    """Value of a field by its dotted name, as TOML would hold it."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return getattr(value, "value", value)  # of an enumeration


def signals() -> tuple[str, ...]:
    """Names of all signals that have a word length."""
    return tuple(f.name for f in dataclasses.fields(Precision))


def mantissa_bits(arithmetic: str) -> int | None:
    """Explicit bits of the mantissa of an arithmetic by name (`float64`, `float32`, `m12`); None for another text."""
    if arithmetic in _FLOATS:
        return _FLOATS[arithmetic]
    match = re.fullmatch(r"m(\d+)", arithmetic)
    return int(match.group(1)) if match else None


def with_widths(config: Config, widths: dict[str, int], source: str = "word_length") -> Config:
    """`config` with signals in other numbers of bits: fraction bits go first, then range. Accumulators follow, see `_followed`.

    Raises ConfigError for an unknown signal, and for widths that the configuration does not allow.
    """
    precision = config.precision
    for signal, bits in widths.items():
        if signal not in signals():
            raise ConfigError(f"{source}: no signal '{signal}'; known: {', '.join(signals())}")
        old: Fixed = getattr(precision, signal)
        frac_bits = old.frac_bits - (old.bits - bits)
        kept = old.frac_bits if signal in FOLLOWING else frac_bits if signal in GREY else max(0, frac_bits)
        new = dataclasses.replace(old, bits=bits, frac_bits=kept)
        precision = dataclasses.replace(precision, **{signal: new})
    return configuration.validated(dataclasses.replace(config, precision=_followed(precision)), source)


def _followed(precision: Precision) -> Precision:
    """No register keeps fraction bits that what flows into it does not have: they would only ever hold zeros."""

    def least(name: str, frac_bits: int) -> None:
        nonlocal precision
        fmt: Fixed = getattr(precision, name)
        surplus = fmt.frac_bits - frac_bits
        if surplus > 0:
            precision = dataclasses.replace(precision, **{name: dataclasses.replace(fmt, bits=fmt.bits - surplus, frac_bits=frac_bits)})

    least("patch", precision.weight.frac_bits)
    precision = tied(precision)
    least("gradient", precision.patch.frac_bits + 1)  # a central difference halves
    least("hessian", 2 * precision.gradient.frac_bits)
    least("residual_sum", precision.gradient.frac_bits + precision.residual.frac_bits)
    least("residual_sum", precision.step.frac_bits + precision.hessian.frac_bits)  # the step is residual_sum over hessian
    least("radius_sq", max(0, 2 * precision.ray.frac_bits))  # the square of a ray
    least("hessian", max(0, _QUOTIENT - precision.step.frac_bits + precision.residual_sum.frac_bits))
    return tied(precision)
