"""Drives the window: enter a keyframe, solve, reject, marginalise; and refine the frames between keyframes."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from vio.backend import guard, marginalization, refinement, reliance, solver, triangulation, window
from vio.backend.factors import new_factors
from vio.backend.initialization import InitialState, expanded
from vio.backend.online_calibration import Instant, OnlineCalibration
from vio.backend.opening import Opening
from vio.backend.preintegration import Preintegrated, predict, preintegrated
from vio.backend.prior import Prior
from vio.backend.residuals import gravity
from vio.backend.rest import Rest, rest_row
from vio.backend.snapshot import Snapshot, snapshot
from vio.calibration import Calibration
from vio.config import OPENING_STEPS, Config
from vio.lie import inverse, pose
from vio.saved import Maybe, Table, pack, require, unpack
from vio.types import Landmarks, NavState, Observations

_SMALLEST_SIGMA = np.repeat([1e-3, 1e-4, 1e-2, 1e-5, 1e-3], 3)  # of a state that opens the window: m, rad, m/s, rad/s, m/s^2
_UNKNOWN_SIGMA = np.repeat([1.0, 0.1, 1.0, 0.01, 0.5], 3)  # of a state whose covariance is no number, same units
_UNKNOWN = np.diag(_UNKNOWN_SIGMA**2)
_OPENING_KEYFRAMES, _OPENING_INTERVAL = 3, 0.09  # and so many keyframes follow each other by at least so many seconds
_NEAREST = 0.1  # m: nothing is looked for closer to the camera
_MAX_STEREO_SIGMA = 0.5  # 1/m: a new landmark's inverse depth must be known at least this well


class Settled(NamedTuple):
    """What a solved window says to the frames that come: b_g (3,) rad/s and b_a (3,) m/s^2 of the newest keyframe, R_BC (3, 3) of the left
    camera, offset_ns to be added to a picture's stamp; copies."""

    b_g: np.ndarray
    b_a: np.ndarray
    R_BC: np.ndarray
    offset_ns: int


