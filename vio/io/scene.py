"""Scenes: a room (a box seen from inside) and the boxes in it, as flat arrays a kernel can walk, with baked light."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vio.io import lighting, shading, textures

# faces: 2 axis + (0 on the negative, 1 on the positive side); their coordinates (u, v) run along these axes
U_AXIS = (1, 1, 0, 0, 0, 0)
V_AXIS = (2, 2, 2, 2, 1, 1)
_LIGHT_SPACING = 0.08  # m between the points where light is computed


@dataclass(frozen=True)
class Skin:
    """How a face looks: texture number, metres per repeat, a factor on the albedo."""

    texture: int
    tile: float = 2.0
    tone: float = 1.0


@dataclass(frozen=True)
class Box:
    """A box: `center`, `half` sizes (3,) in m, turned by `yaw` rad about z. `skin` on its sides, `top` on both z faces.

    glow > 0 makes it a lamp that sends that much light and is not lit itself.
    """

    center: tuple[float, float, float]
    half: tuple[float, float, float]
    skin: Skin
    yaw: float = 0.0
    top: Skin | None = None
    glow: float = 0.0


class Scene(NamedTuple):
    """n boxes as arrays; number 0 is the room, seen from inside.

    center, half (n, 3); R_WO (n, 3, 3); faces (6 n, columns named in `shading`): look and light of each face;
    light: float32 grids of irradiance, one per face; texels: (textures, pyramid) uint8.
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
    center, half = np.array([b.center for b in boxes], float), np.array([b.half for b in boxes], float)
    R_WO = np.array([_turn(b.yaw) for b in boxes])
    faces = np.array([row for number, box in enumerate(boxes) for row in _faces(number, box)])
    sizes = (faces[:, shading.LIGHT_COLUMNS] * faces[:, shading.LIGHT_ROWS]).astype(np.int64)
    faces[:, shading.LIGHT_START] = np.cumsum(sizes) - sizes
    grids = faces[:, shading.LIGHT_START :].astype(np.int64).reshape(-1, 6, 3)
    geometry = lighting.Geometry(center, half, R_WO, grids, np.array([b.glow for b in boxes]))
    light = lighting.bake(geometry, int(sizes.sum()), ambient, seed)
    return Scene(center, half, R_WO, faces, light, textures.baked(seed))


def _faces(number: int, box: Box) -> list[list[float]]:
    """Rows of the table of faces for one box; where its light begins is filled in later."""
    rows = []
    for face in range(6):
        skin = box.top or box.skin if face >= 4 else box.skin
        u, v = 2.0 * box.half[U_AXIS[face]], 2.0 * box.half[V_AXIS[face]]
        # every face shows another part of its texture, or equal things would look equal everywhere
        shift = (257 * number + 101 * face) % textures.SIZE, (149 * number + 331 * face) % textures.SIZE
        grid = int(np.ceil(u / _LIGHT_SPACING)) + 1, int(np.ceil(v / _LIGHT_SPACING)) + 1
        rows.append([skin.texture, textures.SIZE / skin.tile, skin.tone / 255.0, v > u, *shift, 0, *grid])
    return rows


def clearance(scene: Scene, p_W: np.ndarray) -> np.ndarray:
    """Distance (n,) in m of points p_W (n, 3) to the nearest surface; negative inside an object or outside the room."""
    local = np.einsum("kij,nki->nkj", scene.R_WO, p_W[:, None, :] - scene.center)
    beyond = np.abs(local) - scene.half
    outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=2)
    signed = outside + np.minimum(beyond.max(axis=2), 0.0)
    signed[:, 0] *= -1.0
    return signed.min(axis=1)


def _turn(yaw: float) -> np.ndarray:
    """Rotation (3, 3) about z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
