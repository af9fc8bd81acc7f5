"""Reads products of matrices."""

from __future__ import annotations

import numpy as np

from ....declare.functions.arrays.contractions import einsum, letters_of
from ....ir.types import FLOATS
from ...steps import Value
from ..core.known import Expanded, Known, Operand, dtype_of, number_like, shape_of
from ..core.sizes import UnreadableError
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from .elementwise import combined


@reads("MatMul")
def _matmul(call: Call) -> Outputs:
    """Read a product. A third input is the addend of a fused ``Add``."""
    left, right, added = call.input(0), call.input(1), call.maybe(2)
    left = call.tensors.value(left) if isinstance(left, Expanded) else left
    if isinstance(left, Value) and isinstance(right, Known) and isinstance(added, Known):
        is_bias = right.array.ndim == 2 and added.shape == right.shape[1:] and not added.is_symbolic
        if is_bias:
            return product_of(call.tensors, left, right, added.array)
    product = product_of(call.tensors, left, right)
    return product if added is None else combined(call, "Add", product, added)


def product_of(tensors: Tensors, left: Operand, right: Operand, bias: np.ndarray | None = None) -> Operand:
    """Return ``left @ right``, plus ``bias`` unless it is None."""
    if isinstance(left, Known) and isinstance(right, Known) and bias is None:
        first, second = left.numbers("a matrix"), right.numbers("a matrix")
        if (
            first.size * (second.shape[-1] if second.ndim > 1 else 1) <= 1 << 28
            and first.ndim <= 2
            and second.ndim <= 2
        ):
            return Known(np.asarray(first @ second), left.dtype)
    if dtype_of(left) != dtype_of(right) or dtype_of(left) not in FLOATS:
        raise UnreadableError(f"it multiplies {dtype_of(left)} by {dtype_of(right)}; cast both to one float dtype")
    if isinstance(right, Known) and right.array.ndim == 1:
        column = tensors.expand_dims(right, [1])
        product = product_of(tensors, left, column, bias)
        return tensors.squeeze(product, [-1])
    if isinstance(right, Known) and right.array.ndim == 2 and right.array.size:
        array, value = right.numbers("a matrix"), tensors.value(left)
        source = tensors.unmerged_rows(value)
        if source is None:
            return tensors.times(value, array, bias)
        return tensors.reshape(tensors.times(source, array, bias), [shape_of(value)[0], array.shape[1]])
    product = tensors.script.operation("@", tensors.value(left), tensors.value(right))
    return product


@reads("Gemm", "FusedMatMulBias")
def gemm(call: Call) -> Operand:
    """Return alpha A @ B + beta C, where A and B are transposed if the node's attributes say so."""
    tensors, left, right = call.tensors, call.input(0), call.input(1)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if len(shape_of(left)) != 2 or len(shape_of(right)) != 2:
        raise UnreadableError("its operands must be matrices")
    left = tensors.transpose(left, (1, 0)) if call.whole("transA", 0) else left
    left = tensors.value(left) if isinstance(left, Expanded) else left
    right = tensors.transpose(right, (1, 0)) if call.whole("transB", 0) else right
    bias, added = (call.maybe(2) if beta else None), None  # If beta is 0, C is ignored, even if it is NaN.
    if isinstance(right, Known):
        if alpha != 1:
            right = Known((right.numbers("a matrix") * np.asarray(alpha, right.array.dtype)), right.dtype)
        is_row = isinstance(bias, Known) and bias.shape in ((), (1,), (1, 1), right.shape[1:], (1, *right.shape[1:]))
        if isinstance(bias, Known) and is_row and isinstance(left, Value):
            row = bias.numbers("a bias").reshape(-1)
            row = row if beta == 1 else row * np.asarray(beta, row.dtype)
            added = np.broadcast_to(row, right.array.shape[1:])
    result = product_of(tensors, left, right, added)
    if not isinstance(right, Known) and alpha != 1:
        result = combined(call, "Mul", result, number_like(alpha, result))
    if bias is None or added is not None:
        return result
    if beta != 1:
        bias = combined(call, "Mul", bias, number_like(beta, bias))
    return combined(call, "Add", result, bias)


@reads("Einsum")
def _einsum(call: Call) -> Outputs:
    """Read Einsum: as a product if it multiplies a value by a matrix of the file, else as ``rg.einsum``."""
    text = call.text("equation", "")
    letters = letters_of(text, [call.rank(number) for number in range(len(call.inputs))])
    if letters is None:
        raise UnreadableError(f"equation {text!r} is not supported")
    terms, result = letters
    if len(terms) == 2 and isinstance(call.input(1), Known) and len(terms[1]) == 2:
        ahead, inner, first, second = terms[0][:-1], terms[0][-1:], terms[1][0], terms[1][1]
        if inner in (first, second) and first != second and result == ahead + (second if inner == first else first):
            matrix = call.tensors.transpose(call.input(1), (0, 1) if inner == first else (1, 0))
            return product_of(call.tensors, call.tensors.value(call.input(0)), matrix)
    return call.script.call(einsum, text, *(call.value(number) for number in range(len(terms))))
