"""``Tensors``: computes functions of a file's values. Known values are folded; all others are declared in the script.

Exporters transpose around recurrent layers and convolutions. Notes record how values were transposed, reshaped and
joined, so that the inverse of such an op returns the original value, and nothing is declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....ir.types import Dim, Size, quotient, uncommon, whole_quotient
from ...script import Script
from ...steps import Step, Value
from .known import Expanded, Known, Operand, check_count, known, shape_of
from .sizes import ForcedSizeError, UnreadableError, axis_of, checked, forced, texts, total
from .values import Values


@dataclass(frozen=True)
class Note:
    """Record of the op that computed a value.

    Attributes:
        kind: ``transpose``, ``reshape``, ``stack``, ``concat``, ``slice``, ``sorted``, or a kind of ``record``.
        parts: Operands of the op. For ``sorted``, the value before sorting, and the order.
        by: Order of the axes (transpose); axis (stack, concat, sorted); (axis, start) (slice).
    """

    kind: str
    parts: tuple[Value, ...]
    by: Any = None


class Tensors(Values):
    """Computes functions of known values, and declares functions of other values in a script."""

    def __init__(
        self, script: Script, shared: frozenset[Any] = frozenset(), anchored: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(script, shared, anchored)
        self._notes: dict[tuple[Step, tuple[int | str, ...]], Note] = {}
        self._wholes: dict[Any, Value] = {}
        self.recurrences: list[Any] = []
        """Declared drivers, in the order of declaration."""

    # Transpose, reshape, concatenate, index ----------------------------------------------------------

    def transpose(self, x: Operand, order: Sequence[int]) -> Operand:
        """Transpose x. Negative axes in ``order`` count from the end."""
        order = tuple(axis % len(shape_of(x)) for axis in order)
        if sorted(order) != list(range(len(shape_of(x)))):
            raise UnreadableError(
                f"its permutation {list(order)} does not fit shape {texts(shape_of(x))}; give each axis once"
            )
        if isinstance(x, Known):
            return Known(np.transpose(x.array, order), x.dtype)
        if isinstance(x, Expanded):
            lacking = len(x.shape) - len(shape_of(x.source))
            source = self.reshape(x.source, (*(1,) * lacking, *shape_of(x.source)))
            return Expanded(_source(self.transpose(source, order)), tuple(x.shape[axis] for axis in order))
        return self.transposed(x, order)

    def transposed(self, x: Value, order: tuple[int, ...]) -> Value:
        """Transpose x. The axes of ``order`` are nonnegative."""
        if order == tuple(range(len(order))):
            return x
        note = self.note(x)
        if note is not None and note.kind == "transpose":
            return self.transposed(note.parts[0], tuple(note.by[axis] for axis in order))
        if note is not None and note.kind == "stack":
            within = [axis for axis in order if axis != note.by]
            each = tuple(axis - (axis > note.by) for axis in within)
            return self.stack([self.transposed(part, each) for part in note.parts], order.index(note.by))
        if note is not None and note.kind == "sorted":
            return self.sorted(self.transposed(note.parts[0], order), note.parts[1], order.index(note.by))
        shape = shape_of(x)
        long = [axis for axis in order if shape[axis] != 1]
        if long == sorted(long):  # Only axes of size 1 move, so that the order of the entries is the same.
            return self._reshaped(x, tuple(shape[axis] for axis in order))
        result = self.script.call(basic.transpose, x, order)
        self._notes[result.step, result.path] = Note("transpose", (x,), order)
        return result

    def joint(self, parts: Sequence[Value]) -> Value | None:
        """Return an existing concatenation of ``parts`` along the last axis; None if none was declared."""
        rank = len(shape_of(parts[0]))
        return self._wholes.get((rank - 1, *((part.step, part.path) for part in parts)))

    def note(self, x: Value) -> Note | None:
        return self._notes.get((x.step, x.path))

    def transpose_source(self, x: Operand) -> tuple[Value, tuple[int, ...]] | None:
        """Return (source, order) if x is a transpose; else None."""
        note = self.note(x) if isinstance(x, Value) else None
        return (note.parts[0], note.by) if note is not None and note.kind == "transpose" else None

    def reshape(self, x: Operand, shape: Sequence[Dim]) -> Operand:
        """Reshape x. One size may be -1, and is inferred.

        Raises ``ForcedSizeError`` if the numbers of entries are equal for one value of a symbolic size only.
        """
        own, new_shape = shape_of(x), list(shape)
        if new_shape.count(-1) > 1:
            raise UnreadableError(f"its shape {texts(shape)} has -1 more than once; give at most one -1")
        if -1 in new_shape:
            new_shape[new_shape.index(-1)] = self._remaining(own, new_shape)
        target = tuple(checked(dim) for dim in new_shape)
        if any(isinstance(dim, int) and dim < 0 for dim in target):
            raise UnreadableError(f"a shape has a negative size: {texts(target)}")
        if target == own:
            return x
        only = None if total(target) == total(own) else forced(own, target)
        if only is not None:
            raise ForcedSizeError(f"it reshapes {texts(own)} to {texts(target)}", *only)
        if total(target) != total(own) and (remedy := self.remedy(own, target)):
            raise UnreadableError(f"it reshapes {texts(own)} to {texts(target)}{remedy}")
        if isinstance(x, Known):
            sizes = [dim for dim in target if isinstance(dim, int)]
            if len(sizes) != len(target):
                raise UnreadableError(
                    f"it reshapes an array of the file to symbolic sizes {texts(target)}, which is not supported"
                )
            return Known(x.array.reshape(sizes), x.dtype)
        if isinstance(x, Expanded):
            if isinstance(x.source, Known) and x.source.array.size == 1:
                return Expanded(Known(x.source.array.reshape(()), x.source.dtype), target)
            x = self._repeated(x)
        return self._reshaped(x, target)

    def _reshaped(self, x: Value, shape: tuple[Dim, ...]) -> Value:
        """Reshape x. If x is itself a reshape, sort, stack or slice, declare the result from its operands."""
        note = self.note(x)
        if note is not None and note.kind == "reshape":
            return self._reshaped(note.parts[0], shape)
        own = shape_of(x)
        if own == shape:
            return x
        place = _moved_axis(own, shape, note.by) if note is not None and note.kind == "sorted" else None
        if note is not None and place is not None:
            return self.sorted(self._reshaped(note.parts[0], shape), note.parts[1], place)
        if note is not None and note.kind == "stack" and note.by == len(own) - 2 and shape[:-1] == own[:-2]:
            return self._joined(list(note.parts), len(shape) - 1)
        if note is not None and note.kind == "slice" and shape == own[: note.by[0]] + own[note.by[0] + 1 :]:
            # A slice of size 1 without its axis is one entry.
            return self._cut(note.parts[0], [*(slice(None),) * note.by[0], note.by[1]])
        result = self._as_written(x, own, shape)
        self._notes[result.step, result.path] = Note("reshape", (x,))
        return result

    def unmerged_rows(self, x: Value) -> Value | None:
        """Return the value of which x is a reshape that merged the leading axes, such as steps and batch; else None."""
        note = self.note(x)
        if note is None or note.kind != "reshape":
            return None
        *ahead, last = shape_of(note.parts[0])
        is_flat = sum(dim != 1 for dim in ahead) > 1 and shape_of(x) == (total(tuple(ahead)), last)
        return note.parts[0] if is_flat else None

    def _remaining(self, own: Sequence[Dim], target: Sequence[Dim]) -> Dim:
        """Return the size that -1 stands for in a reshape of ``own`` to ``target``."""
        left, divisors = uncommon(own, [dim for dim in target if dim != -1])
        divisor = total(tuple(divisors))
        if divisor == 0:
            return 0
        rest = quotient(total(tuple(left)), divisor)
        if rest is None:
            _raise_forced(own, target)
            after = list(target[target.index(-1) + 1 :])
            is_cut = sum(isinstance(dim, Size) for dim in left) == 1 and divisors == after
            # An axis of symbolic size may be split into frames. Each call of the program checks that it is divisible.
            rest = whole_quotient(total(tuple(left)), divisor) if is_cut else None
        if rest is None:
            what = f"the size for -1 in a reshape of {texts(own)} to {texts(target)} depends on the call"
            raise UnreadableError(what + self.remedy(own, target))
        return rest

    def _as_written(self, x: Value, own: tuple[Dim, ...], shape: tuple[Dim, ...]) -> Value:
        """Declare a reshape by its most specific function, such as ``rg.squeeze``."""
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
            raise UnreadableError(f"it reshapes {texts(own)} to {texts(shape)}; all sizes but one must be known")
        return self.script.call(basic.reshape, x, tuple(entries))

    def expand_dims(self, x: Operand, axes: Sequence[int]) -> Operand:
        """Insert axes of size 1 at positions of the result."""
        own = list(shape_of(x))
        rank = len(own) + len(axes)
        places = sorted(axis_of(axis, rank) for axis in axes)
        for place in places:
            own.insert(place, 1)
        if len(set(places)) < len(places):
            raise UnreadableError(f"it inserts axes {list(axes)}, one of them twice; give each axis once")
        return self.reshape(x, own)

    def squeeze(self, x: Operand, axes: Sequence[int] | None) -> Operand:
        """Remove axes of size 1; by default all axes whose size is the number 1."""
        own = shape_of(x)
        places = [axis for axis, dim in enumerate(own) if dim == 1]
        if axes is not None:
            places = [axis_of(axis, len(own)) for axis in axes]
        wrong = [axis for axis in places if isinstance(own[axis], int) and own[axis] != 1]
        if wrong:
            raise UnreadableError(f"it removes axis {wrong[0]} of shape {texts(own)}; give axes of size 1")
        has_symbolic = any(own[axis] != 1 for axis in places)
        if has_symbolic:  # Each call of the program checks that these symbolic sizes are 1.
            return self.script.call(basic.squeeze, self.value(x), places[0] if len(places) == 1 else places)
        return self.reshape(x, [dim for axis, dim in enumerate(own) if axis not in places])

    def concat(self, items: Sequence[Operand], axis: int) -> Operand:
        """Concatenate values along an axis."""
        rank = len(shape_of(items[0]))
        axis = axis_of(axis, rank)
        if len(items) == 1:
            return items[0]
        if all(isinstance(item, Known) for item in items):
            return self._joined_known([item for item in items if isinstance(item, Known)], axis)
        if len({len(shape_of(item)) for item in items}) > 1:
            raise UnreadableError(
                f"it concatenates arrays of different ranks: {', '.join(texts(shape_of(item)) for item in items)}"
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
        if len({item.dtype for item in items}) > 1:
            dtypes = " and ".join(dict.fromkeys(item.dtype for item in items))
            raise UnreadableError(f"it concatenates arrays of dtypes {dtypes}, which must be equal")
        if any(item.is_symbolic for item in items):
            return known(np.concatenate([item.array.astype(object) for item in items], axis), items[0].dtype)
        return known(np.concatenate([item.array for item in items], axis), items[0].dtype)

    def _joined_expanded(self, items: Sequence[Expanded], axis: int) -> Expanded | None:
        """Concatenate arrays that are filled with the same number; None for other arrays."""
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
        """Return the values, without ``axis``, that x stacks along ``axis``; None if x is not known to stack any."""
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
        """Declare a concatenation, or return an existing one of the same values."""
        whole = self._wholes.get((axis, *((item.step, item.path) for item in items)))
        if whole is not None:
            return whole
        notes = self._common_notes(items)
        if notes is not None and notes[0].kind == "transpose":  # Concatenate the sources, then transpose the result.
            order = notes[0].by
            return self.transposed(self._joined([note.parts[0] for note in notes], order[axis]), order)
        if notes is not None and notes[0].kind == "sorted" and notes[0].by != axis:
            joined = self._joined([note.parts[0] for note in notes], axis)
            return self.sorted(joined, notes[0].parts[1], notes[0].by)
        result = self.script.call(basic.concat, items, axis=axis)
        self.note_concat(result, items, axis)
        return result

    def _common_notes(self, items: Sequence[Value]) -> list[Note] | None:
        """Return the values' notes if all values are transposed alike, or all are sorted by one order; else None."""
        notes = [note for item in items if (note := self.note(item)) is not None]
        first = notes[0] if len(notes) == len(items) else None
        if first is None or any(note.kind != first.kind or note.by != first.by for note in notes):
            return None
        is_one_order = all(note.parts[-1] is first.parts[-1] for note in notes)
        return notes if first.kind == "transpose" or (first.kind == "sorted" and is_one_order) else None

    def note_concat(self, x: Value, parts: Sequence[Value], axis: int) -> None:
        """Record that x is the concatenation of ``parts``."""
        self._notes[x.step, x.path] = Note("concat", tuple(parts), axis)
        self._wholes[(axis, *((part.step, part.path) for part in parts))] = x

    def stack(self, items: list[Value], axis: int) -> Value:
        """Stack values along a new axis."""
        if len(items) == 1:
            return self._reshaped(items[0], (*shape_of(items[0])[:axis], 1, *shape_of(items[0])[axis:]))
        notes = self._common_notes(items)
        if notes is not None and notes[0].kind == "sorted":
            stacked = self.stack([note.parts[0] for note in notes], axis)
            return self.sorted(stacked, notes[0].parts[1], notes[0].by + (notes[0].by >= axis))
        result = self.script.call(basic.stack, items, axis=axis)
        self._notes[result.step, result.path] = Note("stack", tuple(items), axis)
        return result

    def index(self, x: Operand, index: Sequence[Any]) -> Operand:
        """Return x[index] by NumPy's basic indexing. Integers remove their axis."""
        index = [*index, *(slice(None),) * (len(shape_of(x)) - len(index))]
        if isinstance(x, Known):
            return Known(np.asarray(x.array[tuple(index)]), x.dtype)
        cut = [axis for axis, entry in enumerate(index) if entry != slice(None)]
        if not cut:
            return x
        if isinstance(x, Expanded) and isinstance(x.source, Known) and x.source.array.size == 1:
            result = self._cut(self.value(x), index)
            return Expanded(x.source, shape_of(result))
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
        if note is not None and note.kind == "transpose" and all(isinstance(entry, slice) for entry in index):
            before = [index[note.by.index(axis)] for axis in range(len(note.by))]
            return self.transposed(self._cut(note.parts[0], before), note.by)
        if note is not None and note.kind == "slice" and cut == [note.by[0]] and isinstance(index[cut[0]], int):
            inner, size = list(index), shape_of(value)[cut[0]]
            assert isinstance(size, int), "only slices of fixed size have a note"
            inner[cut[0]] = range(size)[index[cut[0]]] + note.by[1]
            return self._cut(note.parts[0], inner)
        return self._cut(value, index)

    def _cut(self, x: Value, index: Sequence[Any]) -> Value:
        """Declare basic indexing. Record a note if it is a slice of one axis without a step."""
        entries = list(index)
        while entries and entries[-1] == slice(None):
            entries.pop()
        result = self.script.item(x, *entries)
        cut = [axis for axis, entry in enumerate(entries) if entry != slice(None)]
        entry = entries[cut[0]]
        if len(cut) == 1 and isinstance(entry, slice) and entry.step is None:
            size = shape_of(x)[cut[0]]
            if isinstance(size, int):
                self._notes[result.step, result.path] = Note("slice", (x,), (cut[0], entry.indices(size)[0]))
            elif shape_of(result)[cut[0]] == 1:
                self._notes[result.step, result.path] = Note("slice", (x,), (cut[0], entry.start or 0))
        return result

    # Reordered rows --------------------------------------------------------------------------------------

    def sorted(self, x: Value, order: Value, axis: int) -> Value:
        """Return the entries of an axis in the order of the indices ``order``, with a note."""
        result = self.rows_at(x, order, axis)
        self._notes[result.step, result.path] = Note("sorted", (x, order), axis)
        return result

    def rows_at(self, x: Value, indices: Value, axis: int) -> Value:
        """Return the entries of an axis at indices."""
        return self.script.call(basic.gather, x, indices, *([axis] if axis else []))

    def cast(self, x: Value, dtype: str) -> Value:
        """Return x in another dtype."""
        note = self.note(x)
        if note is not None and note.kind == "sorted" and x.tensor.dtype != dtype:
            return self.sorted(super().cast(note.parts[0], dtype), note.parts[1], note.by)
        return super().cast(x, dtype)

    def record(self, x: Value, kind: str, *parts: Value) -> Value:
        """Note that x is an ``order`` of rows, its ``inverse``, or a ``count`` (indices 0, 1, …). Return x."""
        self._notes[x.step, x.path] = Note(kind, parts)
        return x

    def is_a(self, x: Any, kind: str, *parts: Value) -> bool:
        """True if x has a note of this kind that begins with ``parts``."""
        note = self.note(x) if isinstance(x, Value) else None
        if note is None or note.kind != kind or len(note.parts) < len(parts):
            return False
        return all(one is other for one, other in zip(note.parts, parts, strict=False))

    def sorted_from(self, x: Operand) -> tuple[Value, Value, int] | None:
        """Return (source, order, axis) if x was computed by ``sorted``; else None."""
        note = self.note(x) if isinstance(x, Value) else None
        return (*note.parts, note.by) if note is not None and note.kind == "sorted" else None


