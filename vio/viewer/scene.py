"""What a frame looks like: one run, moment by moment, as entities under its root."""

from collections.abc import Callable, Sequence

import numpy as np
import rerun as rr

from vio import lie
from vio.backend.snapshot import sparsity
from vio.calibration import Calibration
from vio.config import Config
from vio.io.sequence import GroundTruth
from vio.types import Landmarks, TrackStatus
from vio.viewer import marks
from vio.viewer.columns import Columns, Stamps
from vio.viewer.moment import Moment, stamps
from vio.viewer.pictures import shrunk_size
from vio.viewer.plots import Plots, Truth

_FRUSTUM = 0.35  # m from a camera to its picture
_KEYFRAME = 0.15  # m, of the window's keyframes
_GRAVITY = 0.5  # m of the arrow
_IN_PICTURES = {"left": ("tracks", "tails"), "right": ("matches", "disparity")}
_LEVELS = {"good": "INFO", "initialising": "INFO", "lost": "ERROR"}


class Scene:
    """Draws a run. `draw` some moments at a time, in order, and `finish` at the end.

    Entities of the run lie under `root`, those in space under `root`/world, so that two runs can share a recording.
    """

    def __init__(
        self, columns: Columns, calibration: Calibration, config: Config, truth: GroundTruth | None,
        root: str = "", label: str = "", colour: int = marks.ESTIMATE, shrunk: bool = False,
    ) -> None:
        """Fix what never changes. label: prefix of the names of its series, where there is another run beside it; colour: of its path.

        shrunk: pictures come as `pictures.shrunk` makes them.
        """
        self._columns, self._calibration, self._config = columns, calibration, config
        self._world = f"{root}/world"
        self._root, self._colour, self._is_shrunk = root, colour, shrunk
        self._plots = Plots(columns, calibration, config, truth, root, label, colour)
        self._tails = marks.Tails()
        self._last_p: np.ndarray | None = None
        self._last_q: np.ndarray | None = None
        self._map: Landmarks | None = None
        self._health: tuple[str, tuple[str, ...]] = ("", ())
        self._fix()

    def _fix(self) -> None:
        """What never changes: axes, cameras, colours and widths."""
        fixed, world = self._columns.fixed, self._world
        fixed(world, rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        for side, camera, T_BC in (("left", self._calibration.left, self._calibration.T_BC), ("right", self._calibration.right, self._calibration.T_BR)):
            if camera is None or T_BC is None:
                continue
            path = f"{world}/body/{side}"
            width, height = shrunk_size(camera.width, camera.height) if self._is_shrunk else (camera.width, camera.height)
            x, y = width / camera.width, height / camera.height
            fixed(path, rr.Transform3D(translation=T_BC[:3, 3], mat3x3=T_BC[:3, :3]))
            fixed(path, rr.Pinhole(
                focal_length=[x * camera.fx, y * camera.fy], principal_point=[x * camera.cx, y * camera.cy], width=width, height=height,
                image_plane_distance=_FRUSTUM, color=self._colour))
            fixed(f"{path}/image", rr.EncodedImage.from_fields(media_type="image/jpeg"))
            for drawn in _IN_PICTURES[side]:  # in pixels of the sensor
                fixed(f"{path}/{drawn}", rr.Transform3D(scale=[x, y, 1.0]))
        fixed(f"{world}/body/left/tails", rr.LineStrips2D.from_fields(radii=rr.Radius.ui_points(0.8)))
        fixed(f"{world}/body/right/disparity", rr.LineStrips2D.from_fields(radii=rr.Radius.ui_points(0.8)))
        fixed(f"{world}/body/right/matches", rr.Points2D.from_fields(radii=rr.Radius.ui_points(2.0)))
        fixed(f"{world}/estimate", rr.LineStrips3D.from_fields(radii=rr.Radius.ui_points(1.5), colors=self._colour))
        fixed(f"{world}/truth/path", rr.LineStrips3D.from_fields(radii=rr.Radius.ui_points(1.0), colors=0x888888FF))
        fixed(f"{world}/window", rr.LineStrips3D.from_fields(radii=rr.Radius.ui_points(0.8), colors=0xE69F00FF))
        fixed(f"{world}/gravity", rr.Arrows3D.from_fields(colors=0xD55E00FF, radii=0.015))
        fixed(f"{world}/landmarks/window", rr.Points3D.from_fields(radii=rr.Radius.ui_points(2.5)))
        fixed(f"{world}/landmarks/past", rr.Points3D.from_fields(radii=rr.Radius.ui_points(1.0), colors=0x9A9AA8FF))
        labels = [rr.AnnotationInfo(id=int(label), label=text, color=colour) for label, (text, colour) in marks.COUPLINGS.items()]
        fixed(f"{self._root}/system/sparsity", rr.AnnotationContext(labels))

    def draw(self, moments: Sequence[Moment]) -> None:
        """Send some frames, which follow those before."""
        at = stamps(moments)
        truth = self._plots.draw(at, moments)
        self._tracks(at, moments)
        self._matches(*_some(at, moments, lambda moment: moment.right is not None and moment.uv_right is not None))
        self._poses(*_some(at, moments, lambda moment: moment.state is not None))
        self._truth(truth)
        self._landmarks(*_some(at, moments, lambda moment: moment.landmarks is not None))
        self._windows(*_some(at, moments, lambda moment: moment.window is not None))
        self._log(at, moments)

    def finish(self) -> None:
        """Add what only the whole run tells."""
        self._plots.finish()

    def _tracks(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """Left pictures, features and their tails."""
        left, send = f"{self._world}/body/left", self._columns.send
        shown, pictures = _some(at, moments, lambda moment: moment.left is not None)
        send(f"{left}/image", rr.EncodedImage, shown, blob=[moment.left for moment in pictures])
        status, age = (np.concatenate([getattr(moment, name) for moment in moments]) for name in ("status", "age"))
        colours, positions = marks.track_colours(status, age), [moment.uv.astype(np.float32) for moment in moments]
        send(
            f"{left}/tracks", rr.Points2D, at, [len(moment.ids) for moment in moments],
            positions=np.concatenate(positions), colors=colours, radii=marks.track_radii(status))
        alive = [moment.status <= TrackStatus.NEW for moment in moments]
        tails, joined = self._tails.extend([(m.ids, uv, lives) for m, uv, lives in zip(moments, positions, alive)]), np.concatenate(alive)
        send(f"{left}/tails", rr.LineStrips2D, at, [int(lives.sum()) for lives in alive], strips=tails[joined], colors=colours[joined])

    def _matches(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """Right pictures and what was found in them."""
        if not moments:
            return
        right, send = f"{self._world}/body/right", self._columns.send
        send(f"{right}/image", rr.EncodedImage, at, blob=[moment.right for moment in moments])
        found = [np.isfinite(moment.uv_right[:, 0]) for moment in moments]
        lengths = [int(matched.sum()) for matched in found]
        uv, uv_right = (
            np.concatenate([getattr(moment, name)[matched] for moment, matched in zip(moments, found)]).astype(np.float32) for name in ("uv", "uv_right"))
        shade = marks.ramp(np.linalg.norm(uv - uv_right, axis=1) / (0.1 * self._calibration.left.width))
        send(f"{right}/matches", rr.Points2D, at, lengths, positions=uv_right, colors=shade)
        send(f"{right}/disparity", rr.LineStrips2D, at, lengths, strips=np.stack([uv, uv_right], axis=1), colors=shade)

    def _poses(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """The rig, the newest pieces of its path, and gravity."""
        if not moments:
            return
        T_WB, send = np.array([moment.state.T_WB for moment in moments]), self._columns.send
        p = T_WB[:, :3, 3].astype(np.float32)
        send(f"{self._world}/body", rr.Transform3D, at, translation=p, quaternion=_xyzw(T_WB))
        strips, self._last_p = _pieces(p, self._last_p), p[-1]
        send(f"{self._world}/estimate", rr.LineStrips3D, at, strips=strips)
        send(f"{self._world}/gravity", rr.Arrows3D, at, origins=p, vectors=np.tile(np.array([0.0, 0.0, -_GRAVITY], np.float32), (len(p), 1)))

    def _truth(self, truth: Truth) -> None:
        """The newest pieces of ground truth's path in its own frame, and the frame as it is aligned so far."""
        if not len(truth.p_GB):
            return
        strips, self._last_q = _pieces(truth.p_GB, self._last_q), truth.p_GB[-1]
        path, send = f"{self._world}/truth", self._columns.send
        send(path, rr.Transform3D, truth.at, translation=truth.T_WG[:, :3, 3], quaternion=_xyzw(truth.T_WG))
        send(f"{path}/path", rr.LineStrips3D, truth.at, strips=strips)

    def _landmarks(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """Landmarks of the window by age; those that have just left it are thinned out and stay."""
        if not moments:
            return
        found, send = [moment.landmarks for moment in moments], self._columns.send
        observations, p_WL = np.concatenate([now.observations for now in found]), np.concatenate([now.p_WL for now in found])
        colours = marks.ramp((observations - 1) / (marks.OLD_LANDMARK - 1))
        lengths = [len(now.ids) for now in found]
        send(f"{self._world}/landmarks/window", rr.Points3D, at, lengths, positions=p_WL.astype(np.float32), colors=colours)
        pairs = list(zip([self._map, *found], found))
        gone = [_gone(before, now) for before, now in pairs if before is not None]
        if gone:
            later = at.of(np.arange(len(pairs) - len(gone), len(pairs)))
            send(f"{self._world}/landmarks/past", rr.Points3D, later, [len(p) for p in gone], positions=np.concatenate(gone))
        self._map = found[-1]

    def _windows(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """Cameras of the window's keyframes, and what couples them."""
        if not moments:
            return
        left, found, send = self._calibration.left, [moment.window for moment in moments], self._columns.send
        half = 0.5 * np.array([left.width / left.fx, left.height / left.fy])
        strips = marks.pyramids(np.concatenate([now.T_WB for now in found]) @ self._calibration.T_BC, half, _KEYFRAME)
        send(f"{self._world}/window", rr.LineStrips3D, at, [len(now.T_WB) for now in found], strips=strips)
        coupled = [k for k, now in enumerate(found) if now.shared.any()]
        labels = [sparsity(found[k]) for k in coupled]
        sizes = [rr.components.ImageFormat(width=label.shape[1], height=label.shape[0], channel_datatype="U8") for label in labels]
        send(f"{self._root}/system/sparsity", rr.SegmentationImage, at.of(coupled), buffer=[label.tobytes() for label in labels], format=sizes)

    def _log(self, at: Stamps, moments: Sequence[Moment]) -> None:
        """A line when the verdict or its reasons change."""
        verdicts = [(moment.health, moment.reasons) for moment in moments]
        changed = [k for k, pair in enumerate(zip([self._health, *verdicts], verdicts)) if pair[0] != pair[1]]
        self._health = verdicts[-1]
        levels = [_LEVELS.get(moments[k].health, "WARN") for k in changed]
        self._columns.send(f"{self._root}/health", rr.TextLog, at.of(changed), text=[_words(moments[k]) for k in changed], level=levels)


def _some(at: Stamps, moments: Sequence[Moment], wanted: Callable[[Moment], bool]) -> tuple[Stamps, list[Moment]]:
    """The moments of a kind, and when they were."""
    rows = [k for k, moment in enumerate(moments) if wanted(moment)]
    return at.of(rows), [moments[k] for k in rows]


def _xyzw(T: np.ndarray) -> np.ndarray:
    """Quaternions (n, 4) of transforms (n, 4, 4), real part last."""
    return np.array([lie.quat_from_matrix(np.ascontiguousarray(R)) for R in T[:, :3, :3]])[:, [1, 2, 3, 0]]


def _pieces(p: np.ndarray, last: np.ndarray | None) -> np.ndarray:
    """A path's pieces (n, 2, 3) to positions (n, 3), each from the one before; `last` comes before the first."""
    return np.stack([np.vstack([p[:1] if last is None else last[None], p[:-1]]), p], axis=1)


def _gone(before: Landmarks, now: Landmarks) -> np.ndarray:
    """Positions (n, 3) of the landmarks that have left the window and are kept in sight."""
    left = ~np.isin(before.ids, now.ids) & marks.kept_landmarks(before.ids, before.observations)
    return before.p_WL[left].astype(np.float32)


def _words(moment: Moment) -> str:
    """The verdict on a frame."""
    return moment.health + (": " + ", ".join(moment.reasons) if moment.reasons else "") + f" ({moment.tracked} landmarks)"
