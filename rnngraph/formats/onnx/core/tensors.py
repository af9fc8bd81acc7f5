"""Functions of values of a file, whichever they are: what is known is computed, all else is declared in the script.

Exporters turn axes to and fro around recurrent layers and convolutions. What was turned, reshaped or joined is noted with
the step that did it, so that what undoes it gives what was there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.basic import broadcast_to
from ....declare.tensor import constant
from ....ir.sizes.polynomial import Floor, terms_of
from ....ir.types import INTEGERS, Dim, Size, dim_text, product, quotient, size
from ...layers import declare_parameter
from ...script import Script, Step, Value, values_read
from .known import MOST_FOLDED, Expanded, Known, Operand, check_count, dtype_of, known, shape_of
from .sizes import UnreadableError, checked, total

MOST_WRITTEN = 16
"""Entries of an array of whole numbers that stands in a script; longer ones go with the weights."""
HELD = {
    "float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32", "uint8": "int32",
    "uint16": "int32", "uint32": "int64", "uint64": "int64",
}  # fmt: skip
"""The dtype that values have here, of those that there are not."""


@dataclass(frozen=True)
class Note:
    """How a step was made. kind: ``transpose`` (by: the order), ``reshape``, ``stack`` and ``concat`` (by: the axis)."""

    kind: str
    parts: tuple[Value, ...]
    by: Any = None


class Tensors:
    """Declares in a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._notes: dict[tuple[Step, tuple[int | str, ...]], Note] = {}
        self._declared: dict[tuple[int, str], tuple[Known, Value]] = {}
        self._wholes: dict[Any, Value] = {}
        self.recurrences: list[Any] = []
        """Drivers that were declared, in their order."""

    # What a value is ---------------------------------------------------------------------------------

    def value(self, x: Operand, base: str = "weight") -> Value:
        """A value of the script. base: what a parameter is called that x becomes."""
        if isinstance(x, Value):
            return x
        if isinstance(x, Expanded):
            return self._repeated(x)
        found = self._declared.get((id(x), x.dtype))
        if found is None:
            found = self._declared[id(x), x.dtype] = (x, self._constant(x, base))
        return found[1]

    def _constant(self, x: Known, base: str) -> Value:
        if x.is_symbolic:
            return self._sizes(x)
        array = x.array.astype(HELD.get(x.dtype, x.dtype))
        if array.size and (array.dtype.kind == "f" or array.size > MOST_WRITTEN) and array.ndim:
            return declare_parameter(self.script, base, array, trainable=array.dtype.kind == "f")
        if array.size > MOST_WRITTEN or (array.dtype.kind == "f" and array.ndim):
            raise UnreadableError("it takes an array without entries")
        dtype = {} if str(array.dtype) in ("float32", "int64", "bool") else {"dtype": str(array.dtype)}
        if not array.size:
            raise UnreadableError("it takes an array without entries")
        return self.script.call(constant, written(array), **dtype)

    def _sizes(self, x: Known) -> Value:
        """Sizes as numbers: of an open one as many ones as there are, added up."""
        dtype = HELD.get(x.dtype, x.dtype)
        flat = [self.cast(self._size_as_number(entry), dtype) for entry in x.array.reshape(-1)]
        whole = flat[0] if x.array.ndim == 0 else self.script.call(basic.stack, flat)
        return whole if x.array.ndim < 2 else self._reshaped(whole, x.array.shape)

    def _size_as_number(self, entry: Any) -> Value:
        if not isinstance(entry, int | Size) or isinstance(entry, bool):
            raise UnreadableError("whether sizes are equal is computed with as a number")
        total: Any = None
        for names, factor in terms_of(entry):
            term: Any = float(factor)
            for name in names:
                ones = self.broadcast(self._one(), (size(name) if not isinstance(name, Floor) else -1,))
                count = self.script.call(basic.reduce_sum, ones)
                term = count if term == 1 else self.script.operation("*", count, term)
            total = term if total is None else self.script.operation("+", total, term)
        return total if isinstance(total, Value) else self.script.call(constant, float(total or 0))

    def _one(self) -> Value:
        return self.script.call(constant, 1.0)

    def _repeated(self, x: Expanded) -> Value:
        source = x.source
        if isinstance(source, Known) and source.array.size == 1:
            number, *dtype = self._scalar(source)
            return self.broadcast(self.script.call(constant, number, *dtype), x.shape)
        return self.broadcast(self.value(source), x.shape)

    def _scalar(self, x: Known) -> tuple[Any, ...]:
        number, dtype = written(x.numbers("a number").reshape(())), HELD.get(x.dtype, x.dtype)
        return (number,) if dtype in ("float32", "int64", "bool") else (number, dtype)

    def broadcast(self, x: Value, shape: Sequence[Dim]) -> Value:
        """x, repeated to a shape."""
        if shape_of(x) == tuple(shape):
            return x
        own = shape_of(x)
        offset = len(shape) - len(own)
        entries = [
            None if axis >= offset and own[axis - offset] == dim else self._entry(dim) for axis, dim in enumerate(shape)
        ]
        return self.script.call(broadcast_to, x, tuple(entries))

    def _entry(self, dim: Dim) -> int | str:
        """A size, as it can be written."""
        if isinstance(dim, int):
            return dim
        if dim.symbol is None or dim.symbol.startswith("_"):
            raise UnreadableError(f"a size that is computed, {dim_text(dim)}, is asked for by itself")
        return dim.symbol

    # Moving ------------------------------------------------------------------------------------------

    def transpose(self, x: Operand, order: Sequence[int]) -> Operand:
        """x with its axes in this order."""
        order = tuple(axis % len(shape_of(x)) for axis in order)
        if sorted(order) != list(range(len(shape_of(x)))):
            raise UnreadableError(f"an order of axes {list(order)} for shape {texts(shape_of(x))}")
        if isinstance(x, Known):
            return Known(np.transpose(x.array, order), x.dtype)
        if isinstance(x, Expanded):
            lacking = len(x.shape) - len(shape_of(x.source))
            source = self.reshape(x.source, (*(1,) * lacking, *shape_of(x.source)))
            return Expanded(_source(self.transpose(source, order)), tuple(x.shape[axis] for axis in order))
        return self.turned(x, order)

    def turned(self, x: Value, order: tuple[int, ...]) -> Value:
        """x with its axes in this order, all of them from the front."""
        if order == tuple(range(len(order))):
            return x
        note = self.note(x)
        if note is not None and note.kind == "transpose":
            return self.turned(note.parts[0], tuple(note.by[axis] for axis in order))
        if note is not None and note.kind == "stack":
            within = [axis for axis in order if axis != note.by]
            each = tuple(axis - (axis > note.by) for axis in within)
            return self.stack([self.turned(part, each) for part in note.parts], order.index(note.by))
        if note is not None and note.kind == "concat" and all(self._is_transposed(part) for part in note.parts):
            return self._joined([self.turned(part, order) for part in note.parts], order.index(note.by))
        shape = shape_of(x)
        long = [axis for axis in order if shape[axis] != 1]
        if long == sorted(long):  # what moves are axes of 1
            return self._reshaped(x, tuple(shape[axis] for axis in order))
        made = self.script.call(basic.transpose, x, order)
        self._notes[made.step, made.path] = Note("transpose", (x,), order)
        return made

    def _is_transposed(self, x: Value) -> bool:
        note = self.note(x)
        return note is not None and note.kind == "transpose"

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

    def joint(self, parts: Sequence[Value]) -> Value | None:
        """What joins these parts on the last axis, if something does."""
        rank = len(shape_of(parts[0]))
        return self._wholes.get((rank - 1, *((part.step, part.path) for part in parts)))

    def note(self, x: Value) -> Note | None:
        return self._notes.get((x.step, x.path))

    def turned_from(self, x: Operand) -> tuple[Value, tuple[int, ...]] | None:
        """What x is with its axes in another order, if it is that."""
        note = self.note(x) if isinstance(x, Value) else None
        return (note.parts[0], note.by) if note is not None and note.kind == "transpose" else None

    def reshape(self, x: Operand, shape: Sequence[Dim]) -> Operand:
        """x in another shape; -1 stands for what is left."""
        own, wanted = shape_of(x), list(shape)
        if wanted.count(-1) > 1:
            raise UnreadableError("a shape holds -1 more than once")
        if -1 in wanted:
            wanted[wanted.index(-1)] = _remaining(own, [dim for dim in wanted if dim != -1])
        target = tuple(checked(dim) for dim in wanted)
        if any(isinstance(dim, int) and dim < 0 for dim in target):
            raise UnreadableError(f"a shape with a negative size, {texts(target)}")
        if target == own:
            return x
        if isinstance(x, Known):
            if not all(isinstance(dim, int) for dim in target):
                raise UnreadableError(f"an array is reshaped to sizes that are open, {texts(target)}")
            return Known(x.array.reshape(target), x.dtype)  # type: ignore[arg-type]
        if isinstance(x, Expanded):
            if isinstance(x.source, Known) and x.source.array.size == 1:
                return Expanded(x.source, target)
            x = self._repeated(x)
        return self._reshaped(x, target)

    def _reshaped(self, x: Value, shape: tuple[Dim, ...]) -> Value:
        note = self.note(x)
        if note is not None and note.kind == "reshape":
            return self._reshaped(note.parts[0], shape)
        own = shape_of(x)
        if own == shape:
            return x
        if note is not None and note.kind == "stack" and note.by == len(own) - 2 and shape[:-1] == own[:-2]:
            return self._joined(list(note.parts), len(shape) - 1)
        made = self._as_written(x, own, shape)
        self._notes[made.step, made.path] = Note("reshape", (x,))
        return made

    def _as_written(self, x: Value, own: tuple[Dim, ...], shape: tuple[Dim, ...]) -> Value:
        """A reshape by the function that says it best."""
        if len(shape) == len(own) + 1:
            for axis in range(len(shape)):
                if shape[axis] == 1 and (*shape[:axis], *shape[axis + 1 :]) == own:
                    return self.script.call(basic.expand_dims, x, axis)
        if len(shape) < len(own):
            dropped = [axis for axis in range(len(own)) if own[axis] == 1][: len(own) - len(shape)]
            if tuple(dim for axis, dim in enumerate(own) if axis not in dropped) == shape:
                return self.script.call(basic.squeeze, x, dropped[0] if len(dropped) == 1 else dropped)
        entries: list[Any] = []
        for axis, dim in enumerate(shape):
            if isinstance(dim, Size) and axis < len(own) and own[axis] == dim:
                entries.append(None)
            elif isinstance(dim, Size) and (dim.symbol is None or dim.symbol.startswith("_")):
                entries.append(-1)
            else:
                entries.append(self._entry(dim))
        if entries.count(-1) > 1:
            raise UnreadableError(f"a reshape of {texts(own)} to {texts(shape)} has several sizes that are computed")
        return self.script.call(basic.reshape, x, tuple(entries))

    def expand_dims(self, x: Operand, axes: Sequence[int]) -> Operand:
        """x with axes of 1. axes: where they are in the result."""
        own = list(shape_of(x))
        rank = len(own) + len(axes)
        places = sorted(axis_of(axis, rank) for axis in axes)
        for place in places:
            own.insert(place, 1)
        if len(set(places)) < len(places):
            raise UnreadableError(f"axes {list(axes)} are inserted, one of them twice")
        return self.reshape(x, own)

    def squeeze(self, x: Operand, axes: Sequence[int] | None) -> Operand:
        """x without axes of 1: these, or all that are known to be."""
        own = shape_of(x)
        places = [axis for axis, dim in enumerate(own) if dim == 1]
        if axes is not None:
            places = [axis_of(axis, len(own)) for axis in axes]
        wrong = [axis for axis in places if isinstance(own[axis], int) and own[axis] != 1]
        if wrong:
            raise UnreadableError(f"axis {wrong[0]} of shape {texts(own)} is not 1")
        open_ones = [axis for axis in places if own[axis] != 1]
        if open_ones:  # a call checks that it is 1
            return self.script.call(basic.squeeze, self.value(x), places[0] if len(places) == 1 else places)
        return self.reshape(x, [dim for axis, dim in enumerate(own) if axis not in places])

    def concat(self, items: Sequence[Operand], axis: int) -> Operand:
        """Joined along an axis."""
        rank = len(shape_of(items[0]))
        axis = axis_of(axis, rank)
        if len(items) == 1:
            return items[0]
        if all(isinstance(item, Known) for item in items):
            return self._joined_known([item for item in items if isinstance(item, Known)], axis)
        if len({len(shape_of(item)) for item in items}) > 1:
            raise UnreadableError(
                f"arrays of several ranks are joined: {', '.join(texts(shape_of(item)) for item in items)}"
            )
        items = [item for item in items if shape_of(item)[axis] != 0] or items[:1]
        if all(isinstance(item, Expanded) for item in items):
            merged = self._joined_expanded([item for item in items if isinstance(item, Expanded)], axis)
            if merged is not None:
                return merged
        values = [self.value(item) for item in items]
        parts: list[Value] | None = []
        for value in values:
            inner = self._parts_along(value, axis)
            parts = None if parts is None or inner is None else [*parts, *inner]
        return self.stack(parts, axis) if parts else self._joined(values, axis)

    def _joined_known(self, items: Sequence[Known], axis: int) -> Known:
        check_count(sum(item.array.size for item in items))
        if any(item.is_symbolic for item in items):
            return known(np.concatenate([item.array.astype(object) for item in items], axis), items[0].dtype)
        return known(np.concatenate([item.array for item in items], axis), items[0].dtype)

    def _joined_expanded(self, items: Sequence[Expanded], axis: int) -> Expanded | None:
        """Arrays that all repeat one number."""
        sources = [item.source for item in items]
        first = sources[0]
        if not isinstance(first, Known) or first.array.size != 1:
            return None
        for source in sources:
            if not isinstance(source, Known) or source.array.size != 1 or source.array.item() != first.array.item():
                return None
        whole = list(items[0].shape)
        whole[axis] = 0
        for item in items:
            whole[axis] = whole[axis] + item.shape[axis]
        return Expanded(first, tuple(whole))

    def _parts_along(self, x: Value, axis: int) -> list[Value] | None:
        """What was stacked along an axis to make x, if it was."""
        note = self.note(x)
        if note is None:
            return None
        if note.kind == "stack" and note.by == axis:
            return list(note.parts)
        shape = shape_of(x)
        if note.kind == "reshape" and shape[axis] == 1:
            inner = (*shape[:axis], *shape[axis + 1 :])
            return [self._reshaped(note.parts[0], inner)] if shape_of(note.parts[0]) == inner else None
        return None

    def _joined(self, items: list[Value], axis: int) -> Value:
        whole = self._wholes.get((axis, *((item.step, item.path) for item in items)))
        if whole is not None:
            return whole
        made = self.script.call(basic.concat, items, axis=axis)
        self.note_concat(made, items, axis)
        return made

    def note_concat(self, x: Value, parts: Sequence[Value], axis: int) -> None:
        """Says that x is these parts side by side."""
        self._notes[x.step, x.path] = Note("concat", tuple(parts), axis)
        self._wholes[(axis, *((part.step, part.path) for part in parts))] = x

    def stack(self, items: list[Value], axis: int) -> Value:
        """Joined along a new axis."""
        if len(items) == 1:
            return self._reshaped(items[0], (*shape_of(items[0])[:axis], 1, *shape_of(items[0])[axis:]))
        made = self.script.call(basic.stack, items, axis=axis)
        self._notes[made.step, made.path] = Note("stack", tuple(items), axis)
        return made

    def taken(self, x: Operand, index: Sequence[Any]) -> Operand:
        """x[index] of NumPy's basic indexing; whole numbers take an axis away."""
        if isinstance(x, Known):
            return Known(np.asarray(x.array[tuple(index)]), x.dtype)
        cut = [axis for axis, entry in enumerate(index) if entry != slice(None)]
        if not cut:
            return x
        if isinstance(x, Expanded) and isinstance(x.source, Known) and x.source.array.size == 1:
            made = self._cut(self.value(x), index)
            return Expanded(x.source, shape_of(made))
        value = self.value(x)
        note = self.note(value)
        if note is not None and note.kind == "stack" and cut == [note.by]:
            entry = index[note.by]
            if isinstance(entry, int):
                return note.parts[entry]
            return self.stack(list(note.parts[entry]), note.by) if note.parts[entry] else self._cut(value, index)
        if note is not None and note.kind == "reshape" and len(cut) == 1 and index[cut[0]] in (0, -1):
            axis, shape = cut[0], shape_of(value)
            if shape[axis] == 1:
                return self._reshaped(value, (*shape[:axis], *shape[axis + 1 :]))
        return self._cut(value, index)

    def _cut(self, x: Value, index: Sequence[Any]) -> Value:
        entries = list(index)
        while entries and entries[-1] == slice(None):
            entries.pop()
        return self.script.item(x, *entries)

    def cast(self, x: Value, dtype: str) -> Value:
        dtype = HELD.get(dtype, dtype)
        return x if x.tensor.dtype == dtype else self.script.call(basic.cast, x, dtype)

    # Operands of elementwise functions -----------------------------------------------------------------

    def beside(self, x: Operand, rank: int, dtype: str, base: str = "weight") -> Any:
        """An operand that stands beside a value of ``rank``: one number is written as that."""
        if isinstance(x, Expanded):
            return self._repeated(x)
        if isinstance(x, Known) and not x.is_symbolic and x.array.size == 1 and x.array.ndim <= rank:
            number = written(x.array.reshape(()))
            if HELD.get(x.dtype, x.dtype) == dtype and (dtype in INTEGERS or np.isfinite(number)):
                return number
        return self.value(x, base)


