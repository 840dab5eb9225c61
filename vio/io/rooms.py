"""Rooms of several kinds, furnished at random from a seed. The floor is z = 0, the middle of the room x = y = 0, sizes in m."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vio.io import counter_rng
from vio.io.scene import Box, Scene, Skin, build, distances
from vio.io.textures import BRICK, CARTON, CONCRETE, FLAT, LATTICE, MOSAIC, PLANKS, PLASTER, POSTER, PRINT, TILES, WOOD


@dataclass(frozen=True)
class RoomSpec:
    """A kind of room, its inner size in m, how many pieces stand along its walls, and its light.

    light: strength of each lamp; ambient: light without a source. kind: one of `KINDS`.
    """

    kind: str = "workshop"
    length: float = 10.0
    width: float = 8.0
    height: float = 3.8
    pieces: int = 16
    light: float = 1.0
    ambient: float = 0.22


class _Dice:
    """Random numbers of one room."""

    def __init__(self, seed: int) -> None:
        self._numbers = iter(counter_rng.uniform(seed, 11, count=20000))

    def span(self, low: float, high: float) -> float:
        """A number between low and high."""
        return float(low + (high - low) * next(self._numbers))

    def pick(self, *choices: int) -> int:
        """One of the choices."""
        return choices[int(next(self._numbers) * len(choices))]


@dataclass(frozen=True)
class _Place:
    """A spot on the floor, with the direction away from the wall behind it."""

    x: float
    y: float
    yaw: float

    def box(self, right: float, front: float, bottom: float, size: tuple[float, float, float], skin: Skin, top: Skin | None = None, turn: float = 0.0) -> Box:
        """A box of full size (along the wall, away from it, up), its middle `right` and `front` of the spot, standing at `bottom`."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        center = (self.x + c * right - s * front, self.y + s * right + c * front, bottom + size[2] / 2.0)
        return Box(center, (size[0] / 2.0, size[1] / 2.0, size[2] / 2.0), skin, self.yaw + turn, top)


def _table(place: _Place, dice: _Dice) -> list[Box]:
    """A table with things on it and a bin under it."""
    length, depth, height = dice.span(1.1, 1.8), dice.span(0.6, 0.8), dice.span(0.7, 0.8)
    wood = Skin(WOOD, 1.2, dice.span(0.7, 1.1))
    legs = [place.box(i * (length / 2 - 0.05), j * (depth / 2 - 0.05), 0.0, (0.06, 0.06, height - 0.04), wood) for i in (-1, 1) for j in (-1, 1)]
    boxes = [*legs, place.box(0.0, 0.0, height - 0.04, (length, depth, 0.04), wood)]
    for k in range(3):
        size = (dice.span(0.08, 0.35), dice.span(0.08, 0.3), dice.span(0.08, 0.45))
        skin = Skin(dice.pick(PRINT, POSTER, CARTON, MOSAIC), dice.span(0.5, 0.9), dice.span(0.6, 1.1))
        boxes.append(place.box((k - 1) * length / 3.2 + dice.span(-0.05, 0.05), dice.span(-0.12, 0.12), height, size, skin, turn=dice.span(-0.6, 0.6)))
    return [*boxes, place.box(dice.span(-0.3, 0.3), 0.0, 0.0, (0.3, 0.3, 0.4), Skin(LATTICE, 0.8, 0.8))]


def _shelf(place: _Place, dice: _Dice) -> list[Box]:
    """Uprights, boards, and rows of cartons and books on every board."""
    length, depth, levels = dice.span(1.0, 1.5), 0.38, 4
    steel = Skin(FLAT, 1.0, dice.span(0.25, 0.5))
    boxes = [place.box(side * length / 2, 0.0, 0.0, (0.04, depth, 0.5 * levels + 0.05), steel) for side in (-1, 1)]
    for level in range(levels + 1):
        boxes.append(place.box(0.0, 0.0, 0.08 + 0.48 * level, (length, depth, 0.03), Skin(WOOD, 1.0, 0.8)))
        at = -length / 2 + 0.06
        while level < levels:
            size = (dice.span(0.08, 0.4), dice.span(0.2, 0.34), dice.span(0.15, 0.4))
            if at + size[0] > length / 2 - 0.04:
                break
            skin = Skin(dice.pick(CARTON, PRINT, POSTER, CONCRETE, CARTON), dice.span(0.5, 1.0), dice.span(0.35, 1.15))
            boxes.append(place.box(at + size[0] / 2, 0.0, 0.11 + 0.48 * level, size, skin))
            at += size[0] + dice.span(0.01, 0.18)
    return boxes


