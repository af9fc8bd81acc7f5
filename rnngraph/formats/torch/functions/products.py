"""Handlers of dense layers, matrix products and einsum."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ....declare.functions import basic
from ....declare.functions.arrays.contractions import einsum, letters_of, tensordot
from ....declare.functions.arrays.matrices import outer
from ....declare.functions.arrays.moves import swapped_order
from ....declare.functions.normalization import normalize
from ....ir.types import Dim
from ...layers import declare_affine, declare_dense
from ...steps import Value
from ..tracing.calls import array_of
from ..tracing.kinds import Number, Operand, Operands, Result
from ..tracing.registry import UnreadableError, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Lazy, Repeated, dtype_of, expanded_of, shape_of
from .shapes import axis_of, flat_arguments, reshaped


@reads("linear")
def linear(tracer: Tracer, x: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    if not isinstance(weight, torch.Tensor):
        kernel = _swap_last_axes(tracer, tracer.value(weight))
        return declare_affine(tracer.script, tracer.value(x), kernel, None if bias is None else tracer.value(bias))
    x = tracer.value(x)
    tracer.sizes.unify(shape_of(x)[-1], weight.shape[1])
    same_dtype(x, weight)
    is_shared = [tracer.use(item) for item in (weight, bias) if isinstance(item, torch.Tensor)]
    if not any(is_shared) and (bias is None or isinstance(bias, torch.Tensor)):
        scope = tracer.path_of(weight)
        arrays = array_of(weight).T, None if bias is None else array_of(bias)
        return declare_dense(tracer.script, x, *arrays, base=layer_of(scope))
    return declare_affine(tracer.script, x, _kernel(tracer, weight), None if bias is None else tracer.value(bias))


def same_dtype(x: Value, weight: torch.Tensor) -> None:
    """Raise ``UnreadableError`` if the weight's dtype is not supported or, as in torch, not that of the operand."""
    if weight.dtype not in DTYPES:
        raise UnreadableError(f"its weights have dtype {weight.dtype}; call module.float() before reading the module")
    if DTYPES[weight.dtype] != dtype_of(x):
        raise UnreadableError(f"its input is {dtype_of(x)} and its weight {weight.dtype}; give both the same dtype")


def layer_of(path: str) -> str:
    """Return the name of a layer for the path of its weight: "fc/weight" or "fc/kernel" → "fc", "weight" → "dense"."""
    layer, _, last = path.rpartition("/")
    return layer if layer and last in ("weight", "kernel") else path.removesuffix("weight").rstrip("_/") or "dense"


def _kernel(tracer: Tracer, weight: torch.Tensor) -> Value:
    """Declare the transpose of a weight. Layers that share the weight share one declaration."""
    key = "kernel", id(weight)
    if key not in tracer.cached:
        if any((kind, id(weight)) in tracer.shared for kind in ("plain", "table")):
            tracer.cached[key] = _swap_last_axes(tracer, tracer.parameter(weight))
        else:
            path = f"{layer_of(tracer.path_of(weight))}/kernel"
            tracer.cached[key] = tracer.declared(path, array_of(weight).T)
    return tracer.cached[key]


def _swap_last_axes(tracer: Tracer, x: Value) -> Value:
    """Declare x with its last two axes swapped."""
    rank = len(shape_of(x))
    return tracer.call(basic.transpose, x, swapped_order(rank, -2, -1) if rank > 1 else (0,))


@reads("addmm", "baddbmm")
def _addmm(tracer: Tracer, x: Operand, a: Operand, b: Operand, *, beta: Number = 1, alpha: Number = 1) -> Result:
    product = _matmul(tracer, a, b)
    product = product if alpha == 1 else tracer.script.operation("*", product, float(alpha))
    if beta == 0:  # torch then ignores x, even if x is NaN
        return product
    first = tracer.value(x)
    first = first if beta == 1 else tracer.script.operation("*", first, float(beta))
    return tracer.script.operation("+", first, product)


@reads("matmul", "__matmul__", "bmm", "mm", "mv", "dot")
def _matmul(tracer: Tracer, a: Operand, b: Operand) -> Result:
    a = tracer.value(a)
    rows, columns = shape_of(a), shape_of(b if isinstance(b, Lazy) else tracer.value(b))
    repeated = expanded_of(b.of) if isinstance(b, Repeated) else None
    if repeated and repeated[1] == 0 and shape_of(repeated[0]) == columns[1:] and rows[:1] == columns[:1]:
        b, columns = repeated[0], columns[1:]  # Exported graphs broadcast the matrix along the batch, as ``@`` does.
    b = tracer.value(b)
    if len(columns) == 1:
        tracer.sizes.unify(rows[-1], columns[0])
        return tracer.script.operation("@", a, b)
    tracer.sizes.unify(rows[-1], columns[-2])
    tracer.sizes.broadcast(rows[:-2] or (1,), columns[:-2] or (1,))
    return tracer.script.operation("@", a, b)


