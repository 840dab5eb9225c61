"""Inertial samples by themselves: finite, units, gravity, noise, saturation, spikes, rest."""

from dataclasses import dataclass

import numpy as np

from vio import lie
from vio.calibration import ImuNoise
from vio.config import InitialConfig
from vio.doctor.verdict import Level, Stretch, Verdict, graded, told, unknown

GRAVITY = 9.81  # m/s^2, that of the naming law
_WINDOW = 0.5  # s
_BIAS = 0.2  # rad/s, the largest mean rate of a rig at rest
_REST_AT_START = 0.5  # s
_GRAVITY_WARN, _GRAVITY_FAULT = 0.3, 0.6  # m/s^2 at rest
_MOVING_WARN, _MOVING_FAULT = 1.5, 3.0  # m/s^2, of the mean over a few seconds of motion
_MEAN_SPAN = 3.0  # s
_SUSTAINED = 5.0  # rad/s, a median rate that no vehicle keeps up: degrees
_NOISE_REST, _NOISE_MOVING, _NOISE_FAULT = 4.0, 10.0, 40.0  # times the declared density
_SPIKE_GYRO, _SPIKE_ACCEL = 1.0, 15.0  # rad/s, m/s^2 off the median of five samples
_SPIKES_FAULT = 0.2  # per s
_SATURATED_RUN, _SATURATED_COUNT = 3, 5  # samples at the extreme value, in a row and in all


@dataclass(frozen=True)
class Rest:
    """Windows of half a second: begins (m,) s after the first sample, still (m,) bool as the engine takes it, quiet (m,) bool half
    of that, which excludes hovering, white noise densities gyro_density, accel_density (m,) of the worst axis, and norm (m,) of the mean specific force."""

    begin: np.ndarray
    still: np.ndarray
    quiet: np.ndarray
    gyro_density: np.ndarray
    accel_density: np.ndarray
    norm: np.ndarray


def examine(t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray, noise: ImuNoise | None, origin: int) -> list[Verdict]:
    """All verdicts on samples with ascending stamps; times are told in s after `origin` ns."""
    good = np.isfinite(w_B).all(axis=1) & np.isfinite(a_B).all(axis=1)
    verdicts = [_finite(good)]
    t_ns, w_B, a_B = t_ns[good], w_B[good], a_B[good]
    if len(t_ns) < 20:
        return [*verdicts, unknown("imu", f"{len(t_ns)} usable samples")]
    t = (t_ns - origin) / 1e9
    units = _rates(w_B)
    if units.level is Level.FAULT:
        w_B = np.deg2rad(w_B)  # told once; what follows is asked of the rates as they should be
    rest = windows(t, w_B, a_B)
    verdicts += [units, _rest(rest, t), gravity(rest, t, w_B, a_B)]
    verdicts += _noise(rest, noise) + [_saturation("gyro", w_B, t), _saturation("accel", a_B, t)]
    return verdicts + [_spikes("gyro", w_B, t, _SPIKE_GYRO, "rad/s"), _spikes("accel", a_B, t, _SPIKE_ACCEL, "m/s^2")]