def _crates(place: _Place, dice: _Dice) -> list[Box]:
    """A pile of crates, each turned a little on the one below."""
    boxes, bottom, side = [], 0.0, dice.span(0.55, 0.8)
    for _ in range(dice.pick(2, 3, 3, 4)):
        size = (side, side * dice.span(0.7, 1.0), dice.span(0.25, 0.55))
        skin = Skin(dice.pick(CARTON, PLANKS, WOOD, LATTICE), dice.span(0.8, 1.3), dice.span(0.6, 1.1))
        boxes.append(place.box(dice.span(-0.05, 0.05), 0.0, bottom, size, skin, Skin(dice.pick(CARTON, WOOD, PRINT), 1.0), dice.span(-0.4, 0.4)))
        bottom, side = bottom + size[2], side * dice.span(0.7, 0.95)
    return boxes


def _pallets(place: _Place, dice: _Dice) -> list[Box]:
    """A stack of pallets made of slats, with a net over a bundle on top."""
    boxes, bottom = [], 0.0
    for _ in range(dice.pick(2, 3, 4)):
        wood = Skin(WOOD, 1.1, dice.span(0.75, 1.15))
        boxes += [place.box(x, 0.0, bottom, (0.1, 0.8, 0.1), wood) for x in (-0.5, 0.0, 0.5)]
        boxes += [place.box(0.0, -0.34 + 0.17 * k, bottom + 0.1, (1.15, 0.11, 0.025), wood, turn=dice.span(-0.01, 0.01)) for k in range(5)]
        bottom += 0.125
    bundle = place.box(dice.span(-0.2, 0.2), 0.0, bottom, (0.7, 0.6, dice.span(0.3, 0.7)), Skin(LATTICE, 0.9, 1.0), turn=dice.span(-0.3, 0.3))
    return [*boxes, bundle]


def _cabinet(place: _Place, dice: _Dice) -> list[Box]:
    """A tall cabinet with doors and handles, a box on top."""
    width, height = dice.span(0.7, 1.1), dice.span(1.5, 2.1)
    body = Skin(dice.pick(FLAT, CONCRETE, PLASTER), 1.5, dice.span(0.4, 1.1))
    doors = [place.box(k * width / 4, 0.235, 0.06, (width / 2 - 0.02, 0.02, height - 0.12), Skin(dice.pick(FLAT, WOOD, PLASTER), 1.4, dice.span(0.5, 1.1))) for k in (-1, 1)]
    handles = [place.box(k * 0.05, 0.26, height * 0.5, (0.025, 0.03, 0.18), Skin(FLAT, 1.0, 0.15)) for k in (-1, 1)]
    notices = [place.box(k * width / 4 + dice.span(-0.05, 0.05), 0.25, height * dice.span(0.55, 0.75), (0.22, 0.012, 0.3), Skin(dice.pick(PRINT, POSTER), 0.6)) for k in (-1, 1)]
    load = place.box(dice.span(-0.1, 0.1), 0.0, height, (0.5, 0.35, dice.span(0.2, 0.4)), Skin(CARTON, 0.9), turn=dice.span(-0.3, 0.3))
    return [place.box(0.0, 0.0, 0.0, (width, 0.45, height), body), *doors, *handles, *notices, load]


def _pillar(place: _Place, dice: _Dice) -> list[Box]:
    """A square pillar with a foot and a sign."""
    side = dice.span(0.3, 0.45)
    sign = place.box(0.0, side / 2, dice.span(1.2, 1.7), (side * 0.8, 0.02, dice.span(0.3, 0.5)), Skin(dice.pick(PRINT, POSTER), 0.8))
    return [place.box(0.0, 0.0, 0.0, (side, side, 6.0), Skin(dice.pick(CONCRETE, BRICK, MOSAIC), 2.2, 1.1)), place.box(0.0, 0.0, 0.0, (side + 0.12, side + 0.12, 0.15), Skin(CONCRETE, 1.0, 0.7)), sign]


