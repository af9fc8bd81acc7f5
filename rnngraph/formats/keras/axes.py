"""Declares ``keras.ops`` functions that move, concatenate, repeat and select entries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ...declare.functions.arrays.matrices import diagonal, trace, tril, triu
from ...declare.functions.arrays.moves import flip, moveaxis, repeat, roll, swapaxes, tile, unstack
from ...declare.functions.basic import (
    broadcast_to,
    cast,
    concat,
    expand_dims,
    gather,
    one_hot,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
)
from ...declare.functions.indexing import axis_indices, take_along_axis
from ...declare.functions.padding import pad
from ...declare.tensor import constant
from ..operators.backend import ScriptBackend
from ..operators.moves import indexed, take
from ..steps import Function, Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Signal, Unreadable, dtype_of
from .operands import Operation, along_axis, axis_of, one_axis, operands, option, plain, promoted

MAX_COPIES = 1 << 12
"""Maximum number of repetitions, or of selected entries, of an operation, so that a small file makes no large array."""


def _of_list(function: Function) -> Operation:
    """Return the operation that calls a function such as ``stack``: of a list of tensors, and an axis, by default 0."""

    def join(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        tensors = inputs.arguments[0] if inputs.arguments else None
        if not isinstance(tensors, list | tuple) or not tensors:
            raise Unreadable("its first argument must be a list of tensors")
        items = promoted(b, [plain(b, item) for item in tensors])
        return b.script.call(function, items, one_axis(option(layer, inputs, "axis", 1, 0)))

    return join


def _shape(layer: Layer, inputs: Inputs, key: str) -> tuple[int | None, ...]:
    target = option(layer, inputs, key, 1)
    if not isinstance(target, list | tuple) or not all(size is None or isinstance(size, int) for size in target):
        raise Unreadable(f"its shape must be a list of whole numbers, not {target!r}")
    return tuple(target)


def _reshape(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(reshape, *operands(b, inputs, 1), _shape(layer, inputs, "newshape"))


def _broadcast(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(broadcast_to, *operands(b, inputs, 1), _shape(layer, inputs, "shape"))


def _transpose(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axes = axis_of(option(layer, inputs, "axes", 1))
    return b.script.call(transpose, *operands(b, inputs, 1), *([] if axes is None else [axes]))


def _swap(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    axes = [one_axis(option(layer, inputs, f"axis{place}", place), x.tensor.rank) for place in (1, 2)]
    return b.script.call(swapaxes, x, *axes)


def _move(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axes = [axis_of(option(layer, inputs, key, place)) for place, key in enumerate(("source", "destination"), 1)]
    return b.script.call(moveaxis, *operands(b, inputs, 1), *axes)


def _split(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    """Declare the split of an axis into a number of equal parts, or by a list.

    Keras' list has the indices at which parts begin, TensorFlow's has the parts' sizes.
    """
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2, 0), x.tensor.rank)
    parts = option(layer, inputs, "indices_or_sections", 1, inputs.keywords.get("num_or_size_splits"))
    size = x.tensor.type.shape[axis]
    if not isinstance(size, int):
        raise Unreadable("it splits an axis of symbolic size; fix it with fixed=")
    if isinstance(parts, list | tuple) and parts and all(type(entry) is int for entry in parts):
        bounds = [0, *parts, size]
        widths = [stop - start for start, stop in pairwise(bounds)] if "indices_or_sections" in layer.config else parts
    elif type(parts) is int and 0 < parts <= size and size % parts == 0:
        widths = [size // parts] * parts
    else:
        raise Unreadable(f"it splits an axis of size {size} by {parts!r}; give a divisor of the size, or a list")
    if min(widths) < 1 or sum(widths) != size:
        raise Unreadable(
            f"its parts {parts!r} do not fit an axis of size {size}; they must be positive, and add up to it"
        )
    return list(b.script.call(split, x, list(widths), axis)) if len(widths) > 1 else [x]


# Repeated and selected entries --------------------------------------------------------------------


def _tile(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``tile``: concatenate copies of the tensor along its axes."""
    (x,) = operands(b, inputs, 1)
    repeats = option(layer, inputs, "repeats", 1)
    counts = [repeats] if type(repeats) is int else list(repeats) if isinstance(repeats, list | tuple) else []
    if not counts or len(counts) > x.tensor.rank or not all(type(n) is int and 0 < n <= MAX_COPIES for n in counts):
        raise Unreadable(f"its repeats are {repeats!r}; each must be a whole number from 1 to {MAX_COPIES}")
    return b.script.call(tile, x, [1] * (x.tensor.rank - len(counts)) + counts)


