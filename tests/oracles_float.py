"""The front end in float64, straight from its formulas: what it would find with words of any length. Only the pictures have 8 bits."""

import numpy as np

from vio.config import FrontEndConfig


def interpolated(image: np.ndarray, u: float, v: float, half: int) -> np.ndarray:
    """Bilinear samples (2 half + 1, 2 half + 1) about (u, v), the border repeated."""
    col, row = int(np.floor(u)), int(np.floor(v))
    rows = np.clip(np.arange(row - half, row + half + 2), 0, image.shape[0] - 1)
    cols = np.clip(np.arange(col - half, col + half + 2), 0, image.shape[1] - 1)
    pixels, a, b = image[np.ix_(rows, cols)].astype(np.float64), u - col, v - row
    across = (1 - a) * pixels[:, :-1] + a * pixels[:, 1:]
    return (1 - b) * across[:-1] + b * across[1:]


def descended(previous: np.ndarray, following: np.ndarray, start: np.ndarray, guess: np.ndarray, frontend: FrontEndConfig) -> tuple[bool, np.ndarray]:
    """(whether it converged, position) of one level: the template's Gauss-Newton iterations with the mean residual taken out."""
    half, epsilon = frontend.klt_window // 2, 2.0**frontend.klt_epsilon_log2
    wide = interpolated(previous, *start, half + 1)
    template = wide[1:-1, 1:-1]
    gradient = np.stack([wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]]).reshape(2, -1) / 2
    gradient -= gradient.mean(1, keepdims=True)
    hessian, uv, step = gradient @ gradient.T, guess.copy(), np.inf
    for _ in range(frontend.klt_iterations):
        residual = (interpolated(following, *uv, half) - template).ravel()
        change = -np.linalg.solve(hessian, gradient @ (residual - residual.mean()))
        uv, step = uv + change, np.abs(change).max()
        if step < epsilon:
            break
    return bool(step < 8 * epsilon), uv


def tracked(pyr_prev, pyr_next, start: np.ndarray, frontend: FrontEndConfig) -> np.ndarray:
    """Position of one feature (2,), px, found from the coarsest level down; the search begins where it was."""
    top = len(pyr_prev) - 1
    uv = start / 2**top
    for level in range(top, -1, -1):
        converged, found = descended(pyr_prev[level], pyr_next[level], start / 2**level, uv, frontend)
        uv = found if converged or level == 0 else uv
        uv = 2 * uv if level > 0 else uv
    return uv


def smaller_eigenvalue(image: np.ndarray, window: int) -> np.ndarray:
    """Shi-Tomasi's score of every pixel, (grey levels / px)^2 over the scaled window; Sobel's gradients over 8, products over the next power of two."""
    padded = np.pad(image.astype(np.float64), 1, "edge")
    smooth, slope = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])

    def filtered(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        down = sum(w * padded[i : i + image.shape[0]] for i, w in enumerate(rows))
        return sum(w * down[:, j : j + image.shape[1]] for j, w in enumerate(cols))

    gx, gy = filtered(smooth, slope) / 8, filtered(slope, smooth) / 8
    area = 2.0 ** np.ceil(np.log2(window**2))

    def summed(product: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(product, window // 2), (window, window))
        return windows.sum((2, 3)) / area

    a, b, c = summed(gx * gx), summed(gx * gy), summed(gy * gy)
    return (a + c) / 2 - np.sqrt(((a - c) / 2) ** 2 + b**2)
