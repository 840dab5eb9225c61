"""Pictures of a flight: drawn, encoded and written frame by frame, so that memory does not grow with the flight.

A picture depends on its pose, its exposure and its key alone; the number of threads cannot change it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vio import lie
from vio.calibration import Calibration
from vio.io import asl_writer, counter_rng
from vio.io.eye import AutoExposure, draw, eye_of
from vio.io.images import encode_png
from vio.io.progress import Progress
from vio.io.render_spec import CameraSpec, RenderSpec
from vio.io.scene import Scene
from vio.io.trajectory import Flight

_THREADS = 2
_CHUNK = 32  # frames whose exposure is settled at once
_NOISE_STREAM = 21
_TYPICAL_DEPTH = 2.0  # m, for the guess of how far the picture moves while the shutter is open


def poses_at(flight: Flight, t_ns: np.ndarray) -> np.ndarray:
    """Body poses T_WB (n, 4, 4) of a flight."""
    motion = flight.at(t_ns)
    return np.array([lie.pose(lie.matrix_from_quat(q), p) for p, q in zip(motion.p_WB, motion.q_WB)])


def shutter_poses(flight: Flight, t_ns: int, spec: CameraSpec, focal: float, height: int) -> np.ndarray:
    """Body's poses while a picture is exposed: (k, 4, 4), or with a rolling shutter (k, height + 2, 4, 4), one for each row and
    for a row above and below.

    k moments lie evenly over the exposure; the middle of the middle row's exposure is the stamp t_ns. focal: pixels.
    """
    k = _moments(flight, t_ns, spec, focal)
    open_ns = np.rint(((np.arange(k) + 0.5) / k - 0.5) * spec.shutter * 1e9).astype(np.int64)
    if spec.readout <= 0.0:
        return poses_at(flight, t_ns + open_ns)
    rows_ns = np.rint((np.arange(-1, height + 1) / (height - 1) - 0.5) * spec.readout * 1e9).astype(np.int64)
    return poses_at(flight, (t_ns + open_ns[:, None] + rows_ns).ravel()).reshape(k, height + 2, 4, 4)


def _moments(flight: Flight, t_ns: int, spec: CameraSpec, focal: float) -> int:
    """How many moments of the exposure are drawn: as many as pixels pass by, within 1 .. `shutter_samples`."""
    if spec.shutter_samples == 1:
        return 1
    motion = flight.at(np.array([t_ns]))
    rate = np.linalg.norm(motion.w_B) + np.linalg.norm(motion.v_WB) / _TYPICAL_DEPTH
    return int(np.clip(np.ceil(focal * rate * spec.shutter), 1, spec.shutter_samples))


def write_pictures(spec: RenderSpec, scene: Scene, flight: Flight, rig: Calibration, frame_ns: np.ndarray, root: Path, progress: Progress | None) -> None:
    """Draw and encode all pictures of both cameras into root/cam0 and root/cam1, each picture by one of the threads."""
    eyes = [eye_of(camera, T_BS, spec.camera) for camera, T_BS in ((rig.left, rig.T_BC), (rig.right, rig.T_BR))]
    meters = [AutoExposure(scene, eye, spec.camera, spec.frame_hz) for eye in eyes]
    folders = [asl_writer.write_camera(root / f"cam{k}", eye.camera, eye.T_BS, spec.frame_hz, frame_ns) for k, eye in enumerate(eyes)]

    def one(index: int, side: int, gain: float) -> None:
        t_ns, eye = int(frame_ns[index]), eyes[side]
        poses = shutter_poses(flight, t_ns, spec.camera, eye.focal, eye.camera.height)
        key = counter_rng.stream_key(spec.seed, _NOISE_STREAM, side, index)
        path = folders[side] / f"{t_ns}.png"
        path.write_bytes(encode_png(draw(scene, eye, poses, spec.camera, key, gain), str(path)))

    for done, _ in enumerate(_in_threads(one, _jobs(flight, frame_ns, meters)), 1):
        if progress and done % 2 == 0:
            progress(done // 2, len(frame_ns))


def _jobs(flight: Flight, frame_ns: np.ndarray, meters: list[AutoExposure]) -> Iterator[tuple[int, int, float]]:
    """(frame, side, gain) of every picture; gains are settled a chunk ahead, in order, because each follows from the one before."""
    for first in range(0, len(frame_ns), _CHUNK):
        poses = poses_at(flight, frame_ns[first : first + _CHUNK])
        gains = [meter.gains(poses) for meter in meters]
        for k in range(len(poses)):
            for side in range(2):
                yield first + k, side, float(gains[side][k])


def _in_threads(work: Callable[..., None], jobs: Iterable[tuple[int, int, float]]) -> Iterator[None]:
    """Do all jobs, a few at a time, yielding in their order; on an error or an interruption no further one is begun."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="render") as pool:
        pending: deque[Future[None]] = deque()
        try:
            for job in jobs:
                pending.append(pool.submit(work, *job))
                if len(pending) > 2 * _THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
