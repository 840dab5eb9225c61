"""Health of an odometry: which inertial samples are believed, and the verdict on every frame.

| reason | cause | threshold in `HealthConfig` |
|---|---|---|
| `imu_bad_sample` | a sample that is no number or beyond the sensor's range: dropped | `max_gyro`, `max_accel` |
| `imu_out_of_order` | a sample not later than the one before: dropped | |
| `imu_spike` | a sample that jumps: dropped, up to three in a row | `max_gyro_jump`, `max_accel_jump` |
| `imu_saturated` | three equal samples at the largest value so far, or five below it: trusted less | `saturated_gyro`, `saturated_accel` |
| `imu_gap` | samples further apart than this between two frames | `imu_gap` |
| `frame_gap` | frames further apart than so many usual intervals | `frame_gap` |
| `frame_out_of_order`, `frame_duplicate` | a stamp that is not later than the last frame's: the frame is left out | |
| `uneven_stamps` | the intervals of the last six frames are uneven | `online.beat_scatter` |
| `frame_repeated` | the very picture of the frame before although the rig moved: it is not looked at | `still_motion` |
| `picture_blind` | nothing in the picture to hold on to: features wait for the next one | |
| `exposure_jump` | brightness changed between two frames: taken out before tracking | |
| `contradictions` | of the features, five frames long, this share contradicts the motion of the others: something else moves | `max_contradictions` |
| `no_stereo` | the right picture is missing or shows nothing, or at the last keyframe fewer features than this share were found in it | `flat_picture`, `min_stereo` |
| `right_leads` | the left camera went blind and the right one took its place | `swap_after` |
| `few_tracks` | fewer landmarks than this took part | `min_tracks` |
| `innovation` | the frame contradicts the inertial prediction beyond its covariance | `max_innovation` |
| `uncertain` | deviation of the velocity above this | `max_velocity_sigma` |
| `solver_failed` | no step of the optimiser could be solved | |
| `clock_offset` | at one keyframe, when an offset between the clocks of cameras and IMU begins to be followed | `online.dead_zone` |
| `mount_turned` | pictures and gyro turn about different axes: the cameras do not sit on the body as the calibration says | `max_mount_evidence` |
| `calibration_bounds` | an estimate of the calibration left its bounds and is held there | `online.max_...` |
| `repaired` | a number that made no sense was replaced | |
| `restarted` | the window was opened anew where the state was | `restart_after`, `max_speed`, `max_gyro_bias`, `max_accel_bias` |

States: *initialising* until `min_tracks` landmarks take part and the velocity is known to half of `max_velocity_sigma`; *lost* where fewer than
`lost_tracks` have taken part for `lost_after`, the state being propagated from the IMU with growing covariance; *recovering* after that
until `recover_frames` frames in a row have `min_tracks`; *degraded* with any reason; else *good*.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vio.config import HealthConfig
from vio.kernels import njit
from vio.saved import Maybe
from vio.types import FrontEndOutput, Health, HealthState, NavState, TrackStatus

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]  # t_ns (n,), w_B (n, 3), a_B (n, 3)
_OUTLIER, _GATED = int(TrackStatus.OUTLIER), int(TrackStatus.GATED)
_SPIKES_IN_A_ROW = 3
_EQUAL_AT_TOP, _EQUAL_BELOW = 3, 5  # samples in a row that make the end of the range
_RECENT = 5  # frames over which contradictions are averaged
_USUAL = 15  # frames whose median interval is the usual one
_SURE = 0.5  # of the largest deviation of the velocity: so well must the first state be known, lest it is doubted at once


def together(words: str, more: Sequence[str]) -> str:
    """Words, and more of them, each once."""
    return " ".join(dict.fromkeys((*words.split(), *more))) if more else words


class ImuScreen:
    """Decides which inertial samples are believed. Its state is the last believed samples and the largest values so far."""

    def __init__(self, limits: HealthConfig) -> None:
        """Believe nothing yet."""
        self._limits = limits
        self._limit = np.repeat([limits.max_gyro, limits.max_accel], 3)
        self._jump = np.repeat([limits.max_gyro_jump, limits.max_accel_jump], 3)
        self._floor = np.repeat([limits.saturated_gyro, limits.saturated_accel], 3)
        self.newest_ns = self.last_ns = np.iinfo(np.int64).min  # the newest sample, and the newest believed one
        self.last = np.zeros((0, 6))  # up to four believed samples (w_B, a_B)
        self.top = np.zeros(6)  # largest magnitudes so far
        self.spikes = 0  # samples in a row taken for spikes
        self.doubtful_ns = np.iinfo(np.int64).min  # the newest sample at the end of the range, or after a jump that was taken for a spike

    def screen(self, t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray) -> tuple[Samples, list[str]]:
        """The samples to be believed out of t_ns (n,), w_B, a_B (n, 3), and the reasons why others are not."""
        if len(t_ns) and len(self.last) and _are_plain(t_ns, w_B, a_B, self.newest_ns, self.last, self._limit, self._jump, self._floor, self.top):
            self.newest_ns = self.last_ns = int(t_ns[-1])
            self.spikes = 0
            self._keep(np.concatenate([w_B[1 - _EQUAL_BELOW :], a_B[1 - _EQUAL_BELOW :]], axis=1))
            return (t_ns, w_B, a_B), []
        return self._sifted(t_ns, np.hstack([w_B, a_B]))

    def _keep(self, y: np.ndarray) -> None:
        self.last = np.concatenate([self.last, y])[1 - _EQUAL_BELOW :]

    def _sifted(self, t_ns: np.ndarray, y: np.ndarray) -> tuple[Samples, list[str]]:
        """As `screen`, of samples y (n, 6) that are not all plain."""
        with np.errstate(invalid="ignore"):
            sane = (np.abs(y) <= self._limit).all(axis=1)  # false for NaN
        t, y = t_ns[sane], y[sane]
        ordered = t > np.maximum.accumulate(np.concatenate([[self.newest_ns], t]))[:-1]
        t, y = t[ordered], y[ordered]
        self.newest_ns = int(t[-1]) if len(t) else self.newest_ns
        calm = self._calm(t, y)
        t, y = t[calm], y[calm]
        self.last_ns = int(t[-1]) if len(t) else self.last_ns
        saturated = self._saturated(t, y)
        self._keep(y)
        found = {"imu_bad_sample": not sane.all(), "imu_out_of_order": not ordered.all(), "imu_spike": not calm.all(), "imu_saturated": saturated}
        return (t, y[:, :3], y[:, 3:]), [reason for reason, holds in found.items() if holds]

    def _calm(self, t: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Mask (n,) of the samples that do not jump from the last believed one; a jump over a gap or one that lasts longer than three is believed."""
        steps = np.abs(np.diff(np.concatenate([self.last[-1:], y]), axis=0))
        calm = np.ones(len(y), bool)
        if not (steps > self._jump).any():
            self.spikes = 0 if len(y) else self.spikes
            return calm
        gap = round(self._limits.imu_gap * 1e9)
        last, last_ns = (self.last[-1], self.last_ns) if len(self.last) else (y[0], int(t[0]))
        for i, sample in enumerate(y):
            calm[i] = self.spikes >= _SPIKES_IN_A_ROW or t[i] - last_ns > gap or bool((np.abs(sample - last) <= self._jump).all())
            if calm[i] and self.spikes >= _SPIKES_IN_A_ROW:
                self.doubtful_ns = int(t[i])
            self.spikes = 0 if calm[i] else self.spikes + 1
            last, last_ns = (sample, t[i]) if calm[i] else (last, last_ns)
        return calm

    def _saturated(self, t: np.ndarray, y: np.ndarray) -> bool:
        """Whether an axis gave the same value three times in a row and none larger before, or five times: the end of its range."""
        rows = np.concatenate([self.last, y])
        tops = np.maximum.accumulate(np.concatenate([self.top[None], np.abs(rows)]))[1:]
        self.top = tops[-1] if len(tops) else self.top
        hit = np.zeros(len(rows), bool)
        for run, floor in ((_EQUAL_AT_TOP, np.maximum(tops, self._floor)), (_EQUAL_BELOW, np.tile(self._floor, (len(rows), 1)))):
            ends = rows[run - 1 :]
            equal = np.all([rows[k : len(rows) + k - run + 1] == ends for k in range(run - 1)], axis=0) if len(ends) else ends.astype(bool)
            hit[run - 1 :] |= (equal & (np.abs(ends) >= floor[run - 1 :])).any(axis=1)
        hit = hit[len(rows) - len(y) :]
        if hit.any():
            self.doubtful_ns = int(t[np.flatnonzero(hit)[-1]])
        return bool(hit.any())

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        return {"newest_ns": 0, "last_ns": 0, "last": np.zeros((0, 6)), "top": np.zeros(6), "spikes": 0, "doubtful_ns": 0}


