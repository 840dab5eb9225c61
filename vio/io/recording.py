"""A recording as its sensors made it, each with its own clock readings; `sequence_of` makes of it what the engine runs on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from vio.calibration import Calibration
from vio.errors import CalibrationError, DataError
from vio.io.images import grey8
from vio.io.sequence import GroundTruth, Sequence
from vio.types import StereoFrame

_SAMPLED = 9  # pictures that are looked at to learn how many of their 16 bits are used
LARGEST_OFFSET = 1.0  # s between the clocks of camera and IMU; more is a mistake


@dataclass(frozen=True)
class ReadOptions:
    """What a user may say about a recording: the left camera alone; where its calibration is; topics of a bag by sensor
    ("cam0", "cam1", "imu0", "truth"); time offset in s in place of the calibrated one.
    """

    mono: bool = False
    calibration: Path | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    time_offset: float | None = None


@dataclass(frozen=True)
class Pictures:
    """One camera's pictures: t_ns (n,) int64 ascending on the camera's clock; `load(i)` decodes one as it was stored,
    (h, w) or (h, w, 3) BGR, uint8 or uint16, or raises DataError.
    """

    t_ns: np.ndarray
    load: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Recording:
    """All sensors of a recording. imu_t_ns (n,) int64 ascending; imu (n, 6) rad/s and m/s^2 in B; cameras: left, or left and right."""

    name: str
    calibration: Calibration
    imu_t_ns: np.ndarray
    imu: np.ndarray
    cameras: tuple[Pictures, ...]
    ground_truth: GroundTruth | None
    warnings: tuple[str, ...] = ()


def sequence_of(recording: Recording, time_offset: float | None = None) -> Sequence:
    """Pair left and right, put the frames on the IMU's clock, reduce the pictures to 8 bits.

    time_offset: s, t_imu = t_cam + offset, in place of the calibrated one. Raises DataError or CalibrationError if odometry cannot start.
    """
    calibration = recording.calibration
    if time_offset is not None:
        calibration = replace(calibration, time_offset=time_offset)
    if abs(calibration.time_offset) > LARGEST_OFFSET:
        raise CalibrationError(f"{recording.name}: a time offset of {calibration.time_offset:g} s between camera and IMU; it is given in seconds, allowed: +-1")
    _check_baseline(recording.name, calibration)
    pairs, faults = _paired(recording.cameras)
    # the only place where the clocks of camera and IMU meet
    frame_t_ns = recording.cameras[0].t_ns[pairs[:, 0]] + round(calibration.time_offset * 1e9)
    _check_overlap(recording.name, frame_t_ns, recording.imu_t_ns)
    shifts = tuple(_unused_bits(pictures) for pictures in recording.cameras)
    load = partial(_load, recording.cameras, shifts, frame_t_ns, pairs)
    _check_size(load)
    w_B, a_B = recording.imu[:, :3].copy(), recording.imu[:, 3:].copy()
    return Sequence(recording.name, calibration, recording.imu_t_ns, w_B, a_B, frame_t_ns, load, recording.ground_truth, recording.warnings + faults)


def nearest(t_ns: np.ndarray, wanted_ns: np.ndarray) -> np.ndarray:
    """Index (m,) into ascending `t_ns` (n,) of the stamp nearest to each wanted one (m,); ties go to the earlier."""
    after = np.clip(np.searchsorted(t_ns, wanted_ns), 1, max(len(t_ns) - 1, 1))
    before = after - 1
    if len(t_ns) == 1:
        return np.zeros(len(wanted_ns), np.int64)
    return np.where(wanted_ns - t_ns[before] <= t_ns[after] - wanted_ns, before, after)


def _check_baseline(name: str, calibration: Calibration) -> None:
    """Stereo needs two cameras at different places that look the same way."""
    if calibration.right is None:
        return
    baseline = float(np.linalg.norm(calibration.T_CR[:3, 3]))
    if not 1e-3 <= baseline <= 10.0:
        raise CalibrationError(f"{name}: the cameras stand {baseline:.4g} m apart by the extrinsics of cam0 and cam1; allowed: 0.001 to 10 m")
    if calibration.T_CR[2, 2] < 0.5:
        raise CalibrationError(f"{name}: the cameras look more than 60 degrees apart by the extrinsics of cam0 and cam1; use --mono")


def _paired(cameras: tuple[Pictures, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Indices (n, cameras) of pictures that are each other's nearest within half a frame period; the rest is reported."""
    left = cameras[0].t_ns
    if len(cameras) == 1:
        return np.arange(len(left))[:, None], ()
    right = cameras[1].t_ns
    period = int(np.median(np.diff(left))) if len(left) > 1 else 100_000_000
    partner = nearest(right, left)
    mutual = nearest(left, right)[partner] == np.arange(len(left))
    pair = mutual & (np.abs(right[partner] - left) <= period // 2)
    if not pair.any():
        raise DataError(f"cam0 and cam1: no two images lie within half a frame period ({period / 2e6:.1f} ms); is their clock the same?")
    pairs = np.column_stack([np.flatnonzero(pair), partner[pair]])
    lost = len(left) - len(pairs), len(right) - len(pairs)
    if not any(lost):
        return pairs, ()
    return pairs, (f"dropped {lost[0]} left and {lost[1]} right images without a partner within {period / 2e6:.1f} ms",)


def _check_overlap(name: str, frame_t_ns: np.ndarray, imu_t_ns: np.ndarray) -> None:
    """Refuse recordings whose cameras and IMU never ran at the same time."""
    if frame_t_ns[-1] < imu_t_ns[0] or frame_t_ns[0] > imu_t_ns[-1]:
        raise DataError(
            f"{name}: the images ({frame_t_ns[0]} to {frame_t_ns[-1]} ns) and the IMU ({imu_t_ns[0]} to {imu_t_ns[-1]} ns) have no time in common"
        )


def _unused_bits(pictures: Pictures) -> int:
    """Low bits to drop from 16-bit samples: 8, or fewer where the sensor's 10 or 12 bits stand in the low end of the word.

    One shift serves a whole recording, for a brightness that jumps from frame to frame would break the tracks.
    """
    largest = 0
    for index in np.unique(np.linspace(0, len(pictures.t_ns) - 1, _SAMPLED).astype(int)):
        try:
            picture = pictures.load(int(index))
        except DataError:
            continue  # the run reports it
        if picture.dtype == np.uint8:
            return 0
        largest = max(largest, int(picture.max()))
    return next((bits - 8 for bits in (8, 10, 12) if 0 < largest < 1 << bits), 8)


def _load(cameras: tuple[Pictures, ...], shifts: tuple[int, ...], frame_t_ns: np.ndarray, pairs: np.ndarray, index: int) -> StereoFrame:
    """Decode one frame, stamped by its left picture."""
    pictures = [grey8(camera.load(int(which)), shift) for camera, shift, which in zip(cameras, shifts, pairs[index])]
    return StereoFrame(int(frame_t_ns[index]), pictures[0], pictures[1] if len(pictures) > 1 else None)


def _check_size(load: Callable[[int], StereoFrame]) -> None:
    """Refuse images that are not of the calibrated size; other faults of the first frame are the run's to report."""
    try:
        load(0)
    except CalibrationError:
        raise
    except DataError:
        pass
