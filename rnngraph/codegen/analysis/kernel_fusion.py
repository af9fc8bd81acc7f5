"""Cuts a region of a graph into phases: maximal runs of ops that one loop nest computes.

An op must wait for a value from another phase where that value is contracted, reduced, joined, or read at
other places than the op's own; everything else is computed in registers, in the phase that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir.graph import Graph, Node
from ...ir.ops import OPS
from ...ir.types import Shape
from .node_kinds import contracted, cuts_axes, is_view, kind_of, parts_units, stays_view

MOST_TOGETHER = 128
"""Ops of a phase, if they can be told apart: the time to compile a function grows faster than its length, and equal
parts, such as the updates of layers that are alike, are one function.
"""


@dataclass
class Step:
    """One kernel: a phase over ``shape``, or a single reduce, concat, copy or scan."""

    level: int
    kind: str
    shape: Shape
    members: list[Node] = field(default_factory=list)


@dataclass
class Phases:
    """steps: in an order that respects dependencies. stored: values that must be in memory."""

    steps: list[Step]
    stored: set[Node]
    inline: set[Node]


def cut(
    nodes: Sequence[Node], live_out: set[Node], available: set[Node], copies: set[Node],
    joins: frozenset[Node] = frozenset(),
) -> Phases:  # fmt: skip
    """nodes: in topological order. available: values in memory before the region. copies: reshapes that
    strides can't express, which copy. joins: what is read piece by piece.
    """
    cutter = _Cutter(nodes, live_out, available, copies, joins)
    cutter.levels()
    cutter.fold()
    cutter.sink()
    return cutter.phases()


def cut_body(body: Graph) -> Phases:
    """Of a scan's body: what a step computes, of what lies in memory."""
    outputs = [value for _, value in body.outputs]
    inner_views = set(body.inputs) | {n for n in body.nodes if n.op == "constant" and n.tensor.rank}
    available = set(inner_views)
    for inner in body.nodes:  # views of what is handed in are in memory too
        if is_view(inner) and inner.operands[0] in available and (stays_view(inner) or cuts_axes(inner)):
            available.add(inner)
    copies = {n for n in body.nodes if is_view(n) and n not in available and not stays_view(n)}
    return cut(body.nodes, set(outputs) - available, available, copies)


def _goes_on(step: Step) -> bool:
    """Whether later steps read what a step gives. Sums over rows go first: what they alone read is then not needed."""
    return step.kind not in ("outer_sum", "scatter_add")


def _apart(step: Step) -> list[Step]:
    """A phase of very many ops as several of at most ``MOST_TOGETHER``, as far as the ops need not each other."""
    if step.kind != "phase" or len(step.members) <= MOST_TOGETHER:
        return [step]
    groups: dict[Node, list[Node]] = {}
    for node in step.members:
        joined = {id(groups[item]): groups[item] for item in node.operands if item in groups}
        first, *others = sorted(joined.values(), key=len, reverse=True) or [[]]
        for other in others:
            first += other
            groups.update(dict.fromkeys(other, first))
        first.append(node)
        groups[node] = first
    found: list[Step] = []
    for group in {id(group): group for group in groups.values()}.values():
        if not found or len(found[-1].members) + len(group) > MOST_TOGETHER:
            found.append(Step(step.level, step.kind, step.shape))
        found[-1].members += group
    order = {node: number for number, node in enumerate(step.members)}
    for part in found:
        part.members.sort(key=order.__getitem__)
    return found


