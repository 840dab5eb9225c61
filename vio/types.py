"""The records that cross a hop of the data flow. Imports nothing above itself.

Frames: W world (z up), B body = IMU, C left camera, R right camera. `T_WB` maps B to W. Quaternions are wxyz.
Tangent order of a state: (dp, dtheta, dv, db_g, db_a), perturbation on the right: R <- R exp(dtheta), p <- p + dp (in W).
"""

from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum

import numpy as np


@dataclass(frozen=True)
class ImuSample:
    """One inertial sample. `w_B` (3,) rad/s and `a_B` (3,) m/s^2 (specific force), measured in B; `t_ns` int nanoseconds."""

    t_ns: int
    w_B: np.ndarray
    a_B: np.ndarray


@dataclass(frozen=True)
class StereoFrame:
    """One picture pair. `left`, `right` are (height, width) uint8, C-contiguous; `right` is None in mono."""

    t_ns: int
    left: np.ndarray
    right: np.ndarray | None


class TrackStatus(IntEnum):
    """What became of a feature in this frame: the first two live on, the rest are reasons of loss."""

    TRACKED = 0
    NEW = 1
    OUT_OF_IMAGE = 2
    FLAT = 3  # the Hessian of the template is (nearly) singular
    NOT_CONVERGED = 4
    RESIDUAL = 5  # the patch does not look like the template any more
    OUTLIER = 6  # contradicts the motion of the others (RANSAC)
    GATED = 7  # rejected by the back end's reprojection gate


@dataclass(frozen=True)
class Tracks:
    """Every feature the front end touched in a frame, as raw integers.

    ids: (n,) int64, never reused. uv_raw: (n, 2) int32, (column, row) in `precision.position` format.
    status: (n,) uint8 of `TrackStatus`. age: (n,) int32, frames since detection.
    uv_right_raw: (n, 2) int32, valid where `has_right` (n,) bool (keyframes only).
    """

    ids: np.ndarray
    uv_raw: np.ndarray
    status: np.ndarray
    age: np.ndarray
    uv_right_raw: np.ndarray
    has_right: np.ndarray


@dataclass(frozen=True)
class Observations:
    """Live features of a frame as undistorted normalised image points: where raw integers become float.

    ids: (n,) int64. xy_left: (n, 2) float64, the ray in C is (x, y, 1). xy_right: (n, 2), ray in R, valid where `has_right`.
    """

    t_ns: int
    ids: np.ndarray
    xy_left: np.ndarray
    xy_right: np.ndarray
    has_right: np.ndarray


@dataclass(frozen=True)
class FrontEndOutput:
    """What `FrontEnd.process` returns; `is_keyframe` says whether `observations` is to enter the window as a keyframe.

    notes: words for the health report about the picture itself (`blind`, `exposure_jump`).
    """

    tracks: Tracks
    observations: Observations
    is_keyframe: bool
    notes: tuple[str, ...] = ()

    def without(self, ids: np.ndarray) -> "FrontEndOutput":
        """The same with the observations of these features left out."""
        o = self.observations
        kept = (o.ids[:, None] != ids).all(axis=1)
        if kept.all():
            return self
        return replace(self, observations=Observations(o.t_ns, o.ids[kept], o.xy_left[kept], o.xy_right[kept], o.has_right[kept]))


@dataclass(frozen=True)
class NavState:
    """Navigation state at `t_ns`: `T_WB` (4, 4), `v_WB` (3,) m/s in W, `b_g` (3,) rad/s, `b_a` (3,) m/s^2.

    covariance: (15, 15) in the tangent order of the module docstring.
    """

    t_ns: int
    T_WB: np.ndarray
    v_WB: np.ndarray
    b_g: np.ndarray
    b_a: np.ndarray
    covariance: np.ndarray


class HealthState(Enum):
    """Overall verdict on one frame; `vio.health` says which comes when."""

    INITIALISING = "initialising"
    GOOD = "good"
    DEGRADED = "degraded"
    LOST = "lost"
    RECOVERING = "recovering"


@dataclass(frozen=True)
class Health:
    """Verdict and its causes. `reasons` is a tuple of short words (`few_tracks`, `imu_gap`, ...), empty when good.

    tracked: landmarks that took part. blind: s for which the state has been propagated from the IMU alone. repairs, restarts: since
    the start, how often a number that made no sense was replaced, and how often the window was opened anew in place.
    """

    state: HealthState
    reasons: tuple[str, ...] = ()
    tracked: int = 0
    initialised_by: str = ""
    blind: float = 0.0
    repairs: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of the window: ids (n,), p_WL (n, 3) m in W, observations (n,) how many keyframes saw each."""

    ids: np.ndarray
    p_WL: np.ndarray
    observations: np.ndarray


@dataclass(frozen=True)
class FrameOutput:
    """Everything the engine says about one frame. `state` is None until initialised; `counts` is indexed by `Event`.

    A keyframe is solved while the next frame is tracked: solved_t_ns is the stamp of the keyframe whose solution came in with this frame,
    None if none did; what the solution cost is in the counts and stages of that frame.
    """

    t_ns: int
    state: NavState | None
    tracks: Tracks
    counts: np.ndarray
    health: Health
    is_keyframe: bool
    stage_ns: dict[str, int] = field(default_factory=dict)
    solved_t_ns: int | None = None
