"""layout: move transposes away from scans, to the inputs and outputs of the graph.

Scans read time-major sequences. The pass makes all values between the placeholders and a scan time-major, and all
values between a scan and the outputs. The transposes then need no copy, because feeds and outputs have strides. Only
transposes that keep the last axis move. With ``between``, values between a scan and its derivative are time-major as
well, so that they run step by step with the derivative.

Law: values are unchanged, bit for bit; with ``between``, up to the order of sums over time.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.axes.walk import kept_at
from ..ir.build import reduced_before_transpose
from ..ir.graph import Graph, Node, make, rewrite, topological
from ..ir.node import inverse_order, is_batched_product, permuted_bounds
from ..ir.ops import OPS
from ..support.records import dataclass
from .simplify import to_fixed_point
from .windows.transpose_pairs import without_pairs

Order = tuple[int, ...]

MAX_DEPTH = 8
"""Maximum depth of nested elementwise ops, such as sums of several steps' adjoints, into which a transpose moves."""


@dataclass(frozen=True)
class Layout:
    """Move transposes away from scans, unless they move the last axis.

    Law: values are unchanged, bit for bit; with ``between``, up to the order of sums over time.
    """

    name: str = "layout"
    between: bool = False

    def __call__(self, graph: Graph) -> Graph:
        def moved(graph: Graph) -> Graph:
            graph = without_pairs(graph)
            return rewrite(graph, _Rule(graph, self.between))

        return to_fixed_point(graph, moved)


class _Rule:
    """Rewrite rule that moves transposes: toward the outputs after a scan, and toward the inputs elsewhere."""

    def __init__(self, graph: Graph, between: bool) -> None:
        self.between = between
        self.late: dict[Node, bool] = {}
        for node in graph.nodes:
            self.late[node] = self._reads_scan(node)

    def _reads_scan(self, node: Node) -> bool:
        """True if a value whose operands are in ``late`` depends on a scan."""
        return node.op == "scan" or any(map(self.late.__getitem__, node.operands))

    def is_late(self, node: Node) -> bool:
        """True if a value depends on a scan."""
        if node not in self.late:
            for item in topological([node], known=self.late):
                self.late[item] = self._reads_scan(item)
        return self.late[node]

    def _one_step_inward(self, node: Node, source: Node) -> Node | None:
        """Move a transpose in front of an op that broadcasts scan results along the moved axes; None for other ops."""
        order = _order_of(node)
        return _move_inward(node, source) if order is not None and self._only_broadcasts(source, order) else None

    def _only_broadcasts(self, node: Node, order: Order, depth: int = 1) -> bool:
        """True for elementwise ops that read scan results only as values of size 1 along the moved axes.

        Ops more than ``MAX_DEPTH`` elementwise ops away are not examined, and the result is then False.
        """
        late = [item for item in node.operands if self.is_late(item)]
        if depth > MAX_DEPTH or OPS[node.op].kind != "elementwise" or node.tensor.rank != len(order):
            return False
        return all(_moves_ones(item, order) or self._only_broadcasts(item, order, depth + 1) for item in late)

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "transpose":
            if self.is_late(operands[0]):
                return self._one_step_inward(node, operands[0]) if self.between else None
            return _move_inward(node, operands[0]) or (_spread_inward(node, operands[0]) if self.between else None)
        late = [item for item in operands if self.is_late(item)]
        if not late:
            return None
        moved = _outward_rule(node, operands, late)
        if moved is not None or not self.between:
            return moved
        if node.op in ("outer_sum", "scatter_add"):
            return _sum_in_order(node, operands, late)
        return _spread_outward(node, operands[0])


def _order_of(node: Node) -> Order | None:
    """Return the permutation of a transpose that keeps the last axis; None for other nodes."""
    if node.op != "transpose":
        return None
    order: Order = node["order"]
    return order if order and order[-1] == len(order) - 1 else None


def _unmoved(order: Order) -> int:
    """Return the number of last axes that a permutation keeps in place."""
    rank = len(order)
    return next((count for count in range(rank) if order[rank - 1 - count] != rank - 1 - count), rank)


def _moves_ones(item: Node, order: Order) -> bool:
    """True if a transpose of ``item`` only moves axes of size 1, so that the memory order is unchanged."""
    if item.tensor.rank != len(order):
        return False
    kept = [axis for axis in order if item.shape[axis] != 1]
    return kept == sorted(kept)


def _permutes_kept_axes(node: Node, number: int, order: Order) -> bool:
    """True if an op keeps, in place, all axes of its operand ``number`` that the permutation moves."""
    return all(kept_at(node, number, axis) == axis for axis, source in enumerate(order) if source != axis)


