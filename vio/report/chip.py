"""Figures of the chip: where the kilobytes and the microjoules go, and what it is beside a drone's hover power."""

from typing import TYPE_CHECKING

import numpy as np

from vio.report.picture import Picture
from vio.report.style import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, YELLOW, digits, new_figure, plain_log, readable_on, thinned
from vio.report.subject import Subject
from vio.report.treemap import Box, squarify

if TYPE_CHECKING:
    from hwmodel.drones import Drone
    from hwmodel.tables import Band
    from matplotlib.axes import Axes

_AREAS = {
    "pictures": (SKY, ("frame store", "frame coder", "pyramid")), "front end": (ORANGE, ("detector", "tracker", "features", "stereo", "rays", "outliers")),
    "inertial": (YELLOW, ("inertial",)), "window": (GREEN, ("horizon", "graph")),
    "estimator": (PURPLE, ("solver", "landmark elimination", "marginalisation", "refinement")),
}  # fmt: skip
_KINDS = (BLUE, SKY, GREEN, YELLOW, ORANGE, GREY)
_LAYERS = {
    "leakage": "#777777", "landmark elimination": BLUE, "solver": SKY, "tracker": GREEN, "pyramid": YELLOW, "detector": ORANGE, "refinement": PURPLE,
    "frame store": VERMILION,
}  # fmt: skip
_OTHERS = "#cccccc"
_LEAKING = {"memories": "leakage, memories", "logic": "leakage, logic"}
_POINTS = 1200  # of a stacked area at most
_MAP = Box(0.0, 0.0, 9.0, 5.0)


def area_of(module: str) -> tuple[str, str]:
    """(area of the chip, its colour) of a module."""
    return next(((name, colour) for name, (colour, modules) in _AREAS.items() if module in modules), ("other", GREY))


def memory(s: Subject, tag: str) -> Picture:
    """The memory map as a treemap: a box per module, in it a box per buffer, areas in proportion to the kilobytes."""
    from matplotlib.patches import Patch

    modules: dict[str, list] = {}
    for buffer in s.price.buffers:
        modules.setdefault(buffer.module, []).append(buffer)
    order = sorted(modules, key=lambda m: list(_AREAS).index(area_of(m)[0]) if area_of(m)[0] in _AREAS else 9)
    figure = new_figure(_MAP.width, _MAP.height + 0.5)
    axis = figure.subplots()
    for module, box in zip(order, squarify([sum(b.kilobytes for b in modules[m]) for m in order], _MAP)):
        for buffer, inner in zip(modules[module], squarify([b.kilobytes for b in modules[module]], box)):
            _box(axis, inner, area_of(module)[1], buffer.name, buffer.kilobytes, s.price.flight.high_water.get(buffer.name), buffer.words)
        axis.add_patch(_rectangle(box, "none", BLACK, 1.4))
    axis.set(xlim=(0, _MAP.width), ylim=(0, _MAP.height))
    axis.set_axis_off()
    found = dict.fromkeys(area_of(m)[0] for m in order)
    figure.legend([Patch(color=_AREAS[name][0]) for name in found if name in _AREAS], [n for n in found if n in _AREAS], loc="outside lower center", ncols=6)
    total = sum(b.kilobytes for b in s.price.buffers)
    caption = f"On-chip memory, {total:.0f} kB (1 kB = 1024 bytes). Area stands for kilobytes; black frames hold the buffers of one module. \"used\": the most that this run needed of the depth."
    return Picture(f"memory{tag}", f"Where the kilobytes go: {s.label}", caption, figure)


def _rectangle(box: Box, face: str, edge: str, width: float) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle(box[:2], box.width, box.height, facecolor=face, edgecolor=edge, lw=width)


def _box(axis: "Axes", box: Box, colour: str, name: str, kilobytes: float, used: int | None, words: int) -> None:
    """A buffer, its name and size as far as there is room."""
    axis.add_patch(_rectangle(box, colour, "white", 0.8))
    rest = [f"{kilobytes:.3g} kB"] + ([f"{100 * used / words:.0f} % used"] if used is not None else [])
    choices = [[name.replace("_", " "), *rest], [*name.split("_"), *rest]]
    sizes = [min(9.0, 72 * (box.width - 0.06) / (0.64 * max(map(len, lines))), 72 * (box.height - 0.06) / (1.4 * len(lines))) for lines in choices]
    best = int(sizes[1] > sizes[0])
    if sizes[best] >= 4.5:
        axis.annotate("\n".join(choices[best]), (box.x + box.width / 2, box.y + box.height / 2), ha="center", va="center", fontsize=sizes[best], color=readable_on(colour))


