"""Declares known values in a script: constants, parameters, sizes and broadcasts."""

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
from ...layers import declare_affine, declare_dense, declare_parameter
from ...script import Script
from ...steps import Step, Value, values_read
from .known import Expanded, Known, Operand, known, place_of, shape_of
from .sizes import UnreadableError, part_of

MAX_WRITTEN = 16
"""Maximum entries of an array of integers or bools that is a literal in scripts. Longer ones are parameters."""
STORAGE_DTYPES = {
    "float16": "float32",
    "bfloat16": "float32",
    "int8": "int32",
    "int16": "int32",
    "uint8": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
}
"""Dtypes in which the net computes in place of those that rnngraph lacks, by the dtype in the file."""


def storage_dtype(dtype: str) -> str:
    """Return the dtype in which the net computes values that have ``dtype`` in the file."""
    return STORAGE_DTYPES.get(dtype, dtype)


class Values:
    """Declares ``Known`` and ``Expanded`` operands in a script, each once."""

    def __init__(
        self, script: Script, shared: frozenset[Any] = frozenset(), anchored: frozenset[str] = frozenset()
    ) -> None:
        """Create an object that declares values in ``script``.

        Args:
            shared: Keys of arrays that are the right operand of several products. Each becomes a single parameter.
            anchored: Sizes that no needed input has. A value with such an axis is made to depend on an unused input
                that has it.
        """
        self.script, self.shared, self.anchored = script, shared, anchored
        self._declared: dict[Any, tuple[Operand, Value]] = {}
        """(Operand, declared value) by a key of the operand. It keeps the operand alive, so that keys stay valid."""
        self.products: dict[Any, list[np.ndarray]] = {}
        """Right operands of products, by a key of the array. A list with several entries shows a shared array."""

    def value(self, x: Operand, base: str = "weight") -> Value:
        """Return an operand as a value of the script. ``base`` is the preferred name of a new parameter."""
        if isinstance(x, Value):
            return x
        key = id(x) if isinstance(x, Expanded) or x.is_symbolic else (*place_of(x.array), x.dtype)
        if key not in self._declared:
            self._declared[key] = x, self._repeated(x) if isinstance(x, Expanded) else self._constant(x, base)
        return self._declared[key][1]

    def declared_of(self, x: Value) -> Operand | None:
        """Return the operand from which ``value`` declared x; None if x is not a declared operand."""
        return next((source for source, value in self._declared.values() if value is x), None)

    def known_as(self, x: Value) -> Known | None:
        """Return the array from which ``value`` declared x; None for other values, and for formulas."""
        source = self.declared_of(x)
        return source if isinstance(source, Known) and not source.is_symbolic else None

    def times(self, left: Value, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
        """Declare ``left @ kernel + bias``: as a dense layer, unless several products share the kernel."""
        place = place_of(kernel)
        self.products.setdefault(place, []).append(kernel)
        if place not in self.shared:
            return declare_dense(self.script, left, kernel, bias)
        matrix = self.value(known(kernel), "kernel")
        return declare_affine(self.script, left, matrix, None if bias is None else self.value(known(bias), "bias"))

    def _constant(self, x: Known, base: str) -> Value:
        """Declare a known array: a scalar or short integer array as a literal, sizes as a sum, others as parameters."""
        if x.is_symbolic:
            return self._sizes(x)
        array = x.array.astype(storage_dtype(x.dtype))
        if array.size and (array.dtype.kind == "f" or array.size > MAX_WRITTEN) and array.ndim:
            return declare_parameter(self.script, base, array, base, trainable=array.dtype.kind == "f")
        dtype = {} if str(array.dtype) in ("float32", "int64", "bool") else {"dtype": str(array.dtype)}
        if not array.size:
            raise UnreadableError("it reads an empty array, which is not supported")
        return self.script.call(constant, written(array), **dtype)

    def _sizes(self, x: Known) -> Value:
        """Declare sizes as a tensor of numbers. A symbolic size is computed as a sum of ones."""
        dtype = storage_dtype(x.dtype)
        flat = [self.cast(self._size_as_number(entry), dtype) for entry in x.array.reshape(-1)]
        whole = flat[0] if x.array.ndim == 0 else self.script.call(basic.stack, flat)
        return whole if x.array.ndim < 2 else self.script.call(basic.reshape, whole, x.array.shape)

    def _size_as_number(self, entry: Any) -> Value:
        """Declare a size as a float scalar, computed from the lengths of axes."""
        if not isinstance(entry, int | Size) or isinstance(entry, bool):
            raise UnreadableError("it uses the result of a comparison of symbolic sizes as a number; fix one of them")
        total: Any = None
        for names, factor in terms_of(entry):
            term: Any = float(factor)
            for name in names:
                if isinstance(name, Floor):  # Adding 0.5 keeps the rounded quotient on the same side of each integer.
                    above = self.script.operation("+", self._size_as_number(name.dim), 0.5)
                    count = self.script.call(rounding.floor, self.script.operation("/", above, float(name.by)))
                else:
                    ones = self.broadcast(self.script.call(constant, 1.0), (size(name),))
                    count = self.script.call(basic.reduce_sum, ones)
                term = count if term == 1 else self.script.operation("*", count, term)
            total = term if total is None else self.script.operation("+", total, term)
        return total if isinstance(total, Value) else self.script.call(constant, float(total or 0))

    def _repeated(self, x: Expanded) -> Value:
        """Declare an ``Expanded`` as a broadcast. A single repeated number is recorded as the step's ``fill``."""
        source = x.source
        if isinstance(source, Known) and source.array.size == 1 and not source.is_symbolic:
            number, *dtype = self._scalar(source)
            repeated = self.broadcast(self.script.call(constant, number, *dtype), x.shape)
            repeated.step.fill = float(number)
            return repeated
        return self.broadcast(self.value(source), x.shape)

    def _scalar(self, x: Known) -> tuple[Any, ...]:
        """Return the arguments of ``rg.constant`` for a number: the number, and its dtype unless it is implied."""
        number, dtype = written(x.numbers("a number").reshape(())), storage_dtype(x.dtype)
        return (number,) if dtype in ("float32", "int64", "bool") else (number, dtype)

    def broadcast(self, x: Value, shape: Sequence[Dim]) -> Value:
        """Broadcast x to a shape."""
        if shape_of(x) == tuple(shape):
            return x
        x = self._broadcast_by_inputs(x, shape)
        own = shape_of(x)
        if own == tuple(shape):
            return x
        offset = len(shape) - len(own)
        for axis, dim in enumerate(shape):
            part = part_of(dim) if axis < offset or own[axis - offset] == 1 else None
            if part is not None:  # a size such as T - 1 has no name: broadcast to T, then slice
                name, index = part
                whole = self.broadcast(x, [*shape[:axis], size(name), *shape[axis + 1 :]])
                return self.script.item(whole, *(slice(None),) * axis, index)
        entries = [
            None if axis >= offset and own[axis - offset] == dim else self._entry(dim) for axis, dim in enumerate(shape)
        ]
        return self.script.call(broadcast_to, x, tuple(entries))

    def _broadcast_by_inputs(self, x: Value, shape: Sequence[Dim]) -> Value:
        """Broadcast x along axes with sizes of ``anchored``, by ones that are computed from inputs with these sizes."""
        own = shape_of(x)
        for axis, dim in enumerate(shape, len(own) - len(shape)):
            if isinstance(dim, Size) and dim.symbol in self.anchored and (axis < 0 or own[axis] == 1):
                line = self.ones_along(dim)
                column = self.script.call(basic.reshape, line, (None, *(1,) * (len(own) - axis - 1)))
                line = column if axis + 1 < len(own) else line
                if x.tensor.dtype == "bool":
                    x = self.script.call(basic.logical_and, x, self.script.operation(">", line, 0.5))
                else:
                    x = self.script.operation("*", x, self.cast(line, x.tensor.dtype))
        return x

    def ones_along(self, dim: Size) -> Value:
        """Return a vector of ones that depends on an input with an axis of this size."""
        for value in self.script.inputs.values():
            shape = value.tensor.type.shape
            if dim in shape:
                index = [slice(None) if axis == shape.index(dim) else 0 for axis in range(len(shape))]
                line = value if len(shape) == 1 else self.script.item(value, *index)
                dtype = {} if line.tensor.dtype == "float32" else {"dtype": "float32"}
                return self.script.call(ones_like, line, **dtype)
        raise UnreadableError(f"its result needs the size {dim}, which no input has; fix the size")

    def fixing(self, name: str, number: int) -> str:
        """Return the argument of the reader that fixes a symbolic size, such as ``fixed={'B': 2}``, for errors."""
        if not name.startswith("size_"):  # The file names the size.
            return f"fixed={{{name!r}: {number}}}"
        inputs = {own: value.tensor.type.shape for own, value in self.script.inputs.items()}
        axes = {own: {shape.index(size(name)): number} for own, shape in inputs.items() if size(name) in shape}
        return f"fixed={axes}"

    def remedy(self, own: Sequence[Dim], target: Sequence[Dim]) -> str:
        """Return a remedy for errors if ``target`` has the example's size in place of a symbolic size; else ``""``."""
        have, want = next(((have, want) for have, want in zip(own, target, strict=False) if have != want), (0, 0))
        if not isinstance(have, Size) or not have.symbol or not isinstance(want, int) or want < 1:
            return ""
        return f"; if the file is made for one {have.symbol} alone, pass {self.fixing(have.symbol, want)}"

    def _entry(self, dim: Dim) -> int | str:
        """Return a size in the form of shapes in scripts: a number, or the name of a symbolic size."""
        if isinstance(dim, int):
            return dim
        if dim.symbol is None or dim.symbol.startswith("_"):
            raise UnreadableError(f"it needs the computed size {dim_text(dim)} as a number; fix the sizes of inputs")
        return dim.symbol

    def cast(self, x: Value, dtype: str) -> Value:
        dtype = storage_dtype(dtype)
        return x if x.tensor.dtype == dtype else self.script.call(basic.cast, x, dtype)

    def input_names_of(self, x: Value) -> list[str]:
        """Return the names of the inputs on which x depends."""
        steps = self.steps_of(x)
        return [name for name, value in self.script.inputs.items() if value.step in steps]

    def steps_of(self, x: Value) -> set[Step]:
        """Return the step that declared x, and all steps on which it depends."""
        seen, pending = {x.step}, [x.step]
        while pending:
            for value in values_read(pending.pop()):
                if value.step not in seen:
                    seen.add(value.step)
                    pending.append(value.step)
        return seen

    def as_operand(self, x: Operand, rank: int, dtype: str, base: str = "weight") -> Any:
        """Return x as the second operand of an op: a literal if x is one finite number of ``dtype``, else a value.

        Args:
            x: The operand.
            rank: Rank of the first operand.
            dtype: Dtype of the first operand.
            base: Preferred name of a new parameter.
        """
        if isinstance(x, Known) and not x.is_symbolic and x.array.size == 1 and x.array.ndim <= rank:
            number = written(x.array.reshape(()))
            if storage_dtype(x.dtype) == dtype and (dtype in INTEGERS or np.isfinite(number)):
                return number
        return self.value(x, base)


def written(array: np.ndarray) -> Any:
    """Convert an array to nested lists. A float32 becomes the shortest decimal that rounds to it."""
    if array.dtype == np.float32:
        return np.vectorize(lambda number: float(str(number)), otypes=[object])(array).tolist() if array.size else []
    return array.tolist()


def shortest(number: float) -> float:
    """Return the decimal with the fewest digits that rounds to the same float32."""
    return float(str(np.float32(number)))
