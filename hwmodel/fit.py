"""Does a design fit a budget, and if not, which switches would bring it under."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.memory import memory_map, total_kilobytes
from hwmodel.published import at_rate
from hwmodel.technology import Technology, load_technology
from vio.config import Config

Change = tuple[str, Callable[[Config], Config]]


@dataclass(frozen=True)
class Verdict:
    """Yes or no, what is over by how much, and what would help."""

    fits: bool
    over: tuple[str, ...]
    helps: tuple[str, ...]

    def lines(self) -> list[str]:
        """The answer in lines."""
        if self.fits:
            return ["yes: it fits"]
        return ["no: " + "; ".join(self.over), *(f"  would fit with {text}" for text in self.helps or ("none of the switches alone or together: change the design",))]


def _backend(config: Config, **changes: object) -> Config:
    return replace(config, backend=replace(config.backend, **changes))


def _frontend(config: Config, **changes: object) -> Config:
    return replace(config, frontend=replace(config.frontend, **changes))


def _same_counts(config: Config) -> list[Change]:
    """Switches after which the counts of the run still hold."""
    out: list[Change] = []
    if config.frontend.frame_store != "block1":
        out.append(("frontend.frame_store = block1", lambda c: _frontend(c, frame_store="block1")))
    if config.backend.arithmetic == "float64":
        out.append(("backend.arithmetic = float32", lambda c: _backend(c, arithmetic="float32")))
    return out


def _smaller(config: Config) -> list[Change]:
    """Switches that shrink memories; a run with them has other counts, so they answer for memory alone."""
    window, features, landmarks = max(config.backend.window // 2, 3), max(config.frontend.max_features // 2, 10), max(config.backend.max_landmarks // 2, 50)
    return [
        (f"backend.window = {window} and backend.max_landmarks = {landmarks}", lambda c: _backend(c, window=window, max_landmarks=landmarks)),
        (f"frontend.max_features = {features} and backend.max_landmarks = {landmarks}", lambda c: _frontend(_backend(c, max_landmarks=landmarks), max_features=features)),
    ]


def verdict(config: Config, counts: Counts, technology: Technology, chip: Chip, fps: float, max_mw: float | None, max_kb: float | None) -> Verdict:
    """Hold nominal power and memory against limits (None: no limit); name single switches that bring it under, then all harmless ones together."""
    def power(c: Config, t: Technology, rate: float) -> float:
        return at_rate(c, counts, chip, t, rate).power_mW.nominal

    def memory(c: Config) -> float:
        return total_kilobytes(memory_map(c, chip))

    mw, kb = power(config, technology, fps), memory(config)
    over = []
    if max_mw is not None and mw > max_mw:
        over.append(f"{mw:.3g} mW is {mw - max_mw:.3g} mW over {max_mw:g} mW")
    if max_kb is not None and kb > max_kb:
        over.append(f"{kb:.0f} kB is {kb - max_kb:.0f} kB over {max_kb:g} kB")
    if not over:
        return Verdict(True, (), ())
    return Verdict(False, tuple(over), tuple(_helpful(config, technology, fps, max_mw if mw > (max_mw or mw) else None, max_kb, power, memory)))


def _helpful(
    config: Config, technology: Technology, fps: float, max_mw: float | None, max_kb: float | None,
    power: Callable[[Config, Technology, float], float], memory: Callable[[Config], float],
) -> list[str]:
    """What satisfies every limit that is exceeded: single switches, or else the first switches together that do."""
    def satisfies(c: Config, t: Technology = technology, rate: float = fps) -> bool:
        return (max_mw is None or power(c, t, rate) <= max_mw * (1 + 1e-9)) and (max_kb is None or memory(c) <= max_kb)

    changes = _same_counts(config) + (_smaller(config) if max_mw is None else [])
    found = [text for text, change in changes if satisfies(change(config))]
    if max_mw is not None:
        finer = load_technology("32nm-lstp")
        found += [f"technology {finer.name}"] if satisfies(config, finer) else []
        slower = _highest_rate(config, technology, fps, max_mw, power)
        found += [f"{slower:.3g} frames/s"] if slower and satisfies(config, technology, slower) else []
    together, words = config, []
    for text, change in changes if not found else []:
        together, words = change(together), [*words, text]
        if satisfies(together):
            return [" together with ".join(words)]
    return found


def _highest_rate(config: Config, technology: Technology, fps: float, max_mw: float, power: Callable[[Config, Technology, float], float]) -> float | None:
    """The highest frame rate within the power, by bisection; None if even standing still leaks more."""
    low, high = 0.01, fps
    if power(config, technology, low) > max_mw:
        return None
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if power(config, technology, middle) <= max_mw else (low, middle)
    return low
