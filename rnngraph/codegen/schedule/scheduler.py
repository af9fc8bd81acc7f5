"""From a graph to loop IR, in three phases: what runs together is analysed, then planned, and then written.

``analyse`` says which kernels there are, who computes each and whether several workers pay. ``plan_entry`` gives values
memory and kernels their tiles: an ``EntryPlan`` is whole before the first statement is written. ``emit_entry`` writes
the statements.
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
    alike: Sequence[PanelLayout] = (),
    timed: bool = False,
    max_chunk: int | None = None,
) -> ScheduledEntry:
    """The entry of a graph whose sizes, but for lengths of scans, are known, cut for workers whether they pay or not.

    Args:
        graph: the graph.
        target: the processor.
        name: of the entry.
        parts: into how many parts kernels are cut, for as many workers at most.
        alike: how another plan packs parameters, which this one then does too if it can.
        timed: whether the entry counts what time its parts take.
        max_chunk: steps of a chunk of time, at most.
    """
    return scheduled(analyse(graph, target, parts, max_chunk), name, alike, timed)


def scheduled(
    analysis: EntryAnalysis, name: str, alike: Sequence[PanelLayout] = (), timed: bool = False
) -> ScheduledEntry:
    """The entry of a graph that was analysed."""
    return emit_entry(plan_entry(analysis, alike), name, timed)
