"""Runs the cases of a plan one after the other and keeps every verdict at once, so that nothing finished is lost or done again."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vio import config as configuration
from vio import runner
from vio.config import Config
from vio.errors import TinyvioError
from vio.io.faults.registry import damaged
from vio.io.progress import Progress
from vio.io.sequence import Sequence, open_sequence
from vio.stress.judge import Verdict, complaints, judged
from vio.stress.plan import Case, Flight, Limits, Plan
from vio.sweeps.outcome import Outcome, Store
from vio.sweeps.points import code_version, identity
from vio.sweeps.shelf import Shelf, budget_bytes

_SEED = 1  # of the faults that are random


@dataclass(frozen=True)
class Line:
    """A line of the table: what was run, what became of it, and in what it is worse than allowed (empty: in nothing)."""

    case: Case
    verdict: Verdict
    complaints: tuple[str, ...]


class Bench:
    """Flies the cases of a plan with one configuration. Verdicts are kept in `folder`; the same case of the same program is not run again."""

    def __init__(self, plan: Plan, config: Config, folder: Path, rendering: Progress | None = None) -> None:
        """Open every flight; built-in ones are rendered on first use, of which `rendering(done, total)` hears."""
        self._plan, self._config = plan, config
        self._store = Store(folder)
        self._shelf = Shelf(lambda name, mono: open_sequence(name, mono, rendering), budget_bytes())
        self._identities = {flight.name: self._identity(flight) for flight in dict.fromkeys(case.flight for case in plan.cases)}

    def _identity(self, flight: Flight) -> str:
        sequence = self._shelf.open(flight.name, False)
        return identity(sequence, 0, len(sequence.frame_t_ns))

    def run(self, stop: Callable[[], bool] = lambda: False, watch: Progress = lambda done, total: None) -> list[Line]:
        """Fly the cases in order; `watch(done, total)` hears of each, `stop()` true ends it after the one in work."""
        lines: list[Line] = []
        free: dict[str, float | None] = {}
        for done, case in enumerate(self._plan.cases):
            if stop():
                break
            verdict = self._verdict(case)
            if not case.fault:
                free[case.flight.name] = verdict.ate_m
            lines.append(Line(case, verdict, tuple(complaints(case, verdict, free.get(case.flight.name)))))
            watch(done + 1, len(self._plan.cases))
        return lines

    def _verdict(self, case: Case) -> Verdict:
        """From the store, or by flying; what is allowed plays no part in it."""
        flown = dataclasses.replace(case, end=min(case.end, 1e9), limits=Limits(seen=case.limits.seen))
        what = [dataclasses.asdict(flown), self._plan.seconds, self._identities[case.flight.name]]
        key = hashlib.sha256(json.dumps([*what, configuration.dumps(self._config), code_version()]).encode()).hexdigest()[:20]
        stored = self._store.load(key)
        if stored is not None:
            return Verdict(**stored.metrics)
        verdict = self._flown(case)
        self._store.save(key, Outcome("failed" if verdict.failure else "ok", verdict.failure, dataclasses.asdict(verdict)))
        return verdict

    def _flown(self, case: Case) -> Verdict:
        """Damage the flight on the fly and run it."""
        source = self._shelf.open(case.flight.name, case.mono)
        try:
            sequence = damaged(source, list(case.texts), _SEED).sequence() if case.texts else source
            options = runner.RunOptions(case.start, self._frames(sequence, case), threads=2, warm_up=False)
            result = runner.run(sequence, self._config, options)
        except TinyvioError as error:
            return Verdict(0.0, None, None, 0.0, 0.0, None, "", 0, 0, f"refused: {error}")
        last = int(result.frame_t_ns[-1]) if len(result.frame_t_ns) else int(source.frame_t_ns[0])
        return judged(case, result, source.ground_truth, int(source.frame_t_ns[0]), last)

    def _frames(self, sequence: Sequence, case: Case) -> int:
        """Frames of the part that is flown."""
        seconds = (sequence.frame_t_ns - sequence.frame_t_ns[0]) * 1e-9
        return max(int(np.sum((seconds >= case.start) & (seconds < self._plan.seconds))), 1)
