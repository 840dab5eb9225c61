"""The compiler of every kernel: numba in nopython mode, cached on disk. Imports nothing above itself but what makes it quick.

numba keys a cached kernel by its own source file alone: after an update of `vio.fixed` a cached tracker would go on with the old
rounding. Kernels of this package are keyed by their file and by every file of the package that it imports, directly or not; but for
`vio.config`, whose values reach kernels as arguments only.
"""

import functools
import gc
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llvmlite import binding
from numba import jit
from numba.core import caching, compiler, types
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import CPUDispatcher
from numba.core.typing import templates

with suppress(ImportError, AttributeError):  # a later numba may have moved what is touched there: then it compiles for longer
    import vio.numba_savings  # noqa: F401

_ROOT = Path(__file__).resolve().parents[1]
_ARGUMENTS = "config.py"
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(vio[\w.]*)[ \t]+)?import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)  # by far quicker than a parser


@functools.cache
def _modules(root: Path) -> dict[str, Path]:
    """Files of the package below `root` by their dotted names, packages by that of their __init__.py."""
    found = {}
    for folder, inner, files in os.walk(root / "vio"):
        inner[:] = [name for name in inner if name != "__pycache__"]
        package = Path(folder).relative_to(root).as_posix().replace("/", ".")
        for file in files:
            stem, suffix = os.path.splitext(file)
            if suffix == ".py":
                found[package if stem == "__init__" else f"{package}.{stem}"] = Path(folder, file)
    return found


@functools.cache
def _imported(path: Path) -> frozenset[Path]:
    """Files of this package that a file imports, absolutely as everywhere here; what only looks like an import, in a text, does no harm."""
    found, modules = set(), _modules(_ROOT)
    for module, names in _IMPORT.findall(path.read_text("utf-8")):
        words = re.findall(r"[\w.]+", names)
        wanted = [module, *(f"{module}.{word}" for word in words)] if module else words
        found.update(modules[name] for name in wanted if name in modules)
    return frozenset(found - {_ROOT / "vio" / _ARGUMENTS})


@functools.cache
def _resolved(file: str) -> Path:
    """A kernel's source file; asked for several times a kernel."""
    return Path(file).resolve()


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
        return super().from_function(py_func, py_file) if _ROOT / "vio" in _resolved(py_file).parents else None

    def get_source_stamp(self):
        return source_stamp(_resolved(self._py_file))


def _locators() -> list[type]:
    """numba's own choice of places ($NUMBA_CACHE_DIR, beside the source, the user's cache folder), with our stamp."""
    names = ("UserProvidedCacheLocator", "InTreeCacheLocator", "UserWideCacheLocator")
    found = [getattr(caching, name, None) or getattr(caching, f"_{name}") for name in names]  # underscored before numba 0.61
    return [type(base.__name__, (_OfPackage, base), {}) for base in found]


_implementation = getattr(caching, "CacheImpl", None) or caching._CacheImpl
_implementation._locator_classes = [*_locators(), *_implementation._locator_classes]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without Python's collector of cycles, which looks through millions of the compiler's live objects for nothing: a tenth of its time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _Whole(JITCodeLibrary):
    """Code of a kernel for Python. Kernels link its `inside`, never this: its bitcode need not be cached, which halves the time to load it."""

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes]]:
        """The machine code, and a module of nothing but the names that it defines."""
        self._ensure_finalized()
        module = self._final_module
        functions = [f'define void @"{f.name}"() {{ ret void }}' for f in module.functions if not f.is_declaration and f.linkage == binding.Linkage.external]
        environments = [f'@"{g.name}" = common global i8* null' for g in module.global_variables if g.name.startswith("_ZN08NumbaEnv")]
        return self.name, "object", (self._get_compiled_object(), binding.parse_assembly("\n".join(functions + environments)).as_bitcode())


