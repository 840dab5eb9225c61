"""Objects as flat tables of plain arrays, and back. A prototype gives the form: nothing of another form is taken in.

A prototype is an example: an array, whose type and shape the saved one must have (a leading 0 stands for any length, alike in all
arrays of a record); a number or a text; a record (named tuple or dataclass) or a tuple of these; or `Maybe` one of them, absent when None.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from vio.errors import DataError

Table = dict[str, np.ndarray]
_MOST_ROWS = 10_000_000  # of a table of free length


@dataclass(frozen=True)
class Maybe:
    """A prototype of what may also be None."""

    like: Any


def pack(owner: Any, prototypes: dict[str, Any], prefix: str) -> Table:
    """The named attributes of an object as arrays under `prefix.attribute...`, copied."""
    return {key: array for name, like in prototypes.items() for key, array in _flat(f"{prefix}.{name}", like, getattr(owner, name))}


def unpack(prototypes: dict[str, Any], prefix: str, table: Table) -> dict[str, Any]:
    """The attributes saved by `pack`, as new objects. Raises DataError naming what is missing or of another form."""
    return {name: _built(f"{prefix}.{name}", like, table) for name, like in prototypes.items()}


def require(holds: bool, what: str) -> None:
    """Raise DataError saying what does not hold."""
    if not holds:
        raise DataError(f"saved state: {what}; it is damaged or not one of tinyvio's")


def _parts(like: Any) -> list[str] | None:
    """Names of the parts of a record or tuple; None for anything else."""
    if is_dataclass(like):
        return [f.name for f in fields(like)]
    if isinstance(like, tuple):
        return list(getattr(like, "_fields", map(str, range(len(like)))))
    return None


def _part(record: Any, name: str) -> Any:
    return record[int(name)] if name.isdigit() else getattr(record, name)


def _flat(key: str, like: Any, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """(key, array) of every leaf."""
    if isinstance(like, Maybe):
        if value is not None:
            yield from _flat(key, like.like, value)
    elif (names := _parts(like)) is not None:
        for name in names:
            yield from _flat(f"{key}.{name}", _part(like, name), _part(value, name))
    else:
        yield key, np.array(value)


def _built(key: str, like: Any, table: Table) -> Any:
    """The value that `_flat` took apart."""
    if isinstance(like, Maybe):
        return _built(key, like.like, table) if any(name == key or name.startswith(f"{key}.") for name in table) else None
    names = _parts(like)
    if names is None:
        return _leaf(key, like, table)
    values = [_built(f"{key}.{name}", _part(like, name), table) for name in names]
    lengths = {len(value) for name, value in zip(names, values) if isinstance(value, np.ndarray) and _is_free(_part(like, name))}
    require(len(lengths) <= 1, f"columns of {key} differ in length")
    return type(like)(*values) if is_dataclass(like) or hasattr(like, "_fields") else tuple(values)


def _is_free(like: Any) -> bool:
    return isinstance(like, np.ndarray) and like.ndim > 0 and like.shape[0] == 0


def _leaf(key: str, like: Any, table: Table) -> Any:
    """One array, or the number or text in it."""
    require(key in table, f"{key} is missing")
    array, wanted = np.asarray(table[key]), np.asarray(like)
    same = array.dtype == wanted.dtype or wanted.dtype.kind == "U" == array.dtype.kind
    shape = array.shape[1:] == wanted.shape[1:] and array.ndim == wanted.ndim and len(array) <= _MOST_ROWS if _is_free(wanted) else array.shape == wanted.shape
    require(same and shape, f"{key} is {array.dtype} {array.shape}, wanted {wanted.dtype} {wanted.shape}")
    require(array.dtype.kind != "f" or bool(np.isfinite(array).all()), f"{key} is not finite")
    return np.ascontiguousarray(array).copy() if isinstance(like, np.ndarray) else type(like)(array.item())
