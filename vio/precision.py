"""One `Fixed` per named hardware signal: the only place where a word length lives."""

from dataclasses import dataclass, field

from vio.fixed import Fixed, Rounding


def _fixed(bits: int, frac_bits: int = 0, signed: bool = True, rounding: Rounding = Rounding.NEAREST_EVEN) -> Fixed:
    return field(default_factory=lambda: Fixed(bits, frac_bits, signed, rounding))


@dataclass(frozen=True)
class Precision:
    """Word lengths of the front end. Defaults are our choice; the comment says what limits each."""

    pixel: Fixed = _fixed(8, 0, signed=False)  # camera and pyramid sample
    gradient: Fixed = _fixed(14, 5)  # central difference of interpolated samples
    weight: Fixed = _fixed(15, 14, signed=False)  # bilinear interpolation weight, 1.0 must fit
    patch: Fixed = _fixed(13, 5, signed=False)  # interpolated sample
    corner_gradient: Fixed = _fixed(11, 3)  # Sobel of 8-bit pixels over its gain of 8
    corner_sum: Fixed = _fixed(16, 3)  # scaled window sum of gradient products; its square must fit 32 bits
    corner_score: Fixed = _fixed(32, 0)
    hessian: Fixed = _fixed(40, 10)  # window sum of gradient products
    residual_sum: Fixed = _fixed(40, 10)  # window sum of gradient times residual
    position: Fixed = _fixed(20, 8)  # pixels: +-2048 with 1/256
    step: Fixed = _fixed(20, 8)  # one Gauss-Newton step of the tracker, pixels
    ray: Fixed = _fixed(18, 14)  # normalised image coordinate, +-8
    focal: Fixed = _fixed(24, 12, signed=False)  # focal length and principal point, pixels
    distortion: Fixed = _fixed(24, 20)  # radial factor, tangential coefficients, distorted coordinate
    rotation: Fixed = _fixed(16, 14)  # element of a rotation matrix
    translation: Fixed = _fixed(22, 18)  # metres: stereo baseline, motion between keyframes
    inverse_depth: Fixed = _fixed(18, 14, signed=False)  # 1/m
    epipolar: Fixed = _fixed(17, 14)  # direction of an epipolar line in the image plane, not normalised
    displacement: Fixed = _fixed(15, 14)  # rotation-compensated motion of a ray; saturates at 45 degrees off axis
