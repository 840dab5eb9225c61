"""Fixed-point formats, the registers that kernels see, and the only rounding and overflow of the project. Imports nothing above itself.

`Fixed` declares a signal; `register` turns it into a `Register`, plain integers, for one place where a value enters it. A width,
a rounding or an overflow is thus data and never recompiles a kernel. A register with a log is another type, so that kernels which
record what passes through are compiled apart and the others pay nothing.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numba
import numpy as np

from vio.kernels import njit

class Rounding(str, Enum):
    """What happens to the bits that are dropped."""

    NEAREST_EVEN = "nearest_even"
    NEAREST_UP = "nearest_up"  # half a step is added, then truncated: the cheapest adder
    TRUNCATE = "truncate"  # towards minus infinity, an arithmetic shift


class Overflow(str, Enum):
    """What happens to a value beyond the register's range."""

    SATURATE = "saturate"
    WRAP = "wrap"  # the high bits are lost


_TIE = {Rounding.TRUNCATE: 0, Rounding.NEAREST_UP: 1, Rounding.NEAREST_EVEN: 2}


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format: value = raw * 2**-frac_bits, raw has `bits` bits, sign included.

    A negative frac_bits is a step of more than one. The numpy dtype that carries a raw value is a container and never means a width.
    """

    bits: int
    frac_bits: int = 0
    signed: bool = True
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE

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
        """Quantise float values to int64 raw values, rounded and limited as declared."""
        scaled = np.asarray(value, np.float64) * 2.0**self.frac_bits
        if self.rounding is Rounding.NEAREST_EVEN:
            rounded = np.rint(scaled)
        else:
            rounded = np.floor(scaled + (0.5 if self.rounding is Rounding.NEAREST_UP else 0.0))
        if self.overflow is Overflow.SATURATE:
            return np.clip(rounded, self.raw_min, self.raw_max).astype(np.int64)
        return np.mod(rounded.astype(np.int64) - self.raw_min, 1 << self.bits) + self.raw_min

    def to_float(self, raw: np.ndarray | int) -> np.ndarray:
        """Value of raw integers, float64."""
        return np.asarray(raw, np.float64) * self.resolution


class Register(NamedTuple):
    """One way into a signal, as kernels take it: out = overflow(round(raw * 2**up / 2**shift)).

    round adds `bias`, and one more where `even` is 1 and the lowest kept bit is set. mask is None where the register saturates;
    low and high are None where no value can leave the range, which spares an inner loop the test.
    log is None; or int64 (5,): smallest and largest value that came, how many overflowed, and the limits raw_min, raw_max; or int64
    (n, 1), a trace: how many values the register has held, then the first n - 1 of them.
    """

    up: int
    shift: int
    bias: int
    even: int
    low: int | None
    high: int | None
    mask: int | None
    tie: int  # rounding where the shift or the divisor is not known beforehand: 0 truncates, 1 nearest up, 2 nearest even
    log: np.ndarray | None


def register(fmt: Fixed, from_frac: int, log: np.ndarray | None = None, is_roomy: bool = False) -> Register:
    """The register of a signal for values that come with `from_frac` fraction bits; is_roomy: none of them can leave its range."""
    down = max(from_frac - fmt.frac_bits, 0)
    is_even = int(fmt.rounding is Rounding.NEAREST_EVEN and down > 0)
    half = 0 if fmt.rounding is Rounding.TRUNCATE else (1 << down) >> 1
    mask = (1 << fmt.bits) - 1 if fmt.overflow is Overflow.WRAP else None
    up = max(fmt.frac_bits - from_frac, 0)
    limits = (None, None, None) if is_roomy else (fmt.raw_min, fmt.raw_max, mask)
    return Register(up, down, half - is_even, is_even, *limits, _TIE[fmt.rounding], log)


def new_log(fmt: Fixed) -> np.ndarray:
    """An empty log for the registers of one signal."""
    return np.array([2**62, -(2**62), 0, fmt.raw_min, fmt.raw_max], np.int64)


def new_trace(values: int) -> np.ndarray:
    """An empty trace with room for that many values."""
    return np.zeros((values + 1, 1), np.int64)


def noted(value: int, log: np.ndarray | None) -> int:
    """Append what a register holds to its trace, where it has one."""
    if log is not None and log.ndim == 2:
        log[0, 0] += 1
        if log[0, 0] < log.shape[0]:
            log[log[0, 0], 0] = value
    return value


def observe(raw: int, log: np.ndarray | None) -> None:
    """Write a value into a register's log; kernels are compiled without a trace of it where there is none."""
    if log is not None and log.ndim == 1:
        log[0] = min(log[0], raw)
        log[1] = max(log[1], raw)
        log[2] += raw < log[3] or raw > log[4]