class _Cutter:
    def __init__(
        self, nodes: Sequence[Node], live_out: set[Node], available: set[Node], copies: set[Node],
        joins: frozenset[Node],
    ) -> None:  # fmt: skip
        self.nodes = [node for node in nodes if node not in available]
        self.live_out, self.available, self.copies, self.joins = live_out, available, copies, joins
        self.members = set(self.nodes)
        self.level: dict[Node, int] = {}
        self.inline: set[Node] = set()
        self.folded: set[Node] = set()
        self.users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.operands:
                if operand in self.members:
                    self.users[operand].append(node)
        self.held = {node for node in self.nodes if any(self._held(node, user) for user in self.users[node])}

    def _is_view(self, node: Node) -> bool:
        return is_view(node) and node not in self.copies

    def _can_inline(self, node: Node) -> bool:
        """A value cheap enough to be computed wherever it is read: an index, or one number a row."""
        if node.op in ("iota", "dimension") or (node.op == "constant" and not node.tensor.rank):
            return True
        if self._is_view(node):
            return node.operands[0] in self.inline and not parts_units(node)
        if OPS[node.op].kind != "elementwise":
            return False
        operands_ready = all(
            item in self.available or item in self.inline or self._source(item) is not None for item in node.operands
        )
        small = not node.tensor.rank or node.shape[-1] == 1
        pure = all(item in self.inline for item in node.operands)
        return operands_ready and (small or pure)

    def _held(self, operand: Node, user: Node) -> bool:
        return contracted(operand, user) or user in self.joins

    def _source(self, node: Node) -> Node | None:
        """The computed value that a chain of views reads, if there is one."""
        while self._is_view(node) and node in self.members:
            if node in self.inline:
                return None
            node = node.operands[0]
        if node in self.inline or node not in self.members:
            return None
        return node

    def levels(self) -> None:
        for node in self.nodes:
            if self._can_inline(node):
                self.inline.add(node)
            self.level[node] = max((self._after(operand, node) for operand in node.operands), default=0)

    def _after(self, operand: Node, node: Node) -> int:
        """The lowest level at which ``node`` may read ``operand``."""
        if operand not in self.members:
            return 0
        if operand.op == "scan":  # its results are there when it is
            return self.level[operand]
        if operand in self.inline:  # computed again by each reader, unless it lies in memory
            waits = self._held(operand, node) or self._stored(operand)
        else:
            waits = self._waits(operand, node)
        return self.level[operand] + (1 if waits else 0)

    def _waits(self, operand: Node, node: Node) -> bool:
        """Whether ``operand`` must be in memory before ``node`` reads it."""
        if self._is_view(operand) or operand.op == "scan" or operand in self.joins:
            return False  # what it views is in memory already: the view waited for it
        if operand in self.folded or node in self.folded:
            return operand not in self.folded
        if self._is_view(node) or node in self.inline:
            return True
        if kind_of(node) != "phase" or kind_of(operand) != "phase" or node in self.copies:
            return True
        if node.op == "gather" or operand.shape != node.shape:
            return True
        return node.op == "matmul" and operand in node.operands[:2]

    def fold(self) -> None:
        """Ops that a reduction alone reads are computed where it adds them up, if no more values than before must
        then be in memory.
        """
        for node in self.nodes:
            if not node.op.startswith("reduce_") or node.operands[0] not in self.members:
                continue
            inside, pending = set[Node](), [node.operands[0]]
            while pending:
                item = pending.pop()
                if item in self.members and self._folds(item, node, inside):
                    inside.add(item)
                    pending += item.operands
            read = {item for inner in inside for item in inner.operands} - inside
            if sum(self._computed(item) and not self._in_memory(item) for item in read) <= 1:
                self.folded |= inside
                self.level.update(dict.fromkeys(inside, self.level[node]))

    def _folds(self, node: Node, reduction: Node, inside: set[Node]) -> bool:
        if OPS[node.op].kind != "elementwise" or node in self.inline or node in self.live_out:
            return False
        if node.shape != reduction.operands[0].shape:
            return False
        return all(user is reduction or user in inside for user in self.users[node])

    def _computed(self, node: Node) -> bool:
        return node in self.members and node not in self.inline and not self._is_view(node)

    def sink(self) -> None:
        """Moves cheap ops to where they are used, where that keeps a value out of memory."""
        for node in reversed(self.nodes):
            if (
                OPS[node.op].kind != "elementwise"
                or node in self.live_out
                or node in self.inline
                or node in self.folded
            ):
                continue
            users = self.users[node]
            if not users or any(self._is_view(user) or self._waits(node, user) for user in users):
                continue
            latest = min(self.level[user] for user in users)
            if latest <= self.level[node]:
                continue
            read = dict.fromkeys(node.operands)
            if sum(self._computed(item) and not self._in_memory(item) for item in read) <= 1:
                self.level[node] = latest

    def _in_memory(self, node: Node) -> bool:
        if node in self.live_out:
            return True
        return any(self._waits(node, user) or self.level[user] > self.level[node] for user in self.users[node])

    def phases(self) -> Phases:
        stored = {node for node in self.nodes if self._stored(node)}
        for node in self.nodes:
            source = self._source(node) if self._is_view(node) else None
            if source is not None:
                stored.add(source)
        steps: dict[object, Step] = {}
        for node in self.nodes:
            unnamed = node in self.inline or node in self.joins or node in self.folded or self._is_view(node)
            if node.op == "get" or (node not in stored and unnamed):
                continue
            kind = "phase" if node in self.inline else "copy" if node in self.copies else kind_of(node)
            shape = node.shape if kind == "phase" else ()
            key = (self.level[node], kind, shape) if kind == "phase" else node
            step = steps.setdefault(key, Step(self.level[node], kind, shape))
            step.members.append(node)
        positions = {node: number for number, node in enumerate(self.nodes)}
        every = [part for step in steps.values() for part in _apart(step)]
        ordered = sorted(every, key=lambda step: (step.level, _goes_on(step), positions[step.members[0]]))
        return Phases(ordered, stored, self.inline - stored)

    def _stored(self, node: Node) -> bool:
        """Whether the value must be in memory."""
        if node in self.inline:  # computed again wherever it is read, unless something contracts it
            return node in self.live_out or node in self.held
        if self._is_view(node) or node in self.joins or node in self.folded:
            return False
        return node in self.copies or kind_of(node) != "phase" or self._in_memory(node)
