"""Timeline of a graph: the delay of each value in a stream, and the number of past entries that are read."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import field
from enum import Enum

from ...ir.axes.by_size import axis_of_names, counts
from ...ir.graph import Graph, Node
from ...ir.types import Dim, TensorType
from ...support.records import NamedTuple, dataclass
from .stream_rate import Growth, StreamRate

NO_FILL = b""
"""Fill of a past if no reader reads an entry before the sequence's first one."""


class Repeat(Enum):
    """Padding in front of a sequence that consists of its own entries: mirrored, or the first one repeated."""

    MIRRORED = "mirrored"
    FIRST = "first"


class View(NamedTuple):
    """Value ``base`` with padding ``fill`` in front; ``front`` is the number of padded entries.

    If ``front`` is negative, that many first entries are dropped.

    Attributes:
        fill: Bytes of a number, entries of the sequence, or a value with one entry, which the padding repeats.
        delay: Delay in entries of the view; negative if it is ahead of time.
        begins: Number of entries that must have arrived before the view can be read.
    """

    base: Node
    front: int
    fill: bytes | Repeat | Node
    delay: int
    begins: int = 0

    @property
    def kept_fill(self) -> bytes:
        """Bytes of the number that initialises the kept entries of a view."""
        return self.fill if self.front > 0 and isinstance(self.fill, bytes) else NO_FILL


class WindowSpec(NamedTuple):
    """Windows of a view: ``size`` entries with this ``dilation``, and ``step`` entries between starts of windows."""

    view: View
    size: int
    step: int
    dilation: int


class Past(NamedTuple):
    """Kept entries of a value. ``fill`` has the bytes of the number before its first entry."""

    base: Node
    fill: bytes


