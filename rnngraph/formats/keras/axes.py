"""Functions among layers that move, join, repeat and pick entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ...declare.functions.basic import (
    broadcast_to,
    cast,
    concat,
    expand_dims,
    one_hot,
    reshape,
    split,
    squeeze,
    stack,
    tile,
    transpose,
)
from ...declare.functions.padding import pad
from ..steps import Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Unreadable, dtype_of
from .operands import Operation, alike, axis_of, one_axis, operands, option, plain

MOST_COPIES = 1 << 12
"""Of entries that an operation repeats, and of entries that it picks."""


def _many(function: Callable[..., Any]) -> Operation:
    """Of a list of tensors along an axis, the first if none is given."""

    def join(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        given = inputs.arguments[0] if inputs.arguments else None
        if not isinstance(given, list | tuple) or not given:
            raise Unreadable("it is called on no list of tensors")
        items = alike(b, [plain(b, item) for item in given])
        return b.script.call(function, items, one_axis(option(layer, inputs, "axis", 1, 0)))

    return join


def _with_axis(function: Callable[..., Any], usual: Any) -> Operation:
    def along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        axis = axis_of(option(layer, inputs, "axis", 1, usual))
        return b.script.call(function, *operands(b, inputs, 1), *([] if axis is None else [axis]))

    return along


def _shape(layer: Layer, inputs: Inputs, key: str) -> tuple[int | None, ...]:
    target = option(layer, inputs, key, 1)
    if not isinstance(target, list | tuple) or not all(size is None or isinstance(size, int) for size in target):
        raise Unreadable(f"its shape is {target!r}")
    return tuple(target)


def _reshape(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(reshape, *operands(b, inputs, 1), _shape(layer, inputs, "newshape"))


def _broadcast(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(broadcast_to, *operands(b, inputs, 1), _shape(layer, inputs, "shape"))


def _transpose(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axes = axis_of(option(layer, inputs, "axes", 1))
    return b.script.call(transpose, *operands(b, inputs, 1), *([] if axes is None else [axes]))


def _two_axes(layer: Layer, inputs: Inputs, rank: int, keys: tuple[str, str]) -> tuple[int, int]:
    one, other = (one_axis(option(layer, inputs, key, place), rank) for place, key in enumerate(keys, 1))
    return one, other


def _swap(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    order = list(range(x.tensor.rank))
    one, other = _two_axes(layer, inputs, x.tensor.rank, ("axis1", "axis2"))
    order[one], order[other] = other, one
    return b.script.call(transpose, x, tuple(order))


def _move(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    one, other = _two_axes(layer, inputs, x.tensor.rank, ("source", "destination"))
    order = [axis for axis in range(x.tensor.rank) if axis != one]
    order.insert(other, one)
    return b.script.call(transpose, x, tuple(order))


def _flip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    rank, axis = x.tensor.rank, axis_of(option(layer, inputs, "axis", 1))
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    turned = {one_axis(one, rank) for one in axes}
    return b.script.item(x, *(slice(None, None, -1 if one in turned else None) for one in range(max(turned) + 1)))


def _split(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    """Parts of one axis: so many equal ones, or of Keras by where they begin, of TensorFlow by their sizes."""
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2, 0), x.tensor.rank)
    given = option(layer, inputs, "indices_or_sections", 1, inputs.keywords.get("num_or_size_splits"))
    size = x.tensor.type.shape[axis]
    if not isinstance(size, int):
        raise Unreadable("it splits an axis of open size")
    if isinstance(given, list | tuple) and given and all(type(entry) is int for entry in given):
        bounds = [0, *given, size]
        widths = [stop - start for start, stop in pairwise(bounds)] if "indices_or_sections" in layer.config else given
    elif type(given) is int and 0 < given <= size and size % given == 0:
        widths = [size // given] * given
    else:
        raise Unreadable(f"its parts are {given!r}")
    if min(widths) < 1 or sum(widths) != size:
        raise Unreadable(f"its parts are {given!r}, of an axis of {size}")
    return list(b.script.call(split, x, list(widths), axis)) if len(widths) > 1 else [x]


# Copies -------------------------------------------------------------------------------------------


def _tile(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """All of an axis so many times."""
    (x,) = operands(b, inputs, 1)
    given = option(layer, inputs, "repeats", 1)
    counts = [given] if type(given) is int else list(given) if isinstance(given, list | tuple) else []
    if not counts or len(counts) > x.tensor.rank or not all(type(n) is int and 0 < n <= MOST_COPIES for n in counts):
        raise Unreadable(f"its repeats are {given!r}")
    return b.script.call(tile, x, [1] * (x.tensor.rank - len(counts)) + counts)


def _repeat(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Each entry of an axis so many times."""
    (x,) = operands(b, inputs, 1)
    count, rank = option(layer, inputs, "repeats", 1), x.tensor.rank
    axis = one_axis(option(layer, inputs, "axis", 2), rank)
    rest = [b.entry(size) for size in x.tensor.type.shape[axis + 1 :]]
    if type(count) is not int or not 0 < count <= MOST_COPIES or None in rest:
        raise Unreadable(f"its repeats are {count!r}, along axis {axis}")
    wide = b.script.call(tile, b.script.call(expand_dims, x, axis + 1), [1] * (axis + 1) + [count] + [1] * len(rest))
    return b.script.call(reshape, wide, (*[None] * axis, -1, *rest))