def windows(t: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> Rest:
    """Cut the recording into windows; at rest is what the engine's initialisation takes for it (`InitialConfig`)."""
    limit, period = InitialConfig(), float(np.median(np.diff(t)))
    size = max(8, round(_WINDOW / period))
    rows = []
    for begin in range(0, max(len(t) - size, 1), max(size // 2, 1)):
        part = slice(begin, begin + size)
        w, a = w_B[part], a_B[part]
        is_whole = t[part][-1] - t[part][0] < 1.5 * size * period
        motion = max(w.std(axis=0).max() / limit.still_gyro, a.std(axis=0).max() / limit.still_accel)  # below 1: still
        slow = is_whole and float(np.linalg.norm(w.mean(axis=0))) < _BIAS
        # third differences keep white noise and drop motion: their variance is 1 + 9 + 9 + 1 times the sample's
        density = [float(np.diff(x, n=3, axis=0).std(axis=0).max() * np.sqrt(period / 20.0)) for x in (w, a)]
        rows.append((t[begin], slow and motion < 1.0, slow and motion < 0.5, *density, np.linalg.norm(a.mean(axis=0))))
    columns = [np.array(column) for column in zip(*rows)]
    return Rest(columns[0], columns[1].astype(bool), columns[2].astype(bool), *columns[3:])


def _finite(good: np.ndarray) -> Verdict:
    bad = int((~good).sum())
    return Verdict("imu.values", Level.FAULT if bad else Level.OK, f"{bad} of {len(good)} samples are not finite", "none", "remove these rows", float(bad), "samples")


def _rest(rest: Rest, t: np.ndarray) -> Verdict:
    moving = np.flatnonzero(~rest.still)
    first = int(moving[0]) if len(moving) else len(rest.begin)
    still = float(rest.begin[first - 1] - t[0]) + _WINDOW if first else 0.0
    level = Level.OK if still >= _REST_AT_START else Level.WARNING
    figure = f"at rest for the first {still:.1f} s" if still > 0 else "already moving at the first sample"
    remedy = "let the rig stand still for a second or two at the start: it gives the gyro's bias and the direction of gravity"
    return Verdict("imu.rest", level, figure, f"{_REST_AT_START:g} s", remedy, still, "s")


def gravity(rest: Rest, t: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> Verdict:
    """Magnitude of the specific force at rest, else of its mean over some seconds: 9.81 m/s^2, or the units are others."""
    rested = rest.still.any()
    norm = float(np.median(rest.norm[rest.still])) if rested else _mean_force(t, w_B, a_B)
    where = "at rest" if rested else "on average, never at rest"
    figure, limits = f"{norm:.3f} m/s^2 {where}", (_GRAVITY_WARN, _GRAVITY_FAULT) if rested else (_MOVING_WARN, _MOVING_FAULT)
    level, remedy = graded(abs(norm - GRAVITY), *limits), "calibrate the accelerometer: its scale or bias is off"
    if 0.8 < norm < 1.25:
        figure, remedy = f"{norm:.3f} {where}: the unit is g, not m/s^2", "multiply the specific force by 9.80665"
    elif 800.0 < norm < 1250.0:
        figure, remedy = f"{norm:.0f} {where}: the unit is thousandths of g, not m/s^2", "multiply the specific force by 0.00980665"
    elif norm < 0.5:
        figure, remedy = f"{figure}: gravity has been taken out", "record specific force, with gravity in it"
    return Verdict("imu.gravity", level, figure, f"{GRAVITY:g} +- {limits[0]:g} m/s^2", remedy, norm, "m/s^2")


def _mean_force(t: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> float:
    """Median over windows of the norm of the mean specific force in a frame that the gyro holds still: motion averages out."""
    size = max(2, min(len(t), round(_MEAN_SPAN / float(np.median(np.diff(t))))))
    norms = []
    for begin in range(0, len(t) - size + 1, size):
        R, total = np.eye(3), np.zeros(3)
        for k in range(begin, begin + size - 1):
            total += R @ a_B[k]
            R = R @ lie.so3_exp(w_B[k] * (t[k + 1] - t[k]))
        norms.append(np.linalg.norm(total) / (size - 1))
    return float(np.median(norms))


def _rates(w_B: np.ndarray) -> Verdict:
    """A crude test of the units; the camera or the ground truth give the exact one."""
    median = float(np.median(np.linalg.norm(w_B, axis=1)))
    level = Level.FAULT if median > _SUSTAINED else Level.OK
    figure = f"median rate {median:.3g} rad/s" + (": these are degrees per second" if level is Level.FAULT else "")
    return Verdict("imu.gyro_units", level, figure, f"{_SUSTAINED:g} rad/s", "multiply the rates by pi / 180", median, "rad/s")


def _noise(rest: Rest, noise: ImuNoise | None) -> list[Verdict]:
    """The windows at rest against the declared densities, or the quietest ones; vibration counts as noise where there is no rest."""
    if noise is None:
        return [unknown("imu.noise", "no noise densities are declared")]
    chosen, warn = (rest.quiet, _NOISE_REST) if rest.quiet.any() else (np.ones(len(rest.quiet), bool), _NOISE_MOVING)
    where = "at rest" if rest.quiet.any() else "at the quietest, never at rest"
    verdicts = []
    for name, measured, declared, unit in (
        ("gyro", rest.gyro_density, noise.gyro_noise, "rad/s/sqrt(Hz)"), ("accel", rest.accel_density, noise.accel_noise, "m/s^2/sqrt(Hz)")):
        density = float(np.quantile(measured[chosen], 0.1 if rest.quiet.any() else 0.01))
        ratio = density / declared
        figure = f"{density:.2e} {unit} {where}, {ratio:.2g} times the declared {declared:.2e}"
        remedy = f"declare at least {density:.1e}, or damp the vibration"
        verdicts.append(Verdict(f"imu.{name}_noise", graded(ratio, warn, _NOISE_FAULT), figure, f"{warn:g} times", remedy, density, unit))
    return verdicts


def _saturation(name: str, values: np.ndarray, t: np.ndarray) -> Verdict:
    """Runs of samples at exactly the largest or smallest value of an axis."""
    hits = np.zeros(len(t), bool)
    for axis in values.T:
        for extreme in (axis.max(), axis.min()):
            at = axis == extreme
            if at.sum() >= _SATURATED_COUNT and extreme != np.median(axis) and _longest_run(at) >= _SATURATED_RUN:
                hits |= at
    item, count = f"imu.{name}_saturation", int(hits.sum())
    if count == 0:
        return Verdict(item, Level.OK, f"largest value {np.abs(values).max():.3g}", "", "", 0.0, "samples")
    figure = f"{count} samples at the end of the range (+-{np.abs(values[hits]).max():.4g}): {told(_stretches(hits, t))}"
    return Verdict(item, Level.FAULT, figure, f"{_SATURATED_RUN} in a row", "choose a larger range of the sensor", float(count), "samples")


def _longest_run(mask: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _stretches(mask: np.ndarray, t: np.ndarray) -> list[Stretch]:
    """Runs of a mask that lie less than 0.1 s apart, joined."""
    at = np.flatnonzero(mask)
    parts = np.split(at, np.flatnonzero(np.diff(t[at]) > 0.1) + 1)
    return [Stretch(float(t[p[0]]), float(t[p[-1]]), len(p)) for p in parts if len(p)]


def _spikes(name: str, values: np.ndarray, t: np.ndarray, limit: float, unit: str) -> Verdict:
    """Samples far off the median of themselves and their four neighbours."""
    around = np.stack([values[k : len(values) - 4 + k] for k in range(5)])
    off = np.abs(values[2:-2] - np.median(around, axis=0)).max(axis=1)
    hits = off > max(limit, 20.0 * float(np.median(off)))
    count, rate = int(hits.sum()), float(hits.sum() / (t[-1] - t[0]))
    item = f"imu.{name}_spikes"
    if count == 0:
        return Verdict(item, Level.OK, f"none, largest jump {off.max():.2g} {unit}", f"{limit:g} {unit}", "", 0.0, "spikes")
    when = ", ".join(f"{at:.2f}" for at in t[2:-2][hits][:4])
    figure = f"{count} samples jump by up to {off.max():.3g} {unit}, at {when}{'...' if count > 4 else ''} s"
    remedy = "check cable and supply of the IMU; the engine drops single ones of the accelerometer"
    return Verdict(item, Level.FAULT if rate > _SPIKES_FAULT else Level.WARNING, figure, f"{limit:g} {unit}", remedy, float(count), "spikes")
