"""The currency of the model: typed operations and buffer accesses, and sums of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


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

    def divide(self, bits: int, by: int, n: float = 1) -> "Work":
        """n quotients rounded to nearest: the remainder costs one doubled comparison and the correction one addition."""
        self.ops[Op("divide", bits, by)] += n
        return self.compare(by, n).add(bits, n)

    def rounded(self, bits: int, n: float = 1) -> "Work":
        """n roundings to nearest even of a `bits` wide value: one addition of half and the lowest kept bit."""
        return self.add(bits, n)

    def register(self, bits: int, drop: int, n: float = 1) -> "Work":
        """n values entering a narrower register: rounded if bits are dropped, saturated on both sides."""
        if drop > 0:
            self.rounded(bits, n)
        return self.compare(bits - max(drop, 0), 2 * n)

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

    def plus(self, other: "Work", times: float = 1) -> "Work":
        """Add `times` times other work to this one."""
        for mine, theirs in ((self.ops, other.ops), (self.accesses, other.accesses)):
            for key, n in theirs.items():
                mine[key] += n * times
        return self

    def of(self, kinds: Iterable[str]) -> float:
        """Number of operations of these kinds."""
        return sum(n for op, n in self.ops.items() if op.kind in kinds)
