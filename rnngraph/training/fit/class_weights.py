"""Converts the argument ``class_weights`` of ``fit`` to a weight for each class of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...batching.batches import Batches
from ...batching.sources import BatchSource
from ...ir.graph import Graph, Node
from ...passes.label_weights import Labelled, labelled_losses
from ...support.arguments import is_number
from ...support.errors import ArgumentError, DtypeError, GraphError, Where, shown

REMEDY = "give the loss weights=rg.gather(rg.constant([…]), labels) instead"


OTHER_LOSSES = (
    "give each label a weight: rg.sigmoid_cross_entropy(rg.expand_dims(labels, -1), rg.expand_dims(logits, -1), "
    "weights=…), with weights in the shape of labels; or use rg.softmax_cross_entropy if exactly one label of a row "
    "is true"
)


BALANCED = "balanced"
"""Value of ``class_weights`` that asks for weights inverse to the frequency of each class."""


def label_weights(graph: Graph, class_weights: Any, source: BatchSource, where: Where | None) -> tuple[float, ...]:
    """Return the weight of each class in the graph's loss, in order of labels; an empty tuple for None.

    Args:
        graph: Graph with the loss.
        class_weights: Mapping from label to weight, 1 for missing labels; or ``"balanced"``.
        source: Examples whose labels ``"balanced"`` counts.
        where: The user's call.

    Raises:
        GraphError: The loss does not have exactly one part whose labels are classes.
    """
    if class_weights is None:
        return ()
    if isinstance(class_weights, str) and class_weights == BALANCED:
        loss = _labelled_loss(graph, where)
        return _balanced(_counts(loss, _classes(loss, where), source, where))
    if not isinstance(class_weights, Mapping):
        raise DtypeError(
            "class_weights= must be a mapping such as {0: 1.0, 1: 5.0}, from label to weight, or "
            f'"balanced", not {shown(class_weights)} of type {type(class_weights).__name__}',
            where,
        )
    classes = _classes(_labelled_loss(graph, where), where)
    last = classes - 1
    weights = [1.0] * classes
    for label, weight in class_weights.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise ArgumentError(
                f"class_weights has {shown(label)}; give labels of the loss, which are 0 to {last}", where
            )
        if not is_number(weight) or weight < 0:
            raise ArgumentError(
                f"class_weights has {shown(weight)} for label {label}; it must be a number, 0 or more", where
            )
        weights[int(label)] = float(weight)
    if not any(weights):
        raise ArgumentError("class_weights are all 0, so nothing would be trained; give one above 0", where)
    return tuple(weights)


def _balanced(counts: np.ndarray) -> tuple[float, ...]:
    """Return scikit-learn's balanced weight of each class: labels / (classes × labels of the class).

    Classes without labels are not counted in ``classes``, and have the weight 1.

    Args:
        counts: Number of labels of each class.
    """
    occurring = np.count_nonzero(counts)
    return tuple(np.where(counts > 0, counts.sum() / (max(occurring, 1) * np.maximum(counts, 1)), 1.0).tolist())


def _counts(loss: Labelled, classes: int, source: BatchSource, where: Where | None) -> np.ndarray:
    """Count the labels of each class in the examples, without padding and without labels that are no class."""
    if not isinstance(source, Batches):
        raise ArgumentError(
            'class_weights="balanced" counts labels before the first step, but the examples come in batches; give '
            "class_weights={label: weight}",
            where,
        )
    placeholder = _placeholder(loss.read.operands[0])
    if placeholder is None:
        raise GraphError(
            f'class_weights="balanced" counts labels that are fed, but those of the loss (declared at '
            f"{loss.read.where}) are computed; give class_weights={{label: weight}}",
            where,
        )
    values = source.real_values(placeholder)
    if loss.kind == "classes":
        values = values.argmax(-1)
    labels = np.rint(values).astype(np.int64).ravel()
    return np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)


def _placeholder(labels: Node) -> str | None:
    """Return the name of the placeholder by which labels are fed; None if labels are computed otherwise.

    Reshapes, casts, and constants that replace labels after a row's end are skipped.
    """
    while labels.op in ("reshape", "broadcast", "cast") or _is_cut(labels):
        labels = labels.operands[1 if labels.op == "select" else 0]
    return str(labels["label"]) if labels.op == "input" else None


def _is_cut(node: Node) -> bool:
    """True for a node that replaces values by a constant, as after a row's end."""
    return node.op == "select" and node.operands[2].op == "constant"


def _labelled_loss(graph: Graph, where: Where | None) -> Labelled:
    """Return the part of the loss that reads class labels.

    Raise ``GraphError`` unless there is exactly one, with one label for each of its terms.
    """
    loss = Graph.of(graph.name, [("loss", graph.output("loss"))], graph.inputs)
    losses = labelled_losses(loss)
    if not losses:
        raise GraphError(
            "class_weights need a loss whose labels are classes: rg.sparse_softmax_cross_entropy, "
            f"rg.softmax_cross_entropy, or rg.sigmoid_cross_entropy of one label a row; {REMEDY}",
            where,
        )
    if len(losses) > 1:
        lines = ", ".join(str(item.weighted.where) for item in losses)
        raise GraphError(f"class_weights could apply to {len(losses)} losses (declared at {lines}); {REMEDY}", where)
    if not losses[0].has_one_label_per_factor:
        raise GraphError(
            f"the loss (declared at {losses[0].read.where}) has several labels in each row, each true or false, but "
            f"class_weights={{0: …, 1: …}} needs one label a row; {OTHER_LOSSES}",
            where,
        )
    return losses[0]


def _classes(loss: Labelled, where: Where | None) -> int:
    """Return the number of classes of a loss."""
    classes = loss.classes
    if classes is None:
        raise GraphError(f"class_weights need a declared number of classes; {REMEDY}", where)
    return classes
