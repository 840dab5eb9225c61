"""Image files to grey pictures, with every fault found: a decoder alone would return a truncated picture half grey."""

import zlib
from pathlib import Path

import numpy as np

from vio.errors import CalibrationError, DataError

_PNG = b"\x89PNG\r\n\x1a\n"


def read_grey(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a picture to (height, width) uint8, C-contiguous: colour becomes grey, 16 bits lose the lower 8.

    Raises DataError naming the file if it is missing or damaged, CalibrationError if it is of another size.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(_checked_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError(f"{path}: cannot be decoded as an image")
    if image.shape[:2] != (height, width):
        raise CalibrationError(f"{path}: the image is {image.shape[1]}x{image.shape[0]}, but sensor.yaml says {width}x{height}")
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f"{path}: samples of type {image.dtype}; 8 or 16 bits are read")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image)


def _checked_bytes(path: Path) -> bytes:
    """The whole file, unless it is missing, empty or visibly damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror})") from None
    if not data:
        raise DataError(f"{path}: the image file is empty")
    if data.startswith(_PNG):
        _check_png(path, data)
    elif data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-64:]:
        raise DataError(f"{path}: the JPEG image is truncated")
    return data


def _check_png(path: Path, data: bytes) -> None:
    """Walk the chunks (PNG specification, section 5): each complete, each with its CRC, the last one IEND."""
    view, at = memoryview(data), len(_PNG)
    while True:
        length = int.from_bytes(view[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            raise DataError(f"{path}: the PNG image is truncated at byte {len(data)}")
        kind = bytes(view[at + 4 : at + 8])
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"{path}: the PNG image is damaged (checksum of its {kind.decode('latin-1')} block)")
        if kind == b"IEND":
            return
        at = end
