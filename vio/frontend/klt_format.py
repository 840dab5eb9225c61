"""The tracker's configuration as plain integers: what `klt.track` receives, so that a word length is data and never recompiles."""

from typing import NamedTuple

from vio.config import Config
from vio.errors import ConfigError
from vio.fixed import Fixed, Rounding
from vio.precision import Precision

_PIXEL_MAX = 255  # of the uint8 container
SOLVE_BITS = 20  # the Hessian enters the 2x2 solve as a block-normalised mantissa of this many bits, good to 1e-6
_WORD_BITS = 61  # numerator of the solve, one bit kept for the rounding of the quotient


class KltFormat(NamedTuple):
    """The tracker's configuration as plain integers; `_raw` lengths are in the format of `precision.position`."""

    window: int
    iterations: int
    border_raw: int  # a centre closer than this to the edge of level 0 is out of the image
    epsilon_raw: int  # converged when both components of a step are below
    divergence_raw: int  # not converged when the last of all iterations still moves this far
    max_residual_raw: int  # in patch format
    flat_raw: int  # smallest eigenvalue of the window-summed Hessian, in hessian format
    chunk: int  # products summed in 32 bits before they are carried to 64
    position_frac: int
    position_min: int
    position_max: int
    fraction_shift: int  # position fraction -> weight
    weight_frac: int
    weight_max: int
    patch_shift: int  # weighted sum -> patch
    patch_min: int
    patch_max: int
    gradient_shift: int
    gradient_min: int
    gradient_max: int
    hessian_shift: int
    hessian_min: int
    hessian_max: int
    residual_shift: int
    residual_min: int
    residual_max: int
    solve_max: int  # largest right-hand side that cannot overflow the solve
    solve_shift: int  # quotient -> step
    step_shift: int  # step -> position
    step_min: int
    step_max: int


def _require(holds: bool, name: str, why: str) -> None:
    if not holds:
        raise ConfigError(f"precision.{name}: {why}")


def _chunk(gradient: Fixed, patch: Fixed) -> int:
    """Largest power of two of gradient-residual products whose sum surely fits 32 bits."""
    patch_max = min(patch.raw_max, _PIXEL_MAX << patch.frac_bits)
    gradient_max = min(-gradient.raw_min, (_PIXEL_MAX << gradient.frac_bits) // 2 + 1)
    room = (2**31 - 1) // (gradient_max * max(patch_max, gradient_max))
    _require(room >= 8, "gradient", f"{gradient.bits} bits times patch does not sum in 32 bits; take fewer fraction bits")
    return 1 << min(room.bit_length() - 1, 10)


def _check(precision: Precision) -> None:
    """Refuse formats for which a 32-bit lane or a left shift would be needed."""
    position, weight, patch, gradient = precision.position, precision.weight, precision.patch, precision.gradient
    for name in ("position", "weight", "patch", "gradient", "hessian", "residual_sum", "step"):
        _require(getattr(precision, name).rounding is Rounding.NEAREST_EVEN, name, "the tracker rounds to nearest even")
    _require(weight.frac_bits <= 20, "weight", "at most 20 fraction bits")
    _require(weight.raw_max >= 1 << weight.frac_bits, "weight", "1.0 must fit")
    _require(patch.frac_bits <= weight.frac_bits, "patch", "no more fraction bits than weight")
    _require(gradient.frac_bits <= patch.frac_bits + 1, "gradient", "at most one fraction bit more than patch")
    _require(precision.hessian.frac_bits <= 2 * gradient.frac_bits, "hessian", "at most twice the fraction bits of gradient")
    _require(precision.residual_sum.frac_bits <= gradient.frac_bits + patch.frac_bits, "residual_sum", "at most gradient's plus patch's fraction bits")
    _require(position.frac_bits <= 12, "position", "at most 12 fraction bits")
    _require(precision.step.frac_bits + precision.hessian.frac_bits - precision.residual_sum.frac_bits in range(17), "step",
             "fraction bits of step plus hessian minus residual_sum must be 0 to 16")


def klt_format(config: Config) -> KltFormat:
    """Derive the tracker's integers from configuration and word lengths. Raises ConfigError for formats it cannot carry."""
    frontend, precision = config.frontend, config.precision
    position, weight, patch, gradient = precision.position, precision.weight, precision.patch, precision.gradient
    hessian, residual, step = precision.hessian, precision.residual_sum, precision.step
    _check(precision)
    solve_shift = step.frac_bits + hessian.frac_bits - residual.frac_bits
    epsilon = max(1, 1 << max(0, step.frac_bits + frontend.klt_epsilon_log2))
    return KltFormat(
        window=frontend.klt_window, iterations=frontend.klt_iterations,
        border_raw=frontend.border << position.frac_bits,
        epsilon_raw=epsilon, divergence_raw=8 * epsilon,
        max_residual_raw=frontend.klt_max_residual << patch.frac_bits,
        flat_raw=round(frontend.klt_min_eigenvalue * frontend.klt_window**2 * 2**hessian.frac_bits),
        chunk=_chunk(gradient, patch),
        position_frac=position.frac_bits, position_min=position.raw_min, position_max=position.raw_max,
        fraction_shift=position.frac_bits - weight.frac_bits, weight_frac=weight.frac_bits, weight_max=weight.raw_max,
        patch_shift=weight.frac_bits - patch.frac_bits, patch_min=patch.raw_min, patch_max=patch.raw_max,
        gradient_shift=patch.frac_bits + 1 - gradient.frac_bits, gradient_min=gradient.raw_min, gradient_max=gradient.raw_max,
        hessian_shift=2 * gradient.frac_bits - hessian.frac_bits, hessian_min=hessian.raw_min, hessian_max=hessian.raw_max,
        residual_shift=gradient.frac_bits + patch.frac_bits - residual.frac_bits,
        residual_min=residual.raw_min, residual_max=residual.raw_max,
        solve_max=(1 << (_WORD_BITS - SOLVE_BITS - 1 - solve_shift)) - 1, solve_shift=solve_shift,
        step_shift=step.frac_bits - position.frac_bits, step_min=step.raw_min, step_max=step.raw_max,
    )
