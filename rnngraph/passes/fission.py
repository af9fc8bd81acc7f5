"""fission: a scan comes apart along the strongly connected components of its carries.

What a cycle of carried values needs stays in a loop: a stack becomes one scan a layer. What depends on
earlier values only leaves the loops and becomes one op over all steps, before or after them (hoisting):
a layer's input product, dropout between layers, residuals, projections of outputs. What depends on neither
sequence nor carry is computed once.
Law: values unchanged, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, remake, rewrite
from .loops.pieces import ScanPieces


@dataclass(frozen=True)
class Fission:
    """Law: values unchanged, bit for bit."""

    name: str = "fission"

    def __call__(self, graph: Graph) -> Graph:
        pieces: dict[Node, ScanPieces] = {}

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                scan = remake(node, operands)
                split = ScanPieces(scan)
                if split.whole:
                    return None
                pieces[node] = split
                return scan  # dead once every ``get`` is replaced
            if node.op == "get" and node.operands[0] in pieces:
                return pieces[node.operands[0]].result(node["index"], node)
            return None

        return rewrite(graph, rule)
