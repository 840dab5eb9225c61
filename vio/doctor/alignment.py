"""Lag, drift, rotation and scale between a gyro and anything else that saw the rig turn: a camera, or the ground truth.

Over an interval the other sensor S turned by the rotation vector phi, and with W the running integral of the gyro's rate

    W(t1 + lag) - W(t0 + lag) = scale R_BS phi + b (t1 - t0),    lag = lag0 + drift (t - t_middle)

(the intervals are short, so that rotations about changing axes add up). A grid of lags with Kabsch's rotation gives the start,
Gauss-Newton under Tukey's biweight the rest; sigmas come from its normal matrix.
"""

from dataclasses import dataclass

import numpy as np

from vio import lie

MIN_TURNS = 30
STANDING = 0.02  # rad/s of excitation below which nothing can be told
_REACH = 0.5  # s, lags searched on either side
_STEP = 0.02  # s, a tenth of the period of the quickest motion of a hand
_ITERATIONS = 20
_SLOPE = 0.002  # s, half the span of the difference quotient of W
_DRIFT_SPAN = 8.0  # s; on less a drift is not told from noise and not sought


@dataclass(frozen=True)
class Turns:
    """Rotations over intervals: t0_ns, t1_ns (n,) int64, phi (n, 3) rad in the sensor's frame."""

    t0_ns: np.ndarray
    t1_ns: np.ndarray
    phi: np.ndarray


@dataclass(frozen=True)
class Alignment:
    """Gyro time = sensor time + lag. Sigmas are one standard deviation.

    lag s at the middle, drift s/s (0 with an infinite sigma on short recordings), R_BS (3, 3), scale (gyro / sensor), b (3,) rad/s;
    rotation_sigma rad about the worst axis; correlation: share of the turning that agrees, at most 1; excitation rad/s: how much the
    rates vary, by the livelier of the two sensors; turns used; seconds spanned.
    """

    lag: float
    lag_sigma: float
    drift: float
    drift_sigma: float
    R_BS: np.ndarray
    rotation_sigma: float
    scale: float
    scale_sigma: float
    b: np.ndarray
    correlation: float
    excitation: float
    turns: int
    seconds: float


class _Gyro:
    """Running integral of the rate, at times in s after an origin."""

    def __init__(self, t_ns: np.ndarray, w_B: np.ndarray, origin: int) -> None:
        self.t = (t_ns - origin) / 1e9
        steps = 0.5 * (w_B[1:] + w_B[:-1]) * np.diff(self.t)[:, None]
        self._W = np.vstack([np.zeros((1, 3)), np.cumsum(steps, axis=0)])

    def integral(self, t: np.ndarray) -> np.ndarray:
        """W (n, 3) rad."""
        return np.column_stack([np.interp(t, self.t, self._W[:, k]) for k in range(3)])

    def rate(self, t: np.ndarray) -> np.ndarray:
        """Slope of W (n, 3) rad/s."""
        return (self.integral(t + _SLOPE) - self.integral(t - _SLOPE)) / (2.0 * _SLOPE)


def align(turns: Turns, imu_t_ns: np.ndarray, w_B: np.ndarray) -> Alignment | None:
    """Fit the model of the module's docstring; None with too few turns inside the gyro's time, or if nothing turned at all."""
    origin = int(imu_t_ns[0])
    gyro = _Gyro(imu_t_ns, w_B, origin)
    t0, t1 = (turns.t0_ns - origin) / 1e9, (turns.t1_ns - origin) / 1e9
    use = np.isfinite(turns.phi).all(axis=1) & (t0 > gyro.t[0]) & (t1 < gyro.t[-1])
    t0, t1, phi = t0[use], t1[use], turns.phi[use]
    if len(t0) < MIN_TURNS or np.abs(phi - phi.mean(axis=0)).max() < 1e-6:
        return None
    fit = _Fit(gyro, t0, t1, phi)
    fit.start()
    fit.refine()
    return fit.result()


