"""One at a time: narrow each signal from generous widths until accuracy suffers, then check all the smallest together.

Each signal goes down in steps of four bits while the loss stays within the limit, then bit by bit from the last good width.
The loss of a trial is the geometric mean over all stretches of ATE / reference ATE, minus one.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vio.config import Config
from vio.errors import ConfigError, DataError
from vio.sweeps.fields import with_widths
from vio.sweeps.outcome import Outcome
from vio.sweeps.points import Entry, Point, Stretch, point
from vio.sweeps.sweep_file import Variant

_STRIDE = 4
COMBINATION = "all"  # the signal's name in the rows of the combination; `bits` is then the sum over all signals


@dataclass(frozen=True)
class Smallest:
    """What was found for a signal: its width at the start and the smallest one within the loss, and why it goes no lower."""

    signal: str
    wide_bits: int
    bits: int
    loss: float
    limit: str


@dataclass(frozen=True)
class _Trial:
    """A variant on all stretches. `good` is the smallest width known to do, `stride` the step that led here."""

    variant: Variant
    points: tuple[Point, ...]
    good: int = 0
    stride: int = _STRIDE
    margin: int = 0  # bits added to every signal, of a combination


class Search:
    """Hands out points, hears of outcomes, and knows what to run next. It runs nothing by itself."""

    def __init__(self, base: Config, signals: tuple[str, ...], places: tuple[Stretch, ...], max_loss: float) -> None:
        """`base` has the generous widths. Raises DataError if there is no ground truth to measure a loss against."""
        self._base, self._signals, self._max_loss = base, signals, max_loss
        self._places = tuple(place for place in places if not place.missing)
        if not self._places or not all(place.has_truth for place in self._places):
            raise DataError("one at a time: every sequence needs ground truth, or there is no accuracy to lose")
        self._known: dict[str, Outcome] = {}
        self._losses: dict[tuple[str, int], float] = {}
        self._walls: dict[tuple[str, int], str] = {}  # widths that do not do, and why
        self._reference = self._trial(Variant(base))
        self._trials: list[_Trial] = [self._reference]
        self._open: list[_Trial] = [self._reference]
        self.smallest: dict[str, Smallest] = {}
        self.combination: Config | None = None
        self.combination_loss = math.inf
        self.margin = 0

    def first(self) -> tuple[Point, ...]:
        """The points of the reference."""
        return self._reference.points

    def told(self, key: str, outcome: Outcome) -> list[Point]:
        """Take note of an outcome; returns the points that are to be run now because of it."""
        self._known[key] = outcome
        wanted: list[Point] = []
        while ready := [trial for trial in self._open if all(p.key in self._known for p in trial.points)]:
            for trial in ready:
                self._open.remove(trial)
                for new in self._after(trial):
                    self._trials.append(new)
                    self._open.append(new)
                    wanted.extend(p for p in new.points if p.key not in self._known)
        return wanted

    def entries(self) -> tuple[Entry, ...]:
        """Rows of everything that was tried, in an order that does not depend on who was quicker."""
        order = {name: i for i, name in enumerate(("", *self._signals, COMBINATION))}
        trials = sorted(self._trials, key=lambda trial: (order[trial.variant.signal], -(trial.variant.bits or 0)))
        return tuple(Entry(trial.variant, p.stretch, p) for trial in trials for p in trial.points)

    def _trial(self, variant: Variant, **more: int) -> _Trial:
        return _Trial(variant, tuple(point(variant.config, place) for place in self._places), **more)

    def _after(self, trial: _Trial) -> Iterable[_Trial]:
        """The trials that follow from a finished one."""
        if trial is self._reference:
            if any(self._known[p.key].ate_m in (None, 0.0) for p in trial.points):
                raise DataError(f"one at a time: the reference itself failed ({self._reason(trial) or 'no ATE'})")
            return [new for signal in self._signals for new in self._narrower(signal, self._width(signal), _STRIDE)]
        if trial.variant.signal == COMBINATION:
            return self._after_combination(trial)
        signal, bits = trial.variant.signal, trial.variant.bits
        self._losses[signal, bits] = loss = self._loss(trial)
        if loss <= self._max_loss:
            return self._narrower(signal, bits, trial.stride)
        self._walls[signal, bits] = f"{bits} bits: " + (self._reason(trial) or f"loss {100 * loss:.1f} %")
        return self._narrower(signal, trial.good, 1)

    def _narrower(self, signal: str, good: int, stride: int) -> list[_Trial]:
        """The next trial below a good width; where it is known not to do, the signal is settled."""
        bits = good - min(stride, good - 1)
        if bits == good:
            return self._settled(signal, good, "one bit is the least")
        if (signal, bits) not in self._walls:
            try:
                return [self._trial(Variant(with_widths(self._base, {signal: bits}), signal, bits), good=good, stride=good - bits)]
            except ConfigError as error:
                self._walls[signal, bits] = f"{bits} bits: {error}"
        return self._settled(signal, good, self._walls[signal, bits]) if good - bits == 1 else self._narrower(signal, good, 1)

    def _settled(self, signal: str, bits: int, why: str) -> list[_Trial]:
        """Note a signal's result; after the last one comes the combination."""
        self.smallest[signal] = Smallest(signal, self._width(signal), bits, self._losses.get((signal, bits), 0.0), why)
        return [self._combined(0)] if len(self.smallest) == len(self._signals) else []

    def _combined(self, margin: int) -> _Trial:
        """All signals at their smallest width plus `margin` bits, none wider than at the start."""
        widths = {name: min(found.bits + margin, found.wide_bits) for name, found in self.smallest.items()}
        config = with_widths(self._base, widths)
        total = sum(getattr(config.precision, signal).bits for signal in self._signals)
        return self._trial(Variant(config, COMBINATION, total), margin=margin)

    def _after_combination(self, trial: _Trial) -> list[_Trial]:
        """Losses add up: while they exceed the limit, every signal gets one bit more."""
        self.combination, self.combination_loss, self.margin = trial.variant.config, self._loss(trial), trial.margin
        if self.combination_loss <= self._max_loss or trial.variant.config == self._base:
            return []
        return [self._combined(trial.margin + 1)]

    def _loss(self, trial: _Trial) -> float:
        """Relative loss of accuracy; infinite if a point is not ok."""
        logs = []
        for mine, reference in zip(trial.points, self._reference.points):
            outcome = self._known[mine.key]
            if outcome.status != "ok" or outcome.ate_m is None:
                return math.inf
            logs.append(math.log(max(outcome.ate_m, 1e-12) / self._known[reference.key].ate_m))
        return math.exp(sum(logs) / len(logs)) - 1.0

    def _reason(self, trial: _Trial) -> str:
        """Why a trial is not ok, "" if it is."""
        outcomes = [self._known[p.key] for p in trial.points]
        return next((f"{o.status}, {o.reason}" for o in outcomes if o.status != "ok"), "")

    def _width(self, signal: str) -> int:
        return getattr(self._base.precision, signal).bits
