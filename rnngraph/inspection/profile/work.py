"""Work of kernels in a call, at the call's sizes: multiply-adds, elementwise ops, bytes read and written.

The counts follow from the values, not from the code. Weights are read once for each step of a scan, or once in all if
all steps are computed together. ``necessary`` counts only work that no plan can avoid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...codegen.buffers.memory import Memory
from ...codegen.buffers.packing import MAX_DOT_WIDTH
from ...codegen.kernels.active_rows import ActiveSteps
from ...codegen.kernels.kernel_plan import values_read
from ...codegen.kernels.product_plan import dot_width_of
from ...codegen.loop_ir.nodes import Buffer
from ...codegen.schedule.emit.ticks import COPY, PACK, Timed
from ...ir.graph import Node
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.types import ITEM_BYTES, Dim, TensorType, evaluate, product

PRODUCTS = (*MATRIX_PRODUCTS, "outer_sum")
"""Ops whose work is multiply-adds. Other contractions only add up their operands."""
PICKS = ("slice", "gather")
"""Ops that read only the selected elements of their first operand."""
Sizes = Mapping[str, int]
Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Products:
    """One product of a kernel.

    Attributes:
        flops: Operations of one run; a multiply-add is two.
        weights: Bytes of the right operand, if all rows share it.
        dot_width: Numbers that an instruction multiplies in each lane.
    """

    node: Node
    flops: float
    weights: int
    dot_width: int = 1


@dataclass(frozen=True)
class Work:
    """Operations and bytes of a kernel in one call.

    Attributes:
        runs: Executions, such as one for each step of a scan.
        share: Fraction of rows and steps that are computed; the others have ended.
        products: Matrix products of one run.
        elements: (node, elements) of each elementwise op of one run; a reduction has the elements that it adds up.
        transfers: (node, bytes) that one run reads or writes for a node, without weights.
        places: (buffer, bytes) of the transfers, by buffer.
    """

    runs: float = 1.0
    share: float = 1.0
    products: tuple[Products, ...] = ()
    elements: tuple[tuple[Node, int], ...] = ()
    transfers: tuple[tuple[Node, int], ...] = ()
    places: tuple[tuple[Buffer, int], ...] = ()

    @property
    def times(self) -> float:
        """Number of runs times the share of rows and steps that are computed."""
        return self.runs * self.share

    @cached_property
    def flops_by_node(self) -> Mapping[Node, float]:
        """Floating-point operations of a call by node; an elementwise op is one, a multiply-add two."""
        counts: dict[Node, float] = {}
        for item in self.products:
            counts[item.node] = counts.get(item.node, 0.0) + self.times * item.flops
        for node, count in self.elements:
            counts[node] = counts.get(node, 0.0) + self.times * (1 + (node.op == "fma")) * count
        return counts

    @cached_property
    def bytes_by_node(self) -> Mapping[Node, float]:
        """Bytes that a call reads and writes, by node.

        Every run reads all weights. Other transfers count only for the share of rows and steps that are computed.
        """
        counts: dict[Node, float] = {}
        for item in self.products:
            counts[item.node] = counts.get(item.node, 0.0) + self.runs * item.weights
        for node, count in self.transfers:
            counts[node] = counts.get(node, 0.0) + self.times * count
        return counts

    @property
    def flops(self) -> float:
        """Floating-point operations of a call."""
        return sum(self.flops_by_node.values())

    @property
    def weights(self) -> int:
        """Bytes of weights that one run reads."""
        return sum(item.weights for item in self.products)

    @property
    def moved(self) -> int:
        """Bytes that one run reads and writes, without weights."""
        return sum(count for _, count in self.transfers)

    @property
    def bytes(self) -> float:
        """Bytes of a call: weights of all runs, and all other reads and writes."""
        return sum(self.bytes_by_node.values())


def work_of(timed: Timed, sizes: Sizes, feeds: Feeds) -> Work:
    """Return operations and bytes of a timed slot in a call of these sizes and inputs, which may hold row lengths."""
    runs = float(max(0, evaluate(timed.scan["length"], sizes))) if timed.scan is not None else 1.0
    share = active_share(timed.active, sizes, feeds)
    if timed.kind == PACK:
        return Work(transfers=tuple((node, 2 * _bytes(node, sizes)) for node in timed.nodes))
    if timed.kind == COPY:
        nodes = [node for node in timed.nodes if _is_tensor(node)] if timed.scan is None else []
        read = [node for node in nodes if node.op not in ("broadcast", "constant")]
        return Work(runs, share, transfers=tuple((node, _bytes(node, sizes)) for node in [*nodes, *read]))
    if timed.memory is None:
        return Work(runs, share)
    members = _computed_nodes(timed.nodes, timed.memory)
    products = tuple(_products([node for node in members if node.op in PRODUCTS], sizes))
    elements = tuple(_elementwise(members, sizes))
    rights = {item.node.operands[1] for item in products if item.node.op in MATRIX_PRODUCTS and item.weights}
    picked = {node.operands[0]: node for node in members if node.op in PICKS}
    readers = {operand: node for node in reversed(members) for operand in node.operands}
    read = [node for node in values_read(members, timed.memory) if node not in rights and _is_tensor(node)]
    transfers = [(readers.get(node, node), _bytes(picked.get(node, node), sizes)) for node in read]
    places = [(timed.memory.views[node].buffer, count) for node, (_, count) in zip(read, transfers, strict=True)]
    written = [node for node in members if node in timed.memory.stores]
    transfers += [(node, _bytes(node, sizes)) for node in written]
    places += [(view.buffer, _bytes(node, sizes)) for node in written for view in timed.memory.stores[node]]
    return Work(runs, share, products, elements, tuple(transfers), tuple(places))


def necessary(works: Iterable[Work], arrays: Collection[Buffer]) -> list[Work]:
    """Return the kernels' work without repeated operations and without traffic of intermediate values.

    The result has each operation once, and each of the caller's arrays once. Intermediate values could stay in
    registers, or in a cache near their use.

    Args:
        works: Work of a call's kernels, in order.
        arrays: Buffers of the caller.
    """
    computed, moved = set[Node](), set[Buffer]()
    remaining = []
    for work in works:
        elements = tuple((node, count) for node, count in work.elements if node not in computed)
        products = tuple(item for item in work.products if item.node not in computed)
        places = tuple((buffer, count) for buffer, count in work.places if buffer in arrays and buffer not in moved)
        computed |= {node for node, _ in elements} | {item.node for item in products}
        moved |= {buffer for buffer, _ in places}
        total = sum(count for _, count in places)
        transfers = tuple((node, total) for node, _ in work.transfers[:1] if total)
        remaining.append(replace(work, products=products, elements=elements, transfers=transfers, places=places))
    return remaining


def _computed_nodes(nodes: Sequence[Node], memory: Memory) -> list[Node]:
    """Return the tensors that a kernel computes: its ops, and values that are recomputed where they are used."""
    computed = dict.fromkeys(nodes)
    pending = [item for node in nodes for item in node.operands]
    for node in pending:  # the list grows during the loop
        if node not in computed and node not in memory.views:
            computed[node] = None
            pending += node.operands
    return [node for node in computed if _is_tensor(node)]


def active_share(active: ActiveSteps | None, sizes: Sizes, feeds: Feeds) -> float:
    """Return the share of all rows and steps that a call computes, from the row lengths fed; 1 without lengths."""
    if active is None:
        return 1.0
    mask = active.table.mask
    lengths, steps = _fed(mask.lengths, feeds), evaluate(mask.length, sizes)
    if lengths is None or not lengths.size or steps <= 0:
        return 1.0
    running = np.clip(lengths, 0, steps)
    return float(running.mean() if active.table.by_rows else running.max()) / steps


def _fed(node: Node, feeds: Feeds) -> np.ndarray | None:
    """Return the array that is fed for a node, perhaps through casts and reshapes; None if it is no input."""
    while node.op in ("cast", "reshape", "broadcast") and node.operands:
        node = node.operands[0]
    return feeds.get(str(node["label"])) if node.op == "input" else None


def _products(nodes: Iterable[Node], sizes: Sizes) -> Iterable[Products]:
    """Yield the multiply-adds and weight bytes of each matrix product."""
    read: set[Node] = set()
    for node in nodes:
        left, right = node.operands[:2]
        count = _count(node.shape, sizes)
        if node.op == "outer_sum":
            yield Products(node, 2.0 * count * _count(left.shape[:-1], sizes), 0)
            continue
        is_repeated = right in read  # products with the high and low part of activations read weights once
        weights = _bytes(right, sizes) if right.tensor.rank == 2 and not is_repeated else 0
        if node.op == "block_matmul":  # a byte holds two weights of 4 bits
            weights = weights * int(node["bits"]) // 8
        read.add(right)
        dot_width = min(dot_width_of(node), MAX_DOT_WIDTH)
        yield Products(node, 2.0 * count * _count(left.shape[-1:], sizes), weights, dot_width)


def _elementwise(members: Iterable[Node], sizes: Sizes) -> Iterable[tuple[Node, int]]:
    """Yield (op, number of elements that it computes) for elementwise ops and reductions."""
    for node in members:
        kind = OPS[node.op].kind
        if kind == "elementwise":
            yield node, _count(node.shape, sizes)
        elif kind == "reduction" or (kind == "contraction" and node.op not in PRODUCTS):
            yield node, max(_count(item.shape, sizes) for item in node.operands)


def _is_tensor(node: Node) -> bool:
    return isinstance(node.type, TensorType)


def _count(shape: Iterable[Dim], sizes: Sizes) -> int:
    return max(0, evaluate(product(tuple(shape)), sizes))


def _bytes(node: Node, sizes: Sizes) -> int:
    return _count(node.shape, sizes) * ITEM_BYTES[node.dtype]
