"""Computation of a timeline: the delay of each value in a chunk's graph, and the number of its past entries to keep."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes.by_size import counts
from ...ir.graph import Graph, Node
from ...ir.scan import ScanParts, is_final
from ...ir.types import Dim
from .first_entries import KnownAtStart
from .kept_pasts import joined_to_kept
from .pads_outward import value_of
from .stream_rate import Growth, StreamRate
from .timeline import NO_FILL, Past, Repeat, Timeline, View, WindowSpec, is_running, time_axis


def soonest_timeline(graph: Graph, lengths: Set[str], kept: Set[str] = frozenset()) -> Timeline:
    """Return the timeline of a graph. Chunks also recompute padded entries if doing so lowers the delay.

    Windows over windows over padding are an example: their first entries are known before the first step. ``lengths``
    are the names of sizes that count steps, and ``kept`` are the labels of kept states.
    """
    timeline = timeline_of(graph, lengths, kept)
    if timeline.delay:
        other = timeline_of(graph, lengths, kept, resumes_pads=True)
        if not other.refused and other.delay < timeline.delay:
            return other
    return timeline


def timeline_of(graph: Graph, lengths: Set[str], kept: Set[str] = frozenset(), resumes_pads: bool = False) -> Timeline:
    """Return the timeline of a graph: each value's delay in a stream, the past entries to keep, and refused values.

    A value is delayed until its first reader needs it. An op then combines the same entries in a chunk as in the whole
    graph, with the same bits. Past entries are kept of inputs, of results of loops and of sources of windows.

    Args:
        graph: The whole graph.
        lengths: Names of sizes that count steps.
        kept: Names of states: labels of inputs, and names of the outputs with their next values.
        resumes_pads: True to compute values of padded sequences in each chunk for the past entries, too.
    """
    dims = [node.shape[axis] for node in graph.nodes if (axis := time_axis(node, lengths)) is not None]
    resumed = joined_to_kept(graph, lengths, kept)
    walk = _Walk(Timeline(graph, StreamRate.of(lengths, dims), resumed=resumed), resumes_pads)
    walk.earliest()
    walk.latest()
    walk.pasts()
    return walk.line


class _Walk:
    """Traversals of a graph that fill in a timeline."""

    def __init__(self, line: Timeline, resumes_pads: bool) -> None:
        self.line, self.stream_rate, self.resumes_pads = line, line.stream_rate, resumes_pads
        self.read: dict[Node, Sequence[Node]] = {}  # operands that a node reads entry by entry
        # by node that repeats first entries: the readers that use it as padding
        self.fronts: dict[Node, list[Node]] = {}
        self.start = KnownAtStart(line.stream_rate.lengths)

    # The earliest time of each value -------------------------------------------------------------

    def earliest(self) -> None:
        """Set each value's delay in a stream to the minimum, and record values that a stream cannot compute."""
        line = self.line
        for node in line.graph.nodes:
            reason = self._earliest(node)
            if reason:
                line.refused[node] = reason
            self.start.add(node)
            if node not in line.views and (node.op == "scan" or line.has_time(node)):
                line.delays.setdefault(node, 0)
        self._accept_fronts()
        for node in self._outputs():
            if line.holds_past(node):
                line.refused[node] = "an output returns the past that a state holds as if it were steps"
            self._entrywise_delay(node)
            line.delay = max(line.delay, -(-line.delay_of(node) // self._growth(node).per_step))

    def _accept_fronts(self) -> None:
        """Mark nodes that repeat a sequence's first entries as padding, if all their readers use them so."""
        readers: dict[Node, list[Node]] = {}
        for node in self.line.graph.nodes:
            for item in node.operands:
                readers.setdefault(item, []).append(node)
        outputs = {node for _, node in self.line.graph.outputs}
        for node, known in self.fronts.items():
            if node not in outputs and all(reader in known or reader in self.line.fronts for reader in readers[node]):
                self.line.fronts.add(node)
                self.line.refused.pop(node, None)
        self.line.firsts -= self.line.fronts

    def _outputs(self) -> list[Node]:
        """Return the outputs that have a time axis."""
        return [node for _, node in self.line.graph.outputs if self.line.has_time(node)]

    def _growth(self, node: Node) -> Growth:
        """Return the growth of a value with a time axis."""
        growth = self.line.growth(node)
        assert growth is not None
        return growth

    def _earliest(self, node: Node) -> str:
        """Record the minimum delay of a node in a stream. Return the reason if it cannot be streamed, else ""."""
        line = self.line
        if node in line.resumed or any(map(line.holds_past, node.operands)):
            return self._resumed(node)
        if node.op == "scan":
            return self._scan(node)
        if node.op == "get":
            if not is_final(node):
                line.delays[node] = line.delays[node.operands[0]]
            return ""
        if is_running(node, self.stream_rate.lengths):
            line.running.add(node)
        axis, timed = line.axis(node), [item for item in node.operands if line.has_time(item)]
        if node.op == "slice" and timed and self._is_cut(node):
            return self._slice(node)
        if axis is None:
            return ""
        growth = self.stream_rate.growth(node.shape[axis])
        if growth is None:
            return "its entries are not a fixed number for each step of a stream"
        if not growth.per_step:
            return ""
        if node.op == "concat" and axis == node["axis"] and timed:
            return self._concat(node)
        if node.op == "windows" and timed and line.axis(node.operands[0]) == node["axis"]:
            line.chunk_only.add(node)
            self._add_windows(node, WindowSpec(self._view(node.operands[0]), node["size"], node["step"], node["apart"]))
            return ""
        if node.op == "input":
            line.delays[node] = 0
            return f"it has {growth.constant} entries besides those of a stream's steps" if growth.constant else ""
        if (piece := self._split_factor(node, timed, growth)) is not None:
            return self._join_pieces(node, timed[0], piece)
        line.delays[node] = self._paired_delay(node, timed) if timed else None
        if timed and all(item in line.running for item in timed):
            line.running.add(node)
        if any(line.growth(item) != growth for item in timed):
            return f"{node.op} returns another number of entries for each step than it reads"
        return ""

    def _split_factor(self, node: Node, timed: Sequence[Node], growth: Growth) -> int | None:
        """Return the number of entries into which a reshape splits each entry of its operand.

        Return None for other nodes.
        """
        if node.op != "reshape" or not timed or self.line.axis(timed[0]) != self.line.axis(node):
            return None
        before = self._growth(timed[0])
        piece, rest = divmod(growth.per_step, before.per_step)
        return piece if not rest and piece > 1 and growth.constant == piece * before.constant else None

    def _join_pieces(self, node: Node, pieces: Node, piece: int) -> str:
        """Record the delay of a reshape that splits each entry of ``pieces`` into ``piece`` entries along time.

        Return the reason if it cannot be streamed, else an empty string.
        """
        line = self.line
        if pieces in line.running:
            return "running positions are split into several entries for each step"
        delay = self._entrywise_delay(pieces)
        line.joins[node] = piece
        line.delays[node] = None if delay is None else piece * delay
        return ""

    def _resumed(self, node: Node) -> str:
        """Record that a value begins with the past entries of a kept state, or is computed from a value that does.

        Return the reason if it cannot be streamed, else an empty string.
        """
        line = self.line
        timed = [item for item in node.operands if line.has_time(item)]
        joined = [item for item in timed if not self._is_timeless(item)]
        if node.op == "scan" or (node not in line.resumed and not all(map(line.holds_past, joined))):
            return f"{node.op} reads the past that a state holds as if it were steps"
        if any(self._entrywise_delay(item) for item in timed):
            return "a state holds the past of a value that depends on later steps"
        line.resumed.add(node)
        if line.has_time(node):
            line.delays[node] = 0
            return f"{node.op} reads more entries than the past holds" if self._growth(node).constant < 0 else ""
        return ""

    def _is_timeless(self, node: Node) -> bool:
        """True if the entries of a sequence are equal at all times."""
        return node in self.line.delays and self.line.delays[node] is None

    def _scan(self, node: Node) -> str:
        """Record the delay of a loop over time. Return the reason if it cannot be streamed, else an empty string."""
        scan = ScanParts.of(node)
        if not counts(scan.length, self.stream_rate.lengths) or node["reverse"]:
            return ""  # ``runtime.streams.causality`` reports such a scan
        if self.stream_rate.growth(scan.length) is None:
            return "its steps are not a fixed number for each step of a stream"
        if self.start.starts_loop(node):
            self.line.started.add(node)
            self.line.chunk_only.add(node)
        self.line.delays[node] = self._paired_delay(node, [item.outside for item in scan.sequences]) or 0
        return ""

    def _paired_delay(self, node: Node, operands: Sequence[Node]) -> int | None:
        """Return the delay of an op that pairs entries of its operands: the latest operand's; None if none has one."""
        self.read[node] = operands
        return max((delay for delay in map(self._entrywise_delay, operands) if delay is not None), default=None)

    def _entrywise_delay(self, node: Node) -> int | None:
        """Return the delay of an operand that is read entry by entry; None if its entries are equal at all times.

        A padded or cut operand becomes windows of size 1.
        """
        if node in self.line.views and node not in self.line.delays:
            self._add_windows(node, WindowSpec(self.line.views[node], 1, 1, 1))
        return self.line.delays[node]

    def _view(self, node: Node) -> View:
        """Return the view of a value. Its base is the value itself unless it is padded or cut."""
        return self.line.views.get(node, self.line.plain(node))

    def _concat(self, node: Node) -> str:
        """Record padding along time as a view. Return the reason if it cannot be streamed, else an empty string."""
        line = self.line
        whole = [place for place, item in enumerate(node.operands) if line.has_time(item)]
        if len(whole) > 1:
            return "sequences are concatenated along time"
        front, inner = node.operands[: whole[0]], node.operands[whole[0]]
        fills = {self._padding_of(item, node, inner) for item in front}
        if None in fills or len(fills) > 1:
            return "what precedes the first step is neither a number, nor first steps, nor one known entry"
        counts_before = [self._constant_count(item.shape[node["axis"]]) for item in front]
        if None in counts_before:
            return "the padding before the first step has no fixed size"
        line.chunk_only.add(node)
        count = sum(item for item in counts_before if item is not None)
        view, fill = self._view(inner), fills.pop() if front else None
        if self.resumes_pads and isinstance(fill, bytes) and count and self._can_resume(node, inner):
            line.resumed.add(node)
            line.resumed_pads[node] = View(inner, count, fill, -count)
            line.delays[node] = 0
            return ""
        if fill is None or count == 0:
            line.views[node] = view
            return ""
        if view.front < 0 or isinstance(fill, Repeat) or view.fill not in (NO_FILL, fill):
            self._entrywise_delay(inner)
            view = line.plain(inner)
        begins = {Repeat.MIRRORED: count + 1, Repeat.FIRST: 1}[fill] + view.delay if isinstance(fill, Repeat) else 0
        line.views[node] = View(view.base, view.front + count, fill, view.delay - count, begins)
        return ""

    def _can_resume(self, node: Node, inner: Node) -> bool:
        """True if the concatenation ``node`` ends with the sequence ``inner``, of which each chunk has its own entries.

        ``inner`` is then no view, has no delay and keeps no past.
        """
        is_plain = inner not in self.line.views and not self.line.delays.get(inner) and not self.line.holds_past(inner)
        return node.operands[-1] is inner and is_plain and self._growth(inner).constant == 0

    def _padding_of(self, item: Node, node: Node, inner: Node) -> bytes | Repeat | Node | None:
        """Return the value that an operand before the sequence ``inner`` of a concat repeats; None if it is no padding.

        Padding is the bytes of one number, entries of the sequence, or a value with one entry.
        """
        number, count, chain = _fill_of(item), item.shape[node["axis"]], [item]
        if number is not None:
            return number
        while chain[-1].op in ("broadcast", "reverse", "transpose"):
            chain.append(chain[-1].operands[0])
        part = chain[-1]
        (base, first, step), whole = self.line.cut_out(part), self.line.cut_out(inner)
        axis = self.line.axis(part.operands[0]) if part.op == "slice" else None
        entry = self.start.front_entry(item, node["axis"])
        if axis is None or base is not whole[0] or step != whole[2]:
            return entry
        start, is_reversed = first - whole[1], any(step.op == "reverse" for step in chain)
        if start == step and part.shape[axis] == count and (is_reversed or count == 1):
            repeat = Repeat.MIRRORED
        elif start == 0 and part.shape[axis] == 1:
            repeat = Repeat.FIRST
        else:
            return entry
        for reader, source in zip([node, *chain], chain, strict=False):
            self.fronts.setdefault(source, []).append(reader)
        return repeat

    def _is_cut(self, node: Node) -> bool:
        """True if a slice does not keep the time axis whole."""
        axis = self.line.axis(node.operands[0])
        assert axis is not None
        return (node["start"][axis], node["stop"][axis], node["step"][axis]) != (0, node.operands[0].shape[axis], 1)

    def _slice(self, node: Node) -> str:
        """Record a slice along time as a view, as windows or as last entries.

        Return the reason if it cannot be streamed, else an empty string.
        """
        line, source = self.line, node.operands[0]
        axis = line.axis(source)
        assert axis is not None
        start, stop, step = node["start"][axis], node["stop"][axis], node["step"][axis]
        if counts(start, self.stream_rate.lengths):
            return self._slice_at_end(node, axis)
        first, last = self._constant_count(start), self.stream_rate.growth(stop)
        if isinstance(stop, int) and step > 0:
            return self._slice_at_start(node, stop)
        if first is None or last is None or last.per_step != self._growth(source).per_step:
            return f"a slice {start}:{stop} over time, as in padding that mirrors or repeats the first steps"
        line.chunk_only.add(node)
        view = self._view(source)
        # wait until the end of the sequence cannot cut off an entry
        delay = max(view.delay + first, first - last.constant)
        view = view._replace(front=view.front - first, delay=delay)
        if step == 1:
            line.views[node] = view
        else:
            self._add_windows(node, WindowSpec(view, 1, step, 1))
        return ""

    def _slice_at_start(self, node: Node, stop: int) -> str:
        """Record a slice of the first entries. Return the reason if it cannot be streamed, else an empty string."""
        source = node.operands[0]
        axis = self.line.axis(source)
        assert axis is not None
        if stop > self._growth(source).per_step or self._entrywise_delay(source):
            return f"a slice {node['start'][axis]}:{stop} over time, whose steps arrive after the first one"
        self.line.firsts.add(node)
        self.line.chunk_only.add(node)
        self.start.add_first(node)
        return ""

    def _slice_at_end(self, node: Node, axis: int) -> str:
        """Record a slice of the last entries. Return the reason if it cannot be streamed, else an empty string."""
        source, start = node.operands[0], node["start"][axis]
        self._entrywise_delay(source)
        first = self.stream_rate.growth(start)
        if first is None or first.per_step != self._growth(source).per_step:
            return "a slice over time that starts neither at the beginning nor at the end"
        self.line.ends[node] = first.constant
        if start != source.shape[axis] - 1 or node["stop"][axis] != source.shape[axis]:
            self.line.chunk_only.add(node)
        return ""

    def _constant_count(self, dim: Dim) -> int | None:
        """Return a size as an int if it does not grow with time; None if it grows, or may grow."""
        growth = self.stream_rate.growth(dim)
        if growth is None:
            return dim if isinstance(dim, int) else None
        return None if growth.per_step else growth.constant

    def _add_windows(self, node: Node, spec: WindowSpec) -> None:
        """Record windows, with the delay by which each window is complete when it is returned."""
        self._entrywise_delay(spec.view.base)
        span = spec.dilation * (spec.size - 1) + 1
        delay = max(0, -(-max(span + spec.view.delay, spec.view.begins) // spec.step) - 1)
        self.line.delays[node], self.line.windows[node] = delay, spec

    # The latest time, at which values are returned ------------------------------------------------

    def latest(self) -> None:
        """Delay computed values and windows until their first reader needs them."""
        line = self.line
        needed_by = {node: line.delay_of(node) for node in self._outputs()}

        def need(node: Node, delay: int) -> None:
            needed_by[node] = min(delay, needed_by.get(node, delay))

        for node in reversed(line.graph.nodes):
            if line.delays.get(node) is not None and (
                node in line.windows or (node in self.read and node.op != "scan")
            ):
                line.delays[node] = max(line.delay_of(node), needed_by.get(node, 0))
            for item in node.operands if node in line.resumed else self.read.get(node, ()):
                need(item, line.delay_of(node))
            if node in line.joins:
                need(node.operands[0], line.delay_of(node) // line.joins[node])
            if node in line.windows:
                base = line.windows[node].view.base
                need(base, line.delay_of(base))
            if node in line.ends:
                need(node.operands[0], line.delay_of(node.operands[0]))
            if node in line.firsts:
                need(node.operands[0], 0)

    # Kept entries --------------------------------------------------------------------------------

    def pasts(self) -> None:
        """Determine, for each value, how many past entries a stream keeps."""
        line = self.line
        for view in line.resumed_pads.values():
            self._keep(view, view.front)
        for node in line.graph.nodes:
            for item in self.read.get(node, ()):
                if line.delays[node] is not None and line.delays[item] is not None:
                    self._keep(line.plain(item), line.delay_of(node) - line.delay_of(item))
            if node in line.windows:
                self._keep_for_windows(node, line.windows[node])
            if node in line.ends:
                source, first = node.operands[0], line.ends[node]
                self._keep(
                    line.plain(source), max(0, self._growth(source).constant - first, -first - line.delay_of(source))
                )
        for node in self._outputs():
            if line.delays[node] is not None:
                self._keep(line.plain(node), line.delay * self._growth(node).per_step - line.delay_of(node))
        self._merge_pasts()

    def _keep_for_windows(self, node: Node, spec: WindowSpec) -> None:
        """Keep the entries that windows read before the chunk's first entry."""
        view, step = spec.view, spec.step
        if self.line.is_timeless(spec):
            return
        ahead = self.line.delay_of(node) * step + view.front - self.line.delay_of(view.base)
        self._keep(view, ahead if ahead >= 0 else ahead + step)  # negative: the first window starts inside the chunk

    def _keep(self, view: View, count: int) -> None:
        """Record that a stream keeps at least ``count`` past entries of a view's base. Refuse a base without rows."""
        line = self.line
        if count and view.base.tensor.rank < 2:
            line.refused.setdefault(view.base, "a stream keeps past entries for each row, and it has no row axis")
        past = Past(view.base, view.kept_fill)
        line.pasts[past] = max(count, line.pasts.get(past, 0))
        if view.kept_fill != NO_FILL and line.delay_of(view.base):
            line.masked.add(past)

    def _merge_pasts(self) -> None:
        """Keep past entries once, padded, for a sequence whose past was to be kept with and without padding."""
        line = self.line
        for past, count in [*line.pasts.items()]:
            other = line.past(line.plain(past.base))
            if past.fill == NO_FILL and other != past:
                line.pasts[other] = max(count, line.pasts[other])
                del line.pasts[past]


def _fill_of(node: Node) -> bytes | None:
    """Return the bytes of the number to which all elements are equal; None if they may differ."""
    value = value_of(node)
    return None if value is None else value.tobytes()
