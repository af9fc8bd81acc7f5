"""``tf.TensorArray``: entries that are written one by one, or a Tensor of all of them, and read by their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, build, constant
from ...ir.types import Dim
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core.names import dtype_name
from ..core.sizes import anchored, size_tensor, sizes_in
from ..core.tensors import gives_tensors
from ..ops.functions import constant as tf_constant
from .loop import fits


@dataclass(frozen=True, eq=False)
class Entries:
    """What an array holds: ``array`` [size, …] if it is a Tensor, else ``written`` entries by their numbers.

    changed: within a step of a loop, (number, value) of what the step wrote, by Tensors as numbers; outside of it is
    what the array was before the loop.
    """

    array: Tensor | None = None
    written: Mapping[int, Tensor] | None = None
    changed: tuple[tuple[Tensor, Tensor], ...] = ()


class TensorArray:
    """``tf.TensorArray``. It never changes: what writes gives another one, which has to be used from there on.

    count: the number of entries, which may be an open size; given: what was given for it. origin: within a step of a
    loop, the array that the step was given, and was_read whether steps read it.
    """

    @api
    def __init__(
        self, dtype: Any, size: Any = None, dynamic_size: bool | None = None, clear_after_read: bool | None = None,
        tensor_array_name: str | None = None, handle: Any = None, flow: Any = None, infer_shape: bool = True,
        element_shape: Any = None, colocate_with_first_write_call: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        self._dtype = dtype_name(dtype)
        count = sizes_in(0 if size is None else size)
        if len(count) != 1 or count[0] is None or (isinstance(count[0], int) and count[0] < 0):
            raise ShapeError(f"tf.TensorArray has a size of 0 or more, not {shown(size)}")
        self.count: Dim = count[0]
        self.given = size
        self.grows = bool(dynamic_size)
        self.entries = Entries(written={})
        self.origin: TensorArray | None = None
        self.was_read = False

    @classmethod
    def of(cls, array: Tensor) -> TensorArray:
        """Of all entries, which stand along the first axis of a Tensor."""
        made: TensorArray = cls.__new__(cls)
        made._dtype, made.count, made.grows, made.origin = array.dtype, array.type.shape[0], False, None
        made.given = array
        made.was_read = False
        made.entries = Entries(array)
        return made

    def with_entries(self, entries: Entries, count: Dim | None = None) -> TensorArray:
        """The same array with other entries."""
        made: TensorArray = TensorArray.__new__(TensorArray)
        made._dtype, made.grows, made.entries, made.origin = self._dtype, self.grows, entries, self.origin
        made.given, made.was_read = self.given, False
        made.count = self.count if count is None else count
        return made

    def within_step(self) -> TensorArray:
        """The array as a step of a loop is given it."""
        made = self.with_entries(replace(self.entries, changed=()))
        made.origin = made
        return made

    @property
    def dtype(self) -> str:
        """The dtype of entries."""
        return self._dtype

    @property
    def flow(self) -> TensorArray:
        """The array itself: there is no other order than that in which writes give arrays."""
        return self

    handle = flow

    @property
    def element_shape(self) -> Any:
        """Sizes of an entry; None where nothing was written."""
        kind = self.element()
        return None if kind is None else kind.shape

    def element(self) -> Tensor | None:
        """An entry, for its type."""
        held = self.entries
        if held.changed:
            return held.changed[0][1]
        if held.array is not None:
            return held.array[0] if held.array.type.shape[0] != 0 else None
        return next(iter((held.written or {}).values()), None)

    def size(self, name: str | None = None) -> Tensor:
        """The number of entries."""
        array = self.entries.array
        if array is not None and array.rank:
            return size_tensor(array, self.count, "int32")
        return anchored(functions.dimension(self.count, "int32"), self.given)

    def identity(self) -> TensorArray:
        """The array itself."""
        return self

    def close(self, name: str | None = None) -> None:
        """Nothing has to be given back."""

    def grad(self, source: str, flow: Any = None, name: str | None = None) -> Any:
        """Not offered."""
        raise ArgumentError("tf.TensorArray.grad is not offered; use tf.gradients by what was written")

    # One entry -------------------------------------------------------------------------------------

    @gives_tensors
    def read(self, index: Any, name: str | None = None) -> Tensor:
        """An entry by its number, an int or a scalar Tensor."""
        number = self._number(index)
        for place, value in self.entries.changed:
            if isinstance(number, Tensor) and place.node is number.node:
                return value
        if self.entries.changed:
            raise ArgumentError("a step of a loop reads another entry of an array than that which it wrote; carry what "
                                "the next steps read as a variable of the loop")  # fmt: skip
        if isinstance(number, int) and self.entries.written is not None:
            found = self.entries.written.get(number)
            if found is None:
                raise ArgumentError(f"entry {number} of a tf.TensorArray is read, and was not written")
            return found
        if self.entries.array is None and self.origin is not None:
            raise ArgumentError("a step of a loop reads an array that the loop writes; carry what the next steps read "
                                "as a variable of the loop")  # fmt: skip
        array = self.stack()
        if self.origin is not None:
            self.origin.was_read = True
        return array[number] if isinstance(number, int) else functions.gather(array, number)

    @api
    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with an entry set. Use what it gives from there on."""
        number, entry = self._number(index), self._entry(value)
        known = self.element()
        if known is not None and not fits(known, entry):
            raise ShapeError(f"entries of a tf.TensorArray have one shape; {entry!r} is no {known!r}")
        if self.origin is not None:
            place = number if isinstance(number, Tensor) else tf_constant(number)
            return self.with_entries(replace(self.entries, changed=(*self.entries.changed, (place, entry))))
        if not isinstance(number, int):
            raise ArgumentError(
                "tf.TensorArray.write takes an int outside of a loop; within tf.while_loop a number that counts steps"
            )
        if isinstance(self.count, int) and number >= self.count and not self.grows:
            raise ArgumentError(f"entry {number} of a tf.TensorArray of {self.count}; give it a size, or dynamic_size")
        count = max(self.count, number + 1) if isinstance(self.count, int) else self.count
        return self.with_entries(Entries(written={**self._apart(), number: entry}), count)

    def _number(self, index: Any) -> int | Tensor:
        if isinstance(index, Tensor):
            if index.rank or index.dtype not in ("int32", "int64"):
                raise DtypeError(f"an entry of a tf.TensorArray is read and written by an int, not by {index!r}")
            if index.node.op != "constant":
                return index
            index = int(index.node["value"])
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < 1 << 31:
            raise DtypeError(
                f"an entry of a tf.TensorArray is read and written by an int from 0 on, not {shown(index)}"
            )
        return int(index)

    def _entry(self, value: Any) -> Tensor:
        found = value if isinstance(value, Tensor) else tf_constant(value, self._dtype)
        if found.dtype != self._dtype:
            raise DtypeError(f"a tf.TensorArray of {self._dtype} is given {found!r}")
        return found

    def _apart(self) -> Mapping[int, Tensor]:
        """Entries one by one."""
        if self.entries.array is None:
            return self.entries.written or {}
        if not isinstance(self.count, int):
            raise ShapeError("a tf.TensorArray of an open size is written within a loop only")
        array = self.entries.array
        return {number: array[number] for number in range(self.count)}

    # All entries -----------------------------------------------------------------------------------

    @gives_tensors
    def stack(self, name: str | None = None) -> Tensor:
        """All entries along a new first axis; those that were not written are zeros."""
        held = self.entries
        if held.array is not None and not held.changed:
            return held.array
        if held.changed or self.origin is not None:
            raise ArgumentError("a step of a loop reads all of an array that the loop writes; do that after the loop")
        written = held.written or {}
        if not written:
            raise ArgumentError("nothing was written to this tf.TensorArray; use what write and unstack give")
        first = next(iter(written.values()))
        if not isinstance(self.count, int):
            raise ShapeError("a tf.TensorArray of an open size is written within a loop only")
        blank = functions.filled_like(first, 0)
        return functions.stack([written.get(number, blank) for number in range(self.count)])

    @api
    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array whose entries stand along the first axis of a Tensor."""
        array = self._entry(value)
        if not array.rank:
            raise ShapeError(f"tf.TensorArray.unstack takes a Tensor with an axis of entries, not {array!r}")
        return self.with_entries(Entries(array), array.type.shape[0])

    @gives_tensors
    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """Entries by their numbers, along a new first axis."""
        return functions.gather(self.stack(), indices)

    @api
    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with the entries at these numbers set to those along the first axis of a Tensor."""
        array, made = self._entry(value), self
        numbers = np.asarray(indices.node["value"] if isinstance(indices, Tensor) and indices.node.op == "constant"
                             else [] if isinstance(indices, Tensor) else indices).reshape(-1)  # fmt: skip
        if not array.rank or array.type.shape[0] != len(numbers):
            raise ShapeError(f"tf.TensorArray.scatter of {shown(indices)} takes as many ints as {array!r} has entries")
        for place, number in enumerate(numbers):
            made = made.write(number, array[place])
        return made

    @gives_tensors
    def concat(self, name: str | None = None) -> Tensor:
        """All entries along their own first axis."""
        array = self.stack()
        if array.rank < 2:
            raise ShapeError(f"tf.TensorArray.concat joins entries with an axis, and has {array!r}")
        rows, inner, *rest = array.type.shape
        return build("reshape", array, shape=(rows * inner, *rest))

    @api
    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """The array whose entries are parts of a Tensor, of one length each."""
        array, sizes = self._entry(value), sizes_in(lengths)
        if not sizes or any(size != sizes[0] for size in sizes):
            raise ArgumentError("tf.TensorArray.split is into parts of one length; entries have one shape")
        made, parts = self, functions.split(array, len(sizes), 0)
        for number, part in enumerate(parts):
            made = made.write(number, part)
        return made

    def __repr__(self) -> str:
        return f"<tf.TensorArray of {self.count} {self._dtype}>"

    def __len__(self) -> int:
        raise DtypeError("a tf.TensorArray has no len; use its size()")


