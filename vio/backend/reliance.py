"""How far inertial factors are relied on with one camera.

Scale then rests on them alone, and what a filter has learnt of it moves the whole way behind: one second in which pictures and accelerometer
contradict each other shifts the rig by decimetres. Three things are known of such contradictions, from recorded IMUs beside the poses of a
tracking system. Below 1 Hz they have 0.02 to 0.05 m/s^2/sqrt(Hz), ten times and more what the sensor hisses, between 2 and 4 Hz but 0.001 to
0.006: scale errors, the mount, and a reference that leans by tenths of a degree, all wander. So the accelerometer's bias may walk faster than
its calibration says (`mono.accel_walk_scale`), with less white noise in return. Then places tremble against the samples, which does not add up
as white noise does, and have a variance of their own. And now and then a stretch is plainly wrong: a factor as a whole has the weight of Geman
and McClure (1987), (1 + s / k)^-2 of its whitened squared residual s, renewed at every solution (iteratively reweighted least squares). k grows
with what is usual in the window: where most factors contradict the pictures it is the scale that is wrong, and they must be heard.
With two cameras nothing of this is done: depth does not depend on it.
"""

import numpy as np

from vio.backend.dense import quadratic
from vio.backend.factors import factor
from vio.backend.refinement import inverse9
from vio.backend.residuals import imu_residual
from vio.kernels import njit

_USUAL = 3.0  # times the middle one of the squared residuals at which a factor counts a quarter, at least
RECONSIDERED = 0.1  # change of a weight that makes another solution worth its time


@njit
def _upper_median(values):
    """The median of a few numbers (n,), of the two in the middle the larger; those that are none come last."""
    ordered = values.copy()
    for i in range(1, ordered.shape[0]):
        value, k = ordered[i], i
        while k > 0 and (value < ordered[k - 1] or np.isnan(ordered[k - 1])):
            ordered[k] = ordered[k - 1]
            k -= 1
        ordered[k] = value
    return ordered[ordered.shape[0] // 2]


@njit
def weigh(w, f, n, jitter, limit):
    """Renew the information of the n - 1 inertial factors between keyframes at their estimates; returns the largest change of a weight.

    jitter: sigma of a change of place beyond what the samples say, m. limit: residual, in sigmas per degree of freedom, at which a factor
    counts a quarter, unless that is near to the usual. A factor whose weight is no number is left alone.
    """
    most, information, squares = 0.0, np.empty((n - 1, 9, 9)), np.empty(n - 1)
    for i in range(n - 1):
        covariance = f.covariance[i].copy()
        for k in range(3):
            covariance[k, k] += jitter * jitter
        information[i] = inverse9(covariance)
        r = imu_residual(factor(f, i), w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], w.R[i + 1], w.p[i + 1], w.v[i + 1])
        squares[i] = quadratic(information[i], r)
    usual = _upper_median(squares) if n > 1 else 0.0
    k = max(9.0 * limit * limit, _USUAL * usual)
    for i in range(n - 1):
        weight = (1.0 + squares[i] / k) ** -2.0
        if not (np.isfinite(weight) and information[i, 0, 0] > 0.0):
            continue
        most = max(most, abs(weight - f.information[i, 0, 0] / information[i, 0, 0]))
        for a in range(9):
            for b in range(9):
                f.information[i, a, b] = weight * information[i, a, b]
    return most
