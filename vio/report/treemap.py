"""Squarified treemaps: Bruls, Huizing, van Wijk, "Squarified Treemaps", Eurographics/IEEE VisSym 2000."""

from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle: left lower corner and extent, in the unit of the area that was divided."""

    x: float
    y: float
    width: float
    height: float


def squarify(sizes: list[float], area: Box) -> list[Box]:
    """Divide `area` among positive sizes, each box as near to a square as the order allows; returned in the order given."""
    scale = area.width * area.height / sum(sizes)
    order = sorted(range(len(sizes)), key=lambda k: -sizes[k])
    boxes, rest, row = [Box(0, 0, 0, 0)] * len(sizes), area, []
    for k in order:
        longer = [*row, k]
        if row and _worst([sizes[j] * scale for j in longer], rest) > _worst([sizes[j] * scale for j in row], rest):
            rest = _lay(row, sizes, scale, rest, boxes)
            longer = [k]
        row = longer
    _lay(row, sizes, scale, rest, boxes)
    return boxes


def _worst(areas: list[float], rest: Box) -> float:
    """Largest aspect ratio of a row of boxes along the shorter side of what is left."""
    side, total = min(rest.width, rest.height), sum(areas)
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))


def _lay(row: list[int], sizes: list[float], scale: float, rest: Box, boxes: list[Box]) -> Box:
    """Place a row along the shorter side; returns what is left."""
    total, place = sum(sizes[k] for k in row) * scale, 0.0
    upright = rest.width >= rest.height
    depth = total / (rest.height if upright else rest.width)
    for k in row:
        length = sizes[k] * scale / depth
        boxes[k] = Box(rest.x, rest.y + place, depth, length) if upright else Box(rest.x + place, rest.y, length, depth)
        place += length
    if upright:
        return Box(rest.x + depth, rest.y, rest.width - depth, rest.height)
    return Box(rest.x, rest.y + depth, rest.width, rest.height - depth)
