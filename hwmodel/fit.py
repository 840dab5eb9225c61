"""Does a design fit a budget, and if not, which switches would bring it under."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hwmodel.chip import Chip
from hwmodel.counts import Counts
from hwmodel.memory import memory_map, total_kilobytes
from hwmodel.published import at_rate
from hwmodel.technology import Technology, load_technology
from vio.config import Config

Change = tuple[str, Config, Technology, float]  # in words, what it makes of configuration, technology and frame rate


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


def _same_counts(config: Config, technology: Technology, fps: float) -> list[Change]:
    """Switches after which the counts of the run still hold."""
    out: list[Change] = []
    if config.frontend.frame_store != "block1":
        out.append(("frontend.frame_store = block1", _frontend(config, frame_store="block1"), technology, fps))
    if config.backend.arithmetic == "float64":
        out.append(("backend.arithmetic = float32", _backend(config, arithmetic="float32"), technology, fps))
    return out


def _smaller(config: Config, technology: Technology, fps: float) -> list[Change]:
    """Switches that shrink memories; a run with them has other counts, so they answer for memory alone."""
    window, features = max(config.backend.window // 2, 3), max(config.frontend.max_features // 2, 10)
    landmarks = max(config.backend.max_landmarks // 2, 50)
    shorter = _backend(config, window=window, max_landmarks=landmarks)
    fewer = _frontend(_backend(config, max_landmarks=landmarks), max_features=features)
    return [
        (f"backend.window = {window} and max_landmarks = {landmarks}", shorter, technology, fps),
        (f"frontend.max_features = {features} and backend.max_landmarks = {landmarks}", fewer, technology, fps),
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
    """Descriptions of the changes that satisfy every limit that is exceeded."""
    def satisfies(c: Config, t: Technology, rate: float) -> bool:
        return (max_mw is None or power(c, t, rate) <= max_mw) and (max_kb is None or memory(c) <= max_kb)

    same = _same_counts(config, technology, fps)
    candidates = same + (_smaller(config, technology, fps) if max_mw is None else [])
    if max_mw is not None:
        finer = load_technology("32nm-lstp")
        candidates.append((f"technology {finer.name}", config, finer, fps))
        lower = fps * max_mw / power(config, technology, fps)
        candidates.append((f"{lower:.3g} frames/s", config, technology, lower))
    found = [f"{text}" for text, c, t, rate in candidates if satisfies(c, t, rate)]
    if not found:
        combined, words = config, []
        for _ in range(3):
            step = next(iter(_same_counts(combined, technology, fps)), None)
            if step is None:
                break
            words, combined = [*words, step[0]], step[1]
        if max_mw is None:
            text, combined, _, _ = _smaller(combined, technology, fps)[0]
            words.append(text)
        if words and satisfies(combined, technology, fps):
            found.append(" together with ".join(words))
    return found
