"""`map.npz` of a run folder: every landmark once, where it was last believed to be, and the left camera that saw it."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera
from vio.errors import DataError
from vio.io.npz import read_arrays
from vio.io.writers import write_atomic
from vio.odometry import Odometry
from vio.types import FrameOutput, Landmarks, StereoFrame

NAME = "map.npz"
_COMPACT_ROWS = 20_000


@dataclass(frozen=True)
class LandmarkMap:
    """Landmarks of a whole run. ids (n,) int64; p_WL (n, 3) m; first, last (n,) int64: frames (of those given to the engine) of the
    keyframes between which each was in the window; observations (n,): keyframes that saw it, when it left.

    rig: the left camera without its distortion, for drawing alone.
    """

    ids: np.ndarray
    p_WL: np.ndarray
    first: np.ndarray
    last: np.ndarray
    observations: np.ndarray
    rig: Calibration


class MapHistory:
    """Collects the map of a run: `observe` belongs to the run loop. Memory grows with the landmarks, not with the frames."""

    def __init__(self, rig: Calibration) -> None:
        self._rig, self._frame = rig, 0
        self._keyframes: dict[int, int] = {}  # frames by the stamp of those not solved yet
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._rows = 0

    def observe(self, engine: Odometry, frame: StereoFrame, output: FrameOutput) -> None:
        """Take the landmarks of a keyframe that has been solved."""
        if output.is_keyframe and output.state is not None:
            self._keyframes[output.t_ns] = self._frame
        if output.solved_t_ns in self._keyframes:
            found = engine.landmarks()
            now = np.full(len(found.ids), self._keyframes.pop(output.solved_t_ns))
            self._parts.append((found.ids, found.p_WL, now, now, found.observations))
            self._rows += len(now)
            if self._rows > _COMPACT_ROWS:
                self._compact()
        self._frame += 1

    def _compact(self) -> None:
        """One row a landmark: the last word on it, and when it was first in the window."""
        if not self._parts:
            return
        ids, p_WL, first, last, observations = (np.concatenate(column) for column in zip(*self._parts))
        known, begins = np.unique(ids, return_index=True)
        ends = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]
        self._parts = [(known, p_WL[ends], first[begins], last[ends], observations[ends])]
        self._rows = min(len(known), _COMPACT_ROWS // 2)

    def write(self, folder: Path) -> None:
        """Write map.npz; without a single keyframe there is none."""
        self._compact()
        if not self._parts:
            (folder / NAME).unlink(missing_ok=True)  # of an earlier run
            return
        ids, p_WL, first, last, observations = self._parts[0]
        camera, data = self._rig.left, io.BytesIO()
        np.savez_compressed(
            data, ids=ids, p_WL=p_WL.astype(np.float32), first=first.astype(np.int32), last=last.astype(np.int32), observations=observations.astype(np.int32),
            T_BC=self._rig.T_BC, camera=np.array([camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]))
        write_atomic(folder / NAME, data.getvalue())


def read_map(folder: Path) -> LandmarkMap:
    """Raises DataError where map.npz is missing or damaged."""
    path = folder / NAME
    if not path.is_file():
        raise DataError(f"{folder}: incomplete, {NAME} is missing; run `tinyvio run` again")
    a = read_arrays(path)
    try:
        width, height, *pinhole = a["camera"].tolist()
        camera = Camera(int(width), int(height), *pinhole)
        rig = Calibration(camera, a["T_BC"], ImuNoise(0.0, 0.0, 0.0, 0.0))
        first, last, observations = (a[name].astype(np.int64) for name in ("first", "last", "observations"))
        return LandmarkMap(a["ids"], a["p_WL"].astype(np.float64), first, last, observations, rig)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); run `tinyvio run` again") from None


def landmarks_at(found: LandmarkMap, frame: int, keyframes: np.ndarray) -> Landmarks:
    """Those in the window at a keyframe, where they ended up; how many keyframes had seen each by then follows from the keyframes' frames (k,)."""
    here = np.flatnonzero((found.first <= frame) & (frame <= found.last))
    seen = np.searchsorted(keyframes, frame, "right") - np.searchsorted(keyframes, found.first[here])
    return Landmarks(found.ids[here], found.p_WL[here], np.minimum(seen, found.observations[here]))
