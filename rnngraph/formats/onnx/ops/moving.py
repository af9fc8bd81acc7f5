"""Reads ops that move entries: reshapes, transposes, slices and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....declare.functions.arrays.matrices import tril, triu
from ....declare.functions.arrays.moves import tile
from ....declare.functions.cumulative import cumprod, cumsum
from ....declare.functions.indexing import clamped_slice, is_far
from ....declare.functions.sequences import reverse_sequence
from ....ir.sizes.polynomial import floor_divide, terms_of
from ....ir.types import FLOATS, Dim, Size
from ...operators.moves import is_clamped
from ...steps import Value
from ..core.known import Expanded, Known, NonZeroIndices, Operand, all_are, check_count, shape_of
from ..core.sizes import ForcedSizeError, UnreadableError, axis_of, sign_of, texts, total
from ..core.table import Call, Outputs, reads
from .choosing import first_rows
from .padding import padded

END_BOUND = (1 << 31) - 1
"""Largest 32-bit integer. Exporters write slice bounds of this or more for the end of an axis."""
MAX_GROUP = 32
"""Maximum entries of a group in ``_whole_groups``, because each entry of a group is a slice."""


@reads("Transpose")
def _transpose(call: Call) -> Outputs:
    indices = call.nonzero_indices(0)
    if indices is not None and call.entries("perm", [1, 0]) == [1, 0]:
        return NonZeroIndices(indices.mask, not indices.is_transposed)
    return call.tensors.transpose(call.input(0), call.entries("perm") or list(range(call.rank()))[::-1])


@reads("Reshape")
def _reshape(call: Call) -> Outputs:
    own, target = call.shape(), call.sizes(1, "the sizes") if call.maybe(1) is not None else call.entries("shape") or []
    keeps = not call.whole("allowzero", 0)
    if keeps and any(isinstance(dim, int) and dim == 0 and axis >= len(own) for axis, dim in enumerate(target)):
        raise UnreadableError(
            f"its shape has 0, which copies a size, for an axis that its input {texts(own)} lacks; give that size"
        )
    shape = [own[axis] if keeps and isinstance(dim, int) and dim == 0 else dim for axis, dim in enumerate(target)]
    return call.tensors.reshape(call.input(0), shape)


@reads("Flatten")
def _flatten(call: Call) -> Outputs:
    own, axis = call.shape(), call.whole("axis", 1)
    if not -len(own) <= axis <= len(own):
        raise UnreadableError(f"axis {axis} is out of range for rank {len(own)}; give {-len(own)} to {len(own)}")
    axis = axis + len(own) if axis < 0 else axis
    return call.tensors.reshape(call.input(0), [total(own[:axis]), total(own[axis:])])


@reads("Squeeze")
def _squeeze(call: Call) -> Outputs:
    axes = call.axes(1)
    if axes is None and any(not isinstance(dim, int) for dim in call.shape()):
        raise UnreadableError("it removes all axes of size 1, but some sizes are symbolic; list its axes")
    return call.tensors.squeeze(call.input(0), axes)


@reads("Unsqueeze")
def _unsqueeze(call: Call) -> Outputs:
    return call.tensors.expand_dims(call.input(0), call.axes(1) or [])


@reads("Concat")
def _concat(call: Call) -> Outputs:
    items = [call.input(number) for number in range(len(call.inputs))]
    axis = axis_of(call.whole("axis", 1), call.rank())
    padded = _as_padding(call, items, axis)
    return call.tensors.concat(items, axis) if padded is None else padded


def _as_padding(call: Call, items: Sequence[Operand], axis: int) -> Operand | None:
    """Return a concatenation of one value and repetitions of one number as padding; None for other concatenations.

    Only the concatenated axis needs a fixed number of added entries. Other axes may have symbolic sizes.
    """
    places = [place for place, item in enumerate(items) if isinstance(item, Value)]
    if len(places) != 1 or len(items) == 1:
        return None
    (place,) = places
    x, own = items[place], shape_of(items[place])
    numbers, counts = set[float](), [0, 0]
    for other, item in enumerate(items):
        if other == place:
            continue
        source = item.source if isinstance(item, Expanded) else None
        if not isinstance(source, Known) or source.is_symbolic or source.array.size != 1 or source.dtype not in FLOATS:
            return None
        count = shape_of(item)[axis] if len(shape_of(item)) == len(own) else None
        if not isinstance(count, int) or shape_of(item) != (*own[:axis], count, *own[axis + 1 :]):
            return None
        numbers.add(source.array.item())
        counts[other > place] += count
    pairs = [(counts[0], counts[1]) if other == axis else (0, 0) for other in range(len(own))]
    return padded(call, x, pairs, "constant", numbers.pop()) if len(numbers) == 1 else None


@reads("Slice")
def _slice(call: Call) -> Outputs:
    rank = call.rank()
    if call.maybe(1) is not None:
        starts, stops = call.sizes(1, "the bounds"), call.sizes(2, "the bounds")
        axes = call.ints(3, "axes") if call.maybe(3) is not None else list(range(len(starts)))
        steps = call.ints(4, "steps") if call.maybe(4) is not None else [1] * len(starts)
    else:
        starts, stops = call.entries("starts") or [], call.entries("ends") or []
        axes, steps = call.entries("axes") or list(range(len(starts))), [1] * len(starts)
    if not len(starts) == len(stops) == len(axes) == len(steps):
        raise UnreadableError("its starts, ends, axes and steps must have equal lengths")
    x, index = call.input(0), [slice(None)] * rank
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        place = axis_of(axis, rank)
        size = call.shape()[place]
        count = _last_count(size, start, stop)
        if isinstance(size, int) and isinstance(stop, Size) and isinstance(start, int) and start >= 0 and step == 1:
            x = first_rows(call, x, place, start, stop)
        elif count is not None and step == 1:
            back = [*[slice(None)] * place, slice(None, None, -1)]
            x = call.tensors.index(first_rows(call, call.tensors.index(x, back), place, 0, count), back)
        elif start == 0 and step == 1 and (group := _group(size, stop)):
            x = _whole_groups(call, x, place, group)
        elif isinstance(size, Size) and _begins_before_end(size, start, stop, step):
            if _effective_bound(stop, step, False) is not None:
                raise UnreadableError(
                    f"it slices an axis of symbolic size backwards, from {start} to {stop}; fix the size"
                )
            x = _backwards(call, x, place, start, step)
        elif step and (bounds := _clamped_bounds(size, start, stop, step)) is not None:
            x = call.script.call(clamped_slice, call.tensors.value(x), place, *bounds, *((step,) if step != 1 else ()))
        else:
            index[place] = _bounds(size, start, stop, step)
    return call.tensors.index(x, index)


def _begins_before_end(size: Size, start: Any, stop: Any, step: int) -> bool:
    """True for ``x[start::step]`` with negative start and step, if some sizes of the axis lack the entry ``start``."""
    if not isinstance(start, int) or not isinstance(stop, int) or step >= 0 or start >= -1:
        return False
    last = _effective_bound(stop, step, False)
    return last is None or (last < start and is_far(size, last))


def _backwards(call: Call, x: Operand, axis: int, start: int, step: int) -> Operand:
    """Return ``x[start::step]`` for a negative start and step.

    If the axis lacks the entry ``start``, ONNX's slice is the first entry, whereas Python's slice is empty.
    """
    whole, script = call.tensors.value(x), call.script
    parts = [
        script.call(clamped_slice, whole, axis, None, 1),
        script.call(clamped_slice, whole, axis, 1, max(start, -END_BOUND) + 1),
    ]
    return call.tensors.index(call.tensors.concat(parts, axis), [*[slice(None)] * axis, slice(None, None, step)])


def _clamped_bounds(size: Dim, start: Any, stop: Any, step: int) -> tuple[int | None, int | None] | None:
    """Return (start, stop) of a slice of a symbolic axis if they must be clamped for some sizes; else None."""
    if not isinstance(start, int) or not isinstance(stop, int) or isinstance(size, int):
        return None
    first, last = _effective_bound(start, step, True), _effective_bound(stop, step, False)
    return (first, last) if is_clamped(size, first, last, step) else None


def _effective_bound(bound: int, step: int, is_start: bool) -> int | None:
    """Return a bound of a slice of a symbolic axis; None if it is ±``END_BOUND`` or beyond, and cuts nothing off."""
    is_near = (bound < 0) == (step > 0)  # True if the bound is at the end of the axis at which the slice begins
    return None if abs(bound) >= END_BOUND and is_near == is_start else bound


def _last_count(size: Dim, start: Any, stop: Any) -> Size | None:
    """Return n if a slice selects the last n entries of an axis of fixed size, for a symbolic n; else None."""
    if not isinstance(size, int) or not isinstance(start, Size) or not isinstance(stop, int) or stop < size:
        return None
    count = size - start if sign_of(start * -1) != 1 else start * -1
    return count if isinstance(count, Size) and count.symbol is not None else None


def _group(size: Dim, stop: Any) -> int:
    """Return n if ``stop`` is ``size // n * n``, for an n of 2 to ``MAX_GROUP``; 0 for other bounds."""
    _, number = terms_of(stop)[0] if isinstance(stop, Size) else ((), 0)
    return number if 1 < number <= MAX_GROUP and stop == floor_divide(size, number) * number else 0


