"""Splitting of a scan: cycles of carries stay in loops, and all other values are computed for all steps at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ...ir.graph import Graph, Node, dependents, make, remake, zero
from ...ir.scan import Binding, Carry, ScanParts, histories_read
from .cycles import cycles
from .large_values import StepValues
from .lifting import aligned, lift, over_time


class LoopPiece(Protocol):
    """Interface of a loop that computes some values of a scan's body, its ``members``."""

    members: list[Node]

    def needed(self) -> Sequence[Node]:
        """Return the body's nodes that the loop reads from outside; empty once the loop is built."""

    def final(self, carry: Node, like: Node) -> Node:
        """Return the carry after the last step."""

    def emitted(self, node: Node) -> Node:
        """Return the value at all steps of ``node``, which is one of the loop's members."""


class ScanPieces:
    """Scan that is split into loops and ops over all steps. Results that nothing uses are not built.

    Attributes:
        initial: Initial values by carry.
        next: Next values by carry.
        lifted: Values over all steps, by node of the body, as far as they are built.
        invariant: Loop invariants outside of the loop, by node of the body.
        condition: Node that is True for steps that run; None if all steps run.
        results: Emitted values of the body.
        whole: True if splitting the scan gains nothing.
    """

    def __init__(self, scan: Node) -> None:
        self.scan = scan
        self.body: Graph = scan["body"]
        self.carries, self.length = scan["carries"], scan["length"]
        parts = ScanParts.of(scan)
        self.initial = {carry.inside: carry.initial for carry in parts.carries}
        self.next = {carry.inside: carry.next for carry in parts.carries}
        self.lifted, self.invariant = dict(parts.sequences), dict(parts.invariants)
        self.condition = parts.when
        self.readers = self.body.users()
        for carry, value in self.next.items():  # a carry that delays a value by one step has no op between the two
            self.readers[value].append(carry)
        self.results = {value for _, value in self.body.outputs[self.carries :]}
        self.loops: dict[Node, LoopPiece] = {}  # loops by member
        self._components()

    def _components(self) -> None:
        """Group the body's nodes into loops, one for each cycle of carries, and decide if the scan is split."""
        for part in cycles(self.body.nodes, self.next) if self.condition not in self.next else [self._steps()]:
            carries = [node for node in part if node in self.next]
            if len(part) == 1 and self.next[carries[0]] is carries[0]:
                self.invariant[carries[0]] = self.initial[carries[0]]  # a constant carry
                continue
            loop = _Loop(self, part)
            for node in part:
                self.loops[node] = loop
        self._keep_large()
        members = set(self.loops)
        not_in_loops = [node for node in self.body.nodes if node not in members]
        leaves = set(self.body.inputs)
        self.whole = (
            len({id(loop) for loop in self.loops.values()}) <= 1
            and all(node in leaves or self._number(node) for node in not_in_loops)
            and not any(node in self.initial for node in not_in_loops)
            and len(self.body.outputs) - self.carries == len({value for _, value in self.body.outputs[self.carries :]})
            and all(value in members for _, value in self.body.outputs[self.carries :])
        ) or self._is_single_op()
        if any(node.op == "scan" for node in self._varying()) or self._is_block():  # each step contains a loop
            self.whole = True

    def _keep_large(self) -> None:
        """Keep large matrices, and the sums that read them, in the loop that computes or reads them."""
        histories = histories_read(self.scan)
        results = self.results - {*self.next, *self.next.values()}  # all steps of carries are written in any case
        for find in (
            StepValues.readouts_of_members,
            StepValues.readouts_of_sequences,
            StepValues.computed_from_small_values,
        ):
            step = StepValues(self.body.nodes, self.readers, self.loops, self._varying(), results, histories)
            home_of = find(step)
            for loop in {id(loop): loop for loop in home_of.values()}.values():
                extended = {*loop.members, *(node for node, home in home_of.items() if home is loop)}
                whole = _Loop(self, [node for node in self.body.nodes if node in extended])
                for node in extended:
                    self.loops[node] = whole

    def _steps(self) -> list[Node]:
        """Return all values that vary from step to step, as one loop.

        The loop cannot be split if it computes the condition that decides which steps run.
        """
        varies = self._varying()
        return [node for node in self.body.nodes if node in varies and node not in self.lifted]

    def _varying(self) -> set[Node]:
        carries = (carry for carry in self.next if carry not in self.invariant)
        return dependents([*carries, *self.lifted], self.body.nodes)

    def _is_single_op(self) -> bool:
        """True if the body is a single op that cannot leave the loop."""
        work = [node for node in self.body.nodes if node not in self.body.inputs and not self._number(node)]
        if self.initial or len(work) != 1 or [value for _, value in self.body.outputs] != work:
            return False
        operands = [self.outside(item) for item in work[0].operands]
        return any(has_time for _, has_time in operands) and lift(work[0], operands, self.length) is None

    def _is_block(self) -> bool:
        """True if a recurrence reads products of two varying values, and no product has an invariant weight.

        Splitting such a loop does not pay: a hoisted product of two varying operands costs as much as one in the loop,
        and its result needs memory for all steps. Only products with an invariant weight get cheaper outside of the
        loop.
        """
        free = set(self.body.nodes) - dependents(self.next, self.body.nodes)
        cyclic = {node for node, loop in self.loops.items() if len(loop.members) > 1}
        varying = self._varying()
        products = [node for node in self.body.nodes if node.op == "matmul"]
        batched = [node for node in products if node in free and node.operands[1].tensor.rank > 2]
        varying_products = [node for node in batched if all(item in varying for item in node.operands[:2])]
        weighing = [node.operands[1] for node in products if node.operands[1] not in varying]
        feeds = not cyclic.isdisjoint(dependents(varying_products, self.body.nodes))
        return feeds and dependents(self.body.inputs, self.body.nodes).isdisjoint(weighing)

    @staticmethod
    def _number(node: Node) -> bool:
        """True for a value that depends on no other value."""
        return node.op in ("constant", "iota", "dimension")

    def replace_loop(self, carry: Node, loop: LoopPiece) -> None:
        """Replace the loop that computes a carry by ``loop``."""
        for node in [node for node, known in self.loops.items() if carry in known.members]:
            del self.loops[node]
        self.loops.update(dict.fromkeys(loop.members, loop))
        self.whole = False

    def result(self, index: int, like: Node) -> Node:
        """Return a result of the scan: a final carry, or an emitted value at all steps."""
        value = self.body.outputs[index][1]
        if index < self.carries:
            carry = self.body.inputs[index]
            if carry in self.invariant:
                return self.invariant[carry]
            return self.loops[carry].final(carry, like)
        node, has_time = self.outside(value)
        whole = over_time(node, has_time, self.length)
        return whole if self.condition is None or value in self.loops else self._zero_where_skipped(whole)

    def _zero_where_skipped(self, value: Node) -> Node:
        """Return a value hoisted out of a conditional loop, with 0 for the steps that do not run."""
        assert self.condition is not None
        running = aligned(*self.outside(self.condition), value.tensor.rank - 1)
        return make("select", running, value, zero(value.dtype), where=value.where, name=value.name)

    def outside(self, node: Node) -> tuple[Node, bool]:
        """Return the counterpart of a body's node outside of the loop, and True if it has a time axis."""
        self.take_out([node])
        return (self.invariant[node], False) if node in self.invariant else (self.lifted[node], True)

    def take_out(self, nodes: Iterable[Node]) -> None:
        """Build the counterparts of nodes outside of the loop, dependencies first."""
        stack = list(nodes)
        while stack:  # an explicit stack, because bodies and chains of loops may exceed Python's recursion limit
            current = stack[-1]
            if current in self.invariant or current in self.lifted:
                stack.pop()
                continue
            loop = self.loops.get(current)
            needed = current.operands if loop is None else loop.needed()
            missing = [item for item in needed if item not in self.invariant and item not in self.lifted]
            if missing:
                stack.extend(missing)
                continue
            if loop is None:
                self._build(current)
            else:
                self.lifted[current] = loop.emitted(current)
            stack.pop()

    def _build(self, node: Node) -> None:
        """Build a node outside of the loop, in a separate loop if the op cannot run over all steps at once."""
        if all(item in self.invariant for item in node.operands):
            self.invariant[node] = remake(node, [self.invariant[item] for item in node.operands])
            return
        operands = [
            (self.invariant[item], False) if item in self.invariant else (self.lifted[item], True)
            for item in node.operands
        ]
        lifted = lift(node, operands, self.length)
        if lifted is None:
            loop = _Loop(self, [node])
            lifted = loop.emitted(node)
        self.lifted[node] = lifted


