"""What torch's comparisons and its logic mean."""

from __future__ import annotations

from typing import Any

import torch

from ....declare.functions import basic
from ...steps import Value
from ..tracing.kinds import Function, Operand, Result
from ..tracing.numbers import Extent
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, dtype_of, shape_of
from .elementwise import pair


def _compared(sign: str, swapped: bool = False) -> Function:
    def mean(tracer: Tracer, a: Operand, b: Operand) -> Result:
        dtype = _common(a, b)
        first, second = pair(tracer, a, b, dtype)
        if sign == "==":
            return tracer.call(basic.equal, first, second)
        if sign == "!=":
            return tracer.call(basic.not_equal, first, second)
        if not isinstance(first, Value):
            first = tracer.value(a, dtype)
        return tracer.script.operation(sign, first, second)

    return mean


def _common(a: Operand, b: Operand) -> str:
    """The dtype in which torch compares."""
    kinds = {name: kind for kind, name in DTYPES.items()}

    def as_torch(x: Operand) -> Any:
        if isinstance(x, Value | Lazy):
            return torch.empty((1,) * min(len(shape_of(x)), 1), dtype=kinds[dtype_of(x)])
        return int(x) if isinstance(x, Extent) else x

    return DTYPES[torch.result_type(as_torch(a), as_torch(b))]


_COMPARISONS: dict[str, tuple[str, ...]] = {
    "<": ("lt", "__lt__", "less"), "<=": ("le", "__le__", "less_equal"), ">": ("gt", "__gt__", "greater"),
    ">=": ("ge", "__ge__", "greater_equal"), "==": ("eq", "__eq__"), "!=": ("ne", "__ne__", "not_equal"),
}  # fmt: skip
for _sign in _COMPARISONS:
    meaning(*_COMPARISONS[_sign])(_compared(_sign))


def _truth(tracer: Tracer, x: Operand, name: str) -> Operand:
    """A bool tensor, or what of numbers is not 0."""
    if dtype_of(x) == "bool":
        return x
    if not name.startswith("logical"):
        raise UnreadableError("the bits of whole numbers are not read; use torch.logical_and and the like")
    return tracer.call(basic.not_equal, tracer.value(x), 0)


def _logical(name: str, function: Function) -> Function:
    def mean(tracer: Tracer, a: Operand, b: Operand) -> Result:
        given = [_truth(tracer, item, name) if isinstance(item, Value | Lazy) else item for item in (a, b)]
        first, second = pair(tracer, given[0], given[1], "bool")
        return tracer.call(function, first, second)

    return mean


for _names, _function in (
    (("logical_and", "__and__", "bitwise_and", "__rand__"), basic.logical_and),
    (("logical_or", "__or__", "bitwise_or", "__ror__"), basic.logical_or),
    (("logical_xor", "__xor__", "bitwise_xor", "__rxor__"), basic.logical_xor),
):
    for _name in _names:
        meaning(_name)(_logical(_name, _function))


def _not(name: str) -> Function:
    def mean(tracer: Tracer, x: Operand) -> Result:
        if isinstance(x, Filled):
            return Filled(not x.number, x.shape, "bool")
        return tracer.call(basic.logical_not, tracer.value(_truth(tracer, x, name)))

    return mean


for _name in ("logical_not", "__invert__", "bitwise_not"):
    meaning(_name)(_not(_name))