def _pad(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    given, mode = option(layer, inputs, "pad_width", 1), option(layer, inputs, "mode", 2, "constant")
    pairs: dict[int, tuple[int, ...]] = {}
    for axis, pair in enumerate(given if isinstance(given, list | tuple) else []):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(type(n) is int and n >= 0 for n in pair):
            raise Unreadable(f"its pad_width is {given!r}")
        pairs |= {axis: tuple(pair)} if any(pair) else {}
    if not isinstance(given, list | tuple) or len(given) != x.tensor.rank or mode not in ("constant", "reflect"):
        raise Unreadable(f"its pad_width is {given!r}, its mode {mode!r}")
    value = inputs.keyword("constant_values", 1 if "pad_width" in layer.config else 3)
    options: dict[str, Any] = {} if mode == "constant" else {"mode": mode}
    options |= {} if value is None else {"value": plain(b, value)}
    return b.script.call(pad, x, pairs, **options) if pairs else x


def _roll(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """The last entries of an axis in front."""
    (x,) = operands(b, inputs, 1)
    axis, shift = one_axis(option(layer, inputs, "axis", 2), x.tensor.rank), option(layer, inputs, "shift", 1)
    size = x.tensor.type.shape[axis]
    if type(shift) is not int:
        raise Unreadable(f"its shift is {shift!r}")
    shift = shift % size if isinstance(size, int) else shift
    if not shift:
        return x
    before = (slice(None),) * axis
    parts = [b.script.item(x, *before, slice(-shift, None)), b.script.item(x, *before, slice(None, -shift))]
    return b.script.call(concat, parts, axis)


def _take(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Entries of an axis by numbers of the file."""
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2), x.tensor.rank)
    chosen = inputs.keyword("indices", 1)
    before = (slice(None),) * axis
    if type(chosen) is int:
        return b.script.item(x, *before, chosen)
    many = isinstance(chosen, list | tuple) and 0 < len(chosen) <= MOST_COPIES
    if not many or not all(type(place) is int for place in chosen):
        raise Unreadable("it takes entries by something else than numbers")
    return b.script.call(stack, [b.script.item(x, *before, place) for place in chosen], axis)


def _unstack(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2, 0), x.tensor.rank)
    size = x.tensor.type.shape[axis]
    if not isinstance(size, int) or size > MOST_COPIES:
        raise Unreadable("it takes an axis of open size apart")
    return [b.script.item(x, *(slice(None),) * axis, place) for place in range(size)]


def _one_hot(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    depth = option(layer, inputs, "num_classes", 1, inputs.keywords.get("depth"))
    kind = dtype_of(option(layer, inputs, "dtype", 3) or "float32")
    if type(depth) is not int or not 0 < depth < 1 << 24 or not kind:
        raise Unreadable("its number of classes, or its dtype")
    if any(inputs.keywords.get(key) is not None for key in ("on_value", "off_value")):
        raise Unreadable("it has values of its own")
    if option(layer, inputs, "axis", 2, -1) not in (-1, None, x.tensor.rank):
        raise Unreadable("its axis is not the last one")
    ids = x if x.tensor.dtype.startswith("int") else b.script.call(cast, x, "int32")
    return b.script.call(one_hot, ids, depth, **({} if kind == "float32" else {"dtype": kind}))


# Items --------------------------------------------------------------------------------------------


def _item(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    given = inputs.keyword("slice_spec", 1)
    index = [_index(item) for item in (given if isinstance(given, list | tuple) else [given])]
    return b.script.item(x, *index) if index else x


def _index(item: Any) -> Any:
    if isinstance(item, Mapping) and item.get("class_name") == "__ellipsis__":
        return ...
    if isinstance(item, Mapping) and {"start", "stop", "step"} <= item.keys():
        item = slice(item["start"], item["stop"], item["step"])
    if isinstance(item, slice):
        parts = (item.start, item.stop, item.step)
        if all(part is None or (isinstance(part, int) and not isinstance(part, bool)) for part in parts):
            return item
    elif item is None or item is ... or (isinstance(item, int) and not isinstance(item, bool)):
        return item
    raise Unreadable("it picks by something else than numbers and slices")


OPERATIONS: Mapping[str, Operation] = {
    "Concatenate": _many(concat), "Stack": _many(stack), "ExpandDims": _with_axis(expand_dims, 0),
    "Squeeze": _with_axis(squeeze, None), "Reshape": _reshape, "BroadcastTo": _broadcast, "Transpose": _transpose,
    "Swapaxes": _swap, "SwapAxes": _swap, "Moveaxis": _move, "Flip": _flip, "Split": _split,
    "Tile": _tile, "Repeat": _repeat, "Pad": _pad, "Roll": _roll, "Take": _take, "Unstack": _unstack,
    "OneHot": _one_hot, "GetItem": _item,
}  # fmt: skip
