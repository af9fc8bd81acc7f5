"""short_windows: compute sums of products and maxima over short windows entry by entry.

A depthwise convolution is a sum of products over windows, and a pool is a maximum over windows. Written as elementwise
ops on slices, they run in one loop with the ops around them.

Law: maxima are unchanged, bit for bit. In sums of products, a product and the following addition may round once.
"""

from __future__ import annotations

from collections.abc import Set
from functools import reduce

from ...ir.graph import Graph, Node, make, map_bodies, rewrite
from ...ir.ops import OPS
from ...support.records import dataclass

MAX_ENTRIES = 9
"""Maximum entries of a window that is computed entry by entry, because each entry has separate code."""


@dataclass(frozen=True)
class ShortWindows:
    """Compute sums of products and maxima over short windows entry by entry.

    Law: maxima are unchanged, bit for bit. In sums of products, a product and the following addition may round once.
    """

    name: str = "short_windows"

    def __call__(self, graph: Graph) -> Graph:
        return map_bodies(_rewritten(graph), _rewritten)


def _rewritten(graph: Graph) -> Graph:
    if all(node.op != "windows" for node in graph.nodes):
        return graph
    outputs = {node for _, node in graph.outputs}
    read_once = {node for node, readers in graph.users().items() if len(readers) == 1 and node not in outputs}
    return rewrite(graph, lambda node, operands: _rule(node, operands, read_once))


def _rule(node: Node, operands: tuple[Node, ...], read_once: Set[Node]) -> Node | None:
    """Rewrite a maximum, or a sum of products, over short windows; None for other nodes."""
    if node.op == "reduce_max" and _runs_over_entries(node, operands[0]):
        windows = operands[0]
        are_disjoint = windows["step"] > windows["apart"] * (windows["size"] - 1)
        through = are_disjoint and node.operands[0].operands[0] in read_once
        return _in_order("maximum", node, [_entry(windows, entry, through) for entry in range(windows["size"])])
    if node.op == "reduce_sum" and operands[0].op == "mul":
        product = operands[0]
        for windows, weights in (product.operands, product.operands[::-1]):
            is_depthwise = _runs_over_entries(node, windows) and product.shape == windows.shape
            if is_depthwise and _has_entries(weights, windows):
                terms = [_product(product, windows, weights, entry) for entry in range(windows["size"])]
                return _in_order("add", node, terms)
    return None


def _in_order(op: str, node: Node, terms: list[Node]) -> Node:
    """Combine the terms of the reduction ``node`` by ``op``, from the first to the last."""
    return reduce(lambda left, right: make(op, left, right, where=node.where, name=node.name), terms)


def _runs_over_entries(node: Node, windows: Node) -> bool:
    """True if a reduction runs over the entries of short windows alone."""
    if windows.op != "windows" or windows["size"] > MAX_ENTRIES or node["keepdims"]:
        return False
    return bool(node["axes"] == (windows["axis"] + 1,))


def _has_entries(weights: Node, windows: Node) -> bool:
    """True if there is a weight for each entry of a window, and weights have no axis before the entries."""
    after = windows.tensor.rank - windows["axis"] - 1
    return weights.tensor.rank == after and weights.shape[0] == windows["size"]


def _entry(windows: Node, entry: int, through: bool = False) -> Node:
    """Return one entry of all windows, as a slice of their source.

    Args:
        windows: The windows.
        entry: Index of the entry within a window.
        through: True to slice the operands of an elementwise source, instead of its result. Nothing else reads it.
    """
    source, axis = windows.operands[0], windows["axis"]
    start, stop, step = [0] * source.tensor.rank, [*source.shape], [1] * source.tensor.rank
    start[axis], step[axis] = entry * windows["apart"], windows["step"]
    stop[axis] = source.shape[axis] - windows["apart"] * (windows["size"] - 1 - entry)

    def part(item: Node) -> Node:
        where, name = windows.where, windows.name
        return make("slice", item, where=where, name=name, start=tuple(start), stop=tuple(stop), step=tuple(step))

    is_elementwise = OPS[source.op].kind == "elementwise" and not OPS[source.op].random
    if through and is_elementwise and all(item.shape == source.shape for item in source.operands):
        parts = [part(item) for item in source.operands]
        return make(source.op, *parts, where=source.where, name=source.name, **dict(source.attributes))
    return part(source)


def _product(product: Node, windows: Node, weights: Node, entry: int) -> Node:
    """Return the product of one entry of all windows and its weights."""
    rank, where = weights.tensor.rank, weights.where
    start, stop = (entry, *(0,) * (rank - 1)), (entry + 1, *weights.shape[1:])
    row = make("slice", weights, where=where, start=start, stop=stop, step=(1,) * rank)
    weight = make("reshape", row, where=where, shape=weights.shape[1:])
    return make("mul", _entry(windows, entry), weight, where=product.where, name=product.name)
