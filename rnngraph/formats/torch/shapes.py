"""What torch's functions that move elements mean: shapes, slices, joining, choosing by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...declare.functions import basic
from ...declare.functions.padding import pad as padded
from ...declare.functions.sequences import cumsum
from ...ir.types import Dim, Size, product, quotient
from ..script import Value
from .elementwise import choose
from .sizes import Extent, dim_of
from .tracer import DTYPES, Tracer, Unreadable, meaning
from .values import Filled, Lazy, Positions, Sorted, Stacked, Written, dtype_of, shape_of

ALL = slice(None)


def axis_of(rank: int, dim: int) -> int:
    return int(dim) % rank if rank else 0


# Shapes ---------------------------------------------------------------------------------------------


def reshaped(tracer: Tracer, x: Any, target: Sequence[Dim]) -> Any:
    """x in another shape. target: sizes, one of which may be -1."""
    shape, dims = shape_of(x), list(target)
    if -1 in dims:
        rest = [dim for dim in dims if dim != -1]
        whole = _without(shape, rest)
        if whole is None:
            whole = tracer.sizes.value(product(shape)) // max(1, tracer.sizes.value(product(rest)))
            for dim in (*shape, *rest):
                tracer.sizes.fix(dim)
        dims[dims.index(-1)] = whole
    if tuple(dims) == tuple(shape):
        return x
    if isinstance(x, Filled):
        return Filled(x.number, tuple(dims), x.dtype)
    if isinstance(x, Stacked) and len(x.items) == 1 and tuple(dims) == (*shape[: x.axis], *shape[x.axis + 1 :]):
        return x.items[0]
    return tracer.call(basic.reshape, tracer.value(x), _written_shape(tracer, shape, dims))


def _without(shape: Sequence[Dim], others: Sequence[Dim]) -> Dim | None:
    """What the product of ``shape`` is, divided by that of others."""
    left, divisors = list(shape), []
    for dim in others:
        if dim in left:
            left.remove(dim)
        else:
            divisors.append(dim)
    return quotient(product(left), product(divisors))


def _written_shape(tracer: Tracer, shape: Sequence[Dim], target: Sequence[Dim]) -> tuple[Any, ...]:
    """Sizes as a script has them: ints, None where an axis stays, names, and -1 for at most one other."""
    entries: list[Any] = []
    for axis, dim in enumerate(target):
        if isinstance(dim, int):
            entries.append(dim)
        elif axis < len(shape) and shape[axis] == dim:
            entries.append(None)
        else:
            entries.append(-1)
    if entries.count(-1) > 1:
        unnamed = [axis for axis, entry in enumerate(entries) if entry == -1]
        for axis in unnamed:
            dim = target[axis]
            if isinstance(dim, Size) and dim.symbol and entries.count(-1) > 1:
                entries[axis] = tracer.name_of(dim)
    if entries.count(-1) > 1:
        raise Unreadable("two of its sizes are computed ones")
    return tuple(entries)


def _sizes(given: Sequence[Any]) -> list[Dim]:
    entries = given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given
    return [dim_of(entry) for entry in entries]


@meaning("view", "reshape", "_unsafe_view")
def _view(tracer: Tracer, x: Any, *shape: Any, **named: Any) -> Any:
    given = shape or (named.get("shape", named.get("size")),)
    if len(given) == 1 and isinstance(given[0], torch.dtype):
        raise Unreadable("another dtype of the same bytes")
    return reshaped(tracer, x, _sizes(given))


@meaning("view_as", "reshape_as")
def _view_as(tracer: Tracer, x: Any, other: Any) -> Any:
    return reshaped(tracer, x, shape_of(other))


@meaning("flatten", "ravel")
def _flatten(tracer: Tracer, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    shape = shape_of(x)
    if not shape:
        return reshaped(tracer, x, [1])
    first, last = axis_of(len(shape), start_dim), axis_of(len(shape), end_dim)
    return reshaped(tracer, x, [*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]])


@meaning("unflatten")
def _unflatten(tracer: Tracer, x: Any, dim: int, sizes: Any) -> Any:
    shape = shape_of(x)
    axis = axis_of(len(shape), dim)
    parts = [dim_of(entry) for entry in sizes]
    if -1 in parts:
        rest = quotient(shape[axis], product(part for part in parts if part != -1))
        if rest is None:
            rest = tracer.sizes.fix(shape[axis])
        parts[parts.index(-1)] = rest
    return reshaped(tracer, x, [*shape[:axis], *parts, *shape[axis + 1 :]])


@meaning("unsqueeze")
def _unsqueeze(tracer: Tracer, x: Any, dim: int) -> Any:
    shape = shape_of(x)
    axis = axis_of(len(shape) + 1, dim)
    whole = (*shape[:axis], 1, *shape[axis:])
    if isinstance(x, Filled):
        return Filled(x.number, whole, x.dtype)
    return Stacked((x,), axis, whole, dtype_of(x)) if isinstance(x, Value) else reshaped(tracer, x, whole)


@meaning("squeeze")
def _squeeze(tracer: Tracer, x: Any, dim: Any = None) -> Any:
    shape = shape_of(x)
    axes = (
        range(len(shape))
        if dim is None
        else [axis_of(len(shape), one) for one in ([dim] if isinstance(dim, int) else dim)]
    )
    gone = []
    for axis in axes:
        if tracer.sizes.value(shape[axis]) == 1:
            tracer.sizes.fix(shape[axis])
            gone.append(axis)
        elif dim is not None:
            tracer.sizes.fix(shape[axis])
    kept = [size for axis, size in enumerate(shape) if axis not in gone]
    if len(kept) == len(shape):
        return x
    if isinstance(x, Stacked) and gone == [x.axis]:
        return x.items[0]
    if isinstance(x, Filled):
        return Filled(x.number, tuple(kept), x.dtype)
    return tracer.call(basic.squeeze, tracer.value(x), gone[0] if len(gone) == 1 else tuple(gone))


def permuted(tracer: Tracer, x: Any, order: Sequence[int]) -> Any:
    order = [axis_of(len(shape_of(x)), axis) for axis in order]
    if order == sorted(order):
        return x
    if isinstance(x, Filled):
        return Filled(x.number, tuple(x.shape[axis] for axis in order), x.dtype)
    x = tracer.value(x)
    return tracer.call(basic.transpose, x, tuple(order))


@meaning("transpose", "swapaxes", "swapdims", "transpose_")
def _transpose(tracer: Tracer, x: Any, dim0: int, dim1: int) -> Any:
    rank = len(shape_of(x)) if not isinstance(x, torch.Tensor) else x.dim()
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    order = list(range(rank))
    a, b = axis_of(rank, dim0), axis_of(rank, dim1)
    order[a], order[b] = order[b], order[a]
    if isinstance(x, Stacked) and {a, b} == {x.axis, 1 - x.axis} and x.axis < 2 and len(x.items) > 1:
        shape = tuple(x.shape[axis] for axis in order)
        return Stacked(x.items, 1 - x.axis, shape, x.dtype)
    return permuted(tracer, x, order)


@meaning("permute")
def _permute(tracer: Tracer, x: Any, *dims: Any) -> Any:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims)


@meaning("t", ".T", ".mT", "adjoint")
def _turned(tracer: Tracer, x: Any) -> Any:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    rank = len(shape_of(x))
    return permuted(tracer, x, [*range(rank - 2), rank - 1, rank - 2]) if rank > 1 else x


@meaning("movedim", "moveaxis")
def _moved(tracer: Tracer, x: Any, source: int, destination: int) -> Any:
    order = [axis for axis in range(len(shape_of(x))) if axis != axis_of(len(shape_of(x)), source)]
    order.insert(axis_of(len(shape_of(x)), destination), axis_of(len(shape_of(x)), source))
    return permuted(tracer, x, order)


@meaning("expand", "broadcast_to", "expand_as")
def _expand(tracer: Tracer, x: Any, *sizes: Any, **_: Any) -> Any:
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    if len(sizes) == 1 and isinstance(sizes[0], Value | Lazy):
        wanted: list[Dim] = list(shape_of(sizes[0]))
    else:
        wanted = _sizes(sizes)
    own = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    wanted = [have if want == -1 else want for have, want in zip(own, wanted, strict=True)]
    for have, want in zip(own, wanted, strict=True):
        if have != 1 and isinstance(have, Size) and tracer.sizes.value(have) == 1 != tracer.sizes.value(want):
            tracer.sizes.fix(have)
    if isinstance(x, Filled):
        return Filled(x.number, tuple(wanted), x.dtype)
    value = reshaped(tracer, tracer.value(x), own)
    if all(have == want for have, want in zip(own, wanted, strict=True)):
        return value
    if all(have == want or isinstance(want, int) for have, want in zip(own, wanted, strict=True)):
        counts = [1 if have == want else want for have, want in zip(own, wanted, strict=True)]
        return tracer.call(basic.tile, value, counts)
    dtype = dtype_of(value)
    if dtype == "bool":
        raise Unreadable("bool tensors are not repeated along an open axis; give them as floats or ints")
    opened = tuple(want if have == 1 else 1 for have, want in zip(own, wanted, strict=True))
    return tracer.script.operation("+", value, tracer.value(Filled(0, opened, dtype)))


@meaning("repeat", "tile")
def _repeat(tracer: Tracer, x: Any, *counts: Any, **named: Any) -> Any:
    given = _sizes(counts or (named.get("repeats", named.get("dims")),))
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    own = (1,) * (len(given) - len(shape)) + tuple(shape)
    given = [1] * (len(own) - len(given)) + given
    if all(have == 1 or count == 1 for have, count in zip(own, given, strict=True)):
        return _expand(tracer, x, [have if count == 1 else count for have, count in zip(own, given, strict=True)])
    if isinstance(x, Filled):
        return Filled(x.number, tuple(have * count for have, count in zip(own, given, strict=True)), x.dtype)
    value = reshaped(tracer, tracer.value(x), own)
    return tracer.call(basic.tile, value, [tracer.sizes.fix(count) for count in given])


@meaning("repeat_interleave")
def _interleave(tracer: Tracer, x: Any, repeats: Any, dim: Any = None) -> Any:
    if not isinstance(repeats, int) or isinstance(repeats, Extent) or dim is None:
        raise Unreadable("it is read with a number of repeats and a dim")
    shape = shape_of(x)
    axis = axis_of(len(shape), dim)
    inner = reshaped(tracer, tracer.value(x), [*shape[: axis + 1], 1, *shape[axis + 1 :]])
    tiled = tracer.call(basic.tile, inner, [1] * (axis + 1) + [repeats] + [1] * (len(shape) - axis - 1))
    return reshaped(tracer, tiled, [*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]])


# Joining and cutting -------------------------------------------------------------------------------


@meaning("cat", "concat", "concatenate")
def _cat(tracer: Tracer, tensors: Any, dim: int = 0, **named: Any) -> Any:
    dtype = DTYPES[tracer.expected.dtype]
    rank = tracer.expected.dim()
    axis = axis_of(rank, named.get("axis", dim))
    items = [item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors]
    items = [item for item in items if tracer.sizes.value(product(shape_of(item))) or len(shape_of(item)) == rank]
    for other in range(rank):
        if other != axis:
            for item in items[1:]:
                tracer.sizes.meet(shape_of(items[0])[other], shape_of(item)[other])
    total = sum((shape_of(item)[axis] for item in items[1:]), shape_of(items[0])[axis])
    shape = (*shape_of(items[0])[:axis], total, *shape_of(items[0])[axis + 1 :])
    if len(items) == 1:
        return items[0]
    if all(isinstance(item, Filled) and item.number == items[0].number for item in items):
        return Filled(items[0].number, shape, dtype)
    if all(isinstance(item, Stacked) and item.axis == axis for item in items):
        parts = tuple(part for item in items for part in item.items)
        return _of_steps(tracer, parts, axis, dtype)
    joined = _with_edges(tracer, items, axis, dtype)
    return joined or tracer.call(basic.concat, [tracer.value(item, dtype) for item in items], axis)


def _with_edges(tracer: Tracer, items: list[Any], axis: int, dtype: str) -> Any:
    """Padding, where numbers stand before or after what is joined."""
    fixed = [item for item in items if isinstance(item, Filled) and isinstance(item.shape[axis], int)]
    middle = [number for number, item in enumerate(items) if item not in fixed]
    numbers = {item.number for item in fixed}
    if len(shape_of(items[0])) < 3:
        return None  # of a step: what it carries is joined to what it reads
    if not fixed or len(numbers) > 1 or not middle or middle != [*range(middle[0], middle[-1] + 1)]:
        return None
    inner = [tracer.value(items[number], dtype) for number in middle]
    whole = inner[0] if len(inner) == 1 else tracer.call(basic.concat, inner, axis)
    before = sum(int(item.shape[axis]) for item in items[: middle[0]])
    after = sum(int(item.shape[axis]) for item in items[middle[-1] + 1 :])
    options = {} if numbers == {0} else {"value": float(numbers.pop())}
    return tracer.call(padded, whole, {axis: (before, after)}, **options)


@meaning("stack")
def _stack(tracer: Tracer, tensors: Any, dim: int = 0) -> Any:
    dtype = DTYPES[tracer.expected.dtype]
    items = tuple(item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors)
    for item in items[1:]:
        for a, b in zip(shape_of(items[0]), shape_of(item), strict=True):
            tracer.sizes.meet(a, b)
    return _of_steps(tracer, items, axis_of(tracer.expected.dim(), dim), dtype)


def _of_steps(tracer: Tracer, items: tuple[Any, ...], axis: int, dtype: str) -> Stacked:
    tracer.sizes.counts.add(len(items))
    inner = shape_of(items[0])
    return Stacked(items, axis, (*inner[:axis], len(items), *inner[axis:]), dtype)


@meaning("hstack", "vstack", "dstack", "column_stack")
def _side_by_side(tracer: Tracer, tensors: Any) -> Any:
    raise Unreadable("write it as torch.cat")


def part(tracer: Tracer, x: Any, axis: int, start: Dim, stop: Dim, step: int = 1) -> Any:
    """x[start:stop:step] of an axis, in sizes."""
    shape = shape_of(x)
    size = shape[axis]
    if start == 0 and stop == size and step == 1:
        return x
    if isinstance(x, Filled) and isinstance(start, int | Size) and step == 1:
        return Filled(x.number, (*shape[:axis], stop - start, *shape[axis + 1 :]), x.dtype)
    if isinstance(x, Positions) and step == 1:
        if isinstance(start, int):
            return Positions(stop - start, x.start + start * x.step, x.step, x.dtype)
    if isinstance(x, Stacked | Written) and axis == x.axis if isinstance(x, Stacked) else False:
        if isinstance(start, int) and isinstance(stop, int):
            return _of_steps(tracer, x.items[start:stop:step], axis, x.dtype)
    bounds = [_bound(tracer, start, size, 0), _bound(tracer, stop, size, None)]
    x = tracer.value(x)
    if any(isinstance(bound, Size) for bound in bounds):
        return _gathered_part(tracer, x, axis, start, stop, step)
    return tracer.script.item(x, *(ALL,) * axis, slice(bounds[0] or None, bounds[1], step if step != 1 else None))


def _bound(tracer: Tracer, place: Dim, size: Dim, end: int | None) -> Any:
    """A bound of a slice as it is written: from the front, or from the end where the size is open."""
    if isinstance(place, int):
        return place if end == 0 or place != size else None
    difference = place - size
    if difference == 0:
        return None
    return difference if isinstance(difference, int) and difference < 0 else place


def _gathered_part(tracer: Tracer, x: Value, axis: int, start: Dim, stop: Dim, step: int) -> Any:
    """A part between bounds that are other sizes."""
    count = stop - start
    if step != 1:
        raise Unreadable("a slice with a step whose bounds are open sizes")
    index = Positions(count, start, 1, "int64") if isinstance(start, int) else None
    if index is None:
        shifted = tracer.value(Positions(count, 0, 1, "int64"))
        offset = tracer.number(start, "int64")
        value = tracer.script.operation("+", shifted, offset)
    else:
        value = tracer.value(index)
    return gathered(tracer, x, axis, value)


def gathered(tracer: Tracer, x: Value, axis: int, index: Value) -> Any:
    """Entries of an axis at an index [n], or [..., n] for the first axis."""
    rank = len(shape_of(x))
    front = permuted(tracer, x, [axis, *(other for other in range(rank) if other != axis)])
    found = tracer.call(basic.gather, tracer.value(front), index)
    inner = len(shape_of(index))
    order = [*range(inner, inner + axis), *range(inner), *range(inner + axis, inner + rank - 1)]
    return permuted(tracer, found, order)


def _place(tracer: Tracer, given: Any, size: Dim, otherwise: Dim) -> Dim:
    """A bound as torch takes it: negative ones from the end, and none outside."""
    if given is None:
        return otherwise
    place = dim_of(given)
    sizes = tracer.sizes
    if sizes.value(place) < 0:
        place = size + place
        return 0 if sizes.value(place) < 0 else place
    if sizes.value(place) >= sizes.value(size) and isinstance(size, int):
        if isinstance(place, int):
            return size
        if sizes.value(place) > size:
            sizes.fix(place)
        return place
    if isinstance(place, int) and isinstance(size, Size) and place > sizes.value(size):
        return size if place >= 2**31 else sizes.fix(size)
    if isinstance(place, Size) and isinstance(size, Size) and sizes.value(place) > sizes.value(size):
        sizes.fix(size)
    return place


@meaning("__getitem__")
def _item(tracer: Tracer, x: Any, index: Any) -> Any:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    entries = index if isinstance(index, tuple) else (index,)
    if isinstance(x, Sorted):
        return _of_sorted(tracer, x, entries)
    named = sum(1 for entry in entries if entry is not None and entry is not Ellipsis)
    rank = len(shape_of(x))
    if Ellipsis in [entry if entry is Ellipsis else None for entry in entries]:
        at = next(number for number, entry in enumerate(entries) if entry is Ellipsis)
        entries = (*entries[:at], *(ALL,) * (rank - named), *entries[at + 1 :])
    else:
        entries = (*entries, *(ALL,) * (rank - named))
    chosen = [entry for entry in entries if isinstance(entry, Value | Lazy | list | torch.Tensor)]
    if len(chosen) > 1:
        raise Unreadable("it is indexed by several tensors at once")
    return _indexed(tracer, x, entries)


def _indexed(tracer: Tracer, x: Any, entries: Sequence[Any]) -> Any:
    """x[entries], an entry for each axis and None for new ones."""
    axis, plain, shape, at_once = 0, [], shape_of(x), True
    for entry in entries:
        if entry is None:
            continue
        if isinstance(entry, slice):
            step = 1 if entry.step is None else int(entry.step)
            start = _place(tracer, entry.start, shape[axis], 0)
            stop = _place(tracer, entry.stop, shape[axis], shape[axis])
            at_once = at_once and isinstance(start, int) and (isinstance(stop, int) or stop == shape[axis])
            plain.append((start, stop, step))
        elif isinstance(entry, bool):
            raise Unreadable("it is indexed by a truth value")
        elif isinstance(entry, int):
            place = dim_of(entry)
            size = shape[axis]
            if isinstance(place, Size):
                offset = place - size
                place = offset if isinstance(offset, int) else tracer.sizes.fix(place)
            plain.append(place)
        else:
            plain.append(entry)
        axis += 1
    return _one_by_one(tracer, x, entries, plain)


def _one_by_one(tracer: Tracer, x: Any, entries: Sequence[Any], plain: list[Any]) -> Any:
    if isinstance(x, Value) and all(isinstance(item, int | tuple) for item in plain):
        written = _written_index(tracer, x, entries, plain)
        if written is not None:
            return tracer.script.item(x, *written) if any(entry != ALL for entry in written) else x
    axis, places = 0, iter(plain)
    for entry in entries:
        if entry is None:
            x = _unsqueeze(tracer, x, axis)
            axis += 1
            continue
        item = next(places)
        if isinstance(item, tuple):
            x = part(tracer, x, axis, *item)
            axis += 1
        elif isinstance(item, int):
            x = _entry(tracer, x, axis, item)
        else:
            x = _chosen(tracer, x, axis, item)
            axis += 1
    return x


def _written_index(tracer: Tracer, x: Value, entries: Sequence[Any], plain: list[Any]) -> list[Any] | None:
    """The index as a script has it, or None where it can't be written."""
    found: list[Any] = []
    places, shape = iter(plain), iter(shape_of(x))
    for entry in entries:
        if entry is None:
            found.append(None)
            continue
        item, size = next(places), next(shape)
        if isinstance(item, int):
            found.append(item)
            continue
        start, stop, step = item
        low, high = _bound(tracer, start, size, 0), _bound(tracer, stop, size, None)
        if isinstance(low, Size) or isinstance(high, Size):
            return None
        found.append(slice(low or None, high, step if step != 1 else None))
    while len(found) > 1 and found[-1] == ALL:
        found.pop()
    return found


