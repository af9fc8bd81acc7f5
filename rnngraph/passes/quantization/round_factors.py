"""round_factors: round the factors of products to bfloat16, unless a matrix unit rounds them.

Law: values are equal up to the order of the sums.
"""

from __future__ import annotations

from ...ir.graph import Graph, Node, make, rewrite, with_body
from ...ir.node import is_batched_product, is_tile_product
from ...support.records import dataclass


@dataclass(frozen=True)
class RoundFactors:
    """Round the factors of products in separate ops. The products are then computed in float32.

    Law: values are equal up to the order of the sums.

    Attributes:
        has_tiles: True if the target has a matrix unit, which itself rounds factors of batched products of fixed sizes.
    """

    has_tiles: bool
    name: str = "round_factors"

    def __call__(self, graph: Graph) -> Graph:
        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                body = self(node["body"])
                return None if body is node["body"] else with_body(node, operands, body)
            if not is_tile_product(node) or self._runs_on_unit(node):
                return None
            factors = (_rounded(item) for item in operands[:2])
            return make("matmul", *factors, *operands[2:], where=node.where, name=node.name)

        return rewrite(graph, rule)

    def _runs_on_unit(self, product: Node) -> bool:
        """True if the matrix unit computes a product, and rounds its factors."""
        left, right = product.operands[:2]
        sizes = (*left.shape[-2:], right.shape[-1])
        return self.has_tiles and is_batched_product(product) and all(isinstance(dim, int) for dim in sizes)


def _rounded(node: Node) -> Node:
    narrow = make("cast", node, where=node.where, dtype="bfloat16")
    return make("cast", narrow, where=node.where, dtype="float32")
