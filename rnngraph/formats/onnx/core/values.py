"""Values of a file as values of a script: constants, parameters, sizes as numbers, repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....declare.functions import basic, rounding
from ....declare.functions.arrays.filling import ones_like
from ....declare.functions.basic import broadcast_to
from ....declare.tensor import constant
from ....ir.sizes.polynomial import Floor, terms_of
from ....ir.types import INTEGERS, Dim, Size, dim_text, size
from ...layers import declare_dense, declare_parameter
from ...script import Script
from ...steps import Step, Value, values_read
from .known import Expanded, Known, Operand, known, place_of, shape_of
from .sizes import UnreadableError, part_of

MOST_WRITTEN = 16
"""Entries of an array of whole numbers that stands in a script; longer ones go with the weights."""
HELD = {
    "float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32", "uint8": "int32",
    "uint16": "int32", "uint32": "int64", "uint64": "int64",
}  # fmt: skip
"""The dtype that values have here, of those that there are not."""


def held(dtype: str) -> str:
    """The dtype that a value of the file's has here."""
    return HELD.get(dtype, dtype)


class Values:
    """Declares what is known in a script."""

    def __init__(
        self, script: Script, shared: frozenset[Any] = frozenset(), anchored: frozenset[str] = frozenset()
    ) -> None:
        """shared: places of arrays that several products take, each of which is one parameter. anchored: sizes that
        no input would give which is computed with: what has such an axis hangs on an input that has one, too.
        """
        self.script, self.shared, self.anchored = script, shared, anchored
        self._declared: dict[Any, tuple[Operand, Value]] = {}
        """By what tells it apart, which must not go."""
        self.products: dict[Any, list[np.ndarray]] = {}
        """Arrays that are a product's right side, as often as they are, by their places."""

    def value(self, x: Operand, base: str = "weight") -> Value:
        """A value of the script. base: what a parameter is called that x becomes."""
        if isinstance(x, Value):
            return x
        key = id(x) if isinstance(x, Expanded) or x.is_symbolic else (*place_of(x.array), x.dtype)
        if key not in self._declared:
            self._declared[key] = x, self._repeated(x) if isinstance(x, Expanded) else self._constant(x, base)
        return self._declared[key][1]

    def declared_of(self, x: Value) -> Operand | None:
        """What a value was declared of that is known, or that is repeated."""
        return next((source for source, value in self._declared.values() if value is x), None)

    def known_as(self, x: Value) -> Known | None:
        """The array of the file that a value was declared of."""
        found = self.declared_of(x)
        return found if isinstance(found, Known) and not found.is_symbolic else None

    def times(self, left: Value, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
        """left @ kernel, plus a bias: a dense layer, or of a kernel that several products take a product."""
        place = place_of(kernel)
        self.products.setdefault(place, []).append(kernel)
        if place not in self.shared:
            return declare_dense(self.script, left, kernel, bias)
        found = self.script.operation("@", left, self.value(known(kernel), "kernel"))
        return found if bias is None else self.script.operation("+", found, self.value(known(bias), "bias"))

    def _constant(self, x: Known, base: str) -> Value:
        if x.is_symbolic:
            return self._sizes(x)
        array = x.array.astype(held(x.dtype))
        if array.size and (array.dtype.kind == "f" or array.size > MOST_WRITTEN) and array.ndim:
            return declare_parameter(self.script, base, array, base, trainable=array.dtype.kind == "f")
        dtype = {} if str(array.dtype) in ("float32", "int64", "bool") else {"dtype": str(array.dtype)}
        if not array.size:
            raise UnreadableError("it takes an array without entries")
        return self.script.call(constant, written(array), **dtype)

    def _sizes(self, x: Known) -> Value:
        """Sizes as numbers: of an open one as many ones as there are, added up."""
        dtype = held(x.dtype)
        flat = [self.cast(self._size_as_number(entry), dtype) for entry in x.array.reshape(-1)]
        whole = flat[0] if x.array.ndim == 0 else self.script.call(basic.stack, flat)
        return whole if x.array.ndim < 2 else self.script.call(basic.reshape, whole, x.array.shape)

    def _size_as_number(self, entry: Any) -> Value:
        if not isinstance(entry, int | Size) or isinstance(entry, bool):
            raise UnreadableError("whether sizes are equal is computed with as a number")
        total: Any = None
        for names, factor in terms_of(entry):
            term: Any = float(factor)
            for name in names:
                if isinstance(name, Floor):  # half a step away from where a quotient that is rounded could be wrong
                    above = self.script.operation("+", self._size_as_number(name.dim), 0.5)
                    count = self.script.call(rounding.floor, self.script.operation("/", above, float(name.by)))
                else:
                    ones = self.broadcast(self.script.call(constant, 1.0), (size(name),))
                    count = self.script.call(basic.reduce_sum, ones)
                term = count if term == 1 else self.script.operation("*", count, term)
            total = term if total is None else self.script.operation("+", total, term)
        return total if isinstance(total, Value) else self.script.call(constant, float(total or 0))

    def _repeated(self, x: Expanded) -> Value:
        source = x.source
        if isinstance(source, Known) and source.array.size == 1 and not source.is_symbolic:
            number, *dtype = self._scalar(source)
            found = self.broadcast(self.script.call(constant, number, *dtype), x.shape)
            found.step.fill = float(number)
            return found
        return self.broadcast(self.value(source), x.shape)

    def _scalar(self, x: Known) -> tuple[Any, ...]:
        number, dtype = written(x.numbers("a number").reshape(())), held(x.dtype)
        return (number,) if dtype in ("float32", "int64", "bool") else (number, dtype)

    def broadcast(self, x: Value, shape: Sequence[Dim]) -> Value:
        """x, repeated to a shape."""
        if shape_of(x) == tuple(shape):
            return x
        x = self._hanging_on_inputs(x, shape)
        own = shape_of(x)
        if own == tuple(shape):
            return x
        offset = len(shape) - len(own)
        for axis, dim in enumerate(shape):
            part = part_of(dim) if axis < offset or own[axis - offset] == 1 else None
            if part is not None:  # of one with a name
                name, index = part
                whole = self.broadcast(x, [*shape[:axis], size(name), *shape[axis + 1 :]])
                return self.script.item(whole, *(slice(None),) * axis, index)
        entries = [
            None if axis >= offset and own[axis - offset] == dim else self._entry(dim) for axis, dim in enumerate(shape)
        ]
        return self.script.call(broadcast_to, x, tuple(entries))

    def _hanging_on_inputs(self, x: Value, shape: Sequence[Dim]) -> Value:
        """x, repeated along axes of sizes that inputs must give by what is computed of them."""
        own = shape_of(x)
        for axis, dim in enumerate(shape, len(own) - len(shape)):
            if isinstance(dim, Size) and dim.symbol in self.anchored and (axis < 0 or own[axis] == 1):
                line = self.ones_along(dim)
                turned = self.script.call(basic.reshape, line, (None, *(1,) * (len(own) - axis - 1)))
                line = turned if axis + 1 < len(own) else line
                if x.tensor.dtype == "bool":
                    x = self.script.call(basic.logical_and, x, self.script.operation(">", line, 0.5))
                else:
                    x = self.script.operation("*", x, self.cast(line, x.tensor.dtype))
        return x

    def ones_along(self, dim: Size) -> Value:
        """Ones [dim] that hang on an input which has an axis of this size."""
        for value in self.script.inputs.values():
            shape = value.tensor.type.shape
            if dim in shape:
                index = [slice(None) if axis == shape.index(dim) else 0 for axis in range(len(shape))]
                line = value if len(shape) == 1 else self.script.item(value, *index)
                dtype = {} if line.tensor.dtype == "float32" else {"dtype": "float32"}
                return self.script.call(ones_like, line, **dtype)
        raise UnreadableError(f"no input has an axis of the size {dim}")

    def _entry(self, dim: Dim) -> int | str:
        """A size, as it can be written."""
        if isinstance(dim, int):
            return dim
        if dim.symbol is None or dim.symbol.startswith("_"):
            raise UnreadableError(f"a size that is computed, {dim_text(dim)}, is asked for by itself")
        return dim.symbol

    def cast(self, x: Value, dtype: str) -> Value:
        dtype = held(dtype)
        return x if x.tensor.dtype == dtype else self.script.call(basic.cast, x, dtype)

    def inputs_behind(self, x: Value) -> list[str]:
        """Names of the inputs that x is computed from."""
        steps = self.steps_behind(x)
        return [name for name, value in self.script.inputs.items() if value.step in steps]

    def steps_behind(self, x: Value) -> set[Step]:
        """The step that made x, and all that it needs."""
        seen, pending = {x.step}, [x.step]
        while pending:
            for value in values_read(pending.pop()):
                if value.step not in seen:
                    seen.add(value.step)
                    pending.append(value.step)
        return seen

    def beside(self, x: Operand, rank: int, dtype: str, base: str = "weight") -> Any:
        """An operand that stands beside a value of ``rank``: one number is written as that."""
        if isinstance(x, Known) and not x.is_symbolic and x.array.size == 1 and x.array.ndim <= rank:
            number = written(x.array.reshape(()))
            if held(x.dtype) == dtype and (dtype in INTEGERS or np.isfinite(number)):
                return number
        return self.value(x, base)


def written(array: np.ndarray) -> Any:
    """Numbers as Python has them: of a float32 the shortest that is the same float32."""
    if array.dtype == np.float32:
        return np.vectorize(lambda number: float(str(number)), otypes=[object])(array).tolist() if array.size else []
    return array.tolist()


def shortest(number: float) -> float:
    """The number with the fewest digits that is the same float32."""
    return float(str(np.float32(number)))
