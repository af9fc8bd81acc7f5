"""Reads nodes of the domain ``tensorflow``: ops that ONNX lacks, or whose translation depends on operands' shapes."""

from __future__ import annotations

import numpy as np

from ...declare.functions import activations, basic
from ...declare.functions.arrays.moves import swapped_order
from ...declare.functions.elementary import numbers, powers, remainders
from ...ir.types import FLOATS
from ..onnx.core.known import Known, shape_of
from ..onnx.core.table import Call, Outputs, reads
from ..onnx.ops.choosing import one_hot_at
from ..operators import elementwise
from ..operators.backend import ScriptBackend
from .translation import DOMAIN

_ELEMENTS = {
    "Expm1": basic.expm1,
    "Log1p": basic.log1p,
    "Rsqrt": powers.rsqrt,
    "Square": basic.square,
    "IsFinite": numbers.isfinite,
    "IsInf": numbers.isinf,
    "Relu6": activations.relu6,
}


@reads(*_ELEMENTS, domain=DOMAIN)
def _elements(call: Call) -> Outputs:
    return call.script.call(_ELEMENTS[call.op], call.value(0))


@reads("AddZeros", domain=DOMAIN)
def _add_zeros(call: Call) -> Outputs:
    """Read a sum whose second operand is zeros: the first operand, broadcast if the shapes differ."""
    x, zeros = call.input(0), call.input(1)
    return x if shape_of(x) == shape_of(zeros) else call.of("Add", [x, zeros])


@reads("Sign", domain=DOMAIN)
def _sign(call: Call) -> Outputs:
    return elementwise.sign(ScriptBackend(call.script), call.value(0))


@reads("Maximum", "Minimum", domain=DOMAIN)
def _extreme(call: Call) -> Outputs:
    function = elementwise.maximum if call.op == "Maximum" else elementwise.minimum
    x = call.value(0)
    return function(ScriptBackend(call.script), x, call.tensors.as_operand(call.input(1), call.rank(0), x.tensor.dtype))


@reads("FloorDiv", domain=DOMAIN)
def _floor_divide(call: Call) -> Outputs:
    x, y = call.input(0), call.input(1)
    if isinstance(x, Known) and isinstance(y, Known) and x.dtype not in FLOATS:
        if x.is_symbolic or y.is_symbolic:
            return call.of("Div", [x, y])  # Truncation is the floor, because sizes are nonnegative.
        return Known(np.floor_divide(x.array, y.array), x.dtype)
    return elementwise.floor_divide(ScriptBackend(call.script), call.value(0), call.value(1))


@reads("DivNoNan", domain=DOMAIN)
def _quotient(call: Call) -> Outputs:
    return elementwise.div_no_nan(ScriptBackend(call.script), call.value(0), call.value(1))


@reads("FloorMod", domain=DOMAIN)
def _remainder(call: Call) -> Outputs:
    x, y = call.input(0), call.input(1)
    if isinstance(x, Known) and isinstance(y, Known):
        return call.of("Mod", [x, y])
    return call.script.call(remainders.remainder, call.value(0), call.value(1))


@reads("SquaredDifference", domain=DOMAIN)
def _squared_difference(call: Call) -> Outputs:
    return elementwise.squared_difference(ScriptBackend(call.script), call.value(0), call.value(1))


@reads("Select", domain=DOMAIN)
def _select(call: Call) -> Outputs:
    """Read Select. A 1-D condition selects whole rows of the operands."""
    condition, rank = call.input(0), call.rank(1)
    if call.rank(0) == 1 and rank > 1:
        condition = call.tensors.expand_dims(condition, list(range(1, rank)))
    return call.of("Where", [condition, call.input(1), call.input(2)])


@reads("OneHot", domain=DOMAIN)
def _one_hot(call: Call) -> Outputs:
    """Read OneHot. Negative indices select no entry, whereas ONNX counts them from the end."""
    return one_hot_at(call, negative=False)


@reads("BatchMatMul", domain=DOMAIN)
def _batch_matmul(call: Call) -> Outputs:
    items = []
    for place, key in enumerate(("a", "b")):
        x = call.input(place)
        rank = len(shape_of(x))
        items.append(call.tensors.transpose(x, swapped_order(rank, -2, -1)) if call.whole(key, 0) else x)
    return call.of("MatMul", items)
