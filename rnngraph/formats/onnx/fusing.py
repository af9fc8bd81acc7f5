"""Fuses the product of a dense layer with the addition of its bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from .core.model import MAIN_DOMAINS, Graph, Node, subgraphs


def with_sums(graph: Graph) -> Mapping[str, Node]:
    """Return {name of a value: node that computes it}, with each addition of a bias fused into its product.

    An ``Add`` of a product that nothing else reads is replaced by the ``MatMul``, with the addend as its third input.
    """
    uses = Counter(names_within(graph))
    makers = dict(graph.makers)
    for node in graph.nodes:
        if node.op != "Add" or node.domain not in MAIN_DOMAINS or len(node.inputs) != 2 or len(node.outputs) != 1:
            continue
        for name, other in (node.inputs, node.inputs[::-1]):
            product = graph.makers.get(name)
            if product is None or uses[name] != 1 or product.domain not in MAIN_DOMAINS:
                continue
            if product.op == "MatMul" and len(product.inputs) == 2:
                makers[node.outputs[0]] = replace(product, inputs=(*product.inputs, other), outputs=node.outputs)
                break
    return makers


def names_within(graph: Graph) -> list[str]:
    """Return the names that a graph and its nested graphs read, once for each read."""
    names = [name for node in graph.nodes for name in node.inputs]
    for node in graph.nodes:
        for inner in subgraphs(node):
            names += names_within(inner)
    return [*names, *graph.outputs]
