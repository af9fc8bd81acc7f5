"""``_linear``, ``_concat`` and other helpers of TensorFlow's files, in cells and drivers that programs write."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Cell
from ....declare.functions import basic as functions
from ....declare.tensor import Tensor, as_tensor, constant
from ....support.api_guard import api
from ....support.errors import ArgumentError, ShapeError, shown
from ...core.operations import operation
from ...core.shapes import TensorShape
from ...core.sizes import sizes_in
from ...core.tensors import gives_tensors
from ...core.variables import get_variable
from ..shapes import xw_plus_b


@operation
def linear(
    args: Any, output_size: int, bias: bool, bias_initializer: Any = None, kernel_initializer: Any = None
) -> Tensor:
    """Return the concatenated ``args`` times the variable ``kernel``, plus the variable ``bias``, of the open scope.

    Args:
        args: A Tensor [batch, width], or a list of such Tensors.
        bias: True to add a bias.
    """
    return Linear(args, output_size, bias, bias_initializer, kernel_initializer)(args)


class Linear:
    """``core_rnn_cell._Linear``: variables of ``linear`` that several calls share."""

    @api
    def __init__(
        self,
        args: Any,
        output_size: int,
        build_bias: bool,
        bias_initializer: Any = None,
        kernel_initializer: Any = None,
    ) -> None:
        rows = _concatenated(args)
        self._kernel = get_variable("kernel", [rows.type.shape[1], output_size], rows.dtype, kernel_initializer)
        start = "zeros" if bias_initializer is None else bias_initializer
        self._bias = get_variable("bias", [output_size], rows.dtype, start) if build_bias else None

    @gives_tensors
    def __call__(self, args: Any) -> Tensor:
        rows = _concatenated(args)
        if self._bias is None:
            return functions.matmul(rows, self._kernel)
        return xw_plus_b(rows, self._kernel, self._bias)


def _concatenated(args: Any) -> Tensor:
    """Return Tensors [batch, width] concatenated along the width."""
    parts = [as_tensor(item) for item in (args if isinstance(args, list | tuple) else [args])]
    if not parts:
        raise ArgumentError("_linear needs a Tensor, or a list of at least one Tensor")
    for part in parts:
        if part.rank != 2 or not isinstance(part.type.shape[1], int):
            raise ShapeError(f"_linear needs Tensors [batch, width] of fixed width, not {part!r}")
    return functions.concat(parts, 1) if len(parts) > 1 else parts[0]


@api
def concat_sizes(prefix: Any, suffix: Any, static: bool = False) -> Any:
    """Return the sizes of two shapes, one after the other: ``rnn_cell_impl._concat``."""
    sizes = [item for part in (prefix, suffix) for item in _sizes_of(part)]
    if static:
        return [None if isinstance(item, Tensor) else item for item in sizes]
    return functions.stack([item if isinstance(item, Tensor) else constant(item, "int32") for item in sizes])


def _sizes_of(part: Any) -> list[Any]:
    """Return the sizes of a shape, an int or a Tensor as a list."""
    if isinstance(part, Tensor):
        return [part] if not part.rank else sizes_in(part)
    return TensorShape(part).as_list()


@api
def assert_like_rnncell(cell_name: str, cell: Any) -> None:
    """Raise ``ArgumentError`` if ``cell``, the argument ``cell_name``, is not a cell."""
    if not isinstance(cell, Cell):
        raise ArgumentError(f"{cell_name} must be a cell, not {shown(cell)}")


@api
def is_like_rnncell(cell: Any) -> bool:
    """Return True for cells."""
    return isinstance(cell, Cell)