def energy_over_time(s: Subject, tag: str) -> Picture:
    """uJ per frame as stacked areas, each module in the same colour in every report: second by second, and a few seconds frame by frame."""
    flight, t = s.price.flight, s.seconds(s.run.frame_t_ns)
    named = [flight.modules.index(name) for name in _LAYERS]
    layers = np.column_stack([flight.energy_uJ[:, named], np.delete(flight.energy_uJ, named, axis=1).sum(1)])
    look = {"colors": [*_LAYERS.values(), _OTHERS], "lw": 0}
    figure = new_figure(9.0, 5.2)
    mean, close = figure.subplots(2, 1)
    block = max(round(flight.fps), -(-len(t) // _POINTS))
    at, smooth, bounds = (_averaged(values, block) for values in (t, layers, flight.total_uJ))
    mean.stackplot(at, smooth.T, labels=[*_LAYERS, "the others"], **look)
    for column, name in ((0, "total, low and high"), (2, None)):
        mean.plot(at, bounds[:, column], color=BLACK, lw=0.9, ls=":", label=name)
    mean.set_title(f"mean over {block / flight.fps:.2g} s")
    middle = int(np.argmax(flight.total_uJ[:, 1]))
    part = slice(max(0, min(middle - 3 * block // 2, len(t) - 3 * block)), max(0, middle - 3 * block // 2) + 3 * block)
    close.stackplot(t[part], layers[part].T, step="mid", **look)
    close.set_title("frame by frame around the dearest one")
    for axis in (mean, close):
        axis.set(xlabel="time since the first frame [s]", ylabel="energy [uJ per frame]", ylim=(0, None))
    figure.legend(*mean.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    caption = f"Modelled energy of the chip, nominal; at {flight.fps:.4g} frames/s it runs at {flight.clock_MHz:.1f} MHz and {flight.vdd:.2f} V. Peaks are keyframes. Dotted: the same with the lowest and the highest published energies."
    return Picture(f"energy{tag}", f"Energy frame by frame: {s.label}", caption, figure)


def _averaged(values: np.ndarray, block: int) -> np.ndarray:
    """Running mean over `block` rows (n, ...); at the ends over what there is. Long runs are thinned."""
    n = len(values)
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    first, last = np.clip(np.arange(n) - block // 2, 0, n), np.clip(np.arange(n) - block // 2 + block, 0, n)
    share = (last - first).reshape(-1, *[1] * (values.ndim - 1))
    return ((total[last] - total[first]) / share)[thinned(n, _POINTS)]


def energy_by_module(group: list[Subject], tag: str) -> Picture:
    """uJ per average frame, a bar per module and run, divided into arithmetic, memory and the rest."""
    from hwmodel.energy import KINDS

    modules = list(dict.fromkeys(module for s in group for module, _ in s.price.report.energy))
    mean = {m: max(s.price.report.of((m,)).nominal for s in group) for m in modules}
    modules = sorted(modules, key=lambda m: -mean[m])
    figure = new_figure(9.0, 1.1 + len(modules) * (0.12 + 0.17 * len(group)))
    axis = figure.subplots()
    height = 0.8 / len(group)
    for k, s in enumerate(group):
        y = np.arange(len(modules)) + (k - (len(group) - 1) / 2) * height
        left = np.zeros(len(modules))
        for kind, colour in zip(KINDS, _KINDS):
            value = np.array([s.price.report.of((m,), (kind,)).nominal * 1e-6 for m in modules])
            axis.barh(y, value, 0.9 * height, left, color=colour, label=kind if k == 0 else None)
            left += value
        for at, m, end in zip(y, modules, left):
            text = f"{end:.2g} uJ" + (f", {s.label}" if len(group) > 1 else "")
            axis.annotate(text, (end, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color="0.25")
    axis.set(yticks=range(len(modules)), yticklabels=[_LEAKING.get(m, m) for m in modules], xlabel="energy [uJ per frame, mean of the run]")
    axis.set_xlim(0, 1.15 * max(mean.values()) * 1e-6)
    axis.invert_yaxis()
    axis.grid(False, axis="y")
    axis.legend(loc="lower right")
    return Picture(f"energy-modules{tag}", "Energy by module", "The average frame, nominal: what each module spends on operations, registers, memories, clock and leakage.", figure)


def drone(group: list[Subject], tag: str) -> Picture:
    """Powers on one logarithmic axis, from the chip to hovering."""
    from hwmodel.drones import sensors_mW

    craft: Drone = group[0].price.design.drone
    camera, imu = sensors_mW()
    bars: list[tuple[str, Band | float, str]] = [(f"chip: {s.label}", s.price.report.power_mW, COLOURS[k % len(COLOURS)]) for k, s in enumerate(group)]
    bars += [("two cameras and IMU", 2 * camera + imu, GREY), ("perception budget", craft.perception_mW, GREY)]
    bars += [("electronics on board", 1e3 * craft.electronics_W, GREY)] if craft.electronics_W else []
    bars += [("hovering", 1e3 * craft.hover_W, GREY)]
    figure = new_figure(9.0, 0.9 + 0.3 * len(bars))
    axis = figure.subplots()
    for row, (name, power, colour) in enumerate(bars):
        value = power if isinstance(power, float | int) else power.nominal
        axis.plot([value], [row], "o", color=colour, ms=7)
        if not isinstance(power, float | int):
            axis.plot([power.low, power.high], [row, row], color=colour, lw=2.5, alpha=0.5)
        axis.annotate(f"{digits(value)} mW", (value if isinstance(power, float | int) else power.high, row), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set(yticks=range(len(bars)), yticklabels=[name for name, _, _ in bars], xscale="log", xlabel="power [mW, log scale]")
    axis.margins(x=0.12, y=0.12)
    axis.invert_yaxis()
    plain_log(axis.xaxis)
    return Picture(f"drone{tag}", f"On a drone: {craft.name}", "The chip's power with its band, beside what flies it.", figure)
