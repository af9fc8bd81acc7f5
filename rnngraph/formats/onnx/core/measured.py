"""Open sizes as numbers: what a file computes with at run time is counted on an input that has such an axis."""

from __future__ import annotations

from typing import Any

from ....declare.functions.basic import cast, reduce_sum
from ....ir.sizes.polynomial import Floor, terms_of
from ....ir.types import Dim, Size
from ...script import Script, Value
from .functions import ones_like
from .sizes import UnreadableError


def along(script: Script, size: Dim) -> Value:
    """Ones [size], which hang on an input that has an axis of this size."""
    for value in script.inputs.values():
        shape = value.tensor.type.shape
        for axis, dim in enumerate(shape):
            if dim == size:
                index: list[Any] = [0] * len(shape)
                index[axis] = slice(None)
                line = value if len(shape) == 1 else script.item(value, *index)
                if line.tensor.dtype != "float32":
                    line = script.call(cast, line, "float32")
                return script.call(ones_like, line)
    raise UnreadableError(f"the size {size} is asked for at run time, and no input has an axis of it")


def measured(script: Script, size: Size) -> Value:
    """The size as an int64 number."""
    total: Value | None = None
    for names, factor in sorted(terms_of(size), key=lambda term: not term[0]):  # a number comes last
        term: Value | int = factor
        for name in names:
            if isinstance(name, Floor):
                raise UnreadableError(f"the size {size} is computed with as a number")
            counted = script.call(reduce_sum, along(script, Size((((name,), 1),))))
            number = script.call(cast, counted, "int64")
            term = number if isinstance(term, int) and term == 1 else script.operation("*", number, term)
        total = _added(script, total, term)
    assert total is not None
    return total


def _added(script: Script, total: Value | None, term: Value | int) -> Value:
    """A sum whose parts are values of the script, but for a constant."""
    if total is None:
        if isinstance(term, Value):
            return term
        raise UnreadableError("a size begins with a number")
    return script.operation("+", total, term)
