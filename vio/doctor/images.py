"""Pictures: decodable, black, white, frozen, exposure, sharpness, texture, parallax."""

import numpy as np

from vio.doctor.look import Look, Pictures
from vio.doctor.verdict import Level, Stretch, Verdict, graded, told, unknown

_BLACK_LEVEL = 12.0  # grey levels of the 99th percentile up to which a picture is black
_WHITE_SHARE = 0.5  # of the pixels saturated: overexposed
_DARK, _BRIGHT = 20.0, 225.0  # grey levels, of the median picture's mean
_FLAT = 8.0  # grey levels of contrast
_WHITE_WARN = 0.2  # share of saturated pixels of the median picture
_JUMP = 1.4  # factor between the means of neighbours
_BLUR = 3.0  # grey levels of the Laplacian's deviation
_UNEQUAL = 2.5  # factor between left and right sharpness
_FEW_CORNERS, _TOO_FEW_CORNERS = 60.0, 25.0
_HELD_WARN, _HELD_FAULT = 0.5, 0.25  # share of the corners found again in the next frame
_PARALLAX = 0.25  # px between neighbours
_FROZEN_FAULT = 2  # pictures repeated
_DAMAGED_FAULT = 0.01  # share of the frames


def examine(seen: Look) -> list[Verdict]:
    """All verdicts on the pictures."""
    verdicts = [_decoded(seen)]
    for name, pictures in (("left", seen.left), ("right", seen.right)):
        if pictures is not None:
            verdicts += _camera(name, pictures, np.diff(seen.index, prepend=-9) == 1)
    if seen.right is not None:
        verdicts.append(_equal(seen.left, seen.right))
    return verdicts + [_texture(seen), _parallax(seen)]


def _decoded(seen: Look) -> Verdict:
    share = len(seen.faults) / max(len(seen.index), 1)
    figure = f"{len(seen.faults)} of {len(seen.index)} frames cannot be decoded" + (f"; first: {seen.faults[0]}" if seen.faults else "")
    level = graded(share, 1e-9, _DAMAGED_FAULT)
    return Verdict("images.decoded", level, figure, f"{100 * _DAMAGED_FAULT:g} %", "copy the files again; the engine skips such frames", 100 * share, "%")


def _camera(name: str, p: Pictures, neighbour: np.ndarray) -> list[Verdict]:
    """Verdicts on one camera; neighbour (m,): the frame before was looked at too."""
    if np.isnan(p.mean).all():
        return [Verdict(f"images.{name}.black", Level.FAULT, "no picture at all", "", "is the camera connected?")]
    black, white = p.high <= _BLACK_LEVEL, p.white >= _WHITE_SHARE
    usable = ~np.isnan(p.mean) & ~black & ~white
    verdicts = [
        _spell(f"images.{name}.black", black, p.t, "black", "lens cap, cable or exposure? without the right camera use --mono"),
        _spell(f"images.{name}.overexposed", white, p.t, "overexposed", "shorten the exposure, or let it adapt"),
        _frozen(name, (p.repeats > 0) & usable, p.t),
    ]
    if not usable.any():
        return verdicts
    return [*verdicts, _range(name, p, usable), _jumps(name, p, usable & neighbour), _sharpness(name, p, usable)]


def _spell(item: str, mask: np.ndarray, t: np.ndarray, what: str, remedy: str) -> Verdict:
    """A fault with its times where the mask holds."""
    count = int(mask.sum())
    figure = f"{count} of {len(t)} pictures are {what}: {told(_stretches(mask, t))}" if count else f"none is {what}"
    return Verdict(item, Level.FAULT if count else Level.OK, figure, "none", remedy, float(count), "pictures")


def _frozen(name: str, mask: np.ndarray, t: np.ndarray) -> Verdict:
    count, stretches = int(mask.sum()), _stretches(mask, t)
    longest = max((s.count for s in stretches), default=0)
    what = "the camera is frozen" if longest > 2 else "duplicated frames"
    figure = f"{count} of {len(t)} pictures repeat the one before, {what}: {told(stretches)}" if count else "no picture repeats the one before"
    level = Level.FAULT if count >= _FROZEN_FAULT else Level.WARNING if count else Level.OK
    return Verdict(f"images.{name}.frozen", level, figure, "none", "the driver repeats buffers: drop repeated frames before recording", float(count), "pictures")


