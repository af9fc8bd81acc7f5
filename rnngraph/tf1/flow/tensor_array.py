"""``tf.TensorArray``: an array that is written entry by entry or as a whole, and read by index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor, build, constant, holds_tensors
from ...ir.types import Dim
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core.dtypes import dtype_name, refuse
from ..core.sizes import anchored, size_tensor, sizes_in
from ..core.tensors import gives_tensors
from ..ops.functions import constant as tf_constant
from .loop import fits


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of an array. Within a step of a loop, ``array`` and ``written`` are the entries from before the loop.

    Attributes:
        array: The entries as one Tensor [size, …], or None.
        written: Entries by index, if ``array`` is None.
        changed: (index, value) pairs that a step of a loop wrote, as Tensors.
    """

    array: Tensor | None = None
    written: Mapping[int, Tensor] | None = None
    changed: tuple[tuple[Tensor, Tensor], ...] = ()


class TensorArray:
    """``tf.TensorArray``: an immutable array. Methods that write return a new array.

    ``handle`` and ``flow`` are not offered. Only ``dtype``, ``size`` and ``dynamic_size`` have an effect.

    Attributes:
        count: Number of entries, which may be a symbolic size.
        size_argument: The program's argument ``size``, from which a run may compute ``count``.
        grows: True if writes past the end extend the array: ``dynamic_size``.
        entries: The entries.
        origin: Within a step of a loop, the array at the beginning of the step; None outside of loops.
        was_read: True if the step read entries of this array, which is the ``origin``.
    """

    @api
    def __init__(
        self,
        dtype: Any,
        size: Any = None,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ) -> None:
        refuse("tf.TensorArray", "use the array itself", handle=handle, flow=flow)
        self._dtype = dtype_name(dtype)
        count = sizes_in(0 if size is None else size)
        if len(count) != 1 or count[0] is None or (isinstance(count[0], int) and count[0] < 0):
            raise ShapeError(f"tf.TensorArray needs a size of 0 or more, not {shown(size)}")
        self.count: Dim = count[0]
        self.size_argument = size
        self.grows = bool(dynamic_size)
        self.entries = Entries(written={})
        self.origin: TensorArray | None = None
        self.was_read = False

    @classmethod
    def of(cls, array: Tensor) -> TensorArray:
        """Return an array whose entries are those of a Tensor's first axis."""
        result: TensorArray = cls.__new__(cls)
        result._dtype, result.count, result.grows, result.origin = array.dtype, array.type.shape[0], False, None
        result.size_argument = array
        result.was_read = False
        result.entries = Entries(array)
        return result

    def with_entries(self, entries: Entries, count: Dim | None = None) -> TensorArray:
        """Return an array with other entries. ``count`` is their number, by default that of this array."""
        result: TensorArray = TensorArray.__new__(TensorArray)
        result._dtype, result.grows, result.entries, result.origin = self._dtype, self.grows, entries, self.origin
        result.size_argument, result.was_read = self.size_argument, False
        result.count = self.count if count is None else count
        return result

    def before_loop(self) -> TensorArray:
        """Return the array in the form that steps of a loop can read: the entries as one Tensor, if there are any."""
        if not self.entries.written or self.origin is not None or not isinstance(self.count, int):
            return self
        return self.with_entries(Entries(self.stack()))

    def within_step(self) -> TensorArray:
        """Return the array that a step of a loop receives: without changes, and with itself as ``origin``."""
        result = self.with_entries(replace(self.entries, changed=()))
        result.origin = result
        return result

    @property
    def dtype(self) -> str:
        """Dtype of the entries."""
        return self._dtype

    @property
    def flow(self) -> TensorArray:
        """The array itself. In TensorFlow, ``flow`` orders writes; here, each write returns a new array."""
        return self

    handle = flow

    @property
    def element_shape(self) -> Any:
        """Shape of an entry; None if there are no entries."""
        kind = self.element()
        return None if kind is None else kind.shape

    def element(self) -> Tensor | None:
        """Return any entry, for its dtype and shape; None if there are no entries."""
        entries = self.entries
        if entries.changed:
            return entries.changed[0][1]
        if entries.array is not None:
            return entries.array[0] if entries.array.type.shape[0] != 0 else None
        return next(iter((entries.written or {}).values()), None)

    def size(self, name: str | None = None) -> Tensor:
        """Return the number of entries, an int32 scalar."""
        array = self.entries.array
        if array is not None and array.rank:
            return size_tensor(array, self.count, "int32")
        return anchored(functions.dimension(self.count, "int32"), self.size_argument)

    def identity(self) -> TensorArray:
        """Return the array itself."""
        return self

    def close(self, name: str | None = None) -> None:
        """Do nothing."""

    def grad(self, source: str, flow: Any = None, name: str | None = None) -> Any:
        """Raise ``ArgumentError``: gradients of arrays are not offered."""
        raise ArgumentError("tf.TensorArray.grad is not offered; pass the entries to tf.gradients as xs")

    # One entry -------------------------------------------------------------------------------------

    @gives_tensors
    def read(self, index: Any, name: str | None = None) -> Tensor:
        """Return an entry by its index, an int or a scalar Tensor."""
        number = self._number(index)
        for place, value in self.entries.changed:
            if isinstance(number, Tensor) and place.node is number.node:
                return value
        if self.entries.changed:
            raise ArgumentError(
                "a step of a loop reads another entry of an array than the one it wrote; use a loop variable for "
                "values that later steps read"
            )
        if isinstance(number, int) and self.entries.written is not None:
            entry = self.entries.written.get(number)
            if entry is None:
                raise ArgumentError(f"entry {number} of a tf.TensorArray is read, but was not written; write it first")
            return entry
        if self.entries.array is None and self.origin is not None:
            raise ArgumentError(
                "a step of a loop reads an array that was empty before the loop; use a loop variable for values that "
                "later steps read"
            )
        array = self.stack()
        if self.origin is not None:
            self.origin.was_read = True
        return array[number] if isinstance(number, int) else functions.gather(array, number)

    @api
    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Return a new array with one entry set."""
        number, entry = self._number(index), self._entry(value)
        known = self.element()
        if known is not None and not fits(known, entry):
            raise ShapeError(f"entries of a tf.TensorArray must have one shape, but {entry!r} differs from {known!r}")
        if self.origin is not None:
            place = number if isinstance(number, Tensor) else tf_constant(number)
            return self.with_entries(replace(self.entries, changed=(*self.entries.changed, (place, entry))))
        if not isinstance(number, int):
            raise ArgumentError(
                "the index of tf.TensorArray.write must be an int outside of loops, and a counter of steps in a "
                "tf.while_loop"
            )
        if isinstance(self.count, int) and number >= self.count and not self.grows:
            raise ArgumentError(
                f"entry {number} of a tf.TensorArray of size {self.count} is written; set a larger size=, or "
                "dynamic_size=True"
            )
        count = max(self.count, number + 1) if isinstance(self.count, int) else self.count
        return self.with_entries(Entries(written={**self._entries_by_index(), number: entry}), count)

    def _number(self, index: Any) -> int | Tensor:
        """Return an index as an int if it is known at declaration, else as a Tensor."""
        if isinstance(index, Tensor):
            if index.rank or index.dtype not in ("int32", "int64"):
                raise DtypeError(f"an index of a tf.TensorArray must be an int, not {index!r}")
            if index.node.op != "constant":
                return index
            index = int(index.node["value"])
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < 1 << 31:
            raise DtypeError(f"an index of a tf.TensorArray must be an int of 0 or more, not {shown(index)}")
        return int(index)

    def _entry(self, value: Any) -> Tensor:
        """Return a value as a Tensor of the array's dtype. Raise ``DtypeError`` for a Tensor of another dtype."""
        is_tensor = isinstance(value, Tensor) or holds_tensors(value)
        entry = as_tensor(value) if is_tensor else tf_constant(value, self._dtype)
        if entry.dtype != self._dtype:
            raise DtypeError(f"a tf.TensorArray of {self._dtype} can't store {entry!r}; convert it with tf.cast")
        return entry

    def _entries_by_index(self) -> Mapping[int, Tensor]:
        """Return the entries as Tensors, by index."""
        if self.entries.array is None:
            return self.entries.written or {}
        if not isinstance(self.count, int):
            raise ShapeError("a tf.TensorArray of symbolic size can be written only in a loop; set size= to an int")
        array = self.entries.array
        return {number: array[number] for number in range(self.count)}

    # All entries -----------------------------------------------------------------------------------

    @gives_tensors
    def stack(self, name: str | None = None) -> Tensor:
        """Stack all entries along a new first axis. Entries that were not written are zeros."""
        entries = self.entries
        if entries.array is not None and not entries.changed:
            return entries.array
        if entries.changed or self.origin is not None:
            raise ArgumentError(
                "a step of a loop reads all entries of an array that it writes; read them after the loop"
            )
        written = entries.written or {}
        if not written:
            raise ArgumentError("this tf.TensorArray has no entries; use the array that write or unstack returned")
        first = next(iter(written.values()))
        if not isinstance(self.count, int):
            raise ShapeError("a tf.TensorArray of symbolic size can be written only in a loop; set size= to an int")
        blank = functions.filled_like(first, 0)
        return functions.stack([written.get(number, blank) for number in range(self.count)])

    @api
    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """Return an array whose entries are those of a Tensor's first axis."""
        array = self._entry(value)
        if not array.rank:
            raise ShapeError(f"tf.TensorArray.unstack needs a Tensor with a first axis, not {array!r}")
        return self.with_entries(Entries(array), array.type.shape[0])

    @gives_tensors
    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """Return entries by their indices, along a new first axis."""
        return functions.gather(self.stack(), indices)

    @api
    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """Return a new array in which the entries at ``indices`` are the entries of a Tensor's first axis."""
        array, result = self._entry(value), self
        numbers = np.asarray(
            indices.node["value"]
            if isinstance(indices, Tensor) and indices.node.op == "constant"
            else []
            if isinstance(indices, Tensor)
            else indices
        ).reshape(-1)
        if not array.rank or array.type.shape[0] != len(numbers):
            raise ShapeError(
                f"indices of tf.TensorArray.scatter must be as many constant ints as {array!r} has entries, not "
                f"{shown(indices)}"
            )
        for place, number in enumerate(numbers):
            result = result.write(number, array[place])
        return result

    @gives_tensors
    def concat(self, name: str | None = None) -> Tensor:
        """Concatenate all entries along their first axis."""
        array = self.stack()
        if array.rank < 2:
            raise ShapeError("tf.TensorArray.concat needs entries with an axis, not scalars; use stack()")
        rows, inner, *rest = array.type.shape
        return build("reshape", array, shape=(rows * inner, *rest))

    @api
    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """Return the array whose entries are parts of a Tensor, which must have equal lengths."""
        array, sizes = self._entry(value), sizes_in(lengths)
        if not sizes or any(size != sizes[0] for size in sizes):
            raise ArgumentError(
                f"tf.TensorArray.split needs equal lengths, not {shown(lengths)}; pad the parts, or use tf.split"
            )
        result, parts = self, functions.split(array, len(sizes), 0)
        for number, part in enumerate(parts):
            result = result.write(number, part)
        return result

    def __repr__(self) -> str:
        return f"<tf.TensorArray of {self.count} {self._dtype}>"

    def __len__(self) -> int:
        raise DtypeError("a tf.TensorArray has no len(); use its size()")