def written(array: TensorArray, first: Dim, values: Tensor) -> TensorArray:
    """The array after a loop that wrote ``values`` [steps, …] from the entry ``first`` on."""
    steps = values.type.shape[0]
    end = steps + first
    whole = values if first == 0 and (end == array.count or array.grows) else _placed(array, first, end, values)
    return array.with_entries(Entries(whole), whole.type.shape[0])


def _placed(array: TensorArray, first: Dim, end: Dim, values: Tensor) -> Tensor:
    before = array.entries.array if array.entries.array is not None or not array.entries.written else array.stack()
    left = array.count - end
    if isinstance(left, int) and left < 0 and not array.grows:
        raise ShapeError(f"a loop writes {end} entries of a tf.TensorArray of {array.count}; give it a size that fits")
    if not isinstance(first, int) or not isinstance(left, int):
        raise ShapeError(
            f"a loop writes entries {first} to {end} of a tf.TensorArray of {array.count}; declare it with the number "
            "of steps"
        )
    parts = [] if not first else [_blank(before, 0, first, values)]
    parts.append(values)
    if left > 0:
        parts.append(_blank(before, end, array.count, values))
    return functions.concat(parts, 0)


def _blank(before: Tensor | None, begin: Dim, end: Dim, values: Tensor) -> Tensor:
    """Entries that the loop did not write: those of before it, or zeros."""
    if before is not None:
        last = None if end == before.type.shape[0] else end
        return before[slice(begin, last)]
    shape = (end - begin, *values.type.shape[1:])
    return build("broadcast", constant(0, values.dtype), shape=shape)
