"""Declares ``EinsumDense``, and the functions ``einsum``, ``tensordot``, ``dot`` and other products."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ...declare.functions.arrays.contractions import einsum, letters_of, tensordot
from ...declare.functions.basic import reshape, transpose
from ..steps import Value
from .activations import activation
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .operands import Operation, operands, option


def _terms(equation: object, ranks: list[int]) -> tuple[list[str], str]:
    """Parse an einsum equation. Return (letters of each operand's axes, letters of the result's axes)."""
    letters = letters_of(equation, ranks) if isinstance(equation, str) else None
    if letters is None or any(len(set(term)) < len(term) for term in letters[0]):
        raise Unreadable(f"its equation {equation!r} is not supported")
    return letters


def _einsum_dense(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare ``EinsumDense`` as x [lead, inner] @ kernel [inner, units]. Each name stands for any number of axes."""
    x = inputs.one
    kernel = b.array(layer, "kernel", *(None,) * b.arrays(layer)["kernel"].ndim)
    (first, second), output = _terms(layer.config.text("equation"), [x.rank, kernel.ndim])
    inner = [letter for letter in first if letter in second]
    lead, units = ([one for one in term if one not in inner] for term in (first, second))
    if set(inner) & set(output) or set(output) != {*lead, *units}:
        equation = layer.config.text("equation")
        raise Unreadable(f"its equation {equation!r} must sum axes of both operands, and keep all other axes")
    sizes = dict(zip(second, kernel.shape, strict=True))
    if any(x.shape[first.index(letter)] != sizes[letter] for letter in inner):
        raise layer.config.error(f"the kernel {list(kernel.shape)} of {layer} does not fit its input")
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
    name, after = activation(b, layer)
    return Signal(after(y if name is None else b.activated(y, name)))


def _flat(b: Declaration, x: Value, lead: int, inner: int) -> Value:
    """Reshape x [lead axes, inner axes] to [lead axes, product of the inner axes]."""
    return x if inner == 1 else b.script.call(reshape, x, (*(None,) * lead, -1))


def _moved(b: Declaration, x: Value, letters: str, order: str) -> Value:
    """Transpose x, whose axes have the given letters, to the order of the letters in ``order``."""
    return x if letters == order else b.script.call(transpose, x, tuple(letters.index(one) for one in order))


def _einsum(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    equation, items = option(layer, inputs, "subscripts", 9), operands(b, inputs, len(inputs.arguments))
    ranks = [item.tensor.rank if isinstance(item, Value) else np.ndim(item) for item in items]
    if not isinstance(equation, str) or letters_of(equation, ranks) is None:
        raise Unreadable(f"its equation {equation!r} is not supported")
    return b.script.call(einsum, equation, *items)


def _tensordot(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axes = option(layer, inputs, "axes", 2, 2)
    if not isinstance(axes, int) and not (isinstance(axes, list | tuple) and len(axes) == 2):
        raise Unreadable(f"axes must be a whole number or a pair, not {axes!r}")
    return b.script.call(tensordot, *operands(b, inputs, 2), axes)


def _dot(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``numpy.dot``. Raises ``Unreadable`` if the second operand has rank above 2, or rank 2 after a vector."""
    one, other = operands(b, inputs, 2)
    ranks = [item.tensor.rank if isinstance(item, Value) else np.ndim(item) for item in (one, other)]
    if 0 in ranks:
        return b.script.operation("*", one, other)
    if ranks[1] > 2 or (ranks[0] == 1 and ranks[1] > 1):
        raise Unreadable(f"its operands have {ranks[0]} and {ranks[1]} axes, which is not supported")
    return b.script.operation("@", one, other)


OPERATIONS: Mapping[str, Operation] = {"Einsum": _einsum, "Tensordot": _tensordot, "Dot": _dot}
LAYERS: Mapping[str, Handler] = {"EinsumDense": _einsum_dense}