def with_written(array: TensorArray, first: Dim, values: Tensor) -> TensorArray:
    """Return the array after a loop that wrote ``values`` [steps, …] to it, from the entry ``first`` on."""
    steps = values.type.shape[0]
    end = steps + first
    whole = values if first == 0 and (end == array.count or array.grows) else _with_blanks(array, first, end, values)
    return array.with_entries(Entries(whole), whole.type.shape[0])


def _with_blanks(array: TensorArray, first: Dim, end: Dim, values: Tensor) -> Tensor:
    """Return all entries of an array after a loop: ``values`` from ``first`` to ``end``, elsewhere those from before.

    Entries that nothing wrote are zeros.
    """
    before = array.entries.array if array.entries.array is not None or not array.entries.written else array.stack()
    left = array.count - end
    if isinstance(left, int) and left < 0 and not array.grows:
        raise ShapeError(f"a loop writes {end} entries of a tf.TensorArray of size {array.count}; set size={end}")
    if not isinstance(first, int) or not isinstance(left, int):
        raise ShapeError(
            f"a loop writes entries {first} to {end} of a tf.TensorArray of size {array.count}; set size= to the "
            "number of steps"
        )
    parts = [] if not first else [_entries_before(before, 0, first, values)]
    parts.append(values)
    if left > 0:
        parts.append(_entries_before(before, end, array.count, values))
    return functions.concat(parts, 0)


def _entries_before(before: Tensor | None, begin: Dim, end: Dim, values: Tensor) -> Tensor:
    """Return the entries of ``before``, the array before a loop, from ``begin`` to ``end``; zeros if it is None."""
    if before is not None:
        last = None if end == before.type.shape[0] else end
        return before[slice(begin, last)]
    shape = (end - begin, *values.type.shape[1:])
    return build("broadcast", constant(0, values.dtype), shape=shape)
