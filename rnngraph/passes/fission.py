"""fission: split a scan into one loop for each strongly connected component of its carries.

Nodes on a cycle of carries stay in a loop, so that a stack of layers becomes one scan per layer. Values that depend
only on earlier ones are hoisted: they become one op over all steps, before or after the loops. Examples are a layer's
input product, dropout between layers, residuals and output projections. Loop invariants are computed once.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node, remake, rewrite
from ..support.records import dataclass
from .loops.pieces import ScanPieces


@dataclass(frozen=True)
class Fission:
    """Split a scan into one loop for each strongly connected component of its carries.

    Law: values are unchanged, bit for bit.
    """

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
                return scan  # unused once every ``get`` is replaced
            if node.op == "get" and node.operands[0] in pieces:
                return pieces[node.operands[0]].result(node["index"], node)
            return None

        return rewrite(graph, rule)
