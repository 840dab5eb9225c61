"""Operations and accesses of every event: the work table."""

from collections.abc import Callable, Mapping
from functools import lru_cache

from hwmodel.operations import Work
from hwmodel.work import estimator, pictures, rays, tracking
from vio.config import Config
from vio.events import Event

_TABLE: dict[Event, tuple[str, Callable[[Config], Work]]] = {
    Event.PYRAMID_PIXEL: ("pyramid", pictures.pyramid_pixel),
    Event.CORNER_PIXEL: ("detector", pictures.corner_pixel),
    Event.FEATURE_DETECTED: ("detector", pictures.feature_detected),
    Event.BLOCK_ENCODED: ("frame store", pictures.block_encoded),
    Event.BLOCK_DECODED: ("frame store", pictures.block_decoded),
    Event.KLT_TEMPLATE: ("tracker", tracking.klt_template),
    Event.KLT_ITERATION: ("tracker", tracking.klt_iteration),
    Event.FEATURE_TRACKED: ("tracker", tracking.feature_tracked),
    Event.STEREO_CANDIDATE: ("stereo", tracking.stereo_candidate),
    Event.STEREO_MATCHED: ("stereo", tracking.stereo_matched),
    Event.RAY_LOOKUP: ("rays", rays.ray_lookup),
    Event.RAY_ROTATION: ("rays", rays.ray_rotation),
    Event.RAY_PROJECTION: ("rays", rays.ray_projection),
    Event.RANSAC_HYPOTHESIS: ("outliers", rays.ransac_hypothesis),
    Event.RANSAC_TEST: ("outliers", rays.ransac_test),
    Event.DEPTH_HYPOTHESIS: ("outliers", rays.depth_hypothesis),
    Event.DEPTH_TEST: ("outliers", rays.depth_test),
    Event.IMU_SAMPLE: ("inertial", estimator.imu_sample),
    Event.FRAME_RESIDUAL: ("refinement", estimator.frame_residual),
    Event.REPROJECTION: ("landmark elimination", estimator.reprojection),
    Event.LANDMARK_ELIMINATED: ("landmark elimination", estimator.landmark_eliminated),
    Event.SCHUR_ROW: ("landmark elimination", estimator.schur_row),
    Event.SCHUR_BLOCK: ("landmark elimination", estimator.schur_block),
    Event.IMU_FACTOR: ("solver", estimator.imu_factor),
    Event.CHOLESKY_COLUMN: ("solver", estimator.cholesky_column),
    Event.CHOLESKY_SOLVE: ("solver", estimator.cholesky_solve),
    Event.CHOLESKY_BLOCK: ("solver", estimator.cholesky_block),
    Event.SUBSTITUTION_BLOCK: ("solver", estimator.substitution_block),
    Event.GAUSS_NEWTON_ITERATION: ("solver", estimator.gauss_newton_iteration),
    Event.MARGINALIZATION: ("marginalisation", estimator.marginalization),
}
_FREE = {Event.KEYFRAME}  # a mark, no work of its own

MODULES = tuple(dict.fromkeys(module for module, _ in _TABLE.values()))


def module_of(event: Event) -> str:
    """Module that does the work of an event."""
    return _TABLE[event][0] if event in _TABLE else "tracker"


@lru_cache(maxsize=16)
def work_per_event(config: Config) -> Mapping[Event, Work]:
    """Operations and accesses that one unit of each event costs, to read alone; accesses are in words of the memory map's buffers."""
    return {event: _TABLE[event][1](config) if event not in _FREE else Work() for event in Event}
