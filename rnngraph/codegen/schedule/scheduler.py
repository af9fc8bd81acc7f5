"""Translation of a graph to loop IR in three phases.

- ``analyse`` determines the kernels, their workers, and whether several workers pay.
- ``plan_entry`` allocates memory and chooses tiles. Its ``EntryPlan`` is complete before any statement is written.
- ``emit_entry`` writes the statements.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.graph import Graph
from ..buffers.packing import PanelLayout
from ..machine.target import Target
from .analyse.entry_analysis import EntryAnalysis, analyse
from .emit.entry_emitter import emit_entry
from .emit.scheduled_entry import ScheduledEntry
from .plan.planner import plan_entry


def schedule(
    graph: Graph,
    target: Target,
    name: str,
    parts: int = 1,
    reused_layouts: Sequence[PanelLayout] = (),
    timed: bool = False,
    max_chunk: int | None = None,
) -> ScheduledEntry:
    """Return the loop IR of the function (entry) that computes a graph with known sizes, except lengths of scans.

    The entry is split between ``parts`` workers, even if that does not pay.

    Args:
        graph: The graph.
        target: The processor.
        name: Name of the entry.
        parts: Number of parts of a kernel, and maximum number of workers.
        reused_layouts: Layouts of packed parameters of another plan, which are reused if possible.
        timed: True if the entry measures the time of its parts.
        max_chunk: Maximum number of steps of a chunk of time; None without a limit.
    """
    return scheduled(analyse(graph, target, parts, max_chunk), name, reused_layouts, timed)


def scheduled(
    analysis: EntryAnalysis, name: str, reused_layouts: Sequence[PanelLayout] = (), timed: bool = False
) -> ScheduledEntry:
    """Return the loop IR of the function (entry) that computes an analysed graph."""
    return emit_entry(plan_entry(analysis, reused_layouts), name, timed)
