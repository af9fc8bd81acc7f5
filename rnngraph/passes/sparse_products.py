"""sparse_products: products of activations and weights skip blocks of weights that are zero.

Packing locates the blocks of zeros when parameters change. This pass only marks products that may skip such blocks. A
weight is any value computed from parameters and constants alone, including narrow weights.

Law: finite values are unchanged up to the sign of zero. A skipped block does not propagate NaN.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node, make, rewrite, with_body
from ..ir.scan import ScanParts
from ..support.records import dataclass
from .quantization.reduced_weights import fixed_nodes


@dataclass(frozen=True)
class SparseProducts:
    """Skip blocks of zeros in products of activations and weights.

    Law: finite values are unchanged up to the sign of zero.

    Attributes:
        min_rows: Minimum rows of a weight that is searched for blocks of zeros.
        min_columns: Minimum columns of a weight that is searched for blocks of zeros.
    """

    min_rows: int = 8
    min_columns: int = 8
    name: str = "sparse_products"

    def __call__(self, graph: Graph) -> Graph:
        return self._mark(graph, {node for node in graph.inputs if node.op == "parameter"})

    def _mark(self, graph: Graph, fixed: set[Node]) -> Graph:
        """Mark products with a weight as sparse. ``fixed`` are parameters, and inputs computed from them alone."""
        weights = fixed_nodes(graph, fixed)

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return self._scan(node, operands, weights)
            if node.op != "matmul" or not self._is_sparse(node, weights):
                return None
            attributes = {**dict(node.attributes), "sparse": True}
            return make("matmul", *operands, where=node.where, name=node.name, **attributes)

        return rewrite(graph, rule)

    def _is_sparse(self, node: Node, weights: set[Node]) -> bool:
        """True for an unmarked product of activations and a large enough weight."""
        left, right = node.operands[:2]
        if node.get("sparse") or right.tensor.rank != 2 or left in weights or right not in weights:
            return False
        rows, columns = right.shape
        if not isinstance(rows, int) or not isinstance(columns, int):
            return False
        return rows >= self.min_rows and columns >= self.min_columns

    def _scan(self, node: Node, operands: tuple[Node, ...], weights: set[Node]) -> Node | None:
        body, invariants = node["body"], ScanParts.of(node).invariants
        changed = self._mark(body, {inside for inside, outside in invariants if outside in weights})
        return None if changed is body else with_body(node, operands, changed)
