"""Whether a graph mixes the rows of a batch, so that a row's result depends on which others are run with it."""

from __future__ import annotations

from collections.abc import Set

from ..ir.axes import counts
from ..ir.graph import Graph, Node
from ..ir.scan import REDUCTIONS, ends_of_loop


def mixes_rows(graph: Graph, batch: Set[str]) -> bool:
    """Whether anything is reduced over rows, as a product of rows is too, but for a loop's end when all of them have
    stopped. A batch normalization does so in the training graph alone.

    batch: names of the sizes that count rows.
    """
    return _mixes(graph, batch, set())


def _mixes(graph: Graph, batch: Set[str], left_out: Set[Node]) -> bool:
    for node in graph.nodes:
        if node.op in REDUCTIONS and node not in left_out:
            shape = node.operands[0].shape
            if any(counts(shape[axis], batch) for axis in node["axes"]):
                return True
        if node.op == "matmul" and any(counts(item.shape[-1], batch) for item in node.operands[:2]):
            return True
        if node.op == "scan" and _mixes(node["body"], batch, ends_of_loop(node)):
            return True
    return False
