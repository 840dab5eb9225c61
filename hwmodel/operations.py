"""The currency of the model: typed operations and buffer accesses, and sums of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from vio.fixed import Fixed, Overflow, Rounding


class Op(NamedTuple):
    """One operation. kind: add (subtract, negate), mul, shift (by a variable amount), compare (also one side of a saturation),
    divide, or fadd, fmul, fdiv (also square root) in floating point. bits: width of the wider operand; by: the other
    factor's or the divisor's width, 0 elsewhere. A shift by a constant is wiring and no operation.
    """

    kind: str
    bits: int
    by: int = 0


class Access(NamedTuple):
    """One access to a buffer of the memory map: `what` is read or write."""

    buffer: str
    what: str


@dataclass
class Work:
    """How many of each operation and access; `add` and its like write a datapath down line by line."""

    ops: Counter[Op] = field(default_factory=Counter)
    accesses: Counter[Access] = field(default_factory=Counter)

    def add(self, bits: int, n: float = 1) -> "Work":
        """n additions or subtractions."""
        self.ops[Op("add", bits)] += n
        return self

    def mul(self, bits: int, by: int, n: float = 1) -> "Work":
        """n products of a `bits` wide and a `by` wide factor."""
        self.ops[Op("mul", max(bits, by), min(bits, by))] += n
        return self

    def compare(self, bits: int, n: float = 1) -> "Work":
        """n comparisons."""
        self.ops[Op("compare", bits)] += n
        return self

    def shift(self, bits: int, n: float = 1) -> "Work":
        """n barrel shifts by a variable amount."""
        self.ops[Op("shift", bits)] += n
        return self

    def rounded(self, bits: int, n: float = 1) -> "Work":
        """n roundings to nearest even of a `bits` wide value: one addition of half and the lowest kept bit."""
        return self.add(bits, n)

    def enter(self, bits: int, frac: int, fmt: Fixed, n: float = 1) -> "Work":
        """n values of `bits` with `frac` fraction bits entering a register: an addition where bits are dropped and not truncated,
        a comparison with either limit where it saturates; wrapping is free."""
        drop = max(frac - fmt.frac_bits, 0)
        if drop > 0 and fmt.rounding is not Rounding.TRUNCATE:
            self.add(bits, n)
        return self.fitted(bits - drop, fmt, n)

    def fitted(self, bits: int, fmt: Fixed, n: float = 1) -> "Work":
        """n values of a register's scale brought into its range."""
        return self.compare(bits, 2 * n) if fmt.overflow is Overflow.SATURATE else self

    def lowered(self, bits: int, fmt: Fixed, n: float = 1) -> "Work":
        """n values shifted down by an amount that is data, rounded, fitted into a register."""
        self.shift(bits, n)
        if fmt.rounding is not Rounding.TRUNCATE:
            self.add(bits, n)
        return self.fitted(bits, fmt, n)

    def divide(self, bits: int, by: int, n: float = 1) -> "Work":
        """n quotients rounded to nearest: the remainder costs one comparison, the correction one addition."""
        self.ops[Op("divide", bits, by)] += n
        return self.compare(by, n).add(bits, n)

    def quotient(self, bits: int, by: int, fmt: Fixed, n: float = 1) -> "Work":
        """n quotients rounded as a register declares, not yet fitted."""
        if fmt.rounding is not Rounding.TRUNCATE:
            return self.divide(bits, by, n)
        self.ops[Op("divide", bits, by)] += n
        return self

    def divided(self, bits: int, by: int, fmt: Fixed, n: float = 1) -> "Work":
        """n quotients into a register."""
        return self.quotient(bits, by, fmt, n).fitted(bits, fmt, n)

    def floating(self, bits: int, fadd: float = 0, fmul: float = 0, fdiv: float = 0) -> "Work":
        """Floating-point operations of one width."""
        for kind, n in (("fadd", fadd), ("fmul", fmul), ("fdiv", fdiv)):
            if n:
                self.ops[Op(kind, bits)] += n
        return self

    def read(self, buffer: str, n: float = 1) -> "Work":
        """n reads of one word."""
        self.accesses[Access(buffer, "read")] += n
        return self

    def write(self, buffer: str, n: float = 1) -> "Work":
        """n writes of one word."""
        self.accesses[Access(buffer, "write")] += n
        return self

    def plus(self, *others: "Work", times: float = 1) -> "Work":
        """Add `times` times other work to this one."""
        for other in others:
            for mine, theirs in ((self.ops, other.ops), (self.accesses, other.accesses)):
                for key, n in theirs.items():
                    mine[key] += n * times
        return self

    def of(self, kinds: Iterable[str]) -> float:
        """Number of operations of these kinds."""
        return sum(n for op, n in self.ops.items() if op.kind in kinds)
