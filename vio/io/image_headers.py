"""What an encoded image says of itself, read without decoding it: its size, and whether its bytes are all there.

PNG specification sections 5 and 11; JPEG: ITU-T T.81 annex B; TIFF 6.0 section 2; BMP: Microsoft's BITMAPINFOHEADER; Netpbm's pgm and ppm.
A decoder allocates what the header claims, so that an image whose claim cannot be read here is not decoded at all.
"""

import re
import struct
from collections.abc import Iterator

from isal import isal_zlib

from vio.errors import DataError

PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers whose block holds the size (ITU-T T.81, table B.1)
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01, 0xFF}  # markers without a block
_MOST_SCANS = 64  # of a progressive JPEG; each is a pass over the whole picture, and encoders write about ten
_NETPBM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE = 256, 257, (322, 323)
_LARGEST_TILE = 4096  # px; a tile may be larger than the picture


def declared_size(data: bytes, source: str) -> tuple[int, int]:
    """(width, height) by the header of a PNG, JPEG, TIFF, BMP or Netpbm image that is whole as far as its form shows.

    Raises DataError, which begins with `source`, for damaged ones and all other kinds.
    """
    if not data:
        raise DataError(f"{source}: the image is empty")
    for start, size_of in _KINDS:
        if data.startswith(start):
            try:
                size = size_of(data, source)
            except (struct.error, IndexError):
                size = None
            if size is None:
                raise DataError(f"{source}: the image is damaged: its header says no size")
            return size
    raise DataError(f"{source}: cannot be decoded as an image; PNG, JPEG, TIFF, BMP, PGM and PPM are read")


def _png_size(data: bytes, source: str) -> tuple[int, int] | None:
    for kind, _ in png_blocks(data, source):
        if kind == b"acTL":
            raise DataError(f"{source}: an animated PNG image")
    return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" else None


def png_blocks(data: bytes, source: str) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of the blocks of a PNG file, the last one IEND. Raises DataError where one is incomplete or has another checksum."""
    view, at, kind = memoryview(data), len(PNG), b""
    while kind != b"IEND":
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if end > len(data):
            raise DataError(f"{source}: the PNG image is truncated at byte {len(data)}")
        kind = bytes(view[at + 4 : at + 8])
        if isal_zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"{source}: the PNG image is damaged (checksum of its {kind.decode('latin-1') if kind.isalpha() else 'nameless'} block)")
        yield kind, view[at + 8 : end - 4]
        at = end


def _jpeg_size(data: bytes, source: str) -> tuple[int, int] | None:
    if b"\xff\xd9" not in data[-64:]:
        raise DataError(f"{source}: the JPEG image is truncated")
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise DataError(f"{source}: the JPEG image has more than {_MOST_SCANS} scans")
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 if marker in _JPEG_BARE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _bmp_size(data: bytes, source: str) -> tuple[int, int] | None:
    if int.from_bytes(data[14:18], "little") < 36:  # the old header, of 16 bits a side
        return None
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _netpbm_size(data: bytes, source: str) -> tuple[int, int] | None:
    match = _NETPBM.match(data[:4096])
    return (int(match[1]), int(match[2])) if match else None


def _tiff_size(data: bytes, source: str) -> tuple[int, int] | None:
    """By the first directory, as the decoder does it; a tag that is there twice means two things to two readers."""
    order = "<" if data[0] == 0x49 else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found: dict[int, int] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT, *_TIFF_TILE):
            if tag in found or values != 1 or kind not in (3, 4):
                return None
            (found[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, entry + 8)
    if any(found.get(tag, 0) > _LARGEST_TILE for tag in _TIFF_TILE) or _TIFF_WIDTH not in found or _TIFF_HEIGHT not in found:
        return None
    return found[_TIFF_WIDTH], found[_TIFF_HEIGHT]


_KINDS = (
    (PNG, _png_size), (_JPEG, _jpeg_size), (b"BM", _bmp_size), (b"II*\0", _tiff_size), (b"MM\0*", _tiff_size),
    *((b"P%d" % kind, _netpbm_size) for kind in range(1, 7)),
)  # fmt: skip