def _entry(tracer: Tracer, x: Any, axis: int, place: int) -> Any:
    shape = shape_of(x)
    if isinstance(x, Stacked) and axis == x.axis:
        return x.items[place]
    if isinstance(x, Written) and axis == x.axis and place % tracer.sizes.value(shape[axis]) in x.items:
        return x.items[place % tracer.sizes.value(shape[axis])]
    if isinstance(x, Filled | Written):
        ground = x if isinstance(x, Filled) else x.ground
        if isinstance(x, Filled) or axis == x.axis:
            return Filled(ground.number, (*shape[:axis], *shape[axis + 1 :]), ground.dtype)
    if isinstance(x, Stacked) and len(shape_of(x.items[0])) == len(shape) - 1:
        inner = axis - (axis > x.axis)
        items = tuple(_entry(tracer, item, inner, place) for item in x.items)
        whole = (*shape[:axis], *shape[axis + 1 :])
        return Stacked(items, x.axis - (axis < x.axis), whole, x.dtype)
    return tracer.script.item(tracer.value(x), *(ALL,) * axis, place)


def _chosen(tracer: Tracer, x: Any, axis: int, index: Any) -> Any:
    """x at an index that is a tensor, or a list."""
    if isinstance(index, list):
        index = torch.tensor(index)
    if isinstance(index, Sorted) and index.what in ("order", "back"):
        return in_order(tracer, x, axis, index)
    if (index.dtype == torch.bool) if isinstance(index, torch.Tensor) else dtype_of(index) == "bool":
        raise Unreadable("it is indexed by a mask, of which a call alone knows how much it takes; use torch.where")
    if isinstance(index, torch.Tensor) and not index.is_floating_point() and index.dim() == 1:
        places = np.asarray(index.cpu())
        steps = set(np.diff(places).tolist())
        size = shape_of(x)[axis]
        if len(places) > 1 and steps == {1} and places[0] >= 0 and isinstance(size, int):
            return part(tracer, x, axis, int(places[0]), int(places[-1]) + 1)
    if isinstance(x, Positions) and x.start == 0 and x.step == 1:
        return tracer.value(index, x.dtype)
    index = tracer.value(index)
    return gathered(tracer, tracer.value(x), axis, _from_front(tracer, index))


