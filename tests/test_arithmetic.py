"""The linear solver in fewer bits: rounding of every operation against exact fractions and against numpy's float32."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_linear_system import compressed, patterned

from vio import config
from vio.backend.linear_system import factorise, layout, mantissa_bits, rounded, substitute
from vio.config import Config
from vio.errors import ConfigError
from vio.events import new_counts

finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, min_value=-1e300, max_value=1e300)


def exactly(value: Fraction, bits: int) -> Fraction:
    """Nearest number with `bits` explicit mantissa bits, ties to even, straight from the definition."""
    if value == 0:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    step = Fraction(2) ** (exponent - bits)
    return round(value / step) * step


class Short:
    """A number of `bits` explicit mantissa bits whose operators round the exact result to float64 first, as the emulation does."""

    bits = 23

    def __init__(self, value: float):
        self.value = float(exactly(Fraction(value), self.bits))

    def __sub__(self, other: "Short") -> "Short":
        return type(self)(self.value - other.value)

    def __add__(self, other: "Short") -> "Short":
        return type(self)(self.value + other.value)

    def __mul__(self, other: "Short") -> "Short":
        return type(self)(self.value * other.value)

    def __truediv__(self, other: "Short") -> "Short":
        return type(self)(self.value / other.value)

    def sqrt(self) -> "Short":
        """Root."""
        return type(self)(math.sqrt(self.value))


def short(width: int) -> type:
    """A number type of that many bits."""
    return type(f"Short{width}", (Short,), {"bits": width})


def solved(A: np.ndarray, b: np.ndarray, n: int, number: type) -> list[float]:
    """The sparse solver's operations in its order on any number type: eliminate column by column, three at a time, then substitute."""
    size, stored = len(b), layout(n).slot >= 0
    L = [[number(A[i, j]) for j in range(size)] for i in range(size)]
    x = [number(value) for value in b]
    for k in range(0, size, 3):
        below = [i for i in range(k + 3, size) if stored[i // 3, k // 3]]
        for i in [k, k + 1, k + 2, *below]:
            for j in range(k, min(i, k + 2) + 1):
                for q in range(k, j):
                    L[i][j] = L[i][j] - L[i][q] * L[j][q]
                L[i][j] = (L[i][i].sqrt() if hasattr(number, "sqrt") else np.sqrt(L[i][i])) if i == j else L[i][j] / L[j][j]
        for i in below:
            for j in [j for j in below if j // 3 <= i // 3]:
                L[i][j] = L[i][j] - ((L[i][k] * L[j][k] + L[i][k + 1] * L[j][k + 1]) + L[i][k + 2] * L[j][k + 2])
    for k in range(0, size, 3):
        for i in range(k, k + 3):
            for j in range(k, i):
                x[i] = x[i] - L[i][j] * x[j]
            x[i] = x[i] / L[i][i]
        for i in (i for i in range(k + 3, size) if stored[i // 3, k // 3]):
            for j in range(k, k + 3):
                x[i] = x[i] - L[i][j] * x[j]
    for k in range(size - 3, -1, -3):
        for i in (i for i in range(k + 3, size) if stored[i // 3, k // 3]):
            for j in range(k, k + 3):
                x[j] = x[j] - L[i][j] * x[i]
        for i in range(k + 2, k - 1, -1):
            for j in range(i + 1, k + 3):
                x[i] = x[i] - L[j][i] * x[j]
            x[i] = x[i] / L[i][i]
    return [float(getattr(value, "value", value)) for value in x]


def ours(A: np.ndarray, b: np.ndarray, n: int, mantissa: int | None) -> list[float]:
    """Solution of the compiled kernels."""
    where, blocks, x = layout(n), compressed(A, n), b.reshape(-1, 1).copy()
    assert factorise(blocks, where.slot, where.rows, where.row_begin, mantissa, new_counts())
    substitute(blocks, where.slot, where.rows, where.row_begin, x, mantissa, new_counts())
    return x[:, 0].tolist()


@given(finite, st.integers(1, 52))
def test_a_rounded_number_is_the_nearest_one_of_that_width(value: float, bits: int) -> None:
    """Oracle: exact fractions, ties to even, a carry into the next power of two included."""
    assert Fraction(float(rounded(value, bits))) == exactly(Fraction(value), bits)


@given(st.floats(2.0**-60, 2.0**60))
def test_23_bits_round_like_float32(value: float) -> None:
    """Oracle: numpy's conversion to float32."""
    assert rounded(value, 23) == np.float64(np.float32(value))


def test_infinities_and_nan_stay_what_they_are() -> None:
    """Oracle: their definition."""
    assert rounded(np.inf, 5) == np.inf and rounded(-np.inf, 5) == -np.inf and np.isnan(rounded(np.nan, 5))


@pytest.mark.parametrize("n", [1, 2])
def test_the_float32_solver_is_numpys_float32_operation_by_operation(n: int) -> None:
    """Oracle: the same operations on numpy float32 scalars, compared with `==`."""
    A, b = patterned(n, n), np.random.default_rng(n).normal(size=15 * n)
    assert ours(A, b, n, mantissa_bits("float32")) == solved(A, b, n, np.float32)


@pytest.mark.parametrize("bits", [6, 12, 30, 45])
def test_the_short_solver_is_exact_arithmetic_rounded_after_every_operation(bits: int) -> None:
    """Oracle: Python fractions rounded from the definition, compared with `==`."""
    A, b = patterned(2, 5), np.random.default_rng(5).normal(size=30)
    assert ours(A, b, 2, bits) == solved(A, b, 2, short(bits))


def test_52_bits_and_no_rounding_are_float64() -> None:
    """Oracle: the unrounded kernels, and the same operations on Python floats."""
    A, b = patterned(3, 7), np.random.default_rng(7).normal(size=45)
    assert ours(A, b, 3, 52) == ours(A, b, 3, None) == solved(A, b, 3, np.float64)


def test_the_error_halves_with_every_bit() -> None:
    """Oracle: the float64 solution; from 8 to 40 bits the error falls as 2^-bits, within a factor of 32."""
    A, b = patterned(4, 9), np.random.default_rng(9).normal(size=60)
    exact = np.array(ours(A, b, 4, None))
    errors = [np.abs(np.array(ours(A, b, 4, bits)) - exact).max() / np.abs(exact).max() * 2.0**bits for bits in (8, 16, 24, 32, 40)]
    assert max(errors) / min(errors) < 32


@pytest.mark.parametrize("text", ["m0", "m53", "float16", "12", "m 8"])
def test_an_arithmetic_that_does_not_exist_is_refused(text: str) -> None:
    """Oracle: the list of allowed words, in the error."""
    with pytest.raises(ConfigError, match="backend.arithmetic"):
        config.override(Config(), [f"backend.arithmetic={text}"])
