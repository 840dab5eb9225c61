"""A camera that takes pictures of a scene: rays, light, exposure, grey levels."""

from dataclasses import dataclass, replace

import numpy as np

from vio.camera import CameraModel
from vio.io.develop import develop, vignetting_table
from vio.io.lens import VISIBLE_RADIUS, Lens, lens_of
from vio.io.raycast import cast, probe
from vio.io.render_spec import CameraSpec
from vio.io.rolling import cast_rolling
from vio.io.scene import Scene

_METER_PIXELS = 48  # width of the small picture that the exposure is measured on


@dataclass(frozen=True)
class Eye:
    """One camera of the rig, ready to draw: its model, its pose T_BS in the body, its rays and its vignetting."""

    camera: CameraModel
    T_BS: np.ndarray
    lens: Lens
    factor: np.ndarray

    @property
    def focal(self) -> float:
        """Pixels per radian in the middle of the picture."""
        return float(1.0 / self.lens.spread[self.camera.height // 2, self.camera.width // 2])


def eye_of(camera: CameraModel, T_BS: np.ndarray, spec: CameraSpec) -> Eye:
    """Prepare a camera. Pixels that look further aside than `lens.VISIBLE_RADIUS` stay black, as outside an image circle."""
    factor = vignetting_table(camera.width, camera.height, spec.vignetting)
    lens = lens_of(camera)
    factor[np.hypot(lens.xy[1:-1, 1:-1, 0], lens.xy[1:-1, 1:-1, 1]) > VISIBLE_RADIUS] = 0.0
    return Eye(camera, T_BS, lens, factor)


def light(scene: Scene, eye: Eye, T_WB: np.ndarray) -> np.ndarray:
    """Light (h, w) float32 on the sensor of `eye`, before the lens's faults: the mean over k moments.

    T_WB: the body's poses (k, 4, 4), or (k, h + 2, 4, 4), one for each row and for a row above and below (rolling shutter).
    """
    radiance = np.zeros((eye.camera.height, eye.camera.width), np.float32)
    for T_WC in T_WB @ eye.T_BS:
        draw_rows = cast if T_WC.ndim == 2 else cast_rolling
        draw_rows(scene, eye.lens, np.ascontiguousarray(T_WC[..., :3, :3]), T_WC[..., :3, 3].copy(), radiance)
    return radiance / np.float32(len(T_WB))


def draw(scene: Scene, eye: Eye, T_WB: np.ndarray, spec: CameraSpec, key: np.uint64, gain: float | None = None) -> np.ndarray:
    """Picture (h, w) uint8 that `eye` takes; T_WB are the body's poses while the shutter is open (see `light`).

    `key` names the noise; `gain` takes the place of the specification's.
    """
    radiance = light(scene, eye, T_WB)
    picture = np.empty(radiance.shape, np.uint8)
    gain = spec.gain if gain is None else gain
    develop(radiance, eye.factor, gain, spec.softness, spec.read_noise, spec.shot_noise, key, picture)
    return picture


class AutoExposure:
    """Gains of one camera, frame after frame: that of the specification, or those of automatic exposure.

    Every frame has a gain at which its mean would be the wanted grey level; the camera approaches it exponentially.
    """

    def __init__(self, scene: Scene, eye: Eye, spec: CameraSpec, frame_hz: float) -> None:
        self._scene, self._spec = scene, spec
        self._meter = eye_of(_shrunk(eye.camera), eye.T_BS, spec)
        self._share = 1.0 - np.exp(-1.0 / (frame_hz * spec.exposure_lag))
        self._now: float | None = None

    def gains(self, T_WB: np.ndarray) -> np.ndarray:
        """Gains (n,) of the next n frames, seen from T_WB (n, 4, 4)."""
        if self._spec.auto_exposure <= 0.0:
            return np.full(len(T_WB), self._spec.gain)
        return np.exp([self._follow(self._wanted(pose)) for pose in T_WB])

    def _wanted(self, pose: np.ndarray) -> float:
        """Logarithm of the gain that the view calls for."""
        seen = light(self._scene, self._meter, pose[None]) * self._meter.factor
        return float(np.log(_metered(seen, self._spec.auto_exposure / 255.0)))

    def _follow(self, target: float) -> float:
        self._now = target if self._now is None else self._now + self._share * (target - self._now)
        return self._now


def _metered(light_seen: np.ndarray, level: float) -> float:
    """Gain that brings the mean, saturation included, to `level` of full scale: a fixed point, reached by repetition."""
    gain = level / max(float(light_seen.mean()), 1e-6)
    for _ in range(8):
        gain *= level / max(float(np.minimum(gain * light_seen, 1.0).mean()), 1e-6)
    return gain


def _shrunk(camera: CameraModel) -> CameraModel:
    """The same view in few pixels."""
    scale = _METER_PIXELS / camera.width
    height = max(16, round(camera.height * scale))
    down = height / camera.height
    cx, cy = (camera.cx + 0.5) * scale - 0.5, (camera.cy + 0.5) * down - 0.5
    return replace(camera, width=_METER_PIXELS, height=height, fx=camera.fx * scale, fy=camera.fy * down, cx=cx, cy=cy)


def surfaces(scene: Scene, T_WC: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact depth (n,) m and surface number (n,) that the rays (x, y, 1) of a camera at T_WC meet; xy (n, 2)."""
    depth, surface = np.empty(len(xy)), np.empty(len(xy), np.int64)
    T_WC = np.asarray(T_WC, np.float64)
    probe(scene, np.ascontiguousarray(T_WC[:3, :3]), T_WC[:3, 3].copy(), np.ascontiguousarray(xy, np.float64), depth, surface)
    return depth, surface
