"""What torch's products mean: dense layers, matrices, einsum."""

from __future__ import annotations

from typing import Any

import torch

from ....declare.functions import basic
from ....declare.functions.arrays.contractions import einsum, letters_of, tensordot
from ....declare.functions.arrays.matrices import outer
from ....declare.functions.normalization import normalize
from ....ir.types import Dim
from ...layers import declare_dense
from ...steps import Value
from ..tracing.calls import array_of
from ..tracing.kinds import Number, Operand, Result
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Lazy, Repeated, dtype_of, expanded_of, shape_of
from .elementwise import pair
from .shapes import axis_of, reshaped


@meaning("linear")
def linear(tracer: Tracer, x: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    if not isinstance(weight, torch.Tensor):
        product = tracer.script.operation("@", tracer.value(x), _turned(tracer, tracer.value(weight)))
        return product if bias is None else tracer.script.operation("+", product, tracer.value(bias))
    x = tracer.value(x)
    tracer.sizes.meet(shape_of(x)[-1], weight.shape[1])
    same_dtype(x, weight)
    is_shared = [tracer.use(item) for item in (weight, bias) if isinstance(item, torch.Tensor)]
    if not any(is_shared) and (bias is None or isinstance(bias, torch.Tensor)):
        scope = tracer.path_of(weight)
        arrays = array_of(weight).T, None if bias is None else array_of(bias)
        return declare_dense(tracer.script, x, *arrays, base=layer_of(scope))
    kernel = _kernel(tracer, weight)
    product = tracer.script.operation("@", x, kernel)
    return product if bias is None else tracer.script.operation("+", product, tracer.value(bias))


def same_dtype(x: Value, weight: torch.Tensor) -> None:
    """Raises where a weight is of another dtype than what it multiplies, which torch refuses."""
    if weight.dtype not in DTYPES:
        raise UnreadableError(f"its weights are of {weight.dtype}; call module.float() before it is read")
    if DTYPES[weight.dtype] != dtype_of(x):
        raise UnreadableError(f"a tensor of {dtype_of(x)} meets a weight of {weight.dtype}; give both one dtype")


def layer_of(path: str) -> str:
    """The layer's name, of its weight's."""
    layer, _, last = path.rpartition("/")
    return layer if layer and last in ("weight", "kernel") else path.removesuffix("weight").rstrip("_/") or "dense"


def _kernel(tracer: Tracer, weight: torch.Tensor) -> Value:
    """A weight that is used several times, as its products take it."""
    key = "kernel", id(weight)
    if key not in tracer.cached:
        if any((kind, id(weight)) in tracer.shared for kind in ("plain", "table")):
            tracer.cached[key] = _turned(tracer, tracer.parameter(weight))
        else:
            path = f"{layer_of(tracer.path_of(weight))}/kernel"
            tracer.cached[key] = tracer.declared(path, array_of(weight).T)
    found: Value = tracer.cached[key]
    return found


def _turned(tracer: Tracer, x: Value) -> Value:
    order = list(range(len(shape_of(x))))
    order[-2:] = order[:-3:-1]
    return tracer.call(basic.transpose, x, tuple(order))


@meaning("addmm", "baddbmm")
def _addmm(tracer: Tracer, x: Operand, a: Operand, b: Operand, *, beta: Number = 1, alpha: Number = 1) -> Result:
    product = _matmul(tracer, a, b)
    product = product if alpha == 1 else tracer.script.operation("*", product, float(alpha))
    if beta == 0:  # what is not added may be anything, NaN too
        return product
    first = tracer.value(x)
    first = first if beta == 1 else tracer.script.operation("*", first, float(beta))
    return tracer.script.operation("+", first, product)


@meaning("matmul", "__matmul__", "bmm", "mm", "mv", "dot", "__rmatmul__")
def _matmul(tracer: Tracer, a: Operand, b: Operand) -> Result:
    a = tracer.value(a)
    rows, columns = shape_of(a), shape_of(b if isinstance(b, Lazy) else tracer.value(b))
    repeated = expanded_of(b.of) if isinstance(b, Repeated) else None
    if repeated and repeated[1] == 0 and shape_of(repeated[0]) == columns[1:] and rows[:1] == columns[:1]:
        b, columns = repeated[0], columns[1:]  # one matrix for all, as graphs have it that are made of single operators
    b = tracer.value(b)
    if len(columns) == 1:
        tracer.sizes.meet(rows[-1], columns[0])
        if len(rows) == 1:
            return tracer.call(basic.reduce_sum, tracer.script.operation("*", a, b))
        found = tracer.script.operation("@", a, tracer.value(reshaped(tracer, b, [columns[0], 1])))
        return tracer.call(basic.squeeze, found, len(rows) - 1)
    tracer.sizes.meet(rows[-1], columns[-2])
    tracer.sizes.broadcast(rows[:-2] or (1,), columns[:-2] or (1,))
    return tracer.script.operation("@", a, b)


@meaning("einsum")
def _einsum(tracer: Tracer, equation: str, *operands: Any) -> Result:
    given = tuple(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    values = [tracer.value(item) for item in given]
    letters = letters_of(equation, [len(shape_of(value)) for value in values])
    if letters is None:
        raise UnreadableError(f"its equation {equation!r} does not fit its operands")
    sizes: dict[str, Dim] = {}
    for term, value in zip(letters[0], values, strict=True):
        for letter, dim in zip(term, shape_of(value), strict=True):
            tracer.sizes.meet(sizes.setdefault(letter, dim), dim)
    return tracer.call(einsum, equation, *values)


@meaning("tensordot")
def _tensordot(tracer: Tracer, a: Operand, b: Operand, dims: Any = 2) -> Result:
    a, b = tracer.value(a), tracer.value(b)
    axes = (range(len(shape_of(a)) - dims, len(shape_of(a))), range(dims)) if isinstance(dims, int) else dims
    for one, other in zip(*axes, strict=True):
        tracer.sizes.meet(shape_of(a)[one], shape_of(b)[other])
    return tracer.call(tensordot, a, b, dims if isinstance(dims, int) else [list(axis) for axis in dims])


@meaning("outer", "ger")
def _every_pair(tracer: Tracer, a: Operand, b: Operand) -> Result:
    kind = DTYPES[tracer.expected.dtype]
    return tracer.call(outer, tracer.value(a, kind), tracer.value(b, kind))


@meaning("bilinear")
def _bilinear(tracer: Tracer, a: Operand, b: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    """a @ [width of a, units * width of b], then a product with b for each unit."""
    if not isinstance(weight, torch.Tensor):
        raise UnreadableError("it is read with a weight of the module's")
    units, first, second = weight.shape
    a, b = tracer.value(a), tracer.value(b)
    tracer.sizes.meet(shape_of(a)[-1], first)
    tracer.sizes.meet(shape_of(b)[-1], second)
    same_dtype(a, weight)
    key = "bilinear", id(weight)
    if key not in tracer.cached:
        kernel = array_of(weight).transpose(1, 0, 2).reshape(first, units * second)
        tracer.cached[key] = tracer.declared(f"{layer_of(tracer.path_of(weight))}/kernel", kernel)
    rows = tracer.script.operation("@", a, tracer.cached[key])
    rows = tracer.value(reshaped(tracer, rows, [*shape_of(a)[:-1], units, second]))
    each = tracer.script.operation("*", rows, tracer.call(basic.expand_dims, b, -2))
    found = tracer.call(basic.reduce_sum, each, -1)
    return found if bias is None else tracer.script.operation("+", found, tracer.value(bias))


@meaning("cosine_similarity")
def _cosine(tracer: Tracer, a: Operand, b: Operand, dim: int = 1, eps: float = 1e-8) -> Result:
    first, second = pair(tracer, a, b, DTYPES[tracer.expected.dtype])
    ranks = [len(shape_of(item)) for item in (first, second)]
    axis = axis_of(max(ranks), dim) - max(ranks)
    sizes = {shape_of(item)[axis] for item in (first, second)} if -axis <= min(ranks) else {1, None}
    if 1 in sizes and len(sizes) > 1:
        raise UnreadableError("one operand is repeated along dim; expand it first")

    def direction(x: Value) -> Value:
        return tracer.call(normalize, x, axis=axis, epsilon=float(eps))

    return tracer.call(basic.reduce_sum, tracer.script.operation("*", direction(first), direction(second)), axis)
