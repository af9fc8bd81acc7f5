"""Loop fusion: divide a graph into groups of ops, each of which runs in one loop over chunks of time, or in none.

Consecutive scans, and elementwise ops over the same steps, share one loop over chunks of time. Intermediate values stay
in cache, and the memory of inference does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from ...ir.axes.walk import adds_up, keeps, kept_at, reads_whole
from ...ir.graph import Graph, Node, symbols_of_node
from ...ir.ops import OPS
from ...ir.scan import is_final, runs_backward, split_inputs
from ...ir.types import Dim
from ...support.connected import connected
from ...support.errors import VerifyError
from ...support.records import dataclass
from .directions import settled_directions
from .needed_in_memory import read_many_times, transposed_weights
from .node_kinds import (
    is_lazy_concat,
    is_leaf,
    is_strided_view,
    is_view,
    permutes_units,
    picks_step,
    source_of,
    stays_view,
)


@dataclass(frozen=True)
class GroupKind:
    """Loop over time in which a group runs. Without a loop, it runs once in a call, or when parameters change.

    Attributes:
        length: Length of the time axis; None if the group runs once, outside of all loops over time.
        reverse: True for a backward loop.
        prepared: True if the group runs when parameters change, together with packing.
    """

    length: Dim | None = None
    reverse: bool = False
    prepared: bool = False


NEVER_BY_STEP = ("windows", "overlap_add")
"""Ops that never run in a loop over chunks of time, although they compute each step separately."""

MAX_MOVED_OPS = 64
"""Maximum number of elementwise ops that move into a loop together. Searches of longer chains would make the compile
time quadratic.
"""
PLAIN = GroupKind()
"""Kind of groups that run once, outside of all loops over time."""
PREPARED = GroupKind(prepared=True)
"""Kind of groups that depend on parameters alone. They run with packing, when parameters change."""


@dataclass
class FusionGroup:
    """Ops that run in one loop over chunks of time, or once. Groups of lower ``level`` run first."""

    level: int
    kind: GroupKind
    nodes: list[Node] = field(default_factory=list)


def is_pure(node: Node, pure: set[Node]) -> bool:
    """True for index arithmetic, which depends on no array, so that each reader recomputes it.

    ``pure`` has the index arithmetic among the earlier nodes.
    """
    if node.op in ("iota", "dimension") or (node.op == "constant" and not node.tensor.rank):
        return True
    if node.op == "input":
        return not node.tensor.rank
    if OPS[node.op].kind == "elementwise" or is_view(node):
        small = not node.tensor.rank or node.shape[-1] == 1 or (node.tensor.rank == 1 and not permutes_units(node))
        return small and all(item in pure for item in node.operands)
    return False


class LoopFusion:
    """Assignment of a graph's nodes to fusion groups. Groups run in the order of their levels.

    Attributes:
        free: Nodes of no group: leaves, index arithmetic that no op reads as a whole sequence, and views of free nodes.
        pure: Index arithmetic, which each reader recomputes.
        lazy_concats: Concatenations that are read piece by piece.
        transposed_weights: Transposes of parameters that are copied when parameters change.
        kind: Kind of each node's group, without free nodes.
        level: Level of each node's group, without free nodes. Groups run in the order of levels.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lengths = {node["length"] for node in graph.nodes if node.op == "scan"}
        self.free: set[Node] = set()
        self.pure: set[Node] = set()
        self.kind: dict[Node, GroupKind] = {}
        self.level: dict[Node, int] = {}
        users = graph.users()
        self.materialized = read_many_times(graph, users)
        self.transposed_weights = transposed_weights(graph, users)
        whole = self._sequences_read_whole(users)
        for node in graph.nodes:
            if is_pure(node, self.pure):
                self.pure.add(node)
            is_index = node in self.pure and node not in whole
            if is_leaf(node) or is_index or self._is_free_view(node):
                self.free.add(node)
        self._directions(users)
        self.lazy_concats: set[Node] = set()
        self._move_into_readers_loop(users)
        self._prepare()
        self._later: dict[Node, int] = {}
        self._order()
        self._run_blocks_late(users)
        self._delay(users)

    def _order(self) -> None:
        """Assign each node the lowest level at which its operands are available.

        Scans in ``_later`` have at least the level given there.
        """
        for node in self.graph.nodes:
            if node not in self.free:
                after_operands = max((self._after(item, node) for item in node.operands), default=0)
                self.level[node] = max(after_operands, self._later.get(node, 0))

    def run_later(self, scans: Sequence[Node], level: int) -> None:
        """Move scans to a later level, together with values that depend on them, and those that only they read."""
        self._later.update(dict.fromkeys(scans, level))
        self._order()
        self._delay(self.graph.users())

    def _run_blocks_late(self, users: dict[Node, list[Node]]) -> None:
        """Move scans that recompute blocks of steps to the fusion groups that read the recomputed values.

        A block's values are in memory until the next block runs. Scans whose blocks are read together therefore move to
        the highest level of their readers.
        """
        blocks = [node for node in self.graph.nodes if node.op == "scan" and node.get("blocks") is not None]
        readers = {scan: self._readers_along(scan, users) for scan in blocks}
        for scan in blocks:
            for other in self._read_along_by(scan):
                if other in readers and self.kind[other] == self.kind[scan]:
                    readers[other].add(scan)
        together = {scan: self._read_with(scan, readers) for scan in readers}
        for _ in readers:  # repeat, because moving a scan may move the readers of other scans
            last = {
                scan: max((self.level[reader] for reader in its_readers), default=0)
                for scan, its_readers in readers.items()
            }
            later = {scan: max(last[other] for other in its_readers) for scan, its_readers in together.items()}
            if later == self._later:
                return
            self._later = later
            self._order()

    def _readers_along(self, scan: Node, users: dict[Node, list[Node]]) -> set[Node]:
        """Return the nodes that read a scan's results step by step, in the scan's loop."""
        readers = (reader for get in users[scan] for reader in _readers(get, users))
        return {reader for reader in readers if self.kind.get(reader) == self.kind[scan]}

    def _read_along_by(self, scan: Node) -> list[Node]:
        """Return the scans whose results ``scan`` reads step by step, directly or through values of its time loop."""
        scans, pending, visited = list[Node](), [*scan.operands], set[Node]()
        while pending:
            node = pending.pop()
            if node.op == "scan":
                scans.append(node)
            elif node not in visited and (node.op == "get" or self.kind.get(node) == self.kind[scan]):
                visited.add(node)
                pending += node.operands
        return scans

    def _read_with(self, scan: Node, readers: dict[Node, set[Node]]) -> list[Node]:
        """Return the scans whose recomputed blocks of steps must be in memory at the same time as those of ``scan``.

        Two scans belong together if they have a reader in common, or if one reads the other.
        """
        same_kind_scans, joined = [other for other in readers if self.kind[other] == self.kind[scan]], [scan]
        for one in joined:
            needed = readers[one] | {one}
            joined += [
                item for item in same_kind_scans if item not in joined and not needed.isdisjoint(readers[item] | {item})
            ]
        return joined

    def _move_into_readers_loop(self, users: dict[Node, list[Node]]) -> None:
        """Move values into the loop over time that alone reads them, unless more values would be stored in memory.

        Concatenations that are read piece by piece move, and elementwise ops whose operands that loop needs anyway.
        """
        outputs = {value for _, value in self.graph.outputs}
        for node in reversed(self.graph.nodes):
            if node in self.free or node in outputs or not users[node]:
                continue
            # Readers include index arithmetic, which has no kind.
            kinds = {self.kind.get(reader, PLAIN) for reader in _readers(node, users)}
            if len(kinds) != 1:
                continue
            kind = kinds.pop()
            if is_lazy_concat(node, users[node]) and all(source_of(piece) not in self.pure for piece in node.operands):
                self.lazy_concats.add(node)
                self.kind[node] = kind
                continue
            if self._has_axis_of(node, kind) and self._reads_along(node, kind, users, outputs):
                self.kind[node] = kind

    def _has_axis_of(self, node: Node, kind: GroupKind) -> bool:
        """True for an elementwise op over the steps of the loop of ``kind``."""
        is_along = kind.length is not None and kind.length == self.kind[node].length
        return is_along and OPS[node.op].kind == "elementwise"

    def _reads_along(self, node: Node, kind: GroupKind, users: dict[Node, list[Node]], outputs: set[Node]) -> bool:
        """True if the time loop of ``kind`` can compute ``node`` from values that other nodes in the loop need anyway.

        Elementwise ops between these values and ``node`` move into the loop, too, if nothing else reads them.
        """
        pending, seen = [(source_of(item), node) for item in node.operands], {node}
        while pending:
            source, reader = pending.pop()
            others = [item for item in _readers(source, users) if item is not reader]
            has_no_steps = source in self.free or self.kind[source].length is None
            if has_no_steps or any(self.kind.get(item) == kind for item in others) or source in seen:
                continue
            if others or source in outputs or not self._has_axis_of(source, kind) or len(seen) > MAX_MOVED_OPS:
                return False
            seen.add(source)
            pending += [(source_of(item), source) for item in source.operands]
        return True

    def _is_free_view(self, node: Node) -> bool:
        """True for a copy-free view of a leaf, of recomputed index arithmetic, or of another such view.

        A reshape that merges axes, or splits one of symbolic size, must read a parameter or a constant, because only
        these are contiguous. A view of index arithmetic is not free if an op needs it in memory, or if it reverses or
        skips units.
        """
        if not is_view(node) or node.operands[0] not in self.free or node in self.transposed_weights:
            return False
        if (node in self.materialized or permutes_units(node)) and source_of(node) in self.pure:
            return False
        in_memory = source_of(node) not in self.pure and is_strided_view(node)
        return stays_view(node) or in_memory or node.operands[0].op in ("parameter", "constant")

    def _prepare(self) -> None:
        """Mark nodes of parameters and constants alone, without scans or symbolic sizes, as computed before calls."""
        constant: set[Node] = set()  # free nodes that depend on no feed and no symbolic size
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
        """Move values with a time axis to the level of their first readers, for fewer groups and less memory."""
        outputs = {node for _, node in self.graph.outputs}
        for node in reversed(self.graph.nodes):
            if node in self.free or self.kind[node] in (PLAIN, PREPARED) or node in outputs or not users[node]:
                continue
            if node.op in ("scan", "get") or any(user in self.free for user in users[node]):
                continue
            same_kind = [user for user in users[node] if self.kind[user] == self.kind[node]]
            if not same_kind:
                continue
            latest = min(self.level[user] - (self._after(node, user) - self.level[node]) for user in users[node])
            self.level[node] = max(self.level[node], latest)

    def _directions(self, users: dict[Node, list[Node]]) -> None:
        """Set ``kind`` of each node of a group: the length and direction of its time loop, or ``PLAIN`` without a loop.

        ``settled_directions`` decides first. The direction of other values is that of the last scan on which they
        depend. If they depend on scans of both directions, or on none, scans that depend on them decide if these have
        one direction. Without any scan, it is forward.
        """
        readers_direction: dict[Node, bool | None] = {}
        for node in reversed(self.graph.nodes):
            if node.op == "scan":
                readers_direction[node] = runs_backward(node)
                continue
            user_directions = {
                readers_direction[user]
                for user in users[node]
                if user in readers_direction and readers_direction[user] is not None
            }
            readers_direction[node] = user_directions.pop() if len(user_directions) == 1 else None
        last_scan: dict[Node, tuple[int, bool]] = {}  # last scan on which a value depends, and its direction
        for number, node in enumerate(self.graph.nodes):
            if node.op == "scan":
                last_scan[node] = (number, runs_backward(node))
                continue
            before = {last_scan[item] for item in node.operands if item in last_scan}
            direction = readers_direction[node]
            if before and (direction is None or len({reverse for _, reverse in before}) == 1):
                last_scan[node] = max(before)  # of several scans, the last one in the graph determines the direction
            elif direction is not None:
                last_scan[node] = (number, direction)
        settled = settled_directions(self.graph)
        for node in self.graph.nodes:
            if node in self.free:
                continue
            length = self._time(node)
            reverse = settled.get((node, length), last_scan[node][1] if node in last_scan else False)
            if node.op == "scan" and reverse != runs_backward(node):
                raise VerifyError(f"{node.name or 'a scan'} would run in a loop of the opposite direction")
            self.kind[node] = PLAIN if length is None else GroupKind(length, reverse)

    def _time(self, node: Node) -> Dim | None:
        """Return the length of the time loop that computes ``node`` step by step; None if no loop does."""
        if node.op == "scan":
            return node["length"]
        if node.op == "get":
            return None if is_final(node) else self._time(node.operands[0])
        if adds_up(node):
            source = node.operands[-1]
            timed = source.tensor.rank > 1 and source.shape[0] in self.lengths
            by_step = node.operands[0].tensor.rank > 0  # a ``scatter_add`` with a scalar index has no time axis
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
        """Return the length of the loop that computes a slice; None if the slice has several but not all steps."""
        source = node.operands[0]
        if node.tensor.rank < 2 or source.shape[0] not in self.lengths or source in self.free:
            return None
        return source.shape[0] if kept_at(node, 0, 0) == 0 or node.shape[0] == 1 else None

    def _after(self, operand: Node, node: Node) -> int:
        """Return the lowest level, a position in the order of groups, at which ``node`` can read ``operand``."""
        if operand in self.free:
            return 0
        level = self.level[operand]
        if self.kind[operand] == PREPARED:
            return 0
        if operand.op == "scan":
            return level if self.kind[node] != PLAIN else level + 1
        same_kind = self.kind[operand] == self.kind[node]
        if not same_kind:
            return level + 1
        if self.kind[node] == PLAIN or self._steps_with(operand, node):
            return level if not self._ends_after_loop(operand) else level + 1
        return level + 1

    def _ends_after_loop(self, node: Node) -> bool:
        """True for a slice of steps, or a sum over steps, which is complete only after the last chunk."""
        if self.kind[node] in (PLAIN, PREPARED):
            return False
        return adds_up(node) or picks_step(node, self.kind[node].length)

    def _steps_with(self, operand: Node, node: Node) -> bool:
        """True if each step of ``node`` reads only the same step of ``operand``."""
        length = self.kind[node].length
        if node.op == "scan":
            initial, sequences, invariants = split_inputs(node, node.operands)
            return operand in sequences and operand not in initial and operand not in invariants
        if node.op == "slice":
            return True
        is_along = operand.tensor.rank > 1 and operand.shape[0] == length
        return is_along and (adds_up(node) or keeps(node, operand, 0, 0))

    def groups(self) -> list[FusionGroup]:
        """Return all fusion groups in order of execution. Groups that are computed before calls come first.

        Independent prepared values are in separate groups.
        """
        groups_by_key: dict[tuple[int, GroupKind, Node | None], FusionGroup] = {}
        parts = self._prepared_components()
        for node in self.graph.nodes:
            if node in self.free:
                continue
            level, kind = self.level[node], self.kind[node]
            groups_by_key.setdefault((level, kind, parts.get(node)), FusionGroup(level, kind)).nodes.append(node)
        order = {node: number for number, node in enumerate(self.graph.nodes)}
        return sorted(
            groups_by_key.values(), key=lambda stage: (stage.kind != PREPARED, stage.level, order[stage.nodes[0]])
        )

    def _prepared_components(self) -> dict[Node, Node]:
        """Return {prepared value: first value of its connected component of prepared values}."""
        prepared = [node for node in self.graph.nodes if self.kind.get(node) == PREPARED]
        reads = [[node, *(item for item in node.operands if self.kind.get(item) == PREPARED)] for node in prepared]
        return {prepared[number]: prepared[part[0]] for part in connected(reads) for number in part}

    def closure(self, nodes: Sequence[Node]) -> list[Node]:
        """Return ``nodes`` and the index arithmetic that they read, in topological order."""
        needed = set(nodes)
        for node in reversed(self.graph.nodes):
            if node in needed:
                needed.update(item for item in node.operands if self._is_index(item))
        return [node for node in self.graph.nodes if node in needed]

    def _sequences_read_whole(self, users: dict[Node, list[Node]]) -> set[Node]:
        """Return the sequences that some op reads as a whole, so that they must be complete before the op runs."""
        whole: set[Node] = set()
        for node in reversed(self.graph.nodes):
            if node.op == "scan" or node.tensor.rank < 2 or node.shape[0] not in self.lengths:
                continue
            for user in users[node]:
                is_invariant = user.op == "scan" and node in split_inputs(user, user.operands)[2]
                at_once = is_invariant or (user.op != "scan" and reads_whole(user, node))
                if at_once or (is_view(user) and user in whole):
                    whole.add(node)
        return whole

    def _is_index(self, node: Node) -> bool:
        """True for index arithmetic, or a view of it, that no group computes. Scalar inputs do not count."""
        if node in self.pure:
            return node.op != "input" and node in self.free
        source = source_of(node)
        return node in self.free and source in self.pure and source.op not in ("input", "constant")


def _readers(node: Node, users: dict[Node, list[Node]]) -> list[Node]:
    """Return the readers of a value, through views. A view that nothing reads counts as a reader."""
    readers: list[Node] = []
    pending = list(users[node])
    while pending:
        user = pending.pop()
        if is_view(user) and users[user]:
            pending += users[user]
        else:
            readers.append(user)
    return readers
