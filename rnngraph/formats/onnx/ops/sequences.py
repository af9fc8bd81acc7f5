"""Reads ops on sequences, which are lists of arrays such as the parts of a split tensor."""

from __future__ import annotations

import numpy as np

from ..core.known import Known, Listed, Operand, Stacked, of_sizes, shape_of
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads

MAX_ITEMS = 10_000
"""Maximum arrays of a sequence."""


@reads("SplitToSequence")
def _split(call: Call) -> Outputs:
    rank, axis = call.rank(), call.axis(0, call.rank())
    size, keeps = call.shape()[axis], bool(call.whole("keepdims", 1))
    widths = call.array(1, "how it is split") if call.maybe(1) is not None else None
    # Runtimes apply ``keepdims`` to a scalar width of 1 as well, not only to the default split.
    is_single = widths is None or (widths.ndim == 0 and int(widths) == 1)
    if not isinstance(size, int) and is_single:
        moved = call.tensors.transpose(call.input(0), (axis, *(other for other in range(rank) if other != axis)))
        return Stacked(call.tensors.expand_dims(moved, [axis + 1]) if keeps else moved)
    if not isinstance(size, int):
        raise UnreadableError(f"it splits an axis of symbolic size {size} into a sequence; fix the size")
    if widths is None:
        parts = [1] * size
    elif widths.ndim == 0:
        each = max(1, int(widths))
        parts = [min(each, size - start) for start in range(0, size, each)]
    else:
        parts = [int(width) for width in widths]
    if sum(parts) != size or min(parts, default=0) < 0 or len(parts) > MAX_ITEMS:
        raise UnreadableError(
            f"it splits an axis of size {size} into {len(parts)} parts; their sizes must add up to it, and at most "
            f"{MAX_ITEMS:,} parts are supported"
        )
    items, start = [], 0
    for width in parts:
        index: list[slice | int] = [slice(None)] * rank
        index[axis] = start if is_single and not keeps else slice(start, start + width)
        items.append(call.tensors.index(call.input(0), index))
        start += width
    return Listed(tuple(items))


@reads("SequenceConstruct")
def _construct(call: Call) -> Outputs:
    return Listed(tuple(call.input(number) for number in range(len(call.inputs))))


@reads("SequenceEmpty")
def _empty(call: Call) -> Outputs:
    return Listed(())


@reads("SequenceInsert")
def _insert(call: Call) -> Outputs:
    items = call.items(0)
    place = _index_of(call, 2, len(items), len(items))
    if len(items) >= MAX_ITEMS:
        raise UnreadableError(f"its sequence has more than {MAX_ITEMS:,} arrays, the maximum")
    return Listed((*items[:place], call.input(1), *items[place:]))


@reads("SequenceErase")
def _erase(call: Call) -> Outputs:
    items = call.items(0)
    place = _index_of(call, 1, len(items) - 1, len(items) - 1)
    return Listed((*items[:place], *items[place + 1 :]))


@reads("SequenceAt")
def _at(call: Call) -> Outputs:
    stacked = call.stacked(0)
    if stacked is not None:
        return call.tensors.index(stacked, [call.ints(1, "the place in a sequence")[0]])
    items = call.items(0)
    return items[_index_of(call, 1, None, len(items) - 1)]


@reads("SequenceLength")
def _length(call: Call) -> Outputs:
    stacked = call.stacked(0)
    if stacked is not None:
        return call.tensors.reshape(of_sizes(shape_of(stacked)[:1]), ())
    return Known(np.array(len(call.items(0))), "int64")


@reads("ConcatFromSequence")
def _joined(call: Call) -> Outputs:
    stacked = call.stacked(0)
    if stacked is not None:
        return _joined_stack(call, stacked)
    items: list[Operand] = list(call.items(0))
    if not items:
        raise UnreadableError("it concatenates an empty sequence; give at least one array")
    axis = call.whole("axis", 0)
    if call.whole("new_axis", 0):
        items = [call.tensors.expand_dims(item, [axis]) for item in items]
    return call.tensors.concat(items, axis)


def _joined_stack(call: Call, x: Operand) -> Operand:
    """Concatenate the items of a sequence along the node's axis. x holds the items stacked along its first axis.

    With ``new_axis``, the items are stacked along the node's axis instead.
    """
    tensors, rank, is_new = call.tensors, len(shape_of(x)), bool(call.whole("new_axis", 0))
    axis = axis_of(call.whole("axis", 0), rank if is_new else rank - 1)
    order = list(range(1, rank))
    order.insert(axis, 0)
    moved = tensors.transpose(x, order)
    if is_new:
        return moved
    shape = shape_of(moved)
    return tensors.reshape(moved, [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]])


def _index_of(call: Call, number: int, otherwise: int | None, last: int) -> int:
    """Return an input as a nonnegative index from 0 to ``last`` into a sequence; ``otherwise`` if it is missing."""
    if otherwise is not None and call.maybe(number) is None:
        return max(otherwise, 0)
    place = call.ints(number, "the place in a sequence")[0]
    if not -last - 1 <= place <= last:
        raise UnreadableError(f"index {place} is out of range for a sequence; give {-last - 1} to {last}")
    return place % (last + 1)