def _source(x: Operand) -> Known | Value:
    assert not isinstance(x, Expanded)
    return x


def written(array: np.ndarray) -> Any:
    """Numbers as Python has them: of a float32 the shortest that is the same float32."""
    if array.dtype == np.float32:
        return np.vectorize(lambda number: float(str(number)), otypes=[object])(array).tolist() if array.size else []
    return array.tolist()


def shortest(number: float) -> float:
    """The number with the fewest digits that is the same float32."""
    return float(str(np.float32(number)))


def axis_of(axis: int, rank: int) -> int:
    """A position from the front."""
    if not -rank <= axis < rank:
        raise UnreadableError(f"axis {axis} of an array of rank {rank}")
    return axis % rank


def texts(shape: Sequence[Dim]) -> str:
    return f"[{','.join(map(dim_text, shape))}]"


def _remaining(own: Sequence[Dim], others: Sequence[Dim]) -> Dim:
    """The size that -1 stands for."""
    left, divisors = list(own), []
    for dim in others:
        if dim in left:
            left.remove(dim)
        else:
            divisors.append(dim)
    divisor = total(tuple(divisors))
    if divisor == 0:
        return 0
    found = quotient(total(tuple(left)), divisor)
    if found is None:
        raise UnreadableError(f"the size for -1 in a reshape of {texts(own)} depends on the call")
    return found


__all__ = ["MOST_FOLDED", "Tensors", "axis_of", "dtype_of", "product", "texts", "written"]