class _Fit:
    """State of the fit: lag, drift, R, b, scale."""

    def __init__(self, gyro: _Gyro, t0: np.ndarray, t1: np.ndarray, phi: np.ndarray) -> None:
        self._gyro, self._t0, self._t1, self._phi = gyro, t0, t1, phi
        self._since = t0 - 0.5 * (t0[0] + t1[-1])
        self.lag = self.drift = 0.0
        self.R, self.scale, self.b = np.eye(3), 1.0, np.zeros(3)

    def _turned(self, lag: np.ndarray | float) -> np.ndarray:
        return self._gyro.integral(self._t1 + lag) - self._gyro.integral(self._t0 + lag)

    def start(self) -> None:
        """The lag of the grid at which the best rotation explains most."""
        best, w = np.inf, _first_weights(self._phi / (self._t1 - self._t0)[:, None])
        for lag in np.arange(-_REACH, _REACH + _STEP / 2, _STEP):
            R, scale, b, cost = _kabsch(self._turned(lag), self._phi, self._t1 - self._t0, w)
            if cost < best:
                best, self.lag, self.R, self.scale, self.b = cost, float(lag), R, scale, b

    def _residuals(self) -> np.ndarray:
        expected = self.scale * self._phi @ self.R.T + self.b * (self._t1 - self._t0)[:, None]
        return self._turned(self.lag + self.drift * self._since) - expected

    def _jacobian(self) -> np.ndarray:
        """(n, 3, 9): lag, drift, left turn of R, b, log of the scale."""
        lag, n = self.lag + self.drift * self._since, len(self._t0)
        J = np.zeros((n, 3, 9))
        J[:, :, 0] = self._gyro.rate(self._t1 + lag) - self._gyro.rate(self._t0 + lag)
        if self._t1[-1] - self._t0[0] > _DRIFT_SPAN:
            J[:, :, 1] = J[:, :, 0] * self._since[:, None]
        turned = self.scale * self._phi @ self.R.T
        for k, axis in enumerate(np.eye(3)):
            J[:, :, 2 + k] = -np.cross(axis, turned)
            J[:, k, 5 + k] = -(self._t1 - self._t0)
        J[:, :, 8] = -turned
        return J

    def refine(self) -> None:
        """Gauss-Newton from the grid's start."""
        for _ in range(_ITERATIONS):
            e, J = self._residuals(), self._jacobian()
            A, g, _ = _normal(e, J)
            d = -np.linalg.solve(A, g)
            self.lag += float(np.clip(d[0], -_STEP, _STEP))
            self.drift += float(np.clip(d[1], -1e-3, 1e-3))
            self.R = lie.so3_exp(d[2:5]) @ self.R
            self.b = self.b + d[5:8]
            self.scale *= float(np.exp(np.clip(d[8], -0.2, 0.2)))
            if abs(d[0]) < 1e-7 and np.abs(d[2:5]).max() < 1e-7:
                break

    def result(self) -> Alignment:
        """The fit with its sigmas."""
        e, J = self._residuals(), self._jacobian()
        A, _, sigma = _normal(e, J)
        covariance = sigma**2 * np.linalg.inv(A)
        turned = self._turned(self.lag)
        spread = _spread(turned)
        correlation = 1.0 - float(np.median(np.sum(e**2, axis=1)) / max(spread, 1e-18))
        excitation = float(np.sqrt(max(spread, _spread(self._phi))) / np.median(self._t1 - self._t0))
        deviations = np.sqrt(np.diag(covariance))
        worst = float(np.sqrt(np.linalg.eigvalsh(covariance[2:5, 2:5])[-1]))
        return Alignment(
            self.lag, float(deviations[0]), self.drift, float(deviations[1]) if self.drift else np.inf, lie.orthonormalised(self.R), worst,
            self.scale, float(self.scale * deviations[8]), self.b, correlation, excitation, len(e), float(self._t1[-1] - self._t0[0]),
        )


def _normal(e: np.ndarray, J: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Weighted normal matrix (9, 9), gradient (9,), and the deviation of one component of the residuals."""
    length = np.linalg.norm(e, axis=1)
    sigma = max(float(np.median(length)) / 1.538, 1e-9)  # median of a norm of three unit normals
    w = np.maximum(1.0 - (length / (7.0 * sigma)) ** 2, 0.0) ** 2
    A = np.einsum("n,nik,nil->kl", w, J, J)
    # a rig that never turned about some axis leaves parameters open: they stay where they are
    return A + np.diag(1e-9 * np.diag(A) + 1e-12), np.einsum("n,nik,ni->k", w, J, e), sigma


def _kabsch(turned: np.ndarray, phi: np.ndarray, dt: np.ndarray, trust: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, float]:
    """Rotation, scale, bias and robust cost that map phi to turned; Kabsch 1976 on rates about their means, reweighted twice.

    trust: (n,) first weights of phi.
    """
    y_rate, x_rate = turned / dt[:, None], phi / dt[:, None]
    w = _first_weights(y_rate) * trust
    for _ in range(3):
        share = w / w.sum()
        middle, centre = share @ y_rate, share @ x_rate
        y, x = turned - middle * dt[:, None], phi - centre * dt[:, None]
        U, _, Vt = np.linalg.svd(y.T @ (w[:, None] * x))
        R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
        scale = float(np.sum(w[:, None] * y * (x @ R.T)) / max(np.sum(w[:, None] * x**2), 1e-18))
        if scale <= 0.0:
            return R, 1.0, middle, np.inf
        length = np.linalg.norm(y - scale * x @ R.T, axis=1)
        w = 1.0 / (1.0 + (length / (2.0 * np.median(length) + 1e-12)) ** 2)
    relative = np.median(length**2) / max(np.median(np.sum(y**2, axis=1)), 1e-18)
    return R, scale, middle - scale * R @ centre, float(relative)


def _spread(x: np.ndarray) -> float:
    """Median squared distance from the median."""
    return float(np.median(np.sum((x - np.median(x, axis=0)) ** 2, axis=1)))


def _first_weights(rate: np.ndarray) -> np.ndarray:
    """Small for rates far beyond the usual ones: one wild turn would pull the start away."""
    length = np.linalg.norm(rate - np.median(rate, axis=0), axis=1)
    return 1.0 / (1.0 + (length / (3.0 * np.median(length) + 1e-12)) ** 4)
