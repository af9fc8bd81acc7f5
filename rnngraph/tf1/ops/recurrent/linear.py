"""``core_rnn_cell._linear``, a helper in cells that programs write."""

from __future__ import annotations

from typing import Any

from ....declare.functions import basic as functions
from ....declare.tensor import Tensor, as_tensor
from ....support.errors import ArgumentError, ShapeError
from ...core.operations import operation
from ...core.variables import get_variable
from ..shapes import xw_plus_b


@operation
def linear(
    args: Any, output_size: int, bias: bool, bias_initializer: Any = None, kernel_initializer: Any = None
) -> Tensor:
    """Return the concatenated ``args`` times a ``kernel``, plus a ``bias``: variables of the open scope.

    Args:
        args: A Tensor [batch, width], or a list of them.
    """
    parts = [as_tensor(item) for item in (args if isinstance(args, list | tuple) else [args])]
    if not parts:
        raise ArgumentError("_linear takes a Tensor, or a list with at least one")
    for part in parts:
        if part.rank != 2 or not isinstance(part.type.shape[1], int):
            raise ShapeError(f"_linear takes Tensors [batch, width] of known width, not {part!r}")
    rows = functions.concat(parts, 1) if len(parts) > 1 else parts[0]
    dtype = rows.dtype
    kernel = get_variable("kernel", [rows.type.shape[1], output_size], dtype, kernel_initializer)
    if not bias:
        return functions.matmul(rows, kernel)
    start = "zeros" if bias_initializer is None else bias_initializer
    return xw_plus_b(rows, kernel, get_variable("bias", [output_size], dtype, start))