def _transpose_after(op: Node, order: Order, operands: Sequence[Node], **changes: object) -> Node:
    """Rebuild an op with other operands and attributes, and transpose its result."""
    inner = make(op.op, *operands, where=op.where, name=op.name, **{**dict(op.attributes), **changes})
    return make("transpose", inner, where=op.where, order=order)


def _move_inward(node: Node, source: Node) -> Node | None:
    """Move a transpose from an op's result to its operands; None if the op does not allow that."""
    order = _order_of(node)
    if order is None:
        return None
    rank = source.tensor.rank

    def moved(item: Node) -> Node | None:
        if item.tensor.rank == rank and _moves_ones(item, order):
            return make("reshape", item, where=node.where, shape=tuple(item.shape[axis] for axis in order))
        if item.tensor.rank == rank:
            return make("transpose", item, where=node.where, order=order)
        return item if item.tensor.rank <= _unmoved(order) else None

    if source.op == "gather":
        return _transposed_lookup(node, source, order)
    if source.op == "reshape":
        return _transposed_before_ones(node, source, order)
    sums_rows = OPS[source.op].kind == "reduction" and source["keepdims"] and source["axes"] == (rank - 1,)
    if OPS[source.op].kind == "elementwise" or sums_rows:
        parts = [moved(item) for item in source.operands]
    elif source.op == "matmul":
        left, kernel, *start = source.operands
        if kernel.tensor.rank > 2 and not _permutes_kept_axes(source, 1, order):
            return None
        parts = [moved(left), moved(kernel) if kernel.tensor.rank > 2 else kernel, *map(moved, start)]
    else:
        return None
    kept = [item for item in parts if item is not None]
    if len(kept) != len(parts) or not any(item.tensor.rank == rank for item in kept):
        return None
    return make(source.op, *kept, where=source.where, name=source.name, **dict(source.attributes))


def _transposed_before_ones(node: Node, source: Node, order: Order) -> Node | None:
    """Rewrite the transpose of a reshape that adds last axes of 1 as a reshape of a transpose; else return None."""
    inner = source.operands[0]
    rank = inner.tensor.rank
    if source.shape[:rank] != inner.shape or order[rank - 1 :] != tuple(range(rank - 1, len(order))):
        return None
    transposed = make("transpose", inner, where=node.where, order=order[:rank])
    return make("reshape", transposed, where=source.where, name=source.name, shape=node.shape)


def _without_last_ones(node: Node, transposed: Node, order: Order) -> Node | None:
    """Rewrite a reshape that drops last axes of 1 of a transpose as the transpose of a reshape; else return None."""
    rank = node.tensor.rank
    ones = transposed.shape[rank:]
    if rank < 2 or node.shape != transposed.shape[:rank] or set(ones) != {1} or order[rank - 1] != rank - 1:
        return None
    inner = transposed.operands[0]
    reshaped = make("reshape", inner, where=node.where, name=node.name, shape=inner.shape[:rank])
    return make("transpose", reshaped, where=transposed.where, order=order[:rank])


def _transposed_lookup(node: Node, source: Node, order: Order) -> Node | None:
    """Rewrite the transpose of a ``gather`` as a ``gather`` with transposed indices; None if that is impossible."""
    table, indices = source.operands
    rank = indices.tensor.rank
    if order[rank:] != tuple(range(rank, len(order))):
        return None
    picks = make("transpose", indices, where=node.where, order=order[:rank])
    return make("gather", table, picks, where=source.where, name=source.name)


def _outward_rule(node: Node, operands: tuple[Node, ...], late: Sequence[Node]) -> Node | None:
    """Move a transpose from the operands of ``node`` to its result; None if that is impossible.

    The ``late`` operands, which depend on a scan, must have equal transposes. Otherwise the pass would move them back.
    """
    kind = OPS[node.op].kind
    if kind == "structured":
        return None
    rank = node.tensor.rank if kind == "elementwise" else operands[0].tensor.rank
    orders = {_order_of(item) for item in late if item.tensor.rank == rank}
    order = next(iter(orders)) if len(orders) == 1 else None
    if order is None:
        return None
    if kind == "elementwise" or node.op == "concat":
        return _pointwise(node, operands, order)
    if node.op == "matmul" and (_order_of(operands[0]) is not None or is_batched_product(node)):
        return _product(node, operands, order)
    if _order_of(operands[0]) is None:
        return None
    order, inner = operands[0]["order"], operands[0].operands[0]
    if kind == "reduction":
        return reduced_before_transpose(node, inner, order)
    if node.op == "reshape":
        return _without_last_ones(node, operands[0], order)
    if node.op == "slice":
        return _transpose_after(node, order, [inner], **permuted_bounds(node, inverse_order(order)))
    if node.op == "reverse":
        return _transpose_after(node, order, [inner], axis=order[node["axis"]])
    return None


