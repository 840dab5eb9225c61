"""Numbers that count what is done with them: run a slow twin on them and its operations lie in a tally.

A `CountingInt` carries the width of the register it stands in, and refuses a value that does not fit: a datapath whose widths are
too small fails. Shifts and products by a power of two are wires and free; a shift by a `CountingInt` is a barrel shifter.
"""

import math
from collections import Counter
from typing import Union

from hwmodel.operations import Op
from oracles import held, rounded
from vio.fixed import Fixed, Overflow, Rounding

Number = Union["CountingInt", int]
tally: Counter[Op] = Counter()


def counted(function, *arguments):
    """(result, operations) of a call; the operations as a Counter of Op."""
    tally.clear()
    result = function(*arguments)
    return result, Counter(tally)


class CountingInt:
    """An integer in a register of `bits` bits, the sign included where there is one."""

    __slots__ = ("bits", "value")

    def __init__(self, value: int, bits: int) -> None:
        assert -(1 << (bits - 1)) <= value < 1 << bits, f"{value} does not fit {bits} bits"
        self.value, self.bits = int(value), bits

    def wide(self, bits: int) -> "CountingInt":
        """The same value on more wires."""
        return CountingInt(self.value, bits)

    def _pair(self, other: Number) -> tuple[int, int]:
        return (other.value, max(self.bits, other.bits)) if isinstance(other, CountingInt) else (other, self.bits)

    def __add__(self, other: Number) -> "CountingInt":
        value, bits = self._pair(other)
        tally[Op("add", bits)] += 1
        return CountingInt(self.value + value, bits)

    __radd__ = __add__

    def __sub__(self, other: Number) -> "CountingInt":
        value, bits = self._pair(other)
        tally[Op("add", bits)] += 1
        return CountingInt(self.value - value, bits)

    def __rsub__(self, other: int) -> "CountingInt":
        tally[Op("add", self.bits)] += 1
        return CountingInt(other - self.value, self.bits)

    def __abs__(self) -> "CountingInt":
        tally[Op("add", self.bits)] += 1
        tally[Op("compare", self.bits)] += 1
        return CountingInt(abs(self.value), self.bits)

    def times(self, other: "CountingInt | int", bits: int | None = None) -> "CountingInt":
        """A product; a constant factor is given with the bits it occupies."""
        value, width = (other.value, other.bits) if isinstance(other, CountingInt) else (other, bits)
        tally[Op("mul", max(self.bits, width), min(self.bits, width))] += 1
        return CountingInt(self.value * value, self.bits + width)

    def __lshift__(self, by: int) -> "CountingInt":
        return CountingInt(self.value << by, self.bits + by)

    def __rshift__(self, by: int) -> "CountingInt":
        return CountingInt(self.value >> by, max(self.bits - by, 1))

    def _compared(self, other: Number) -> int:
        value, bits = self._pair(other)
        tally[Op("compare", bits)] += 1
        return self.value - value

    def __lt__(self, other: Number) -> bool:
        return self._compared(other) < 0

    def __le__(self, other: Number) -> bool:
        return self._compared(other) <= 0

    def __gt__(self, other: Number) -> bool:
        return self._compared(other) > 0

    def __ge__(self, other: Number) -> bool:
        return self._compared(other) >= 0

    def between(self, low: int, high: int) -> int:
        """The value held within two limits, by two comparisons."""
        tally[Op("compare", self.bits)] += 2
        return min(max(self.value, low), high)

    def _round(self, numerator: int, denominator: int, rounding: Rounding, bits: int) -> "CountingInt":
        """numerator / denominator rounded; one addition unless it truncates."""
        if rounding is not Rounding.TRUNCATE:
            tally[Op("add", self.bits)] += 1
        return CountingInt(rounded(numerator, denominator, rounding), bits)

    def nearest(self, drop: int) -> "CountingInt":
        """Divided by 2**drop to nearest even."""
        return self._round(self.value, 1 << drop, Rounding.NEAREST_EVEN, self.bits)

    def fitted(self, fmt: Fixed, bits: int | None = None) -> "CountingInt":
        """Brought into a register's range, by two comparisons where it saturates; compared on `bits` wires."""
        if fmt.overflow is Overflow.SATURATE:
            tally[Op("compare", bits or self.bits)] += 2
        return CountingInt(held(self.value, fmt), fmt.bits)

    def enter(self, frac: int, fmt: Fixed) -> "CountingInt":
        """Into a register: rounded where fraction bits are dropped, then fitted."""
        drop = frac - fmt.frac_bits
        if drop <= 0:
            return CountingInt(self.value << -drop, self.bits - drop).fitted(fmt, self.bits)
        return self._round(self.value, 1 << drop, fmt.rounding, self.bits).fitted(fmt, self.bits - drop)

    def lowered(self, shift: int, fmt: Fixed) -> "CountingInt":
        """Through a barrel shifter into a register; the rounding adder is in the way whatever the shift."""
        tally[Op("shift", self.bits)] += 1
        return self._round(self.value, 1 << shift, fmt.rounding, self.bits).fitted(fmt)

    def quotient(self, by: "CountingInt | int", rounding: Rounding = Rounding.NEAREST_EVEN, bits: int | None = None) -> "CountingInt":
        """Quotient; the divider's remainder decides, by one comparison, on a last addition."""
        value, width = (by.value, by.bits) if isinstance(by, CountingInt) else (by, bits)
        tally[Op("divide", self.bits, width)] += 1
        if rounding is not Rounding.TRUNCATE:
            tally[Op("compare", width)] += 1
        return self._round(self.value, value, rounding, self.bits)


class CountingFloat:
    """A double that counts additions, multiplications, divisions and roots of 64 bits. Constants may be plain floats."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = float(value)

    @staticmethod
    def _plain(other: "CountingFloat | float") -> float:
        return other.value if isinstance(other, CountingFloat) else float(other)

    def _made(self, kind: str, value: float) -> "CountingFloat":
        tally[Op(kind, 64)] += 1
        return CountingFloat(value)

    def __add__(self, other):
        return self._made("fadd", self.value + self._plain(other))

    __radd__ = __add__

    def __sub__(self, other):
        return self._made("fadd", self.value - self._plain(other))

    def __rsub__(self, other):
        return self._made("fadd", self._plain(other) - self.value)

    def __mul__(self, other):
        return self._made("fmul", self.value * self._plain(other))

    __rmul__ = __mul__

    def __neg__(self):
        return CountingFloat(-self.value)  # the sign bit

    def __truediv__(self, other):
        return self._made("fdiv", self.value / self._plain(other))

    def __rtruediv__(self, other):
        return self._made("fdiv", self._plain(other) / self.value)

    def sqrt(self):
        """Square root."""
        return self._made("fdiv", math.sqrt(self.value))

    def __float__(self):
        return self.value
