"""The beat of the cameras: stamps that scatter about an even beat are put back on it, where the pictures say so.

A camera that runs freely takes its pictures at equal intervals; what scatters is the stamp, by interrupts, drivers and buses. A line
through the last stamps, over their numbers, is where they belong: t_n = a + b n, with an end known to 2 / sqrt(n) of the scatter. That
alone might be wrong, for there are cameras whose pictures do come unevenly. So the pictures are asked: the inertial prediction for a
frame and the pose that it then shows differ by (v, w) s where it was taken s later than assumed, and for a stamp r after its place on the
line s = -r. Stamps are moved while s and -r of the last frames go together.
"""

from typing import Any, NamedTuple

import numpy as np

from vio.config import OnlineConfig
from vio.kernels import njit
from vio.lie import so3_log
from vio.types import NavState

_MEMORY, _LEAST = 200, 20  # stamps in the line at most, and frames from which on the pictures are asked
_SHORT = 6  # stamps whose intervals tell at once that they scatter
_WITNESSES = 40  # frames whose lateness is compared with their place
_USUAL_DEPTH = 8.0  # m, to weigh a shift against a turn by what they do to the picture; turns tell more, for they are known whatever the depth
_SLOWEST = 0.1  # rad/s of the picture below which a frame says nothing about time
_BEGIN, _END = 0.5, 0.3  # correlation from which on the pictures are believed, and below which they are no more
_RECENT = 31  # stamps whose median interval is the beat's
_OFF_BEAT = 0.4  # of an interval: a stamp further from the line begins another one


def lateness(predicted: tuple[np.ndarray, np.ndarray, np.ndarray], state: NavState, rate: np.ndarray) -> float | None:
    """Seconds after the instant of a prediction (R, p, v) at which a picture that gave `state` was taken; None for a rig too slow to tell.

    rate: (3,) rad/s, measured less bias.
    """
    R, p, _ = predicted
    v = state.v_WB / _USUAL_DEPTH
    speed_sq = float(v @ v + rate @ rate)
    if speed_sq < _SLOWEST**2:
        return None
    turn = so3_log(np.ascontiguousarray(R.T @ state.T_WB[:3, :3]))
    return float((state.T_WB[:3, 3] - p) @ v / _USUAL_DEPTH + turn @ rate) / speed_sq


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
        return -round(1e9 * _end_off(*self._with(t_ns))) if follows else 0

    def enter(self, t_ns: int, follows: bool) -> Place:
        """Take the next frame's stamp in; it is moved if `follows`."""
        self._t_ns, self._numbers = self._with(t_ns)
        after = _end_off(self._t_ns, self._numbers)
        return Place(-round(1e9 * after) if follows else 0, after, len(self._t_ns), self._scatters())

    def hear(self, place: Place, late: float | None) -> None:
        """A frame was taken so many seconds after where it was placed (see `lateness`); None where its picture did not tell."""
        if place.stamps == 1:
            self._places, self._later, self.follows = np.zeros(0), np.zeros(0), False
        if late is None or not np.isfinite(late) or place.stamps < _LEAST or not self._config.beat:
            return
        self._places = np.append(self._places, -place.after)[-_WITNESSES:]
        self._later = np.append(self._later, 1e-9 * place.moved_ns + late)[-_WITNESSES:]
        scatter, agreement = _compared(self._places, self._later)
        enough = len(self._places) >= _LEAST and scatter > self._config.beat_scatter
        self.follows = enough and bool(agreement > (_END if self.follows else _BEGIN))

    def _scatters(self) -> bool:
        """Whether the intervals between the last stamps are uneven by more than a scatter of `online.beat_scatter` would make them, by half as much again."""
        if len(self._t_ns) < _SHORT:
            return False
        steps = np.diff(self._t_ns[-_SHORT:]) / np.maximum(np.diff(self._numbers[-_SHORT:]), 1)
        off = steps - steps.sum() / len(steps)
        return float(off @ off) / len(steps) > (1.5e9 * np.sqrt(2.0) * self._config.beat_scatter) ** 2

    def _with(self, t_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Stamps and their numbers with one more; alone where it is off the beat."""
        t, n = self._t_ns[1 - _MEMORY :], self._numbers[1 - _MEMORY :]
        alone = np.array([t_ns], np.int64), np.zeros(1, np.int64)
        if len(t) == 0:
            return alone
        steps = np.sort(np.diff(t[-_RECENT:]) / np.diff(n[-_RECENT:]))
        interval = float(steps[len(steps) // 2]) if len(steps) else float(t_ns - t[-1])
        number = n[-1] + max(round((t_ns - int(t[-1]) + 1e9 * _end_off(t, n)) / interval), 1)
        both = np.append(t, t_ns), np.append(n, number)
        return both if abs(_end_off(*both)) * 1e9 < _OFF_BEAT * interval else alone

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
