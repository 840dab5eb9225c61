"""Fixed-point formats and the only rounding and saturation of the project. Imports nothing above itself."""

from dataclasses import dataclass
from enum import Enum

import numba
import numpy as np


class Rounding(str, Enum):
    """What happens to the bits that are dropped."""

    NEAREST_EVEN = "nearest_even"
    TRUNCATE = "truncate"  # towards minus infinity, an arithmetic shift


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format: value = raw * 2**-frac_bits, raw has `bits` bits (sign included), saturating.

    The numpy dtype that carries a raw value is a container and never means a width.
    """

    bits: int
    frac_bits: int = 0
    signed: bool = True
    rounding: Rounding = Rounding.NEAREST_EVEN

    @property
    def raw_min(self) -> int:
        """Smallest raw value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def raw_max(self) -> int:
        """Largest raw value."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def resolution(self) -> float:
        """Value of one raw step."""
        return 2.0**-self.frac_bits

    def to_raw(self, value: np.ndarray | float) -> np.ndarray:
        """Quantise float values to int64 raw values: nearest even or truncated as declared, then saturated."""
        scaled = np.asarray(value, np.float64) * 2.0**self.frac_bits
        rounded = np.rint(scaled) if self.rounding is Rounding.NEAREST_EVEN else np.floor(scaled)
        return np.clip(rounded, self.raw_min, self.raw_max).astype(np.int64)

    def to_float(self, raw: np.ndarray | int) -> np.ndarray:
        """Value of raw integers, float64."""
        return np.asarray(raw, np.float64) * self.resolution


@numba.njit(cache=True, inline="always")
def round_shift(raw, shift):
    """Divide an integer by 2**shift, rounding to nearest, ties to even. A negative shift multiplies."""
    if shift <= 0:
        return raw << -shift
    down = raw >> shift
    remainder = raw - (down << shift)
    half = 1 << (shift - 1)
    if remainder > half or (remainder == half and (down & 1) == 1):
        down += 1
    return down


@numba.njit(cache=True, inline="always")
def saturate(raw, raw_min, raw_max):
    """Clamp an integer to a register's range."""
    return min(max(raw, raw_min), raw_max)


@numba.njit(cache=True, inline="always")
def narrow(raw, shift, raw_min, raw_max):
    """Pass a value into a narrower register: round to nearest even by `shift` bits, then saturate."""
    return saturate(round_shift(raw, shift), raw_min, raw_max)


@numba.njit(cache=True, inline="always")
def narrow32(raw, shift, raw_min, raw_max):
    """Same result as `narrow` for int32 arguments and 0 <= shift < 31, without a branch and without leaving 32 bits.

    For inner loops: numba widens int32 sums and `>>` to int64, which halves the vector lanes, hence casts and np.right_shift.
    The caller owes |raw| < 2**31 - 2**(shift - 1). Adding half - 1 + (lowest kept bit) and shifting rounds ties to even.
    """
    one = np.int32(1)
    shift = np.int32(np.int32(shift) & np.int32(31))
    is_shifted = min(shift, one)
    below_half = np.int32(np.int32((one << shift) >> 1) - is_shifted)
    bias = np.int32(below_half + np.int32(np.right_shift(raw, shift) & is_shifted))
    return min(max(np.right_shift(np.int32(raw + bias), shift), np.int32(raw_min)), np.int32(raw_max))


@numba.njit(cache=True, inline="always")
def round_divide(numerator, denominator):
    """Quotient of integers (denominator > 0) rounded to nearest, ties to even."""
    down = numerator // denominator
    twice = 2 * (numerator - down * denominator)
    if twice > denominator or (twice == denominator and (down & 1) == 1):
        down += 1
    return down
