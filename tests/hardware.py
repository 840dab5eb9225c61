"""The Navion profile, its typical counts, chip and technology, as the tests of the hardware model use them."""

import dataclasses
from functools import cache
from typing import Any

from hwmodel.chip import Chip, load_chip
from hwmodel.counts import Counts, typical
from hwmodel.technology import Technology, load_technology
from vio.commands.common import resolve_config
from vio.config import Config
from vio.fixed import Fixed


@cache
def navion() -> tuple[Config, Counts, Technology, Chip]:
    """(config, counts, technology, chip)."""
    counts = typical("navion")
    assert counts is not None
    return resolve_config("navion", []), counts, load_technology("65nm-lstp"), load_chip("navion")


def with_fields(config: Config, section: str, **fields: Any) -> Config:
    """A configuration with some fields of one section changed."""
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **fields)})


def widened(config: Config, signal: str, by: int = 1) -> Config:
    """A configuration with one signal `by` bits wider."""
    fmt: Fixed = getattr(config.precision, signal)
    return with_fields(config, "precision", **{signal: dataclasses.replace(fmt, bits=fmt.bits + by)})
