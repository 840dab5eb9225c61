"""Sums, differences and products of 32 bits that stay in 32 bits.

numba widens integers to 64 bits, and where LLVM sees that a sum of pixels is small it does not narrow it again: half the lanes of a vector.
"""

from collections.abc import Callable

from numba import types
from numba.extending import intrinsic


def _lane_operation(name: str) -> Callable:
    """An operation of LLVM on two integers taken as int32, modulo 2**32."""

    @intrinsic
    def operation(_typing: object, _a: types.Type, _b: types.Type) -> tuple:
        return types.int32(types.int32, types.int32), lambda _context, builder, _signature, arguments: getattr(builder, name)(*arguments)

    return operation


add, subtract, multiply = _lane_operation("add"), _lane_operation("sub"), _lane_operation("mul")
