"""What numba does at each compilation for nobody here, undone when it is first imported: two fifths of the time. Imports nothing of ours."""

import functools
import importlib
from typing import Any

from llvmlite import binding
from numba.core import errors, types
from numba.core.extending import overload
from numba.core.runtime.context import NRTContext
from numba.core.targetconfig import TargetConfig
from numba.np import linalg


def _take_blas_for_granted() -> None:
    """Without a look at scipy.linalg, whose import is a tenth of a start: the look tells whether kernels may use BLAS at all, and those that do look again."""
    look, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = look


def _count_references_to_memory_alone() -> None:
    """By itself numba takes every array apart for it, shape and strides and all, a third of what it writes for LLVM, which then throws it away."""

    @functools.cache
    def has_memory(context: Any, kind: types.Type) -> bool:
        return context.data_model_manager[kind].contains_nrt_meminfo()

    def get_meminfos(self: NRTContext, builder: Any, kind: types.Type, value: Any) -> list:
        model = self._context.data_model_manager[kind]
        found = [(kind, model.get_nrt_meminfo(builder, value))] if model.has_nrt_meminfo() else []
        for inner, part in model.traverse(builder):
            if has_memory(self._context, inner):
                found.extend(self.get_meminfos(builder, inner, part(value)))
        return found

    NRTContext.get_meminfos = get_meminfos


def _compare_options_at_once() -> None:
    """Options of a compilation are compared for every function of numba's that is looked up, forty properties each."""

    @functools.cache
    def defaults(kind: type) -> dict[str, Any]:
        return {name: option.default for name, option in kind.options.items()}

    TargetConfig.values = lambda self: defaults(type(self)) | self._values


def _misfit(src_shapes: Any, index_shape: Any) -> None:
    """Stands in compiled code for the complaint about an assignment between arrays of different shapes."""
    raise ValueError("cannot assign slice from input of different size")


@overload(_misfit, strict=False)
def _compiled_misfit(src_shapes: Any, index_shape: Any) -> Any:
    def complain(src_shapes: Any, index_shape: Any) -> None:
        raise ValueError("cannot assign slice from input of different size")

    return complain


def _complain_in_plain_words() -> None:
    """Both shapes written out bring numba's texts into each program that assigns to a slice, a tenth of it; the line of the error tells as much."""
    importlib.import_module("numba.np.arrayobj").raise_with_shape_context = _misfit


def _complain_in_black_and_white() -> None:
    """Most errors are of candidates that do not fit, and seen by nobody: each was coloured, which asks the terminal first."""
    if hasattr(errors, "HighlightColorScheme"):  # where colorama is installed
        errors.HighlightColorScheme._markup = lambda self, text, *look: text


def _call_llvm_unwatched() -> None:
    """Every call was announced twice to those who measure how long they wait for LLVM."""
    binding.ffi.lib._lock._cblist.clear()


_take_blas_for_granted()
_count_references_to_memory_alone()
_compare_options_at_once()
_complain_in_plain_words()
_complain_in_black_and_white()
_call_llvm_unwatched()
