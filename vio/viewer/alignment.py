"""Ground truth in the world of the estimate, with no more than is known so far."""

import numpy as np

_FAR = 1.0  # m of ground truth, below which its direction comes from attitudes instead of positions


class Alignment:
    """The rigid T_WG that moves ground truth (frame G) onto the estimate (frame W), kept up to date pose by pose.

    Least squares over the positions so far (Umeyama 1991, without scale): after the last pose it is the alignment of the ATE. While the
    rig has hardly moved, positions say nothing about the rotation, and it is the mean of R_WB R_GB^T (chordal, Moakher 2002) instead.
    """

    def __init__(self) -> None:
        self._n = 0
        self._sums = np.zeros(25)  # of p (3), q (3), p q^T (9), R_WB R_GB^T (9) and the way of ground truth (1)
        self._first: tuple[np.ndarray, np.ndarray] | None = None  # positions are summed from here, so that nothing cancels
        self._last = np.zeros(3)
        self.T_WG = np.eye(4)  # so far

    def add(self, T_WB: np.ndarray, T_GB: np.ndarray) -> np.ndarray:
        """Take poses (n, 4, 4) of the estimate and of ground truth at the same times; returns T_WG (n, 4, 4) as it is after each."""
        n = len(T_WB)
        if n == 0:
            return np.zeros((0, 4, 4))
        p, q = T_WB[:, :3, 3], T_GB[:, :3, 3]
        if self._first is None:
            self._first, self._last = (p[0].copy(), q[0].copy()), q[0]
        way = np.linalg.norm(np.diff(q, axis=0, prepend=self._last[None]), axis=1)
        self._last = q[-1].copy()
        p, q = p - self._first[0], q - self._first[1]
        turns = T_WB[:, :3, :3] @ np.swapaxes(T_GB[:, :3, :3], 1, 2)
        terms = np.column_stack([p, q, (p[:, :, None] * q[:, None, :]).reshape(n, 9), turns.reshape(n, 9), way])
        sums = np.cumsum(np.vstack([self._sums, terms]), axis=0)[1:]
        T_WG = self._solved(sums, self._n + 1 + np.arange(n))
        self._n, self._sums, self.T_WG = self._n + n, sums[-1], T_WG[-1]
        return T_WG

    def _solved(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Alignments (n, 4, 4) for sums (n, 25) over `counts` (n,) poses."""
        p, q = sums[:, :3] / counts[:, None], sums[:, 3:6] / counts[:, None]
        spread = sums[:, 6:15].reshape(-1, 3, 3) - counts[:, None, None] * p[:, :, None] * q[:, None, :]
        far = sums[:, 24] > _FAR
        T = np.tile(np.eye(4), (len(sums), 1, 1))
        T[:, :3, :3] = _closest_rotations(np.where(far[:, None, None], spread, sums[:, 15:24].reshape(-1, 3, 3)))
        T[:, :3, 3] = self._first[0] + p - (T[:, :3, :3] @ (self._first[1] + q)[:, :, None])[:, :, 0]
        return T


def _closest_rotations(M: np.ndarray) -> np.ndarray:
    """The rotations (n, 3, 3) that maximise trace(R^T M) for each M (n, 3, 3)."""
    U, _, Vt = np.linalg.svd(M)
    U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
    return U @ Vt


def errors(T_WG: np.ndarray, T_WB: np.ndarray, T_GB: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position errors (n,) m and rotation errors (n,) degrees of poses (n, 4, 4) against ground truth (n, 4, 4) moved by T_WG, one or n."""
    moved = T_WG @ T_GB
    sine = np.linalg.norm(T_WB[:, :3, :3] - moved[:, :3, :3], axis=(1, 2)) / np.sqrt(8.0)  # of half the angle: its cosine would round to 1
    return np.linalg.norm(T_WB[:, :3, 3] - moved[:, :3, 3], axis=1), np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
