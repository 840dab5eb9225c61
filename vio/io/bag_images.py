"""Image messages to pictures: raw (grey, colour, Bayer, YUV; 8 and 16 bits) and compressed."""

from typing import Any

import numpy as np

from vio.errors import DataError
from vio.files import shown
from vio.io.images import check_size, decode

# encoding: bytes per sample, channels, and OpenCV's conversion to BGR or None. Source: sensor_msgs/image_encodings.hpp.
# OpenCV names Bayer patterns twice; COLOR_BayerRGGB2BGR and its like mean the first two rows as ROS does.
_ENCODINGS: dict[str, tuple[int, int, str | None]] = {
    "mono8": (1, 1, None), "8UC1": (1, 1, None), "mono16": (2, 1, None), "16UC1": (2, 1, None),
    "bgr8": (1, 3, None), "8UC3": (1, 3, None), "bgr16": (2, 3, None), "rgb8": (1, 3, "COLOR_RGB2BGR"), "rgb16": (2, 3, "COLOR_RGB2BGR"),
    "bgra8": (1, 4, "COLOR_BGRA2BGR"), "rgba8": (1, 4, "COLOR_RGBA2BGR"),
    "yuv422": (1, 2, "COLOR_YUV2BGR_UYVY"), "uyvy": (1, 2, "COLOR_YUV2BGR_UYVY"), "yuv422_yuy2": (1, 2, "COLOR_YUV2BGR_YUY2"), "yuyv": (1, 2, "COLOR_YUV2BGR_YUY2"),
    **{f"bayer_{p}{bits}": (bits // 8, 1, f"COLOR_Bayer{p.upper()}2BGR") for p in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)},
}


def check_encoding(message: Any, source: str) -> None:
    """Raise DataError, which begins with `source`, for an encoding that cannot be read."""
    if not hasattr(message, "encoding"):
        if "compressedDepth" in message.format:
            raise DataError(f"{source}: a compressed depth image ({shown(message.format)}); odometry needs intensity images")
        return
    if message.encoding not in _ENCODINGS:
        raise DataError(f"{source}: encoding {shown(message.encoding)} is not supported; supported: {', '.join(_ENCODINGS)}, and compressed images")


def decode_message(message: Any, source: str, width: int, height: int) -> np.ndarray:
    """The picture of an Image or CompressedImage: (height, width) or (height, width, 3) BGR, uint8 or uint16, C-contiguous.

    Raises DataError for a damaged one or an unknown encoding, CalibrationError for one of another size.
    """
    check_encoding(message, source)
    if not hasattr(message, "encoding"):
        return decode(bytes(message.data), source, width, height)
    check_size(message.width, message.height, source, width, height)
    sample, channels, conversion = _ENCODINGS[message.encoding]
    row = width * channels * sample
    if message.step < row or len(message.data) < message.step * height:
        raise DataError(f"{source}: {len(message.data)} bytes with {message.step} in a row do not hold {width}x{height} of {message.encoding}")
    rows = np.asarray(message.data, np.uint8)[: message.step * height].reshape(height, message.step)[:, :row]
    picture = np.ascontiguousarray(rows).view(np.uint8 if sample == 1 else ">u2" if message.is_bigendian else "<u2")
    picture = picture.reshape((height, width) if channels == 1 else (height, width, channels))
    return _converted(source, np.ascontiguousarray(picture, np.uint8 if sample == 1 else np.uint16), conversion)


def _converted(source: str, picture: np.ndarray, conversion: str | None) -> np.ndarray:
    if conversion is None:
        return picture
    import cv2

    try:
        return cv2.cvtColor(picture, getattr(cv2, conversion))
    except cv2.error:
        raise DataError(f"{source}: an image of this size does not exist in its encoding") from None
