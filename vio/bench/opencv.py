"""OpenCV's front end on the same pictures and points, on one thread like ours: pyramidal Lucas-Kanade (Bouguet 2000) from frame to
frame; at our keyframes Shi-Tomasi corners and Lucas-Kanade into the right picture and back.

Not in its time: outlier rejection, undistortion and the choice of keyframes, which ours does. Its Python interface takes no pyramids and
so builds two a call; what a C++ program would reuse is measured apart and taken off.
"""

import time

import cv2
import numpy as np

from vio.config import Config
from vio.events import new_counts
from vio.frontend.front_end import FrontEnd
from vio.io.sequence import Sequence
from vio.lie import matrix_from_quat
from vio.runner import RunResult
from vio.types import StereoFrame, TrackStatus


class OpenCV:
    """The same windows, levels, iterations and counts as a configuration of ours."""

    def __init__(self, config: Config) -> None:
        front_end, position = config.frontend, config.precision.position
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, front_end.klt_iterations, 2.0**front_end.klt_epsilon_log2)
        self._window = {"winSize": (front_end.klt_window, front_end.klt_window), "maxLevel": front_end.pyramid_levels - 1}
        self._criteria = criteria
        self._corners = (front_end.max_features, front_end.corner_quality, front_end.min_distance)
        self._scale = np.float32(position.resolution)

    def follow(self, a: np.ndarray, b: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Points (n, 1, 2) of picture a in picture b."""
        return cv2.calcOpticalFlowPyrLK(a, b, points, None, criteria=self._criteria, **self._window)[0] if len(points) else points

    def frame(self, frame: StereoFrame, previous: np.ndarray | None, before: np.ndarray, is_keyframe: bool, points: np.ndarray) -> None:
        """Follow the points `before` from the previous left picture; at a keyframe detect, and match `points` to the right and back."""
        if previous is not None:
            self.follow(previous, frame.left, before)
        if is_keyframe:
            cv2.goodFeaturesToTrack(frame.left, *self._corners)
        if is_keyframe and frame.right is not None:
            self.follow(frame.right, frame.left, self.follow(frame.left, frame.right, points))

    def rebuild(self, frame: StereoFrame, is_keyframe: bool) -> None:
        """The pyramids that `frame` makes needlessly: the previous picture's; of a pair both once more, and the left one's derivatives."""
        cv2.buildOpticalFlowPyramid(frame.left, withDerivatives=False, **self._window)
        if is_keyframe and frame.right is not None:
            cv2.buildOpticalFlowPyramid(frame.left, withDerivatives=True, **self._window)
            for picture in (frame.left, frame.right):
                cv2.buildOpticalFlowPyramid(picture, withDerivatives=False, **self._window)

    def points(self, result: RunResult, frame: int) -> np.ndarray:
        """Features that were alive after a frame of our run, (n, 1, 2) float32."""
        table = result.tracks
        part = slice(int(table.rows[:frame].sum()), int(table.rows[: frame + 1].sum()))
        alive = table.status[part] <= TrackStatus.NEW
        return (table.uv_raw[part][alive].astype(np.float32) * self._scale).reshape(-1, 1, 2)


def milliseconds(sequence: Sequence, config: Config, result: RunResult, keyframes: np.ndarray) -> float:
    """CPU ms a frame that OpenCV takes for what `result` was run on; keyframes (m,) bool. One thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        opencv = OpenCV(config)
        points = [opencv.points(result, i) for i in range(len(keyframes))]
        pictures = [sequence.load(i) for i in range(len(keyframes))]
        begin = time.process_time()
        for i, frame in enumerate(pictures):
            opencv.frame(frame, pictures[i - 1].left if i else None, points[i - 1], bool(keyframes[i]), points[i])
        middle = time.process_time()
        for frame, is_keyframe in zip(pictures, keyframes):
            opencv.rebuild(frame, bool(is_keyframe))
        return 1e3 * ((middle - begin) - (time.process_time() - middle)) / len(keyframes)
    finally:
        cv2.setNumThreads(threads)


def ours(sequence: Sequence, config: Config, result: RunResult) -> float:
    """CPU ms a frame of our front end alone over the same pictures, with the rotations that the gyro gave in the run `result`."""
    front_end, counts = FrontEnd(sequence.calibration, config), new_counts()
    rotations = _rotations(sequence, result)
    begin = time.process_time()
    for i, R in enumerate(rotations):
        front_end.process(sequence.load(i), R, counts)
    return 1e3 * (time.process_time() - begin) / len(rotations)


def _rotations(sequence: Sequence, result: RunResult) -> list[np.ndarray]:
    """Rotation (3, 3) of left-camera rays between consecutive frames, from the poses of the run."""
    R_BC, poses = sequence.calibration.T_BC[:3, :3], dict(zip(result.trajectory.t_ns.tolist(), result.trajectory.q_WB))
    out, last = [], None
    for t in result.frame_t_ns.tolist():
        now = matrix_from_quat(poses[t]) if t in poses else None
        out.append(np.eye(3) if last is None or now is None else R_BC.T @ now.T @ last @ R_BC)
        last = now
    return out