class BackEnd:
    """Sliding-window estimator of one rig. `start`, then `add_keyframe` and `refine_frame` in time order."""

    def __init__(self, calibration: Calibration, config: Config) -> None:
        """Allocate the window; nothing is allocated per keyframe but small matrices."""
        self._config, noise = config.backend, calibration.imu
        self._in_doubt = config.backend, replace(config.backend, cauchy=config.backend.cauchy * config.backend.cauchy_contradicted)
        self.gyro_var = (noise.gyro_noise * config.backend.gyro_noise_scale) ** 2
        self._mono, self._is_mono = config.mono, calibration.right is None
        self.accel_var = (noise.accel_noise * config.backend.accel_noise_scale) ** 2
        walk = noise.accel_walk * (config.mono.accel_walk_scale if self._is_mono else 1.0)
        self._walk_var = np.array([noise.gyro_walk**2, walk**2])
        self._rig = _make_rig(calibration, config)
        capacity, rows = config.backend.window + 1, config.backend.max_landmarks
        self._window, self._factors = window.new_window(capacity, rows), new_factors(capacity - 1)
        self._unknown = OnlineCalibration(self._rig, config.online, capacity)
        self.online = self._unknown if self._unknown.size else None
        self._solver = solver.Solver(capacity, rows, config.backend.arithmetic, self._unknown)
        self._initial, self._is_guess = config.initial, False  # the first state is one of a moving rig, and a guess
        self._rest_sigma, self._rested = config.rest.velocity_sigma, 0.0  # m/s; s at rest since the last keyframe
        self.rest_seconds = 0.0  # that the newest keyframe at rest has heard of
        self._opening = Opening(config, self._is_mono)
        self._rejected = np.empty(rows, np.int64)
        self.rejected_ids = np.zeros(0, np.int64)  # landmarks to forget, after the last solve
        self._map = (np.zeros(rows, np.int64), np.zeros((rows, 3)), np.zeros(rows, np.int64))
        self._n = self._in_prior = self._map_size = 0
        self._prior: Prior | None = None
        self._covariance, self._conditional = np.zeros((15, 15)), np.zeros((9, 9))  # of the newest keyframe; given its pose
        self.solved = True
        self.tracked, self.innovation, self.repairs, self.predicted = 0, 0.0, 0, (np.eye(3), np.zeros(3))  # see `refine_frame`

    def doubt(self, contradicted: bool) -> None:
        """From now on, what is far off counts less, because many features contradict each other, or as usual: where errors are no longer those of
        true tracks with some outliers but of two crowds, a loss made for the former lets the crowd that moves pull."""
        self._config = self._in_doubt[contradicted]

    @property
    def biases(self) -> tuple[np.ndarray, np.ndarray]:
        """(b_g, b_a) of the newest keyframe, copies; zeros before the start."""
        i = max(self._n - 1, 0)
        return self._window.bg[i].copy(), self._window.ba[i].copy()

    @property
    def offset_ns(self) -> int:
        """What is to be added to a picture's stamp, ns, as estimated so far."""
        return 0 if self.online is None else round(float(self.online.offset[0]) * 1e9)

    def settled(self) -> Settled:
        """What is known to the frames that come."""
        return Settled(*self.biases, self._rig.R_BC.copy(), self.offset_ns)

    def preintegration(self) -> Preintegrated:
        """An empty preintegration at the current biases."""
        return preintegrated(*self.biases)

    def start(self, initial: InitialState) -> None:
        """Open the window with the first keyframe's state and its prior."""
        w = self._window
        w.R[0], w.bg[0] = initial.R_WB, initial.b_g
        w.p[0] = w.ba[0] = 0.0
        w.v[0] = initial.v_WB
        w.frozen[:] = False
        w.frozen[0] = True
        w.ids[:] = -1
        w.rest[:] = 0.0
        self._n, self._rested = 0, 0.0
        self._is_guess = initial.how == "motion" and not self._is_mono  # with one eye see `vio.backend.opening`
        self._open(initial.prior)

    def _open(self, prior: Prior) -> None:
        """Take a prior of the first state, expanded where that is now."""
        w = self._window
        w.R_lin[0], w.p_lin[0], w.v_lin[0], w.bg_lin[0], w.ba_lin[0] = w.R[0], w.p[0], w.v[0], w.bg[0], w.ba[0]
        self._prior, self._in_prior = self._unknown.extended(prior), 1

    def restart(self, state: NavState) -> None:
        """Open the window anew at a state, known as well as its covariance says: the trajectory goes on from there."""
        sigma = np.sqrt(np.maximum(np.diag(state.covariance), _SMALLEST_SIGMA**2))
        S = state.covariance + np.diag(sigma**2 - np.diag(state.covariance))
        H = self._repaired(np.linalg.inv(self._repaired(S, np.diag(sigma**2))), np.diag(sigma**-2))
        self.start(InitialState(np.ascontiguousarray(state.T_WB[:3, :3]), state.b_g, Prior(H, np.zeros(15)), ""))
        w = self._window
        w.p[0], w.v[0], w.ba[0] = state.T_WB[:3, 3], state.v_WB, state.b_a
        w.p_lin[0], w.v_lin[0], w.ba_lin[0] = w.p[0], w.v[0], w.ba[0]
        self._map_size = 0

    def take_over(self, other: "BackEnd") -> None:
        """What does not depend on the cameras' order: the count of repairs and the estimates of the calibration."""
        self.repairs = other.repairs
        if self.online is not None and other.online is not None:
            self.online.take_over(other.online)

    def predict(self, pre: Preintegrated) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inertial prediction (R, p, v) from the newest keyframe."""
        w, i = self._window, self._n - 1
        return predict(pre, w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], gravity())

    def expected(self, pre: Preintegrated) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks that the left camera should see now: ids (k,), and normalised image points (k, 2) by the inertial prediction."""
        R, p, _ = self.predict(pre)
        ids, points, _ = (a[: self._map_size] for a in self._map)
        y = (points - p) @ R @ self._rig.R_cam[0].T + self._rig.t_cam[0]
        ahead = y[:, 2] > _NEAREST
        return ids[ahead], y[ahead, :2] / y[ahead, 2:]

    def refine_frame(self, pre: Preintegrated, observations: Observations, counts: np.ndarray) -> NavState:
        """State of a frame from the inertial prediction and the landmarks it sees.

        Afterwards `tracked` landmarks took part, `innovation` is the squared difference to the prediction, whitened by its covariance, per
        degree of freedom, and `predicted` is that prediction. A window whose newest keyframe is not finite gives that as it is: it must be opened anew.
        """
        w, i, config = self._window, self._n - 1, self._config
        forecast, T_WB, v, covariance = self._forecast(pre), np.empty((4, 4)), np.empty(3), np.empty((15, 15))
        if forecast is None:
            return self._state(observations.t_ns, w.R[i], w.p[i], w.v[i], self._covariance)
        self.predicted = forecast.R, forecast.p
        self.tracked, self.innovation = refinement.refine(
            w, i, pre, forecast, self._rig, observations.ids, observations.xy_left, self._map[0][: self._map_size], self._map[1],
            config.cauchy, config.frame_iterations, T_WB, v, covariance, counts,
        )
        if self.tracked < 0:
            self.repairs, self.tracked, self.innovation, T_WB, v = self.repairs + 1, 0, 0.0, pose(*self.predicted), forecast.v
            covariance = forecast.covariance
        return NavState(observations.t_ns, T_WB, v, *self.biases, covariance)

    def _forecast(self, pre: Preintegrated) -> refinement.Forecast | None:
        """The inertial prediction from the newest keyframe, repaired where need be; None if that keyframe is not finite."""
        w, out, i = self._window, refinement.new_forecast(), self._n - 1
        if refinement.foresee(w, i, pre, self._covariance, self._conditional, self._walk_var, out):
            return out
        if not guard.is_finite(w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i]):
            return None
        known = self._repaired(self._covariance, _UNKNOWN)
        refinement.foresee(w, i, pre, known, self._conditional, self._walk_var, out)
        return out._replace(information=self._repaired(out.information), covariance=self._repaired(out.covariance, known))

    def add_keyframe(
        self, observations: Observations, pre: Preintegrated | None, state: NavState | None, counts: np.ndarray,
        instant: Instant | None = None, rest: Rest | None = None,
    ) -> NavState:
        """Enter a keyframe that starts from `state` (None for the first), solve, reject, marginalise; returns its state.

        `pre` is the inertial motion since the last keyframe. instant: when the picture was placed, where the clock is in doubt. rest: the
        rig stands still. `rejected_ids` afterwards names landmarks to forget.
        """
        w = self._window
        if state is not None and pre is not None:
            self._append(pre, state)
        self._n += 1
        n = self._n
        w.rest[n - 1] = 0.0 if rest is None else self._rest_row(rest)
        if instant is not None:
            self._unknown.enter(n - 1, instant)
        window.associate(w, n - 1, observations.ids, observations.xy_left, observations.xy_right, observations.has_right)
        self._triangulate()
        out = self._solved(observations.t_ns, state, counts)
        if n > self._config.window:
            self._marginalise(counts)
        return out

    @property
    def rests(self) -> bool:
        """Whether the newest keyframe is one at rest: its gyro has been heard, not its slowness alone."""
        return self._n > 0 and bool(self._window.rest[self._n - 1, 1] > 0.0)

    def hurries(self, seconds: float) -> bool:
        """Whether a frame `seconds` after the last keyframe is to be one although the front end does not ask for it; see `vio.backend.opening`."""
        guessed = self._is_guess and self._in_prior == 1 and self._n < _OPENING_KEYFRAMES and seconds > _OPENING_INTERVAL
        return guessed or self._opening.hurries(self._window, seconds, self._covariance)

    def hold(self, t_ns: int, seconds: float) -> NavState:
        """State of a frame at rest where the newest keyframe rests, `seconds` after the last one."""
        w, i = self._window, self._n - 1
        self._rested += seconds
        return self._state(t_ns, w.R[i], w.p[i], np.zeros(3), self._covariance)

    def rest_longer(self, state: NavState, rest: Rest, counts: np.ndarray) -> NavState:
        """Solve anew with what a longer rest says about biases and gravity; `state` is what `hold` gave for this frame."""
        self._window.rest[self._n - 1] = self._rest_row(rest)
        return self._solved(state.t_ns, state, counts)

    def _rest_row(self, rest: Rest) -> np.ndarray:
        self.rest_seconds = rest.seconds
        return rest_row(rest, self._rest_sigma, self.gyro_var, self.accel_var)

    def _solved(self, t_ns: int, predicted: NavState | None, counts: np.ndarray) -> NavState:
        """Solve the window as it stands and reject what does not fit; returns the newest keyframe's state at t_ns."""
        w, n, config = self._window, self._n, self._config
        is_open = self._opening.is_open(w)
        rig = self._opening.rig(self._rig) if is_open else self._rig
        if is_open:
            config = self._opening.back_end
            self._prior = self._opening.approach(self._solver, w, rig, self._factors, self._prior, self._in_prior, n, counts)
        elif self._is_guess and self._in_prior == 1 and n > 1:
            config = replace(config, iterations=max(config.iterations, OPENING_STEPS))
            self._open(expanded(w.R[0], w.bg[0], w.ba[0], self._initial))
        problem = (w, rig, self._factors, self._prior, self._in_prior, n)
        relies = self._is_mono and not is_open
        if relies:
            self.weigh_inertial()
        self.solved = self._solver.optimise(*problem, config, counts)
        if relies and self.weigh_inertial() > reliance.RECONSIDERED:
            self._solver.optimise(*problem, config, counts)
        lost, self._map_size, self.tracked = triangulation.sift(
            w, self._rig, self._unknown.unknowns, self._solver.scratch.now, n, config.gate, self._rejected, *self._map
        )
        self.rejected_ids = self._rejected[:lost].copy()
        self._covariance = self._trusted(self._solver.newest_covariance(*problem, config.cauchy, counts), predicted)
        self._conditional = marginalization.given_pose(self._covariance)
        return self._state(t_ns, w.R[n - 1], w.p[n - 1], w.v[n - 1], self._covariance)

    def weigh_inertial(self) -> float:
        """Weigh the inertial factors anew, see `vio.backend.reliance`; returns the largest change of a weight."""
        return reliance.weigh(self._window, self._factors, self._n, self._mono.jitter, self._mono.contradiction)

    def landmarks(self) -> Landmarks:
        """Landmarks of the window in W."""
        k = self._map_size
        return Landmarks(*(a[:k].copy() for a in self._map))

    def snapshot(self) -> Snapshot:
        """The window as it stands, for whoever watches."""
        return snapshot(self._window, self._n)

    def _prototypes(self) -> dict[str, Any]:
        """What the next keyframe depends on; scratch memory is written before it is read."""
        k = 15 + 6 * max(self._in_prior - 1, 0) + self._unknown.size
        numbers = dict.fromkeys(("_n", "_in_prior", "_map_size", "tracked", "repairs"), 0) | {"innovation": 0.0, "solved": True, "_is_guess": False, "_rested": 0.0, "rest_seconds": 0.0}
        numbers |= {"rejected_ids": np.zeros(0, np.int64)}
        prior = Maybe(Prior(np.zeros((k, k)), np.zeros(k)))
        return {**numbers, "_window": self._window, "_factors": self._factors, "_map": self._map, "_prior": prior, "_covariance": np.zeros((15, 15)), "_conditional": np.zeros((9, 9))}

    def state_dict(self) -> Table:
        """Everything that the next keyframe depends on, as plain arrays."""
        calibration = {} if self.online is None else pack(self.online, self.online.prototypes(), "online")
        return pack(self, self._prototypes(), "back_end") | calibration

    def load_state_dict(self, table: Table) -> None:
        """Take over what `state_dict` gave. Raises DataError for anything else."""
        n, m, size = (unpack({name: 0}, "back_end", table)[name] for name in ("_n", "_in_prior", "_map_size"))
        require(0 <= n <= self._config.window and 0 <= m <= max(n, 1) and 0 <= size <= self._config.max_landmarks, "its window has an impossible size")
        self._in_prior = m
        found = unpack(self._prototypes(), "back_end", table)
        w = found["_window"]
        require(bool((w.ids >= -1).all() and ((w.host >= 0) & (w.host < max(n, 1)) | (w.ids < 0)).all()), "a landmark has an impossible host")
        self.__dict__.update(found)
        if self.online is not None:
            self.online.__dict__.update(unpack(self.online.prototypes(), "online", table))
            self.online.mount()

    def _append(self, pre: Preintegrated, state: NavState) -> None:
        w, f, n = self._window, self._factors, self._n
        w.R[n], w.p[n], w.v[n] = state.T_WB[:3, :3], state.T_WB[:3, 3], state.v_WB
        w.bg[n], w.ba[n] = w.bg[n - 1], w.ba[n - 1]
        w.frozen[n] = False
        for target, source in zip(f[:7], pre, strict=True):
            target[n - 1] = source
        f.information[n - 1] = self._repaired(refinement.inverse9(pre.covariance))
        f.walk[n - 1] = 1.0 / (self._walk_var * max(pre.dt[0] + self._rested, 1e-3))
        self._rested = 0.0

    def _triangulate(self) -> None:
        config = self._config
        w, now = self._window, self._solver.scratch.now
        self._solver.view(w, self._rig, self._n)
        if self._opening.is_open(w):
            self._opening.begin(w, self._rig, now, self._n, self._factors)
        limits = (1.0 / config.max_depth, 1.0 / config.min_depth, _MAX_STEREO_SIGMA, self._opening.parallax)
        triangulation.triangulate(w, self._rig, now, self._n, *limits)

    def _marginalise(self, counts: np.ndarray) -> None:
        n = self._n
        prior = marginalization.marginalise(
            self._window, self._rig, self._factors, self._prior, self._in_prior, n, self._config.cauchy, self._solver.scratch, counts,
            self._unknown,
        )
        self._prior = Prior(self._repaired(prior.H), prior.b if guard.is_finite(prior.b) else np.zeros_like(prior.b))
        window.drop_oldest(self._window, n)
        self._unknown.drop_oldest(n)
        for a in self._factors:
            a[: n - 2] = a[1 : n - 1].copy()
        self._n = self._in_prior = n - 1

    def _trusted(self, covariance: np.ndarray, predicted: NavState | None) -> np.ndarray:
        """The newest keyframe's covariance, or where the system gave none, that of its inertial prediction."""
        fallback = predicted.covariance if predicted is not None else np.diag(_SMALLEST_SIGMA**2)
        if covariance.any():
            return self._repaired(covariance, fallback)
        self.repairs += 1
        return fallback

    def _repaired(self, H: np.ndarray, fallback: np.ndarray | None = None) -> np.ndarray:
        """`guard.positive`, counted."""
        H, changed = guard.positive(H, fallback)
        self.repairs += changed
        return H

    def _state(self, t_ns: int, R: np.ndarray, p: np.ndarray, v: np.ndarray, covariance: np.ndarray) -> NavState:
        b_g, b_a = self.biases
        return NavState(t_ns, pose(R, p), v.copy(), b_g, b_a, covariance.copy())


