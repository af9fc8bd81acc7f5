"""Loop fusion: orders a graph into groups of ops over one time axis, which run together in chunks, and the others.

Consecutive scans and what is computed for each of their steps run in one loop over chunks of time, so that
what one hands to the next stays in cache and inference memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir.axes.walk import adds_up, keeps, kept_at, reads_whole
from ...ir.graph import Graph, Node, symbols_of_node
from ...ir.ops import OPS
from ...ir.scan import is_final, runs_backward, split_inputs
from ...ir.types import Dim
from .directions import settled_directions
from .node_kinds import (
    contracted,
    is_lazy_concat,
    is_leaf,
    is_view,
    lies_in_operand,
    parts_units,
    picks_step,
    source_of,
    stays_view,
)


@dataclass(frozen=True)
class GroupKind:
    """What a group's loop is: none, or one over a time axis, forward or backward. prepared: runs with the packing."""

    length: Dim | None = None
    reverse: bool = False
    prepared: bool = False


NEVER_BY_STEP = ("windows", "overlap_add")
"""Ops whose steps no loop over chunks computes, though steps stay apart."""
PLAIN = GroupKind()
PREPARED = GroupKind(prepared=True)
"""Of parameters alone: computed when parameters change, with the packing of weights."""


@dataclass
class FusionGroup:
    """Nodes that run together: in one loop over chunks of time, or plainly."""

    level: int
    kind: GroupKind
    nodes: list[Node] = field(default_factory=list)


def is_pure(node: Node, pure: set[Node]) -> bool:
    """Index arithmetic: it depends on no array, and is computed wherever it is read."""
    if node.op in ("iota", "dimension") or (node.op == "constant" and not node.tensor.rank):
        return True
    if node.op == "input":
        return not node.tensor.rank
    if OPS[node.op].kind == "elementwise" or is_view(node):
        small = not node.tensor.rank or node.shape[-1] == 1 or (node.tensor.rank == 1 and not parts_units(node))
        return small and all(item in pure for item in node.operands)
    return False