def limited(raw: int, low: int | None, high: int | None, mask: int | None) -> int:
    """Saturate to low .. high, or wrap modulo mask + 1, or nothing; chosen by the types when a kernel is compiled."""
    if low is None:
        return raw
    return min(max(raw, low), high) if mask is None else ((raw - low) & mask) + low


def lane(value: int | None) -> np.int32 | None:
    """A limit as an int32, None as None."""
    return None if value is None else np.int32(value)


@numba.extending.overload(lane, inline="always")
def _lane_compiled(value):
    if isinstance(value, numba.types.NoneType):
        return lambda value: None
    return lambda value: np.int32(value)


@numba.extending.overload(observe, inline="always")
def _observe_compiled(raw, log):
    if isinstance(log, numba.types.NoneType) or log.ndim == 2:
        return lambda raw, log: None

    def write(raw, log):
        log[0] = min(log[0], np.int64(raw))
        log[1] = max(log[1], np.int64(raw))
        log[2] += raw < log[3] or raw > log[4]

    return write


@numba.extending.overload(noted, inline="always")
def _noted_compiled(value, log):
    if isinstance(log, numba.types.NoneType) or log.ndim == 1:
        return lambda value, log: value

    def write(value, log):
        log[0, 0] += 1
        if log[0, 0] < log.shape[0]:
            log[log[0, 0], 0] = value
        return value

    return write


@numba.extending.overload(limited, inline="always")
def _limited_compiled(raw, low, high, mask):
    if isinstance(low, numba.types.NoneType):
        return lambda raw, low, high, mask: raw
    if isinstance(mask, numba.types.NoneType):
        return lambda raw, low, high, mask: min(max(raw, low), high)
    return lambda raw, low, high, mask: ((raw - low) & mask) + low


@njit(inline="always")
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


@njit(inline="always")
def fit(raw, reg):
    """Bring an integer that has the register's scale into its range, by saturation or by wrapping as declared."""
    observe(raw, reg.log)
    return noted(limited(raw, reg.low, reg.high, reg.mask), reg.log)


@njit(inline="always")
def narrow(raw, reg):
    """Pass a value into a register: scale, round, fit."""
    raw = raw << reg.up
    return fit((raw + reg.bias + ((raw >> reg.shift) & reg.even)) >> reg.shift, reg)


@njit(inline="always")
def fit32(raw, reg):
    """`fit` in a 32-bit lane."""
    observe(raw, reg.log)
    return np.int32(noted(limited(raw, lane(reg.low), lane(reg.high), reg.mask), reg.log))


@njit(inline="always")
def narrow32(raw, reg):
    """`narrow` for an int32 without a branch and without leaving 32 bits.

    For inner loops: numba widens int32 sums and `>>` to int64, which halves the vector lanes, hence casts and np.right_shift.
    The caller owes up = 0, shift < 31 and |raw| < 2**31 - 2**(shift - 1).
    """
    shift = np.int32(reg.shift)
    odd = np.int32(np.right_shift(raw, shift) & np.int32(reg.even))
    return fit32(np.right_shift(np.int32(raw + np.int32(np.int32(reg.bias) + odd)), shift), reg)


@njit(inline="always")
def round_divide(numerator, denominator):
    """Quotient of integers (denominator > 0) rounded to nearest, ties to even."""
    down = numerator // denominator
    twice = 2 * (numerator - down * denominator)
    if twice > denominator or (twice == denominator and (down & 1) == 1):
        down += 1
    return down


@njit
def quotient(numerator, denominator, reg):
    """numerator / denominator (integers, denominator > 0), rounded as the register declares, at full length."""
    down = numerator // denominator
    twice = 2 * (numerator - down * denominator)
    is_up = twice > denominator or (twice == denominator and (reg.tie == 1 or (down & 1) == 1))
    return down + 1 if reg.tie > 0 and is_up else down


@njit(inline="always")
def divide(numerator, denominator, reg):
    """Quotient of integers (denominator > 0) that has the register's scale, rounded and fitted."""
    return fit(quotient(numerator, denominator, reg), reg)


@njit
def lower(raw, shift, reg):
    """raw / 2**shift, rounded as the register declares, for a shift that is known only here; not fitted. A negative shift multiplies."""
    if shift <= 0 or reg.tie == 2:
        return round_shift(raw, shift)
    return (raw + ((1 << shift) >> 1 if reg.tie == 1 else 0)) >> shift
