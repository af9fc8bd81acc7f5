"""simplify: fold constants, merge equal nodes, remove dead ones. Random ops at different sites are never merged.

Law: values are unchanged, bit for bit. No rule may change a NaN, an infinity or a signed zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..ir.build import merged_transposes
from ..ir.graph import Graph, Node, make, map_bodies, remake, rewrite
from ..ir.node import (
    Attributes,
    inverse_order,
    is_scalar_broadcast,
    merged_axes,
    moves_only_ones,
    permuted_bounds,
)
from ..ir.ops import OPS
from ..ir.scan import ScanParts
from ..ir.types import HALF, NARROW
from ..support.records import dataclass

MAX_FOLDED_ELEMENTS = 4096
"""Maximum elements of a folded constant's operands. Larger constants would make saved programs large."""


@dataclass(frozen=True)
class Simplify:
    """Fold constants, merge equal nodes and remove dead ones.

    Law: values are unchanged, bit for bit.
    """

    name: str = "simplify"

    def __call__(self, graph: Graph) -> Graph:
        return to_fixed_point(graph)


def to_fixed_point(graph: Graph, change: Callable[[Graph], Graph] | None = None, *, between: bool = False) -> Graph:
    """Alternate ``change`` and simplification, to a fixed point.

    A scan's body to which no rule applies is not visited again until ``change`` replaces it.

    Args:
        graph: Graph to change.
        change: Change that alternates with simplification; None to simplify alone.
        between: Simplify to a fixed point after each change, instead of by one round of all rules.
    """
    settled: set[Graph] = set()
    start, previous = graph, None
    simplified = graph if graph.simplified else None
    while graph is not previous:
        previous = graph
        graph = graph if change is None else change(graph)
        before = None
        while graph is not simplified and graph is not before:
            before, graph = graph, _simplified_once(graph, settled)
            if graph is before:
                simplified = graph
            if not between:
                break
    return graph if graph is start or graph.simplified else replace(graph, simplified=True)


def _simplified_once(graph: Graph, settled: set[Graph]) -> Graph:
    """Return the graph after one round of all rules. ``settled`` has bodies to which no rule applies."""

    def once(body: Graph) -> Graph:
        if body in settled:
            return body
        simplified = join_equal(rewrite(body, _rule))
        if simplified is body:
            settled.add(body)
        return simplified

    return drop_dead(join_equal(rewrite(map_bodies(graph, once), _rule)))


def is_number(node: Node, value: float) -> bool:
    """True for a constant scalar that equals ``value``."""
    return node.op == "constant" and node.tensor.rank == 0 and bool(node["value"] == value)


