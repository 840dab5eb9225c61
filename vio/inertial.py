"""Inertial samples on their way to the estimator: those that are believed, kept until both frames around them are known, and how noisy they are.

A calibration tells the noise of a sensor at rest. In flight rotors shake it: EuRoC's accelerometer shows 33 to 46 times its calibrated density between
samples, its gyro 16 to 19 times, and against ground truth their integrals err by 12 to 33 times. Part of that averages out, as it swings: what counts as white
noise is a share of what is heard (`backend.gyro_vibration`, `accel_vibration`). And what is wrong about scale, mount and stamps grows with the motion
(`backend.gyro_motion`, `accel_motion`). A quiet sensor that moves slowly is relied on as calibrated, but for a factor.
"""

from typing import Any, NamedTuple

import numpy as np

from vio.backend.preintegration import Preintegrated, integrate_span
from vio.config import Config
from vio.events import Event
from vio.health import ImuScreen, Samples, together
from vio.kernels import njit
from vio.lie import matmul, matmul_t, orthonormalised

_EMPTY = (np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
_EVENTS = len(Event)
_HISTORY_NS = 1_000_000_000  # samples kept before the first frame
_RECENT = 1.0  # s over which the motion's strength and the vibration are remembered
_GYRO, _ACCEL = 0.5, 2.0  # rad/s, m/s^2: deviation of the motion that goes unmeasured at least, of a hand-held or flying rig
_SLOW_NS = 100_000_000  # in so long a gap a motion becomes another one; in shorter ones its neighbours tell the more of it
_NEVER = np.iinfo(np.int64).min
_GAP_NS = 25_000_000  # between samples further apart than this something may have gone unmeasured
_GUESS_NS = 40_000_000  # and beyond this the picture's turn by the gyro is a guess


class Span(NamedTuple):
    """What `integrate_span` takes: samples t_ns (n,), w_B, a_B (n, 3) around two frames, the frames' instants begin and end in ns, and the
    variances of gyro and accelerometer between them, densities squared."""

    t_ns: np.ndarray
    w_B: np.ndarray
    a_B: np.ndarray
    begin: int
    end: int
    gyro_var: float
    accel_var: float


class InertialBuffer:
    """Screens samples and hands out those around each frame."""

    def __init__(self, config: Config) -> None:
        """Empty."""
        self.screen = ImuScreen(config.health)
        self._config = config.backend
        self._samples = _EMPTY  # (t_ns, w_B, a_B) not older than the last frame, and three before it
        self._reasons = ""  # words, why samples were dropped since the last frame
        self._heard_ns = _NEVER  # stamp of the last sample that went into what is known of the last second, see `_hear`
        self._level, self._strength, self._vibration = np.zeros(6), np.zeros(6), np.zeros(3)

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep; the screen by itself."""
        return {"_samples": _EMPTY, "_reasons": "", "_level": np.zeros(6), "_strength": np.zeros(6), "_vibration": np.zeros(3), "_heard_ns": 0}

    @property
    def samples(self) -> Samples:
        """Those kept: t_ns (n,), w_B, a_B (n, 3); never written again."""
        return self._samples

    def add(self, t_ns: int | np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> None:
        """See `Odometry.add_imu`."""
        t = np.atleast_1d(np.asarray(t_ns, np.int64))
        w, a = (np.ascontiguousarray(x, np.float64).reshape(-1, 3) for x in (w_B, a_B))
        if not len(t) == len(w) == len(a):
            raise ValueError(f"add_imu: {len(t)} stamps, {len(w)} rates and {len(a)} accelerations; the counts must agree")
        believed, reasons = self.screen.screen(t, w, a)
        self._reasons = together(self._reasons, reasons)
        self._samples = tuple(map(np.concatenate, zip(self._samples, believed)))

    def take_reasons(self) -> tuple[str, ...]:
        """Why samples were dropped since this was last asked."""
        reasons, self._reasons = self._reasons, ""
        return tuple(reasons.split())

    def span(self, begin_ns: int, end_ns: int, gyro_var: float, accel_var: float) -> Span:
        """What lies between two instants, with the calibrated variances of gyro and accelerometer (densities squared) and what was heard beyond them;
        where samples are missing or the range of a sensor ended, what was not measured is a guess.

        Motion in a gap is taken for as strong as that of the last second. Between two samples it bends away from the straight line with the square of the
        gap, until after `_SLOW_NS` they say nothing of it: then the line's mean, of two values, errs by half of the variance for all of the gap.
        Beyond a range, whose end the last second shows as well, motion is taken for the least.
        """
        self._heard_ns = _hear(*self._samples, self._heard_ns, end_ns, self._level, self._strength, self._vibration)
        config, motion, vibration = self._config, self._strength, self._vibration
        gyro_var += config.gyro_vibration**2 * vibration[0] + config.gyro_motion**2 * motion[:3].mean()
        accel_var += config.accel_vibration**2 * vibration[1] + config.accel_motion**2 * motion[3:].mean()
        missing = _missing(self._samples[0], begin_ns, end_ns, _GAP_NS)
        beyond = (end_ns - begin_ns) * 1e-9 if self.screen.doubtful_ns > begin_ns else 0.0
        gyro_var += max(_GYRO**2 * beyond, max(_GYRO**2, motion[:3].max()) * missing)
        accel_var += max(_ACCEL**2 * beyond, max(_ACCEL**2, motion[3:].max()) * missing)
        return Span(*self._samples, begin_ns, end_ns, gyro_var, accel_var)

    def measures(self, begin_ns: int, end_ns: int) -> bool:
        """Whether no motion between two instants went unmeasured."""
        return _missing(self._samples[0], begin_ns, end_ns, _GUESS_NS) == 0.0

    def forget(self, before_ns: int, is_first: bool) -> None:
        """Drop samples that no later frame needs; before the first frame a second of them is kept for the initialisation."""
        t, w, a = self._samples
        oldest = before_ns - _HISTORY_NS if is_first else before_ns
        keep = max(int(t.searchsorted(oldest, "right")) - 3, 0)
        self._samples = t[keep:], w[keep:], a[keep:]


@njit
def _hear(t_ns, w_B, a_B, after_ns, until_ns, level, strength, vibration):
    """Let the samples t_ns (n,), w_B, a_B (n, 3) with after_ns < t_ns <= until_ns into what is known of the last second; returns the stamp of the last one.

    level, strength (6,): mean of (w_B, a_B) and the variance about it. vibration (3,): densities squared of what gyro and accelerometer show that is no
    motion, (rad/s)^2/Hz and (m/s^2)^2/Hz, means of the three axes, and the seconds heard.
    The mean square successive difference (von Neumann, Kent, Bellinson and Hart, Annals of Mathematical Statistics 12, 1941) leaves of a motion what it does
    from one sample to the next. Theirs is the first one; the third, of four samples, makes 20 times its variance of white noise, nothing of a parabola,
    and of a wave of 4 Hz at 200 samples a second 2 parts in 1000. Across a gap nothing is heard.
    """
    heard = after_ns
    for i in range(t_ns.shape[0]):
        if not after_ns < t_ns[i] <= until_ns:
            continue
        is_first, heard = heard == _NEVER, t_ns[i]
        share = min((t_ns[i] - t_ns[max(i - 1, 0)]) * 1e-9, _RECENT) / _RECENT
        for k in range(6):
            now = w_B[i, k] if k < 3 else a_B[i, k - 3]
            if is_first:
                level[k] = now
            off = now - level[k]
            level[k] += share * off
            strength[k] += share * (off * off - strength[k])
        if i < 3 or max(t_ns[i] - t_ns[i - 1], t_ns[i - 1] - t_ns[i - 2], t_ns[i - 2] - t_ns[i - 3]) > _GAP_NS:
            continue
        step, gyro, accel = (t_ns[i] - t_ns[i - 3]) / 3e9, 0.0, 0.0
        for k in range(3):
            gyro += (w_B[i, k] - 3.0 * w_B[i - 1, k] + 3.0 * w_B[i - 2, k] - w_B[i - 3, k]) ** 2
            accel += (a_B[i, k] - 3.0 * a_B[i - 1, k] + 3.0 * a_B[i - 2, k] - a_B[i - 3, k]) ** 2
        vibration[2] = min(vibration[2] + step, _RECENT)
        share = step / vibration[2]
        vibration[0] += share * (gyro * step / 60.0 - vibration[0])
        vibration[1] += share * (accel * step / 60.0 - vibration[1])
    return heard


@njit
def _missing(t_ns, begin, end, least_ns):
    """Seconds by which the variance of a motion is multiplied to get the density it adds from begin to end (ns), for samples t_ns (n,) with gaps of more
    than least_ns between them: the mean over that time of the share of the variance that goes unmeasured times half of the gap."""
    total, n = 0.0, t_ns.shape[0]
    for i in range(n + 1):
        first, last = t_ns[i - 1] if i > 0 else begin, t_ns[i] if i < n else end
        if last - first > least_ns and min(last, end) > max(first, begin):
            total += (min(last, end) - max(first, begin)) * min((last - first) / _SLOW_NS, 1.0) ** 4 * 0.5e-9 * (last - first)
    return total / max(end - begin, 1)


@njit
def turned(span, b_g, b_a, R_BC):
    """R_C1C0 (3, 3), the gyro's rotation of camera rays over a `Span`, with biases (3,) and the camera's attitude R_BC (3, 3) on the body."""
    bias = np.empty(6)
    bias[:3], bias[3:] = b_g, b_a
    step = Preintegrated(np.zeros(1), np.eye(3), np.zeros(3), np.zeros(3), bias, np.zeros((0, 6)), np.zeros((0, 0)))
    integrate_span(step, span.t_ns, span.w_B, span.a_B, span.begin, span.end, 0.0, 0.0, np.zeros(_EVENTS, np.int64))
    return orthonormalised(matmul(matmul_t(R_BC, step.dR.T), R_BC))


def rate_at(samples: Samples, t_ns: int) -> np.ndarray:
    """Rate w_B (3,) rad/s at an instant, between two samples; before the first and after the last one theirs."""
    t, w, _ = samples
    i = int(t.searchsorted(t_ns, "right"))
    if i in (0, len(t)):
        return w[min(i, len(t) - 1)]
    return w[i - 1] + (t_ns - t[i - 1]) / (t[i] - t[i - 1]) * (w[i] - w[i - 1])
