"""Gauss-Newton on the window and the calibration together: the sparse system of the states with a dense border around it.

The border of k rows is eliminated last: with the factor of the states' H, Z = H^-1 C and S = D - C^T Z solve

    [H  C] [x]     [g]
    [C' D] [y] = - [e].

Nothing of the sparse solver changes, and the states' covariance grows by Z S^-1 Z^T, what the calibration leaves open.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vio.backend import landmarks
from vio.backend.dense import bordered, solve
from vio.backend.guard import is_finite
from vio.backend.linear_system import layout, prior_rows, scalar_rows
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.solver import Factors, Prior, Solver, apply_step, total_cost
from vio.backend.views import relate
from vio.backend.window import Rig, Window
from vio.config import BackEndConfig


class Border(NamedTuple):
    """C^T (k, 15 n), Z^T = (H^-1 C)^T, S (k, k) the calibration's information with the states free, e (k,) its gradient, X (6 n, k)."""

    C: np.ndarray
    Z: np.ndarray
    S: np.ndarray
    e: np.ndarray
    X: np.ndarray


class CalibratingSolver(Solver):
    """A `Solver` whose priors carry the calibration as their last rows."""

    def __init__(self, keyframes: int, rows: int, arithmetic: str, online: OnlineCalibration) -> None:
        """As `Solver`; `online` holds what is estimated."""
        super().__init__(keyframes, rows, arithmetic)
        self._online = online
        self._border: Border | None = None  # of the last system
        self._undamped: Border | None = None  # of the last one without damping
        self._wanted = 0.0  # step of the first calibration row, were it free

    def view(self, w: Window, rig: Rig, n: int) -> None:
        """Bring rig and `scratch.now` to the current estimates."""
        self._online.mount()
        relate(*self._online.seen_from(w, n), rig, n, self.scratch.now)

    def _cost(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float) -> float:
        given = self._online.given(prior)
        return total_cost(w, *self._online.seen_from(w, n), rig, f, given, m, n, cauchy, self.scratch) + self._online.cost(prior)

    def _estimates(self, w: Window) -> tuple[np.ndarray, ...]:
        return *super()._estimates(w), *self._online.estimates

    def _factorised(self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, lam: float, counts: np.ndarray):
        system = super()._factorised(w, rig, f, self._online.given(prior), m, n, cauchy, lam, counts)
        if system is not None:
            self._border = self._bordered(system[0], w, prior, m, n, lam, counts)
            self._undamped = self._border if lam == 0.0 else self._undamped
        return system

    def _bordered(self, factor: np.ndarray, w: Window, prior: Prior, m: int, n: int, lam: float, counts: np.ndarray) -> Border:
        """The border of the system just built."""
        X, s = self._online.columns(w, n), len(prior.b) - self._online.size
        H, g = bordered(self._visual[0][: 36 * n * n].reshape(6 * n, 6 * n), self._visual[1][: 6 * n], X)
        C = np.zeros((X.shape[1], 15 * n))
        C[:, _pose_rows(n)] = H[6 * n :, : 6 * n]
        C[:, _known_rows(n, m)] += prior.H[s:, :s]
        D = H[6 * n :, 6 * n :] + prior.H[s:, s:]
        D.flat[:: len(D) + 1] *= 1.0 + lam
        Z = self._substituted_each(factor, n, C.copy(), counts)
        return Border(C, Z, D - C @ Z.T, g[6 * n :] + self._online.gradient(prior, w, m), X)

    def _step(self, system: tuple[np.ndarray, np.ndarray], w: Window, n: int, max_inverse_depth: float, counts: np.ndarray) -> None:
        border, dx, free = self._border, np.empty(6 * n), self._online.free
        x = self._substituted(system[0], n, -system[1], counts)
        left = -(border.e + border.C @ x)
        y = _solved(border.S, left)
        self._wanted = float(y[0])
        if free.start > 0:
            y[: free.start], y[free] = 0.0, _solved(border.S[free, free], left[free])
        apply_step(w, n, layout(n).position, x - y @ border.Z, dx)
        self._online.move(y)
        landmarks.back_substitute(w, n, dx + border.X @ y, self.scratch, max_inverse_depth)

    def optimise(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, config: BackEndConfig, counts: np.ndarray
    ) -> bool:
        """As the base class; where the calibrated clock has just lost its credit, once more with the offset free, before anything is rejected."""
        self._undamped = None
        solved, believed = super().optimise(w, rig, f, prior, m, n, config, counts), not self._online.follows
        if self._undamped is not None:
            S_inv = solve(self._undamped.S, np.eye(self._online.size))
            if is_finite(S_inv):
                self._online.judge(self._wanted, 0.5 * (S_inv + S_inv.T))
        if believed and self._online.follows:
            return super().optimise(w, rig, f, prior, m, n, config, counts)
        return solved

    def newest_covariance(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, counts: np.ndarray
    ) -> np.ndarray:
        """As the base class, with the uncertainty of what is free of the calibration in it."""
        out, border = super().newest_covariance(w, rig, f, prior, m, n, cauchy, counts), self._undamped
        if self._factor is None or border is None or border.Z.shape[1] != 15 * n:
            return out
        free = self._online.free
        own = np.ascontiguousarray(border.Z[free, scalar_rows(layout(n).position[n - 1])])
        out += own.T @ solve(np.ascontiguousarray(border.S[free, free]), own)
        return 0.5 * (out + out.T)


@lru_cache(maxsize=64)
def _pose_rows(n: int) -> np.ndarray:
    """Scalar rows of the poses of n keyframes."""
    return scalar_rows(layout(n).position[:, :2].ravel())


@lru_cache(maxsize=64)
def _known_rows(n: int, m: int) -> np.ndarray:
    """Scalar rows of a prior over the first m of n keyframes."""
    return scalar_rows(prior_rows(n, m))


def _solved(S: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`dense.solve` for one right-hand side b (k,)."""
    return solve(np.ascontiguousarray(S), b[:, None])[:, 0]
