"""sparse_products: products of activations and weights leave out blocks of weights that are zero.

Which blocks these are is data, which packing finds when parameters change; a product only learns here that it is one
that asks. A weight is whatever is made of parameters and constants alone, narrow weights among them.
Law: values unchanged where all are finite, up to the sign of zero. What is left out spreads no NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, make, rewrite, with_body
from ..ir.scan import ScanParts
from .quantization.reduced_weights import made_of


@dataclass(frozen=True)
class SparseProducts:
    """Law: values unchanged where all are finite, up to the sign of zero.

    least_rows, least_columns: of the smallest weight whose zeros are looked for.
    """

    least_rows: int = 8
    least_columns: int = 8
    name: str = "sparse_products"

    def __call__(self, graph: Graph) -> Graph:
        return self._marked(graph, {node for node in graph.inputs if node.op == "parameter"})

    def _marked(self, graph: Graph, fixed: set[Node]) -> Graph:
        """fixed: inputs that are parameters, or made of them alone."""
        weights = made_of(graph, fixed)

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return self._scan(node, operands, weights)
            if node.op != "matmul" or not self._is_sparse(node, weights):
                return None
            attributes = {**dict(node.attributes), "sparse": True}
            return make("matmul", *operands, where=node.where, name=node.name, **attributes)

        return rewrite(graph, rule)

    def _is_sparse(self, node: Node, weights: set[Node]) -> bool:
        left, right = node.operands[:2]
        if node.get("sparse") or right.tensor.rank != 2 or left in weights or right not in weights:
            return False
        rows, columns = right.shape
        if not isinstance(rows, int) or not isinstance(columns, int):
            return False
        return rows >= self.least_rows and columns >= self.least_columns

    def _scan(self, node: Node, operands: tuple[Node, ...], weights: set[Node]) -> Node | None:
        body, invariants = node["body"], ScanParts.of(node).invariants
        changed = self._marked(body, {inside for inside, outside in invariants if outside in weights})
        return None if changed is body else with_body(node, operands, changed)
