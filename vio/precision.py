"""One `Fixed` per named hardware signal: the only place where a word length lives."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from vio.errors import ConfigError
from vio.fixed import Fixed, Register, Rounding, new_log, register

SOLVE_BITS = 62  # of the numerator of the 2x2 solve: mantissa times right side, scaled
GREY = ("pixel", "pyramid_sample", "store_level", "store_range")  # grey levels: fewer bits are wider steps, 255 stays in range
FOLLOWING = ("point", "ransac_residual", "cross")  # their fraction bits are those of what flows in: fewer bits are less range
Logs = Mapping[str, np.ndarray]  # what passed through each signal's registers, by name; see `Register.log`


def _fixed(bits: int, frac_bits: int, where: str, limit: int = 32, signed: bool = True, rounding: Rounding = Rounding.NEAREST_EVEN) -> Fixed:
    """A signal; `where` says who uses it, `limit` is the widest its containers carry."""
    return field(default_factory=lambda: Fixed(bits, frac_bits, signed, rounding), metadata={"where": where, "limit": limit})


def _unsigned(bits: int, frac_bits: int, where: str, limit: int = 32, rounding: Rounding = Rounding.NEAREST_EVEN) -> Fixed:
    return _fixed(bits, frac_bits, where, limit, False, rounding)


@dataclass(frozen=True)
class Precision:
    """Word lengths of the front end. Defaults are our choice; the comment says what limits each."""

    # pictures
    pixel: Fixed = _unsigned(8, 0, "camera sample", 8)
    pyramid_sample: Fixed = _unsigned(8, 0, "reduced levels", 8, Rounding.NEAREST_UP)
    store_level: Fixed = _unsigned(7, -1, "frame store: darkest level of a block", 8)
    store_range: Fixed = _unsigned(6, -2, "frame store: brightest level of a block minus the darkest", 8)
    # corners
    corner_gradient: Fixed = _fixed(11, 3, "Sobel of pixels over its gain of 8", 24)
    corner_sum: Fixed = _fixed(16, 3, "scaled window sum of gradient products", 16)  # its square must fit 32 bits
    corner_score: Fixed = _fixed(32, 0, "corner response")
    # tracker
    position: Fixed = _fixed(20, 8, "feature position, px")  # +-2048 with 1/256
    weight: Fixed = _unsigned(15, 14, "bilinear weight", 21)  # 1.0 must fit
    patch: Fixed = _unsigned(13, 5, "interpolated sample of the next picture", 24)
    template: Fixed = _unsigned(13, 5, "interpolated sample of the previous picture", 24)
    gradient: Fixed = _fixed(14, 5, "central difference of the template", 24)
    residual: Fixed = _fixed(14, 5, "sample minus template", 24)
    hessian: Fixed = _fixed(40, 10, "window sum of gradient products", 62)
    residual_sum: Fixed = _fixed(40, 10, "window sum of gradient times residual", 62)
    mantissa: Fixed = _fixed(21, 0, "block-normalised Hessian in the 2x2 solve", 28)  # 20 bits and a sign: good to 1e-6
    right_side: Fixed = _fixed(33, 0, "normalised residual sum in the 2x2 solve", 62)
    determinant: Fixed = _unsigned(40, 0, "of the normalised Hessian; the solve divides by it", 56)
    step: Fixed = _fixed(20, 8, "one Gauss-Newton step of the tracker, px")
    # rays
    ray: Fixed = _fixed(18, 14, "normalised image coordinate, undistortion table")  # +-8
    focal: Fixed = _unsigned(24, 12, "focal length and principal point, px")
    distortion: Fixed = _fixed(24, 20, "radial factor, tangential coefficients, distorted coordinate")
    radius_sq: Fixed = _unsigned(22, 14, "squared radius of a ray, radial table index")
    rotation: Fixed = _fixed(16, 14, "element of a rotation matrix: gyro guess, stereo rig")
    # stereo
    translation: Fixed = _fixed(22, 18, "stereo baseline, motion between keyframes, m")
    inverse_depth: Fixed = _unsigned(18, 14, "disparity in metric form, 1/m")
    point: Fixed = _fixed(24, 14, "turned ray plus inverse depth times baseline")
    stereo_sample: Fixed = _fixed(20, 0, "zero-mean window sample, n I - sum I")
    stereo_sum: Fixed = _unsigned(31, 0, "sum of absolute differences of two such windows", 31)
    # RANSAC
    direction: Fixed = _fixed(16, 14, "translation direction of a hypothesis")
    epipolar: Fixed = _fixed(17, 14, "direction of an epipolar line, not normalised")
    displacement: Fixed = _fixed(15, 14, "rotation-compensated motion of a ray")  # saturates at 45 degrees off axis
    cross: Fixed = _fixed(32, 28, "epipolar line times displacement")  # its square must fit 64 bits
    ransac_residual: Fixed = _fixed(24, 14, "reprojection residual of a hypothesis with depth")

    def register(self, signal: str, from_frac: int, logs: Logs | None = None, is_roomy: bool = False) -> Register:
        """The register of a signal for values with `from_frac` fraction bits; with `logs` it records what passes.

        is_roomy: the caller knows that no value leaves the range.
        """
        return register(getattr(self, signal), from_frac, None if logs is None else logs[signal], is_roomy)


def tied(precision: Precision) -> Precision:
    """`precision` with the fraction bits that must agree made to agree, ranges kept: the least one where values are subtracted.

    Sample, template and residual; a point and a residual of RANSAC with the ray; the product with its two factors. And the right side
    of the 2x2 solve gives up range until the numerator fits its word.
    """
    least = min(getattr(precision, name).frac_bits for name in ("patch", "template", "residual"))
    wanted = dict.fromkeys(("patch", "template", "residual"), least) | dict.fromkeys(("point", "ransac_residual"), precision.ray.frac_bits)
    wanted["cross"] = precision.epipolar.frac_bits + precision.displacement.frac_bits
    changed = {}
    for name, frac_bits in wanted.items():
        fmt = getattr(precision, name)
        changed[name] = replace(fmt, bits=max(fmt.bits + frac_bits - fmt.frac_bits, 1), frac_bits=frac_bits)
    up = precision.step.frac_bits + precision.hessian.frac_bits - precision.residual_sum.frac_bits
    room = max(SOLVE_BITS - precision.mantissa.bits - up, 1)
    changed["right_side"] = replace(precision.right_side, bits=min(precision.right_side.bits, room))
    return replace(precision, **changed)


def new_logs(precision: Precision) -> dict[str, np.ndarray]:
    """An empty log for every signal."""
    return {f.name: new_log(getattr(precision, f.name)) for f in fields(precision)}


def require(holds: bool, signal: str, why: str) -> None:
    """Raise ConfigError naming the signal unless its format can be carried."""
    if not holds:
        raise ConfigError(f"precision.{signal}: {why}")


def check(precision: Precision) -> None:
    """Raise ConfigError naming the first signal whose width cannot hold it or its containers."""
    for f in fields(precision):
        fmt, limit = getattr(precision, f.name), f.metadata["limit"]
        require(1 <= fmt.bits <= limit, f.name, f"{fmt.bits} bits; allowed: 1 to {limit}")
        require(-8 <= fmt.frac_bits <= fmt.bits, f.name, f"{fmt.frac_bits} fraction bits in {fmt.bits} bits; allowed: -8 to {fmt.bits}")
        require(fmt.signed == f.default_factory().signed, f.name, f"must be {'signed' if not fmt.signed else 'unsigned'}, for its values are")
    for name in GREY:
        fmt = getattr(precision, name)
        require(fmt.frac_bits <= 0 and fmt.bits - fmt.frac_bits <= 8, name, "grey levels are whole and end at 255: bits minus fraction bits is at most 8")


@dataclass(frozen=True)
class Seen:
    """What passed through the registers of a signal, raw: extremes before the overflow, how many overflowed, unused top bits.

    smallest and largest are None where nothing passed; then no bit counts as unused.
    """

    smallest: int | None
    largest: int | None
    overflows: int
    unused_bits: int


def seen(fmt: Fixed, log: np.ndarray) -> Seen:
    """Read one signal's log."""
    low, high = int(log[0]), int(log[1])
    if low > high:
        return Seen(None, None, 0, 0)
    needed = max(max(high, 0).bit_length(), (-min(low, 0) - 1).bit_length() if low < 0 else 0) + fmt.signed
    return Seen(low, high, int(log[2]), max(fmt.bits - max(needed, 1), 0))
