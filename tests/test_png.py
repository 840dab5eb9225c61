"""The PNG reader of grey pictures: its pixels, what it leaves to OpenCV, and files that are broken or hostile."""

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from fuzzing import broken, edits
from hypothesis import given, settings
from hypothesis import strategies as st

from vio.errors import DataError
from vio.io import images
from vio.io.png import plain_grey

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """A block: length, kind, content, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(picture: np.ndarray, filters: np.ndarray) -> bytes:
    """Rows as PNG stores them, each by the filter of its number (specification, section 9.2)."""
    wide = np.pad(picture.astype(int), ((1, 0), (1, 0)))
    x, a, b, c = wide[1:, 1:], wide[1:, :-1], wide[:-1, 1:], wide[:-1, :-1]
    distances = np.abs(np.array([a, b, c]) - (a + b - c))
    paeth = np.choose(distances.argmin(axis=0), [a, b, c])  # the first of equals
    residuals = np.array([x, x - a, x - b, x - (a + b) // 2, x - paeth]) % 256
    rows = residuals[filters, np.arange(len(picture))].astype(np.uint8)
    return np.column_stack([filters.astype(np.uint8), rows]).tobytes()


def png_file(picture: np.ndarray, filters: np.ndarray, pack: Callable[[bytes], bytes] = zlib.compress, piece: int = 1 << 20, extra: bytes = b"") -> bytes:
    """A grey file of 8 bits whose stream lies in blocks of `piece` bytes, with other blocks in front of them."""
    height, width = picture.shape
    stream = pack(filtered(picture, filters))
    blocks = b"".join(chunk(b"IDAT", stream[k : k + piece]) for k in range(0, len(stream), piece))
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + extra + blocks + chunk(b"IEND", b"")


def by_opencv(data: bytes, width: int, height: int) -> np.ndarray | str:
    """What comes of a file without the reader under test: the picture, or the error's kind and text."""
    try:
        return images._by_opencv(data, "x", width, height)
    except DataError as error:
        return repr(error)


def by_us(data: bytes, width: int, height: int) -> np.ndarray | str:
    """What comes of a file as it is read."""
    try:
        return images.decode(data, "x", width, height)
    except DataError as error:
        return repr(error)


def assert_same(data: bytes, width: int, height: int) -> None:
    ours, theirs = by_us(data, width, height), by_opencv(data, width, height)
    assert type(ours) is type(theirs) and np.array_equal(ours, theirs), (ours, theirs)