def _whole_groups(call: Call, x: Operand, axis: int, group: int) -> Operand:
    """Return the entries of an axis up to the last multiple of ``group``."""
    tensors, shape = call.tensors, shape_of(x)
    ahead = [slice(None)] * axis
    parts = [tensors.index(x, [*ahead, slice(first, first - group + 1 or None, group)]) for first in range(group)]
    grouped = tensors.concat([tensors.expand_dims(part, [axis + 1]) for part in parts], axis + 1)
    return tensors.reshape(grouped, [*shape[:axis], shape_of(grouped)[axis] * group, *shape[axis + 1 :]])


def _bounds(size: Dim, start: Any, stop: Any, step: int) -> slice:
    """Return ONNX's slice of an axis as a Python slice. Bounds beyond the ends of the axis are clamped."""
    if step == 0:
        raise UnreadableError("its step is 0; give another step")
    first, last = _bound(size, start, step, True), _bound(size, stop, step, False)
    return slice(first, last, None if step == 1 else step)


def _bound(size: Dim, bound: Any, step: int, is_start: bool) -> int | None:
    """Return a bound as an int; None for an end of the axis or beyond. Symbolic bounds are counted from the end."""
    if isinstance(size, int) and isinstance(bound, int):
        if is_start:
            bound = max(bound + size, 0) if bound < 0 else bound
            return None if step > 0 and bound == 0 else min(bound, size if step > 0 else max(size - 1, 0))
        if step > 0:
            return None if bound >= size else max(bound + size, 0) if bound < 0 else bound
        return None if bound < -size else bound - size if bound >= 0 else bound
    if isinstance(bound, int):
        near = _effective_bound(bound, step, is_start)
        return None if is_start and step > 0 and near == 0 else near
    distance = bound - size
    if isinstance(distance, int):  # such as the bound T - 3 of an axis of size T
        if distance >= 0:
            return None
        return distance
    raise UnreadableError(
        f"its bound {bound} is at no fixed distance from an end of the axis, whose size is {size}; fix the sizes"
    )


