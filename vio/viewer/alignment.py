"""Ground truth in the world of the estimate, with no more than is known so far."""

import numpy as np

_FAR = 1.0  # m of ground truth, below which its direction comes from attitudes instead of positions


class Alignment:
    """The rigid T_WG that moves ground truth (frame G) onto the estimate (frame W), kept up to date pose by pose.

    Least squares over the positions so far (Umeyama 1991, without scale): after the last pose it is the alignment of the ATE. While the
    rig has hardly moved, positions say nothing about the rotation, and it is the mean of R_WB R_GB^T (chordal, Moakher 2002) instead.
    """

    def __init__(self) -> None:
        self._n, self._path = 0, 0.0
        self._sum_p, self._sum_q, self._sum_pq, self._sum_R = np.zeros(3), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
        self._first: tuple[np.ndarray, np.ndarray] | None = None  # positions are summed from here, so that nothing cancels
        self._last = np.zeros(3)

    def add(self, T_WB: np.ndarray, T_GB: np.ndarray) -> np.ndarray:
        """Take a pose (4, 4) of the estimate and of ground truth at the same time; returns T_WG (4, 4) so far."""
        p, q = T_WB[:3, 3], T_GB[:3, 3]
        if self._first is None:
            self._first, self._last = (p.copy(), q.copy()), q
        self._path += float(np.linalg.norm(q - self._last))
        self._last = q
        p, q = p - self._first[0], q - self._first[1]
        self._n += 1
        self._sum_p, self._sum_q, self._sum_pq = self._sum_p + p, self._sum_q + q, self._sum_pq + np.outer(p, q)
        self._sum_R = self._sum_R + T_WB[:3, :3] @ T_GB[:3, :3].T
        return self.T_WG

    @property
    def T_WG(self) -> np.ndarray:
        """The alignment so far; identity before the first pose."""
        T = np.eye(4)
        if self._first is None:
            return T
        p, q = self._sum_p / self._n, self._sum_q / self._n
        spread = self._sum_pq - self._n * np.outer(p, q)
        T[:3, :3] = _closest_rotation(spread if self._path > _FAR else self._sum_R)
        T[:3, 3] = self._first[0] + p - T[:3, :3] @ (self._first[1] + q)
        return T


def _closest_rotation(M: np.ndarray) -> np.ndarray:
    """The rotation that maximises trace(R^T M)."""
    U, _, Vt = np.linalg.svd(M)
    return U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt


def errors(T_WG: np.ndarray, T_WB: np.ndarray, T_GB: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position errors (n,) m and rotation errors (n,) degrees of poses (n, 4, 4) against ground truth (n, 4, 4) moved by T_WG."""
    moved = T_WG @ T_GB
    sine = np.linalg.norm(T_WB[:, :3, :3] - moved[:, :3, :3], axis=(1, 2)) / np.sqrt(8.0)  # of half the angle: its cosine would round to 1
    return np.linalg.norm(T_WB[:, :3, 3] - moved[:, :3, 3], axis=1), np.degrees(2.0 * np.arcsin(np.minimum(sine, 1.0)))
