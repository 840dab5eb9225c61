"""Word lengths as plain integers: what the datapaths and buffers of the model are built from."""

from typing import NamedTuple

from vio.config import Config

FLOAT = 64  # bits of every floating-point number outside the linear solver
GUARD = 2  # bits that a sum of three products needs above one of them


def solver_bits(config: Config) -> int:
    """Width of the linear solver's numbers: 64, 32, or N explicit mantissa bits, 11 of exponent and a sign for mN."""
    arithmetic = config.backend.arithmetic
    if arithmetic.startswith("m"):
        return int(arithmetic.removeprefix("m")) + 12
    return {"float64": 64, "float32": 32}[arithmetic]


def index_bits(count: int) -> int:
    """Bits that tell `count` things apart."""
    return max(1, (count - 1).bit_length())


class Area(NamedTuple):
    """A window's pixels: how many, by how many bits a sum over them grows, and the bits of their number."""

    pixels: int
    growth: int
    bits: int


def window_area(side: int) -> Area:
    """Of a square window."""
    pixels = side * side
    return Area(pixels, index_bits(pixels), pixels.bit_length())


def residual_input(config: Config) -> int:
    """Width of a sample minus its template, before the residual's register."""
    return max(config.precision.patch.bits, config.precision.template.bits) + 1
