"""Scenes: a room (a box seen from inside) and the boxes in it, as flat arrays a kernel can walk, with baked light."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vio.io import lighting, shading, textures

# faces: 2 axis + (0 on the negative, 1 on the positive side); their coordinates (u, v) run along these axes
U_AXIS = (1, 1, 0, 0, 0, 0)
V_AXIS = (2, 2, 2, 2, 1, 1)
_LIGHT_POINTS = 125  # along the longest side of the room: with 10 m, light is computed every 8 cm


@dataclass(frozen=True)
class Skin:
    """How a face looks: texture number, metres per repeat, a factor on the albedo."""

    texture: int
    tile: float = 2.0
    tone: float = 1.0


@dataclass(frozen=True)
class Box:
    """A box: `center`, `half` sizes (3,) in m, turned by `yaw` rad about z. `skin` on its sides, `top` on both z faces.

    skins, where given, name all six faces instead: -x, +x, -y, +y, -z, +z. glow > 0 makes it a lamp that sends that much light and is not lit itself.
    """

    center: tuple[float, float, float]
    half: tuple[float, float, float]
    skin: Skin
    yaw: float = 0.0
    top: Skin | None = None
    glow: float = 0.0
    skins: tuple[Skin, ...] = ()

    def skin_of(self, face: int) -> Skin:
        """The look of one of the six faces."""
        return self.skins[face] if self.skins else (self.top or self.skin) if face >= 4 else self.skin


class Scene(NamedTuple):
    """n boxes as arrays; number 0 is the room, seen from inside.

    center, half (n, 3); R_WO (n, 3, 3); faces (6 n, columns named in `shading`): look and light of each face;
    light: float32 grids of irradiance, one per face; texels: flat uint8 pyramids of all textures.
    """

    center: np.ndarray
    half: np.ndarray
    R_WO: np.ndarray
    faces: np.ndarray
    light: np.ndarray
    texels: np.ndarray


def build(room: Box, objects: list[Box], ambient: float, seed: int) -> Scene:
    """Assemble a scene and compute its light: `ambient` plus that of every box that glows."""
    boxes = [room, *objects]
    spacing = 2.0 * max(room.half) / _LIGHT_POINTS
    center, half = np.array([b.center for b in boxes], float), np.array([b.half for b in boxes], float)
    R_WO = np.array([_turn(b.yaw) for b in boxes])
    faces = np.array([row for number, box in enumerate(boxes) for row in _faces(number, box, spacing)])
    sizes = (faces[:, shading.LIGHT_COLUMNS] * faces[:, shading.LIGHT_ROWS]).astype(np.int64)
    faces[:, shading.LIGHT_START] = np.cumsum(sizes) - sizes
    grids = faces[:, shading.LIGHT_START : shading.LIGHT_ROWS + 1].astype(np.int64).reshape(-1, 6, 3)
    geometry = lighting.Geometry(center, half, R_WO, grids, np.array([b.glow for b in boxes]))
    light = lighting.bake(geometry, int(sizes.sum()), ambient, seed)
    return Scene(center, half, R_WO, faces, light, textures.baked(seed))


def _faces(number: int, box: Box, spacing: float) -> list[list[float]]:
    """Rows of the table of faces for one box; where its light begins is filled in later."""
    rows = []
    for face in range(6):
        skin = box.skin_of(face)
        u, v = 2.0 * box.half[U_AXIS[face]], 2.0 * box.half[V_AXIS[face]]
        # every face shows another part of its texture, or equal things would look equal everywhere
        shift = (257 * number + 101 * face) % textures.SIZE, (149 * number + 331 * face) % textures.SIZE
        grid = int(np.ceil(u / spacing)) + 1, int(np.ceil(v / spacing)) + 1
        light_per_m = (grid[0] - 1) / u, (grid[1] - 1) / v
        rows.append([skin.texture, textures.SIZE / skin.tile, skin.tone / 255.0, v > u, *shift, 0, *grid, *light_per_m, u / 2.0, v / 2.0])
    return rows


def clearance(scene: Scene, p_W: np.ndarray) -> np.ndarray:
    """Distance (n,) in m of points p_W (n, 3) to the nearest surface; negative inside an object or outside the room."""
    signed = np.array([_signed(p_W, *box) for box in zip(scene.center, scene.half, scene.R_WO)])
    signed[0] *= -1.0
    return signed.min(axis=0)


def distances(box: Box, p_W: np.ndarray) -> np.ndarray:
    """Distance (n,) in m of points p_W (n, 3) to a box, negative inside it."""
    return _signed(p_W, np.array(box.center), np.array(box.half), _turn(box.yaw))


def _signed(p_W: np.ndarray, center: np.ndarray, half: np.ndarray, R_WO: np.ndarray) -> np.ndarray:
    beyond = np.abs((p_W - center) @ R_WO) - half
    return np.linalg.norm(np.maximum(beyond, 0.0), axis=1) + np.minimum(beyond.max(axis=1), 0.0)


def _turn(yaw: float) -> np.ndarray:
    """Rotation (3, 3) about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