PICTURE = np.random.default_rng(3).integers(0, 256, (40, 33), np.uint8)
FILTERS = np.arange(40) % 5


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 90), st.integers(1, 70), st.integers(0, 4), st.integers(1, 3000))
def test_every_filter_gives_the_pixels_of_opencv(data: st.DataObject, height: int, width: int, roughness: int, piece: int) -> None:
    """Oracle: OpenCV; pictures from noise to few grey levels, so that the three distances of Paeth's filter are often equal."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    picture = (rng.integers(0, 256, (height, width)) >> 2 * roughness << 2 * roughness).astype(np.uint8)
    one = data.draw(st.sampled_from((None, 0, 1, 2, 3, 4)))
    filters = rng.integers(0, 5, height) if one is None else np.full(height, one)
    encoded = png_file(picture, filters, piece=piece)
    found = plain_grey(encoded, width, height)
    assert found is not None and found.dtype == np.uint8 and found.flags.c_contiguous
    assert np.array_equal(found, picture) and np.array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED), picture)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_a_picture_of_a_camera_is_read_whatever_wrote_it(level: int) -> None:
    """Oracle: the picture; stored, fast and slow compression by OpenCV, with its choice of filters."""
    rows, columns = np.mgrid[0:480, 0:752]
    picture = (128 + 90 * np.sin(rows / 17) * np.cos(columns / 23) + np.random.default_rng(0).normal(0, 4, (480, 752))).clip(0, 255).astype(np.uint8)
    encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()
    assert np.array_equal(plain_grey(encoded, 752, 480), picture)


def others() -> dict[str, bytes]:
    """Whole files that are not grey, or not of 8 bits, or otherwise than cameras write them; all of 33x40."""
    colour = np.dstack([PICTURE, PICTURE[::-1], PICTURE[:, ::-1]])
    opacity = np.dstack([colour, PICTURE])
    pictures = {"16 bits": PICTURE.astype(np.uint16) * 257, "colour": colour, "opacity": opacity}
    found = {name: cv2.imencode(".png", picture)[1].tobytes() for name, picture in pictures.items()}
    bits = np.column_stack([np.zeros(40, np.uint8), np.packbits(PICTURE > 127, axis=1)]).tobytes()
    plain, end = png_file(PICTURE, FILTERS), chunk(b"IEND", b"")

    def of(header: bytes, *blocks: bytes) -> bytes:
        return SIGNATURE + chunk(b"IHDR", struct.pack(">II", 33, 40) + header) + b"".join(blocks) + end

    stream = chunk(b"IDAT", zlib.compress(filtered(PICTURE, FILTERS)))
    return found | {
        "1 bit": of(b"\1\0\0\0\0", chunk(b"IDAT", zlib.compress(bits))), "palette": of(b"\x08\3\0\0\0", chunk(b"PLTE", bytes(range(256)) * 3), stream),
        "one grey level is transparent": png_file(PICTURE, FILTERS, extra=chunk(b"tRNS", b"\0\x07")), "interlaced": of(b"\x08\0\0\0\1", stream),
        "gzip": png_file(PICTURE, FILTERS, gzip.compress), "bare deflate": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data, wbits=-15)),
        "small window": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data, wbits=12)), "no stream": of(b"\x08\0\0\0\0"),
        "two headers": plain[:33] + plain[8:], "another size": png_file(PICTURE[:-1], FILTERS[:-1]), "not PNG": b"\xff\xd8\xff\xd9",
        "a block between": plain[:-12] + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"") + end, "unknown critical block": png_file(PICTURE, FILTERS, extra=chunk(b"ABCD", b"")),
        "a row too many": png_file(np.vstack([PICTURE, PICTURE[:1]]), np.zeros(41, int)).replace(struct.pack(">II", 33, 41), struct.pack(">II", 33, 40)),
        "bytes after the stream": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data) + b"1234"), "a row too few": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data[:-34])),
        "no such filter": png_file(PICTURE, FILTERS, lambda data: zlib.compress(b"\5" + data[1:])), "no checksum of the stream": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data)[:-1]),
        "wrong checksum of the stream": png_file(PICTURE, FILTERS, lambda data: zlib.compress(data)[:-1] + bytes([zlib.compress(data)[-1] ^ 1])),
        "dictionary": png_file(PICTURE, FILTERS, lambda data: b"\x78\xbb" + bytes(4) + zlib.compress(data)[2:]),
    }  # fmt: skip


@pytest.mark.parametrize("kind", others())
def test_what_is_not_plain_grey_is_left_to_opencv(kind: str) -> None:
    """Oracle: the reader before this one, whose picture or error it is."""
    encoded = others()[kind]
    assert plain_grey(encoded, 33, 40) is None
    assert_same(encoded, 33, 40)


@pytest.mark.parametrize("extra", [chunk(b"tEXt", b"Software\0camera"), chunk(b"pHYs", bytes(9)), chunk(b"tIME", bytes(7)), chunk(b"gAMA", struct.pack(">I", 45455))])
def test_blocks_that_change_no_pixel_are_passed_over(extra: bytes) -> None:
    """Oracle: the picture, and OpenCV."""
    encoded = png_file(PICTURE, FILTERS, extra=extra)
    assert np.array_equal(plain_grey(encoded, 33, 40), PICTURE)
    assert_same(encoded, 33, 40)


def test_no_byte_of_a_file_can_change_unnoticed() -> None:
    """Oracle: the picture. Whatever byte is flipped or wherever the file ends, it is an error or left to OpenCV, and there an error."""
    encoded = png_file(PICTURE, FILTERS, piece=300)
    for at in range(len(encoded)):
        for damaged in (encoded[:at], encoded[:at] + bytes([encoded[at] ^ 1 << at % 8]) + encoded[at + 1 :]):
            assert plain_grey(damaged, 33, 40) is None
            assert isinstance(by_us(damaged, 33, 40), str)


@settings(max_examples=200, deadline=None)
@given(edits, st.booleans())
def test_a_broken_file_gives_what_opencv_gives(changes: list, is_summed: bool) -> None:
    """Oracle: the reader before this one, its picture or its error word for word; with `is_summed` the stream breaks, not the blocks around it."""
    if is_summed:
        encoded = png_file(PICTURE, FILTERS, lambda data: broken(zlib.compress(data), changes))
    else:
        encoded = broken(png_file(PICTURE, FILTERS, piece=300), changes)
    assert_same(encoded, 33, 40)


def test_a_bomb_takes_no_more_memory_than_the_picture() -> None:
    """Oracle: the size asked for. 64 MB of zeros under a header that says 33x40."""
    stream = zlib.compressobj()
    bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(64)) + stream.flush()
    encoded = png_file(PICTURE, FILTERS, lambda _: bomb)
    plain_grey(png_file(PICTURE, FILTERS), 33, 40)
    tracemalloc.start()
    assert plain_grey(encoded, 33, 40) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(encoded) + (1 << 18)