reads("__rmatmul__")(lambda tracer, a, b: _matmul(tracer, b, a))


@reads("einsum")
def _einsum(tracer: Tracer, equation: str, *operands: Operand | Operands) -> Result:
    values = [tracer.value(item) for item in flat_arguments(operands)]
    letters = letters_of(equation, [len(shape_of(value)) for value in values])
    if letters is None:
        ranks = ", ".join(str(len(shape_of(value))) for value in values)
        raise UnreadableError(f"its equation {equation!r} must fit operands of rank {ranks}")
    sizes: dict[str, Dim] = {}
    for term, value in zip(letters[0], values, strict=True):
        for letter, dim in zip(term, shape_of(value), strict=True):
            tracer.sizes.unify(sizes.setdefault(letter, dim), dim)
    return tracer.call(einsum, equation, *values)


@reads("tensordot")
def _tensordot(tracer: Tracer, a: Operand, b: Operand, dims: int | Sequence[Sequence[int]] = 2) -> Result:
    a, b = tracer.value(a), tracer.value(b)
    axes = (range(len(shape_of(a)) - dims, len(shape_of(a))), range(dims)) if isinstance(dims, int) else dims
    for one, other in zip(*axes, strict=True):
        tracer.sizes.unify(shape_of(a)[one], shape_of(b)[other])
    return tracer.call(tensordot, a, b, dims if isinstance(dims, int) else [list(axis) for axis in dims])


@reads("outer", "ger")
def _outer(tracer: Tracer, a: Operand, b: Operand) -> Result:
    kind = DTYPES[tracer.expected.dtype]
    return tracer.call(outer, tracer.value(a, kind), tracer.value(b, kind))


@reads("bilinear")
def _bilinear(tracer: Tracer, a: Operand, b: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    """Declare a^T W b + bias: a @ [width of a, units * width of b], followed by a dot product with b for each unit."""
    if not isinstance(weight, torch.Tensor):
        raise UnreadableError("its weight is computed; it must be a parameter of the module")
    units, first, second = weight.shape
    a, b = tracer.value(a), tracer.value(b)
    tracer.sizes.unify(shape_of(a)[-1], first)
    tracer.sizes.unify(shape_of(b)[-1], second)
    same_dtype(a, weight)
    key = "bilinear", id(weight)
    if key not in tracer.cached:
        kernel = array_of(weight).transpose(1, 0, 2).reshape(first, units * second)
        tracer.cached[key] = tracer.declared(f"{layer_of(tracer.path_of(weight))}/kernel", kernel)
    rows = tracer.script.operation("@", a, tracer.cached[key])
    rows = tracer.value(reshaped(tracer, rows, [*shape_of(a)[:-1], units, second]))
    each = tracer.script.operation("*", rows, tracer.call(basic.expand_dims, b, -2))
    total = tracer.call(basic.reduce_sum, each, -1)
    return total if bias is None else tracer.script.operation("+", total, tracer.value(bias))


@reads("cosine_similarity")
def _cosine(tracer: Tracer, a: Operand, b: Operand, dim: int = 1, eps: float = 1e-8) -> Result:
    """Declare the cosine similarity of a and b along an axis."""
    dtype = DTYPES[tracer.expected.dtype]
    first, second = tracer.value(a, dtype), tracer.value(b, dtype)
    tracer.sizes.broadcast(shape_of(first), shape_of(second))
    ranks = [len(shape_of(item)) for item in (first, second)]
    axis = axis_of(max(ranks), dim) - max(ranks)
    sizes = {shape_of(item)[axis] for item in (first, second)} if -axis <= min(ranks) else {1, None}
    if 1 in sizes and len(sizes) > 1:
        raise UnreadableError("only one operand has size 1 along dim; expand it first")

    def direction(x: Value) -> Value:
        return tracer.call(normalize, x, axis=axis, epsilon=float(eps))

    return tracer.call(basic.reduce_sum, tracer.script.operation("*", direction(first), direction(second)), axis)
