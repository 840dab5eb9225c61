"""The same points in left and right pictures, found without any calibration, for the calibration is on trial."""

import numpy as np

from vio.errors import DataError
from vio.io.sequence import Sequence

_FEATURES = 400  # per picture
_LEAST = 15  # matches of a frame
_RATIO = 0.75  # best distance / second best must stay below
_THRESHOLD = 2.0  # px from the common epipolar geometry


def match(sequence: Sequence, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels left and right (n, 2) of matches in the frames `index`, all together."""
    found = [pair for k in index if (pair := _frame(sequence, int(k))) is not None]
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.vstack([left for left, _ in found]), np.vstack([right for _, right in found])


def _frame(sequence: Sequence, index: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Matches of one frame: SIFT with the ratio test (Lowe 2004), consistent with one fundamental matrix."""
    import cv2

    try:
        frame = sequence.load(index)
    except DataError:
        return None
    if frame.right is None:
        return None
    sift = cv2.SIFT_create(_FEATURES)
    (key_l, des_l), (key_r, des_r) = (sift.detectAndCompute(picture, None) for picture in (frame.left, frame.right))
    if des_l is None or des_r is None or min(len(key_l), len(key_r)) < _LEAST:
        return None
    good = [m for m, n in cv2.BFMatcher().knnMatch(des_l, des_r, k=2) if m.distance < _RATIO * n.distance]
    if len(good) < _LEAST:
        return None
    left, right = np.array([key_l[m.queryIdx].pt for m in good]), np.array([key_r[m.trainIdx].pt for m in good])
    cv2.setRNGSeed(0)  # the same recording, the same verdict
    _, inlier = cv2.findFundamentalMat(left, right, cv2.FM_RANSAC, _THRESHOLD, 0.99)
    return None if inlier is None else (left[inlier[:, 0] > 0], right[inlier[:, 0] > 0])
