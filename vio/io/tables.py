"""CSV tables of the ASL layout: fast when whole, and able to name file and line when not."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vio.errors import DataError

TRUTH, MOCAP = "state_groundtruth_estimate0", "mocap0"  # folders of the ground truth: EuRoC's with velocity and biases, poses alone


def read_numbers(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read `stamp, value, ...` rows: t_ns (n,) exact int64, values (n, columns) float64, and the file's line (n,) of each row.

    Raises DataError naming file and line of the first row that does not parse. `nan` and `inf` are numbers here.
    """
    text = _text(path)
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
    if len(rows) != len(lines):
        raise DataError(f"{path}: {len(lines)} rows, but {len(rows)} could be read; is there a '#' inside a row?")
    return rows["t"], rows["v"], lines


def read_names(path: Path) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Read `stamp, file name` rows: t_ns (n,) int64, names, line numbers (n,). Raises DataError naming file and line."""
    text = _text(path)
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
    return stamps, names, lines


def columns(path: Path) -> int:
    """Number of columns of the first row, 0 without rows. Raises DataError if the file cannot be read."""
    text = _text(path)
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


def _text(path: Path) -> list[str]:
    """Lines of a text file."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file") from None


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
