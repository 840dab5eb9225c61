"""The tracker's configuration as plain integers: what `klt.track` receives, so that a word length is data and never recompiles."""

from typing import NamedTuple

from vio.config import Config
from vio.fixed import Register
from vio.precision import SOLVE_BITS, Logs, Precision, require

_PIXEL_MAX = 255  # of the uint8 container


class KltFormat(NamedTuple):
    """The tracker's configuration as plain integers; `_raw` lengths are in the format of `precision.position`.

    Each `Register` is named after its signal where it is the only way into it. patch, template, gradient and residual are 32-bit lanes.
    """

    window: int
    iterations: int
    border_raw: int  # a centre closer than this to the edge of level 0 is out of the image
    epsilon_raw: int  # converged when both components of a step are below
    divergence_raw: int  # not converged when the last of all iterations still moves this far
    max_residual_raw: int  # in residual format
    flat_raw: int  # smallest eigenvalue of the window-summed Hessian, in hessian format
    chunk: int  # products summed in 32 bits before they are carried to 64, whatever they are
    gentle_sq: int  # up to this sum of squared gradients all of a window's products sum in 32 bits; negative: never
    store_block: int  # side of the blocks that the template is read from, 0 where the picture is raw
    position_frac: int
    position_up: int  # left shifts that bring a position
    step_up: int  # and a step to one scale, where they are added
    weight_frac: int
    mantissa_bits: int  # without the sign
    solve_up: int  # left shift of the numerator
    position: Register
    moved: Register  # position plus step -> position
    fraction: Register  # position fraction -> weight
    weight: Register  # product of two weights
    patch: Register
    template: Register
    gradient: Register
    residual: Register
    hessian: Register
    residual_sum: Register
    mantissa: Register
    right_side: Register
    determinant: Register
    step: Register


def _residual_max(p: Precision) -> int:
    """Largest magnitude of a raw residual."""
    brightest = min(max(p.patch.raw_max, p.template.raw_max), _PIXEL_MAX << p.patch.frac_bits)
    return min(-p.residual.raw_min, brightest)