def _repeat(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``repeat``: repeat each entry along an axis or, without one, each entry of the flattened tensor."""
    (x,) = operands(b, inputs, 1)
    count, axis = option(layer, inputs, "repeats", 1), axis_of(option(layer, inputs, "axis", 2))
    if type(count) is not int or not 0 < count <= MAX_COPIES:
        raise Unreadable(f"its repeats are {count!r}; they must be a whole number from 1 to {MAX_COPIES}")
    return b.script.call(repeat, x, count, *([] if axis is None else [one_axis(axis, x.tensor.rank)]))


def _pad(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    pad_width, mode = option(layer, inputs, "pad_width", 1), option(layer, inputs, "mode", 2, "constant")
    pairs: dict[int, tuple[int, ...]] = {}
    for axis, pair in enumerate(pad_width if isinstance(pad_width, list | tuple) else []):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(type(n) is int and n >= 0 for n in pair):
            raise Unreadable(f"its pad_width must be a list of (before, after), not {pad_width!r}")
        pairs |= {axis: tuple(pair)} if any(pair) else {}
    if (
        not isinstance(pad_width, list | tuple)
        or len(pad_width) != x.tensor.rank
        or mode not in ("constant", "reflect")
    ):
        raise Unreadable(f"pad_width={pad_width!r} with mode={mode!r} is not supported; use constant or reflect")
    value = inputs.keyword("constant_values", 1 if "pad_width" in layer.config else 3)
    options: dict[str, object] = {} if mode == "constant" else {"mode": mode}
    options |= {} if value is None else {"value": plain(b, value)}
    return b.script.call(pad, x, pairs, **options) if pairs else x


def _roll(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``roll``: shift entries cyclically along an axis or, without one, in the flattened tensor."""
    (x,) = operands(b, inputs, 1)
    axis, shift = axis_of(option(layer, inputs, "axis", 2)), option(layer, inputs, "shift", 1)
    if type(shift) is not int:
        raise Unreadable(f"its shift must be a whole number, not {shift!r}")
    return b.script.call(roll, x, shift, *([] if axis is None else [one_axis(axis, x.tensor.rank)]))


def _take(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``take``: select entries along an axis, by constant indices or a tensor of indices."""
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2), x.tensor.rank)
    chosen = inputs.keyword("indices", 1)
    if isinstance(chosen, Signal):
        return b.script.call(gather, x, b.script.call(axis_indices, chosen.value, x, axis), axis)
    places = chosen if isinstance(chosen, list | tuple) else [chosen]
    if not 0 < len(places) <= MAX_COPIES or not all(type(place) is int for place in places):
        raise Unreadable("its indices must be numbers or a tensor")
    numbers = np.array(chosen, np.int64)
    return take(ScriptBackend(b.script), x, numbers, axis, lambda ids: b.script.call(constant, ids.tolist()))


def _take_along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``take_along_axis``: select entries along an axis, with an index for each entry of the result."""
    x, chosen = operands(b, inputs, 2)
    if not isinstance(x, Value) or not isinstance(chosen, Value):
        raise Unreadable("both of its operands must be tensors")
    return b.script.call(take_along_axis, x, chosen, one_axis(option(layer, inputs, "axis", 2), x.tensor.rank))


def _unstack(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    (x,) = operands(b, inputs, 1)
    axis = one_axis(option(layer, inputs, "axis", 2, 0), x.tensor.rank)
    size = x.tensor.type.shape[axis]
    if not isinstance(size, int) or size > MAX_COPIES:
        raise Unreadable(f"it unstacks an axis of size {size}; the size must be a number of at most {MAX_COPIES}")
    before = (slice(None),) * axis
    if size == 1:
        return [b.script.item(x, *before, 0)]
    names = tuple(f"entry_{number}" for number in range(size))
    return list(b.script.call(unstack, x, *([axis] if axis else []), hint=names))


def _triangle(function: Function) -> Operation:
    """Return the operation for ``tril`` or ``triu``, which set entries above or below a diagonal to 0."""

    def take(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        offset = option(layer, inputs, "k", 1, 0)
        if type(offset) is not int:
            raise Unreadable(f"k must be a whole number, not {offset!r}")
        return b.script.call(function, *operands(b, inputs, 1), *([offset] if offset else []))

    return take


def _on_diagonal(function: Function) -> Operation:
    """Return the operation for ``diagonal`` or ``trace``."""

    def take(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        keys = {"offset": 0, "axis1": 0, "axis2": 1}
        options = {key: option(layer, inputs, key, place, usual) for place, (key, usual) in enumerate(keys.items(), 1)}
        if not all(type(value) is int for value in options.values()):
            raise Unreadable(f"offset, axis1 and axis2 must be whole numbers, not {options}")
        return b.script.call(function, *operands(b, inputs, 1), **options)

    return take


def _one_hot(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    depth = option(layer, inputs, "num_classes", 1, inputs.keywords.get("depth"))
    dtype = option(layer, inputs, "dtype", 3) or "float32"
    kind = dtype_of(dtype)
    if type(depth) is not int or not 0 < depth < 1 << 24 or not kind:
        raise Unreadable(f"num_classes={depth!r} with dtype={dtype!r} is not supported")
    axis = option(layer, inputs, "axis", 2, -1)
    place = x.tensor.rank if axis is None else one_axis(axis, x.tensor.rank + 1)
    values = {
        key: plain(b, inputs.keywords[key]) for key in ("on_value", "off_value") if inputs.keywords.get(key) is not None
    }
    options: dict[str, object] = {} if kind == "float32" else {"dtype": kind}
    options |= {} if place == x.tensor.rank else {"axis": place}
    ids = x if x.tensor.dtype.startswith("int") else b.script.call(cast, x, "int32")
    return b.script.call(one_hot, ids, depth, **options, **values)


# Indexing -----------------------------------------------------------------------------------------


def _item(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    """Declare indexing by the argument ``slice_spec``: numbers, slices, ``None`` and ``...``."""
    (x,) = operands(b, inputs, 1)
    spec = inputs.keyword("slice_spec", 1)
    index = [_index(item) for item in (spec if isinstance(spec, list | tuple) else [spec])]
    return indexed(ScriptBackend(b.script), x, index)


def _index(item: Any) -> Any:
    """Convert an entry of ``slice_spec`` to a number, slice, ``None`` or ``...``. Raises ``Unreadable`` for others."""
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
    raise Unreadable("an index must consist of numbers, slices and None")


OPERATIONS: Mapping[str, Operation] = {
    "Concatenate": _of_list(concat),
    "Stack": _of_list(stack),
    "ExpandDims": along_axis(expand_dims, 0),
    "Squeeze": along_axis(squeeze, None),
    "Reshape": _reshape,
    "BroadcastTo": _broadcast,
    "Transpose": _transpose,
    "Swapaxes": _swap,
    "SwapAxes": _swap,
    "Moveaxis": _move,
    "Flip": along_axis(flip, None),
    "Split": _split,
    "Tile": _tile,
    "Repeat": _repeat,
    "Pad": _pad,
    "Roll": _roll,
    "Take": _take,
    "Unstack": _unstack,
    "OneHot": _one_hot,
    "GetItem": _item,
    "TakeAlongAxis": _take_along,
    "Tril": _triangle(tril),
    "Triu": _triangle(triu),
    "Diagonal": _on_diagonal(diagonal),
    "Trace": _on_diagonal(trace),
}
