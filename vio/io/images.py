"""Encoded images to pictures, with every fault found: a decoder alone would return a truncated picture half grey.

The size in the header is compared with the calibration before anything is decoded, so no header can claim gigabytes.
"""

import zlib
from pathlib import Path

import numpy as np

from vio.errors import CalibrationError, DataError

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers whose block holds the size (ITU-T T.81, table B.1)
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01, 0xFF}  # markers without a block


def read_grey(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a file to (height, width) uint8, C-contiguous: colour becomes grey, 16 bits lose the lower 8.

    Raises DataError naming the file if it is missing or damaged, CalibrationError if it is of another size.
    """
    return grey8(read_picture(path, width, height))


def read_picture(path: Path, width: int, height: int) -> np.ndarray:
    """Decode a file as it is: (height, width) or (height, width, 3) BGR, uint8 or uint16. Raises as `read_grey` does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror})") from None
    return decode(data, str(path), width, height)


def decode(data: bytes, source: str, width: int, height: int) -> np.ndarray:
    """Decode an encoded image as it is; errors begin with `source`. Raises as `read_grey` does."""
    import cv2

    _check_whole(data, source)
    size = declared_size(data)
    if size is not None:
        check_size(*size, source, width, height)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{source}: cannot be decoded as an image")
    check_size(image.shape[1], image.shape[0], source, width, height)
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{source}: samples of type {image.dtype}; 8 or 16 bits are read")
    if image.ndim == 3 and image.shape[2] == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    return image


def check_size(found_width: int, found_height: int, source: str, width: int, height: int) -> None:
    """Raise CalibrationError unless the image has the calibrated size."""
    if (found_width, found_height) != (width, height):
        raise CalibrationError(f"{source}: the image is {found_width}x{found_height}, but the calibration says {width}x{height}")


def grey8(image: np.ndarray, shift: int = 8) -> np.ndarray:
    """The picture as the engine takes it, (h, w) uint8 C-contiguous; of 16-bit samples, `shift` low bits are dropped."""
    import cv2

    if image.dtype == np.uint16:
        image = np.minimum(image >> shift, 255).astype(np.uint8)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image)


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) by the header of a PNG or JPEG image, None for other kinds."""
    if data.startswith(_PNG) and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 if marker in _JPEG_BARE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _check_whole(data: bytes, source: str) -> None:
    """Raise DataError for an image that is empty or visibly damaged."""
    if not data:
        raise DataError(f"{source}: the image is empty")
    if data.startswith(_PNG):
        _check_png(data, source)
    elif data.startswith(_JPEG) and b"\xff\xd9" not in data[-64:]:
        raise DataError(f"{source}: the JPEG image is truncated")


def _check_png(data: bytes, source: str) -> None:
    """Walk the chunks (PNG specification, section 5): each complete, each with its CRC, the last one IEND."""
    view, at = memoryview(data), len(_PNG)
    while True:
        length = int.from_bytes(view[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            raise DataError(f"{source}: the PNG image is truncated at byte {len(data)}")
        kind = bytes(view[at + 4 : at + 8])
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"{source}: the PNG image is damaged (checksum of its {kind.decode('latin-1')} block)")
        if kind == b"IEND":
            return
        at = end


def encode_png(picture: np.ndarray, source: str) -> bytes:
    """A picture as PNG, losslessly but quickly: noise does not compress, so a low level costs little space. Raises DataError."""
    import cv2

    ok, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY])
    if not ok:
        raise DataError(f"{source}: the picture could not be encoded")
    return data.tobytes()
