"""What a stream must know of each value: how late it is, and how much of its past others read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...ir.axes import counts
from ...ir.graph import Graph, Node
from ...ir.scan import ScanParts, is_final
from ...ir.types import Dim, TensorType
from .pace import Pace, Tempo

NO_FILL = b""
"""Where nothing is read of what stands before the first entry."""


class View(NamedTuple):
    """``base`` with ``front`` entries before its first, which are ``fill``; without so many of its first if negative.

    late: its delay, in its own entries; negative where it is ahead of time.
    """

    base: Node
    front: int
    fill: bytes
    late: int


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

    delays: by node, in its own entries; None for what is the same at all times, which is never late. views: padded and
    cut values, which only windows read, by node. windows: what is taken of them, by node. pasts: how many entries are
    kept. masked: pasts of which what stands before the first entry must be written over, as something late gave it.
    ends: slices of the last entries. delay: of outputs, in steps of the stream. kept: all nodes that only a chunk's
    graph can run. refused: why not, by node.
    """

    graph: Graph
    tempo: Tempo
    delays: dict[Node, int | None] = field(default_factory=dict)
    views: dict[Node, View] = field(default_factory=dict)
    windows: dict[Node, Taken] = field(default_factory=dict)
    pasts: dict[Past, int] = field(default_factory=dict)
    masked: set[Past] = field(default_factory=set)
    ends: set[Node] = field(default_factory=set)
    delay: int = 0
    kept: set[Node] = field(default_factory=set)
    refused: dict[Node, str] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph, lengths: Collection[str]) -> Timeline:
        """lengths: names of sizes that count steps."""
        dims = [node.shape[axis] for node in graph.nodes if (axis := time_axis(node, lengths)) is not None]
        found = Timeline(graph, Tempo.of(lengths, dims))
        for node in graph.nodes:
            why = found._place(node)
            if why:
                found.refused[node] = why
            if node not in found.views and (node.op == "scan" or found.has_time(node)):
                found.delays.setdefault(node, 0)
        found._align_outputs()
        found._join_pasts()
        return found

    @property
    def is_causal(self) -> bool:
        """Whether a chunk runs the graph as it is."""
        return not self.kept and not self.refused and self.tempo.rate == 1

    def axis(self, node: Node) -> int | None:
        return time_axis(node, self.tempo.lengths)

    def pace(self, node: Node) -> Pace | None:
        """How a value's time axis grows; None where it has none, or no single rate."""
        axis = self.axis(node)
        return None if axis is None else self.tempo.pace(node.shape[axis])

    def past(self, view: View) -> Past:
        """What is kept for those who read a view."""
        if view.front > 0:
            return Past(view.base, view.fill)
        found = (past for past in self.pasts if past.base is view.base and past.fill != NO_FILL)
        return next(found, Past(view.base, NO_FILL))

    def plain(self, node: Node) -> View:
        """A value as it is."""
        return View(node, 0, NO_FILL, self.late(node))

    def late(self, node: Node) -> int:
        """The delay of a value, in its own entries."""
        return self.delays.get(node) or 0

    # Nodes ---------------------------------------------------------------------------------------

    def _place(self, node: Node) -> str:
        """Says where a node stands in time. Gives a reason where it can't stand anywhere."""
        if node.op == "scan":
            return self._scan(node)
        if node.op == "get":
            if not is_final(node):
                self.delays[node] = self.delays[node.operands[0]]
            return ""
        axis, timed = self.axis(node), [item for item in node.operands if self.has_time(item)]
        if node.op == "slice" and timed and self._is_cut(node):
            return self._slice(node)
        if axis is None:
            return ""
        pace = self.tempo.pace(node.shape[axis])
        if pace is None:
            return "its steps are no fixed number for each step of a stream"
        if not pace.many:
            return ""
        if node.op == "concat" and axis == node["axis"] and timed:
            return self._concat(node)
        if node.op == "windows" and timed and self.axis(node.operands[0]) == node["axis"]:
            self.kept.add(node)
            self._take(node, Taken(self._view(node.operands[0]), node["size"], node["step"], node["apart"]))
            return ""
        return self._pointwise(node, pace, timed)

    def _pointwise(self, node: Node, pace: Pace, timed: Collection[Node]) -> str:
        """What is given for each entry of its operands, or fed, or the same at all times."""
        if node.op == "input":
            self.delays[node] = 0
            return f"{pace.over} of its steps belong to no step of a stream" if pace.over else ""
        self.delays[node] = self._together(timed) if timed else None
        if any(self.pace(item) != pace for item in timed):
            return f"{node.op} gives other steps than it takes"
        return ""

    def has_time(self, node: Node) -> bool:
        """Whether a value has entries for each step."""
        if node.op == "scan":
            return False
        pace = self.pace(node)
        return pace is not None and pace.many > 0

    def _together(self, operands: Collection[Node]) -> int | None:
        """The delay of what is made of operands entry by entry: all of them wait for the latest."""
        delays = [delay for delay in map(self._whole, operands) if delay is not None]
        latest = max(delays, default=None)
        for item in operands:
            if latest is not None and self.delays[item] is not None:
                self._keep(self.plain(item), latest - self.late(item))
        return latest

    def _whole(self, node: Node) -> int | None:
        """The delay of a value that is read as it is, also where it is one that windows are taken of."""
        if node in self.views and node not in self.delays:
            self._take(node, Taken(self.views[node], 1, 1, 1))
        return self.delays[node]

    def _scan(self, node: Node) -> str:
        scan = ScanParts.of(node)
        if not counts(scan.length, self.tempo.lengths) or node["reverse"]:
            return ""  # what that means is said elsewhere
        if self.tempo.pace(scan.length) is None:
            return "its steps are no fixed number for each step of a stream"
        self.delays[node] = self._together([item.outside for item in scan.sequences]) or 0
        return ""

    def _view(self, node: Node) -> View:
        return self.views.get(node, self.plain(node))

    def _concat(self, node: Node) -> str:
        whole = [place for place, item in enumerate(node.operands) if self.has_time(item)]
        if len(whole) > 1:
            return "sequences follow each other along time"
        front, inner = node.operands[: whole[0]], node.operands[whole[0]]
        found = [_fill_of(item) for item in front]
        fills = {fill for fill in found if fill is not None}
        if None in found or len(fills) > 1:
            return "what stands before the first step is no single number"
        self.kept.add(node)
        count = sum(self._fixed(item.shape[node["axis"]]) for item in front)
        view = self._view(inner)
        if front and (view.front < 0 or view.fill not in (NO_FILL, *fills)):
            self._whole(inner)
            view = self.plain(inner)
        self.views[node] = View(view.base, view.front + count, fills.pop() if front else view.fill, view.late - count)
        return ""

    def _is_cut(self, node: Node) -> bool:
        axis = self.axis(node.operands[0])
        assert axis is not None
        return (node["start"][axis], node["stop"][axis], node["step"][axis]) != (0, node.operands[0].shape[axis], 1)

    def _slice(self, node: Node) -> str:
        source = node.operands[0]
        axis = self.axis(source)
        assert axis is not None
        start, stop, step = node["start"][axis], node["stop"][axis], node["step"][axis]
        if counts(start, self.tempo.lengths):
            return self._end(node, axis)
        if not self.has_time(node):
            return f"a slice {start}:{stop} over time"
        self.kept.add(node)
        view, first = self._view(source), self._fixed(start)
        late = max(view.late + first, first - self._fixed(stop))  # what is cut off at the end is not there to be read
        view = view._replace(front=view.front - first, late=late)
        if step == 1:
            self.views[node] = view
        else:
            self._take(node, Taken(view, 1, step, 1))
        return ""

    def _end(self, node: Node, axis: int) -> str:
        """A slice of the last entries."""
        source, start = node.operands[0], node["start"][axis]
        self._whole(source)
        first, whole = self.tempo.pace(start), self.pace(source)
        if first is None or whole is None or first.many != whole.many:
            return "a slice over time that begins at neither end"
        self.ends.add(node)
        if start != source.shape[axis] - 1 or node["stop"][axis] != source.shape[axis]:
            self.kept.add(node)
        self._keep(self.plain(source), max(0, whole.over - first.over, -first.over - self.late(source)))
        return ""

    def _fixed(self, dim: Dim) -> int:
        """A number of entries that does not grow."""
        pace = self.tempo.pace(dim)
        return pace.over if pace is not None else int(str(dim))

    def _take(self, node: Node, taken: Taken) -> None:
        """Windows are given with the step in which their last entry comes."""
        view, step = taken.view, taken.step
        self._whole(view.base)
        delay = max(0, -(-(taken.apart * (taken.size - 1) + 1 + view.late) // step) - 1)
        self.delays[node], self.windows[node] = delay, taken
        ahead = delay * step + view.front - self.late(view.base)
        self._keep(view, ahead if ahead >= 0 else ahead + step)  # else the first window begins within the chunk

    def _keep(self, view: View, count: int) -> None:
        """Keeps ``count`` entries of a view's base."""
        if count and view.base.tensor.rank < 2:
            self.refused.setdefault(view.base, "what is kept of a sequence is kept for each row, and it has no rows")
        past = Past(view.base, view.fill if view.front > 0 else NO_FILL)
        self.pasts[past] = max(count, self.pasts.get(past, 0))
        if view.front > 0 and self.late(view.base):
            self.masked.add(past)

    def _align_outputs(self) -> None:
        timed = [node for _, node in self.graph.outputs if self.has_time(node)]
        for node in timed:
            self._whole(node)
            pace = self.pace(node)
            assert pace is not None
            self.delay = max(self.delay, -(-self.late(node) // pace.many))
        for node in timed:
            if self.delays[node] is not None:
                pace = self.pace(node)
                assert pace is not None
                self._keep(self.plain(node), self.delay * pace.many - self.late(node))

    def _join_pasts(self) -> None:
        """Where no one reads what stands before the first entry, any past will do."""
        for past, count in [*self.pasts.items()]:
            other = self.past(self.plain(past.base))
            if past.fill == NO_FILL and other != past:
                self.pasts[other] = max(count, self.pasts[other])
                del self.pasts[past]

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


def time_axis(node: Node, lengths: Collection[str]) -> int | None:
    """The first axis of a value that counts steps."""
    if not isinstance(node.type, TensorType):
        return None
    return next((axis for axis, dim in enumerate(node.shape) if counts(dim, set(lengths))), None)


def _fill_of(node: Node) -> bytes | None:
    """The number that all elements of a value are; None where they may differ."""
    while node.op == "broadcast":
        node = node.operands[0]
    if node.op != "constant" or node["value"].size != 1:
        return None
    return np.asarray(node["value"]).tobytes()
