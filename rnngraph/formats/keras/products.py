"""Products by equations of einsum: a layer, and functions among layers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ...declare.functions.basic import matmul, reduce_sum, reshape, transpose
from ..equations import letters_of
from ..steps import Value
from .activations import activation
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .operands import Operation, operands, option


def _terms(equation: object, ranks: list[int]) -> tuple[list[str], str]:
    """Letters of the operands' axes, and of the result's."""
    found = letters_of(equation, ranks) if isinstance(equation, str) else None
    if found is None or any(len(set(term)) < len(term) for term in found[0]):
        raise Unreadable(f"its equation {equation!r}")
    return found


def _einsum_dense(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """A dense layer on any axes: x [lead, inner] @ kernel [inner, units], each of which may be several axes."""
    x = inputs.one
    kernel = b.array(layer, "kernel", *(None,) * b.arrays(layer)["kernel"].ndim)
    (first, second), output = _terms(layer.config.text("equation"), [x.rank, kernel.ndim])
    inner = [letter for letter in first if letter in second]
    lead, units = ([one for one in term if one not in inner] for term in (first, second))
    if set(inner) & set(output) or set(output) != {*lead, *units}:
        raise Unreadable(f"its equation {layer.config.text('equation')!r} has a kernel for each entry of an axis")
    sizes = dict(zip(second, kernel.shape, strict=True))
    if any(x.shape[first.index(letter)] != sizes[letter] for letter in inner):
        raise layer.config.error(f"the kernel of {layer} does not fit its input")
    value = _moved(b, x.value, first, "".join(lead + inner))
    value = _flat(b, value, len(lead), len(inner))
    array = kernel.transpose([second.index(letter) for letter in inner + units])
    depth = math.prod(sizes[letter] for letter in inner)
    y = b.script.operation("@", value, b.parameter(layer, "kernel", array.reshape(depth, -1)))
    if len(units) != 1:
        y = b.script.call(reshape, y, (*(None,) * len(lead), *(sizes[letter] for letter in units)))
    y = _moved(b, y, "".join(lead + units), output)
    if "bias" in b.arrays(layer):
        y = b.script.operation("+", y, b.parameter(layer, "bias", b.arrays(layer)["bias"]))
    name, behind = activation(b, layer)
    return Signal(behind(y if name is None else b.activated(y, name)))


def _flat(b: Declaration, x: Value, lead: int, inner: int) -> Value:
    """The last axes as one."""
    return x if inner == 1 else b.script.call(reshape, x, (*(None,) * lead, -1))


def _moved(b: Declaration, x: Value, letters: str, order: str) -> Value:
    return x if letters == order else b.script.call(transpose, x, tuple(letters.index(one) for one in order))


def _einsum(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Of two tensors, matrix by matrix, where each has one axis at most that the other has not."""
    one, other = operands(b, inputs, 2)
    if len(inputs.arguments) != 2 or not isinstance(one, Value) or not isinstance(other, Value):
        raise Unreadable("it multiplies something else than two tensors")
    equation = option(layer, inputs, "subscripts", 2)
    (first, second), output = _terms(equation, [one.tensor.rank, other.tensor.rank])
    one, first = _summed(b, one, first, second + output)
    other, second = _summed(b, other, second, first + output)
    both = [letter for letter in output if letter in first and letter in second]
    inner = [letter for letter in first if letter in second and letter not in output]
    left, right = ([letter for letter in output if letter in term and letter not in both] for term in (first, second))
    if len(inner) != 1 or len(left) > 1 or len(right) > 1:
        raise Unreadable(f"its equation {equation!r} is no product matrix by matrix")
    a, c = _moved(b, one, first, "".join(both + left + inner)), _moved(b, other, second, "".join(both + inner + right))
    lead = (slice(None),) * len(both)
    a = a if left else b.script.item(a, *lead, None)
    c = c if right else b.script.item(c, ..., None)
    y = b.script.call(matmul, a, c)
    if not right:
        y = b.script.item(y, ..., 0)
    if not left:
        y = b.script.item(y, *lead, 0)
    return _moved(b, y, "".join(both + left + right), output)


def _summed(b: Declaration, x: Value, letters: str, others: str) -> tuple[Value, str]:
    """Sums along axes that nothing else has."""
    axes = tuple(axis for axis, letter in enumerate(letters) if letter not in others)
    if not axes:
        return x, letters
    return b.script.call(reduce_sum, x, axis=axes), "".join(letter for letter in letters if letter in others)


def _dot(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """NumPy's: along the last axis of one and of a vector, or the last but one of a matrix."""
    one, other = operands(b, inputs, 2)
    ranks = [item.tensor.rank if isinstance(item, Value) else np.ndim(item) for item in (one, other)]
    if 0 in ranks:
        return b.script.operation("*", one, other)
    if ranks[1] == 1:
        return b.script.call(reduce_sum, b.script.operation("*", one, other), axis=-1)
    if ranks[0] == 1 or ranks[1] > 2:
        raise Unreadable(f"its operands have {ranks[0]} and {ranks[1]} axes")
    return b.script.operation("@", one, other)


OPERATIONS: Mapping[str, Operation] = {"Einsum": _einsum, "Dot": _dot}
LAYERS: Mapping[str, Handler] = {"EinsumDense": _einsum_dense}
