"""label_weights: weight each label of a loss by its class.

A loss multiplies its value for each label by a factor, and a mean divides by the sum of factors. The pass multiplies
the factor by the weight of the label's class, as if the declaration had ``weights=``. The class is that of an int
label, the first of the most likely classes of a distribution, or a single probability rounded to 0 or 1.

Law: the loss is that of ``weights=w[class]`` times the declared weights. All else is unchanged, bit for bit.
"""

from __future__ import annotations

import numpy as np

from ..ir.graph import Graph, Node, make, remake, rewrite
from ..support.records import dataclass


@dataclass(frozen=True)
class Labelled:
    """Part of a loss that reads labels.

    Attributes:
        read: Node that reads the labels: int labels compared with the classes, or a product of ``labels``.
        weighted: Node that multiplies the losses by the factor.
        factor: The factor.
    """

    read: Node
    weighted: Node
    factor: Node

    @property
    def kind(self) -> str:
        """Kind of the labels: ``ints``, ``classes`` or ``truths``."""
        return str(self.read.get("labels", "ints"))

    @property
    def classes(self) -> int | None:
        """Number of classes; None if it is symbolic."""
        count = 2 if self.kind == "truths" else self.read.shape[-1]
        return count if isinstance(count, int) else None

    @property
    def has_one_label_per_factor(self) -> bool:
        """True if each factor belongs to one label."""
        return self.kind != "truths" or self.read.tensor.rank <= 1 or self.read.shape[-1] == 1


def labelled_losses(graph: Graph) -> list[Labelled]:
    """Return, for each loss of a graph that reads labels, the nodes that read and weight them."""
    users = graph.users()
    reads = [node for node in graph.nodes if node.get("labels") or (node.op, node.get("within")) == ("equal", "labels")]
    candidates = [_loss_of_labels(read, users) for read in reads]
    return [item for item in candidates if item is not None]


def _loss_of_labels(read: Node, users: dict[Node, list[Node]]) -> Labelled | None:
    """Return the loss in which ``read`` reads labels, with the factor that weights its terms; None if it is in no loss.

    The users of the labels lead through a sum over classes to the product with the factor.
    """
    node = read
    while len(users[node]) == 1:
        (user,) = users[node]
        if user.op == "mul" and user.operands[0] is node and user.operands[1].shape == node.shape:
            return Labelled(read, user, user.operands[1])
        if user.op not in ("select", "reduce_sum", "neg", "add", "sub", "div"):
            return None
        node = user
    return None


@dataclass(frozen=True)
class LabelWeights:
    """Weight each label of a loss by its class.

    Law: the loss is that of ``weights=w[class]`` times the declared weights. All else is unchanged.

    ``weights`` has one weight for each class. Losses over another number of classes are unchanged. If all labels of a
    call have weight 0, a mean is 0.
    """

    weights: tuple[float, ...]
    name: str = "label_weights"

    def __call__(self, graph: Graph) -> Graph:
        losses = [item for item in labelled_losses(graph) if item.classes == len(self.weights)]
        weights = {item.factor: self._class_weight(item) for item in losses}
        weighted = {item.weighted for item in losses}
        if not losses:
            return graph

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node in weighted:
                loss, factor = operands
                return remake(node, [loss, make("mul", factor, weights[node.operands[1]], where=node.where)])
            if node.op == "reduce_sum" and node.operands[0] in weights:
                factor = make("mul", operands[0], weights[node.operands[0]], where=node.where)
                return _nonzero_divisor(remake(node, [factor]))
            return None

        return rewrite(graph, rule)

    def _class_weight(self, loss: Labelled) -> Node:
        """Return the weight of each label's class; 0 for an int label that is no class.

        The sum is exact, because all its other terms are 0.
        """
        where, dtype = loss.read.where, loss.factor.dtype
        if loss.kind == "truths":
            return self._truth_weight(loss)
        table = make("constant", value=np.asarray(self.weights, dtype))
        zero = make("constant", value=np.zeros((), dtype))
        hit = loss.read if loss.kind == "ints" else _likeliest_class(loss.read)
        selected = make("select", hit, table, zero, where=where)
        return make("reduce_sum", selected, axes=(selected.tensor.rank - 1,), keepdims=False, where=where)

    def _truth_weight(self, loss: Labelled) -> Node:
        """Return the class weight of each binary label, rounded to 0 or 1; weight 1 if it rounds to another number."""
        where, dtype = loss.read.where, loss.factor.dtype
        labels = _in_shape(loss.read.operands[0], loss.read)
        label = make("round", make("reshape", labels, shape=loss.factor.shape, where=where), where=where)
        weight = make("constant", value=np.ones((), dtype))
        for truth, truth_weight in enumerate(self.weights):
            is_truth = make("equal", label, make("constant", value=np.asarray(truth, label.dtype)), where=where)
            weight = make(
                "select", is_truth, make("constant", value=np.asarray(truth_weight, dtype)), weight, where=where
            )
        return weight


def _likeliest_class(read: Node) -> Node:
    """Return a mask of each row's most likely class along the last axis. Of equally likely ones, the first counts."""
    where, labels = read.where, _in_shape(read.operands[0], read)
    classes, last = labels.shape[-1], labels.tensor.rank - 1
    index = make("iota", size=classes, where=where)
    maximum = make("reduce_max", labels, axes=(last,), keepdims=True, where=where)
    past_end = make("constant", value=np.asarray(classes, np.int64))
    places = make("select", make("equal", labels, maximum, where=where), index, past_end, where=where)
    return make("equal", make("reduce_min", places, axes=(last,), keepdims=True, where=where), index, where=where)


def _in_shape(labels: Node, read: Node) -> Node:
    return labels if labels.shape == read.shape else make("broadcast", labels, shape=read.shape, where=read.where)


def _nonzero_divisor(count: Node) -> Node:
    """Return the divisor of a mean, with 1 in place of 0. Its dividend is 0 in that case."""
    zero, one = (make("constant", value=np.asarray(value, count.dtype)) for value in (0, 1))
    return make("select", make("equal", count, zero, where=count.where), one, count, where=count.where)
