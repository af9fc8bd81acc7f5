"""From ``class_weights`` of ``fit`` to a weight for each class of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arguments import is_number
from ...errors import ArgumentError, DtypeError, GraphError, Where, shown
from ...ir.graph import Graph
from ...passes.label_weights import labelled_losses

REMEDY = "give the loss weights=rg.gather(rg.constant([…]), labels) instead"


APART = (
    "make every label a row of its own and give its weight: rg.sigmoid_cross_entropy(rg.expand_dims(labels, -1), "
    "rg.expand_dims(logits, -1), weights=…), with weights in the shape of labels; or use rg.softmax_cross_entropy if "
    "just one of them is true"
)


def label_weights(graph: Graph, given: Any, where: Where | None) -> tuple[float, ...]:
    """One weight for each class of the graph's loss, 1 for those that are not given; empty where none are.

    Raises ``GraphError`` where the loss has not just one part whose labels are classes.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise DtypeError(
            f"class_weights= must be a mapping such as {{0: 1.0, 1: 5.0}}, from label to weight, and is of type "
            f"{type(given).__name__}",
            where,
        )
    classes = _classes(graph, where)
    last = classes - 1
    weights = [1.0] * classes
    for label, weight in given.items():
        if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
            raise ArgumentError(f"class_weights has {shown(label)}, and the labels of the loss are 0 to {last}", where)
        if not is_number(weight) or weight < 0:
            raise ArgumentError(
                f"class_weights has {shown(weight)} for label {label}; it must be a number, 0 or more", where
            )
        weights[int(label)] = float(weight)
    if not any(weights):
        raise ArgumentError("class_weights are all 0, so nothing would be trained", where)
    return tuple(weights)


def _classes(graph: Graph, where: Where | None) -> int:
    """How many labels the loss knows."""
    loss = Graph.of(graph.name, [("loss", graph.output("loss"))], graph.inputs)
    found = labelled_losses(loss)
    if not found:
        raise GraphError(
            "class_weights need a loss whose labels are classes: rg.sparse_softmax_cross_entropy, "
            f"rg.softmax_cross_entropy, or rg.sigmoid_cross_entropy of one label a row; {REMEDY}",
            where,
        )
    if len(found) > 1:
        lines = ", ".join(str(item.weighted.where) for item in found)
        raise GraphError(f"class_weights could be those of {len(found)} losses (declared at {lines}); {REMEDY}", where)
    if not found[0].has_a_label_each:
        raise GraphError(
            f"the loss (declared at {found[0].read.where}) has several labels in each row, each true or false by "
            f"itself, and class_weights={{0: …, 1: …}} weigh rows; {APART}",
            where,
        )
    classes = found[0].classes
    if classes is None:
        raise GraphError(f"class_weights need a declared number of classes; {REMEDY}", where)
    return classes
