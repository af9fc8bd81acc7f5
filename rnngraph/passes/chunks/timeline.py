"""What a stream must know of each value: how late it is, and how much of its past others read."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ...ir.axes.by_size import axis_of_names
from ...ir.graph import Graph, Node
from ...ir.types import TensorType
from .pace import Pace, Tempo

NO_FILL = b""
"""Where nothing is read of what stands before the first entry."""


class Repeat(Enum):
    """What stands before the first entry where it is entries again: those behind the first, mirrored, or the first."""

    MIRRORED = "mirrored"
    FIRST = "first"


class View(NamedTuple):
    """``base`` with ``front`` entries before its first, which are ``fill``; without so many of its first if negative.

    late: its delay, in its own entries; negative where it is ahead of time. begins: entries that must have come before
    any of it can be read.
    """

    base: Node
    front: int
    fill: bytes | Repeat
    late: int
    begins: int = 0

    @property
    def kept_fill(self) -> bytes:
        """The number that is kept as the past before the first entry."""
        return self.fill if self.front > 0 and isinstance(self.fill, bytes) else NO_FILL


class Taken(NamedTuple):
    """Every ``step``-th window of a view, of ``size`` entries that lie ``apart``."""

    view: View
    size: int
    step: int
    apart: int


class Past(NamedTuple):
    """What is kept of a value, with what stands before its first entry."""

    base: Node
    fill: bytes


@dataclass
class Timeline:
    """The entry i of a value in a chunk that begins with step K of a stream is entry ``many * K + i - delay`` of all.

    delays: by node, in its own entries; None for what is the same at all times, which is as late as one likes. views:
    padded and cut values, which only windows read, by node. windows: what is taken of them, by node. pasts: how many
    entries are kept. masked: pasts of which what stands before the first entry must be written over, as something late
    gave it. fronts: what repeats first entries before them, which no chunk computes. ends: slices of the last entries,
    and where they begin beside whole steps. resumed: what begins with a past that a kept state holds, and what is made
    of it, which a chunk computes as the whole does. delay: of outputs, in steps of the stream. kept: all nodes that
    only a chunk's graph can run. refused: why not, by node.
    """

    graph: Graph
    tempo: Tempo
    delays: dict[Node, int | None] = field(default_factory=dict)
    views: dict[Node, View] = field(default_factory=dict)
    windows: dict[Node, Taken] = field(default_factory=dict)
    pasts: dict[Past, int] = field(default_factory=dict)
    masked: set[Past] = field(default_factory=set)
    fronts: set[Node] = field(default_factory=set)
    ends: dict[Node, int] = field(default_factory=dict)
    resumed: set[Node] = field(default_factory=set)
    delay: int = 0
    kept: set[Node] = field(default_factory=set)
    refused: dict[Node, str] = field(default_factory=dict)

    @property
    def is_causal(self) -> bool:
        """Whether a chunk runs the graph as it is."""
        return not self.kept and not self.refused and self.tempo.rate == 1

    @property
    def owes(self) -> bool:
        """Whether something is given at the end of sequences only, though these are whole steps."""
        read = [node.operands[0] for node in self.ends] + [
            node for _, node in self.graph.outputs if self.has_time(node)
        ]
        loops = [node for node in self.delays if node.op == "scan"]
        paces = [*map(self.pace, read), *(self.tempo.pace(node["length"]) for node in loops)]
        more = any(pace is not None and pace.over > 0 for pace in paces)
        return more or self.delay > 0 or any(map(self.late, (*read, *loops)))

    def axis(self, node: Node) -> int | None:
        return time_axis(node, self.tempo.lengths)

    def pace(self, node: Node) -> Pace | None:
        """How a value's time axis grows; None where it has none, or no single rate."""
        axis = self.axis(node)
        return None if axis is None else self.tempo.pace(node.shape[axis])

    def past(self, view: View) -> Past:
        """What is kept for those who read a view."""
        if view.kept_fill != NO_FILL:
            return Past(view.base, view.kept_fill)
        found = (past for past in self.pasts if past.base is view.base and past.fill != NO_FILL)
        return next(found, Past(view.base, NO_FILL))

    def plain(self, node: Node) -> View:
        """A value as it is."""
        return View(node, 0, NO_FILL, self.late(node))

    def is_timeless(self, taken: Taken) -> bool:
        """Whether entries are taken of what is the same at all times."""
        base = taken.view.base
        return taken.size == 1 and taken.view == self.plain(base) and self.delays.get(base, 0) is None

    def late(self, node: Node) -> int:
        """The delay of a value, in its own entries."""
        return self.delays.get(node) or 0

    def holds_past(self, node: Node) -> bool:
        """Whether a value has more entries than a chunk, as it begins with a past that a kept state holds."""
        pace = self.pace(node) if node in self.resumed else None
        return pace is not None and pace.over > 0

    def has_time(self, node: Node) -> bool:
        """Whether a value has entries for each step."""
        if node.op == "scan":
            return False
        pace = self.pace(node)
        return pace is not None and pace.many > 0

    # Text ----------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """For those who look at it: a line for each value that has time."""
        yield f"{self.tempo.rate} entries for each step, outputs {self.delay} steps late"
        for node in self.graph.nodes:
            pace = None if node.op == "scan" else self.pace(node)
            if pace is None or not pace.many:
                continue
            kept = ", ".join(f"{count} kept" for past, count in self.pasts.items() if past.base is node and count)
            late = f"late by {self.late(node)}" if node in self.delays else "read by windows"
            yield f"{node.name}: {pace.many} for each step, {late}" + (f", {kept}" if kept else "")

    def __str__(self) -> str:
        return "\n".join(self.lines())


def time_axis(node: Node, lengths: Set[str]) -> int | None:
    """The first axis of a value that counts steps."""
    return axis_of_names(node.shape, lengths) if isinstance(node.type, TensorType) else None
