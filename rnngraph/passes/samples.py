"""samples: compute a training graph for n draws of its random numbers in one call.

Values that depend on the seed get a leading axis of size n. All others are computed once, and broadcast where needed.
Draw k uses ``seed + k * 2**32``.

Law: entry k of every output equals, up to rounding, the output of the graph with the seed of draw k.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ir.graph import Graph, Node, make, remake
from ..ir.scan import ScanParts, is_final, split_inputs, step_condition
from ..support.errors import GraphError
from ..support.records import dataclass
from .loops.lifting import Lifted, lift, over_time

BETWEEN_SEEDS = 1 << 32
"""Difference of the seeds of consecutive draws."""


@dataclass(frozen=True)
class Samples:
    """Compute a training graph for ``count`` draws of its random numbers in one call.

    Law: entry k of every output equals, up to rounding, the output of the graph with the seed of draw k.

    Raises:
        GraphError: An op cannot be computed for all draws at once.
    """

    count: int
    name: str = "samples"

    def __call__(self, graph: Graph) -> Graph:
        values: dict[Node, Lifted] = {}
        scans: dict[Node, tuple[Node, tuple[bool, ...]]] = {}
        for node in graph.nodes:
            if node.op == "scan":
                scans[node] = self._scan(node, values)
            elif node.op == "get":
                values[node] = self._get(node, *scans[node.operands[0]])
            elif node.op == "input" and node["label"] == "seed":
                seed_stride = make("constant", value=np.int64(BETWEEN_SEEDS))
                values[node] = make("add", node, make("mul", make("iota", size=self.count), seed_stride)), True
            else:
                values[node] = self._lifted(node, [values[item] for item in node.operands])
        outputs = [(name, over_time(*values[node], self.count)) for name, node in graph.outputs]
        return Graph.of(graph.name, outputs, graph.inputs, graph.comments)

    def _lifted(self, node: Node, operands: list[Lifted]) -> Lifted:
        """Return (op for all draws, with their axis in front, True), or (op, False) if no operand differs by draw.

        Raise ``GraphError`` if the op cannot compute several draws at once.
        """
        if not any(drawn for _, drawn in operands):
            return remake(node, [item for item, _ in operands]), False
        lifted = lift(node, operands, self.count)
        if lifted is None:
            raise GraphError(
                f"{node.op} can't be computed for several draws at once; make one call per seed", node.where
            )
        return lifted, True

    def _get(self, node: Node, scan: Node, drawn: tuple[bool, ...]) -> Lifted:
        """Return a result of the rewritten ``scan``. ``drawn`` is True for results that differ between draws."""
        index = node["index"]
        value = make("get", scan, where=node.where, name=node.name, index=index)
        if drawn[index] and not is_final(node):  # a result [steps, draws, ...]
            value = _with_swapped_axes(value)
        return value, drawn[index]

    def _scan(self, scan: Node, values: dict[Node, Lifted]) -> tuple[Node, tuple[bool, ...]]:
        """Return the scan of all draws, and for each of its results True if the result differs between draws."""
        body: Graph = scan["body"]
        operands = [values[item] for item in scan.operands]
        drawn = _drawn_inputs(scan, [flag for _, flag in operands])
        condition = step_condition(scan)
        if condition is not None and drawn[condition]:
            raise GraphError(
                "samples= is not supported for a loop whose end depends on random draws; make one call per seed",
                scan.where,
            )
        inner: dict[Node, Lifted] = {}
        carried, steps, _ = split_inputs(scan, body.inputs)
        actual: list[Node] = []
        for param, (outer, flag) in zip(body.inputs, operands, strict=True):
            new = param
            if drawn[param]:
                kind = param.tensor.with_shape((self.count, *param.shape))
                new = make("input", where=param.where, name=param.name, label=param["label"], type=kind)
                if param in carried:
                    outer = over_time(outer, flag, self.count)
                elif param in steps:
                    outer = _with_swapped_axes(outer)
            inner[param] = new, drawn[param]
            actual.append(outer)
        for node in body.nodes:
            if node not in inner:
                inner[node] = self._lifted(node, [inner[item] for item in node.operands])
        outputs: list[tuple[str, Node]] = []
        flags: list[bool] = []
        for number, (name, node) in enumerate(body.outputs):
            value, flag = inner[node]
            if number < len(carried) and drawn[carried[number]]:
                value, flag = over_time(value, flag, self.count), True
            outputs.append((name, value))
            flags.append(flag)
        changed = Graph.of("body", outputs, [inner[param][0] for param in body.inputs])
        return ScanParts.of(scan, actual, changed).build(scan.where, scan.name), tuple(flags)


def _with_swapped_axes(value: Node) -> Node:
    """Swap the axis of draws and the time axis."""
    return make("transpose", value, where=value.where, order=(1, 0, *range(2, value.tensor.rank)))


def _drawn_inputs(scan: Node, drawn_operands: Sequence[bool]) -> dict[Node, bool]:
    """Return, for each input of a scan's body, True if it differs between draws at some step.

    ``drawn_operands`` is True for the operands that differ between draws.
    """
    body: Graph = scan["body"]
    drawn = dict(zip(body.inputs, drawn_operands, strict=True))
    while True:
        known = dict(drawn)
        for node in body.nodes:
            if node not in known:
                known[node] = any(known[item] for item in node.operands)
        more = [carry.inside for carry in ScanParts.of(scan).carries if known[carry.next] and not drawn[carry.inside]]
        if not more:
            return drawn
        drawn |= dict.fromkeys(more, True)
