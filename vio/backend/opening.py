"""The opening of a mono window: how it begins, and how it is solved, until its first pictures enter the prior.

Scale comes from the IMU alone, and late. Until then the states are as uncertain as the depths, so that a depth triangulated from them is
worth nothing, and a linearisation there even less. While the window is *open*, that is while no picture has entered its prior:

- landmarks whose rays have moved begin at the usual depth, and the solver takes more steps to find depths and states together;
- the first keyframe's linearisation point moves too, and its prior with it: fixed at a first guess, it would bend the scale of all others;
- pixels count less: over tenths of a second the errors of tracks are not independent, and would pull the scale towards zero;
- a moving start, as long as its velocity is unknown, gets keyframes as fast as its pictures change;
- where the pictures hardly move, no depth can be had: then points at the usual depth say how slow the rig must be, and the gyro measures
  its bias, which in 0.15 s turns EuRoC's rays by 5 px: taken for parallax, that made depths out of nothing.

All of this is for rigs without a right camera; for others nothing here is ever open.
"""

from dataclasses import replace

import numpy as np

from vio.backend.factors import Factors
from vio.backend.prior import Prior
from vio.backend.solver import Solver
from vio.backend.views import Views
from vio.backend.window import Rig, Window
from vio.config import OPENING_ROUNDS, Config
from vio.lie import right_jacobian_inverse, so3_log

_ENOUGH = 15  # landmarks from which on their median depth, or their median motion, is that of the scene
_SLOWEST = 0.02  # m/s: the sigma of a velocity that the pictures say is none, at least
_ROLL = 2.0  # a roll turns the rig by so many times what it moves the middle ray, about
_TREMBLE = 1e-3  # by which rays move at rest: half a pixel of EuRoC's cameras
_AHEAD = 1e-2  # smallest third component of a turned ray


class Opening:
    """The policy of an open window; it holds the configuration and nothing else."""

    def __init__(self, config: Config, is_mono: bool) -> None:
        """is_mono: whether scale is to come from the IMU."""
        mono, self._is_mono = config.mono, is_mono
        self.parallax = mono.parallax / config.backend.pixel_sigma if is_mono else 0.0  # whitened motion of a ray that makes a depth
        self.back_end = replace(config.backend, iterations=mono.iterations, cost_tolerance=mono.cost_tolerance)
        self._depth, self._interval, self._trust = mono.usual_depth, mono.interval, config.backend.pixel_sigma / mono.pixel_sigma
        self._velocity_sigma = config.health.max_velocity_sigma

    def is_open(self, w: Window) -> bool:
        """Whether no picture is in the prior of this window yet."""
        return self._is_mono and not w.frozen[1]

    def rig(self, rig: Rig) -> Rig:
        """The rig with the trust in pixels that an open window has, whose keyframes are too close for tracks to slide far."""
        return rig._replace(scale=self._trust * rig.scale, fade=np.ones_like(rig.fade))

    def hurries(self, w: Window, seconds: float, covariance: np.ndarray) -> bool:
        """Whether a frame so many seconds after the last keyframe, of covariance (15, 15), is to be one although the front end does not ask for it."""
        unknown = float(np.trace(covariance[6:9, 6:9])) > self._velocity_sigma**2
        return self.is_open(w) and unknown and seconds >= self._interval

    def approach(self, solver: Solver, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, counts: np.ndarray) -> Prior:
        """Bring an open window near its optimum (arguments as of `Solver.optimise`); returns the prior expanded there."""
        for _ in range(OPENING_ROUNDS):
            solver.optimise(w, rig, f, prior, m, n, self.back_end, counts)
            prior = rebased(w, prior)
        return prior

    def begin(self, w: Window, rig: Rig, views: Views, n: int, f: Factors) -> None:
        """Prepare an open window of n keyframes with inertial factors f for the solver."""
        assume_depths(w, rig, views, n, 1.0 / self._depth, self.parallax)
        if n > 1 and not w.rest[n - 1].any() and int((w.ready & w.seen[:, n - 1, 0]).sum()) < _ENOUGH:
            turned, plain = shifts(w, views, n)
            dt = max(float(f.dt[n - 2, 0]), 1e-3)
            w.rest[n - 1, 0] = 1.0 / max(min(turned, plain) * self._depth / dt, _SLOWEST) ** 2
            if plain * rig.scale[0] < self.parallax:
                w.rest[n - 1, 1] = (dt / (_ROLL * plain + _TREMBLE)) ** 2
                w.rest[n - 1, 3:6] = so3_log(f.dR[n - 2]) / dt + f.bias[n - 2, :3]