def _moved_axis(own: Sequence[Dim], shape: Sequence[Dim], axis: int) -> int | None:
    """Return the position in ``shape`` of an axis of ``own``; both shapes may differ in axes of size 1 only.

    None if they differ otherwise, or if the axis has size 1.
    """
    if [dim for dim in own if dim != 1] != [dim for dim in shape if dim != 1] or own[axis] == 1:
        return None
    number = sum(dim != 1 for dim in own[:axis])
    return [place for place, dim in enumerate(shape) if dim != 1][number]


def _source(x: Operand) -> Known | Value:
    assert not isinstance(x, Expanded)
    return x


def _raise_forced(own: Sequence[Dim], target: Sequence[Dim]) -> None:
    """Raise ``ForcedSizeError`` if -1 stands for a size of ``own`` once a symbolic size has the example's value."""
    have, want = next(((have, want) for have, want in zip(own, target, strict=False) if have != want), (0, 0))
    if not isinstance(have, Size) or have.symbol is None or not isinstance(want, int) or want < 1:
        return
    left, divisors = uncommon([want if dim == have else dim for dim in own], [dim for dim in target if dim != -1])
    rest = quotient(total(tuple(left)), total(tuple(divisors)))
    if rest in own and rest != have:
        raise ForcedSizeError(f"it reshapes {texts(own)} to {texts(target)}", have.symbol, want)