@dataclass
class Timeline:
    """Delay of each value in a stream, and the number of past entries to keep of it.

    Entry i of a value in the chunk from step K is entry ``per_step * K + i - delay`` of the sequence.

    Attributes:
        delays: Delay of each node, in entries of the node; None for values that are equal at all times.
        views: Padded and cut values by node, which chunks read through windows.
        windows: Windows over views, by node.
        pasts: Number of entries to keep, by past.
        masked: Pasts whose entries before the first must be overwritten, because the source is delayed.
        fronts: Nodes that repeat first entries as padding in front of a sequence. Chunks do not compute them.
        ends: Slices of the last entries; for each the offset of its start from ``per_step`` times the number of steps.
        resumed: Concatenations with the past of a kept state or of a sequence, and values computed from them as in the
            whole graph.
        resumed_pads: Views of concatenations in ``resumed`` of padding and a sequence, whose past replaces the padding.
        delay: Delay of the outputs in steps of the stream.
        chunk_only: Nodes that chunks compute differently from the whole graph.
        joins: Reshapes that split each entry of their operand, by node: the number of entries that an entry becomes.
        running: Step numbers that streams continue from call to call, and nodes computed from them alone.
        refused: Reason why a node cannot be streamed.
        firsts: Slices of the first entries of sequences, which states hold.
        started: Loops whose initial values are computed from first entries.
    """

    graph: Graph
    stream_rate: StreamRate
    delays: dict[Node, int | None] = field(default_factory=dict)
    views: dict[Node, View] = field(default_factory=dict)
    windows: dict[Node, WindowSpec] = field(default_factory=dict)
    pasts: dict[Past, int] = field(default_factory=dict)
    masked: set[Past] = field(default_factory=set)
    fronts: set[Node] = field(default_factory=set)
    ends: dict[Node, int] = field(default_factory=dict)
    resumed: set[Node] = field(default_factory=set)
    resumed_pads: dict[Node, View] = field(default_factory=dict)
    delay: int = 0
    chunk_only: set[Node] = field(default_factory=set)
    joins: dict[Node, int] = field(default_factory=dict)
    running: set[Node] = field(default_factory=set)
    refused: dict[Node, str] = field(default_factory=dict)
    firsts: set[Node] = field(default_factory=set)
    started: set[Node] = field(default_factory=set)

    @property
    def is_causal(self) -> bool:
        """True if a stream can run the graph of the whole sequence, unchanged, on each chunk."""
        return (
            not self.chunk_only
            and not self.joins
            and not self.running
            and not self.refused
            and self.stream_rate.rate == 1
        )

    @property
    def has_tail(self) -> bool:
        """True if the end of a sequence needs a separate graph, because the chunk's graph would be wrong there."""
        return bool(self.chunk_only or self.joins) or self.stream_rate.rate > 1 or self.has_late_entries

    @property
    def has_late_entries(self) -> bool:
        """True if some entries are returned after the last step, even if the rate divides the sequence's length."""
        read = [node.operands[0] for node in self.ends] + [
            node for _, node in self.graph.outputs if self.has_time(node)
        ]
        loops = [node for node in self.delays if node.op == "scan"]
        paces = [*map(self.growth, read), *(self.stream_rate.growth(node["length"]) for node in loops)]
        more = any(growth is not None and growth.constant > 0 for growth in paces)
        return more or self.delay > 0 or any(map(self.delay_of, (*read, *loops)))

    def axis(self, node: Node) -> int | None:
        """Return a value's time axis; None if it has none."""
        return time_axis(node, self.stream_rate.lengths)

    def growth(self, node: Node) -> Growth | None:
        """Return the growth of a value's time axis; None without a time axis, or if it does not grow linearly."""
        axis = self.axis(node)
        return None if axis is None else self.stream_rate.growth(node.shape[axis])

    def past(self, view: View) -> Past:
        """Return the kept entries that a view reads."""
        if view.kept_fill != NO_FILL:
            return Past(view.base, view.kept_fill)
        shared = (past for past in self.pasts if past.base is view.base and past.fill != NO_FILL)
        return next(shared, Past(view.base, NO_FILL))

    def plain(self, node: Node) -> View:
        """Return the view of a value without padding or cuts."""
        return View(node, 0, NO_FILL, self.delay_of(node))

    def is_timeless(self, spec: WindowSpec) -> bool:
        """True if windows are single entries of a value whose entries are all equal."""
        base = spec.view.base
        return spec.size == 1 and spec.view == self.plain(base) and self.delays.get(base, 0) is None

    def delay_of(self, node: Node) -> int:
        """Return the delay of a value, in entries of the value; 0 if none is recorded."""
        return self.delays.get(node) or 0

    def keeps_rate(self, node: Node) -> bool:
        """True if the sizes that an ``ensure_shape`` compares grow at the same rate."""
        pairs = zip(node.operands[0].shape, node.shape, strict=True)
        return all(a == b or (self.stream_rate.growth(a) == self.stream_rate.growth(b) is not None) for a, b in pairs)

    def holds_past(self, node: Node) -> bool:
        """True if a value has more entries than a chunk, because it starts with the past of a kept state."""
        growth = self.growth(node) if node in self.resumed else None
        return growth is not None and growth.constant > 0

    def has_time(self, node: Node) -> bool:
        """True if a value has entries for each step."""
        if node.op == "scan":
            return False
        growth = self.growth(node)
        return growth is not None and growth.per_step > 0

    def cut_out(self, node: Node) -> tuple[Node, Dim, int]:
        """Return the node that nested slices along time read, and the start and step of the slices in its entries."""
        start: Dim = 0
        step = 1
        while node.op == "transpose" or (node.op == "slice" and self._is_cut_in_time_alone(node)):
            if node.op == "slice":
                axis = self.axis(node.operands[0])
                start, step = node["start"][axis] + start * node["step"][axis], step * node["step"][axis]
            node = node.operands[0]
        return node, start, step

    def _is_cut_in_time_alone(self, node: Node) -> bool:
        """True if a slice keeps all axes but time whole."""
        time, whole = self.axis(node.operands[0]), node.operands[0].shape
        others = (axis for axis in range(len(whole)) if axis != time)
        return time is not None and all(node.shape[axis] == whole[axis] for axis in others)

    # Text ----------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield a description: one line on the stream, and one for each value with entries for each step."""
        yield f"{self.stream_rate.rate} entries for each step, outputs {self.delay} steps late"
        for node in self.graph.nodes:
            growth = None if node.op == "scan" else self.growth(node)
            if growth is None or not growth.per_step:
                continue
            kept = ", ".join(f"{count} kept" for past, count in self.pasts.items() if past.base is node and count)
            delay_text = f"late by {self.delay_of(node)}" if node in self.delays else "read by windows"
            yield f"{node.name}: {growth.per_step} for each step, {delay_text}" + (f", {kept}" if kept else "")

    def __str__(self) -> str:
        return "\n".join(self.lines())


def is_running(node: Node, lengths: Set[str]) -> bool:
    """True for step numbers that a stream continues from call to call. Without ``lengths``, a call is a step."""
    if node.op not in ("iota", "dimension") or not node.get("runs"):
        return False
    return counts(node["size"], lengths) or (not lengths and node.op == "dimension" and bool(node["size"] == 1))


def time_axis(node: Node, lengths: Set[str]) -> int | None:
    """Return the first axis whose size contains one of ``lengths``, and so counts steps; None if there is none."""
    return axis_of_names(node.shape, lengths) if isinstance(node.type, TensorType) else None
