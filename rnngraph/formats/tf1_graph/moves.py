"""Translates ops that transpose, concatenate, slice and gather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..operators.errors import UnreadableError
from .source import Node
from .translation import DOMAIN, Translation, translates

END = (1 << 31) - 1
"""Bound of a slice that extends to the end of an axis: the largest 32-bit integer."""


@translates("Reshape")
def _reshape(t: Translation, node: Node) -> str:
    return t.emit("Reshape", [t.input(node, 0), t.int64(t.input(node, 1))], [node.name])


@translates("Transpose")
def _transpose(t: Translation, node: Node) -> str:
    return t.emit("Transpose", [t.input(node, 0)], [node.name], perm=t.ints(node, 1, "its order of axes"))


@translates("ExpandDims")
def _expand_dims(t: Translation, node: Node) -> str:
    axis = t.constant(t.ints(node, 1, "its axis"), "int64")
    return t.emit("Unsqueeze", [t.input(node, 0), axis], [node.name])


@translates("Squeeze")
def _squeeze(t: Translation, node: Node) -> str:
    axes = node.ints("squeeze_dims")
    return t.emit("Squeeze", [t.input(node, 0), *([t.constant(axes, "int64")] if axes else [])], [node.name])


@translates("ConcatV2", "Concat")
def _concat(t: Translation, node: Node) -> str:
    count = len(node.inputs) - 1
    (axis,) = t.ints(node, 0 if node.op == "Concat" else count, "its axis")
    first = 1 if node.op == "Concat" else 0
    items = [t.input(node, place) for place in range(first, first + count)]
    return t.emit("Concat", items, [node.name], axis=axis)


@translates("Pack")
def _pack(t: Translation, node: Node) -> str:
    axis = node.whole("axis")
    items = [t.input(node, place) for place in range(len(node.inputs))]
    at = t.constant([axis], "int64")
    return t.emit("Concat", [t.emit("Unsqueeze", [item, at]) for item in items], [node.name], axis=axis)


@translates("Unpack")
def _unpack(t: Translation, node: Node) -> list[str]:
    axis, count = node.whole("axis"), node.whole("num")
    return [
        t.emit("Gather", [t.input(node, 0), t.constant(place, "int64")], axis=axis)
        for place in range(min(count, 1 << 16))
    ]


@translates("Split", "SplitV")
def _split(t: Translation, node: Node) -> list[str | None]:
    (axis,) = t.ints(node, 0 if node.op == "Split" else 2, "its axis")
    x, count = t.input(node, 1 if node.op == "Split" else 0), node.whole("num_split", 1)
    names = [node.name, *(f"{node.name}:{place}" for place in range(1, count))]
    sizes = [t.constant(t.ints(node, 1, "its sizes"), "int64")] if node.op == "SplitV" else []
    t.emit("Split", [x, *sizes], names, axis=axis)
    return [*names]


@translates("Slice")
def _slice(t: Translation, node: Node) -> str:
    first, sizes = t.ints(node, 1, "its begin"), t.ints(node, 2, "its sizes")
    ends = [END if size == -1 else begin + size for begin, size in zip(first, sizes, strict=True)]
    places = [t.constant(entries, "int64") for entries in (first, ends, range(len(first)))]
    return t.emit("Slice", [t.input(node, 0), *places], [node.name])


@translates("StridedSlice")
def _strided_slice(t: Translation, node: Node) -> str:
    """Translate StridedSlice, which is indexing by slices, ints, ``None`` and an ellipsis.

    Bit masks of the node say which entries of the index are ints, ``None``, the ellipsis, or slices without a bound.
    """
    steps = t.ints(node, 3, "its steps")
    masks = {key: node.whole(f"{key}_mask") for key in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}

    def has(key: str, place: int) -> bool:
        return bool(masks[key] >> place & 1)

    after = next((place for place in range(len(steps)) if has("ellipsis", place)), len(steps))
    indexed = [place for place in range(len(steps)) if not has("new_axis", place) and place != after]
    axes = {place: number for number, place in enumerate(place for place in indexed if place < after)}
    axes |= {place: -1 - number for number, place in enumerate(place for place in reversed(indexed) if place > after)}
    begins, ends = (_Bounds(t, node, number) for number in (1, 2))
    cut, shrunk = [], []
    for place in indexed:
        if has("shrink_axis", place):
            begin = begins.at(place)
            end = _next(t, begin)
            cut.append((begin, end, 1, axes[place]))
            shrunk.append(axes[place])
            continue
        if has("begin", place) and has("end", place) and steps[place] == 1:
            continue
        far = END if steps[place] > 0 else -END
        begin = t.constant([0 if steps[place] > 0 else END], "int64") if has("begin", place) else begins.at(place)
        end = t.constant([far], "int64") if has("end", place) else ends.at(place)
        cut.append((begin, end, steps[place], axes[place]))
    result = t.input(node, 0)
    if cut:
        firsts, lasts, strides, places = zip(*cut, strict=True)
        bounds = [_joined(t, firsts), _joined(t, lasts)]
        result = t.emit("Slice", [result, *bounds, t.constant(places, "int64"), t.constant(strides, "int64")])
    if shrunk:
        result = t.emit("Squeeze", [result, t.constant(shrunk, "int64")])
    new = [place for place in range(len(steps)) if has("new_axis", place)]
    if new:
        kept = [place for place in range(len(steps)) if not has("shrink_axis", place)]
        order = [kept.index(place) if place < after else kept.index(place) - len(kept) for place in new]
        result = t.emit("Unsqueeze", [result, t.constant(order, "int64")])
    return result


class _Bounds:
    """First or last bounds of the slices in an index: an input of a node, with an entry for each entry of the index."""

    def __init__(self, t: Translation, node: Node, number: int) -> None:
        self._t, self._name = t, t.input(node, number)

    def at(self, place: int) -> str:
        """Return the name of the bound at one place of the index, as an int64 vector [1]."""
        known = self._t.arrays.get(self._name)
        if known is not None:
            return self._t.constant(known.reshape(-1)[place : place + 1], "int64")
        return self._t.int64(self._t.emit("Gather", [self._name, self._t.constant([place], "int64")], axis=0))


def _next(t: Translation, begin: str) -> str:
    """Return the name of ``begin`` + 1, the end of a slice of one entry. For a constant -1, the end is ``END``."""
    known = t.arrays.get(begin)
    if known is not None:
        return t.constant([END if int(known[0]) == -1 else int(known[0]) + 1], "int64")
    return t.emit("Add", [begin, t.constant([1], "int64")])


def _joined(t: Translation, names: Sequence[str]) -> str:
    """Concatenate int vectors, and return the name of the result."""
    if all(name in t.arrays for name in names):
        return t.constant(np.concatenate([t.arrays[name] for name in names]), "int64")
    return names[0] if len(names) == 1 else t.emit("Concat", names, axis=0)


@translates("Gather", "GatherV2", "ResourceGather")
def _gather(t: Translation, node: Node) -> str:
    axis = t.ints(node, 2, "its axis")[0] if len(node.inputs) > 2 else 0
    if node.whole("batch_dims"):
        raise UnreadableError("batch_dims other than 0 are not supported")
    return t.emit("Gather", [t.input(node, 0), _indices(t, node)], [node.name], axis=axis)


def _indices(t: Translation, node: Node) -> str:
    """Return the name of a gather's indices. Raises ``UnreadableError`` for constants below 0, which ONNX allows."""
    name = t.input(node, 1)
    known = t.arrays.get(name)
    if known is not None and (known < 0).any():
        raise UnreadableError(f"index {known.min()} is negative; TensorFlow's gather does not count from the end")
    return name


