"""autodiff: gradients as additional nodes of the graph.

The pass visits the nodes in reverse order, and accumulates adjoints by one rule for each op. ``scan_derivative`` has
the rule for scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

import numpy as np

from ...ir.build import zeros
from ...ir.derivatives import adjoints, values_alone
from ...ir.graph import Graph, Node, make, remake, topological, with_lines
from ...ir.types import TensorType
from ...support.records import dataclass
from .adjoint_sums import Adjoints
from .scan_derivative import ScanDerivative


def gradients(graph: Graph, seeds: Sequence[tuple[Node, Node]], wrt: Sequence[Node]) -> tuple[Graph, list[Node]]:
    """Return the graph whose scans also save what gradients read, and the gradients by each node of ``wrt``.

    The graph has the same outputs. If no seed depends on a node, its gradient is 0.

    Args:
        graph: Graph to differentiate.
        seeds: Nodes with their initial adjoints.
        wrt: Nodes of the graph.
    """
    work = _Reverse(graph.nodes, wrt)
    for node, adjoint in seeds:
        work.add(node, adjoint)
    work.run()
    new = work.replaced()
    results = [new(work.adjoint(node) or zeros(node.shape, node)) for node in wrt]
    outputs = [(name, new(node)) for name, node in graph.outputs]
    changed = Graph.of(graph.name, outputs, [new(node) for node in graph.inputs], graph.comments)
    return changed, with_lines(results, changed.nodes, lambda node: node.where and node.where.of(phase="backward"))


PREFIX = "gradient/"
OUTPUT_GRADIENT = "output_gradient/"


@dataclass(frozen=True)
class Autodiff:
    """Add gradients to a graph.

    Law: outputs are unchanged. The graph also returns ``gradient/<label>`` for each of ``wrt``.

    ``wrt`` has labels of inputs and parameters, or names of outputs. The gradients are those of the scalar output that
    ``loss`` names; with ``outputs``, they start from the inputs ``output_gradient/<name>`` instead.
    """

    wrt: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    loss: str = "loss"
    name: str = "autodiff"

    def __call__(self, graph: Graph) -> Graph:
        # Inputs are roots even if the loss does not depend on them; their gradient is then zero.
        by_label = dict(graph.outputs) | {str(node["label"]): node for node in graph.inputs}
        roots = [by_label[label] for label in self.wrt]
        seeds = [(node, _supplied(name, node)) for name in self.outputs for node in [graph.output(name)]]
        if not self.outputs:
            loss = graph.output(self.loss)
            seeds = [(loss, make("constant", value=np.ones((), loss.dtype)))]
        changed, results = gradients(graph, seeds, roots)
        inputs = [*changed.inputs, *(adjoint for _, adjoint in seeds if adjoint.op == "input")]
        outputs = [
            *changed.outputs,
            *((f"{PREFIX}{label}", node) for label, node in zip(self.wrt, results, strict=True)),
        ]
        return values_alone(Graph.of(changed.name, outputs, inputs, changed.comments))


def with_parameters(graph: Graph, kinds: Mapping[str, TensorType]) -> Graph:
    """Return the graph with an unread input for each parameter of ``kinds``, types by label, that it lacks."""
    known = {node["label"] for node in graph.inputs if node.op == "parameter"}
    unread = [
        make("parameter", label=label, name=label, type=kind) for label, kind in kinds.items() if label not in known
    ]
    return Graph.of(graph.name, graph.outputs, [*graph.inputs, *unread], graph.comments) if unread else graph


def _supplied(name: str, node: Node) -> Node:
    """Return a new input ``output_gradient/<name>`` for the gradient of the output ``node``."""
    return make("input", type=node.tensor, label=OUTPUT_GRADIENT + name, name=f"d_{name.replace('/', '_')}")


def unreached(graph: Graph) -> list[str]:
    """Return the labels whose gradient is a constant 0, because no differentiable op leads from them to the loss."""
    zero_nodes: set[Node] = set()
    for node in graph.nodes:
        is_zero = node.op == "constant" and not np.any(node["value"])
        if is_zero or (node.op == "broadcast" and node.operands[0] in zero_nodes):
            zero_nodes.add(node)
    return [name.removeprefix(PREFIX) for name, node in graph.outputs if name.startswith(PREFIX) and node in zero_nodes]


@dataclass
class _Reverse(Adjoints):
    """Reverse accumulation over a graph. ``swaps`` maps each scan to a scan that also returns the residuals."""

    swaps: dict[Node, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        # The ``get`` nodes of each scan, by index. Several nodes may get one result.
        self.results: dict[Node, dict[int, list[Node]]] = {}
        for node in self.nodes:
            if node.op == "get":
                self.results.setdefault(node.operands[0], {}).setdefault(node["index"], []).append(node)

    def run(self) -> None:
        """Compute the adjoint (gradient) of every node between ``wrt`` and the seeds, from the last to the first."""
        for node in reversed(self.nodes):
            if node not in self.active or not node.operands:
                continue
            if node.op == "scan":
                self._scan(node)
                continue
            if node.op == "get":
                continue  # ``_scan`` uses the adjoint of this result of a scan
            g = self.adjoint(node)
            if g is None:
                continue
            if node.op == "slice" and all(step == 1 for step in node["step"]):
                if node.operands[0] in self.active:
                    self.add_slice(node, g)
                continue
            for operand, part in zip(node.operands, adjoints(node, g), strict=True):
                if part is not None and operand in self.active:
                    self.add(operand, part)

    def _scan(self, node: Node) -> None:
        """Add the adjoints of a scan's operands, from those of its results."""
        results = self.results.get(node, {})
        received: dict[int, Node] = {}
        for index, users in results.items():
            for g in filter(None, map(self.adjoint, users)):
                received[index] = make("add", received[index], g, where=node.where) if index in received else g
        if not received:
            return
        derivative = ScanDerivative(node, received, self.active)
        self.swaps[node] = derivative.forward
        for operand, part in derivative.parts:
            self.add(operand, part)

    def replaced(self) -> Callable[[Node], Node]:
        """Return a function that rebuilds a node on scans that also return the values which gradients read."""
        known: dict[Node, Node] = {}
        visited: set[Node] = set()

        def current(node: Node) -> Node:
            return known[self.swaps.get(node, node)]

        def new(root: Node) -> Node:
            for node in topological([root], known=visited):
                visited.add(node)
                target = self.swaps.get(node, node)
                if target not in known:
                    known[target] = remake(target, [current(item) for item in target.operands])
            return current(root)

        return new
