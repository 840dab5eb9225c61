"""CSV tables of the ASL layout: fast when whole, and able to name file and line when not.

Memory: at most LARGEST bytes and MOST_LINES lines are taken in, at the cost of at most nine bytes for each byte (three, where all is ASCII) and 300 for each line.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vio.errors import DataError
from vio.files import read_text, shown

LARGEST, MOST_LINES, LONGEST_LINE = 1 << 30, 10_000_000, 4096  # bytes, lines (fourteen hours at 200 Hz), characters
FARTHEST_NS = 2**62  # from 1970, and exclusive: so the difference of two stamps is an int64 too
FARTHEST_M = 1e7  # of a ground truth's number from 0: a pose beyond is none
_LONGEST_NAME = 255  # bytes of a file's name
TRUTH, MOCAP = "state_groundtruth_estimate0", "mocap0"  # folders of the ground truth: EuRoC's with velocity and biases, poses alone


def read_numbers(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read `stamp, value, ...` rows: t_ns (n,) exact int64, values (n, columns) float64, and the file's line (n,) of each row.

    Raises DataError naming file and line of the first row that does not parse. `nan` and `inf` are numbers here.
    """
    text = read_lines(path)
    lines = _row_lines(text)
    if len(lines) == 0:
        raise DataError(f"{path}: the table has no rows")
    layout = np.dtype([("t", np.int64), ("v", np.float64, (columns,))])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy would read 1.4e18 as a stamp, off by up to 128 ns
            rows = np.loadtxt(text, layout, comments="#", delimiter=",", usecols=range(columns + 1), ndmin=1)
    except (ValueError, OverflowError, Warning):
        _find_bad_row(path, text, lines, columns)
        raise DataError(f"{path}: not a table of {columns + 1} numbers in each row") from None
    check_stamps(path, rows["t"], lines)
    if len(rows) != len(lines):
        raise DataError(f"{path}: {len(lines)} rows, but {len(rows)} could be read; is there a '#' inside a row?")
    return rows["t"], rows["v"], lines


def read_names(path: Path) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Read `stamp, file name` rows: t_ns (n,) int64, names, line numbers (n,). Raises DataError naming file and line."""
    text = read_lines(path)
    lines = _row_lines(text)
    stamps, names = np.empty(len(lines), np.int64), []
    for row, line in enumerate(lines):
        stamp, comma, name = text[line - 1].partition(",")
        try:
            stamps[row] = int(stamp)
        except (ValueError, OverflowError):
            raise DataError(f"{path}, line {line}: '{stamp.strip()[:40]}' is not a stamp in whole nanoseconds") from None
        names.append(name.split(",")[0].strip())
        if not names[-1]:
            raise DataError(f"{path}, line {line}: no file name after the stamp")
        if not is_inside(names[-1]):
            raise DataError(f"{path}, line {line}: {shown(names[-1])} leads out of the folder, or is no name for a file")
    check_stamps(path, stamps, lines)
    return stamps, names, lines


def columns(path: Path) -> int:
    """Number of columns of the first row, 0 without rows. Raises DataError if the file cannot be read."""
    text = read_lines(path)
    lines = _row_lines(text)
    return text[lines[0] - 1].count(",") + 1 if len(lines) else 0


def ascending(path: Path, t_ns: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Mask (n,) of the rows whose stamp is later than every kept one before it, and a line of text if some are not.

    Raises DataError if there is no row at all, or if more than half would have to go.
    """
    if len(t_ns) == 0:
        raise DataError(f"{path}: the table has no rows")
    keep = np.ones(len(t_ns), bool)
    keep[1:] = t_ns[1:] > np.maximum.accumulate(t_ns)[:-1]
    dropped = int((~keep).sum())
    if dropped == 0:
        return keep, ()
    first = lines[np.argmin(keep)]
    if 2 * dropped > len(t_ns):
        raise DataError(f"{path}, line {first}: the stamps are out of order from here on ({dropped} of {len(t_ns)} rows)")
    rows = "1 row whose stamp goes" if dropped == 1 else f"{dropped} rows whose stamps go"
    return keep, (f"{path}: dropped {rows} back or repeat{'s' if dropped == 1 else ''}, first at line {first}",)


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, if it is no larger than a table may be. Raises DataError."""
    text = read_text(path, LARGEST, DataError)
    text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    if text.count("\n") >= MOST_LINES:
        raise DataError(f"{path}: more than {MOST_LINES} lines")
    lines = text.split("\n")
    longest = max(map(len, lines), default=0)
    if longest > LONGEST_LINE:
        line = next(number for number, row in enumerate(lines, 1) if len(row) > LONGEST_LINE)
        raise DataError(f"{path}, line {line}: {len(lines[line - 1])} characters; a row has at most {LONGEST_LINE}")
    return lines


def is_inside(name: str) -> bool:
    """Whether a file's name, perhaps with folders, stays in the folder it is looked up in and can be asked for at all."""
    parts = name.split("/")
    return not (name.startswith("/") or ".." in parts or "\0" in name or any(len(part.encode()) > _LONGEST_NAME for part in parts))


def check_stamps(path: Path, t_ns: np.ndarray, lines: np.ndarray) -> None:
    """Raise DataError for a stamp so far from 1970 that a difference of two would not be one of 64 bits."""
    far = np.flatnonzero((t_ns >= FARTHEST_NS) | (t_ns <= -FARTHEST_NS))
    if len(far):
        raise DataError(f"{path}, line {lines[far[0]]}: the stamp {t_ns[far[0]]} ns is no time; allowed: up to {FARTHEST_NS} in magnitude")


def _row_lines(text: list[str]) -> np.ndarray:
    """Line numbers, from 1, of the rows that hold data: neither empty nor a comment."""
    return np.array([i for i, line in enumerate(text, 1) if line.strip() and not line.lstrip().startswith("#")], np.int64)


def _find_bad_row(path: Path, text: list[str], lines: np.ndarray, columns: int) -> None:
    """Raise DataError for the first row that is not one stamp and `columns` numbers."""
    for line in lines:
        cells = text[line - 1].split(",")
        if len(cells) < columns + 1:
            raise DataError(f"{path}, line {line}: {len(cells)} columns, {columns + 1} are needed")
        converters: list[Callable[[str], object]] = [np.int64, *[float] * columns]
        for number, (convert, cell) in enumerate(zip(converters, cells), 1):
            try:
                convert(cell)
            except (ValueError, OverflowError):
                kind = "a stamp in whole nanoseconds" if number == 1 else "a number"
                raise DataError(f"{path}, line {line}: '{cell.strip()[:40]}' in column {number} is not {kind}") from None