@reads("Split")
def _split(call: Call) -> Outputs:
    rank, count = call.rank(), len(call.node.outputs)
    axis = call.axis(0, rank)
    size = call.shape()[axis]
    parts = call.ints(1, "the parts") if call.maybe(1) is not None else call.entries("split")
    if not isinstance(size, int):
        if size.symbol is not None and parts is not None:
            raise ForcedSizeError(f"it splits an axis of size {size} into {len(parts)} parts", size.symbol, sum(parts))
        raise UnreadableError(f"it splits an axis of symbolic size {size}; fix the size")
    if parts is None:
        each = -(-size // call.whole("num_outputs", count))
        parts = [min(each, max(0, size - each * number)) for number in range(count)]
    if sum(parts) != size or min(parts, default=0) < 0 or len(parts) != count:
        raise UnreadableError(
            f"it splits an axis of size {size} into parts {parts}; give {count} sizes of 0 or more that add up to it"
        )
    pieces, start = [], 0
    for width in parts:
        index = [slice(None)] * rank
        index[axis] = slice(start, start + width) if width != size else slice(None)
        pieces.append(call.tensors.index(call.input(0), index))
        start += width
    return pieces


@reads("Tile")
def _tile(call: Call) -> Outputs:
    x, counts, own = call.input(0), call.sizes(1, "the multiples"), call.shape()
    if len(counts) != len(own):
        raise UnreadableError(
            f"it has {len(counts)} repeats, and its input has rank {len(own)}; give one for each axis"
        )
    shape = [dim * count for dim, count in zip(own, counts, strict=True)]
    if isinstance(x, Known) and len(own) == 1 and all(isinstance(dim, int) and dim <= 1 << 12 for dim in shape):
        return Known(np.tile(x.array, counts), x.dtype)
    if all(dim == 1 or count == 1 for dim, count in zip(own, counts, strict=True)):
        return Expanded(x.source, tuple(shape)) if isinstance(x, Expanded) else Expanded(x, tuple(shape))
    if not all(isinstance(count, int) and count >= 1 for count in counts):
        raise UnreadableError(f"its repeats {texts(counts)} must be ints of 1 or more; fix symbolic sizes")
    if isinstance(x, Known):
        check_count(x.array.size * int(np.prod(counts, dtype=np.float64)))
        return Known(np.tile(x.array, counts), x.dtype)
    if sum(counts) > 10_000:
        raise UnreadableError(f"its repeats {counts} add up to more than 10,000, the maximum")
    return call.script.call(tile, call.value(0), counts)


@reads("CumSum", "CumProd")
def _cumulative(call: Call) -> Outputs:
    axis = axis_of(call.ints(1, "the axis")[0], call.rank())
    options = {name: True for name in ("exclusive", "reverse") if call.whole(name, 0)}
    x, function = call.value(0), cumsum if call.op == "CumSum" else cumprod
    if call.op == "CumProd" and x.tensor.dtype not in FLOATS and not isinstance(call.shape()[axis], int):
        raise UnreadableError("the product of integers along an axis of symbolic size is not supported")
    return call.script.call(function, x, axis=axis, **options)


@reads("ReverseSequence")
def _reverse_sequence(call: Call) -> Outputs:
    batch, time = call.whole("batch_axis", 1), call.whole("time_axis", 0)
    if {batch, time} != {0, 1}:
        raise UnreadableError(f"time_axis={time} and batch_axis={batch} must be 0 and 1, in either order")
    x, shape, lengths = call.input(0), call.shape(), call.input(1)
    if all_are(lengths, shape[time]):
        return call.tensors.index(x, [slice(None, None, -1 if axis == time else None) for axis in range(len(shape))])
    return call.script.call(reverse_sequence, call.value(0), call.value(1), *([] if time else [0]))


@reads("Trilu")
def _trilu(call: Call) -> Outputs:
    offset = call.ints(1, "the diagonal")[0] if call.maybe(1) is not None else 0
    x, is_upper = call.input(0), bool(call.whole("upper", 1))
    if call.rank() < 2:
        raise UnreadableError(f"its input has rank {call.rank()}; it must have rank 2 or more")
    if isinstance(x, Known):
        return Known((np.triu if is_upper else np.tril)(x.numbers("a matrix"), offset), x.dtype)
    return call.script.call(triu if is_upper else tril, call.tensors.value(x), *([offset] if offset else []))