class LoopFusion:
    """Puts a graph's nodes into fusion groups.

    free: nodes of no group: leaves, views of leaves, pure indices. lazy_concats: concatenations whose readers take
    them piece by piece. kind, level: of a node's group.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lengths = {node["length"] for node in graph.nodes if node.op == "scan"}
        self.free: set[Node] = set()
        self.pure: set[Node] = set()
        self.kind: dict[Node, GroupKind] = {}
        self.level: dict[Node, int] = {}
        users = graph.users()
        self.materialized = _materialized(graph, users)
        whole = self._whole(users)
        for node in graph.nodes:
            if is_pure(node, self.pure):
                self.pure.add(node)
            is_index = node in self.pure and node not in whole
            if is_leaf(node) or is_index or self._is_free_view(node):
                self.free.add(node)
        self._directions(users)
        self.lazy_concats: set[Node] = set()
        self._follow(users)
        self._prepare()
        self._later: dict[Node, int] = {}
        self._order()
        self._run_blocks_late(users)
        self._delay(users)

    def _order(self) -> None:
        """The level of each node: behind what it reads, and where some are to run later, no sooner."""
        for node in self.graph.nodes:
            if node not in self.free:
                behind = max((self._after(item, node) for item in node.operands), default=0)
                self.level[node] = max(behind, self._later.get(node, 0))

    def run_later(self, scans: Sequence[Node], level: int) -> None:
        """Moves scans to groups of a later level, with what feeds them alone; what reads them follows."""
        self._later.update(dict.fromkeys(scans, level))
        self._order()
        self._delay(self.graph.users())

    def _run_blocks_late(self, users: dict[Node, list[Node]]) -> None:
        """Blocks of steps run in the groups of those who read them. What they give is there until the next one runs, so
        those that are read together run at the last level at which one of them is read.
        """
        blocks = [node for node in self.graph.nodes if node.op == "scan" and node.get("blocks") is not None]
        readers = {scan: self._readers_along(scan, users) for scan in blocks}
        for scan in blocks:
            for other in self._read_along_by(scan):
                if other in readers and self.kind[other] == self.kind[scan]:
                    readers[other].add(scan)
        together = {scan: self._read_with(scan, readers) for scan in readers}
        for _ in readers:  # what runs later may be what others wait for
            last = {scan: max((self.level[reader] for reader in found), default=0) for scan, found in readers.items()}
            later = {scan: max(last[other] for other in found) for scan, found in together.items()}
            if later == self._later:
                return
            self._later = later
            self._order()

    def _readers_along(self, scan: Node, users: dict[Node, list[Node]]) -> set[Node]:
        """Who reads a scan's steps in its loop."""
        found = (reader for get in users[scan] for reader in _readers(get, users))
        return {reader for reader in found if self.kind.get(reader) == self.kind[scan]}

    def _read_along_by(self, scan: Node) -> list[Node]:
        """The scans of whose steps a scan reads in its loop, directly or what is made of them there."""
        found, pending, seen = list[Node](), [*scan.operands], set[Node]()
        while pending:
            node = pending.pop()
            if node.op == "scan":
                found.append(node)
            elif node not in seen and (node.op == "get" or self.kind.get(node) == self.kind[scan]):
                seen.add(node)
                pending += node.operands
        return found

    def _read_with(self, scan: Node, readers: dict[Node, set[Node]]) -> list[Node]:
        """The scans whose blocks have to be there when those of ``scan`` are. Where blocks run one way only, all."""
        axis = [other for other in readers if self.kind[other].length == self.kind[scan].length]
        if len({self.kind[other].reverse for other in axis}) == 1:
            return axis
        alike, found = [other for other in axis if self.kind[other] == self.kind[scan]], [scan]
        for one in found:
            needed = readers[one] | {one}
            found += [item for item in alike if item not in found and not needed.isdisjoint(readers[item] | {item})]
        return found

    def _follow(self, users: dict[Node, list[Node]]) -> None:
        """What is read along one time axis only runs there, where that keeps no more in memory: a lazy
        concatenation, and ops on values that others read there too.
        """
        outputs = {value for _, value in self.graph.outputs}
        for node in reversed(self.graph.nodes):
            if node in self.free or node in outputs or not users[node]:
                continue
            kinds = {self.kind.get(reader, PLAIN) for reader in _readers(node, users)}  # an index may read it, too
            if len(kinds) != 1:
                continue
            kind = kinds.pop()
            if is_lazy_concat(node, users[node]) and all(source_of(piece) not in self.pure for piece in node.operands):
                self.lazy_concats.add(node)
                self.kind[node] = kind
                continue
            same_axis = kind.length is not None and kind.length == self.kind[node].length
            if same_axis and OPS[node.op].kind == "elementwise" and self._read_along(node, kind, users):
                self.kind[node] = kind

    def _read_along(self, node: Node, kind: GroupKind, users: dict[Node, list[Node]]) -> bool:
        """Whether all that ``node`` reads is in memory for others, too, that run along ``kind``."""

        def there(source: Node) -> bool:
            others = (reader for reader in _readers(source, users) if reader is not node)
            return source in self.free or any(self.kind.get(reader) == kind for reader in others)

        return all(there(source_of(item)) for item in node.operands)

    def _is_free_view(self, node: Node) -> bool:
        """A view of what is free. A reshape that joins or cuts axes needs a source without gaps, and an index
        or number spread over axes must lie somewhere if it is read as a whole.
        """
        if not is_view(node) or node.operands[0] not in self.free:
            return False
        if (node in self.materialized or parts_units(node)) and source_of(node) in self.pure:
            return False
        in_memory = source_of(node) not in self.pure and lies_in_operand(node)
        return stays_view(node) or in_memory or node.operands[0].op in ("parameter", "constant")

    def _prepare(self) -> None:
        constant: set[Node] = set()  # free ones that depend on no feed and on no open size
        for node in self.graph.nodes:
            if node.op in ("scan", "get") or any(symbols_of_node(node)):
                continue
            if node in self.free:
                if node.op != "input" and all(item in constant for item in node.operands):
                    constant.add(node)
                continue
            if all(item in constant or self.kind.get(item) == PREPARED for item in node.operands):
                self.kind[node] = PREPARED

    def _delay(self, users: dict[Node, list[Node]]) -> None:
        """What runs along a time axis waits for those of its users that do: fewer groups, less in memory."""
        outputs = {node for _, node in self.graph.outputs}
        for node in reversed(self.graph.nodes):
            if node in self.free or self.kind[node] in (PLAIN, PREPARED) or node in outputs or not users[node]:
                continue
            if node.op in ("scan", "get") or any(user in self.free for user in users[node]):
                continue
            same = [user for user in users[node] if self.kind[user] == self.kind[node]]
            if not same:
                continue
            latest = min(self.level[user] - (self._after(node, user) - self.level[node]) for user in users[node])
            self.level[node] = max(self.level[node], latest)

    def _directions(self, users: dict[Node, list[Node]]) -> None:
        """A scan runs in its direction; what feeds one scan, or reads from one, runs along with it."""
        wanted: dict[Node, bool | None] = {}
        for node in reversed(self.graph.nodes):
            if node.op == "scan":
                wanted[node] = runs_backward(node)
                continue
            found = {wanted[user] for user in users[node] if user in wanted and wanted[user] is not None}
            wanted[node] = found.pop() if len(found) == 1 else None
        given: dict[Node, tuple[int, bool]] = {}  # the last scan that a value comes from, and its direction
        for number, node in enumerate(self.graph.nodes):
            if node.op == "scan":
                given[node] = (number, runs_backward(node))
                continue
            before = {given[item] for item in node.operands if item in given}
            direction = wanted[node]
            if before and (direction is None or len({reverse for _, reverse in before}) == 1):
                given[node] = max(before)  # of both directions the one that came last
            elif direction is not None:
                given[node] = (number, direction)
        settled = settled_directions(self.graph)
        for node in self.graph.nodes:
            if node in self.free:
                continue
            length = self._time(node)
            reverse = settled.get((node, length), given[node][1] if node in given else False)
            self.kind[node] = PLAIN if length is None else GroupKind(length, reverse)

    def _time(self, node: Node) -> Dim | None:
        """The time axis along which ``node`` is computed step by step; None where it is not."""
        if node.op == "scan":
            return node["length"]
        if node.op == "get":
            return None if is_final(node) else self._time(node.operands[0])
        if adds_up(node):
            source = node.operands[-1]
            timed = source.tensor.rank > 1 and source.shape[0] in self.lengths
            by_step = node.operands[0].tensor.rank > 0  # else a single index adds one row of many axes
            runs = timed and by_step and not all(item in self.free for item in node.operands)
            return source.shape[0] if runs else None
        if node.op == "slice":
            return self._time_of_slice(node)
        if node.tensor.rank < 2 or node.shape[0] not in self.lengths:
            return None
        length = node.shape[0]
        if OPS[node.op].kind == "elementwise" or node.op == "gather":
            return length
        if node.op in NEVER_BY_STEP:
            return None
        first = node.operands[0]
        return length if first.tensor.rank > 1 and kept_at(node, 0, 0) == 0 else None

    def _time_of_slice(self, node: Node) -> Dim | None:
        """The time axis of what a slice takes whole, or a step of: that is picked while it is there."""
        source = node.operands[0]
        if node.tensor.rank < 2 or source.shape[0] not in self.lengths or source in self.free:
            return None
        return source.shape[0] if kept_at(node, 0, 0) == 0 or node.shape[0] == 1 else None

    def _after(self, operand: Node, node: Node) -> int:
        if operand in self.free:
            return 0
        level = self.level[operand]
        if self.kind[operand] == PREPARED:
            return 0
        if operand.op == "scan":
            return level if self.kind[node] != PLAIN else level + 1
        same = self.kind[operand] == self.kind[node]
        if not same:
            return level + 1
        if self.kind[node] == PLAIN or self._steps_with(operand, node):
            return level if not self._picked(operand) else level + 1
        return level + 1

    def _picked(self, node: Node) -> bool:
        """A step picked out of a sequence, or a sum over it, is there once all chunks have run."""
        if self.kind[node] in (PLAIN, PREPARED):
            return False
        return adds_up(node) or picks_step(node, self.kind[node].length)

    def _steps_with(self, operand: Node, node: Node) -> bool:
        """Whether ``node`` at a step reads ``operand`` at that step only."""
        length = self.kind[node].length
        if node.op == "scan":
            initial, sequences, invariants = split_inputs(node, node.operands)
            return operand in sequences and operand not in initial and operand not in invariants
        if node.op == "slice":
            return True
        is_along = operand.tensor.rank > 1 and operand.shape[0] == length
        return is_along and (adds_up(node) or keeps(node, operand, 0, 0))

    def groups(self) -> list[FusionGroup]:
        found: dict[tuple[int, GroupKind], FusionGroup] = {}
        for node in self.graph.nodes:
            if node in self.free:
                continue
            key = (self.level[node], self.kind[node])
            found.setdefault(key, FusionGroup(*key)).nodes.append(node)
        order = {node: number for number, node in enumerate(self.graph.nodes)}
        return sorted(found.values(), key=lambda stage: (stage.kind != PREPARED, stage.level, order[stage.nodes[0]]))

    def closure(self, nodes: Sequence[Node]) -> list[Node]:
        """``nodes`` with the pure indices that they read, directly or through views, in order."""
        needed = set(nodes)
        for node in reversed(self.graph.nodes):
            if node in needed:
                needed.update(item for item in node.operands if self._is_index(item))
        return [node for node in self.graph.nodes if node in needed]

    def _whole(self, users: dict[Node, list[Node]]) -> set[Node]:
        """Values as long as a loop over time of which each step reads all: they must be there before, and not be made
        chunk by chunk as what a step reads at that step only.
        """
        found: set[Node] = set()
        for node in reversed(self.graph.nodes):
            if node.op == "scan" or node.tensor.rank < 2 or node.shape[0] not in self.lengths:
                continue
            for user in users[node]:
                is_invariant = user.op == "scan" and node in split_inputs(user, user.operands)[2]
                at_once = is_invariant or (user.op != "scan" and reads_whole(user, node))
                if at_once or (is_view(user) and user in found):
                    found.add(node)
        return found

    def _is_index(self, node: Node) -> bool:
        """Whether a value is computed from sizes, or is such a one spread over axes, of which none lies in memory."""
        if node in self.pure:
            return node.op != "input" and node in self.free
        source = source_of(node)
        return node in self.free and source in self.pure and source.op not in ("input", "constant")


def _readers(node: Node, users: dict[Node, list[Node]]) -> list[Node]:
    """Who reads a value, directly or through views."""
    found: list[Node] = []
    pending = list(users[node])
    while pending:
        user = pending.pop()
        if is_view(user) and users[user]:
            pending += users[user]
        else:
            found.append(user)
    return found


def _materialized(graph: Graph, users: dict[Node, list[Node]]) -> set[Node]:
    """Nodes that something reads as a whole, directly or through views."""
    materialized: set[Node] = set()
    for node in reversed(graph.nodes):
        if any(contracted(node, user) or (is_view(user) and user in materialized) for user in users[node]):
            materialized.add(node)
    return materialized
