"""What the rig's calibration leaves open, estimated in flight: the cameras' time offset, and how the rig of cameras sits on the body.

Both move the cameras of every keyframe just as a change of its pose would: a picture taken dt later is one from p + v dt, R exp(w dt)
(Li and Mourikis, IJRR 2014; Qin and Shen, IROS 2018, put the same motion into the image), and a rig displaced by (r, f) on the body,
T_BC <- [exp(f), r] T_BC for both cameras, sees what it would from a body at p + R r, R exp(f). So their columns of the reprojections'
normal equations are those of the poses times

    X = (X_1 .. X_n),  X_i = [v_i  R_i  0]
                             [w_i  0    I]   in (p, theta) of keyframe i, by (dt, r, f),

with the landmarks eliminated as without: a border of one, six or seven rows around the window's system. Position and yaw stay unknown to it,
for H does not know them. The transform between the two cameras is held: stereo matching relies on it to a tenth of a degree.

The calibrated clock is believed until the pictures contradict it: an offset is estimated all along, but applied only from where it has been
larger than `online.dead_zone` at some keyframes in a row, or twice that at one, the dead zone or half the offset being some sigmas
wide. Before that, all states are what they are without the estimate.
"""

from typing import Any, NamedTuple

import numpy as np

from vio.backend.prior import Prior
from vio.backend.unknowns import MOUNT, Unknowns, mount
from vio.backend.window import Rig
from vio.config import OnlineConfig
from vio.lie import so3_log

_SHARE = 0.5  # of a large offset that must be some sigmas, for each keyframe that it is not followed costs much


class Instant(NamedTuple):
    """When a picture was placed on the IMU's clock: offset (s) added to its stamp; w_B (3,) rad/s, the measured rate there."""

    offset: float
    w_B: np.ndarray


class Estimate(NamedTuple):
    """What is known of the calibration. time_offset: s, t_imu = t_cam + offset, on top of the calibrated one, as it is applied; suspected: what
    the pictures say, also while it is not applied. T_BC (4, 4).

    shift (3,) m and turn (3,) rad: displacement of the rig on the body against the calibration. *_sigma: one standard deviation each.
    out_of_bounds: a limit of the configuration was hit.
    """

    time_offset: float
    suspected: float
    time_offset_sigma: float
    T_BC: np.ndarray
    shift: np.ndarray
    shift_sigma: np.ndarray
    turn: np.ndarray
    turn_sigma: np.ndarray
    out_of_bounds: bool


def forget(H: np.ndarray, b: np.ndarray, row: int, variance: float) -> None:
    """Let the variable at `row` of an information form take a random step of `variance`: the old value is eliminated, in place.

    With the link (new - old)^2 / (2 q), h = H[row, row] and c the rest of the row: H -= c c^T q / (1 + q h), and the row divided by 1 + q h.
    """
    c, h, g = H[row].copy(), H[row, row], b[row]
    share = 1.0 + variance * h
    H -= np.outer(c, c) * (variance / share)
    b -= c * (g * variance / share)
    H[row], H[:, row] = c / share, c / share
    H[row, row], b[row] = h / share, g / share


