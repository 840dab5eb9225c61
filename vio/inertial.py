"""Inertial samples on their way to the estimator: those that are believed, kept until both frames around them are known."""

from typing import Any, NamedTuple

import numpy as np

from vio.backend.preintegration import GAP_ACCEL, GAP_GYRO, Preintegrated, integrate_span
from vio.config import HealthConfig
from vio.events import Event
from vio.health import ImuScreen, Samples, together
from vio.kernels import njit
from vio.lie import matmul, matmul_t, orthonormalised

_EMPTY = (np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))
_EVENTS = len(Event)
_HISTORY_NS = 1_000_000_000  # samples kept before the first frame


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

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep; the screen by itself."""
        return {"_samples": _EMPTY, "_reasons": ""}

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
        """What lies between two instants; where the range of a sensor ended, what lies beyond is a guess."""
        if self.screen.saturated_ns > begin_ns:
            seconds = (end_ns - begin_ns) * 1e-9
            gyro_var, accel_var = gyro_var + GAP_GYRO**2 * seconds, accel_var + GAP_ACCEL**2 * seconds
        return Span(*self._samples, begin_ns, end_ns, gyro_var, accel_var)

    def forget(self, before_ns: int, is_first: bool) -> None:
        """Drop samples that no later frame needs; before the first frame a second of them is kept for the initialisation."""
        t, w, a = self._samples
        oldest = before_ns - _HISTORY_NS if is_first else before_ns
        keep = max(int(t.searchsorted(oldest, "right")) - 1, 0)
        self._samples = t[keep:], w[keep:], a[keep:]


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
