"""Inertial samples on their way to the estimator: those that are believed, kept until both frames around them are known."""

from typing import Any, NamedTuple

import numpy as np

from vio.backend.preintegration import Preintegrated, integrate_span
from vio.config import HealthConfig
from vio.events import Event
from vio.health import ImuScreen, Samples, together
from vio.kernels import njit
from vio.lie import matmul, matmul_t, orthonormalised

_EMPTY = (np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
_EVENTS = len(Event)
_HISTORY_NS = 1_000_000_000  # samples kept before the first frame
_RECENT = 1.0  # s over which the motion's strength is remembered
_GYRO, _ACCEL = 0.5, 2.0  # rad/s, m/s^2: deviation of the motion that goes unmeasured at least, of a hand-held or flying rig
_SLOW_NS = 100_000_000  # in so long a gap a motion becomes another one; in shorter ones its neighbours tell the more of it
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

    def __init__(self, limits: HealthConfig) -> None:
        """Empty."""
        self.screen = ImuScreen(limits)
        self._samples = _EMPTY  # (t_ns, w_B, a_B) not older than the last frame, and one before it
        self._reasons = ""  # words, why samples were dropped since the last frame
        self._level, self._strength = np.zeros(6), np.zeros(6)  # recent mean of (w_B, a_B) and variance about it

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep; the screen by itself."""
        return {"_samples": _EMPTY, "_reasons": "", "_level": np.zeros(6), "_strength": np.zeros(6)}

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
        _feel(*believed, self._samples[0][-1:], self._level, self._strength)
        self._samples = tuple(map(np.concatenate, zip(self._samples, believed)))

    def take_reasons(self) -> tuple[str, ...]:
        """Why samples were dropped since this was last asked."""
        reasons, self._reasons = self._reasons, ""
        return tuple(reasons.split())

    def span(self, begin_ns: int, end_ns: int, gyro_var: float, accel_var: float) -> Span:
        """What lies between two instants; where samples are missing or the range of a sensor ended, what was not measured is a guess.

        Motion in a gap is taken for as strong as that of the last second. Between two samples it bends away from the straight line with the square of the
        gap, until after `_SLOW_NS` they say nothing of it: then the line's mean, of two values, errs by half of the variance for all of the gap.
        Beyond a range, whose end the last second shows as well, motion is taken for the least.
        """
        missing = _missing(self._samples[0], begin_ns, end_ns, _GAP_NS)
        beyond = (end_ns - begin_ns) * 1e-9 if self.screen.saturated_ns > begin_ns else 0.0
        gyro_var += max(_GYRO**2 * beyond, max(_GYRO**2, self._strength[:3].max()) * missing)
        accel_var += max(_ACCEL**2 * beyond, max(_ACCEL**2, self._strength[3:].max()) * missing)
        return Span(*self._samples, begin_ns, end_ns, gyro_var, accel_var)

    def measures(self, begin_ns: int, end_ns: int) -> bool:
        """Whether no motion between two instants went unmeasured."""
        return _missing(self._samples[0], begin_ns, end_ns, _GUESS_NS) == 0.0

    def forget(self, before_ns: int, is_first: bool) -> None:
        """Drop samples that no later frame needs; before the first frame a second of them is kept for the initialisation."""
        t, w, a = self._samples
        oldest = before_ns - _HISTORY_NS if is_first else before_ns
        keep = max(int(t.searchsorted(oldest, "right")) - 1, 0)
        self._samples = t[keep:], w[keep:], a[keep:]


@njit
def _feel(t_ns, w_B, a_B, last_ns, level, strength):
    """Let samples (n,), (n, 3), (n, 3) after last_ns (1,) or nothing (0,) into the recent mean level (6,) and the variance strength (6,) about it."""
    for i in range(t_ns.shape[0]):
        before = t_ns[i - 1] if i > 0 else last_ns[0] if last_ns.shape[0] > 0 else t_ns[i]
        share = min((t_ns[i] - before) * 1e-9, _RECENT) / _RECENT
        for k in range(6):
            off = (w_B[i, k] if k < 3 else a_B[i, k - 3]) - level[k]
            if last_ns.shape[0] == 0 and i == 0:
                level[k], off = level[k] + off, 0.0
            level[k] += share * off
            strength[k] += share * (off * off - strength[k])


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
