"""pads_outward: move padding along time after the ops that compute each step from that step alone.

Windows directly over padding need not wait for later steps, because the padding is known. An op between the two would
hide the padding. Slices of time and of other axes at once become two slices, because a stream reads time by windows.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from ...ir.axes.by_size import axis_of_names, counts
from ...ir.axes.walk import kept_at
from ...ir.graph import Graph, Node, make, rewrite
from ...ir.node import DIVISION, INSTRUCTION
from ...ir.ops import OPS
from ...ir.types import Dim, TensorType

_EXACT = (INSTRUCTION, DIVISION)
"""Costs of elementwise ops that NumPy and compiled code round in the same way."""
_MOVES = frozenset(("broadcast", "transpose", "reshape"))


def pads_outward(graph: Graph, lengths: Set[str]) -> Graph:
    """Return the graph with padding along time moved after the ops that work step by step.

    Args:
        graph: Graph to rewrite.
        lengths: Names of the sizes that count steps.
    """

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "slice":
            return _slices_apart(node, operands[0], lengths)
        return _before_padding(node, operands, lengths)

    return rewrite(graph, rule)


def _slices_apart(node: Node, source: Node, lengths: Set[str]) -> Node | None:
    """Rewrite a slice of time and of other axes as a slice of the others, then one of time; None for other slices."""
    time, whole = axis_of_names(source.shape, lengths), source.shape
    bounds = [*zip(node["start"], node["stop"], node["step"], strict=True)]
    cut = [axis for axis, dim in enumerate(whole) if bounds[axis] != (0, dim, 1)]
    if time not in cut or len(cut) == 1:
        return None
    others = [(0, whole[time], 1) if axis == time else item for axis, item in enumerate(bounds)]
    inner = _sliced(node, source, others)
    return _sliced(
        node, inner, [item if axis == time else (0, inner.shape[axis], 1) for axis, item in enumerate(bounds)]
    )


def _sliced(node: Node, source: Node, bounds: Sequence[tuple[Dim, Dim, int]]) -> Node:
    """Return a slice of ``source`` by (start, stop, step) of each axis, with the line of ``node``."""
    start, stop, step = map(tuple, zip(*bounds, strict=True))
    return make("slice", source, where=node.where, name=node.name, start=start, stop=stop, step=step)


def _before_padding(node: Node, operands: Sequence[Node], lengths: Set[str]) -> Node | None:
    """Rewrite an op of padded sequences as padding of the op's result; None if that is impossible.

    ``lengths`` are the names of sizes that count steps.
    """
    if node.op not in ("transpose", "reshape") and OPS[node.op].kind != "elementwise":
        return None
    pads = {
        number: inner for number, item in enumerate(operands) if (inner := _padded_sequence(item, lengths)) is not None
    }
    if not pads or not all(number in pads or _is_still(item, lengths) for number, item in enumerate(operands)):
        return None
    first, whole = operands[next(iter(pads))], next(iter(pads.values()))
    if not all(inner == whole and _is_alike(operands[number], first) for number, inner in pads.items()):
        return None
    places = {kept_at(node, number, operands[number]["axis"]) for number in pads}
    axis = places.pop()
    if places or axis is None:
        return None
    parts = []
    for place, item in enumerate(first.operands):
        unpadded = [one.operands[place] if number in pads else one for number, one in enumerate(operands)]
        parts.append(_apply_to_part(node, unpadded, axis, item.shape[first["axis"]]))
        if place != whole and value_of(parts[-1]) is None:
            return None
    return make("concat", *parts, where=first.where, axis=axis)


def _padded_sequence(node: Node, lengths: Set[str]) -> int | None:
    """Return the index of the sequence in a concat along time; None unless all other operands are constant padding.

    ``lengths`` are the names of sizes that count steps.
    """
    if node.op != "concat":
        return None
    timed = [place for place, item in enumerate(node.operands) if counts(item.shape[node["axis"]], lengths)]
    still = [item for place, item in enumerate(node.operands) if place not in timed]
    return timed[0] if len(timed) == 1 and still and all(value_of(item) is not None for item in still) else None


def _is_still(node: Node, lengths: Set[str]) -> bool:
    """True if all elements of a value are equal, and no axis counts steps, by a size in ``lengths``."""
    return value_of(node) is not None and not any(counts(dim, lengths) for dim in node.shape)


def _is_alike(node: Node, other: Node) -> bool:
    """True if the parts of two padded sequences are equally long, and equally many axes follow the time axes."""
    sizes = [[item.shape[one["axis"]] for item in one.operands] for one in (node, other)]
    return sizes[0] == sizes[1] and node.tensor.rank - node["axis"] == other.tensor.rank - other["axis"]


def _apply_to_part(node: Node, operands: Sequence[Node], axis: int, count: Dim) -> Node:
    """Return an op of the first ``count`` entries of its operands along ``axis``."""
    attributes = dict(node.attributes)
    if "shape" in attributes:
        attributes["shape"] = tuple(count if place == axis else dim for place, dim in enumerate(node["shape"]))
    return make(node.op, *operands, where=node.where, **attributes)


def value_of(node: Node) -> np.ndarray | None:
    """Return the number to which all elements of a value are equal; None if they may differ.

    Also return None for a constant of several elements, and if compiled code may round the number differently from
    NumPy.
    """
    values: dict[Node, np.ndarray] = {}
    pending = [node]
    while pending:  # an explicit stack, because chains of ops may exceed Python's recursion limit
        item = pending[-1]
        missing = [] if item in values else [operand for operand in item.operands if operand not in values]
        if missing and not _may_have_one_value(item):
            return None
        if missing:
            pending += missing
            continue
        pending.pop()
        if item not in values:
            value = _value(item, [values[operand] for operand in item.operands])
            if value is None:
                return None
            values[item] = value
    return values[node]


def _may_have_one_value(node: Node) -> bool:
    """True for an op whose elements are equal if those of its operands are."""
    row = OPS[node.op]
    is_elementwise = row.kind == "elementwise" and not row.random and row.evaluate is not None
    return isinstance(node.type, TensorType) and (node.op in _MOVES or is_elementwise)


def _value(node: Node, operands: Sequence[np.ndarray]) -> np.ndarray | None:
    """Return the number that all elements of an op's result equal, given those of its operands; None if unknown."""
    if node.op == "constant":
        return np.asarray(node["value"]).reshape(()) if node["value"].size == 1 else None
    if not operands or not _may_have_one_value(node):
        return None
    if node.op in _MOVES:
        return operands[0]
    row = OPS[node.op]
    if row.cost in _EXACT and node.op != "fma" and row.evaluate is not None:  # some processors round an fma twice
        with np.errstate(all="ignore"):
            return np.asarray(row.evaluate([*operands], dict(node.attributes)), node.dtype).reshape(())
    is_zero = row.keeps_zero and all(value.tobytes() == bytes(value.nbytes) for value in operands)
    return np.zeros((), node.dtype) if is_zero else None
