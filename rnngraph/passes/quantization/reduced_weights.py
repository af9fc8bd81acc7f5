"""reduced_weights: products of float32 values and weights multiply weights of 16 or of 8 bits.

A weight is whatever is made of parameters and constants alone. Each product is written out in casts, scales and
products of narrow numbers (``narrow_products``), so that what comes after needs to know nothing of it: what concerns
weights alone leaves the loops and is computed when parameters change.
Law: values as with weights that are rounded to the form, up to the rounding of activations to 16 bits (to 8 where
they are not ``split``). What is no such product keeps its bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Graph, Node, rewrite, symbols_of_node, with_body
from ...ir.scan import ScanParts
from .narrow_products import BFloat16, Bytes, Int8, Narrowing, Weight, Widened

MOST_DEPTH = 1 << 16
"""Rows of a weight: so many products of two bytes each do not exceed 32 bits."""


@dataclass(frozen=True)
class ReducedWeights:
    """Law: values as with weights rounded to ``form``, up to the rounding of activations to 16 bits.

    dots: whether the target multiplies narrow numbers; else weights are widened as they are read. split: whether
    activations keep 16 bits, in two parts, and not 8. bytes: where they don't beside int8 weights, ``uint8`` or
    ``int8``, as the target's products have it; empty if it has none. least_depth, least_weights: rows and elements of
    the smallest weight that is made narrow; for smaller ones it takes as long to prepare a row as a product would gain.
    """

    form: str
    dots: bool
    split: bool = True
    bytes: str = ""
    least_depth: int = 32
    least_weights: int = 4096
    name: str = "reduced_weights"

    def __call__(self, graph: Graph) -> Graph:
        return self._reduced(graph, {node for node in graph.inputs if node.op == "parameter"})

    def _reduced(self, graph: Graph, fixed: set[Node]) -> Graph:
        """fixed: inputs that are parameters, or made of them alone."""
        weights = made_of(graph, fixed)
        narrowing = self._narrowing()

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return self._scan(node, operands, weights)
            if node.op != "matmul" or not self._is_reduced(node, weights):
                return None
            left, right, *start = operands
            return narrowing.product(left, right, start[0] if start else None, node)

        return rewrite(graph, rule)

    def _is_reduced(self, node: Node, weights: set[Node]) -> bool:
        """Whether a product is one of activations and a weight that is large enough: a rule of types and shapes."""
        left, right = node.operands[:2]
        if left.dtype != "float32" or right.tensor.rank != 2 or left in weights or right not in weights:
            return False
        depth, columns = right.shape[0], Weight.of(right).source.shape[1]
        if not isinstance(depth, int) or not isinstance(columns, int):
            return False
        return self.least_depth <= depth <= MOST_DEPTH and depth * columns >= self.least_weights

    def _narrowing(self) -> Narrowing:
        if self.bytes:
            return Bytes(self.bytes)
        if not self.dots:
            return Widened(self.form, self.split)
        return Int8() if self.form == "int8" else BFloat16(self.split)

    def _scan(self, node: Node, operands: tuple[Node, ...], weights: set[Node]) -> Node | None:
        body, invariants = node["body"], ScanParts.of(node).invariants
        changed = self._reduced(body, {inside for inside, outside in invariants if outside in weights})
        return None if changed is body else with_body(node, operands, changed)


def made_of(graph: Graph, fixed: set[Node]) -> set[Node]:
    """Nodes that depend on ``fixed`` inputs and constants alone, and on no open size."""
    found = set(fixed)
    for node in graph.nodes:
        if node.op in ("input", "parameter", "scan", "get") or any(symbols_of_node(node)):
            continue
        if all(item in found for item in node.operands):
            found.add(node)
    return found