def _gradient_max(p: Precision) -> int:
    """Largest magnitude of a raw gradient."""
    return min(-p.gradient.raw_min, (_PIXEL_MAX << p.gradient.frac_bits) // 2 + 1)


def _chunk(p: Precision, residual_max: int) -> int:
    """Largest power of two of gradient-residual products whose sum surely fits 32 bits."""
    gradient_max = _gradient_max(p)
    room = (2**31 - 1) // (gradient_max * max(residual_max, gradient_max))
    require(room >= 8, "gradient", f"{p.gradient.bits} bits times patch does not sum in 32 bits; take fewer fraction bits")
    return 1 << min(room.bit_length() - 1, 10)


def _gentle_sq(p: Precision, residual_max: int, area: int) -> int:
    """Bound of sum g^2 below which |sum g r| < 2^31, by Cauchy and Schwarz: sum g^2 sum r^2 < 2^62. Of use if sum g^2 fits 32 bits."""
    return min((2**31 - 1) ** 2 // (area * residual_max**2), 2**31 - 1) if area * _gradient_max(p) ** 2 < 2**32 else -1


def _is_roomy(p: Precision) -> bool:
    """Whether no sample between black and white can leave the registers of the inner loop: they are then compiled without limits."""
    white, half = _PIXEL_MAX << p.patch.frac_bits, (_PIXEL_MAX << p.gradient.frac_bits) // 2 + 1
    return min(p.patch.raw_max, p.template.raw_max, p.residual.raw_max) >= white and p.gradient.raw_max >= half


def _check(p: Precision) -> None:
    """Refuse formats that the lanes or the solve cannot carry, or that do not go together."""
    require(p.position.frac_bits in range(13), "position", "0 to 12 fraction bits")
    require(p.weight.frac_bits in range(21), "weight", "0 to 20 fraction bits")
    require(p.weight.raw_max >= 1 << p.weight.frac_bits, "weight", "1.0 must fit")
    require(0 <= p.patch.frac_bits <= p.weight.frac_bits, "patch", "no more fraction bits than weight")
    require(p.template.frac_bits == p.patch.frac_bits, "template", "as many fraction bits as patch, for it is subtracted")
    require(p.residual.frac_bits == p.patch.frac_bits, "residual", "as many fraction bits as patch, of which it is a difference")
    require(p.gradient.frac_bits in range(p.patch.frac_bits + 2), "gradient", "at most one fraction bit more than patch")
    require(p.hessian.frac_bits <= 2 * p.gradient.frac_bits, "hessian", "at most twice the fraction bits of gradient")
    require(p.residual_sum.frac_bits <= p.gradient.frac_bits + p.residual.frac_bits, "residual_sum", "at most gradient's plus residual's fraction bits")
    solve_up = p.step.frac_bits + p.hessian.frac_bits - p.residual_sum.frac_bits
    require(solve_up in range(17), "step", "fraction bits of step plus hessian minus residual_sum must be 0 to 16")
    fine = max(p.position.frac_bits, p.step.frac_bits)
    require(p.position.bits + fine - p.position.frac_bits <= 62, "position", "bits in steps of the finer of position and step: at most 62")
    require(p.mantissa.bits >= 2, "mantissa", "at least 2 bits, one of them the sign")
    width = p.mantissa.bits + p.right_side.bits + solve_up
    require(width <= SOLVE_BITS, "right_side", f"numerator of {width} bits (mantissa, right_side and scaling); at most {SOLVE_BITS}")


def klt_format(config: Config, logs: Logs | None = None, store_block: int = 0) -> KltFormat:
    """Derive the tracker's integers from configuration and word lengths. Raises ConfigError for formats it cannot carry.

    store_block: side of the frame store's blocks where the previous picture comes from there. logs: see `Precision.register`.
    """
    frontend, p = config.frontend, config.precision
    _check(p)
    position, step, gradient = p.position.frac_bits, p.step.frac_bits, p.gradient.frac_bits
    fine = max(position, step)
    epsilon = max(1, 1 << max(0, step + frontend.klt_epsilon_log2))

    is_roomy, residual_max = _is_roomy(p), _residual_max(p)
    require(2 * residual_max * frontend.klt_window**2 < 2**31, "residual", "the sum over a window does not fit 32 bits; take fewer fraction bits")

    def enter(signal: str, from_frac: int) -> Register:
        return p.register(signal, from_frac, logs)

    def lane(signal: str, from_frac: int) -> Register:
        return p.register(signal, from_frac, logs, is_roomy)

    return KltFormat(
        window=frontend.klt_window, iterations=frontend.klt_iterations,
        border_raw=frontend.border << position,
        epsilon_raw=epsilon, divergence_raw=8 * epsilon,
        max_residual_raw=frontend.klt_max_residual << p.residual.frac_bits,
        flat_raw=round(frontend.klt_min_eigenvalue * frontend.klt_window**2 * 2**p.hessian.frac_bits),
        chunk=_chunk(p, residual_max), gentle_sq=_gentle_sq(p, residual_max, frontend.klt_window**2), store_block=store_block,
        position_frac=position, position_up=fine - position, step_up=fine - step,
        weight_frac=p.weight.frac_bits, mantissa_bits=p.mantissa.bits - 1,
        solve_up=step + p.hessian.frac_bits - p.residual_sum.frac_bits,
        position=enter("position", position), moved=enter("position", fine),
        fraction=enter("weight", position), weight=enter("weight", 2 * p.weight.frac_bits),
        patch=lane("patch", p.weight.frac_bits), template=lane("template", p.weight.frac_bits),
        gradient=lane("gradient", p.template.frac_bits + 1), residual=lane("residual", p.patch.frac_bits),
        hessian=enter("hessian", 2 * gradient), residual_sum=enter("residual_sum", gradient + p.residual.frac_bits),
        mantissa=enter("mantissa", p.mantissa.frac_bits), right_side=enter("right_side", p.right_side.frac_bits),
        determinant=enter("determinant", p.determinant.frac_bits), step=enter("step", step),
    )
