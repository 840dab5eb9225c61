"""Word lengths drawn from all that is legal, for comparisons of kernels with their twins.

Formats reach the kernels as integers, so no draw compiles anything. What the kernels' own checks refuse is drawn anew.
"""

import dataclasses
from collections.abc import Callable

from hypothesis import assume
from hypothesis import strategies as st

from vio.config import Config
from vio.errors import ConfigError
from vio.fixed import Fixed, Rounding
from vio.precision import GREY, Precision, check, tied

_SIGNALS = {f.name: f for f in dataclasses.fields(Precision)}
_roundings = st.sampled_from(list(Rounding))
Word = st.SearchStrategy[Fixed]


def fitting(config: Config, *checks: Callable[[Config], object]) -> list:
    """What the kernels' formats come to; another example is drawn where one of them is refused."""
    try:
        check(config.precision)
        return [made(config) for made in checks]
    except ConfigError:
        assume(False)
        raise


def with_words(config: Config, words: dict[str, Fixed], is_tied: bool = True) -> Config:
    """The configuration with these formats, and those that must agree with them."""
    precision = dataclasses.replace(config.precision, **words)
    return dataclasses.replace(config, precision=tied(precision) if is_tied else precision)


def word(signal: str, least_frac: int = -8, most_frac: int = 32, least_head: int = 0) -> Word:
    """Formats of one signal: any fraction bits within these bounds, any bits above them from `least_head` up to what it may have; often as declared."""
    usual, limit = getattr(Precision(), signal), _SIGNALS[signal].metadata["limit"]
    low, high = max(least_frac, 1 - limit, -8), min(most_frac, limit - least_head)
    near = st.integers(min(max(usual.frac_bits - 3, low), high), min(max(usual.frac_bits + 3, low), high))

    def heads(frac: int) -> Word:
        head = usual.bits - usual.frac_bits
        least, most = max(least_head, 1 - frac, 0), limit - frac
        around = st.integers(min(max(head - 3, least), most), min(max(head + 1, least), most))
        return st.builds(lambda over, rounding: Fixed(frac + over, frac, usual.signed, rounding), around | st.integers(least, most), _roundings)

    return (near | st.integers(low, high)).flatmap(heads)


def grey(signal: str) -> Word:
    """Formats of a grey level: any width and step, 255 in range."""
    assert signal in GREY
    return st.integers(1, 8).flatmap(lambda bits: st.builds(lambda frac, rounding: Fixed(bits, frac, False, rounding), st.integers(bits - 8, 0), _roundings))


@st.composite
def tracker_words(draw: st.DrawFn) -> dict[str, Fixed]:
    """Formats of the tracker's signals: fraction bits in the order in which they bound each other."""
    weight = draw(word("weight", 0, 20, 1))
    frac = draw(st.integers(0, min(weight.frac_bits, 9)))
    same = {name: draw(word(name, frac, frac)) for name in ("patch", "template", "residual")}
    gradient = draw(word("gradient", 0, frac + 1))
    hessian = draw(word("hessian", -8, 2 * gradient.frac_bits))
    total = draw(word("residual_sum", -8, gradient.frac_bits + frac))
    up = total.frac_bits - hessian.frac_bits
    return same | {
        "weight": weight, "gradient": gradient, "hessian": hessian, "residual_sum": total, "position": draw(word("position", 0, 12)),
        "step": draw(word("step", up, min(up + 16, 32))), **{name: draw(word(name)) for name in ("mantissa", "right_side", "determinant")},
    }


@st.composite
def corner_words(draw: st.DrawFn, window: int) -> dict[str, Fixed]:
    """Formats of the detector's signals."""
    gradient = draw(word("corner_gradient", -8, 3))
    room = 2 * gradient.frac_bits + (window**2 - 1).bit_length()
    return {"corner_gradient": gradient, "corner_sum": draw(word("corner_sum", -8, max(room, -8))), "corner_score": draw(word("corner_score"))}


def narrower(signal: str) -> Word:
    """Formats of one signal with as many bits as declared or fewer, on either side of the point."""
    usual = getattr(Precision(), signal)
    bits = st.tuples(st.integers(max(usual.frac_bits - 6, 0), usual.frac_bits), st.integers(usual.bits - usual.frac_bits - 3, usual.bits - usual.frac_bits))
    return st.builds(lambda parts, rounding: Fixed(max(sum(parts), parts[0], 1), parts[0], usual.signed, rounding), bits, _roundings)


@st.composite
def geometry_words(draw: st.DrawFn, *signals: str) -> dict[str, Fixed]:
    """Formats of signals of rays, stereo and RANSAC, up to three of them anything at all: more would leave 64 bits nearly always."""
    free = draw(st.sets(st.sampled_from(signals), max_size=3))
    return {name: draw(word(name, 0) if name in free else narrower(name)) for name in signals}
