"""recompute: what a derivative reads of a recurrence is computed again, a block of steps at a time, and not kept.

A derivative runs against the direction of its recurrence, over what that kept of every step. Here the recurrence keeps
what it carries before each block of steps (``keeps``); when the derivative comes to a block, the recurrence runs it
once more (``blocks``), and with it all that is computed of its steps. So of a sequence a state is kept for each block,
and all else is in memory for one block.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Graph
from ...ir.scan import derivatives_of, scans_behind
from .both_ways import BothWays
from .one_way import OneWay


@dataclass(frozen=True)
class Recompute:
    """Law: values unchanged, bit for bit. steps: of a block."""

    steps: int
    name: str = "recompute"

    def __call__(self, graph: Graph) -> Graph:
        for length in dict.fromkeys(node["length"] for node in graph.nodes if node.op == "scan"):
            scans = [node for node in graph.nodes if node.op == "scan" and node["length"] == length]
            if any(scan.get("blocks") is not None for scan in scans):
                continue
            behind = scans_behind(graph.nodes, scans)
            backward = derivatives_of(scans, behind)
            forward = {scan for scan in scans if scan not in backward}
            if backward:
                ahead, against = ({scan["reverse"] for scan in part} for part in (forward, backward))
                cut = OneWay if len(ahead) == 1 and ahead.isdisjoint(against) else BothWays
                graph = cut(graph, length, self.steps, forward, behind).made()
        return graph
