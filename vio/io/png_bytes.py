"""Kernels of the PNG reader: blocks checked and gathered, row filters undone.

PNG specification (W3C, third edition), sections 5, 9 and annex D.
"""

import numpy as np

from vio.kernels import leaf, njit

LANES = 32  # rows at work at once: as many bytes as a vector of AVX2 holds
_STRIDE = LANES + 1  # and the row above them
_SLICES = 16
_POLYNOMIAL = 0xEDB88320
_HEADER, _DATA, _END = (int.from_bytes(kind, "big") for kind in (b"IHDR", b"IDAT", b"IEND"))
_HARMLESS = tuple(int.from_bytes(kind, "big") for kind in (b"tEXt", b"tIME", b"pHYs", b"gAMA"))  # blocks that change no sample
_SIGNATURE = 8


def _crc_tables() -> np.ndarray:
    """(16, 256) uint32: what a byte does to the checksum from where it stands and from up to fifteen bytes before."""
    tables = np.zeros((_SLICES, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        tables[0] = (tables[0] >> 1) ^ np.where(tables[0] & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    for k in range(1, _SLICES):
        tables[k] = (tables[k - 1] >> 8) ^ tables[0][tables[k - 1] & 255]
    return tables


_TABLES = _crc_tables()


@njit(inline="always")
def _big_endian(data, at):
    """The 32-bit number at a place, most significant byte first."""
    return (np.int64(data[at]) << 24) | (np.int64(data[at + 1]) << 16) | (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])


@leaf
def _crc32(data):
    """CRC-32 of bytes, sixteen at a time, with a table for each (Kounavis and Berry 2008)."""
    crc, at = np.uint64(0xFFFFFFFF), 0
    while at + _SLICES <= data.shape[0]:
        part, found = data[at : at + _SLICES], np.uint32(0)
        for k in range(_SLICES):
            before = (crc >> np.uint64(min(8 * k, 32))) & np.uint64(255)
            found ^= _TABLES[_SLICES - 1 - k, before ^ np.uint64(part[k])]
        crc, at = np.uint64(found), at + _SLICES
    for k in range(at, data.shape[0]):
        crc = (crc >> np.uint64(8)) ^ np.uint64(_TABLES[0, (crc ^ np.uint64(data[k])) & np.uint64(255)])
    return np.int64(crc ^ np.uint64(0xFFFFFFFF))


@leaf
def _copy(source, out):
    for k in range(source.shape[0]):
        out[k] = source[k]


@leaf(nogil=True)
def gather(data, packed):
    """Copy the contents of all IDAT blocks of a PNG file into `packed`, both (n,) uint8, and return how many bytes they are.

    0 where a block is incomplete, has another checksum or is of a kind that is not known here, or where IDAT blocks do not follow each other.
    """
    at, used, after = _SIGNATURE, 0, 0
    while at + 12 <= data.shape[0]:
        length, kind = _big_endian(data, at), _big_endian(data, at + 4)
        end = at + 8 + length
        if end + 4 > data.shape[0] or _crc32(data[at + 4 : end]) != _big_endian(data, end):
            return 0
        if kind == _END:
            return used
        if kind == _DATA:
            if used and after != at:
                return 0
            _copy(data[at + 8 : end], packed[used : used + length])
            used, after = used + length, end + 4
        elif kind not in _HARMLESS and (kind != _HEADER or at != _SIGNATURE):
            return 0
        at = end + 4
    return 0


@njit(inline="always")
def _distance(a, b):
    """|a - b| of two uint8, as one."""
    return np.uint8(max(a, b) - min(a, b))


@njit(inline="always")
def _paeth(a, b, c):
    """Which of a (left), b (above) and c (above left) is nearest to a + b - c, the first of equals.

    All in 8 bits: with c outside of a..b the nearest is the farther of the two from c; with c between, the third distance is the difference of the others.
    """
    low, high = min(a, b), max(a, b)
    to_a, to_b = _distance(b, c), _distance(a, c)
    to_c = _distance(to_a, to_b)
    nearest = b if to_b <= to_c else c
    nearest = a if (to_a <= to_b) & (to_a <= to_c) else nearest
    nearest = low if c >= high else nearest
    return high if c <= low else nearest


@leaf
def _advance(now, left, above, corner, sub, up, average, paeth):
    """Add its prediction to one byte in each lane; the last four are 255 in the lanes of that filter, 0 elsewhere."""
    for lane in range(LANES):
        a, b, c = left[lane], above[lane], corner[lane]
        mean = np.uint8((np.int64(a) + np.int64(b)) >> 1)
        predicted = (a & sub[lane]) | (b & up[lane]) | (mean & average[lane]) | (_paeth(a, b, c) & paeth[lane])
        now[lane] = np.uint8(now[lane] + predicted)


@leaf
def _spread(row, skewed, at):
    """Put a row of bytes into its lane."""
    for column in range(row.shape[0]):
        skewed[np.uint64(at + column * _STRIDE)] = row[column]


@leaf
def _collect(skewed, at, row):
    """Take a row of bytes out of its lane."""
    for column in range(row.shape[0]):
        row[column] = skewed[np.uint64(at + column * _STRIDE)]


@njit(nogil=True)
def undo_filters(filtered, picture):
    """Fill `picture` (h, w) uint8 from h rows (h * (w + 1),) uint8, each with its filter's number in front; False if that is none of 0 to 4.

    A byte needs those left, above and above left of it. Rows go side by side, each a column behind the one above it, so that they wait
    for nobody: a step takes one byte of each of 32 rows.
    """
    height, width = picture.shape
    skewed = np.zeros((width + LANES + 2) * _STRIDE, np.uint8)  # (steps, lanes), the row above in lane 0
    masks = np.zeros((5, LANES), np.uint8)
    for top in range(0, height, LANES):
        rows = min(LANES, height - top)
        masks[:] = 0
        for row in range(rows):
            start = (top + row) * (width + 1)
            kind = filtered[start]
            if kind > 4:
                return False
            masks[kind, row] = 255
            for step in range(row + 2):  # nothing stands left of a row
                skewed[step * _STRIDE + row + 1] = 0
            _spread(filtered[start + 1 : start + 1 + width], skewed, (row + 2) * _STRIDE + row + 1)
        if top:
            _spread(picture[top - 1], skewed, _STRIDE)
        for step in range(2, width + rows + 1):
            now, before, last = step * _STRIDE, (step - 1) * _STRIDE, (step - 2) * _STRIDE
            left, above, corner = skewed[before + 1 : now], skewed[before : now - 1], skewed[last : before - 1]
            _advance(skewed[now + 1 : now + _STRIDE], left, above, corner, masks[1], masks[2], masks[3], masks[4])
        for row in range(rows):
            _collect(skewed, (row + 2) * _STRIDE + row + 1, picture[top + row])
    return True