_PIECES: tuple[Callable[[_Place, _Dice], list[Box]], ...] = (_table, _shelf, _crates, _cabinet, _pallets, _shelf, _crates, _pillar)


def _wall_places(spec: RoomSpec, dice: _Dice) -> list[_Place]:
    """Spots evenly along the four walls, each a little off."""
    inset = 0.55
    length, width = spec.length - 2 * inset, spec.width - 2 * inset
    places = []
    for k in range(spec.pieces):
        at = (k + 0.5) / spec.pieces * 2 * (length + width) + dice.span(-0.15, 0.15)
        if at < length:
            places.append(_Place(at - length / 2, -width / 2, 0.0))
        elif at < length + width:
            places.append(_Place(length / 2, at - length - width / 2, np.pi / 2))
        elif at < 2 * length + width:
            places.append(_Place(length / 2 - (at - length - width), width / 2, np.pi))
        else:
            places.append(_Place(-length / 2, width / 2 - (at - 2 * length - width), -np.pi / 2))
    return places


def _pictures(spec: RoomSpec, dice: _Dice) -> list[Box]:
    """Posters, notice boards and windows on the walls, above the furniture and between it."""
    boxes = []
    for wall in range(4):
        reach, off = (spec.length, spec.width) if wall % 2 == 0 else (spec.width, spec.length)
        place = _Place(0.0, 0.0, wall * np.pi / 2)
        at = -reach / 2 + dice.span(0.3, 0.8)
        while at < reach / 2 - 1.2:
            size = (dice.span(0.4, 1.3), 0.03, dice.span(0.4, 1.0))
            skin = Skin(dice.pick(POSTER, PRINT, MOSAIC, POSTER, LATTICE), dice.span(1.0, 2.4), dice.span(0.7, 1.1))
            bottom = min(dice.span(1.3, 2.4), spec.height - size[2] - 0.2)
            boxes.append(place.box(at + size[0] / 2, -off / 2 + 0.01, bottom, size, skin))
            at += size[0] + dice.span(0.2, 1.2)
    return boxes


def _ceiling(spec: RoomSpec, dice: _Dice) -> list[Box]:
    """Lamps, beams and pipes under the ceiling."""
    beams = [Box((x, 0.0, spec.height - 0.12), (0.1, spec.width / 2, 0.12), Skin(WOOD, 1.6, 0.6)) for x in np.arange(-spec.length / 2 + 1.0, spec.length / 2, 2.1)]
    pipes = [Box((0.0, side * (spec.width / 2 - 0.25 - 0.2 * k), spec.height - 0.4), (spec.length / 2, 0.06, 0.06), Skin(CONCRETE, 0.9, dice.span(0.6, 1.3))) for side in (-1, 1) for k in range(2)]
    across, along = max(1, round(spec.width / 4.0)), max(1, round(spec.length / 4.0))
    spots = [((i + 0.5) / along - 0.5, (j + 0.5) / across - 0.5) for i in range(along) for j in range(across)]
    lamps = [Box((a * spec.length, b * spec.width, spec.height - 0.35), (0.6, 0.09, 0.03), Skin(FLAT, 1.0, 1.5), dice.span(-0.1, 0.1), glow=3.0 * spec.light) for a, b in spots]
    return beams + pipes + lamps


def _floor_things(spec: RoomSpec, dice: _Dice) -> list[Box]:
    """Low things in the middle of the floor: mats, pallets, cartons."""
    boxes = []
    for k in range(7):
        place = _Place(dice.span(-0.3, 0.3) * spec.length, dice.span(-0.28, 0.28) * spec.width, dice.span(0.0, 6.2))
        skin = Skin(dice.pick(POSTER, MOSAIC, PRINT, LATTICE, WOOD), dice.span(0.9, 1.8), dice.span(0.6, 1.1))
        size = (dice.span(0.3, 1.2), dice.span(0.3, 0.9), dice.pick(1, 1, 2, 12, 25) / 100.0)
        boxes.append(place.box(0.0, 0.0, 0.001 * k, size, skin))
    return boxes


