"""Gauss-Newton on the window and the calibration together: the sparse system of the states with a dense border around it.

The border of k rows is eliminated last: with the factor of the states' H, Z = H^-1 C and S = D - C^T Z solve

    [H  C] [x]     [g]
    [C' D] [y] = - [e].

Nothing of the sparse solver changes, and the states' covariance grows by Z S^-1 Z^T, what the calibration leaves open.
"""

from typing import NamedTuple

import numpy as np

from vio.backend import landmarks
from vio.backend.linear_system import layout
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.solver import Factors, Prior, Solver, apply_step, total_cost
from vio.backend.views import relate
from vio.backend.window import Rig, Window
from vio.config import BackEndConfig
from vio.lie import apply, apply_t, matmul, matmul_t


class Border(NamedTuple):
    """C (15 n, k), Z = H^-1 C, S (k, k) the calibration's information with the states free, e (k,) its gradient, X (6 n, k)."""

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
        X, at, s = self._online.columns(w, n), layout(n), len(prior.b) - self._online.size
        lower, g = self._visual[0][: 36 * n * n].reshape(6 * n, 6 * n), self._visual[1][: 6 * n]
        HX = matmul(np.tril(lower) + np.tril(lower, -1).T, X)
        C = np.zeros((15 * n, X.shape[1]))
        C[_rows(at.position[:, :2].ravel())] = HX
        C[_rows(np.concatenate([at.position[0], at.position[1:m, :2].ravel()]))] += prior.H[:s, s:]
        D = matmul_t(X, HX) + prior.H[s:, s:]
        D[np.diag_indices(len(D))] *= 1.0 + lam
        Z = np.column_stack([self._substituted(factor, n, c.copy(), counts) for c in C.T])
        return Border(C, Z, D - matmul_t(C, Z), apply_t(X, g) + self._online.gradient(prior, w, m), X)

    def _step(self, system: tuple[np.ndarray, np.ndarray], w: Window, n: int, max_inverse_depth: float, counts: np.ndarray) -> None:
        border, dx, free = self._border, np.empty(6 * n), self._online.free
        x = self._substituted(system[0], n, -system[1], counts)
        left, y = -(border.e + apply_t(border.C, x)), np.zeros(self._online.size)
        self._wanted = float(_solved(border.S, left)[0])
        y[free] = _solved(border.S[free, free], left[free])
        apply_step(w, n, layout(n).position, x - apply(border.Z, y), dx)
        self._online.move(y)
        landmarks.back_substitute(w, n, dx + apply(border.X, y), self.scratch, max_inverse_depth)

    def optimise(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, config: BackEndConfig, counts: np.ndarray
    ) -> bool:
        """As the base class; where the calibrated clock has just lost its credit, once more with the offset free, before anything is rejected."""
        self._undamped = None
        solved, believed = super().optimise(w, rig, f, prior, m, n, config, counts), not self._online.follows
        if self._undamped is not None:
            S_inv = _solved(self._undamped.S, np.eye(self._online.size))
            self._online.judge(self._wanted, 0.5 * (S_inv + S_inv.T))
        if believed and self._online.follows:
            return super().optimise(w, rig, f, prior, m, n, config, counts)
        return solved

    def newest_covariance(
        self, w: Window, rig: Rig, f: Factors, prior: Prior, m: int, n: int, cauchy: float, counts: np.ndarray
    ) -> np.ndarray:
        """As the base class, with the uncertainty of what is free of the calibration in it."""
        out, border = super().newest_covariance(w, rig, f, prior, m, n, cauchy, counts), self._undamped
        if self._factor is None or border is None or len(border.Z) != 15 * n:
            return out
        free = self._online.free
        own = np.ascontiguousarray(border.Z[_rows(layout(n).position[n - 1]), free])
        out += matmul(matmul(own, _solved(border.S[free, free], np.eye(own.shape[1]))), np.ascontiguousarray(own.T))
        return 0.5 * (out + out.T)


def _rows(blocks: np.ndarray) -> np.ndarray:
    """Scalar rows of 3-vector block rows."""
    return (3 * blocks[:, None] + np.arange(3)).ravel()


def _solved(S: np.ndarray, b: np.ndarray) -> np.ndarray:
    """S^-1 b of a matrix of a few rows; scaled to a unit diagonal first, for seconds, metres and radians differ by orders."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(S), 1e-12))
    if b.ndim == 2:
        return scale[:, None] * np.linalg.solve(S * np.outer(scale, scale), scale[:, None] * b)
    return scale * np.linalg.solve(S * np.outer(scale, scale), scale * b)
