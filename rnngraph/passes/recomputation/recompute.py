"""recompute: rematerialise a recurrence's values for its derivative, one block of steps at a time.

A derivative runs in the opposite direction of its recurrence, and reads residuals of every step. With this pass, the
recurrence saves its carries only before each block of steps (attribute ``keeps``). When the derivative reaches a block,
a second scan runs the block again (attribute ``blocks``), together with the ops that read its steps. A sequence then
needs one checkpoint per block, and memory for the residuals of one block.
"""

from __future__ import annotations

from typing import ClassVar

from ...ir.graph import Graph
from ...ir.scan import derivatives_of, scan_dependencies
from ...support.records import dataclass


@dataclass(frozen=True)
class Recompute:
    """Rematerialise a recurrence's values that its derivative reads, a block of steps at a time.

    Law: values are unchanged, bit for bit.

    Attributes:
        steps: Number of steps of a block. None recomputes large states alone, in blocks that fit in cache.
    """

    steps: int | None
    name: ClassVar[str] = "recompute"

    def __call__(self, graph: Graph) -> Graph:
        from .bidirectional import Bidirectional  # imported late, because cached code does not need it
        from .large_states import recompute_large_states
        from .unidirectional import Unidirectional

        for length in dict.fromkeys(node["length"] for node in graph.nodes if node.op == "scan"):
            scans = [node for node in graph.nodes if node.op == "scan" and node["length"] == length]
            if any(scan.get("blocks") is not None for scan in scans):
                continue
            if self.steps is None:
                graph = recompute_large_states(graph, length)
                continue
            sources = scan_dependencies(graph.nodes, scans)
            backward = derivatives_of(scans, sources)
            forward = {scan for scan in scans if scan not in backward}
            if backward:
                ahead, against = ({scan["reverse"] for scan in part} for part in (forward, backward))
                rewriter = Unidirectional if len(ahead) == 1 and ahead.isdisjoint(against) else Bidirectional
                graph = rewriter(graph, length, self.steps, forward, sources).build()
        return graph
