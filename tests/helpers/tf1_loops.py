"""Drivers into which a run of a TensorFlow 1 graph rolls Python loops."""

from __future__ import annotations

from typing import Any

from rnngraph import tf1 as tf
from rnngraph.ir.graph import topological
from rnngraph.tf1.core.rolling.rolled import Rolled


def drivers(*tensors: Any, kept: Any = ()) -> list[Any]:
    """Return the lengths of the drivers with which a run computes Tensors."""
    rolled = Rolled(tf.get_default_graph().cut(), [item.node for item in tensors], [item.node for item in kept])
    nodes = topological([rolled(item.node) for item in tensors])
    return [node["driver"].iteration.length for node in nodes if node.op == "driver"]
