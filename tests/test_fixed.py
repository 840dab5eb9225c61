"""Rounding and saturation, and the proof that the compiled front-end kernels hold nothing but integers."""

import dataclasses
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numba
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vio.config import Config
from vio.events import new_counts
from vio.fixed import Fixed, Overflow, Register, Rounding, divide, fit, lower, narrow, narrow32, new_log, register, round_divide, round_shift
from vio.frontend import corners, klt, patch, pyramid, spread, store
from vio.kernels import Kernel, njit

small = st.integers(-(2**40), 2**40)


@pytest.mark.parametrize(("raw", "rounded"), [(-7, -2), (-6, -2), (-5, -1), (-3, -1), (-2, 0), (-1, 0), (1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (7, 2)])
def test_a_tie_goes_to_the_even_neighbour_on_both_sides_of_zero(raw: int, rounded: int) -> None:
    """Oracle: closed form; raw / 4 by hand, -6/4 = -1.5 -> -2, -2/4 = -0.5 -> 0."""
    assert round_shift(raw, 2) == rounded


@given(small, st.integers(0, 30))
def test_rounding_by_a_shift_is_rounding_the_exact_fraction(raw: int, shift: int) -> None:
    """Oracle: Python's `round` of a Fraction, which rounds ties to even."""
    assert round_shift(raw, shift) == round(Fraction(raw, 2**shift))


@given(st.integers(-(2**20), 2**20), st.integers(1, 20))
def test_a_negative_shift_multiplies(raw: int, shift: int) -> None:
    """Oracle: closed form."""
    assert round_shift(raw, -shift) == raw * 2**shift


@given(small, st.integers(1, 2**20))
def test_rounded_division_is_rounding_the_exact_fraction(numerator: int, denominator: int) -> None:
    """Oracle: Python's `round` of a Fraction."""
    assert round_divide(numerator, denominator) == round(Fraction(numerator, denominator))


formats = st.builds(Fixed, st.integers(1, 30), st.integers(-8, 20), st.booleans(), st.sampled_from(list(Rounding)), st.sampled_from(list(Overflow)))


@given(small, st.integers(0, 22), formats)
def test_a_register_rounds_and_overflows_as_declared(raw: int, from_frac: int, fmt: Fixed) -> None:
    """Oracle: Python integers, for both signs, every rounding and both overflows."""
    assert narrow(raw, register(fmt, from_frac)) == oracles.register(raw, from_frac, fmt)


@given(small, st.integers(1, 2**20), formats)
def test_a_quotient_rounds_and_overflows_as_declared(numerator: int, denominator: int, fmt: Fixed) -> None:
    """Oracle: Python integers."""
    assert divide(numerator, denominator, register(fmt, fmt.frac_bits)) == oracles.held(oracles.rounded(numerator, denominator, fmt.rounding), fmt)


@given(small, st.integers(0, 20), formats)
def test_a_shift_known_only_at_run_time_rounds_as_declared(raw: int, shift: int, fmt: Fixed) -> None:
    """Oracle: Python integers."""
    assert lower(raw, shift, register(fmt, fmt.frac_bits)) == oracles.rounded(raw, 2**shift, fmt.rounding)


@given(st.integers(-(2**29), 2**29), st.integers(0, 29), formats)
def test_the_32_bit_lane_narrows_like_the_64_bit_register(raw: int, shift: int, fmt: Fixed) -> None:
    """Oracle: `narrow`."""
    reg = register(fmt, fmt.frac_bits + shift)
    assert narrow32(np.int32(raw), reg) == narrow(raw, reg)


@given(st.floats(-300, 300), formats)
def test_a_float_enters_a_format_as_an_integer_does(value: float, fmt: Fixed) -> None:
    """Oracle: the exact fraction of the float on Python integers."""
    exact = Fraction(value) * Fraction(2) ** fmt.frac_bits
    assert fmt.to_raw(value) == oracles.held(oracles.rounded(exact.numerator, exact.denominator, fmt.rounding), fmt)


def test_saturation_stops_at_the_limits_and_wrapping_goes_round() -> None:
    """Oracle: closed form, an 8-bit register."""
    values = (-129, -128, 127, 128)
    assert [fit(raw, register(Fixed(8), 0)) for raw in values] == [-128, -128, 127, 127]
    assert [fit(raw, register(Fixed(8, overflow=Overflow.WRAP), 0)) for raw in values] == [127, -128, 127, -128]


@numba.njit
def _pass_all(values, reg):
    for value in values:
        narrow(value, reg)


def test_a_log_holds_the_extremes_and_the_overflows() -> None:
    """Oracle: closed form; halves of -300, 8 and 301 in 8 bits."""
    log = new_log(Fixed(8))
    _pass_all(np.array([-300, 8, 301]), register(Fixed(8), 1, log))
    assert log.tolist() == [-150, 150, 2, -128, 127]


def test_a_register_without_limits_is_the_same_register_within_them() -> None:
    """Oracle: the limited register."""
    free, limited = (register(Fixed(10, 2), 4, None, is_roomy) for is_roomy in (True, False))
    assert isinstance(free, Register) and free.low is None
    assert all(narrow(raw, free) == narrow(raw, limited) == narrow32(np.int32(raw), free) for raw in range(-500, 500))


@njit
def _halved_with_a_float(value):
    return int(value * 0.5)


def float_types(kernel: Kernel) -> list[str]:
    """Lines of a kernel's typed intermediate code, of every compiled signature, that hold a float or complex value."""
    texts = [text for version in kernel.versions for text in (f":: {version.signature}", str(version.type_annotation))]
    return [line for text in texts for line in text.splitlines() if re.search(r"::.*(float|complex)\d*", line)]


def run_all_kernels() -> None:
    """Compile (or load) every kernel by one small frame."""
    image, counts, config = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50), new_counts(), Config()
    levels = pyramid.allocate(40, 50, 2)
    pyramid.build(image, levels, pyramid.pyramid_format(config.precision), counts)
    coded = dataclasses.replace(config, frontend=dataclasses.replace(config.frontend, frame_store="block1"))
    store.keep(levels, store.store_format(coded), store.allocate_words(levels), pyramid.allocate(40, 50, 2), counts)
    fmt, uv = corners.corner_format(config), np.full((1, 2), 20 * 256, np.int32)
    corners.detect_corners(image, uv, fmt, corners.allocate_workspace(40, 50, fmt), counts)
    klt.track(levels, levels, uv, uv, 1, klt.klt_format(config), uv.copy(), np.zeros(1, np.uint8), np.zeros(1, np.int32), counts)


def report() -> None:
    """Print every float found, and every kernel that was never typed, in a process whose numba cache is empty."""
    run_all_kernels()
    for module in (pyramid, corners, spread, patch, klt, store):
        for kernel in vars(module).values():
            if not isinstance(kernel, Kernel) or kernel.py_func.__module__ != module.__name__:
                continue
            for line in float_types(kernel):
                print(kernel.py_func.__name__, line.strip())
            # what numba inlines shows its types inside its callers
            if not kernel.versions and kernel.targetoptions.get("inline") != "always":
                print(kernel.py_func.__name__, "was not compiled")


def test_no_compiled_kernel_holds_a_float(tmp_path: Path) -> None:
    """Oracle: numba's own typed intermediate code; an empty cache, because kernels loaded from the cache do not show their callees."""
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0", "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    command = [sys.executable, "-W", "ignore", "-c", "import test_fixed; test_fixed.report()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_float_search_finds_a_float() -> None:
    """Oracle: a kernel with a float in the middle and integers at both ends."""
    assert _halved_with_a_float(4) == 2
    assert float_types(_halved_with_a_float)
