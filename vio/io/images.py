"""Encoded images to pictures, with every fault found: a decoder alone would return a truncated picture half grey.

The size in the header is compared with the calibration before anything is decoded, so no header can claim gigabytes.
Grey PNG of 8 bits is read by `vio.io.png`, everything else and everything damaged by OpenCV.
"""

from pathlib import Path

import numpy as np

from vio.errors import CalibrationError, DataError
from vio.files import read_bytes
from vio.io.image_headers import declared_size

_PIXEL_BYTES, _SLACK = 10, 1 << 20  # of an encoded image at most: four samples of 16 bits and what surrounds them


def read_grey(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a file to (height, width) uint8, C-contiguous: colour becomes grey, 16 bits lose the lower 8.

    Raises DataError naming the file if it is missing or damaged, CalibrationError if it is of another size.
    """
    return grey8(read_picture(path, width, height))


def read_picture(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a file as it is: (height, width) or (height, width, 3) BGR, uint8 or uint16. Raises as `read_grey` does."""
    data = read_bytes(path, _PIXEL_BYTES * width * height + _SLACK, DataError, "the image")
    return decode(data, str(path), width, height)


def decode(data: bytes, source: str, width: int, height: int) -> np.ndarray:
    """Decode an encoded image as it is; errors begin with `source`. Raises as `read_grey` does."""
    from vio.io.png import plain_grey

    picture = plain_grey(data, width, height)
    return _by_opencv(data, source, width, height) if picture is None else picture


def _by_opencv(data: bytes, source: str, width: int, height: int) -> np.ndarray:
    """Decode an image of any kind that is read. Raises as `read_grey` does."""
    import cv2

    check_size(*declared_size(data, source), source, width, height)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{source}: cannot be decoded as an image")
    check_size(image.shape[1], image.shape[0], source, width, height)
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{source}: samples of type {image.dtype}; 8 or 16 bits are read")
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        raise DataError(f"{source}: {image.shape[2]} channels; grey, colour and colour with opacity are read")
    return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR) if image.ndim == 3 and image.shape[2] == 4 else image


def check_size(found_width: int, found_height: int, source: str, width: int, height: int) -> None:
    """Raise CalibrationError unless the image has the calibrated size."""
    if (found_width, found_height) != (width, height):
        raise CalibrationError(f"{source}: the image is {found_width}x{found_height}, but the calibration says {width}x{height}")


def grey8(image: np.ndarray, shift: int = 8) -> np.ndarray:
    """The picture as the engine takes it, (h, w) uint8 C-contiguous; of 16-bit samples, `shift` low bits are dropped."""
    if image.dtype == np.uint16:
        image = np.minimum(image >> shift, 255).astype(np.uint8)
    if image.ndim == 3:
        import cv2

        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image)


def encode_png(picture: np.ndarray, source: str) -> bytes:
    """A picture as PNG, losslessly but quickly: noise does not compress, so a low level costs little space. Raises DataError."""
    import cv2

    ok, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY])
    if not ok:
        raise DataError(f"{source}: the picture could not be encoded")
    return data.tobytes()
