"""Whether each row of what a graph gives comes of that row alone of what it is fed.

A row is a place on the axis whose size is one of given names. What is not known to keep rows apart is taken to mix
them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes import counts
from ...ir.graph import Graph, Node
from ...ir.ops import OPS
from ...ir.scan import ScanParts
from ...ir.types import Dim, Size, product


def rows_are_independent(graph: Graph, names: Set[str]) -> bool:
    """Whether every value has rows on one axis at most, and each row of it is computed of the same row alone.

    names: of the sizes that count rows.
    """
    return all(_keeps_apart(node, names) for node in graph.nodes)


def row_axis(shape: Sequence[Dim], names: Set[str]) -> int | None:
    """The only axis that counts rows, and nothing else; None where there is none."""
    axis = _row_axis(shape, names)
    return None if axis is None or axis < 0 else axis


def _keeps_apart(node: Node, names: Set[str]) -> bool:
    if node.op == "scan":
        return _scan_keeps_apart(node, names)
    axis = _row_axis(node.shape, names)
    if axis is None or node.op == "get":
        return axis is not None
    before = [_row_axis(item.shape, names) for item in node.operands]
    places = [-1 if place is None else place for place in before]  # operands were looked at, and have one at most
    varying = [number for number, place in enumerate(places) if place >= 0]
    if not varying:
        return not _is_number_of(node, names) if axis < 0 else node.op in ("input", "broadcast")
    return axis >= 0 and _keeps_axis(node, axis, places, varying)


def _row_axis(shape: Sequence[Dim], names: Set[str]) -> int | None:
    """The axis of rows, -1 where there is none, and None where there are several, or other sizes made of theirs."""
    found = [axis for axis, dim in enumerate(shape) if counts(dim, names)]
    if len(found) > 1 or any(not isinstance(dim := shape[axis], Size) or dim.symbol not in names for axis in found):
        return None
    return found[0] if found else -1


def _is_number_of(node: Node, names: Set[str]) -> bool:
    return node.op in ("dimension", "iota") and counts(node["size"], names)


def _keeps_axis(node: Node, axis: int, before: Sequence[int], varying: Sequence[int]) -> bool:
    """Whether rows stay apart on their way to ``axis``. before: the operands' axes, of the ``varying`` ones."""
    first = node.operands[0]
    rank, place = node.tensor.rank, before[0]

    def aligned(number: int) -> bool:
        return before[number] + rank - node.operands[number].tensor.rank == axis

    if OPS[node.op].kind == "elementwise":
        return not OPS[node.op].random and all(map(aligned, varying))
    match node.op:
        case "matmul":
            left_stays = 0 not in varying or (place == axis and place < rank - 1)
            right_stays = 1 not in varying or (before[1] == axis < rank - 2 and node.operands[1].tensor.rank == rank)
            return left_stays and right_stays and (2 not in varying or aligned(2))
        case "reduce_sum" | "reduce_max" | "reduce_min":
            gone = 0 if node["keepdims"] else sum(item < place for item in node["axes"])
            return place not in node["axes"] and place - gone == axis
        case "slice":
            whole = (node["start"][place], node["stop"][place], node["step"][place]) == (0, first.shape[place], 1)
            return whole and place == axis
        case "windows":
            return bool(node["axis"] != place) and place + (node["axis"] < place) == axis
        case "reverse":
            return bool(node["axis"] != place)
        case "transpose":
            return bool(node["order"][axis] == place)
        case "reshape":
            return product(first.shape[:place]) == product(node.shape[:axis])
        case "broadcast":
            return aligned(0)
        case "concat":
            return bool(node["axis"] != axis) and all(before[number] == axis for number in varying)
        case "ensure_shape":
            return place == axis
        case "gather":
            return list(varying) == [1] and before[1] == axis
    return False


def _scan_keeps_apart(scan: Node, names: Set[str]) -> bool:
    parts, body = ScanParts.of(scan), scan["body"]
    if counts(scan["length"], names) or (parts.when is not None and parts.when.tensor.rank):
        return False
    pairs = [(carry.inside, carry.initial, 0) for carry in parts.carries]
    pairs += [(inside, outside, 1) for inside, outside in parts.sequences]
    pairs += [(inside, outside, 0) for inside, outside in parts.invariants]
    for inside, outside, steps in pairs:
        within, around = _row_axis(inside.shape, names), _row_axis(outside.shape, names)
        if within is None or around is None or within != (around if around < 0 else around - steps):
            return False
    return rows_are_independent(body, names)
