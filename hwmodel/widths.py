"""Word lengths as plain integers: what the datapaths and buffers of the model are built from."""

from typing import NamedTuple

from vio.config import Config


FLOAT = 64  # bits of every floating-point number outside the linear solver


def solver_bits(config: Config) -> int:
    """Width of the linear solver's numbers: 64, 32, or N explicit mantissa bits, 11 of exponent and a sign for mN."""
    arithmetic = config.backend.arithmetic
    if arithmetic.startswith("m"):
        return int(arithmetic.removeprefix("m")) + 12
    return {"float64": 64, "float32": 32}[arithmetic]


def index_bits(count: int) -> int:
    """Bits that tell `count` things apart."""
    return max(1, (count - 1).bit_length())


class TrackerWidths(NamedTuple):
    """Registers of the tracker: bits, and fraction bits where a shift depends on them. Sums over the window grow by area_log2 bits."""

    pixel: int
    position: int
    position_frac: int
    weight: int
    weight_frac: int
    patch: int
    patch_frac: int
    template: int
    template_frac: int
    gradient: int
    gradient_frac: int
    residual: int
    hessian: int
    hessian_frac: int
    residual_sum: int
    residual_sum_frac: int
    mantissa: int
    right_side: int
    step: int
    step_frac: int
    solve_shift: int
    area_log2: int
    area_bits: int


def tracker_widths(config: Config) -> TrackerWidths:
    """The tracker's registers from `config.precision` and the window."""
    p, area = config.precision, config.frontend.klt_window**2
    solve_shift = p.step.frac_bits + p.hessian.frac_bits - p.residual_sum.frac_bits
    return TrackerWidths(
        p.pixel.bits, p.position.bits, p.position.frac_bits, p.weight.bits, p.weight.frac_bits, p.patch.bits, p.patch.frac_bits,
        p.patch.bits, p.patch.frac_bits, p.gradient.bits, p.gradient.frac_bits, p.patch.bits + 1, p.hessian.bits, p.hessian.frac_bits,
        p.residual_sum.bits, p.residual_sum.frac_bits, 21, 61 - 20 - solve_shift, p.step.bits, p.step.frac_bits, solve_shift,
        index_bits(area), area.bit_length())
