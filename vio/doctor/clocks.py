"""Stamps: rate, order, gaps and jitter of every sensor, what they have in common, and pictures without a partner."""

from dataclasses import dataclass

import numpy as np

from vio.doctor.verdict import Level, Stretch, Verdict, graded, told, unknown
from vio.io.recording import nearest

_GAP = 1.75  # periods from which on samples are missing
_LONG_GAP = 5.0  # periods; a longer gap is a fault
_SAMPLES_WARN, _SAMPLES_FAULT = 1e-9, 0.02  # share of missing samples
_JITTER_WARN, _JITTER_FAULT = 0.05, 0.30  # 95th percentile of |interval - period| in periods
_ORDER_FAULT = 3  # rows
_UNCOVERED_WARN, _UNCOVERED_FAULT = 0.02, 0.10  # share of the frames
_UNPAIRED_FAULT = 0.05  # share of the pictures


@dataclass(frozen=True)
class Clock:
    """Stamps (n,) int64 ns of one sensor in the order in which they were recorded; `least_hz` is useful, `rate_hz` what the calibration declares."""

    sensor: str
    t_ns: np.ndarray
    least_hz: float
    rate_hz: float | None = None


def examine(clocks: list[Clock], origin: int) -> list[Verdict]:
    """Verdicts on every clock by itself; times are told in s after `origin` ns."""
    verdicts: list[Verdict] = []
    for clock in clocks:
        if len(clock.t_ns) < 3:
            verdicts.append(Verdict(f"{clock.sensor}.rate", Level.FAULT, f"{len(clock.t_ns)} samples", "3 at least", "record longer"))
            continue
        t_ns = np.unique(clock.t_ns)
        verdicts += [_order(clock), _rate(clock, t_ns), _gaps(clock.sensor, t_ns, origin), _jitter(clock.sensor, t_ns)]
    return verdicts


def _order(clock: Clock) -> Verdict:
    back = int((np.diff(clock.t_ns) <= 0).sum())
    level = Level.OK if back == 0 else Level.FAULT if back >= _ORDER_FAULT else Level.WARNING
    figure = f"{back} of {len(clock.t_ns)} stamps go back or repeat" if back else "ascending"
    return Verdict(f"{clock.sensor}.order", level, figure, "none", "sort the rows by stamp and remove repeated ones", float(back), "stamps")


def _rate(clock: Clock, t_ns: np.ndarray) -> Verdict:
    """Against the least useful rate and the declared one."""
    item, rate = f"{clock.sensor}.rate", 1e9 / float(np.median(np.diff(t_ns)))
    figure = f"{rate:.4g} Hz, {len(clock.t_ns)} samples in {(t_ns[-1] - t_ns[0]) / 1e9:.2f} s"
    if rate < clock.least_hz:
        return Verdict(item, Level.WARNING, figure, f"{clock.least_hz:g} Hz at least", "record at a higher rate", rate, "Hz")
    if clock.rate_hz and abs(rate / clock.rate_hz - 1.0) > 0.1:
        remedy = "correct rate_hz: noise densities become deviations by it"
        return Verdict(item, Level.WARNING, f"{figure}; declared: {clock.rate_hz:g} Hz", "10 % off", remedy, rate, "Hz")
    return Verdict(item, Level.OK, figure, f"{clock.least_hz:g} Hz at least", "", rate, "Hz")


