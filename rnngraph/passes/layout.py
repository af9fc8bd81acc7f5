"""layout: transposes that leave the last axis in place move away from the scans.

A driver's sequences are time-major inside. What comes before a driver runs time-major too, down to the
placeholders, and so does what follows it, up to the outputs; the transposition is left to the strides by
which a feed is read or an output is stored.
Law: values unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.graph import Graph, Node, make, rewrite, topological
from ..ir.ops import OPS
from .simplify import Simplify

Order = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Law: values unchanged, bit for bit."""

    name: str = "layout"

    def __call__(self, graph: Graph) -> Graph:
        previous, simplify = None, Simplify()
        while graph is not previous:
            previous = graph
            graph = simplify(rewrite(graph, _Rule(graph)))
        return graph


class _Rule:
    """Outward where a value comes from a scan, inward where it does not."""

    def __init__(self, graph: Graph) -> None:
        self.late: dict[Node, bool] = {}
        for node in graph.nodes:
            self.is_late(node)

    def is_late(self, node: Node) -> bool:
        """Whether a value, of the graph or made meanwhile, comes from a scan."""
        if node not in self.late:
            for item in topological([node], known=self.late):
                self.late[item] = item.op == "scan" or any(map(self.late.__getitem__, item.operands))
        return self.late[node]

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "transpose":
            return None if self.is_late(operands[0]) else _inward(node, operands[0])
        late = [item for item in operands if self.is_late(item)]
        return _outward_rule(node, operands, late) if late else None


def _moved(node: Node) -> Order | None:
    """The order of a transpose that keeps the last axis last."""
    if node.op != "transpose":
        return None
    order: Order = node["order"]
    return order if order and order[-1] == len(order) - 1 else None


def _keeps_rows(order: Order) -> bool:
    """Whether matrices stay matrices."""
    return order[-2] == len(order) - 2


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))


def _outward(op: Node, order: Order, operands: Sequence[Node], **changes: object) -> Node:
    inner = make(op.op, *operands, where=op.where, name=op.name, **{**dict(op.attributes), **changes})
    return make("transpose", inner, where=op.where, order=order)


def _inward(node: Node, source: Node) -> Node | None:
    """The transpose of an op as the op of transposes."""
    order = _moved(node)
    if order is None:
        return None
    rank = source.tensor.rank

    def moved(item: Node) -> Node | None:
        if item.tensor.rank == rank:
            return make("transpose", item, where=node.where, order=order)
        return item if item.tensor.rank <= 1 else None

    if source.op == "gather":
        return _picked(node, source, order)
    if OPS[source.op].kind == "elementwise":
        parts = [moved(item) for item in source.operands]
    elif source.op == "matmul":
        left, kernel, *start = source.operands
        if kernel.tensor.rank > 2 and not _keeps_rows(order):
            return None
        parts = [moved(left), moved(kernel) if kernel.tensor.rank > 2 else kernel, *map(moved, start)]
    else:
        return None
    kept = [item for item in parts if item is not None]
    if len(kept) != len(parts) or not any(item.tensor.rank == rank for item in kept):
        return None
    return make(source.op, *kept, where=source.where, name=source.name, **dict(source.attributes))


def _picked(node: Node, source: Node, order: Order) -> Node | None:
    """Rows of a table in another order are those of the indices in that order."""
    table, indices = source.operands
    rank = indices.tensor.rank
    if order[rank:] != tuple(range(rank, len(order))):
        return None
    picks = make("transpose", indices, where=node.where, order=order[:rank])
    return make("gather", table, picks, where=source.where, name=source.name)


def _outward_rule(node: Node, operands: tuple[Node, ...], late: Sequence[Node]) -> Node | None:
    """A transpose moves past ``node`` where all that comes late is transposed alike: so none moves back."""
    kind = OPS[node.op].kind
    if kind == "structured":
        return None
    rank = node.tensor.rank if kind == "elementwise" else operands[0].tensor.rank
    orders = {_moved(item) for item in late if item.tensor.rank == rank}
    order = next(iter(orders)) if len(orders) == 1 else None
    if order is None:
        return None
    if kind == "elementwise" or node.op == "concat":
        return _pointwise(node, operands, order)
    if node.op == "matmul" and _moved(operands[0]) is not None:
        return _product(node, operands)
    if _moved(operands[0]) is None:
        return None
    order, inner = operands[0]["order"], operands[0].operands[0]
    if kind == "reduction":
        return _reduced(node, inner, order)
    if node.op == "slice":
        moved = {key: tuple(node[key][axis] for axis in _inverse(order)) for key in ("start", "stop", "step")}
        return _outward(node, order, [inner], **moved)
    if node.op == "reverse":
        return _outward(node, order, [inner], axis=order[node["axis"]])
    return None


def _pointwise(node: Node, operands: tuple[Node, ...], order: Order) -> Node | None:
    rank = node.tensor.rank
    if len(order) != rank:
        return None
    inner = []
    for item in operands:
        if item.tensor.rank == rank:
            inner.append(make("transpose", item, where=item.where, order=_inverse(order)))
        elif item.tensor.rank <= 1 and node.op != "concat":
            inner.append(item)  # it aligns with the last axis, which stays
        else:
            return None
    changes = {"axis": order[node["axis"]]} if node.op == "concat" else {}
    return _outward(node, order, inner, **changes)


def _product(node: Node, operands: tuple[Node, ...]) -> Node | None:
    left, kernel, *start = operands
    order = left["order"]
    if kernel.tensor.rank > 2:
        if not _keeps_rows(order):
            return None
        kernel = make("transpose", kernel, where=kernel.where, order=_inverse(order))
    moved = []
    for item in start:
        if item.tensor.rank == node.tensor.rank:
            moved.append(make("transpose", item, where=item.where, order=_inverse(order)))
        elif item.tensor.rank <= 1:
            moved.append(item)
        else:
            return None
    return _outward(node, order, [left.operands[0], kernel, *moved])


def _reduced(node: Node, inner: Node, order: Order) -> Node:
    axes = tuple(sorted(order[axis] for axis in node["axes"]))
    reduced = make(node.op, inner, where=node.where, name=node.name, **{**dict(node.attributes), "axes": axes})
    if node["keepdims"]:
        return make("transpose", reduced, where=node.where, order=order)
    kept = [axis for axis in order if axis not in axes]
    ranked = sorted(kept)
    return make("transpose", reduced, where=node.where, order=tuple(ranked.index(axis) for axis in kept))