class _WholePipeline(compiler.Compiler):
    """numba's own passes, with the result in a `_Whole`."""

    def define_pipelines(self) -> list:
        self.state.library = _Whole(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


class _Part(JITCodeLibrary):
    """Code of a kernel for its callers only: linked into them and optimised there, never turned into machine code on its own."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _PartPipeline(compiler.Compiler):
    """numba's own passes, with the result in a `_Part`."""

    def define_pipelines(self) -> list:
        self.state.flags.no_compile = True
        self.state.library = _Part(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


class _Inside(CPUDispatcher):
    """A kernel as other kernels see it: typed and lowered, without the wrapper that takes Python's objects apart."""

    def add_overload(self, cres: compiler.CompileResult) -> None:
        """Keep a version; nothing but its library stands for it, since it has no address."""
        cres = cres._replace(entry_point=cres.library)
        self.targetctx.insert_user_function(cres.entry_point, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres


def _keep_helpers_inside() -> None:
    """What numba itself implements in Python, sums and copies of arrays, is for other kernels only: without a wrapper, and no machine code of its own."""
    usual = templates._OverloadFunctionTemplate._get_jit_decorator
    flags = {"nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    def decorator(self: Any) -> Callable:
        if (found := usual(self)) is not jit:  # not for a CPU
            return found
        return lambda **options: lambda function: _Inside(function, targetoptions=flags | options, pipeline_class=_PartPipeline)

    templates._OverloadFunctionTemplate._get_jit_decorator = decorator


with suppress(AttributeError):  # as with `vio.numba_savings`
    _keep_helpers_inside()


class Kernel(CPUDispatcher):
    """A compiled function with two faces: called from Python it is an ordinary cached numba function; kernels that call it get `inside`.

    numba by itself would optimise every kernel, translate it and wrap it for Python, and then do it all again for each of its callers.
    """

    @property
    def versions(self) -> list[compiler.CompileResult]:
        """Everything compiled so far, for Python and for other kernels."""
        return [*self.overloads.values(), *self.inside.overloads.values()]

    @property
    def is_cached(self) -> bool:
        """Whether a version for Python is on disk that was compiled from the present source."""
        self._find_cache()
        return bool(self._cache._cache_file._load_index())

    def _find_cache(self) -> None:
        """Look where versions are kept. Not before one is wanted: most kernels are only ever inside others."""
        if isinstance(self._cache, caching.NullCache):
            self.enable_caching()

    def compile(self, sig: Any) -> Any:
        """Entry point of the version for the signature `sig`, from the cache or compiled now."""
        self._find_cache()
        with _undisturbed():
            return super().compile(sig)

    @functools.cached_property
    def inside(self) -> CPUDispatcher:
        """The version for other kernels; not cached on disk, as it becomes part of each cached caller."""
        return _Inside(self.py_func, targetoptions=self.targetoptions | {"no_cpython_wrapper": True}, pipeline_class=_PartPipeline)

    @property
    def _numba_type_(self) -> types.Dispatcher:
        return types.Dispatcher(self.inside)

    def add_overload(self, cres: compiler.CompileResult) -> None:
        """Keep a version and, if it was compiled now, tell the kernels inside it where their constants are."""
        super().add_overload(cres)
        if cres.referenced_envs is not None:  # from the cache, which told them
            return
        for environment in cres._find_referenced_environments():
            cres.library.codegen.set_env(environment.env_name, environment)


def njit(function: Callable | None = None, **options: Any) -> Callable:
    """Decorate a kernel. Division by zero follows IEEE 754, and raises nothing: each check would be compiled.

    Options of numba that are used here: inline="always" copies its statements into every caller; nogil=True lets other threads at Python
    meanwhile, for kernels of a tenth of a millisecond and more: to hand over and come back costs as much as a short one takes.
    """
    if function is None:
        return functools.partial(njit, **options)
    return Kernel(function, targetoptions={"nopython": True, "no_cfunc_wrapper": True, "error_model": "numpy", **options}, pipeline_class=_WholePipeline)


def leaf(function: Callable | None = None, **options: Any) -> Callable:
    """Decorate a kernel that makes no array: it counts no references to those that it is given, which costs as much as a short loop.

    Options as of `njit`; forceinline=True spares a call that passes a format, which is some hundred words on the stack.
    """
    return njit(function, _nrt=False, **options)