def _fold(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the constant that an op computes, or its broadcast; None if an operand varies, or if it stays an op."""
    for item in operands:
        if item.op not in ("constant", "broadcast"):
            return None
    if all(item.op == "constant" for item in operands) and (folded := _fold_constants(node, operands)) is not None:
        return folded
    return _fold_broadcasts(node, operands)


def _fold_constants(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the constant that an op computes from constants; None if the op is not folded.

    Elementwise ops and reductions are folded, unless they are random, their result is narrow, or an operand has more
    than ``MAX_FOLDED_ELEMENTS`` elements.
    """
    row = OPS[node.op]
    foldable = row.kind in ("elementwise", "reduction") and not row.random
    if not foldable or node.dtype in (*NARROW, HALF):
        return None
    if max(item["value"].size for item in operands) > MAX_FOLDED_ELEMENTS or row.evaluate is None:
        return None
    value = np.asarray(row.evaluate([item["value"] for item in operands], dict(node.attributes)))
    return make("constant", value=value.astype(node.dtype), where=node.where, name=node.name)


def _fold_broadcasts(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Rewrite an elementwise op on scalars that are broadcast as the broadcast of one scalar; None for other ops."""
    if OPS[node.op].kind != "elementwise" or not node.tensor.rank:
        return None
    numbers = [item.operands[0] if item.op == "broadcast" else item for item in operands]
    if any(item.op != "constant" or item.tensor.rank for item in numbers):
        return None
    number = _fold_constants(remake(node, tuple(numbers)), tuple(numbers))
    return number and _broadcast_number(node, number)


def _broadcast_number(node: Node, number: Node) -> Node:
    return make("broadcast", number, where=node.where, name=node.name, shape=node.shape)


def _rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the simpler form of an op, which must have the same type; None if no rule applies."""
    folded = _fold(node, operands) if operands else None
    if folded is not None:
        return folded
    rule = _RULES.get(node.op)
    result = rule(node, operands) if rule else None
    return result if result is not None and result.type == node.type else None


def _mul(node: Node, operands: tuple[Node, ...]) -> Node | None:
    a, b = operands
    if is_number(a, 1) or is_number(b, 1):
        return a if is_number(b, 1) else b
    zero = next((item for item in operands if is_number(item, 0)), None)
    is_zero = zero is not None and np.issubdtype(zero["value"].dtype, np.integer)  # floats have NaN and signed zeros
    return _broadcast_number(node, zero) if is_zero and zero is not None and node.tensor.rank else None


def _div(node: Node, operands: tuple[Node, ...]) -> Node | None:
    return operands[0] if is_number(operands[1], 1) else None


def _sub(node: Node, operands: tuple[Node, ...]) -> Node | None:
    return operands[0] if is_number(operands[1], 0) and not np.signbit(operands[1]["value"]) else None


def _select(node: Node, operands: tuple[Node, ...]) -> Node | None:
    condition, a, b = operands
    if a is b:
        return a
    if is_scalar_broadcast(condition):
        condition = condition.operands[0]
    if condition.op == "constant" and condition.tensor.rank == 0:
        return a if condition["value"] else b
    return None


def _less(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Replace ``iota < bound`` by True or False if the comparison has one result at all positions; else return None."""
    position, bound = operands
    if position.op != "iota" or bound.op != "constant" or bound.tensor.rank:
        return None
    size, limit = _constant_size(position), bound["value"]
    if size is None or 0 < limit < size:
        return None
    return _broadcast_number(node, make("constant", value=np.asarray(limit > 0)))


def _dimension(node: Node, operands: tuple[Node, ...]) -> Node | None:
    size = _constant_size(node)
    return None if size is None else make("constant", value=np.asarray(size, node.dtype), where=node.where)


def _constant_size(node: Node) -> int | None:
    """Return the size of an ``iota`` or ``dimension``; None if it is symbolic, or continues from chunk to chunk."""
    size = node["size"]
    return size if isinstance(size, int) and not node.get("runs") else None


def _scan(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Move inputs of the body whose elements all equal one constant into the body; None if there are none."""
    parts = ScanParts.of(node, operands)
    constants = {
        inside: _broadcast_number(inside, outside.operands[0])
        for inside, outside in (*parts.sequences, *parts.invariants)
        if is_scalar_broadcast(outside) and outside.operands[0].op == "constant" and inside.tensor.rank
    }
    if not constants:
        return None
    body = rewrite(node["body"], lambda item, _: constants.get(item))
    parts, moved = ScanParts.of(node, operands, body), {*constants.values()}
    sequences, invariants = (
        [binding for binding in bindings if binding.inside not in moved]
        for bindings in (parts.sequences, parts.invariants)
    )
    return replace(parts, sequences=sequences, invariants=invariants).build(node.where, node.name)


def _operand(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the operand of an op that does not change the type; else None."""
    return operands[0]  # ``_rule`` discards it if the types differ


def _broadcast(node: Node, operands: tuple[Node, ...]) -> Node | None:
    inner = operands[0]
    return _broadcast_number(node, inner.operands[0]) if is_scalar_broadcast(inner) else inner


def _reshape(node: Node, operands: tuple[Node, ...]) -> Node | None:
    inner = operands[0]
    if is_scalar_broadcast(inner):
        return _broadcast_number(node, inner.operands[0])
    if inner.op == "reshape" or (inner.op == "transpose" and moves_only_ones(inner)):
        return make("reshape", inner.operands[0], where=node.where, name=node.name, shape=node["shape"])
    if inner.op == "transpose" and inner.operands[0].op == "reshape":
        return _reshape_of_transpose(node, inner)
    return inner


def _reshape_of_transpose(node: Node, transposed: Node) -> Node | None:
    """Transpose the axes that a reshape before ``transposed`` merges, and reshape once; None if it merges no axes."""
    merged = transposed.operands[0]
    source = merged.operands[0]
    groups = merged_axes(source.shape, merged.shape)
    if groups is None:
        return None
    order = tuple(axis for place in transposed["order"] for axis in groups[place])
    inner = make("transpose", source, where=transposed.where, name=transposed.name, order=order)
    return make("reshape", inner, where=node.where, name=node.name, shape=node["shape"])


def _slice(node: Node, operands: tuple[Node, ...]) -> Node | None:
    inner = operands[0]
    if node.tensor == inner.tensor and all(step == 1 for step in node["step"]):
        return inner
    if is_scalar_broadcast(inner):
        return _broadcast_number(node, inner.operands[0])
    if inner.op == "slice" and all(step == 1 for step in (*node["step"], *inner["step"])):
        offsets = inner["start"]
        return make(
            "slice",
            inner.operands[0],
            where=node.where,
            name=node.name,
            start=tuple(a + b for a, b in zip(offsets, node["start"], strict=True)),
            stop=tuple(a + b for a, b in zip(offsets, node["stop"], strict=True)),
            step=node["step"],
        )
    if inner.op == "transpose" and inner.operands[0].op == "concat":
        return _slice_of_transpose(node, inner)
    return _slice_of_concat(node, inner) if inner.op == "concat" else None


def _slice_of_transpose(node: Node, transposed: Node) -> Node | None:
    """Rewrite a slice within one piece of a transposed concat as the transpose of that piece's slice; else None."""
    order, joined = transposed["order"], transposed.operands[0]
    bounds = permuted_bounds(node, inverse_order(order))
    piece = _slice_of_concat(make("slice", joined, where=node.where, name=node.name, **bounds), joined)
    return piece and make("transpose", piece, where=transposed.where, name=transposed.name, order=order)


def _slice_of_concat(node: Node, inner: Node) -> Node | None:
    """Rewrite a slice within one piece of a concat as a slice of that piece; else None."""
    axis = inner["axis"]
    first, last = node["start"][axis], node["stop"][axis]
    offset = 0
    for piece in inner.operands:
        width = piece.shape[axis]
        if not all(isinstance(value, int) for value in (first, last, width)):
            return None
        if offset <= first and last <= offset + width:
            start, stop = list(node["start"]), list(node["stop"])
            start[axis], stop[axis] = first - offset, last - offset
            bounds = {"start": tuple(start), "stop": tuple(stop), "step": node["step"]}
            return make("slice", piece, where=node.where, name=node.name, **bounds)
        offset += width
    return None


def _concat(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Remove pieces without elements from a concat; None if there are none."""
    axis = node["axis"]
    full = [piece for piece in operands if piece.shape[axis] != 0] or operands[:1]
    if len(full) == 1:
        return full[0]
    return make("concat", *full, where=node.where, name=node.name, axis=axis) if len(full) < len(operands) else None


def _get(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Replace a carry that no step changes by its initial value; None for other results."""
    scan, index = operands[0], node["index"]
    if scan.op == "scan" and index < scan["carries"]:
        body = scan["body"]
        if body.outputs[index][1] is body.inputs[index]:
            return scan.operands[index]
    return None


_RULES: dict[str, Callable[[Node, tuple[Node, ...]], Node | None]] = {
    "mul": _mul,
    "div": _div,
    "sub": _sub,
    "select": _select,
    "less": _less,
    "dimension": _dimension,
    "scan": _scan,
    "cast": _operand,
    "broadcast": _broadcast,
    "ensure_shape": lambda node, operands: None if node.get("limits") else _operand(node, operands),
    "reshape": _reshape,
    "transpose": lambda node, operands: merged_transposes(node, operands[0]),
    "slice": _slice,
    "concat": _concat,
    "get": _get,
}


def _key(attributes: Attributes) -> Any:
    """Return a hashable key of attributes, in which arrays are equal if their bits are."""
    return tuple(
        [
            (key, value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else (key, value)
            for key, value in attributes
        ]
    )


def join_equal(graph: Graph) -> Graph:
    """Merge common subexpressions. The key of a random op includes its site, so that sites stay separate."""
    known: dict[Any, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op in ("input", "parameter", "scan"):
            return None
        key: tuple[Any, ...] = node.op, operands, _key(node.attributes) if node.op == "constant" else node.attributes
        first = known.get(key)
        if first is not None and first.type is not node.type and first.type != node.type:
            key = *key, node.type  # part of the key only if types differ, because hashing a type takes long
            first = known.get(key)
        if first is None:
            first = known[key] = node if operands is node.operands else remake(node, operands)
        return first

    return rewrite(graph, rule)


def drop_limits(graph: Graph) -> Graph:
    """Remove the limits of sizes from every ``ensure_shape``, in loops too. Checks that sizes are equal stay."""

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "ensure_shape" or node.get("limits") is None:
            return None
        source = operands[0]
        return source if source.shape == node.shape else make("ensure_shape", source, shape=node.shape)

    return rewrite(map_bodies(graph, lambda body: rewrite(body, rule)), rule)


def drop_dead(graph: Graph) -> Graph:
    """Remove results, carries, sequences and invariants of scans that nothing reads, to a fixed point."""
    if graph.live and all(node.op != "scan" for node in graph.nodes):
        return graph
    slimmed = _drop_once(graph)
    while slimmed is not graph:  # removing a scan's input may leave the result of another scan without a reader
        graph, slimmed = slimmed, _drop_once(slimmed)
    return graph


def _drop_once(graph: Graph) -> Graph:
    """Remove from every scan the results, carries and inputs that nothing reads, in one pass over the graph."""
    needed: dict[Node, set[int]] = {}
    for node in graph.nodes:
        if node.op == "get" and node.operands[0].op == "scan":
            needed.setdefault(node.operands[0], set()).add(node["index"])
    slim: dict[Node, tuple[Node, dict[int, int]]] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "scan":
            replacement, positions = _slim_scan(node, operands, needed.get(node, set()))
            slim[node] = (replacement, positions)
            return replacement
        if node.op == "get" and node.operands[0] in slim:
            scan, positions = slim[node.operands[0]]
            if scan is node.operands[0]:
                return None
            return make("get", scan, where=node.where, name=node.name, index=positions[node["index"]])
        return None

    return rewrite(graph, rule)


_UNCHANGED: WeakKeyDictionary[Graph, set[tuple[int, int | None, frozenset[int]]]] = WeakKeyDictionary()
"""Bodies of scans that have nothing to drop: for each the number of carries, the condition, and the results read."""


def _slim_scan(node: Node, operands: tuple[Node, ...], needed: set[int]) -> tuple[Node, dict[int, int]]:
    """Return a scan without results, carries and inputs that nothing reads, and the new index of each old result."""
    body = drop_dead(node["body"])
    unchanged, key = _UNCHANGED.setdefault(body, set()), (node["carries"], node.get("when"), frozenset(needed))
    if body is node["body"] and key in unchanged:
        return remake(node, operands), {index: index for index in needed}
    scan = ScanParts.of(node, operands, body)
    live: set[Node] = set()
    first_kept = len(body.outputs)
    # carries whose values before each block of steps are read
    blocks = {index - first_kept for index in needed if index >= first_kept}
    kept = {index for index in needed if index < first_kept} | blocks
    condition = scan.when if kept else None
    work = [body.outputs[index][1] for index in sorted(kept)] + ([] if condition is None else [condition])
    position = {carry.inside: index for index, carry in enumerate(scan.carries)}
    while work:  # the results' dependencies in this step, and through carries in earlier ones
        current = work.pop()
        if current in live:
            continue
        live.add(current)
        work.extend(current.operands)
        index = position.get(current)
        if index is not None:
            kept.add(index)
            work.append(body.outputs[index][1])
    positions = {old: new for new, old in enumerate(sorted(kept))}
    positions |= {first_kept + carry: len(kept) + positions[carry] for carry in blocks}
    first = len(scan.carries)
    slim = replace(
        scan,
        carries=[carry for index, carry in enumerate(scan.carries) if index in kept],
        sequences=[binding for binding in scan.sequences if binding.inside in live],
        invariants=[binding for binding in scan.invariants if binding.inside in live],
        emits=[emit for index, emit in enumerate(scan.emits, first) if index in kept],
        when=condition,
    )
    if len(kept) == len(body.outputs) and len(slim.operands) == len(operands) and body is node["body"]:
        unchanged.add(key)
        return remake(node, operands), positions
    return slim.build(node.where, node.name), positions
