"""Golden vectors of the integer kernels: inputs, every named register in the order written, and outputs, as hex text for $readmemh.

The registers come from the very kernels that fly, compiled with traces in them. Each file holds one word a line in two's complement.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vio.calibration import Calibration
from vio.config import Config
from vio.events import new_counts
from vio.fixed import Fixed, new_trace
from vio.frontend import corners, klt, outliers, pyramid, rays, stereo, store
from vio.types import StereoFrame

_ROOM = 1 << 21  # values kept of each register; the manifest tells how many there were
_BYTE, _FLAG, _WORD = Fixed(8, 0, False), Fixed(1, 0, False), Fixed(48, 0, False)


class Words(NamedTuple):
    """An array of raw integers and the format of its elements."""

    values: np.ndarray
    fmt: Fixed


Case = tuple[dict[str, Words], dict[str, Words]]  # inputs and outputs by name


@dataclass(frozen=True)
class Stage:
    """What a kernel's case is made from: two frames of a rig, the word lengths, the traces, and how many features to take."""

    calibration: Calibration
    config: Config
    previous: StereoFrame
    frame: StereoFrame
    traces: dict[str, np.ndarray]
    features: int

    def levels(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Untraced pyramid of a picture."""
        out = pyramid.allocate(*image.shape, self.config.frontend.pyramid_levels)
        pyramid.build(image, out, pyramid.pyramid_format(self.config.precision), new_counts())
        return out

    def corners(self) -> np.ndarray:
        """Untraced features (n, 2) int32 of the previous left picture."""
        fmt, none = corners.corner_format(self.config), np.zeros((0, 2), np.int32)
        left = self.levels(self.previous.left)[0]
        found = corners.detect_corners(left, none, fmt, corners.allocate_workspace(*left.shape, fmt), new_counts())
        return np.ascontiguousarray(found[: self.features])

    def lens(self, is_traced: bool = False) -> rays.Lens:
        """The left lens."""
        return rays.make_lens(self.calibration.left, self.config.precision, self.traces if is_traced else None)

    def tracked(self, fmt: klt.KltFormat) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(uv before, uv after, status, residual) of the features from the previous left picture to this one."""
        uv = self.corners()
        out, status, residual = np.empty_like(uv), np.empty(len(uv), np.uint8), np.empty(len(uv), np.int32)
        top = self.config.frontend.pyramid_levels - 1
        klt.track(self.levels(self.previous.left), self.levels(self.frame.left), uv, uv, top, fmt, out, status, residual, new_counts())
        return uv, out, status, residual

    def looked_up(self, uv: np.ndarray) -> np.ndarray:
        """Untraced rays of pixels."""
        lens, out = self.lens(), np.empty_like(uv)
        rays.lookup(uv, lens.table, lens.fmt, out, new_counts())
        return out


def _pictures(name: str, levels: tuple[np.ndarray, ...]) -> dict[str, Words]:
    return {f"{name}{k}": Words(level, _BYTE) for k, level in enumerate(levels)}


def _pyramid(s: Stage) -> Case:
    out = pyramid.allocate(*s.frame.left.shape, s.config.frontend.pyramid_levels)
    pyramid.build(s.frame.left, out, pyramid.pyramid_format(s.config.precision, s.traces), new_counts())
    return {"picture": Words(s.frame.left, _BYTE)}, _pictures("level", out)


def _corners(s: Stage) -> Case:
    fmt, none, image = corners.corner_format(s.config, s.traces), np.zeros((0, 2), np.int32), s.levels(s.frame.left)[0]
    workspace = corners.allocate_workspace(*image.shape, fmt)
    found = corners.detect_corners(image, none, fmt, workspace, new_counts())
    p = s.config.precision
    return {"picture": Words(image, _BYTE)}, {"score": Words(workspace.score, p.corner_score), "corners": Words(found, p.position)}


def _klt(s: Stage) -> Case:
    uv, out, status, residual = s.tracked(klt.klt_format(s.config, s.traces))
    inputs = _pictures("previous", s.levels(s.previous.left)) | _pictures("next", s.levels(s.frame.left))
    p = s.config.precision
    outputs = {"uv": Words(out, p.position), "status": Words(status, _BYTE), "difference": Words(residual, p.residual)}
    return inputs | {"uv_previous": Words(uv, p.position)}, outputs


def _undistort(s: Stage) -> Case:
    uv, lens, p = s.corners(), s.lens(True), s.config.precision
    out = np.empty_like(uv)
    rays.lookup(uv, lens.table, lens.fmt, out, new_counts())
    return {"uv": Words(uv, p.position), "table": Words(lens.table, p.ray)}, {"rays": Words(out, p.ray)}


def _ransac(s: Stage) -> Case:
    uv, out, _, _ = s.tracked(klt.klt_format(s.config))
    before, after, inlier = s.looked_up(uv), s.looked_up(out), np.empty(len(uv), np.bool_)
    fmt = outliers.outlier_format(s.config, s.calibration.left.fx, 1.0, s.traces)
    outliers.reject_by_direction(before, after, 0, fmt, inlier, new_counts())
    ray = s.config.precision.ray
    return {"rays_previous": Words(before, ray), "rays": Words(after, ray)}, {"inlier": Words(inlier, _FLAG)}


def _stereo(s: Stage) -> Case:
    p, level = s.config.precision, min(s.config.frontend.stereo_level, s.config.frontend.pyramid_levels - 1)
    rig = stereo.make_rig(s.calibration, s.config, rays.make_lens(s.calibration.right, p, s.traces), s.traces)
    uv, left, right = s.corners(), s.levels(s.previous.left)[level], s.levels(s.previous.right)[level]
    points, guess, found = s.looked_up(uv), uv.copy(), np.empty(len(uv), np.bool_)
    unknown = np.zeros(len(uv), np.int32)
    stereo.search(left, right, uv, points, unknown, rig.R_raw, rig.t_raw, rig.right.radial, rig.right.fmt, rig.fmt, guess, found, new_counts())
    inputs = {"left": Words(left, _BYTE), "right": Words(right, _BYTE), "uv": Words(uv, p.position), "rays": Words(points, p.ray),
              "rotation": Words(rig.R_raw, p.rotation), "translation": Words(rig.t_raw, p.translation), "radial": Words(rig.right.radial, p.distortion)}
    return inputs, {"uv_right": Words(guess, p.position), "found": Words(found, _FLAG)}


def _store(s: Stage) -> Case:
    image, fmt = s.levels(s.frame.left)[0], store.store_format(s.config, s.traces)
    (words,), out = store.allocate_words((image,)), np.empty_like(image)
    store.encode(image, fmt, words, new_counts())
    store.decode(words, fmt, out)
    return {"picture": Words(image, _BYTE)}, {"words": Words(words, _WORD), "decoded": Words(out, _BYTE)}


KERNELS: dict[str, Callable[[Stage], Case]] = {
    "pyramid": _pyramid, "corners": _corners, "klt": _klt, "undistort": _undistort, "ransac": _ransac, "stereo": _stereo, "store": _store,
}


def new_traces(config: Config) -> dict[str, np.ndarray]:
    """An empty trace for every signal."""
    return {f.name: new_trace(_ROOM) for f in fields(config.precision)}


def hex_text(words: Words) -> str:
    """One word a line, two's complement, as many digits as the width needs."""
    digits, mask = -(-words.fmt.bits // 4), (1 << words.fmt.bits) - 1
    return "".join(f"{int(value) & mask:0{digits}x}\n" for value in words.values.ravel().tolist())


def write_case(folder: Path, kernel: str, stage: Stage) -> list[dict[str, object]]:
    """Run one kernel on a stage and write its files into `folder`; returns their manifest entries."""
    inputs, outputs = KERNELS[kernel](stage)
    registers = {}
    for name, trace in stage.traces.items():
        held = int(trace[0, 0])
        if held:
            registers[name] = (Words(trace[1 : min(held, len(trace) - 1) + 1, 0], getattr(stage.config.precision, name)), held)
    entries = []
    parts = [("input", name, words, words.values.size) for name, words in inputs.items()]
    parts += [("register", name, words, held) for name, (words, held) in registers.items()]
    parts += [("output", name, words, words.values.size) for name, words in outputs.items()]
    for role, name, words, held in parts:
        path = folder / f"{role}_{name}.hex"
        path.write_text(hex_text(words))
        entries.append({"file": path.name, "role": role, "name": name, "bits": words.fmt.bits, "frac_bits": words.fmt.frac_bits,
                        "signed": words.fmt.signed, "rounding": words.fmt.rounding.value, "overflow": words.fmt.overflow.value,
                        "shape": list(words.values.shape), "values_in_all": held})
    return entries


def write_manifest(folder: Path, kernel: str, t_ns: int, entries: list[dict[str, object]]) -> None:
    """manifest.json beside the files of one case."""
    text = json.dumps({"kernel": kernel, "t_ns": t_ns, "files": entries}, indent=2)
    (folder / "manifest.json").write_text(text + "\n")