def _from_front(tracer: Tracer, index: Value) -> Value:
    return index if dtype_of(index) in ("int32", "int64") else tracer.cast(index, "int64")


@meaning("index_select")
def _index_select(tracer: Tracer, x: Any, dim: int, index: Any) -> Any:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    rank = len(shape_of(x))
    return _chosen(tracer, x, axis_of(rank, dim), index)


@meaning("select")
def _select(tracer: Tracer, x: Any, dim: int, index: int) -> Any:
    axis = axis_of(len(shape_of(x)), dim)
    return _indexed(tracer, x, [*(ALL,) * axis, index, *(ALL,) * (len(shape_of(x)) - axis - 1)])


@meaning("narrow")
def _narrow(tracer: Tracer, x: Any, dim: int, start: Any, length: Any) -> Any:
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    first = _place(tracer, start, size, 0)
    return part(tracer, x, axis, first, first + dim_of(length))


def _pieces(tracer: Tracer, x: Any, axis: int, sizes: Sequence[Dim]) -> Any:
    shape = shape_of(x)
    if isinstance(x, Value) and isinstance(shape[axis], int):
        widths = [tracer.sizes.fix(size) for size in sizes]
        if len(widths) == 1:
            return (x,)
        equal = len(set(widths)) == 1
        last = axis if axis != len(shape) - 1 else -1
        names = tuple(f"part_{number}" for number in range(len(widths)))
        whole = tracer.call(
            basic.split, x, len(widths) if equal else widths, *([] if last == -1 else [last]), hint=names
        )
        return tuple(whole)
    found, start = [], 0
    for size in sizes:
        found.append(part(tracer, x, axis, start, start + size))
        start = start + size
    return tuple(found)


