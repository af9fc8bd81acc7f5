"""Handlers of comparisons and logical functions."""

from __future__ import annotations

import torch

from ....declare.functions import basic
from ...steps import Value
from ..tracing.kinds import Argument, Function, Number, Result
from ..tracing.numbers import Extent
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tensors import DTYPES, TORCH_DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Entry, Filled, Lazy, dtype_of, shape_of
from .elementwise import pair


def _comparison(sign: str) -> Handler:
    """Return a function that translates torch's elementwise comparison, such as ``lt``, to the operator ``sign``."""

    def read(tracer: Tracer, a: Argument, b: Argument) -> Result:
        dtype = _common(a, b)
        first, second = pair(tracer, a, b, dtype)
        if sign == "==":
            return tracer.call(basic.equal, first, second)
        if sign == "!=":
            return tracer.call(basic.not_equal, first, second)
        if not isinstance(first, Value):
            first = tracer.value(a, dtype)
        return tracer.script.operation(sign, first, second)

    return read


def _common(a: Argument, b: Argument) -> str:
    """Return rnngraph's name of the dtype to which torch promotes the operands of a comparison."""

    def as_torch(x: Argument) -> torch.Tensor | Number:
        if isinstance(x, Value | Lazy):
            return torch.empty((1,) * min(len(shape_of(x)), 1), dtype=TORCH_DTYPES[dtype_of(x)])
        return int(x) if isinstance(x, Extent) else x

    return DTYPES[torch.result_type(as_torch(a), as_torch(b))]


_COMPARISONS: dict[str, tuple[str, ...]] = {
    "<": ("lt", "__lt__", "less"),
    "<=": ("le", "__le__", "less_equal"),
    ">": ("gt", "__gt__", "greater"),
    ">=": ("ge", "__ge__", "greater_equal"),
    "==": ("eq", "__eq__"),
    "!=": ("ne", "__ne__", "not_equal"),
}
for _sign in _COMPARISONS:
    reads(*_COMPARISONS[_sign])(_comparison(_sign))


def _truth(tracer: Tracer, x: Entry, name: str) -> Entry:
    """Convert a tensor to bool, as x != 0. Raises ``UnreadableError`` if ``name`` is bitwise logic on integers."""
    if dtype_of(x) == "bool":
        return x
    if not name.startswith("logical"):
        raise UnreadableError("bitwise logic on integers is not supported; convert to bool, or use torch.logical_and")
    return tracer.call(basic.not_equal, tracer.value(x), 0)


def _logical(name: str, function: Function) -> Handler:
    """Return a function that translates torch's function ``name`` of two tensors to the ``rg`` function, on bools.

    A name that does not begin with ``logical`` is bitwise logic, which is offered for bools only.
    """

    def read(tracer: Tracer, a: Argument, b: Argument) -> Result:
        one, other = (_truth(tracer, item, name) if isinstance(item, Value | Lazy) else item for item in (a, b))
        return tracer.call(function, *pair(tracer, one, other, "bool"))

    return read


for _names, _function in (
    (("logical_and", "__and__", "bitwise_and", "__rand__"), basic.logical_and),
    (("logical_or", "__or__", "bitwise_or", "__ror__"), basic.logical_or),
    (("logical_xor", "__xor__", "bitwise_xor", "__rxor__"), basic.logical_xor),
):
    for _name in _names:
        reads(_name)(_logical(_name, _function))


def _not(name: str) -> Handler:
    """Return a function that translates the torch function ``name``: ``logical_not``, or on bools the bitwise not."""

    def read(tracer: Tracer, x: Entry) -> Result:
        if isinstance(x, Filled):
            return Filled(not x.number, x.shape, "bool")
        return tracer.call(basic.logical_not, tracer.value(_truth(tracer, x, name)))

    return read


for _name in ("logical_not", "__invert__", "bitwise_not"):
    reads(_name)(_not(_name))