def _make_rig(calibration: Calibration, config: Config) -> window.Rig:
    """The calibration as kernels take it; a mono rig repeats its left camera, which then is never asked."""
    right = calibration.right if calibration.right is not None else calibration.left
    T_BR = calibration.T_BR if calibration.T_BR is not None else calibration.T_BC
    T_CB, T_RB = inverse(calibration.T_BC), inverse(T_BR)
    scale = np.array([0.5 * (c.fx + c.fy) / config.backend.pixel_sigma for c in (calibration.left, right)])
    R_cam, t_cam = np.stack([T_CB[:3, :3], T_RB[:3, :3]]), np.stack([T_CB[:3, 3], T_RB[:3, 3]])
    T_BC = np.ascontiguousarray(calibration.T_BC, np.float64)
    sigma, age, stereo_sigma = config.backend.pixel_sigma, np.arange(config.backend.window + 1), config.backend.stereo_sigma
    fade, stereo = sigma / np.hypot(stereo_sigma, sigma * age), np.array([0.5 * (right.fx + right.fy) / stereo_sigma])
    beside = _beside(R_cam[1] @ R_cam[0].T)
    return window.Rig(np.ascontiguousarray(T_BC[:3, :3]), np.ascontiguousarray(T_BC[:3, 3]), R_cam, t_cam, scale, fade, beside, stereo)


def _beside(R_RL: np.ndarray) -> np.ndarray:
    """By how much (2, 2) the right camera sees a far point in the middle of the left picture moved when the left one does."""
    return np.ascontiguousarray(R_RL[:2, :2] - np.outer(R_RL[:2, 2] / R_RL[2, 2], R_RL[2, :2])) / R_RL[2, 2]