class _Loop:
    """One component: a scan over the nodes of a cycle, or over one op that cannot leave the loop."""

    def __init__(self, pieces: ScanPieces, members: list[Node]) -> None:
        self.pieces = pieces
        self.members = members
        self.carries = [node for node in members if node in pieces.next]
        self.emits: list[Node] = []
        self.built: Node | None = None
        inside = set(members)
        # Emits are zero for skipped steps. Results that leave the loop need the condition, to be zero there, too.
        zeroed = None if inside.issuperset(pieces.results) else pieces.condition
        self.emits = [
            node
            for node in members
            if node in pieces.results or node is zeroed or any(user not in inside for user in pieces.readers[node])
        ]

    def scan(self) -> Node:
        """Return the loop as a scan, which is built by the first call."""
        if self.built is None:
            self.pieces.take_out(self.needed())
            self.built = self._build()
        return self.built

    def needed(self) -> Sequence[Node]:
        """Return the body's nodes that the loop reads from outside; empty once the loop is built."""
        if self.built is not None:
            return ()
        inside = set(self.members)
        read = [
            *(item for node in self.members for item in node.operands),
            *map(self.pieces.next.get, self.carries),
            self.pieces.condition,
        ]
        return list(dict.fromkeys(item for item in read if item is not None and item not in inside))

    def _build(self) -> Node:
        pieces = self.pieces
        sequences: list[Binding] = []
        invariants: list[Binding] = []
        new: dict[Node, Node] = {}
        for carry in self.carries:
            new[carry] = carry
        for node in self.needed():
            outer, has_time = pieces.outside(node)
            if not has_time and outer.op == "constant" and outer.tensor.rank == 0:
                new[node] = outer
                continue
            label = str(node.get("label", node.name or node.op))
            kind = outer.tensor.with_shape(outer.shape[1:]) if has_time else outer.tensor
            param = make("input", where=node.where, name=label, label=label, type=kind)
            new[node] = param
            (sequences if has_time else invariants).append(Binding(param, outer))
        for node in self.members:
            if node not in new:
                new[node] = remake(node, [new[item] for item in node.operands])
        scan = pieces.scan
        # ``new`` also has next values from outside, because a carry may only delay a value.
        following = {node: new[pieces.next[node]] for node in self.carries}
        carries = [Carry(node, pieces.initial[node], str(node["label"]), following[node]) for node in self.carries]
        emits = [(node.name or node.op, new[node]) for node in self.emits]
        when = None if pieces.condition is None else new[pieces.condition]
        return ScanParts(carries, sequences, invariants, emits, scan["length"], scan["reverse"], when).build(
            scan.where, scan.name
        )

    def final(self, carry: Node, like: Node) -> Node:
        return make("get", self.scan(), where=like.where, name=like.name, index=self.carries.index(carry))

    def emitted(self, node: Node) -> Node:
        index = len(self.carries) + self.emits.index(node)
        return make("get", self.scan(), where=node.where, name=node.name or "emit", index=index)