def assume_depths(w: Window, rig: Rig, views: Views, n: int, inverse_depth: float, parallax: float) -> None:
    """Make landmarks ready whose ray has moved by `parallax` whitened units, both against the host's ray and against that turned to the camera.

    They begin at the median inverse depth of those ready before, or while these are few at the given one, 1/m.
    """
    rows = np.flatnonzero((w.ids >= 0) & ~w.ready)
    if len(rows) == 0:
        return
    known, host = w.point[(w.ids >= 0) & w.ready, 2], w.host[rows]
    ray = np.column_stack([w.xy[rows, host, 0], np.ones(len(rows))])
    turned = np.einsum("ktij,kj->kti", views.A[host, :n, 0], ray)
    moved = np.linalg.norm(w.xy[rows, :n, 0] - turned[..., :2] / np.maximum(turned[..., 2:], _AHEAD), axis=2)
    plain = np.linalg.norm(w.xy[rows, :n, 0] - ray[:, None, :2], axis=2)
    seen = w.seen[rows, :n, 0] & (np.arange(n) > host[:, None])
    begins = rig.scale[0] * np.where(seen, np.minimum(moved, plain), 0.0).max(axis=1) >= parallax
    w.point[rows[begins], :2], w.ready[rows[begins]] = ray[begins, :2], True
    w.point[rows[begins], 2] = float(np.median(known)) if len(known) >= _ENOUGH else inverse_depth


def shifts(w: Window, views: Views, n: int) -> tuple[float, float]:
    """How far rays have moved between the last two of n keyframes, medians: against those turned to the camera, and as they are.

    A gyro that turns the rig at rest moves the former alone. inf if too few rays are seen twice.
    """
    both = np.flatnonzero((w.ids >= 0) & w.seen[:, n - 1, 0] & w.seen[:, n - 2, 0])
    if len(both) < _ENOUGH:
        return float("inf"), float("inf")
    before, after = w.xy[both, n - 2, 0], w.xy[both, n - 1, 0]
    turned = np.column_stack([before, np.ones(len(both))]) @ views.A[n - 2, n - 1, 0].T
    moved = np.linalg.norm(after - turned[:, :2] / np.maximum(turned[:, 2:], _AHEAD), axis=1)
    return float(np.median(moved)), float(np.median(np.linalg.norm(after - before, axis=1)))


def rebased(w: Window, prior: Prior) -> Prior:
    """The prior of the first keyframe, expanded anew at its present estimate, which becomes its linearisation point.

    With d the tangent from the old point to the new one, the old tangent of a step x from the new one is d + T x, T being the inverse
    right Jacobian of SO(3) at d in the attitude's block and the identity elsewhere: H' = T^T H T, b' = T^T (H d + b).
    """
    d, T = np.zeros(len(prior.b)), np.eye(len(prior.b))
    turned = so3_log(np.ascontiguousarray(w.R_lin[0].T @ w.R[0]))
    d[:15] = np.concatenate([w.p[0] - w.p_lin[0], turned, w.v[0] - w.v_lin[0], w.bg[0] - w.bg_lin[0], w.ba[0] - w.ba_lin[0]])
    T[3:6, 3:6] = right_jacobian_inverse(turned)
    w.R_lin[0], w.p_lin[0], w.v_lin[0], w.bg_lin[0], w.ba_lin[0] = w.R[0], w.p[0], w.v[0], w.bg[0], w.ba[0]
    return Prior(T.T @ prior.H @ T, T.T @ (prior.H @ d + prior.b))