@njit
def _are_plain(t_ns, w_B, a_B, newest_ns, last, limit, jump, floor, top):
    """Whether samples (n,), (n, 3), (n, 3) after those of `last` (k, 6) are in order, in range and without a jump, and none is near the end of
    the range three times in a row; then top (6,), the largest magnitudes so far, takes them in."""
    n, k = t_ns.shape[0], last.shape[0]
    for i in range(n):
        if t_ns[i] <= (newest_ns if i == 0 else t_ns[i - 1]):
            return False
    for j in range(6):
        before, equal = last[k - 1, j], 1
        while equal < k and last[k - 1 - equal, j] == before:
            equal += 1
        for i in range(n):
            y = w_B[i, j] if j < 3 else a_B[i, j - 3]
            if not (abs(y) <= limit[j] and abs(y - before) <= jump[j]):
                return False
            equal = equal + 1 if y == before else 1
            if equal >= _EQUAL_AT_TOP and abs(y) >= floor[j]:
                return False
            before = y
    for j in range(6):
        for i in range(n):
            top[j] = max(top[j], abs(w_B[i, j] if j < 3 else a_B[i, j - 3]))
    return True


@njit
def _largest_gap(t_ns, begin, end):
    """The longest time from begin to end (ns) without a sample, of those at t_ns (n,)."""
    gap, last = 0, begin
    for i in range(t_ns.shape[0]):
        if begin < t_ns[i] < end:
            gap, last = max(gap, t_ns[i] - last), t_ns[i]
    return max(gap, end - last)


