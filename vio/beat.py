"""The beat of the cameras: stamps that scatter about an even beat are put back on it, where the pictures say so.

A camera that runs freely takes its pictures at equal intervals; what scatters is the stamp, by interrupts, drivers and buses. A line
through the last stamps, over their numbers, is where they belong: t_n = a + b n, with an end known to 2 / sqrt(n) of the scatter. That
alone might be wrong, for there are cameras whose pictures do come unevenly. So the pictures are asked: the inertial prediction for a
frame and the pose that it then shows differ by (v, w) s where it was taken s later than assumed, and for a stamp r after its place on the
line s = -r. Stamps are moved while s and -r of the last frames go together.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from vio.config import OnlineConfig
from vio.kernels import njit
from vio.lie import matmul_t, so3_log

_MEMORY, _LEAST = 200, 20  # stamps in the line at most, and frames from which on the pictures are asked
_SHORT = 6  # stamps whose intervals tell at once that they scatter
_WITNESSES = 40  # frames whose lateness is compared with their place
_USUAL_DEPTH = 8.0  # m, to weigh a shift against a turn by what they do to the picture; turns tell more, for they are known whatever the depth
_SLOWEST = 0.1  # rad/s of the picture below which a frame says nothing about time
_BEGIN, _END = 0.5, 0.3  # correlation from which on the pictures are believed, and below which they are no more
_RECENT = 31  # stamps whose median interval is the beat's
_OFF_BEAT = 0.4  # of an interval: a stamp further from the line begins another one


@njit
def lateness(R, p, T_WB, v_WB, rate):
    """Seconds after the instant of a prediction R (3, 3), p (3,) at which a picture that gave T_WB (4, 4), v_WB (3,) was taken; NaN for a rig
    too slow to tell. rate: (3,) rad/s, measured less bias."""
    turn, square, product = so3_log(matmul_t(R, T_WB[:3, :3])), 0.0, 0.0
    for k in range(3):
        v = v_WB[k] / _USUAL_DEPTH
        square += v * v + rate[k] * rate[k]
        product += (T_WB[k, 3] - p[k]) * v / _USUAL_DEPTH + turn[k] * rate[k]
    return product / square if square >= _SLOWEST**2 else np.nan


class Place(NamedTuple):
    """Where a frame's stamp lies: moved_ns, what was added to it; after, s after its place on the line; of how many stamps that is; whether
    the last stamps scatter."""

    moved_ns: int
    after: float
    stamps: int
    scatters: bool


class Beat:
    """The line through the last stamps: `enter` each. And the verdict of the pictures: `hear` each; `follows` says whether stamps are to be moved.

    The two halves share nothing, for a stamp is entered while the picture before it is still looked at.
    """

    def __init__(self, config: OnlineConfig) -> None:
        """No stamp yet."""
        self._config = config
        self._t_ns, self._numbers = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._places, self._later = np.zeros(0), np.zeros(0)  # s: of the last frames, -r and s of the module's docstring, s against the stamp
        self.follows = False

    def shift_ns(self, t_ns: int, follows: bool) -> int:
        """What is to be added to the stamp of the next frame, ns, if stamps are moved; a question that changes nothing."""
        return -round(1e9 * _entered(self._t_ns, self._numbers, t_ns)[2]) if follows else 0

    def enter(self, t_ns: int, follows: bool) -> Place:
        """Take the next frame's stamp in; it is moved if `follows`."""
        self._t_ns, self._numbers, after = _entered(self._t_ns, self._numbers, t_ns)
        return Place(-round(1e9 * after) if follows else 0, after, len(self._t_ns), self._scatters())

    def asks(self, place: Place) -> bool:
        """Whether a frame so placed can tell anything about the beat."""
        return self._config.beat and place.stamps >= _LEAST

    def hear(self, place: Place, late: float) -> None:
        """A frame was taken so many seconds after where it was placed (see `lateness`); NaN where its picture did not tell."""
        if place.stamps == 1:
            self._places, self._later, self.follows = np.zeros(0), np.zeros(0), False
        if not math.isfinite(late) or not self.asks(place):
            return
        self._places = np.concatenate([self._places[1 - _WITNESSES :], [-place.after]])
        self._later = np.concatenate([self._later[1 - _WITNESSES :], [1e-9 * place.moved_ns + late]])
        scatter, agreement = _compared(self._places, self._later)
        enough = len(self._places) >= _LEAST and scatter > self._config.beat_scatter
        self.follows = enough and bool(agreement > (_END if self.follows else _BEGIN))

    def _scatters(self) -> bool:
        """Whether the intervals between the last stamps are uneven by more than a scatter of `online.beat_scatter` would make them, by half as much again."""
        return _unevenness(self._t_ns, self._numbers) > (1.5e9 * math.sqrt(2.0) * self._config.beat_scatter) ** 2

    def prototypes(self) -> dict[str, Any]:
        """What `vio.saved` is to keep."""
        stamps, seconds = dict.fromkeys(("_t_ns", "_numbers"), np.zeros(0, np.int64)), dict.fromkeys(("_places", "_later"), np.zeros(0))
        return {**stamps, **seconds, "follows": False}


