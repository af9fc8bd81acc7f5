"""Delays of values in a chunk's graph, and the number of past entries to keep of each."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes.by_size import counts
from ...ir.axes.walk import fate
from ...ir.axis_maps import Shifted
from ...ir.graph import Graph, Node
from ...ir.scan import ScanParts, is_final
from ...ir.types import Dim
from .kept_pasts import joined_to_kept
from .pads_outward import value_of
from .stream_rate import Growth, StreamRate
from .timeline import NO_FILL, Past, Repeat, Timeline, View, WindowSpec, is_running, time_axis


def timeline_of(graph: Graph, lengths: Set[str], kept: Set[str] = frozenset()) -> Timeline:
    """Return the timeline of a graph.

    A value is delayed until its first reader needs it, so that a chunk adds and multiplies the same values together as
    the whole graph, with the same bits. The pasts of inputs, of results of loops and of sources of windows are kept.

    Args:
        lengths: Names of sizes that count steps.
        kept: Labels of the inputs that are states kept by name; the outputs of these names are their next values.
    """
    dims = [node.shape[axis] for node in graph.nodes if (axis := time_axis(node, lengths)) is not None]
    walk = _Walk(Timeline(graph, StreamRate.of(lengths, dims), resumed=joined_to_kept(graph, lengths, kept)))
    walk.earliest()
    walk.latest()
    walk.pasts()
    return walk.line


class _Walk:
    """Traversals of a graph that fill in a timeline."""

    def __init__(self, line: Timeline) -> None:
        self.line, self.stream_rate = line, line.stream_rate
        self.read: dict[Node, Sequence[Node]] = {}  # operands that each node reads entry by entry
        self.fronts: dict[Node, list[Node]] = {}  # readers of nodes that repeat first entries

    # The earliest time of each value -------------------------------------------------------------

    def earliest(self) -> None:
        line = self.line
        for node in line.graph.nodes:
            why = self._place(node)
            if why:
                line.refused[node] = why
            if node not in line.views and (node.op == "scan" or line.has_time(node)):
                line.delays.setdefault(node, 0)
        self._settle_fronts()
        for node in self._outputs():
            if line.holds_past(node):
                line.refused[node] = "it gives the past that a state holds as if it were steps"
            self._whole(node)
            line.delay = max(line.delay, -(-line.late(node) // self._growth(node).many))

    def _settle_fronts(self) -> None:
        """Accept repeated first entries if all their readers put them in front of the same sequence."""
        readers: dict[Node, list[Node]] = {}
        for node in self.line.graph.nodes:
            for item in node.operands:
                readers.setdefault(item, []).append(node)
        outputs = {node for _, node in self.line.graph.outputs}
        for node, known in self.fronts.items():
            if node not in outputs and all(reader in known or reader in self.line.fronts for reader in readers[node]):
                self.line.fronts.add(node)
                self.line.refused.pop(node, None)

    def _outputs(self) -> list[Node]:
        return [node for _, node in self.line.graph.outputs if self.line.has_time(node)]

    def _growth(self, node: Node) -> Growth:
        growth = self.line.growth(node)
        assert growth is not None
        return growth

    def _place(self, node: Node) -> str:
        """Compute the delay of a node. Return the reason if it cannot be streamed, else an empty string."""
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
        if line.running.intersection(timed) and self._moves_steps(node):
            return "running positions are cut or joined along time"
        if node.op == "slice" and timed and self._is_cut(node):
            return self._slice(node)
        if axis is None:
            return ""
        growth = self.stream_rate.growth(node.shape[axis])
        if growth is None:
            return "its steps are no fixed number for each step of a stream"
        if not growth.many:
            return ""
        if node.op == "concat" and axis == node["axis"] and timed:
            return self._concat(node)
        if node.op == "windows" and timed and line.axis(node.operands[0]) == node["axis"]:
            line.kept.add(node)
            self._take(node, WindowSpec(self._view(node.operands[0]), node["size"], node["step"], node["apart"]))
            return ""
        if node.op == "input":
            line.delays[node] = 0
            return f"{growth.over} of its steps belong to no step of a stream" if growth.over else ""
        if (piece := self._piece(node, timed, growth)) is not None:
            return self._join_pieces(node, timed[0], piece)
        line.delays[node] = self._together(node, timed) if timed else None
        if timed and all(item in line.running for item in timed):
            line.running.add(node)
        if any(line.growth(item) != growth for item in timed):
            return f"{node.op} gives other steps than it takes"
        return ""

    def _moves_steps(self, node: Node) -> bool:
        """True if a node's entries are not computed from the operand's entries of the same step."""
        timed = [(number, item) for number, item in enumerate(node.operands) if self.line.has_time(item)]
        axes = [(number, self.line.axis(item)) for number, item in timed]
        return any(axis is not None and isinstance(fate(node, number, axis), Shifted) for number, axis in axes)

    def _piece(self, node: Node, timed: Sequence[Node], growth: Growth) -> int | None:
        """Return the number of entries that a reshape makes of one entry of its operand; None for other nodes."""
        if node.op != "reshape" or not timed or self.line.axis(timed[0]) != self.line.axis(node):
            return None
        before = self._growth(timed[0])
        piece, rest = divmod(growth.many, before.many)
        return piece if not rest and piece > 1 and growth.over == piece * before.over else None

    def _join_pieces(self, node: Node, pieces: Node, piece: int) -> str:
        line = self.line
        if pieces in line.running:
            return "running positions are cut or joined along time"
        late = self._whole(pieces)
        line.joins[node] = piece
        line.delays[node] = None if late is None else piece * late
        return ""

    def _resumed(self, node: Node) -> str:
        line = self.line
        timed = [item for item in node.operands if line.has_time(item)]
        if node.op == "scan" or (node not in line.resumed and not all(map(line.holds_past, timed))):
            return f"{node.op} takes the past that a state holds as if it were steps"
        if any(self._whole(item) for item in timed):
            return "a state holds the past of what looks ahead in time"
        line.resumed.add(node)
        if line.has_time(node):
            line.delays[node] = 0
        return ""

    def _scan(self, node: Node) -> str:
        scan = ScanParts.of(node)
        if not counts(scan.length, self.stream_rate.lengths) or node["reverse"]:
            return ""  # reported elsewhere
        if self.stream_rate.growth(scan.length) is None:
            return "its steps are no fixed number for each step of a stream"
        self.line.delays[node] = self._together(node, [item.outside for item in scan.sequences]) or 0
        return ""

    def _together(self, node: Node, operands: Sequence[Node]) -> int | None:
        """Return the delay of an op that pairs entries of its operands: that of the latest operand."""
        self.read[node] = operands
        return max((delay for delay in map(self._whole, operands) if delay is not None), default=None)

    def _whole(self, node: Node) -> int | None:
        """Return the delay of an operand that is read entry by entry, not in windows."""
        if node in self.line.views and node not in self.line.delays:
            self._take(node, WindowSpec(self.line.views[node], 1, 1, 1))
        return self.line.delays[node]

    def _view(self, node: Node) -> View:
        return self.line.views.get(node, self.line.plain(node))

    def _concat(self, node: Node) -> str:
        line = self.line
        whole = [place for place, item in enumerate(node.operands) if line.has_time(item)]
        if len(whole) > 1:
            return "sequences follow each other along time"
        front, inner = node.operands[: whole[0]], node.operands[whole[0]]
        fills = {self._front_of(item, node, inner) for item in front}
        if None in fills or len(fills) > 1:
            return "what stands before the first step is no single number and repeats no first steps"
        counts_before = [self._fixed(item.shape[node["axis"]]) for item in front]
        if None in counts_before:
            return "what stands before the first step has a size of its own"
        line.kept.add(node)
        count = sum(item for item in counts_before if item is not None)
        view, fill = self._view(inner), fills.pop() if front else None
        if fill is None or count == 0:
            line.views[node] = view
            return ""
        if view.front < 0 or isinstance(fill, Repeat) or view.fill not in (NO_FILL, fill):
            self._whole(inner)
            view = line.plain(inner)
        begins = {Repeat.MIRRORED: count + 1, Repeat.FIRST: 1}[fill] + view.late if isinstance(fill, Repeat) else 0
        line.views[node] = View(view.base, view.front + count, fill, view.late - count, begins)
        return ""

    def _front_of(self, item: Node, node: Node, inner: Node) -> bytes | Repeat | None:
        """Return the padding before a sequence: a number, or repeated first entries; None for anything else."""
        number, count, chain = _fill_of(item), item.shape[node["axis"]], [item]
        if number is not None:
            return number
        while chain[-1].op in ("broadcast", "reverse", "transpose"):
            chain.append(chain[-1].operands[0])
        part = chain[-1]
        (base, first, step), whole = self._cut_out(part), self._cut_out(inner)
        axis = self.line.axis(part.operands[0]) if part.op == "slice" else None
        if axis is None or base is not whole[0] or step != whole[2]:
            return None
        start, is_reversed = first - whole[1], any(step.op == "reverse" for step in chain)
        if start == step and part.shape[axis] == count and (is_reversed or count == 1):
            repeat = Repeat.MIRRORED
        elif start == 0 and part.shape[axis] == 1:
            repeat = Repeat.FIRST
        else:
            return None
        for reader, source in zip([node, *chain], chain, strict=False):
            self.fronts.setdefault(source, []).append(reader)
        return repeat

    def _cut_out(self, node: Node) -> tuple[Node, Dim, int]:
        """Return the source of a chain of slices along time, with their start and step."""
        start: Dim = 0
        step = 1
        while node.op == "transpose" or (node.op == "slice" and self._is_cut_in_time_alone(node)):
            if node.op == "slice":
                axis = self.line.axis(node.operands[0])
                start, step = node["start"][axis] + start * node["step"][axis], step * node["step"][axis]
            node = node.operands[0]
        return node, start, step

    def _is_cut_in_time_alone(self, node: Node) -> bool:
        time, whole = self.line.axis(node.operands[0]), node.operands[0].shape
        others = (axis for axis in range(len(whole)) if axis != time)
        return time is not None and all(node.shape[axis] == whole[axis] for axis in others)

    def _is_cut(self, node: Node) -> bool:
        axis = self.line.axis(node.operands[0])
        assert axis is not None
        return (node["start"][axis], node["stop"][axis], node["step"][axis]) != (0, node.operands[0].shape[axis], 1)

    def _slice(self, node: Node) -> str:
        line, source = self.line, node.operands[0]
        axis = line.axis(source)
        assert axis is not None
        start, stop, step = node["start"][axis], node["stop"][axis], node["step"][axis]
        if counts(start, self.stream_rate.lengths):
            return self._end(node, axis)
        first, last = self._fixed(start), self.stream_rate.growth(stop)
        if first is None or last is None or last.many != self._growth(source).many:
            return f"a slice {start}:{stop} over time, such as padding has that mirrors or repeats the first steps"
        line.kept.add(node)
        view = self._view(source)
        late = max(view.late + first, first - last.over)  # entries cut off at the end cannot be read
        view = view._replace(front=view.front - first, late=late)
        if step == 1:
            line.views[node] = view
        else:
            self._take(node, WindowSpec(view, 1, step, 1))
        return ""

    def _end(self, node: Node, axis: int) -> str:
        """Handle a slice of the last entries."""
        source, start = node.operands[0], node["start"][axis]
        self._whole(source)
        first = self.stream_rate.growth(start)
        if first is None or first.many != self._growth(source).many:
            return "a slice over time that begins at neither end"
        self.line.ends[node] = first.over
        if start != source.shape[axis] - 1 or node["stop"][axis] != source.shape[axis]:
            self.line.kept.add(node)
        return ""

    def _fixed(self, dim: Dim) -> int | None:
        """Return a number of entries that does not grow with time; None if it does."""
        growth = self.stream_rate.growth(dim)
        if growth is None:
            return dim if isinstance(dim, int) else None
        return None if growth.many else growth.over

    def _take(self, node: Node, spec: WindowSpec) -> None:
        """Set the delay of windows, so that each is returned in the step in which its last entry arrives."""
        self._whole(spec.view.base)
        span = spec.dilation * (spec.size - 1) + 1
        delay = max(0, -(-max(span + spec.view.late, spec.view.begins) // spec.step) - 1)
        self.line.delays[node], self.line.windows[node] = delay, spec

    # The latest time, at which values are returned ------------------------------------------------

    def latest(self) -> None:
        """Delay computed values and windows until their first reader needs them."""
        line = self.line
        wanted = {node: line.late(node) for node in self._outputs()}

        def want(node: Node, delay: int) -> None:
            wanted[node] = min(delay, wanted.get(node, delay))

        for node in reversed(line.graph.nodes):
            if line.delays.get(node) is not None and (
                node in line.windows or (node in self.read and node.op != "scan")
            ):
                line.delays[node] = max(line.late(node), wanted.get(node, 0))
            for item in node.operands if node in line.resumed else self.read.get(node, ()):
                want(item, line.late(node))
            if node in line.joins:
                want(node.operands[0], line.late(node) // line.joins[node])
            if node in line.windows:
                base = line.windows[node].view.base
                want(base, line.late(base))
            if node in line.ends:
                want(node.operands[0], line.late(node.operands[0]))

    # Kept entries --------------------------------------------------------------------------------

    def pasts(self) -> None:
        line = self.line
        for node in line.graph.nodes:
            for item in self.read.get(node, ()):
                if line.delays[node] is not None and line.delays[item] is not None:
                    self._keep(line.plain(item), line.late(node) - line.late(item))
            if node in line.windows:
                self._keep_for_windows(node, line.windows[node])
            if node in line.ends:
                source, first = node.operands[0], line.ends[node]
                self._keep(line.plain(source), max(0, self._growth(source).over - first, -first - line.late(source)))
        for node in self._outputs():
            if line.delays[node] is not None:
                self._keep(line.plain(node), line.delay * self._growth(node).many - line.late(node))
        self._join()

    def _keep_for_windows(self, node: Node, spec: WindowSpec) -> None:
        view, step = spec.view, spec.step
        if self.line.is_timeless(spec):
            return
        ahead = self.line.late(node) * step + view.front - self.line.late(view.base)
        self._keep(view, ahead if ahead >= 0 else ahead + step)  # negative: the first window starts inside the chunk

    def _keep(self, view: View, count: int) -> None:
        """Keep at least ``count`` past entries of a view's base."""
        line = self.line
        if count and view.base.tensor.rank < 2:
            line.refused.setdefault(view.base, "what is kept of a sequence is kept for each row, and it has no rows")
        past = Past(view.base, view.kept_fill)
        line.pasts[past] = max(count, line.pasts.get(past, 0))
        if view.kept_fill != NO_FILL and line.late(view.base):
            line.masked.add(past)

    def _join(self) -> None:
        """Merge the kept entries of one value under different padding, if nothing reads the padding."""
        line = self.line
        for past, count in [*line.pasts.items()]:
            other = line.past(line.plain(past.base))
            if past.fill == NO_FILL and other != past:
                line.pasts[other] = max(count, line.pasts[other])
                del line.pasts[past]


def _fill_of(node: Node) -> bytes | None:
    """Return the bytes of the number to which all elements are equal; None where they may differ."""
    value = value_of(node)
    return None if value is None else value.tobytes()
