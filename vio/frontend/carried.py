"""Which word lengths the kernels of rays, RANSAC and stereo can carry: sums of products stay within 64 bits, formats go together.

What is refused here would leave its container without a word; what is not gives the very integers of exact arithmetic.
"""

from vio.precision import Precision, require


def check_rays(p: Precision, grid_log2: int, tangential: int) -> None:
    """Refuse formats whose products leave 63 bits; tangential: largest sum of products of raw lens coefficients with x x, x y, y y."""
    require(p.position.frac_bits >= 0, "position", "0 to 12 fraction bits")
    require(p.ray.frac_bits in range(31) and p.ray.bits <= 31, "ray", "0 to 30 fraction bits, at most 31 bits: its square is summed")
    require(2 * p.ray.bits - 2 + tangential.bit_length() <= 62, "ray", f"{p.ray.bits} bits squared times the tangential distortion do not fit 62 bits")
    require(0 <= p.radius_sq.frac_bits <= 2 * p.ray.frac_bits, "radius_sq", "0 to twice the fraction bits of ray")
    require(p.ray.bits + 2 * (p.position.frac_bits + grid_log2) <= 62, "ray", f"{p.ray.bits} bits times the weights of its table do not fit 62 bits")
    require(p.ray.bits + p.rotation.bits + p.ray.frac_bits <= 60, "ray", f"{p.ray.bits} bits times rotation do not fit 60 bits")
    up = max(p.position.frac_bits - p.focal.frac_bits - p.distortion.frac_bits, 0)
    require(p.focal.bits + p.distortion.bits + up <= 62, "distortion", f"{p.distortion.bits} bits times focal, in steps of a position, do not fit 62 bits")
    require(p.distortion.bits + p.ray.bits <= 61, "distortion", f"{p.distortion.bits} bits times ray do not fit 61 bits")


def check_outliers(p: Precision) -> None:
    """Refuse formats that do not go together or whose products leave 64 bits."""
    require(p.ransac_residual.frac_bits == p.ray.frac_bits, "ransac_residual", "as many fraction bits as ray")
    require(p.point.frac_bits == p.ray.frac_bits, "point", "as many fraction bits as ray")
    require(0 <= p.displacement.frac_bits <= p.ray.frac_bits + 30, "displacement", "0 to 30 fraction bits more than ray")
    pair = 2 * p.displacement.bits + p.ray.bits + p.ray.frac_bits
    require(pair <= 63, "displacement", f"twice its bits plus ray's bits and fraction bits are {pair}; at most 63")
    require(p.direction.frac_bits in range(p.direction.bits), "direction", "a sign and at least its fraction bits")
    require(p.direction.bits + p.ray.bits <= 60, "direction", "bits plus ray's: at most 60")
    require(p.epipolar.frac_bits <= p.direction.frac_bits + p.ray.frac_bits, "epipolar", "at most the fraction bits of direction and ray together")
    require(p.epipolar.bits + p.displacement.bits <= 61, "epipolar", "bits plus displacement's: at most 61")
    require(p.cross.frac_bits == p.epipolar.frac_bits + p.displacement.frac_bits, "cross", "as many fraction bits as epipolar and displacement together")
    shift = p.translation.frac_bits + p.inverse_depth.frac_bits - p.ray.frac_bits
    require(shift >= 0, "translation", "fraction bits of translation plus inverse_depth: at least those of ray")
    require(p.ray.bits + shift <= 62, "translation", "ray's bits shifted to the scale of a translation do not fit 62 bits")
    require(p.translation.bits + p.inverse_depth.bits <= 61, "translation", "bits plus inverse_depth's: at most 61")
    require(p.inverse_depth.bits <= 31, "inverse_depth", "at most 31 bits: its container has a sign")
    require(p.ransac_residual.bits <= 31, "ransac_residual", "at most 31 bits: its square is summed")
    require(p.point.bits <= 30 and p.ray.bits + p.point.bits <= 61, "point", "at most 30 bits, and at most 61 with those of ray")


def check_thresholds(p: Precision, threshold_sq: int, near_sq: int) -> None:
    """Refuse formats in which a threshold of RANSAC, squared, raw displacement or ray, times what it is compared with leaves 63 bits."""
    require(threshold_sq.bit_length() + 2 * p.epipolar.bits <= 63, "epipolar", f"{p.epipolar.bits} bits squared times the threshold do not fit 63 bits")
    near = near_sq.bit_length() + 2 * max(p.ray.frac_bits, p.point.bits + 1 - p.ray.frac_bits)
    require(near <= 62, "ray", f"{p.ray.frac_bits} fraction bits: the threshold times a squared point does not fit 62 bits")


def check_stereo(p: Precision, farthest: int, epipolar_sq: int) -> None:
    """Refuse formats that do not go together or whose products leave 63 bits. farthest: raw inverse depth of the last candidate; epipolar_sq: tolerance, raw displacement squared."""
    require(p.point.frac_bits == p.ray.frac_bits, "point", "as many fraction bits as ray")
    require(p.point.bits + p.ray.frac_bits <= 62, "point", "bits plus ray's fraction bits: at most 62")
    require(p.stereo_sample.frac_bits == p.stereo_sum.frac_bits == 0, "stereo_sample", "no fraction bits, nor in stereo_sum")
    require(p.position.bits <= 30, "position", "at most 30 bits: squares of differences are summed")
    require(farthest.bit_length() + p.translation.bits <= 62, "translation", "bits plus those of the largest inverse depth: at most 62")
    product = p.translation.bits + p.ray.bits + max(p.translation.frac_bits + p.inverse_depth.frac_bits - p.ray.frac_bits, 0)
    require(p.translation.bits <= 31 and product <= 62, "translation", "at most 31 bits, and its product with a ray, in steps of an inverse depth, at most 62")
    require(epipolar_sq.bit_length() + 2 * p.epipolar.bits <= 63, "epipolar", f"{p.epipolar.bits} bits squared times the tolerance do not fit 63 bits")