def _gaps(sensor: str, t_ns: np.ndarray, origin: int) -> Verdict:
    intervals = np.diff(t_ns)
    period = float(np.median(intervals))
    # a late stamp makes a long interval too, but a short one follows
    around = np.convolve(np.pad(intervals, 1, mode="edge"), np.ones(3), "valid")
    at = np.flatnonzero((intervals > _GAP * period) & (around > (2.0 + _GAP) * period))
    if len(at) == 0:
        return Verdict(f"{sensor}.gaps", Level.OK, f"none, longest interval {intervals.max() / 1e6:.1f} ms", "", "", 0.0, "s")
    missing = int(np.rint(intervals[at] / period - 1.0).sum())
    longest = float(intervals.max())
    level = Level.FAULT if longest > _LONG_GAP * period else graded(missing / (len(t_ns) + missing), _SAMPLES_WARN, _SAMPLES_FAULT)
    spans = [Stretch((t_ns[k] - origin) / 1e9, (t_ns[k + 1] - origin) / 1e9, 0) for k in at]
    limit = f"{_LONG_GAP * period / 1e6:.0f} ms, {100 * _SAMPLES_FAULT:g} % of the samples"
    figure = f"{missing} samples missing in {len(at)} gaps, the longest {longest / 1e6:.0f} ms: {told(spans)}"
    return Verdict(f"{sensor}.gaps", level, figure, limit, "record to a faster disk, or use the part between the gaps", longest / 1e9, "s")


def _jitter(sensor: str, t_ns: np.ndarray) -> Verdict:
    intervals = np.diff(t_ns)
    period = float(np.median(intervals))
    usual = intervals[intervals < _GAP * period]
    spread = float(np.quantile(np.abs(usual - period), 0.95))
    remedy = "stamps of arrival instead of capture? use the sensor's own clock, or a hardware trigger"
    limit = f"{_JITTER_WARN * period / 1e6:.2g} ms"
    figure = f"95 % of the intervals within {spread / 1e6:.2g} ms of {period / 1e6:.4g} ms"
    return Verdict(f"{sensor}.jitter", graded(spread / period, _JITTER_WARN, _JITTER_FAULT), figure, limit, remedy, spread / 1e6, "ms")


def overlap(frame_t_ns: np.ndarray | None, imu_t_ns: np.ndarray | None) -> Verdict:
    """Are there inertial samples for all frames?"""
    item = "clocks.overlap"
    if frame_t_ns is None or imu_t_ns is None:
        return unknown(item, "cameras or IMU are missing")
    outside = int(((frame_t_ns < imu_t_ns.min()) | (frame_t_ns > imu_t_ns.max())).sum())
    share = outside / len(frame_t_ns)
    level = Level.OK if outside <= 5 and share < _UNCOVERED_FAULT else graded(share, _UNCOVERED_WARN, _UNCOVERED_FAULT)
    figure = f"{outside} of {len(frame_t_ns)} frames lie outside the IMU's time"
    if outside == len(frame_t_ns):
        figure += f", which is off by {(float(frame_t_ns.mean()) - float(imu_t_ns.mean())) / 1e9:.3f} s"
    return Verdict(item, level, figure, f"{100 * _UNCOVERED_WARN:g} %", "clocks of different epochs, or a sensor that stopped: align them, or cut", 100 * share, "%")


def pairs(left_ns: np.ndarray, right_ns: np.ndarray) -> Verdict:
    """Left and right pictures that are not each other's nearest within half a period."""
    left, right = np.unique(left_ns), np.unique(right_ns)
    period = float(np.median(np.diff(left))) if len(left) > 1 else 1e8
    near = nearest(right, left)
    paired = (nearest(left, right)[near] == np.arange(len(left))) & (np.abs(right[near] - left) <= period / 2)
    lonely = (len(left) - int(paired.sum()), len(right) - int(paired.sum()))
    return unpaired(lonely[0], lonely[1], len(left))


def unpaired(left: int, right: int, frames: int) -> Verdict:
    """Verdict on pictures without a partner: `left` and `right` of them, among `frames`."""
    share = (left + right) / max(frames, 1)
    level = Level.OK if left + right == 0 else graded(share, 0.0, _UNPAIRED_FAULT)
    figure = f"{left} left and {right} right pictures without a partner"
    return Verdict("stereo.pairs", level, figure, f"{100 * _UNPAIRED_FAULT:g} %", "they are not used; trigger both cameras by one signal", 100 * share, "%")