def _shell(spec: RoomSpec, walls: tuple[Skin, Skin], floor: Skin, ceiling: Skin) -> Box:
    """The room itself; opposite walls are alike."""
    half = (spec.length / 2, spec.width / 2, spec.height / 2)
    skins = (walls[0], walls[0], walls[1], walls[1], floor, ceiling)
    return Box((0.0, 0.0, spec.height / 2), half, walls[0], skins=skins)


def _furniture(spec: RoomSpec, dice: _Dice) -> list[Box]:
    start = dice.pick(0, 1, 2, 3)
    places = _wall_places(spec, dice)
    return [box for k, place in enumerate(places) for box in _PIECES[(start + k) % len(_PIECES)](place, dice)]


def _everything(spec: RoomSpec, dice: _Dice) -> list[Box]:
    return _furniture(spec, dice) + _pictures(spec, dice) + _ceiling(spec, dice) + _floor_things(spec, dice)


def _workshop(spec: RoomSpec, dice: _Dice) -> tuple[Box, list[Box]]:
    """Brick and plaster walls, a chequered floor, furniture all around."""
    walls = (Skin(BRICK, 3.6, 1.0), Skin(PLASTER, 2.6, 0.85))
    return _shell(spec, walls, Skin(TILES, 3.6, 1.0), Skin(CONCRETE, 3.0, 0.8)), _everything(spec, dice)


def _cluttered(spec: RoomSpec, dice: _Dice) -> tuple[Box, list[Box]]:
    """A small store room: planks and mosaic, things everywhere."""
    walls = (Skin(PLASTER, 2.2, 0.9), Skin(PLANKS, 2.4, 0.9))
    return _shell(spec, walls, Skin(PLANKS, 2.6, 0.9), Skin(PLASTER, 3.0, 0.8)), _everything(spec, dice) + _floor_things(spec, dice)


def _hall(spec: RoomSpec, dice: _Dice) -> tuple[Box, list[Box]]:
    """A machine hall: concrete, large masonry, most things far away."""
    walls = (Skin(BRICK, 7.0, 0.8), Skin(CONCRETE, 5.0, 1.0))
    return _shell(spec, walls, Skin(CONCRETE, 4.0, 0.9), Skin(CONCRETE, 6.0, 0.6)), _everything(spec, dice)


def _plain(spec: RoomSpec, dice: _Dice) -> tuple[Box, list[Box]]:
    """Low texture: painted walls and floor, a little furniture, few pictures, hardly a corner elsewhere."""
    paint = Skin(FLAT, 6.0, 1.1)
    return _shell(spec, (paint, paint), Skin(FLAT, 4.0, 0.8), paint), _furniture(spec, dice) + _ceiling(spec, dice) + _pictures(spec, dice)[::3]


KINDS = {"workshop": _workshop, "cluttered": _cluttered, "hall": _hall, "plain": _plain}


def enlarged(spec: RoomSpec, path: np.ndarray, margin: float) -> RoomSpec:
    """The room, where needed so large that points path (n, 3) keep `margin` m from walls and ceiling."""
    reach = np.abs(path).max(axis=0) + margin
    length, width = max(spec.length, 2.0 * reach[0]), max(spec.width, 2.0 * reach[1])
    return replace(spec, length=float(length), width=float(width), height=float(max(spec.height, reach[2])))


def furnished(spec: RoomSpec, seed: int, path: np.ndarray | None = None, distance: float = 0.8) -> Scene:
    """The scene of a room. What stands within `distance` m of a point of `path` (n, 3) is left out.

    Raises KeyError for a kind that is not in `KINDS`.
    """
    room, objects = KINDS[spec.kind](spec, _Dice(seed))
    if path is not None:
        objects = [box for box in objects if distances(box, path).min() > distance]
    return build(room, objects, spec.ambient, seed)