@njit
def _is_sane(T_WB, v_WB, b_g, b_a, max_speed, max_gyro_bias, max_accel_bias):
    """See `HealthMonitor.is_sane`."""
    square = 0.0
    for i in range(3):
        square += v_WB[i] * v_WB[i]
        if not (abs(b_g[i]) <= max_gyro_bias and abs(b_a[i]) <= max_accel_bias):
            return False
        for j in range(4):
            if not np.isfinite(T_WB[i, j]):
                return False
    return square <= max_speed * max_speed


class HealthMonitor:
    """Collects the reasons of a frame and gives the verdict on it."""

    def __init__(self, limits: HealthConfig) -> None:
        """Nothing seen yet."""
        self._limits = limits
        self._reasons = ""  # words
        self._intervals = np.zeros(0, np.int64)  # ns between the last frames
        self._contradictions = np.zeros(0)  # share of the features in the last frames
        self._seen_ns: int | None = None  # the last frame in which enough landmarks took part
        self._is_flat = False  # the last keyframe had no depth from stereo
        self._settled = False  # whether the first state has become certain
        self._calm_frames = 0  # in a row since vision was lost
        self._lost = False  # between the loss of vision and full recovery
        self._repairs = 0
        self.restarts = 0

    def note(self, *reasons: str) -> None:
        """Remember reasons for the verdict on the next frame."""
        self._reasons = together(self._reasons, reasons)

    def interval(self, begin_ns: int, end_ns: int, imu_t_ns: np.ndarray, step: int) -> None:
        """Look at the time between two frames, `step` ns by their stamps, begin to end on the IMU's clock, and at the inertial stamps (n,) around it."""
        usual = np.sort(self._intervals)[len(self._intervals) // 2] if len(self._intervals) else step
        if step > self._limits.frame_gap * usual:
            self.note("frame_gap")
        self._intervals = np.concatenate([self._intervals[1 - _USUAL :], [step]])
        if len(imu_t_ns) == 0 or _largest_gap(imu_t_ns, begin_ns, end_ns) > round(self._limits.imu_gap * 1e9):
            self.note("imu_gap")

    def look(self, seen: FrontEndOutput, is_stereo: bool, other_sees: bool = True) -> None:
        """Look at what became of the features of a frame of a stereo or mono rig; other_sees: whether the right picture shows anything."""
        tracks = seen.tracks
        if seen.is_keyframe and is_stereo and len(seen.observations.ids) >= self._limits.min_tracks:
            self._is_flat = bool(seen.observations.has_right.mean() < self._limits.min_stereo)
        if self._is_flat or not other_sees:
            self.note("no_stereo")
        if len(seen.observations.ids) == 0:
            return
        against = np.count_nonzero((tracks.status == _OUTLIER) | (tracks.status == _GATED)) / len(tracks.status)
        self._contradictions = np.concatenate([self._contradictions[1 - _RECENT :], [against]])
        if self.contradicts:
            self.note("contradictions")

    @property
    def contradicts(self) -> bool:
        """Whether many features of the last frames contradicted the motion of the others."""
        return len(self._contradictions) == _RECENT and bool(self._contradictions.sum() / _RECENT > self._limits.max_contradictions)

    def left_out(self, reason: str, initialised_by: str, repairs: int) -> Health:
        """Verdict on a frame that was not processed; reasons noted before stay for the next one."""
        state = HealthState.DEGRADED if self._settled else HealthState.INITIALISING
        return Health(state, (reason,), 0, initialised_by, 0.0, repairs, self.restarts)

    def must_restart(self, state: NavState, features: int) -> bool:
        """Whether the window is to be opened anew: the state makes no sense, or features are back after a long time without."""
        return not self.is_sane(state) or features >= self._limits.min_tracks and self._blind(state.t_ns) > self._limits.restart_after

    def is_sane(self, state: NavState) -> bool:
        """Whether a state is finite, and its speed and biases those of something that flies."""
        limits = self._limits
        return _is_sane(state.T_WB, state.v_WB, state.b_g, state.b_a, limits.max_speed, limits.max_gyro_bias, limits.max_accel_bias)

    def restarted(self) -> None:
        """Count a restart."""
        self.restarts += 1
        self.note("restarted")

    def _blind(self, t_ns: int) -> float:
        """Seconds since enough landmarks took part; 0 before they ever did."""
        return 0.0 if self._seen_ns is None else (t_ns - self._seen_ns) * 1e-9

    def verdict(self, t_ns: int, state: NavState | None, tracked: int, innovation: float, initialised_by: str, repairs: int) -> Health:
        """Verdict on a frame with `tracked` landmarks and a normalised innovation; forgets the reasons."""
        limits = self._limits
        if tracked >= limits.lost_tracks:
            self._seen_ns = t_ns
        sigma = math.inf if state is None else math.sqrt(max(float(state.covariance[6, 6] + state.covariance[7, 7] + state.covariance[8, 8]), 0.0))
        calm = tracked >= limits.min_tracks and sigma <= limits.max_velocity_sigma
        self._settled = self._settled or (calm and sigma <= _SURE * limits.max_velocity_sigma)
        is_lost = self._settled and tracked < limits.lost_tracks and self._blind(t_ns) >= limits.lost_after
        self._lost = self._lost or is_lost
        self._calm_frames = self._calm_frames + 1 if calm else 0 if tracked or is_lost else self._calm_frames
        if self._lost and not is_lost and self._calm_frames >= limits.recover_frames:
            self._lost = False
        found = {
            "few_tracks": state is not None and tracked < limits.min_tracks,
            "innovation": innovation > limits.max_innovation,
            "repaired": repairs > self._repairs,
            "uncertain": self._settled and sigma > limits.max_velocity_sigma,
        }
        self.note(*(reason for reason, holds in found.items() if holds))
        self._repairs = repairs
        reasons, self._reasons = tuple(self._reasons.split()), ""
        return Health(self._state(is_lost, bool(reasons)), reasons, tracked, initialised_by, self._blind(t_ns), repairs, self.restarts)

    def _state(self, is_lost: bool, is_degraded: bool) -> HealthState:
        """The state that the frame's figures amount to."""
        if not self._settled:
            return HealthState.INITIALISING
        if is_lost:
            return HealthState.LOST
        if self._lost:
            return HealthState.RECOVERING
        return HealthState.DEGRADED if is_degraded else HealthState.GOOD

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        flags = dict.fromkeys(("_is_flat", "_settled", "_lost"), False)
        return {"_reasons": "", "_intervals": np.zeros(0, np.int64), "_contradictions": np.zeros(0), "_seen_ns": Maybe(0), "_calm_frames": 0, "_repairs": 0, "restarts": 0, **flags}