def _stretches(mask: np.ndarray, t: np.ndarray) -> list[Stretch]:
    """Runs of a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [Stretch(float(t[a]), float(t[b - 1]), int(b - a)) for a, b in zip(edges[::2], edges[1::2])]


def _range(name: str, p: Pictures, usable: np.ndarray) -> Verdict:
    level, contrast, white = (float(np.median(x[usable])) for x in (p.mean, p.contrast, p.white))
    fine = _DARK <= level <= _BRIGHT and contrast >= _FLAT and white <= _WHITE_WARN
    figure = f"mean grey level {level:.0f}, contrast {contrast:.0f}, {100 * white:.1f} % saturated (medians)"
    limit = f"mean {_DARK:g} to {_BRIGHT:g}, contrast {_FLAT:g}, saturated {100 * _WHITE_WARN:g} %"
    return Verdict(f"images.{name}.exposure", Level.OK if fine else Level.WARNING, figure, limit, "adjust exposure, gain or light", level, "grey levels")


def _jumps(name: str, p: Pictures, pair: np.ndarray) -> Verdict:
    """Sudden changes of the mean between neighbours that are both usable."""
    item = f"images.{name}.exposure_jumps"
    both = np.flatnonzero(pair & np.concatenate([[False], (p.high[:-1] > _BLACK_LEVEL) & (p.white[:-1] < _WHITE_SHARE)]))
    if len(both) == 0:
        return unknown(item, "no two neighbouring pictures")
    ratio = np.exp(np.abs(np.log(p.mean[both] / p.mean[both - 1])))
    jumps = both[ratio > _JUMP]
    when = ", ".join(f"{t:.2f}" for t in p.t[jumps][:4])
    figure = f"{len(jumps)} jumps of up to a factor {ratio.max():.2f}, at {when} s" if len(jumps) else f"largest step a factor {ratio.max():.2f}"
    return Verdict(item, Level.WARNING if len(jumps) else Level.OK, figure, f"a factor {_JUMP:g}", "fix the exposure, or slow its adaptation", float(ratio.max()), "")


def _sharpness(name: str, p: Pictures, usable: np.ndarray) -> Verdict:
    sharp = float(np.median(p.sharpness[usable]))
    blurred = Level.WARNING if sharp < _BLUR else Level.OK
    return Verdict(f"images.{name}.sharpness", blurred, f"median {sharp:.1f} grey levels", f"{_BLUR:g}", "focus the lens, shorten the exposure", sharp, "grey levels")


def _equal(left: Pictures, right: Pictures) -> Verdict:
    """Are both lenses in focus?"""
    item = "images.focus"
    both = (left.high > _BLACK_LEVEL) & (right.high > _BLACK_LEVEL) & (left.white < _WHITE_SHARE) & (right.white < _WHITE_SHARE)
    if not both.any():
        return unknown(item, "no usable pair of pictures")
    ratio = float(np.exp(np.abs(np.median(np.log((left.sharpness[both] + 0.1) / (right.sharpness[both] + 0.1))))))
    figure = f"left and right sharpness differ by a factor {ratio:.2f}"
    return Verdict(item, Level.WARNING if ratio > _UNEQUAL else Level.OK, figure, f"a factor {_UNEQUAL:g}", "focus the softer lens, clean it", ratio, "")


def _texture(seen: Look) -> Verdict:
    item = "images.texture"
    usable = [m for k, m in seen.pairs if seen.left.high[k] > _BLACK_LEVEL and seen.left.high[k - 1] > _BLACK_LEVEL]
    if not usable:
        return unknown(item, "no two neighbouring pictures")
    corners = float(np.median([m.corners for m in usable]))
    held = float(np.median([m.tracked / max(m.corners, 1) for m in usable]))
    few = graded(-corners, -_FEW_CORNERS, -_TOO_FEW_CORNERS)
    lost = graded(-held, -_HELD_WARN, -_HELD_FAULT)
    level = Level.FAULT if Level.FAULT in (few, lost) else Level.WARNING if Level.WARNING in (few, lost) else Level.OK
    figure = f"{corners:.0f} corners per picture, {100 * held:.0f} % of them found again in the next (medians)"
    remedy = "more light or structure in view; if corners are many but lost: slower motion, shorter exposure, a higher rate"
    return Verdict(item, level, figure, f"{_FEW_CORNERS:g} corners, {100 * _HELD_WARN:g} %", remedy, corners, "corners")


def _parallax(seen: Look) -> Verdict:
    item = "images.parallax"
    values = [m.parallax for _, m in seen.pairs if m.phi is not None]
    if len(values) < 10:
        return unknown(item, "too few tracked pictures")
    high = float(np.quantile(values, 0.75))
    figure = f"{high:.2f} px from picture to picture beyond rotation (upper quartile)"
    remedy = "move sideways, not only turn: depth comes from parallax, or from stereo alone"
    return Verdict(item, Level.OK if high >= _PARALLAX else Level.WARNING, figure, f"{_PARALLAX:g} px", remedy, high, "px")
