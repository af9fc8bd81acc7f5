"""label_weights: a loss of int labels counts each of them by the weight of its label.

A loss that is picked at a label multiplies what it picked by a factor, and ``mean`` divides by the factors' sum. The
pass multiplies that factor by the weight of the label, so that it is as if the declaration had given ``weights=``.
Law: the loss is that of ``weights=w[labels]`` times the weights declared; all else is unchanged, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.graph import Graph, Node, make, remake, rewrite


@dataclass(frozen=True)
class Labelled:
    """A loss of int labels: where they are compared with the classes, what it picks there, and the factor of that."""

    hit: Node
    weighted: Node
    factor: Node

    @property
    def classes(self) -> int | None:
        count = self.hit.shape[-1]
        return count if isinstance(count, int) else None


def labelled_losses(graph: Graph) -> list[Labelled]:
    """The losses of int labels that the graph's outputs need."""
    users = graph.users()
    hits = [node for node in graph.nodes if node.op == "equal" and node.get("within") == "labels"]
    found = [_labelled(hit, users) for hit in hits]
    return [item for item in found if item is not None]


def _labelled(hit: Node, users: dict[Node, list[Node]]) -> Labelled | None:
    """Follows what is picked at the labels, summed over classes and negated, to where it is multiplied."""
    node = hit
    while len(users[node]) == 1:
        (user,) = users[node]
        if user.op == "mul" and user.operands[0] is node and user.operands[1].shape == node.shape:
            return Labelled(hit, user, user.operands[1])
        if user.op not in ("select", "reduce_sum", "neg"):
            return None
        node = user
    return None


@dataclass(frozen=True)
class LabelWeights:
    """Law: the loss is that of ``weights=w[labels]`` times the weights declared; all else is unchanged.

    weights: one for each class. Where all labels of a call weigh nothing, a mean is 0.
    """

    weights: tuple[float, ...]
    name: str = "label_weights"

    def __call__(self, graph: Graph) -> Graph:
        losses = [item for item in labelled_losses(graph) if item.classes == len(self.weights)]
        weights = {item.factor: self._of_labels(item) for item in losses}
        weighted = {item.weighted for item in losses}
        if not losses:
            return graph

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node in weighted:
                loss, factor = operands
                return remake(node, [loss, make("mul", factor, weights[node.operands[1]], where=node.where)])
            if node.op == "reduce_sum" and node.operands[0] in weights:
                factor = make("mul", operands[0], weights[node.operands[0]], where=node.where)
                return _not_zero(remake(node, [factor]))
            return None

        return rewrite(graph, rule)

    def _of_labels(self, loss: Labelled) -> Node:
        """The weight of each label, exactly: all others are 0 in the sum."""
        where, dtype = loss.hit.where, loss.factor.dtype
        table = make("constant", value=np.asarray(self.weights, dtype))
        zero = make("constant", value=np.zeros((), dtype))
        chosen = make("select", loss.hit, table, zero, where=where)
        return make("reduce_sum", chosen, axes=(chosen.tensor.rank - 1,), keepdims=False, where=where)


def _not_zero(count: Node) -> Node:
    """The sum of weights that a mean divides by; 1 where that is 0, as is what is divided."""
    zero, one = (make("constant", value=np.asarray(value, count.dtype)) for value in (0, 1))
    return make("select", make("equal", count, zero, where=count.where), one, count, where=count.where)
