"""Drives the integer kernels frame by frame: track, reject, choose keyframes, detect, match. Raw integers become float here only."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from vio.calibration import Calibration
from vio.camera import CameraModel
from vio.config import Config
from vio.events import Event
from vio.frontend import anchor, following, klt, outliers, pyramid, rays, stereo, store
from vio.frontend.corners import allocate_workspace, corner_format, detect_corners
from vio.frontend.exposure import equalised, texture
from vio.frontend.features import Features, joined, taken
from vio.frontend.following import CROWD
from vio.lie import orthonormalised
from vio.precision import Logs
from vio.saved import Maybe, Table, pack, require, unpack
from vio.types import FrontEndOutput, Observations, StereoFrame, Tracks, TrackStatus

Expected = tuple[np.ndarray, np.ndarray]  # ids (n,) int64, xy (n, 2): normalised image points
_TRACKED = int(TrackStatus.TRACKED)
_ALL_AND_MORE = 257  # of 256
_NOWHERE = np.zeros(0, np.int64), np.zeros((0, 2), np.int32)


class FrontEnd:
    """Integer front end of one rig: `process` every frame in time order; `drop` what the back end rejects."""

    def __init__(self, calibration: Calibration, config: Config, logs: Logs | None = None, first_id: int = 0) -> None:
        """Quantise the rig and allocate every picture buffer. Raises ConfigError for word lengths the kernels cannot carry.

        Features are numbered from `first_id` on. With `logs` (`precision.new_logs`) the kernels record what passes through every register.
        """
        self._calibration, self._config = calibration, config
        left, self._rig, baseline = calibration.left, None, 1.0
        self._lens = rays.make_lens(left, config.precision, logs)
        if calibration.right is not None:
            self._rig = stereo.make_rig(calibration, config, rays.make_lens(calibration.right, config.precision, logs), logs)
            baseline = float(np.linalg.norm(calibration.T_CR[:3, 3]))
        self._klt, self._corner = klt.klt_format(config, logs), corner_format(config, logs)
        self._pyramid = pyramid.pyramid_format(config.precision, logs)
        self._outlier = outliers.outlier_format(config, left.fx, baseline, logs)
        self._workspace = allocate_workspace(left.height, left.width, self._corner)
        self._workspace.visible[:] = rays.visible_blocks(left, self._corner.block)
        self._current, self._previous = self._allocate(left), self._allocate(left)
        self._store = store.store_format(config, logs)
        self._words = store.allocate_words(self._current)
        self._klt_stored = klt.klt_format(config, logs, store.BLOCK if self._store is not None else 0)
        self._right = self._allocate(calibration.right) if calibration.right is not None else None
        self._parallax_sq = round((config.frontend.keyframe_parallax / left.fx * 2**config.precision.displacement.frac_bits) ** 2)
        self._live, self._gated = self._nobody(), self.no_tracks()
        self.next_id, self._frames, self._key_count = first_id, 0, 0
        self._key_t_ns: int | None = None
        self._R_CK, self._R_CP = np.eye(3), np.eye(3)  # ray of the last keyframe, and of the previous picture, into the current frame
        self._knows_CK, self._knows_CP = True, True  # whether the gyro measured all of it
        self._held, self._kept_ns = 0, 0  # blind frames since the previous picture was kept, and its stamp

    def _nobody(self) -> Features:
        return Features.new(np.zeros(0, np.int64), np.zeros((0, 2), np.int32), anchor.side(self._klt))

    def _allocate(self, camera: CameraModel) -> tuple[np.ndarray, ...]:
        return pyramid.allocate(camera.height, camera.width, self._config.frontend.pyramid_levels)

    @property
    def is_holding(self) -> bool:
        """Whether features wait for a picture in which they can be found again; then `process` likes to know where to look."""
        return self._held > 0

    def process(self, frame: StereoFrame, R_C1C0: np.ndarray, counts: np.ndarray, expected: Expected | None = None, is_measured: bool = True) -> FrontEndOutput:
        """Follow the features into a frame and, at a keyframe, top them up and match them in the right picture.

        R_C1C0: (3, 3), the rotation that maps rays of the previous left frame into this one (from the gyro). counts: int64 by `Event`.
        expected: (ids (n,), xy (n, 2)), rays on which to look for features after blind frames. is_measured: R_C1C0 is no guess over a gap in the
        samples; nothing contradicts a guess.
        Raises ValueError for pictures that are not uint8 of the calibrated size. Returned arrays are never written again.
        """
        self.check(frame)
        pyramid.build(frame.left, self._current, self._pyramid, counts)
        self._turn(R_C1C0, is_measured)
        if (len(self._live.ids) or self._held) and texture(self._current[-1]) < self._config.frontend.min_texture:
            return self._hold(frame.t_ns, self._live)
        jump = self._config.frontend.exposure_jump if len(self._live.ids) else np.inf
        previous, current, jumped = equalised(self._previous, self._current, jump)
        before = self._live
        lost, has_moved = self._track(previous, current, expected, counts)
        if self._sees_nothing(before, counts):
            return self._hold(frame.t_ns, before)
        is_keyframe = self._is_keyframe(frame.t_ns, has_moved, counts)
        if is_keyframe:
            self._make_keyframe(frame, counts)
        self._keep(frame.t_ns, counts)
        self._frames += 1
        touched, self._gated = joined(self._live.tracks(), lost, self._gated), self.no_tracks()
        return FrontEndOutput(touched, self._observe(frame.t_ns, self._live), is_keyframe, ("exposure_jump",) if jumped else ())

    def _turn(self, R_C1C0: np.ndarray, is_measured: bool) -> None:
        """Let the rotations since the last keyframe and the previous picture go on."""
        self._R_CK, self._R_CP = (orthonormalised(np.ascontiguousarray(R_C1C0 @ R, np.float64)) for R in (self._R_CK, self._R_CP))
        self._knows_CK, self._knows_CP = self._knows_CK and is_measured, self._knows_CP and is_measured

    def pass_over(self, t_ns: int, R_C1C0: np.ndarray, why: str, is_measured: bool = True) -> FrontEndOutput:
        """A frame whose picture is not to be looked at, and the word for it; else as `process`. Features wait for the next one."""
        self._turn(R_C1C0, is_measured)
        return self._hold(t_ns, self._live, why)

    def no_tracks(self) -> Tracks:
        """An empty record, for a frame that is left out."""
        return self._nobody().tracks()

    def _prototypes(self) -> dict[str, Any]:
        """What the next frame depends on; the other buffers are written before they are read."""
        numbers = dict.fromkeys(("next_id", "_frames", "_key_count", "_held", "_kept_ns"), 0)
        numbers |= {"_knows_CK": True, "_knows_CP": True}
        return {"_previous": self._previous, "_live": self._nobody(), "_gated": self.no_tracks(), **numbers, "_key_t_ns": Maybe(0), "_R_CK": np.eye(3), "_R_CP": np.eye(3)}

    def state_dict(self) -> Table:
        """Everything that the next frame depends on, as plain arrays."""
        return pack(self, self._prototypes(), "front_end")

    def load_state_dict(self, table: Table) -> None:
        """Take over what `state_dict` gave. Raises DataError for anything else."""
        found = unpack(self._prototypes(), "front_end", table)
        size = self._config.precision.position.to_raw(np.array([self._calibration.left.width, self._calibration.left.height]))
        for name, uv in (("_live", found["_live"].uv), ("_gated", found["_gated"].uv_raw)):
            require(bool(((uv >= 0) & (uv < size)).all()), f"features of front_end.{name} are outside of the picture")
        require(len(found["_live"].ids) <= self._config.frontend.max_features, "front_end._live has too many features")
        self.__dict__.update(found)

    def _hold(self, t_ns: int, before: Features, why: str = "picture_blind") -> FrontEndOutput:
        """A blind frame: keep the features and the picture they come from, for a while."""
        self._frames += 1
        self._held += 1
        waits = t_ns - self._kept_ns <= round(self._config.frontend.hold_time * 1e9)
        self._live = before if waits else self._nobody()
        gated, self._gated = self._gated, self.no_tracks()
        is_keyframe = not waits and t_ns - self._key_t_ns >= round(self._config.frontend.keyframe_max_interval * 1e9)
        if is_keyframe:
            self._key_t_ns, self._key_count = t_ns, 0
        return FrontEndOutput(gated, self._observe(t_ns, self._nobody()), is_keyframe, (why,))

    def _sees_nothing(self, before: Features, counts: np.ndarray) -> bool:
        """Whether a crowd of features went all at once and the picture has no other corners either; or still has none."""
        if len(self._live.ids) > 0 or (len(before.ids) < CROWD and not self._held):
            return False
        none = np.zeros((0, 2), np.int32)
        return len(detect_corners(self._current[0], none, self._corner, self._workspace, counts)) < CROWD

    def drop(self, ids: np.ndarray) -> None:
        """Forget the features with these ids (int64); the next `Tracks` lists them once more as GATED."""
        rejected = np.isin(self._live.ids, ids) if len(ids) else np.zeros(len(self._live.ids), np.bool_)
        if not rejected.any():
            return
        gone = taken(self._live.tracks(), np.flatnonzero(rejected))
        gone.status[:] = TrackStatus.GATED
        gone.has_right[:] = False
        self._gated, self._live = joined(self._gated, gone), self._live.take(~rejected)

    def check(self, frame: StereoFrame) -> None:
        """Raise ValueError unless the pictures are what the calibration says."""
        pictures = [("left", frame.left, self._calibration.left)]
        if self._rig is not None and frame.right is not None:
            pictures.append(("right", frame.right, self._calibration.right))
        for side, image, camera in pictures:
            shape = (camera.height, camera.width)
            if not isinstance(image, np.ndarray) or image.shape != shape or image.dtype != np.uint8:
                found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
                raise ValueError(f"frame at {frame.t_ns} ns: the {side} picture is {found}; the calibration says uint8 {shape}")

    def _track(
        self, previous: tuple[np.ndarray, ...], current: tuple[np.ndarray, ...], expected: Expected | None, counts: np.ndarray
    ) -> tuple[Tracks, bool]:
        """Move the live features from one pyramid into the other; return those lost on the way, at their last good place, and whether half of the
        others have moved since the keyframe."""
        live, frontend, n = self._live, self._config.frontend, len(self._live.ids)
        uv, arrived, flow, status = np.empty((n, 2), np.int32), np.empty((n, 2), np.int32), np.empty((n, 2), np.int32), np.empty(n, np.uint8)
        fewest = math.ceil((frontend.hold_survivors if self._held else frontend.min_survivors) * n)
        has_moved = following.follow(
            previous, current, live.uv, live.rays, live.flow, *self._places(expected), self._rotation(self._R_CP), self._held + 1,
            live.key_rays, self._rotation(self._R_CK), self._parallax_sq, self._frames, fewest,
            frontend.pyramid_levels - 1, self._lens, self._klt_stored, self._judge(self._knows_CP), uv, arrived, flow, status, counts)
        survives = status == _TRACKED
        moved = replace(live, uv=uv, rays=arrived, flow=flow, status=status, age=live.age + survives, has_right=np.zeros(n, np.bool_))
        self._live, lost = moved.parted(survives)
        return lost.tracks(), has_moved

    def _places(self, expected: Expected | None) -> tuple[np.ndarray, np.ndarray]:
        """Rows (k,) of live features, and the raw rays (k, 2) on which they are expected after blind frames."""
        if expected is None:
            return _NOWHERE
        ids, xy = expected
        _, here, there = np.intersect1d(self._live.ids, ids, return_indices=True)
        return here, self._config.precision.ray.to_raw(xy[there]).astype(np.int32)

    def _keep(self, t_ns: int, counts: np.ndarray) -> None:
        """Put the current pyramid into the frame store: as it is, or coded."""
        self._held, self._kept_ns, self._R_CP, self._knows_CP = 0, t_ns, np.eye(3), True
        if self._store is None:
            self._current, self._previous = self._previous, self._current
        else:
            store.keep(self._current, self._store, self._words, self._previous, counts)

    def _judge(self, knows: bool) -> outliers.OutlierFormat:
        """What RANSAC goes by: where the rotation is a guess, no share of the features is enough to reject the others."""
        return self._outlier if knows else self._outlier._replace(min_share=_ALL_AND_MORE)

    def _rotation(self, R: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._config.precision.rotation.to_raw(R))

    def _is_keyframe(self, t_ns: int, has_moved: bool, counts: np.ndarray) -> bool:
        """First frame, too long since the last keyframe, too few of its features alive, or half of them moved too far."""
        frontend, alive = self._config.frontend, len(self._live.ids)
        if self._key_t_ns is None or t_ns - self._key_t_ns >= round(frontend.keyframe_max_interval * 1e9):
            return True
        if alive == 0:
            # a blind frame is no keyframe, for it would push good ones out of the window; the first one that sees is
            self._detect(counts)
            return len(self._live.ids) > 0
        return alive < frontend.keyframe_min_tracked * self._key_count or has_moved

    def _cast_anchors(self, features: Features, which: np.ndarray) -> None:
        """Take the present patches as anchors of the features that `which` (n,) bool names."""
        anchor.renew(self._current[0], features.uv, which, self._klt, features.anchors, features.inside)

    def _straighten(self, counts: np.ndarray) -> None:
        """Correct the drift of the tracks by their anchors, and renew those that do not fit any more."""
        live, frontend, precision = self._live, self._config.frontend, self._config.precision
        fits, uv = np.empty(len(live.ids), np.bool_), live.uv.copy()
        reach, limit = round(frontend.anchor_reach * 2**precision.position.frac_bits), round(frontend.anchor_max_residual * 2**precision.residual.frac_bits)
        anchor.straighten(self._current[0], live.anchors, live.inside, uv, reach, limit, self._klt, fits, counts)
        live.uv = uv
        rays.lookup(uv, self._lens.table, self._lens.fmt, live.rays, counts)
        self._cast_anchors(live, ~fits)

    def _make_keyframe(self, frame: StereoFrame, counts: np.ndarray) -> None:
        if self._config.frontend.anchor_reach > 0.0:
            self._straighten(counts)
        self._detect(counts)
        if self._rig is not None and frame.right is not None:
            self._match(frame.right, counts)
        live = self._live
        live.key_rays = live.rays.copy()
        self._key_t_ns, self._key_count, self._R_CK, self._knows_CK = frame.t_ns, len(live.ids), np.eye(3), True
        counts[Event.KEYFRAME] += 1

    def _detect(self, counts: np.ndarray) -> None:
        """Top the features up to `max_features`."""
        uv = detect_corners(self._current[0], self._live.uv, self._corner, self._workspace, counts)
        born = Features.new(np.arange(self.next_id, self.next_id + len(uv), dtype=np.int64), uv, anchor.side(self._klt))
        self._cast_anchors(born, np.ones(len(uv), np.bool_))
        rays.lookup(born.uv, self._lens.table, self._lens.fmt, born.rays, counts)
        rays.borrow_flow(born.rays, self._live.rays, self._live.flow, born.flow)
        self.next_id += len(uv)
        self._live = self._live.join(born)

    def _match(self, right: np.ndarray, counts: np.ndarray) -> None:
        """Match every live feature in the right picture and check the depths against those of the last keyframe."""
        live = self._live
        pyramid.build(right, self._right, self._pyramid, counts)
        live.uv_right, live.has_right, depth = np.empty_like(live.uv), np.empty(len(live.ids), np.bool_), np.empty(len(live.ids), np.int32)
        stereo.match(self._current, self._right, live.uv, live.rays, live.key_depth, self._rig, self._klt, self._outlier,
                     live.uv_right, live.has_right, depth, counts)
        known = np.flatnonzero((depth > 0) & (live.key_depth > 0))
        known = known[np.argsort(-depth[known], kind="stable")]  # near points first: they fix the translation best
        inlier = np.empty(len(known), np.bool_)
        outliers.reject_by_depth(live.key_rays[known], live.key_depth[known], live.rays[known], depth[known],
                                 self._rotation(self._R_CK), self._lens.fmt, self._judge(self._knows_CK), inlier, counts)
        # the track itself passed the direction test in every frame: only its depth is in doubt
        depth[known[~inlier]] = 0
        live.has_right[known[~inlier]] = False
        live.key_depth = depth

    def _observe(self, t_ns: int, live: Features) -> Observations:
        """Features as float rays, through the exact lens model: the one place where raw integers become float."""
        position = self._config.precision.position
        xy_left = self._calibration.left.unproject(position.to_float(live.uv))
        xy_right = np.zeros_like(xy_left)
        if live.has_right.any():
            xy_right[live.has_right] = self._calibration.right.unproject(position.to_float(live.uv_right[live.has_right]))
        return Observations(t_ns, live.ids.copy(), xy_left, xy_right, live.has_right.copy())
