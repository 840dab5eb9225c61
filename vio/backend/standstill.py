"""Is the rig at rest? Both must say so: the picture has not moved for a while, and neither gyro nor accelerometer trembles.

A slow glide leaves the samples as quiet as rest does, and a picture of far things hides a slow motion: what the picture lets pass in half a
second (`rest.max_shift` over the focal length times the depth) is the sigma with which the velocity is called zero.
"""

from typing import Any, NamedTuple

import numpy as np

from vio.backend.rest import Rest
from vio.config import Config
from vio.kernels import njit
from vio.saved import Maybe

_OUTLYING = 3.0  # displacements further than so many times the median from it belong to things that move on their own
_FRAMES = 8  # kept for comparison per span


class Features(NamedTuple):
    """Rows of features: stamps t_ns (k,) of their frames, ids (k,) int64, places xy (k, 2) in px about the principal point."""

    t_ns: np.ndarray
    ids: np.ndarray
    xy: np.ndarray

    def where(self, mask: np.ndarray) -> "Features":
        """The rows that a mask names."""
        return Features(self.t_ns[mask], self.ids[mask], self.xy[mask])


class _Samples(NamedTuple):
    """t_ns (n,), w_B (n, 3) rad/s, a_B (n, 3) m/s^2."""

    t_ns: np.ndarray
    w_B: np.ndarray
    a_B: np.ndarray


_NO_FEATURES = Features(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
_NO_SAMPLES = _Samples(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))


def shift_between(before: Features, now: Features, least: int) -> float:
    """How far the picture has moved between two frames, px: the larger of its translation, and of its growth and roll at its edge.

    inf if fewer than `least` features are in both.
    """
    _, then, after = np.intersect1d(before.ids, now.ids, assume_unique=True, return_indices=True)
    if len(then) < max(least, 3):
        return float("inf")
    at, moved = before.xy[then], now.xy[after] - before.xy[then]
    common = np.median(moved, axis=0)
    apart = np.abs(moved - common).max(axis=1)
    kept = apart <= _OUTLYING * max(float(np.median(apart)), 1e-6)
    arm, rest = at[kept] - at[kept].mean(axis=0), moved[kept] - moved[kept].mean(axis=0)
    spread = max(float((arm**2).sum()), 1e-9)
    growth, roll = (arm * rest).sum() / spread, (arm[:, 0] * rest[:, 1] - arm[:, 1] * rest[:, 0]).sum() / spread
    return float(max(np.hypot(*common), np.hypot(growth, roll) * np.abs(at).max()))


