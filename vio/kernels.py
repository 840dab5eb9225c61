"""The compiler of every kernel: numba in nopython mode, cached on disk, free of the GIL. Imports nothing above itself.

numba keys a cached kernel by its own source file alone: after an update of `vio.fixed` a cached tracker would go on with the old
rounding. Kernels of this package are keyed by their file and by every file of the package that it imports, directly or not; but for
`vio.config`, whose values reach kernels as arguments only.
"""

import ast
import functools
import hashlib
from pathlib import Path

import numba
from numba.core import caching

_ROOT = Path(__file__).resolve().parents[1]
_ARGUMENTS = "config.py"


@functools.cache
def _imported(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        candidates = (_ROOT.joinpath(*name.split(".")) for name in names if name.partition(".")[0] == "vio")
        found.update(file for c in candidates for file in (c.with_suffix(".py"), c / "__init__.py") if file.is_file())
    return frozenset(found - {_ROOT / "vio" / _ARGUMENTS})


@functools.cache
def source_stamp(path: Path) -> str:
    """Digest of a file of this package and of all files of the package that it loads."""
    loaded, todo = set(), [path]
    while todo:
        file = todo.pop()
        if file not in loaded:
            loaded.add(file)
            todo.extend(_imported(file))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in sorted(loaded))).hexdigest()


class _OfPackage:
    """Mixed into numba's locators: takes the files of this package only, and stamps them with all they depend on."""

    @classmethod
    def from_function(cls, py_func, py_file):
        path = Path(py_file).resolve()
        return super().from_function(py_func, py_file) if _ROOT / "vio" in path.parents else None

    def get_source_stamp(self):
        return source_stamp(Path(self._py_file).resolve())


def _locators() -> list[type]:
    """numba's own choice of places ($NUMBA_CACHE_DIR, beside the source, the user's cache folder), with our stamp."""
    names = ("UserProvidedCacheLocator", "InTreeCacheLocator", "UserWideCacheLocator")
    found = [getattr(caching, name, None) or getattr(caching, f"_{name}") for name in names]  # underscored before numba 0.61
    return [type(base.__name__, (_OfPackage, base), {}) for base in found]


_implementation = getattr(caching, "CacheImpl", None) or caching._CacheImpl
_implementation._locator_classes = [*_locators(), *_implementation._locator_classes]

njit = functools.partial(numba.njit, cache=True, nogil=True)