@njit
def _end_off(t_ns, numbers):
    """Seconds by which the last of stamps (n,) lies after its place on the least-squares line over their numbers (n,); nothing for less than three."""
    n = t_ns.shape[0]
    if n < 3:
        return 0.0
    mean_t, mean_n, product, square = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        mean_t += (t_ns[i] - t_ns[n - 1]) * 1e-9 / n
        mean_n += float(numbers[i] - numbers[n - 1]) / n
    for i in range(n):
        arm = float(numbers[i] - numbers[n - 1]) - mean_n
        product += arm * (t_ns[i] - t_ns[n - 1]) * 1e-9
        square += arm * arm
    return product / square * mean_n - mean_t


@njit
def _interval(t_ns, numbers):
    """Median interval (ns) of the last stamps (n,) with their numbers (n,), two at least."""
    first = max(t_ns.shape[0] - _RECENT, 0)
    steps = np.empty(t_ns.shape[0] - 1 - first)
    for i in range(steps.shape[0]):
        step, k = (t_ns[first + i + 1] - t_ns[first + i]) / (numbers[first + i + 1] - numbers[first + i]), i
        while k > 0 and steps[k - 1] > step:
            steps[k] = steps[k - 1]
            k -= 1
        steps[k] = step
    return steps[steps.shape[0] // 2]


@njit
def _entered(t_ns, numbers, stamp):
    """Stamps (n,) and their numbers (n,) with one more, and the seconds by which that lies after its place; alone where it is off the beat."""
    n = min(t_ns.shape[0], _MEMORY - 1)
    alone, zero = np.full(1, stamp), np.zeros(1, np.int64)
    if n == 0:
        return alone, zero, 0.0
    t, at = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    t[:n], at[:n], t[n] = t_ns[-n:], numbers[-n:], stamp
    interval = _interval(t[:n], at[:n]) if n > 1 else float(stamp - t[0])
    at[n] = at[n - 1] + max(round((stamp - t[n - 1] + 1e9 * _end_off(t[:n], at[:n])) / interval), 1)
    after = _end_off(t, at)
    return (t, at, after) if abs(after) * 1e9 < _OFF_BEAT * interval else (alone, zero, 0.0)


@njit
def _unevenness(t_ns, numbers):
    """Variance (ns^2) of the intervals between the last stamps (n,) with their numbers (n,); 0 where they are too few."""
    first, intervals, mean, var = t_ns.shape[0] - _SHORT, np.empty(_SHORT - 1), 0.0, 0.0
    if first < 0:
        return 0.0
    for i in range(_SHORT - 1):
        intervals[i] = (t_ns[first + i + 1] - t_ns[first + i]) / max(numbers[first + i + 1] - numbers[first + i], 1)
        mean += intervals[i] / intervals.shape[0]
    for i in range(_SHORT - 1):
        var += (intervals[i] - mean) ** 2 / intervals.shape[0]
    return var


@njit
def _compared(places, later):
    """Standard deviation of places (n,), and how far they and `later` (n,) go together: the cosine between the two."""
    n, mean, var, dot, a, b = places.shape[0], 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        mean += places[i] / n
    for i in range(n):
        var += (places[i] - mean) ** 2 / n
        dot += places[i] * later[i]
        a += places[i] * places[i]
        b += later[i] * later[i]
    return np.sqrt(var), dot / max(np.sqrt(a * b), 1e-12)
