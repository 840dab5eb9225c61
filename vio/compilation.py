"""Every kernel compiled, or loaded from the cache, before the first frame.

The first time the back end is compiled by a second process while this one compiles the front end; both leave their kernels in the cache.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vio.backend import solver
from vio.backend.back_end import BackEnd
from vio.backend.initialization import initial_state
from vio.backend.online_calibration import Instant
from vio.backend.preintegration import Preintegrated, integrate_span
from vio.backend.rest import Rest
from vio.backend.standstill import Standstill
from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera, CameraModel
from vio.config import Config
from vio.events import new_counts
from vio.eyes import fitted
from vio.frontend.front_end import FrontEnd
from vio.odometry import Odometry
from vio.types import Observations, StereoFrame

_SHORT = 3  # keyframes of a window
_WIDE, _HIGH = 640, 400  # px; half of it holds as many features as are asked for
_ENOUGH = "1"  # level of LLVM's optimisation of the back end: a third less work for it than the third, and code as quick
_FORCE = np.array([0.0, 0.0, 9.81])  # m/s^2, a rig that stands upright and still


def warm_up(calibration: Calibration, config: Config) -> None:
    """Compile (or load from the cache) all that an odometry of this rig and configuration calls."""
    config = fitted(config, calibration)
    if not solver.assemble.is_cached:
        second = _second_process()
        front_end = FrontEnd(calibration, config)
        for frame in _pictures(calibration, config, 4):
            front_end.process(frame, np.eye(3), new_counts())
        _refinement_alone()
        if second is not None:
            second.wait()
    small = replace(config, backend=replace(config.backend, window=_SHORT), mono=replace(config.mono, window=_SHORT))  # the same kernels, a full window sooner
    rig = _smaller(calibration)
    odometry = Odometry(rig, small)
    for frame in _pictures(rig, config, _SHORT + 3):
        t, w, a = _inertial(frame.t_ns, config)
        odometry.add_imu(t, w, a)
        odometry.add_frame(frame.t_ns, frame.left, frame.right)
    if calibration.right is None:
        _reliance_alone(config)


def _smaller(calibration: Calibration) -> Calibration:
    """The rig with pictures of half the size, unless they are small anyway: the same kernels, a quarter of the pixels."""
    cameras = {side: camera for side in ("left", "right") if (camera := getattr(calibration, side)) is not None}
    if min(camera.width for camera in cameras.values()) < _WIDE or min(camera.height for camera in cameras.values()) < _HIGH:
        return calibration
    return replace(calibration, **{side: _halved(camera) for side, camera in cameras.items()})


def _halved(camera: CameraModel) -> CameraModel:
    lengths = {name: getattr(camera, name) / 2 for name in ("fx", "fy", "cx", "cy")}
    return replace(camera, width=camera.width // 2, height=camera.height // 2, **lengths)


def _second_process() -> subprocess.Popen | None:
    """This module as a program of its own; None where there is no interpreter to start it."""
    path = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH"))))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.Popen([sys.executable, "-m", "vio.compilation"], env=os.environ | {"PYTHONPATH": path, "NUMBA_OPT": _ENOUGH}, **quiet)
    except OSError:
        return None


def _gap_ns(config: Config) -> int:
    return round(config.frontend.keyframe_max_interval * 1e9)


def _inertial(until_ns: int, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten samples of a rig at rest between two keyframes, the last at until_ns."""
    gap = _gap_ns(config)
    return np.arange(-9, 1, dtype=np.int64) * (gap // 10) + until_ns, np.zeros((10, 3)), np.tile(_FORCE, (10, 1))


def _pictures(calibration: Calibration, config: Config, frames: int) -> Iterator[StereoFrame]:
    """A texture that moves sideways, as long after each other as to be keyframes, so that the window fills and marginalises; then one too soon for that."""
    cameras = [camera for camera in (calibration.left, calibration.right) if camera is not None]
    rows, columns = (max(getattr(camera, side) for camera in cameras) // 12 + 3 for side in ("height", "width"))
    coarse = np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)
    texture = np.kron(coarse, np.ones((12, 12), np.uint8))
    gap = _gap_ns(config)
    for i in range(1, frames + 2):
        pictures = [np.ascontiguousarray(texture[: camera.height, i % 12 : i % 12 + camera.width]) for camera in cameras]
        yield StereoFrame(i * gap if i <= frames else frames * gap + gap // 2, pictures[0], pictures[1] if len(pictures) > 1 else None)


def _stereo() -> tuple[Camera, BackEnd, Callable[[int], Observations]]:
    """A rig's left camera, its back end, and what it sees at an instant: sixty points, always from one place."""
    T_BR, camera = np.eye(4), Camera(640, 480, 400.0, 400.0, 320.0, 240.0)
    T_BR[:3, 3] = baseline = np.array([0.1, 0.0, 0.0])
    points = np.random.default_rng(0).uniform((-2.0, -2.0, 3.0), (2.0, 2.0, 6.0), (60, 3))
    left, right = points[:, :2] / points[:, 2:], (points - baseline)[:, :2] / points[:, 2:]
    back_end = BackEnd(Calibration(camera, np.eye(4), ImuNoise(1e-3, 1e-5, 1e-2, 1e-4), camera, T_BR), Config())
    return camera, back_end, lambda t_ns: Observations(t_ns, np.arange(60), left, right, np.ones(60, bool))


def _integrated(back_end: BackEnd, t_ns: int, config: Config) -> Preintegrated:
    """The inertial motion of the last interval between two keyframes."""
    pre = back_end.preintegration()
    integrate_span(pre, *_inertial(t_ns, config), t_ns - _gap_ns(config), t_ns, back_end.gyro_var, back_end.accel_var, new_counts())
    return pre


def _refinement_alone() -> None:
    """A frame refined by a back end that has just been started: what there is to compile without a window's solution."""
    config, (_, back_end, seen) = Config(), _stereo()
    t_ns = 2 * _gap_ns(config)
    back_end.start(initial_state(*_inertial(t_ns - _gap_ns(config), config), t_ns - _gap_ns(config), config.initial))
    back_end.refine_frame(_integrated(back_end, t_ns, config), seen(t_ns), new_counts())


def _reliance_alone(config: Config) -> None:
    """What a back end of one camera weighs once it has found its scale, which no rig at rest does."""
    _, back_end, seen = _stereo()
    back_end.start(initial_state(*_inertial(_gap_ns(config), config), _gap_ns(config), config.initial))
    back_end.add_keyframe(seen(_gap_ns(config)), None, None, new_counts())
    back_end.weigh_inertial()


def _back_end_alone() -> None:
    """A window of keyframes, one at rest and not where it was placed, through a back end without a front end; frames are refined beside."""
    config, (camera, back_end, seen) = Config(), _stereo()
    standstill = Standstill(config, camera.fx)
    for k in range(1, config.backend.window + 4):
        t_ns, counts = k * _gap_ns(config), new_counts()
        samples = _inertial(t_ns, config)
        standstill.feed(*samples, t_ns)
        standstill.see(t_ns, seen(t_ns).ids, seen(t_ns).xy_left)
        if k == 1:
            back_end.start(initial_state(*samples, t_ns, config.initial))
            state = back_end.add_keyframe(seen(t_ns), None, None, counts)
            continue
        rare = (Instant(1e-3, np.zeros(3)), Rest(1.0, np.zeros(3), _FORCE)) if k == 2 else (None, None)
        state = back_end.add_keyframe(seen(t_ns), _integrated(back_end, t_ns, config), replace(state, t_ns=t_ns), counts, *rare)


if __name__ == "__main__":
    _back_end_alone()
