"""What a frame looks like: one run, moment by moment, as entities under its root."""

import numpy as np
import rerun as rr

from vio import lie
from vio.backend.snapshot import sparsity
from vio.calibration import Calibration
from vio.config import Config
from vio.io.sequence import GroundTruth
from vio.types import TrackStatus
from vio.viewer import marks
from vio.viewer.columns import Columns
from vio.viewer.moment import Moment
from vio.viewer.plots import Plots

_FRUSTUM = 0.35  # m from a camera to its picture
_KEYFRAME = 0.15  # m, of the window's keyframes
_GRAVITY = 0.5  # m of the arrow


class Scene:
    """Draws a run. `draw` moments in order, `send` now and then, `finish` at the end.

    Entities of the run lie under `root`, those in space under `root`/world, so that two runs can share a recording.
    """

    def __init__(
        self, columns: Columns, calibration: Calibration, config: Config, truth: GroundTruth | None,
        root: str = "", label: str = "", colour: int = marks.ESTIMATE,
    ) -> None:
        """Fix what never changes. label: prefix of the names of its series, where there is another run beside it; colour: of its path."""
        self._columns, self._calibration, self._config = columns, calibration, config
        self._world = f"{root}/world"
        self._root, self._colour = root, colour
        self._plots = Plots(columns, calibration, config, truth, root, label, colour)
        self._tails = marks.Tails()
        self._last_p: np.ndarray | None = None
        self._last_q: np.ndarray | None = None
        self._map: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
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
            fixed(path, rr.Transform3D(translation=T_BC[:3, 3], mat3x3=T_BC[:3, :3]))
            fixed(path, rr.Pinhole(
                focal_length=[camera.fx, camera.fy], principal_point=[camera.cx, camera.cy], width=camera.width, height=camera.height,
                image_plane_distance=_FRUSTUM, color=self._colour))
            fixed(f"{path}/image", rr.EncodedImage.from_fields(media_type="image/jpeg"))
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

    def draw(self, moment: Moment) -> None:
        """Take a frame into the batch."""
        T_WG = self._plots.draw(moment)
        self._pictures(moment)
        self._pose(moment)
        if T_WG is not None:
            self._truth(moment, T_WG)
        if moment.landmarks is not None:
            self._landmarks(moment)
        if moment.window is not None:
            self._window(moment)
        self._log(moment)

    def send(self) -> None:
        """Hand over what has been drawn."""
        self._columns.send()

    def finish(self) -> None:
        """Add what only the whole run tells, and send everything."""
        self._plots.finish()
        self._columns.send()

    def _add(self, moment: Moment, path: str, archetype: type, **components: object) -> None:
        self._columns.add(path, archetype, moment.index, moment.t_ns, **components)

    def _pictures(self, moment: Moment) -> None:
        left, right = f"{self._world}/body/left", f"{self._world}/body/right"
        if moment.left is not None:
            self._add(moment, f"{left}/image", rr.EncodedImage, blob=[moment.left])
        colours = marks.track_colours(moment.status, moment.age)
        self._add(moment, f"{left}/tracks", rr.Points2D, positions=moment.uv.astype(np.float32), colors=colours, radii=marks.track_radii(moment.status))
        alive = moment.status <= TrackStatus.NEW
        tails = self._tails.extend(moment.ids, moment.uv, alive)[alive]
        self._add(moment, f"{left}/tails", rr.LineStrips2D, strips=tails, colors=colours[alive])
        if moment.right is not None and moment.uv_right is not None:
            self._add(moment, f"{right}/image", rr.EncodedImage, blob=[moment.right])
            found = np.isfinite(moment.uv_right[:, 0])
            uv, uv_right = moment.uv[found].astype(np.float32), moment.uv_right[found].astype(np.float32)
            shade = marks.ramp(np.linalg.norm(uv - uv_right, axis=1) / (0.1 * self._calibration.left.width))[: len(uv)]
            self._add(moment, f"{right}/matches", rr.Points2D, positions=uv_right, colors=shade)
            self._add(moment, f"{right}/disparity", rr.LineStrips2D, strips=np.stack([uv, uv_right], axis=1), colors=shade)

    def _pose(self, moment: Moment) -> None:
        """The rig, the newest piece of its path, and gravity."""
        if moment.state is None:
            return
        T_WB = moment.state.T_WB
        p, q = T_WB[:3, 3].astype(np.float32), lie.quat_from_matrix(np.ascontiguousarray(T_WB[:3, :3]))
        self._add(moment, f"{self._world}/body", rr.Transform3D, translation=p[None], quaternion=q[None, [1, 2, 3, 0]])
        last, self._last_p = self._last_p, p
        self._add(moment, f"{self._world}/estimate", rr.LineStrips3D, strips=np.array([[p if last is None else last, p]]))
        self._add(moment, f"{self._world}/gravity", rr.Arrows3D, origins=p[None], vectors=np.array([[0.0, 0.0, -_GRAVITY]], np.float32))

    def _truth(self, moment: Moment, T_WG: np.ndarray) -> None:
        """The newest piece of ground truth's path in its own frame, and the frame as it is aligned so far."""
        where = self._plots.truth_p
        last, self._last_q = self._last_q, where
        q = lie.quat_from_matrix(np.ascontiguousarray(T_WG[:3, :3]))
        self._add(moment, f"{self._world}/truth", rr.Transform3D, translation=T_WG[None, :3, 3], quaternion=q[None, [1, 2, 3, 0]])
        self._add(moment, f"{self._world}/truth/path", rr.LineStrips3D, strips=np.array([[where if last is None else last, where]], np.float32))

    def _landmarks(self, moment: Moment) -> None:
        """Landmarks of the window by age; those that have just left it are thinned out and stay."""
        found = moment.landmarks
        colours = marks.ramp((found.observations - 1) / (marks.OLD_LANDMARK - 1))
        self._add(moment, f"{self._world}/landmarks/window", rr.Points3D, positions=found.p_WL.astype(np.float32), colors=colours)
        if self._map is not None:
            ids, p_WL, observations = self._map
            gone = ~np.isin(ids, found.ids) & marks.kept_landmarks(ids, observations)
            self._add(moment, f"{self._world}/landmarks/past", rr.Points3D, positions=p_WL[gone].astype(np.float32))
        self._map = found.ids, found.p_WL, found.observations

    def _window(self, moment: Moment) -> None:
        """Cameras of the window's keyframes, and what couples them."""
        left, found = self._calibration.left, moment.window
        half = 0.5 * np.array([left.width / left.fx, left.height / left.fy])
        self._add(moment, f"{self._world}/window", rr.LineStrips3D, strips=marks.pyramids(found.T_WB @ self._calibration.T_BC, half, _KEYFRAME))
        labels = sparsity(found)
        if labels.size and found.shared.any():
            size = rr.components.ImageFormat(width=labels.shape[1], height=labels.shape[0], channel_datatype="U8")
            self._add(moment, f"{self._root}/system/sparsity", rr.SegmentationImage, buffer=[labels.tobytes()], format=[size])

    def _log(self, moment: Moment) -> None:
        """A line when the verdict or its reasons change."""
        now = (moment.health, moment.reasons)
        if now != self._health:
            self._health = now
            level = {"good": "INFO", "initialising": "INFO", "lost": "ERROR"}.get(moment.health, "WARN")
            text = moment.health + (": " + ", ".join(moment.reasons) if moment.reasons else "") + f" ({moment.tracked} landmarks)"
            self._add(moment, f"{self._root}/health", rr.TextLog, text=[text], level=[level])