@translates("GatherNd")
def _gather_nd(t: Translation, node: Node) -> str:
    return t.emit("GatherND", [t.input(node, 0), t.int64(_indices(t, node))], [node.name])


@translates("OneHot")
def _one_hot(t: Translation, node: Node) -> str:
    values = [t.known(node, place, "its on or off value") for place in (3, 2)]
    both = t.constant(np.stack([array.reshape(()) for array in values]))
    depth = t.constant([int(t.known(node, 1, "its depth"))], "int64")
    return t.emit("OneHot", [t.input(node, 0), depth, both], [node.name], DOMAIN, axis=node.whole("axis", -1))


@translates("Tile")
def _tile(t: Translation, node: Node) -> str:
    return t.emit("Tile", [t.input(node, 0), t.int64(t.input(node, 1))], [node.name])


@translates("Pad", "PadV2", "MirrorPad")
def _pad(t: Translation, node: Node) -> str:
    pairs = t.constant(t.known(node, 1, "its padding").T.reshape(-1), "int64")
    inputs = [t.input(node, 0), pairs, *([t.input(node, 2)] if node.op == "PadV2" else [])]
    if node.op == "MirrorPad" and node.text("mode") != "REFLECT":
        raise UnreadableError(f"its padding mode {node.text('mode')} is not supported; use CONSTANT or REFLECT")
    return t.emit("Pad", inputs, [node.name], mode="reflect" if node.op == "MirrorPad" else "constant")


@translates("ReverseV2")
def _reverse(t: Translation, node: Node) -> str:
    axes = t.ints(node, 1, "its axes")
    places = [
        t.constant(entries, "int64") for entries in ([-1] * len(axes), [-END] * len(axes), axes, [-1] * len(axes))
    ]
    return t.emit("Slice", [t.input(node, 0), *places], [node.name]) if axes else t.input(node, 0)
