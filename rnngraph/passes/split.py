"""split: turn one declaration into a training graph and an inference graph.

Law: the training graph draws the dropout masks. The inference graph has no mask, no scale and no random op. In each
graph, a ``by_graph`` becomes its value for that graph. Both graphs have the same parameters and layout of states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..ir.derivatives import value_of
from ..ir.graph import Graph, Node, make, map_bodies, rewrite
from ..ir.ops import OPS
from ..support.errors import GraphError
from ..support.records import dataclass
from .lowering.random_nodes import converted
from .simplify import drop_dead


@dataclass(frozen=True)
class Split:
    """Turn a declaration into the training graph or the inference graph.

    Law: dropout becomes mask and scale in training, and the identity in inference.

    Raises:
        GraphError: The inference graph depends on random numbers.
    """

    training: bool
    name: str = "split"

    def __call__(self, graph: Graph) -> Graph:
        rule = _mask_and_scale if self.training else _identity
        comments = graph.comments if self.training else (*graph.comments, *_removed_ops(graph))
        graph = map_bodies(graph, lambda body: rewrite(body, rule))
        graph = rewrite(graph, rule)
        # Remove inputs that only dropout reads (seed, rows, steps, a fed keep_prob). The training graph keeps all its
        # inputs, because gradients may be requested even for inputs that the loss does not read.
        graph = drop_dead(graph) if self.training else _checked(_without_unused(graph))
        return graph if graph.comments == comments else replace(graph, comments=comments)


def _identity(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Rewrite an op that differs between the graphs to its value in inference; None for other ops."""
    if node.op == "select" and node.get("guards"):  # zeros past rows' ends, which only derivatives read
        value = operands[1]
        return value if value.type == node.type else make("broadcast", value, where=node.where, shape=node.shape)
    if node.op == "by_graph":
        return operands[1]
    if node.op == "with_update":
        return operands[0]
    return operands[0] if node.op == "dropout" else value_of(node, operands)


def _mask_and_scale(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Rewrite an op that differs between the graphs to its value in training; None for other ops."""
    if node.op in ("by_graph", "with_update"):
        return operands[0]
    if node.op != "dropout":
        return None
    x, keep, seed, step, row = operands
    where, dtype = node.where, node.dtype
    key = make("random_key", seed, step, row, where=where, name="key", site=node["site"], salt=node["salt"])
    unit = make("iota", size=x.shape[-1], name="unit")
    uniform = make("random_uniform", key, unit, where=where)
    kept = make("less", uniform, converted(keep, uniform.dtype), where=where, name="mask")
    if keep.op == "constant":
        scale = make("constant", value=np.asarray(1.0 / float(keep["value"]), dtype), name="scale")
    else:
        one = make("constant", value=np.ones((), dtype))
        scale = make("div", one, converted(keep, dtype), name="scale")
    zero = make("constant", value=np.zeros((), dtype))
    return make("select", kept, make("mul", x, scale, where=where), zero, where=where, name="dropped")


def _checked(graph: Graph) -> Graph:
    """Return the inference graph. Raise ``GraphError`` if it has a random op."""
    for node in graph.walk():
        if OPS[node.op].random:
            raise GraphError(
                "the inference graph depends on random numbers; replace them by rg.by_graph(training=…, inference=…)",
                node.where,
            )
    return graph


def _removed_ops(graph: Graph) -> Iterator[str]:
    """Yield a comment for each dropout that the inference graph does not have."""
    for node in graph.walk():
        if node.op == "dropout":
            keep = node.operands[1]
            text = f"{float(keep['value']):g}" if keep.op == "constant" else str(keep.get("label", "fed"))
            yield f"gone: dropout of {node['site']} (keep_prob {text}), declared at {node.where}"


def _without_unused(graph: Graph) -> Graph:
    """Remove scan operands that no body reads, and then inputs that nothing reads."""
    graph = drop_dead(graph)
    inputs = graph.read_inputs()
    if len(inputs) == len(graph.inputs):
        return graph
    return Graph.of(graph.name, graph.outputs, inputs, graph.comments)
