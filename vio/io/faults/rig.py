"""Faults of the calibration: turned, inverted or exchanged extrinsics."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vio import lie
from vio.errors import DataError
from vio.io.faults.base import Fault, camera, choice, number
from vio.io.faults.take import LEFT, MISSING, RIGHT, Take

_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Extrinsics(Fault):
    """The calibrated rotation of a camera is wrong by `degrees` about its own axis x, y or z."""

    camera: str = camera()
    axis: str = choice("x", "y", "z")
    degrees: float = number(10.0, "degrees", -180.0, 180.0)

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Turn the camera in the calibration."""
        phi = np.zeros(3)
        phi[_AXES[self.axis]] = np.deg2rad(self.degrees)
        return _with_extrinsics(take, self.camera, lambda T_BS: T_BS @ lie.pose(lie.so3_exp(phi), np.zeros(3)))


@dataclass(frozen=True)
class Mount(Fault):
    """The rig of cameras sits on the body otherwise than calibrated: turned by `degrees` about the body's axis, shifted by `cm` along it."""

    axis: str = choice("x", "y", "z")
    degrees: float = number(2.0, "degrees", -180.0, 180.0)
    cm: float = number(2.0, "cm")

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Displace both cameras in the calibration alike; what they are to each other stays."""
        unit = np.eye(3)[_AXES[self.axis]]
        D = lie.pose(lie.so3_exp(np.deg2rad(self.degrees) * unit), 0.01 * self.cm * unit)
        return _with_extrinsics(take, "both", lambda T_BS: D @ T_BS)


@dataclass(frozen=True)
class ExtrinsicsInverted(Fault):
    """The calibration holds the transform from the body to the camera where that from the camera to the body belongs."""

    camera: str = camera()

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Invert T_BS."""
        return _with_extrinsics(take, self.camera, lie.inverse)


@dataclass(frozen=True)
class SwappedCameras(Fault):
    """Left and right are exchanged: in the pictures, or in the calibration."""

    what: str = choice("pictures", "calibration")

    def apply(self, take: Take, rng: np.random.Generator) -> Take:
        """Exchange the sources of the pictures, or the two calibrated cameras."""
        rig = take.calibration
        if rig.right is None:
            raise DataError(f"{take.source.name}: has no right camera to exchange with the left one")
        if self.what == "calibration":
            return replace(take, calibration=replace(rig, left=rig.right, T_BC=rig.T_BR, right=rig.left, T_BR=rig.T_BC))
        if (take.pick == MISSING).any():
            raise DataError(f"{take.source.name}: right pictures are missing; exchange the cameras before they are dropped")
        edits = tuple(replace(edit, slot=1 - edit.slot) for edit in take.edits)
        return replace(take, pick=take.pick[:, ::-1].copy(), side=(take.side[RIGHT], take.side[LEFT]), edits=edits)


def _with_extrinsics(take: Take, which: str, change: Callable[[np.ndarray], np.ndarray]) -> Take:
    """With `change(T_BS)` for the chosen cameras."""
    slots, rig = take.slots(which), take.calibration
    T_BC = change(rig.T_BC) if LEFT in slots else rig.T_BC
    T_BR = change(rig.T_BR) if RIGHT in slots else rig.T_BR
    return replace(take, calibration=replace(rig, T_BC=T_BC, T_BR=T_BR))
