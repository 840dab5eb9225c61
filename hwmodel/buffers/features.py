"""Feature table, patches, lens tables."""

from hwmodel.buffers.record import Buffer, Savings
from hwmodel.chip import Chip
from vio.config import Config

_MARGIN = 32  # px sampled beyond the border by the engine's undistortion table
_CELL = 8  # px between its samples
_RADIAL = 66  # samples of r^2 up to 1 at 1/64, and their ends
_ID, _AGE, _STATUS = 32, 16, 3  # bits


def feature_bits(config: Config) -> int:
    """Bits of one row of the feature table: what `FrontEnd` keeps of a feature."""
    p = config.precision
    return _ID + _AGE + _STATUS + 2 * 2 * p.position.bits + 3 * 2 * p.ray.bits + p.inverse_depth.bits + 1


def feature_buffers(config: Config, chip: Chip, savings: Savings) -> list[Buffer]:
    """Everything the sparse part of the front end holds."""
    p, side = config.precision, config.frontend.klt_window
    cells = (-(-(chip.image_width + 2 * _MARGIN) // _CELL) + 1) * (-(-(chip.image_height + 2 * _MARGIN) // _CELL) + 1)
    window, anchor = config.frontend.stereo_window, (side + 3) ** 2 * p.pixel.bits + 2 * p.position.bits
    anchors = [Buffer("features", "anchors", config.frontend.max_features, anchor, 1, "the patch of each feature's birth, and its place in it")]
    return [
        Buffer("tracker", "patch", side + 3, (side + 3) * p.pixel.bits, 2, "window and two pixels for gradients and interpolation, one row a word"),
        Buffer("tracker", "template", side, side * (p.template.bits + 2 * p.gradient.bits), 2, "sample and gradient of every pixel of the window, one row a word"),
        Buffer("features", "feature_table", config.frontend.max_features, feature_bits(config), 2, "frontend.max_features; id, age, state, places, rays, depth"),
        *(anchors if config.frontend.anchor_reach > 0.0 else []),
        Buffer("stereo", "stereo_windows", 2 * window, window * p.pixel.bits, 2, "template and candidate window, one row a word"),
        *(Buffer("rays", f"undistortion_{s}", cells, 2 * p.ray.bits, 1, "a ray every 8 px, 32 px beyond the border") for s in ("left", "right")),
        *(Buffer("rays", f"radial_{s}", _RADIAL, p.distortion.bits, 1, "radial factor every 1/64 of r^2") for s in ("left", "right")),
    ]