class Standstill:
    """Watches pictures and samples. `feed` the samples up to a frame, then `see` its features; `at_rest` is the verdict."""

    def __init__(self, config: Config, focal: float, is_mono: bool = False) -> None:
        """focal: px, brings normalised image points to pixels. is_mono: see `config.mono.trembling`."""
        self._config, self._focal = config.rest, focal
        times = config.mono.trembling if is_mono else 1.0
        self._still_gyro, self._still_accel = times * config.initial.still_gyro, times * config.initial.still_accel
        self._span_ns = round(config.rest.span * 1e9)
        self._samples = _NO_SAMPLES  # of the last span
        self._seen = _NO_FEATURES  # of a few frames of a little more than the last span
        self._now = _NO_FEATURES
        self._anchor: Features | None = None
        self._averaged_ns = 0
        self.at_rest = False
        self.rest = Rest(0.0, np.zeros(3), np.zeros(3))  # this one so far, or the last one

    @property
    def current(self) -> Rest | None:
        """The rest so far, None in motion."""
        return self.rest if self.at_rest else None

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        features = {"_seen": _NO_FEATURES, "_now": _NO_FEATURES, "_anchor": Maybe(_NO_FEATURES), "_samples": _NO_SAMPLES}
        return features | {"_averaged_ns": 0, "at_rest": False, "rest": Rest(0.0, np.zeros(3), np.zeros(3))}

    def feed(self, t_ns: np.ndarray, w_B: np.ndarray, a_B: np.ndarray, until_ns: int) -> None:
        """Add samples (n,), (n, 3), (n, 3) in order of time; those already fed or after until_ns are passed over."""
        if not self._config.enabled:
            return
        first = int(t_ns.searchsorted(self._samples.t_ns[-1], "right")) if len(self._samples.t_ns) else 0
        part = slice(first, int(t_ns.searchsorted(until_ns, "right")))
        new = _Samples(t_ns[part], w_B[part], a_B[part])
        self._samples = _Samples(*map(np.concatenate, zip(self._samples, new)))
        if self.at_rest and len(new.t_ns):
            self._average(new, (int(new.t_ns[-1]) - self._averaged_ns) * 1e-9)

    def see(self, t_ns: int, ids: np.ndarray, xy: np.ndarray) -> bool:
        """Judge by the features of the frame at t_ns: ids (n,), normalised image points xy (n, 2). Returns and keeps the verdict."""
        if not self._config.enabled:
            return False
        begin = t_ns - self._span_ns
        self._now = Features(np.full(len(ids), t_ns), ids, self._focal * xy)
        t, w, a = self._samples
        kept = int(t.searchsorted(begin))
        self._samples = _Samples(t[kept:], w[kept:], a[kept:])
        still = self._quiet() and self._shifted(begin) <= self._config.max_shift
        if still and not self.at_rest:
            self.rest = Rest(0.0, np.zeros(3), np.zeros(3))
            self._average(self._samples, self._config.span)
        self.at_rest = still
        self._keep(t_ns)
        return still

    def drop_anchor(self) -> None:
        """The frame just seen, a keyframe, becomes the one that `holds` compares with."""
        self._anchor = self._now if self._config.enabled else None

    def stays(self) -> bool:
        """Whether the picture is still the anchor's, at rest or not."""
        return self._anchor is not None and shift_between(self._anchor, self._now, self._config.min_tracks) <= self._config.max_drift

    def holds(self) -> bool:
        """Whether the rig rests where it did at the anchor."""
        return self.at_rest and self.stays()

    def _shifted(self, begin: int) -> float:
        """How far the picture has moved since the newest kept frame not later than `begin`."""
        early = self._seen.t_ns[self._seen.t_ns <= begin]
        if len(early) == 0:
            return float("inf")
        return shift_between(self._seen.where(self._seen.t_ns == early[-1]), self._now, self._config.min_tracks)

    def _keep(self, t_ns: int) -> None:
        """Keep the frame for later ones to compare with, unless one as good as it is kept; forget those too old."""
        step = self._span_ns // _FRAMES
        if len(self._seen.t_ns) and t_ns - int(self._seen.t_ns[-1]) < step:
            return
        first = int(self._seen.t_ns.searchsorted(t_ns - self._span_ns - 2 * step, "right"))
        self._seen = Features(*(np.concatenate((old[first:], now)) for old, now in zip(self._seen, self._now)))

    def _quiet(self) -> bool:
        """Whether the samples of the span tremble no more than at rest, and none is missing."""
        t, w, a = self._samples
        enough = len(t) >= 10 and int(t[-1] - t[0]) >= 0.9 * self._span_ns
        return bool(enough and _tremble(w) < self._still_gyro and _tremble(a) < self._still_accel)

    def _average(self, new: _Samples, dt: float) -> None:
        """Let samples that cover dt seconds into the means, which look back `memory` seconds."""
        self._averaged_ns = int(new.t_ns[-1])
        seconds = min(self.rest.seconds + dt, self._config.memory)
        share = min(dt / max(seconds, 1e-9), 1.0)
        pairs = ((self.rest.w_B, new.w_B), (self.rest.a_B, new.a_B))
        self.rest = Rest(seconds, *(old + share * (now.mean(axis=0) - old) for old, now in pairs))


@njit
def _tremble(samples):
    """The largest standard deviation of the columns of samples (n, 3)."""
    n, largest = samples.shape[0], 0.0
    for j in range(3):
        mean, var = 0.0, 0.0
        for i in range(n):
            mean += samples[i, j] / n
        for i in range(n):
            var += (samples[i, j] - mean) ** 2 / n
        largest = max(largest, var)
    return np.sqrt(largest)