class OnlineCalibration:
    """The estimates and their linearisation; `Solver` solves for them, marginalisation carries what is known of them along. There may be none."""

    def __init__(self, rig: Rig, config: OnlineConfig, keyframes: int) -> None:
        """Start at the calibration of `rig`, whose extrinsics are moved in place from here on."""
        self._rig, self._calibrated, self._config = rig, Rig(*(a.copy() for a in rig)), config
        self.offset, self.shift, self.turn = np.zeros(1), np.zeros(3), np.eye(3)
        self._reference = tuple(a.copy() for a in self.estimates)  # where the prior is expanded
        self._placed, self._rate = np.zeros(keyframes), np.zeros((keyframes, 3))
        self._sigmas = [config.time_offset_sigma] * config.time_offset + ([config.shift_sigma] * 3 + [config.turn_sigma] * 3) * config.mount
        self.size = len(self._sigmas)
        self.covariance = np.diag(np.square(self._sigmas))
        self.out_of_bounds = False
        self.follows = config.dead_zone == 0.0  # the offset is applied
        self._suspected, self._witnesses = 0.0, 0  # s; keyframes in a row
        self.turned = False  # it is since the last keyframe
        self._moved = np.empty((keyframes, 3, 3)), np.empty((keyframes, 3))
        self._limits = np.array([config.max_time_offset, config.max_shift, config.max_turn])

    @property
    def estimates(self) -> tuple[np.ndarray, ...]:
        """The arrays that a step changes: offset (1,), shift (3,), turn (3, 3)."""
        return self.offset, self.shift, self.turn

    def estimate(self) -> Estimate:
        """Copies of what is known now."""
        sigma, T_BC, at = np.sqrt(np.diag(self.covariance)), np.eye(4), int(self._config.time_offset)
        T_BC[:3, :3], T_BC[:3, 3] = self._rig.R_BC, self._rig.t_BC
        mount = sigma[at:] if self._config.mount else np.zeros(MOUNT)
        clock = (float(self.offset[0]), self._suspected, float(sigma[0])) if at else (0.0, 0.0, 0.0)
        return Estimate(*clock, T_BC, self.shift.copy(), mount[:3].copy(), so3_log(self.turn), mount[3:].copy(), self.out_of_bounds)

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        names = ("offset", "shift", "turn", "_reference", "_placed", "_rate", "covariance")
        return {name: getattr(self, name) for name in (*names, "out_of_bounds", "follows", "turned", "_suspected", "_witnesses")}

    def take_over(self, other: "OnlineCalibration") -> None:
        """Go on with the estimates of the same rig whose other camera led; the linearisation begins anew."""
        self.offset, self.shift, self.turn = (a.copy() for a in other.estimates)
        self.covariance, self.follows = other.covariance.copy(), other.follows
        self.mount()

    def reasons(self) -> list[str]:
        """What the health of a frame should tell; see `vio.health`."""
        return ["clock_offset"] * self.turned + ["calibration_bounds"] * self.out_of_bounds

    @property
    def free(self) -> slice:
        """Rows that a step may move: all, or all but the offset while the calibrated clock is believed."""
        return slice(0 if self.follows or not self._config.time_offset else 1, self.size)

    def judge(self, step: float, covariance: np.ndarray) -> None:
        """Hear at a keyframe by how much (s) the offset would move, and the estimates' covariance (k, k)."""
        self.covariance = covariance
        if not self._config.time_offset:
            return
        self._suspected = float(self.offset[0]) + (0.0 if self.follows else step)
        limit, sigma = self._config.dead_zone, float(np.sqrt(covariance[0, 0]))
        certain = self._config.significance * sigma <= max(limit, _SHARE * abs(self._suspected))
        self._witnesses = self._witnesses + 1 if certain and abs(self._suspected) > limit else 0
        convinced = self._witnesses >= self._config.witnesses or self._witnesses > 0 and abs(self._suspected) > 2.0 * limit
        self.turned, self.follows = convinced and not self.follows, convinced or self.follows

    def enter(self, slot: int, instant: Instant) -> None:
        """Note when keyframe `slot` was placed."""
        self._placed[slot], self._rate[slot] = instant.offset, instant.w_B

    def drop_oldest(self, n: int) -> None:
        """Shift the n keyframes by one."""
        self._placed[: n - 1], self._rate[: n - 1] = self._placed[1:n].copy(), self._rate[1:n].copy()

    @property
    def unknowns(self) -> Unknowns:
        """For kernels; shares memory with the estimates."""
        config = self._config
        return Unknowns(
            *self.estimates, *self._reference, self._placed, self._rate, *self._moved, self._calibrated, self._limits, config.slowest,
            config.time_offset, config.mount,
        )

    def rebase(self) -> None:
        """From here on the prior is expanded at the present estimates."""
        self._reference = tuple(a.copy() for a in self.estimates)

    def mount(self) -> None:
        """Bring the rig to the present displacement."""
        mount(self.unknowns, self._rig)

    def extended(self, prior: Prior) -> Prior:
        """A prior of the first state with what is known of the calibration added as its last rows."""
        s = len(prior.b)
        H = np.zeros((s + self.size, s + self.size))
        known = self.covariance if self.follows else np.diag(np.square(self._sigmas))
        H[:s, :s], H[s:, s:] = prior.H, np.linalg.inv(known)
        self.rebase()
        return Prior(H, np.concatenate([prior.b, np.zeros(self.size)]))

    def wander(self, H: np.ndarray, b: np.ndarray, seconds: float) -> None:
        """Let an offset that is followed walk for some time: information H, b whose last k rows are the calibration's, in place."""
        if self._config.time_offset and self.follows:
            forget(H, b, len(b) - self.size, self._config.time_offset_walk**2 * seconds)