@meaning("split", "split_with_sizes", "tensor_split")
def _split(tracer: Tracer, x: Any, split_size: Any = None, dim: int = 0, **named: Any) -> Any:
    split_size = named.get("split_size_or_sections", named.get("split_sizes", split_size))
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if isinstance(split_size, list | tuple):
        return _pieces(tracer, x, axis, [dim_of(entry) for entry in split_size])
    if isinstance(size, Size):
        parts = len(tracer.expected)
        return _pieces(tracer, x, axis, [int(split_size)] * parts) if int(split_size) == 1 else _fixed(tracer, size)
    count = int(split_size)
    return _pieces(tracer, x, axis, [min(count, size - start) for start in range(0, size, count)])


def _fixed(tracer: Tracer, size: Dim) -> Any:
    tracer.sizes.fix(size)


@meaning("chunk")
def _chunk(tracer: Tracer, x: Any, chunks: int, dim: int = 0) -> Any:
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if isinstance(size, Size) and len(tracer.expected) == tracer.sizes.value(size):
        return _pieces(tracer, x, axis, [1] * len(tracer.expected))
    size = tracer.sizes.fix(size)
    each = -(-size // int(chunks))
    return _pieces(tracer, x, axis, [min(each, size - start) for start in range(0, size, each)])


@meaning("unbind")
def _unbind(tracer: Tracer, x: Any, dim: int = 0) -> Any:
    axis = axis_of(len(shape_of(x)), dim)
    return tuple(_entry(tracer, x, axis, place) for place in range(len(tracer.expected)))


@meaning("__setitem__")
def _set(tracer: Tracer, x: Any, index: Any, value: Any) -> Any:
    entries = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [entry for entry in entries if entry is Ellipsis]:
        at = next(number for number, entry in enumerate(entries) if entry is Ellipsis)
        entries = (*entries[:at], *(ALL,) * (len(shape_of(x)) - len(entries) + 1), *entries[at + 1 :])
    places = [number for number, entry in enumerate(entries) if not (isinstance(entry, slice) and entry == ALL)]
    if not isinstance(x, Filled | Written) or len(places) != 1 or not _is_place(entries[places[0]]):
        return _masked_set(tracer, x, entries, value)
    axis, place = places[0], int(entries[places[0]])
    if isinstance(x, Written) and x.axis != axis:
        raise Unreadable("values are written along two axes; gather them by torch.stack")
    place %= tracer.sizes.value(x.shape[axis])
    if isinstance(value, bool | int | float):
        value = Filled(value, (*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)
    if not isinstance(value, Value | Lazy):
        value = tracer.value(value)
    tracer.sizes.counts.add(tracer.sizes.value(x.shape[axis]))
    ground, items = (x.ground, x.items) if isinstance(x, Written) else (x, {})
    return Written(ground, axis, {**items, place: value})


def _is_place(entry: Any) -> bool:
    return isinstance(entry, int) and not isinstance(entry, bool)


def _masked_set(tracer: Tracer, x: Any, entries: Any, value: Any) -> Any:
    mask = entries[0]
    is_mask = isinstance(mask, Value | Lazy) and dtype_of(mask) == "bool" and len(entries) == 1
    if not is_mask or not isinstance(value, bool | int | float):
        raise Unreadable("values are written into a tensor; gather them by torch.stack or torch.cat")
    if len(shape_of(mask)) < len(shape_of(x)):
        mask = reshaped(tracer, mask, [*shape_of(mask), *(1,) * (len(shape_of(x)) - len(shape_of(mask)))])
    tracer.expected = torch.empty((), dtype={ours: theirs for theirs, ours in DTYPES.items()}[dtype_of(x)])
    return choose(tracer, mask, value, x)


@meaning("flip")
def _flip(tracer: Tracer, x: Any, *dims: Any) -> Any:
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    rank = len(shape_of(x))
    axes = {axis_of(rank, axis) for axis in given}
    if isinstance(x, Filled):
        return x
    if isinstance(x, Stacked) and axes == {x.axis}:
        return Stacked(x.items[::-1], x.axis, x.shape, x.dtype)
    index = [slice(None, None, -1) if axis in axes else ALL for axis in range(max(axes) + 1)]
    return tracer.script.item(tracer.value(x), *index)


@meaning("roll")
def _roll(tracer: Tracer, x: Any, shifts: int, dims: int) -> Any:
    axis = axis_of(len(shape_of(x)), dims)
    size = shape_of(x)[axis]
    shift = int(shifts) if shifts >= 0 else int(shifts)
    if shift == 0:
        return x
    cut = size - shift if shift > 0 else -shift
    return _cat_of(tracer, [part(tracer, x, axis, cut, size), part(tracer, x, axis, 0, cut)], axis)


def _cat_of(tracer: Tracer, items: list[Any], axis: int) -> Any:
    return tracer.call(basic.concat, [tracer.value(item) for item in items], axis)


@meaning("gather", "take_along_dim")
def _gather(tracer: Tracer, x: Any, dim: int, index: Any) -> Any:
    """Read where the index is the same along all axes but the first, or picks one of the last axis."""
    x = x if isinstance(x, Value) else tracer.value(x)
    shape, rank = shape_of(x), len(shape_of(x))
    axis = axis_of(rank, dim)
    index = tracer.value(index)
    width = shape[axis]
    for other, (have, want) in enumerate(zip(shape, shape_of(index), strict=True)):
        if other != axis:
            tracer.sizes.meet(have, want)
    if not isinstance(width, int) and axis != rank - 1 and not (rank == 3 and axis == 1):
        raise Unreadable("it is read along the last axis, or along time of [batch, time, width]")
    if shape_of(index)[axis] != 1:
        raise Unreadable("it is read for one entry of an axis")
    place = tracer.value(Positions(width, 0, 1, "int64"))
    shaped = reshaped(tracer, place, [-1, *(1,) * (rank - axis - 1)]) if axis != rank - 1 else place
    hit = tracer.call(basic.equal, tracer.cast(index, "int64"), tracer.value(shaped))
    return tracer.call(basic.reduce_sum, tracer.call(basic.where, hit, x, 0), axis, keepdims=True)


# Made of sizes -------------------------------------------------------------------------------------


def _made_of(number: Any) -> Any:
    def mean(tracer: Tracer, *size: Any, dtype: Any = None, **named: Any) -> Any:
        return Filled(number, tuple(_sizes(size or (named["size"],))), DTYPES[tracer.expected.dtype])

    return mean


meaning("zeros", "new_zeros_", "empty")(_made_of(0))
meaning("ones")(_made_of(1))


def _of_other(number: Any) -> Any:
    def mean(tracer: Tracer, x: Any, *size: Any, dtype: Any = None, **named: Any) -> Any:
        return Filled(number, tuple(_sizes(size or (named["size"],))), DTYPES[tracer.expected.dtype])

    return mean


meaning("new_zeros", "new_empty")(_of_other(0))
meaning("new_ones")(_of_other(1))


def _like(number: Any) -> Any:
    def mean(tracer: Tracer, x: Any, dtype: Any = None) -> Any:
        if isinstance(x, Sorted):
            return Sorted("empty", x.of, x.lengths, x.shape, x.dtype)
        return Filled(number, _shape(x), DTYPES[tracer.expected.dtype])

    return mean


def _shape(x: Any) -> tuple[Dim, ...]:
    return shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)


meaning("zeros_like", "empty_like", "zero_")(_like(0))
meaning("ones_like")(_like(1))


@meaning("full")
def _full(tracer: Tracer, size: Any, fill_value: Any, dtype: Any = None) -> Any:
    return Filled(fill_value, tuple(_sizes(size)), DTYPES[tracer.expected.dtype])


@meaning("full_like", "new_full")
def _full_like(tracer: Tracer, x: Any, *given: Any, dtype: Any = None, fill_value: Any = None) -> Any:
    number = given[-1] if fill_value is None else fill_value
    shape = (
        _shape(x) if len(given) < 2 and not (given and isinstance(given[0], list | tuple)) else tuple(_sizes(given[0]))
    )
    return Filled(number, shape, DTYPES[tracer.expected.dtype])


@meaning("fill_")
def _fill(tracer: Tracer, x: Any, value: Any) -> Any:
    return Filled(value, shape_of(x), dtype_of(x))


@meaning("arange")
def _arange(tracer: Tracer, *bounds: Any, dtype: Any = None, start: Any = 0, end: Any = None, step: Any = 1) -> Any:
    if len(bounds) == 1:
        end = bounds[0]
    elif bounds:
        start, end = bounds[:2]
        step = bounds[2] if len(bounds) > 2 else step
    kind = DTYPES[tracer.expected.dtype]
    if not isinstance(step, int) or isinstance(start, float) or isinstance(end, float):
        raise Unreadable("it is read with whole numbers and sizes")
    first, last = dim_of(start), dim_of(end)
    if step == -1 and isinstance(last, int):
        count = first - last
        if isinstance(first, Size):
            ahead = tracer.value(Positions(count, 0, 1, "int64"))
            return tracer.cast(tracer.script.operation("-", tracer.number(first, "int64"), ahead), kind)
        return Positions(count, first, -1, kind)
    if step != 1 or not isinstance(first, int):
        count = len(range(int(start), int(end), step))
        for bound in (first, last):
            tracer.sizes.fix(bound)
        return Positions(count, int(start), step, kind)
    return Positions(last - first, first, 1, kind)


def _triangular(name: str) -> Any:
    def mean(tracer: Tracer, x: Any, diagonal: int = 0) -> Any:
        shape = shape_of(x)
        rows = reshaped(tracer, tracer.value(Positions(shape[-2], int(diagonal), 1, "int64")), [shape[-2], 1])
        columns = tracer.value(Positions(shape[-1], 0, 1, "int64"))
        kept = tracer.script.operation("<=" if name == "tril" else ">=", columns, tracer.value(rows))
        if dtype_of(x) == "bool":
            if isinstance(x, Filled) and x.number:
                return kept
            return tracer.call(basic.logical_and, kept, tracer.value(x))
        return choose(tracer, kept, x.number if isinstance(x, Filled) and len(shape) == 2 else x, 0)

    return mean


meaning("tril")(_triangular("tril"))
meaning("triu")(_triangular("triu"))


@meaning("pad")
def _pad(tracer: Tracer, x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    rank = len(shape_of(x))
    pairs = [(int(pad[at]), int(pad[at + 1])) for at in range(0, len(pad), 2)]
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode not in modes:
        raise Unreadable(f"mode={mode!r}")
    cut = x
    for at, (before, after) in enumerate(pairs):
        axis, size = rank - 1 - at, shape_of(cut)[rank - 1 - at]
        if before < 0 or after < 0:
            cut = part(tracer, cut, axis, max(0, -before), size - max(0, -after))
    found = {rank - 1 - at: (max(0, a), max(0, b)) for at, (a, b) in enumerate(pairs) if a > 0 or b > 0}
    if not found:
        return cut
    options: dict[str, Any] = {} if mode == "constant" else {"mode": modes[mode]}
    if value:
        options["value"] = value
    if isinstance(cut, Filled) and mode == "constant" and (value or 0) == cut.number:
        shape = tuple(size + sum(found.get(axis, (0, 0))) for axis, size in enumerate(cut.shape))
        return Filled(cut.number, shape, cut.dtype)
    return tracer.call(padded, tracer.value(cut), dict(sorted(found.items())), **options)


@meaning("one_hot")
def _one_hot(tracer: Tracer, x: Any, num_classes: int = -1) -> Any:
    if num_classes == -1:
        raise Unreadable("give num_classes, which is else found by values")
    return tracer.call(basic.one_hot, tracer.value(x), int(num_classes), "int64")


@meaning("cumsum")
def _cumsum(tracer: Tracer, x: Any, dim: int, dtype: Any = None) -> Any:
    kind = DTYPES[tracer.expected.dtype]
    axis = axis_of(len(shape_of(x)), dim)
    if kind.startswith("int") and isinstance(shape_of(x)[axis], Size):
        return tracer.cast(tracer.call(cumsum, tracer.value(x, "float64"), axis), kind)
    return tracer.call(cumsum, tracer.value(x, kind), axis)


# Rows in the order of their lengths ----------------------------------------------------------------


def in_order(tracer: Tracer, x: Any, axis: int, index: Sorted) -> Any:
    """Rows that are taken by their lengths' order, or put back."""
    shape, dtype = shape_of(x), dtype_of(x)
    if index.what == "order":
        return Sorted("rows", x, index.lengths, shape, dtype)
    if isinstance(x, Sorted) and x.what in ("rows", "lengths"):
        return x.of
    raise Unreadable("rows are put into another order than that of their lengths")


def _of_sorted(tracer: Tracer, x: Sorted, entries: Sequence[Any]) -> Any:
    if len(entries) == 1 and isinstance(entries[0], Sorted):
        return in_order(tracer, x, 0, entries[0])
    raise Unreadable("rows in the order of their lengths are read within packed sequences only")
