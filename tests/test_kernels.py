"""The cache of compiled kernels: an update of a kernel reaches every kernel that calls it."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from vio import kernels

ROOT = Path(__file__).resolve().parents[1]


def _package(root: Path, step: int) -> None:
    """A package with our compiler in which `caller.twice` calls `callee.once`, that adds `step`."""
    (root / "vio").mkdir(exist_ok=True)
    (root / "vio" / "__init__.py").write_text("")
    for name in ("kernels.py", "numba_savings.py"):
        (root / "vio" / name).write_text((ROOT / "vio" / name).read_text())
    (root / "vio" / "callee.py").write_text(f"from vio.kernels import njit\n\n\n@njit\ndef once(x):\n    return x + {step}\n")
    lines = "from vio.callee import once\nfrom vio.kernels import njit\n\n\n@njit\ndef twice(x):\n    return once(once(x))\n"
    (root / "vio" / "caller.py").write_text(lines)


def _twice(root: Path) -> tuple[int, int]:
    """The caller's answer to 1 in a new process, and how many of its versions came from the cache."""
    program = "from vio.caller import twice; print(twice(1), sum(twice.stats.cache_hits.values()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, env={"PATH": "", "PYTHONPATH": str(root)}, capture_output=True, text=True, check=True)
    answer, hits = done.stdout.split()
    return int(answer), int(hits)


def test_a_cached_caller_is_compiled_again_when_its_callee_changes(tmp_path: Path) -> None:
    """Oracle: arithmetic, in three processes: compiled, from the cache, and after an edit of the other file."""
    _package(tmp_path, 1)
    assert _twice(tmp_path) == (3, 0)
    assert _twice(tmp_path) == (3, 1)
    _package(tmp_path, 10)
    assert _twice(tmp_path) == (21, 0)


def test_the_stamp_of_a_file_covers_what_it_imports_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: files written by hand; `from package import module` counts as well as `from module import name`, the configuration does not."""
    monkeypatch.setattr(kernels, "_ROOT", tmp_path)
    (tmp_path / "vio" / "inner").mkdir(parents=True)
    files = {"a.py": "from vio import b\nfrom vio.config import z\n", "config.py": "z = 1\n", "b.py": "from vio.inner.c import x\n", "inner/__init__.py": "", "inner/c.py": "x = 1\n", "other.py": "y = 1\n"}

    def stamp(changed: str = "") -> str:
        for name, text in files.items():
            (tmp_path / "vio" / name).write_text(text + ("# changed\n" if name == changed else ""))
        kernels.source_stamp.cache_clear()
        kernels._imported.cache_clear()
        return kernels.source_stamp(tmp_path / "vio" / "a.py")

    before = stamp()
    assert stamp() == before == stamp("other.py") == stamp("config.py")
    assert len({before, *(stamp(name) for name in ("a.py", "b.py", "inner/c.py"))}) == 4


def test_a_kernel_inside_another_is_not_compiled_for_python_until_python_calls_it(tmp_path: Path) -> None:
    """Oracle: arithmetic, and numba's own list of what it compiled for Python."""
    _package(tmp_path, 1)
    program = "from vio.caller import twice; from vio.callee import once; print(twice(1), len(once.overloads), len(once.versions), once(5), len(once.overloads))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PATH": "", "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "0", "1", "6", "1"]


class _Inner(NamedTuple):
    values: np.ndarray
    count: int


class _Outer(NamedTuple):
    first: _Inner
    second: _Inner
    scale: float
    names: tuple[str, int]


@kernels.njit
def _weighed(outer: _Outer, other: np.ndarray) -> float:
    return outer.scale * (outer.first.values.sum() * outer.first.count + outer.second.values[0] * outer.second.count) + other[0] + len(outer.names[0])


def test_nested_tuples_reach_a_kernel_whole_and_no_reference_to_their_arrays_is_kept() -> None:
    """Oracle: the same function in Python, and Python's own counts of references; objects are taken apart in our way, see `vio.numba_savings`."""
    arrays = [np.arange(3.0), np.full(4, 5.0), np.ones(1)]
    before = [sys.getrefcount(a) for a in arrays]
    for _ in range(3):
        outer = _Outer(_Inner(arrays[0], 2), _Inner(arrays[1], 3), 0.5, ("abc", 1))
        assert _weighed(outer, arrays[2]) == _weighed.py_func(outer, arrays[2]) == 0.5 * (3.0 * 2 + 5.0 * 3) + 1.0 + 3
    del outer
    assert [sys.getrefcount(a) for a in arrays] == before


def test_an_assignment_between_shapes_that_differ_is_an_error_in_a_kernel_too() -> None:
    """Oracle: NumPy, which raises the same type; the program that complains in numba's place is ours, see `vio.numba_savings`."""

    @kernels.njit
    def put(target, values):
        target[1:] = values

    target = np.zeros(4)
    put(target, np.ones(3))
    assert target.tolist() == [0.0, 1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="cannot assign slice from input of different size"):
        put(target, np.ones(2))
    with pytest.raises(ValueError, match="could not broadcast"):
        put.py_func(target, np.ones(2))
