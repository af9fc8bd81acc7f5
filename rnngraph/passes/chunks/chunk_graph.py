"""Graph of a chunk of a stream. Its states hold the entries of earlier chunks that the chunk reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...ir.build import number
from ...ir.graph import Graph, Node, make, substitute_attribute
from ...ir.node import inverse_order
from ...ir.scan import Binding, ScanParts
from ...ir.sizes.polynomial import Dim, product, size
from ...ir.types import TensorType
from ...support.errors import GraphError, Where
from ...support.records import dataclass
from .before_start import BeforeStart, transposed, with_size
from .chunk_states import FIRST, LOOP, PAST, ChunkStates, is_number
from .row_positions import RowPositions
from .stream_rate import Growth
from .timeline import NO_FILL, Past, Repeat, Timeline, View, WindowSpec, is_running


@dataclass(frozen=True)
class Chunked:
    """Graph of a chunk, with the initial values of its added states as nodes, by label."""

    graph: Graph
    initial: tuple[tuple[str, Node], ...]


def chunk_graph(timeline: Timeline, rows: Dim, where: Where | None = None) -> Chunked:
    """Return the graph of a chunk with any number of steps; ``rows`` is the number of rows, as in the graph.

    Law: for the chunk that starts with step K, entry i of a result equals entry ``per_step * K + i - delay`` of the
    whole graph's result, bit for bit. Entries before the first are zero.
    """
    return _ChunkGraph(timeline, rows, None, where).build()


def tail_graph(timeline: Timeline, rows: Dim, rests: Mapping[str, int], where: Where | None = None) -> Graph:
    """Return the graph of a sequence's end. ``rests`` has the number of entries after the last whole step, by length.

    Law: it returns those entries of the whole graph's outputs that no chunk has returned.

    Raises:
        GraphError: For a sequence of this length, entries that earlier chunks have returned would differ.
    """
    return _ChunkGraph(timeline, rows, rests, where).build().graph


class _ChunkGraph:
    """Builder of the graph of a chunk or, with ``rests``, of a sequence's end."""

    def __init__(self, timeline: Timeline, rows: Dim, rests: Mapping[str, int] | None, where: Where | None) -> None:
        self.timeline, self.rows, self.rests, self.where = timeline, rows, rests, where
        self.new: dict[Node, Node] = {}
        self.time_invariant: dict[tuple[Node, int], Node] = {}  # time-invariant values, by node and delay
        self.pasts: dict[Past, Node] = {}  # values of the chunk, each preceded by its past
        self.filled: dict[tuple[Node, Repeat | Node], Node] = {}  # pasts with padding
        self.positions = RowPositions(rows, where)
        self.inputs: dict[Node, Node] = {}
        self.states = ChunkStates(rows, rests is not None)
        self.before = BeforeStart(timeline, rows, self.states)
        stateful = [node for node in timeline.graph.nodes if node in timeline.firsts or node in timeline.started]
        self.numbers = {node: number for number, node in enumerate(stateful)}  # in labels of their states

    def build(self) -> Chunked:
        try:
            return self._build()
        except GraphError:
            raise
        except (ValueError, TypeError) as error:  # an op whose sizes fit in the whole graph, but not in a chunk
            raise GraphError(f"this graph can't be streamed: {error}", self.where) from None

    def _build(self) -> Chunked:
        graph, timeline = self.timeline.graph, self.timeline
        for node in graph.nodes:
            if node in timeline.fronts or (node in timeline.views and node not in timeline.delays):
                continue
            if timeline.delays.get(node, 0) is not None:
                self.new[node] = self._lowered(node)
        outputs = [(name, self._output(node)) for name, node in graph.outputs]
        if self.rests is None:
            outputs += [(label, after) for label, (_, _, after) in self.states.by_label.items()]
        inputs = [self.inputs.get(node, node) for node in graph.inputs if not is_number(node)]
        inputs += [present for _, present, _ in self.states.by_label.values()]
        chunk = Graph.of(graph.name, outputs, inputs, graph.comments)
        return Chunked(chunk, tuple((label, first) for label, (first, _, _) in self.states.by_label.items()))

    # Sizes ---------------------------------------------------------------------------------------

    def _growth(self, node: Node) -> Growth:
        axis = self.timeline.axis(node)
        assert axis is not None
        return self._growth_of(node.shape[axis])

    def _growth_of(self, dim: Dim) -> Growth:
        growth = self.timeline.stream_rate.growth(dim, self.rests)
        assert growth is not None
        return growth

    def _count(self, growth: Growth, delay: int) -> Dim:
        """Return the number of entries of a value in a chunk; at the end of a sequence, that of its remaining entries.

        At the end, ``delay`` entries of the value are late and remain.
        """
        return growth.per_step * size(growth.symbol) if self.rests is None else growth.constant + delay

    def _chunk_sizes(self, value: Any, delay: int) -> Any:
        """Return ``value``, a size or nested tuple, with sizes of the whole sequence replaced by those of a chunk.

        ``delay`` is the delay of the node that has these sizes.
        """
        if isinstance(value, tuple):
            return tuple(self._chunk_sizes(item, delay) for item in value)
        growth = self.timeline.stream_rate.growth(value, self.rests)
        if growth is None:
            return value
        return self._count(growth, delay) if growth.per_step else growth.constant

    # Nodes ---------------------------------------------------------------------------------------

    def _lowered(self, node: Node) -> Node:
        """Return the chunk's node for a node of the graph of the whole sequence."""
        line = self.timeline
        if node.op == "input":
            return self._input(node)
        if node.op in ("parameter", "constant"):
            return node
        if node.op == "scan":
            return self._scan(node)
        if node in line.resumed:
            return self._resume(node)
        if node in line.ends:
            return self._end(node)
        if node in line.firsts:
            return self._first(node)
        if node in line.windows:
            return self._windows(node, line.windows[node])
        return self._remade(node, line.delay_of(node))

    def _resume(self, node: Node) -> Node:
        """Return the chunk's node for an op whose operands begin with past entries that a state keeps."""
        if (view := self.timeline.resumed_pads.get(node)) is not None:
            (joined, kept), count = self._joined(view), self._count(self._growth(view.base), 0)
            return self._cut(joined, view.base, kept - view.front, view.front + count)
        if self.timeline.has_time(node) and self._count(self._growth(node), 0) == 0:
            return self._empty(node)
        return self._with_past_sizes(node, [self._beside_past(item) for item in node.operands])

    def _beside_past(self, node: Node) -> Node:
        """Return an operand of an op on past entries. Values that are equal at all times get as many entries."""
        if not self.timeline.has_time(node) or self.timeline.delays.get(node, 0) is not None:
            return self._delay(node, 0)
        return self._with_past_sizes(node, [self._beside_past(item) for item in node.operands])

    def _with_past_sizes(self, node: Node, operands: Sequence[Node]) -> Node:
        """Return an op on operands that begin with past entries, with the sizes of the chunk in its attributes."""
        sizes = self.timeline.stream_rate.sizes(self.rests)
        attributes = {key: substitute_attribute(value, sizes) for key, value in node.attributes}
        return make(node.op, *operands, where=node.where, name=node.name, **attributes)

    def _remade(self, node: Node, delay: int) -> Node:
        if node.op == "get":
            return make("get", self.new[node.operands[0]], where=node.where, name=node.name, index=node["index"])
        if is_running(node, self.timeline.stream_rate.lengths):
            if not self.timeline.stream_rate.lengths:
                return self.positions.add(self.states.calls(node), node)
            growth = self._growth_of(node["size"])
            plain = make(node.op, where=node.where, name=node.name, size=self._count(growth, delay))
            return self.positions.add(self.states.running(node, plain, growth, delay), plain)
        piece = self.timeline.joins.get(node, 1)  # entries for each entry of the operand
        operands = [self._delay(item, delay // piece) for item in node.operands]
        attributes = {
            key: self._chunk_sizes(value, delay) if key in ("shape", "stop", "size") else value
            for key, value in node.attributes
        }
        if any(item in self.positions.plain for item in operands):
            return self.positions.build(node, operands, attributes)
        return make(node.op, *operands, where=node.where, name=node.name, **attributes)

    def _input(self, node: Node) -> Node:
        if is_number(node):
            return self.states.number(node)
        shape = tuple(self._chunk_sizes(dim, 0) for dim in node.shape)
        if shape == node.shape:
            return node
        kind = TensorType(node.dtype, shape)
        self.inputs[node] = make("input", where=node.where, name=node.name, label=node["label"], type=kind)
        return self.inputs[node]

    def _scan(self, node: Node) -> Node:
        delay, scan = self.timeline.delay_of(node), ScanParts.of(node)
        parts = replace(
            scan,
            carries=[carry._replace(initial=self._plain(carry.initial, 0)) for carry in scan.carries],
            sequences=[Binding(item.inside, self._plain(item.outside, delay)) for item in scan.sequences],
            invariants=[Binding(item.inside, self._plain(item.outside, 0)) for item in scan.invariants],
            length=self._chunk_sizes(scan.length, delay),
        )
        if delay:
            parts = self._idle_before_start(parts, self._growth_of(scan.length), delay)
        if node in self.timeline.started:
            return self._started(parts, self._growth_of(scan.length), node)
        return parts.build(node.where, node.name)

    def _started(self, scan: ScanParts, growth: Growth, node: Node) -> Node:
        """Return a loop over a chunk's steps, started by computed values at first, later by the kept states."""
        carries, inputs = [], []
        for carry in scan.carries:
            value, present = self.states.first(f"{LOOP}/{self.numbers[node]}/{carry.name}", carry.initial, growth)
            carries.append(carry._replace(initial=value))
            inputs.append(present)
        loop = replace(scan, carries=carries).build(node.where, node.name)
        for index, present in enumerate(inputs):
            after = make("get", loop, index=index, where=node.where)
            self.states.by_label[str(present["label"])] = number(0, present), present, after
        return loop

    def _idle_before_start(self, scan: ScanParts, growth: Growth, delay: int) -> ScanParts:
        """Return a scan whose carries keep their initial values for ``delay`` entries, until the sequence begins."""
        begun = self.before.has_begun(growth, delay, self._count(growth, delay))
        runs = make("transpose", begun, order=(1, 0))
        runs = make("reshape", runs, shape=(*runs.shape, 1))
        inside = make("input", name="begun", label="begun", type=TensorType("bool", runs.shape[1:]))
        carries = []
        for carry in scan.carries:
            rank = carry.next.tensor.rank
            selects = inside if rank == 2 else make("reshape", inside, shape=(*inside.shape[:rank], *(1,) * (rank - 2)))
            selected = make("select", selects, carry.next, carry.inside, where=carry.next.where)
            carries.append(carry._replace(next=selected))
        return replace(scan, carries=carries, sequences=[*scan.sequences, Binding(inside, runs)])

    def _plain(self, node: Node, delay: int) -> Node:
        """Return a value that a loop reads. Raise ``GraphError`` if it depends on step numbers, which differ by row."""
        return self.positions.check(self._delay(node, delay), "a loop")

    # Values at other times -----------------------------------------------------------------------

    def _delay(self, node: Node, delay: int) -> Node:
        """Return a value delayed by ``delay`` entries. A value without a time axis is unchanged."""
        line = self.timeline
        if not isinstance(node.type, TensorType) or line.axis(node) is None or not line.has_time(node):
            return self.new[node]
        own = line.delays[node]
        if own is None:
            if (node, delay) not in self.time_invariant:
                self.time_invariant[node, delay] = self._remade(node, delay)
            return self.time_invariant[node, delay]
        if own == delay:
            return self.new[node]
        joined, kept = self._joined(line.plain(node))
        return self._cut(joined, node, kept + own - delay, self._count(self._growth(node), delay))

    def _cut(self, node: Node, like: Node, start: Dim, count: Dim, step: int = 1) -> Node:
        """Return every ``step``-th of ``count`` entries from ``start`` along time. ``like`` has the same time axis."""
        axis = self.timeline.axis(like)
        assert axis is not None
        if (start, count, step) == (0, node.shape[axis], 1):
            return node
        starts = tuple(start if place == axis else 0 for place in range(node.tensor.rank))
        stops = tuple(start + count if place == axis else dim for place, dim in enumerate(node.shape))
        steps = tuple(step if place == axis else 1 for place in range(node.tensor.rank))
        return make("slice", node, where=like.where, start=starts, stop=stops, step=steps)

    def _joined(self, view: View) -> tuple[Node, int]:
        """Return a chunk of the value that a view reads, with past entries in front, and the number of past entries."""
        line, past = self.timeline, self.timeline.past(view)
        kept, base = line.pasts.get(past, 0), past.base
        if past not in self.pasts:
            chunk = self._delay(base, line.delay_of(base))
            if past in line.masked:
                chunk = self.before.fill_with(chunk, base, self._fill(past.fill, base), line.delay_of(base))
            self.pasts[past] = self._with_past(chunk, past, kept) if kept else chunk
        joined = self.pasts[past]
        if view.front > 0 and not isinstance(view.fill, bytes):
            if (base, view.fill) not in self.filled:
                self.filled[base, view.fill] = self._filled(joined, base, kept, view.fill)
            joined = self.filled[base, view.fill]
        return joined, kept

    def _filled(self, joined: Node, base: Node, kept: int, fill: Repeat | Node) -> Node:
        """Return a chunk with ``kept`` past entries, and ``fill`` in place of entries before the first."""
        if isinstance(fill, Repeat):
            return self.before.fill_with_entries(joined, base, kept, fill)
        value = self.positions.check(self.new[fill], "padding")
        return self.before.fill_with(joined, base, value, kept + self.timeline.delay_of(base))

    def _with_past(self, chunk: Node, past: Past, kept: int) -> Node:
        """Return a chunk with ``kept`` past entries in front, and make these entries a state."""
        base, axis = past.base, self.timeline.axis(past.base)
        assert axis is not None
        rows, chunk, fill = self.before.row_axis(base), self._with_rows(chunk, base), self._fill(past.fill, base)
        others = [place for place in range(chunk.tensor.rank) if place not in (rows, axis)]
        wide = tuple(chunk.shape[place] for place in others)
        flat = (self.rows, kept * product(wide))
        number_of_past = [other for other, count in self.timeline.pasts.items() if count].index(past)
        present = self.states.make(f"{PAST}/{number_of_past}", flat, fill, base)
        order = (rows, axis, *others)
        before = make("reshape", present, where=base.where, shape=(self.rows, kept, *wide))
        before = transposed(before, inverse_order(order))
        joined = make("concat", before, chunk, where=base.where, axis=axis)
        after = present
        if self.rests is None:
            after = transposed(self._cut(joined, base, self._count(self._growth(base), 0), kept), order)
            after = make("reshape", after, where=base.where, shape=flat)
        self.states.by_label[str(present["label"])] = fill, present, after
        return joined

    def _with_rows(self, chunk: Node, base: Node) -> Node:
        """Broadcast a chunk that all rows share. Rows keep their own entries, because they start at different times."""
        rows = self.before.row_axis(base)
        if chunk.shape[rows] not in (1, self.rows):
            raise GraphError(
                "this graph can't be streamed: a stream keeps the past of a sequence for each row, but the "
                f"sequence declared at {base.where} has no row axis; give it the batch as an axis",
                self.where,
            )
        return with_size(chunk, rows, self.rows)

    def _first(self, node: Node) -> Node:
        """Return the first entries of a sequence. The first chunk has them; later chunks read them from a state."""
        source, axis = node.operands[0], self.timeline.axis(node.operands[0])
        assert axis is not None
        chunk = self._with_rows(self.positions.check(self._delay(source, 0), "a slice of the first entries"), source)
        shape = tuple(node["stop"][axis] if place == axis else dim for place, dim in enumerate(chunk.shape))
        zeros = make("broadcast", number(0, node), shape=shape)  # for chunks of no steps
        joined = make("concat", chunk, zeros, where=node.where, axis=axis)
        cut = make("slice", joined, where=node.where, name=node.name, **dict(node.attributes))
        rows = self.before.row_axis(source)
        order = (rows, *(place for place in range(cut.tensor.rank) if place != rows))
        first, label = transposed(cut, order), f"{FIRST}/{self.numbers[node]}"
        value, present = self.states.first(label, first, self._growth(source))
        self.states.by_label[label] = number(0, node), present, value
        return transposed(value, inverse_order(order))

    def _fill(self, fill: bytes, like: Node) -> Node:
        if fill == NO_FILL:
            return number(0, like)
        return make("constant", value=np.frombuffer(fill, like.dtype)[0].reshape(()))

    # Windows, and the end ------------------------------------------------------------------------

    def _windows(self, node: Node, spec: WindowSpec) -> Node:
        """Return the sliding windows that are complete in this chunk. Windows of size 1 are entries."""
        line, view, step, axis = self.timeline, spec.view, spec.step, self.timeline.axis(spec.view.base)
        delay, span = line.delay_of(node), spec.dilation * (spec.size - 1)
        count, dropped = self._count(self._growth(node), delay), 0
        if count == 0:
            return self._empty(node)
        if line.is_timeless(spec):
            base = self._delay(view.base, delay * step)
            return self._cut(base, view.base, 0, base.shape[axis or 0], step)
        if self.rests is None:
            joined, kept = self._joined(view)
            ahead = delay * step + view.front - line.delay_of(view.base)
            dropped = int(ahead < 0)  # the first window starts inside the chunk: also compute, and drop, the one before
            start = kept - ahead - dropped * step
            more = span + 1 if dropped else min(span, kept - start)
            joined = self._cut(joined, view.base, start, count * step + more)
        else:
            joined = self._last_entries(*self._source(node, -delay), view)
            joined = self._cut(joined, view.base, 0, (count - 1) * step + span + 1)
        if spec.size == 1:
            windows = self._cut(joined, view.base, 0, joined.shape[axis or 0], step)
        else:
            cut: dict[str, Any] = {"axis": axis, "size": spec.size, "step": step, "apart": spec.dilation}
            windows = make("windows", joined, where=node.where, name=node.name, **cut)
        return self._cut(windows, view.base, dropped, count)

    def _empty(self, node: Node) -> Node:
        """Return a value without entries, in place of a node."""
        rows, axis = self.before.row_axis(node), self.timeline.axis(node)
        shape = tuple(0 if place == axis else dim for place, dim in enumerate(node.shape))
        shape = tuple(self.rows if place == rows else dim for place, dim in enumerate(shape))
        return make("broadcast", number(0, node), where=node.where, shape=shape)

    def _source(self, node: Node, first: int) -> tuple[Node, int]:
        """Return the value of which a node reads windows, and the entry index at which window ``first`` starts."""
        if node in self.timeline.views:
            return node, first
        source = node.operands[0]
        if node.op == "windows":
            return source, first * node["step"]
        axis = self.timeline.axis(source)
        assert axis is not None
        return source, first * node["step"][axis] + self._as_int(node, node["start"][axis])

    def _last_entries(self, node: Node, first: int, view: View) -> Node:
        """Return the entries of a padded or cut value from ``first`` to the end. Entry 0 is the chunk's first one."""
        line = self.timeline
        if node is view.base:
            joined, kept = self._joined(view)
            return self._cut(joined, node, kept + line.delay_of(node) + first, self._growth(node).constant - first)
        axis = line.axis(node)
        assert axis is not None
        if node.op == "slice":
            start = self._as_int(node, node["start"][axis])
            joined = self._last_entries(node.operands[0], first + start, view)
            return self._cut(joined, view.base, 0, self._growth(node).constant - first)
        place = next(place for place, item in enumerate(node.operands) if line.has_time(item))
        front = sum(self._as_int(node, item.shape[axis]) for item in node.operands[:place])
        inner, following = node.operands[place], [self.new[item] for item in node.operands[place + 1 :]]
        passed = max(0, first - front - self._growth(inner).constant)  # entries of the following operands to skip
        rows = self.before.row_axis(view.base)
        own = self._last_entries(inner, first - front - passed, view)
        parts = [part for part in (own, *following) if part.shape[axis] != 0] or [own]
        wide = next((part.shape[rows] for part in parts if part.shape[rows] != 1), 1)
        parts = [with_size(part, rows, wide) for part in parts]
        joined = make("concat", *parts, where=node.where, axis=axis)
        return self._cut(joined, view.base, passed, joined.shape[axis] - passed)

    def _as_int(self, node: Node, dim: Dim) -> int:
        """Return a number of entries as an int. Raise ``GraphError`` if it depends on the sequence's length."""
        growth, usual = self.timeline.stream_rate.growth(dim, self.rests), self.timeline.stream_rate.growth(dim)
        if growth is None or usual is None:
            assert isinstance(dim, int)
            return dim
        if growth != usual:
            raise GraphError(
                "results of a sequence of this length differ from its first step on, and can't be streamed: "
                f"{node.op}, declared at {node.where}, has {growth.constant} earlier entries, but {usual.constant} "
                f"for a multiple of {self.timeline.stream_rate.rate} entries; feed a multiple, or pad by fixed numbers",
                self.where,
            )
        return growth.constant

    def _end(self, node: Node) -> Node:
        """Return the last entries of the sequence. In a chunk, they are the last entries up to now."""
        source, delay = node.operands[0], self.timeline.delay_of(node.operands[0])
        axis = self.timeline.axis(source)
        assert axis is not None
        joined, kept = self._joined(self.timeline.plain(source))
        start, whole = self._growth_of(node["start"][axis]), self._growth(source)
        count = self._chunk_sizes(node.shape[axis], 0)
        if self.rests is not None:
            return self._cut(joined, source, kept + delay + start.constant, count)
        return self._cut(joined, source, kept + self._count(whole, delay) - (whole.constant - start.constant), count)

    def _output(self, node: Node) -> Node:
        line = self.timeline
        if not line.has_time(node):
            return self.positions.check(self.new[node], "an output")
        growth = self._growth(node)
        delay = line.delay * growth.per_step
        value = self.positions.check(self._delay(node, delay), "an output")
        return self.before.fill_with(value, node, self._fill(NO_FILL, node), delay) if delay else value
