"""What numba does at each compilation for nobody here, undone when it is first imported: two fifths of the time. Imports nothing of ours."""

import functools
import importlib
from typing import Any

from llvmlite import binding, ir
from numba.core import boxing, cgutils, errors, types
from numba.core.extending import NativeValue, overload
from numba.core.inline_closurecall import InlineWorker
from numba.core.pythonapi import _unboxers
from numba.core.runtime.context import NRTContext
from numba.core.targetconfig import TargetConfig
from numba.core.types.functions import BaseFunction
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


def _remember_signatures() -> None:
    """What an operator makes of operands was found anew, among dozens of candidates, wherever it stands. Functions whose code depends on more than the
    types of their arguments are looked up as ever: numba keeps that code under a key of its own."""
    usual, known = BaseFunction.get_call_type, {}

    def get_call_type(self: BaseFunction, context: Any, args: Any, kws: Any) -> Any:
        asked = (self, tuple(args), tuple(kws.items()))
        if asked not in known:
            signature = usual(self, context, args, kws)
            if self.get_impl_key(signature) is not self.typing_key:
                return signature
            known[asked] = signature
        return known[asked]

    BaseFunction.get_call_type = get_call_type


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


def _read_what_is_inlined_once() -> None:
    """A function that goes into its callers statement by statement was read anew at each of its calls; numba copies what it has read before it changes it."""
    usual, known = InlineWorker.run_untyped_passes, {}

    def read(self: InlineWorker, function: Any, enable_ssa: bool = False) -> Any:
        self.flags.enable_ssa = enable_ssa  # as the usual way leaves it
        if (function, enable_ssa) not in known:
            known[function, enable_ssa] = usual(self, function, enable_ssa)
        return known[function, enable_ssa]

    InlineWorker.run_untyped_passes = read


def _unbox_each_type_in_one_place() -> None:
    """Python's objects are taken apart by a function for each type, in place of some twenty lines for each number of each tuple that a kernel is given."""

    def is_plain(kind: types.Type) -> bool:
        return all(map(is_plain, kind)) if isinstance(kind, types.BaseTuple) else isinstance(kind, types.Array | types.Number | types.Boolean)

    def in_one_place(usual: Any) -> Any:
        def unboxed(kind: types.Type, obj: Any, c: Any) -> NativeValue:
            if not is_plain(kind):  # there may be something to clean up after the call
                return usual(kind, obj, c)
            value, module, name = c.context.get_value_type(kind), c.builder.module, f"unbox.{kind._code}"
            inside = module.globals.get(name)
            if inside is None:
                inside = ir.Function(module, ir.FunctionType(cgutils.bool_t, [obj.type, value.as_pointer()]), name)
                inside.linkage = "internal"
                inside.attributes.add("noinline")
                builder = ir.IRBuilder(inside.append_basic_block())
                native = usual(kind, inside.args[0], type(c)(c.context, builder, c.context.get_python_api(builder)))
                builder.store(native.value, inside.args[1])
                builder.ret(native.is_error)
            place = cgutils.alloca_once(c.builder, value)
            is_error = c.builder.call(inside, (obj, place))
            return NativeValue(c.builder.load(place), is_error=is_error)

        return unboxed

    for kind in (types.Array, types.BaseTuple, types.Integer, types.Float):
        _unboxers.functions[kind] = in_one_place(_unboxers.functions[kind])


_take_blas_for_granted()
_read_what_is_inlined_once()
_unbox_each_type_in_one_place()
_count_references_to_memory_alone()
_compare_options_at_once()
_remember_signatures()
_complain_in_plain_words()
_complain_in_black_and_white()
_call_llvm_unwatched()