def _pointwise(node: Node, operands: tuple[Node, ...], order: Order) -> Node | None:
    """Move a transpose from the operands of an elementwise op, or of a concat, to the result.

    Return None if ``order`` does not fit the rank of the result or of an operand.
    """
    rank = node.tensor.rank
    if len(order) != rank:
        return None
    inner = []
    for item in operands:
        if item.tensor.rank == rank:
            inner.append(make("transpose", item, where=item.where, order=inverse_order(order)))
        elif item.tensor.rank <= 1 and node.op != "concat":
            inner.append(item)  # varies at most along the last axis, which does not move
        else:
            return None
    changes = {"axis": order[node["axis"]]} if node.op == "concat" else {}
    return _transpose_after(node, order, inner, **changes)


def _product(node: Node, operands: tuple[Node, ...], order: Order) -> Node | None:
    """Move a transpose from the operands of a product to its result; None if an operand cannot be transposed back."""
    left, kernel, *start = operands
    order = _order_of(left) or order
    if kernel.tensor.rank > 2:
        if not (_permutes_kept_axes(node, 0, order) and _permutes_kept_axes(node, 1, order)):
            return None
        kernel = make("transpose", kernel, where=kernel.where, order=inverse_order(order))
    is_moved = _order_of(left) is not None
    left = left.operands[0] if is_moved else make("transpose", left, where=left.where, order=inverse_order(order))
    moved = []
    for item in start:
        if item.tensor.rank == node.tensor.rank:
            moved.append(make("transpose", item, where=item.where, order=inverse_order(order)))
        elif item.tensor.rank <= 1:
            moved.append(item)
        else:
            return None
    return _transpose_after(node, order, [left, kernel, *moved])


# Between a scan and its derivative ---------------------------------------------------------------


def _sum_in_order(node: Node, operands: Sequence[Node], late: Sequence[Node]) -> Node | None:
    """Transpose the operands of a sum over leading axes, so that scan results are added in memory order.

    Return None unless the ``late`` operands, which depend on a scan, have one order.
    """
    orders = {_order_of(item) for item in late if item.tensor.rank == operands[-1].tensor.rank}
    order = next(iter(orders)) if len(orders) == 1 else None
    if order is None:
        return None
    moved = [
        make("transpose", item, where=item.where, order=inverse_order(order[: item.tensor.rank]))
        for item in operands
        if item.tensor.rank in (len(order), len(order) - 1)
    ]
    return make(node.op, *moved, where=node.where, name=node.name, **dict(node.attributes)) if len(moved) == 2 else None


def _spread_outward(node: Node, operand: Node) -> Node | None:
    """Move a transpose after a broadcast of equal rank, or a reshape that appends axes of 1; None for other ops."""
    if operand.op != "transpose" or node.op not in ("broadcast", "reshape"):
        return None
    order, inner = operand["order"], operand.operands[0]
    rank = len(order)
    if node.op == "broadcast" and node.tensor.rank == rank:
        return _transpose_after(node, order, [inner], shape=tuple(node.shape[axis] for axis in inverse_order(order)))
    extra = node.tensor.rank - rank
    if node.op == "reshape" and extra > 0 and node.shape == (*operand.shape, *(1,) * extra):
        ones = (1,) * extra
        return _transpose_after(node, (*order, *range(rank, rank + extra)), [inner], shape=(*inner.shape, *ones))
    return None


def _spread_inward(node: Node, source: Node) -> Node | None:
    """Move a transpose in front of an op that keeps its operand's axes as its first axes; None for other ops.

    Such ops are broadcasts of scalars or of equal rank, reshapes that append axes of 1, and reductions of last axes.
    """
    order: Order = node["order"]
    if source.op not in ("broadcast", "reshape") and OPS[source.op].kind != "reduction":
        return None
    operand = source.operands[0]
    rank, own = source.tensor.rank, operand.tensor.rank
    shape = tuple(source.shape[axis] for axis in order)
    if source.op == "broadcast" and own in (0, rank):
        inner = make("transpose", operand, where=node.where, order=order) if own else operand
        return make("broadcast", inner, where=source.where, name=source.name, shape=shape)
    kept, ones = order[:own], (1,) * (rank - own)
    if source.op == "reshape" and source.shape == (*operand.shape, *ones) and sorted(kept) == [*range(own)]:
        inner = make("transpose", operand, where=node.where, order=kept)
        return make("reshape", inner, where=source.where, name=source.name, shape=shape)
    if OPS[source.op].kind == "reduction" and [kept_at(source, 0, axis) for axis in range(rank)] == [*range(rank)]:
        inner = make("transpose", operand, where=node.where, order=(*order, *range(rank, own)))
        return make(source.op, inner, where=source.where, name=source.name, **dict(source.attributes))
    return None
