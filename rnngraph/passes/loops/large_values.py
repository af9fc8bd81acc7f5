"""Values that stay in a loop because of their size, although no cycle needs them.

These are values larger than their operands, and readouts smaller than what they read. Outside of a loop, such a value
would be a sequence in memory, written and read once more. An outer product that is added to a matrix state, or a state
that is only read out, is as large as the state at each step. The vectors from which it is computed, or to which it is
reduced, are small, and computing it outside saves no work. A derivative also reads the states of the forward loop, and
reduces them where the backward loop reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from ...ir.graph import Node
from ...ir.node import OPS
from ...ir.types import Dim, TensorType, evaluate, product, symbols_of
from ...support.records import dataclass

Loop = TypeVar("Loop")

MIN_AXES = 3
"""Minimum rank of a large value: rows, and two axes of a matrix."""
MIN_RATIO = 4
"""Minimum ratio between the size of a large value and that of its operands or readouts."""


@dataclass(frozen=True)
class Step(Generic[Loop]):
    """Values of a scan's step, and the loops into which the scan splits.

    Args:
        nodes: Nodes of its body, operands first.
        readers: Readers of each node; a carry reads its next value.
        loops: Loop of each member of a loop.
        varying: Nodes that differ from step to step.
        results: Nodes that each step returns, other than the next values of carries.
        histories: Inputs that are a carry of another loop at all steps, with a key of the carry.
    """

    nodes: Sequence[Node]
    readers: Mapping[Node, Sequence[Node]]
    loops: Mapping[Node, Loop]
    varying: Collection[Node]
    results: Collection[Node]
    histories: Mapping[Node, object]

    def made_of_little(self) -> dict[Node, Loop]:
        """Return large values that are computed from small values and read by a single loop, with this loop."""
        smallest = dict[Node, int]()  # lower bound on the largest value that each is computed from
        for node in self.nodes:
            smallest[node] = _size(node) if node in self.varying else 1
            if node.operands and node not in self.loops and _moves(node):
                smallest[node] = min(smallest[node], max(map(smallest.__getitem__, node.operands)))
        kept = dict[Node, Loop]()
        for node in reversed(self.nodes):
            outgrows = _is_large(node) and _size(node) >= MIN_RATIO * smallest[node] and _moves(node)
            if outgrows and node in self.varying and node not in self.loops and node not in self.results:
                homes = [self.loops.get(reader, kept.get(reader)) for reader in self.readers[node]]
                if homes and homes[0] is not None and all(home is homes[0] for home in homes):
                    kept[node] = homes[0]
        return kept

    def readouts_of_members(self) -> dict[Node, Loop]:
        """Return the readouts of large values that a loop computes, by readout.

        If the loop computes them, too, the large value need not be written for every step. Values that cannot move
        into the loop read a sequence of the large value as before.
        """
        kept = dict[Node, Loop]()
        for node, home in self.loops.items():
            if _is_large(node) and node not in self.results:
                kept |= dict.fromkeys(self._readouts(node, home, kept), home)
        return kept

    def readouts_of_sequences(self) -> dict[Node, Loop]:
        """Return the readouts of large sequences that only one loop reads, with that loop.

        Readouts are all values on the way from such a sequence to small values, the small ones included. The values
        of a carry before and after each step are one sequence, as they share memory.
        """
        kept = dict[Node, Loop]()
        for node in self.nodes:
            if node.op != "input" or node in self.loops or node not in self.varying or not _is_large(node):
                continue
            alike = [item for item, key in self.histories.items() if key == self.histories.get(node)]
            readers = {reader for item in alike or [node] for reader in self.readers[item]}
            homes = [self.loops[reader] for reader in readers if reader in self.loops]
            if homes and all(home is homes[0] for home in homes):
                kept |= dict.fromkeys(self._readouts(node, homes[0], kept), homes[0])
        return kept

    def _readouts(self, large: Node, home: Loop, kept: Mapping[Node, Loop]) -> set[Node]:
        """Return the ops outside of a loop that reduce a large value of it; empty if they must stay outside.

        ``kept`` has the values that were moved into loops before.
        """
        readers, few = set[Node](), _size(large) // MIN_RATIO
        pending = self._outside(large, home)
        while pending:
            node = pending.pop()
            if node in self.loops or not _moves(node):
                return set()
            if node in readers:
                continue
            readers.add(node)
            if _size(node) > few:
                if node in self.results:
                    return set()
                pending += self._outside(node, home)
        own = {node for node, loop in self.loops.items() if loop is home}
        others = {item for node in readers for item in node.operands} - readers - own
        return readers if others.isdisjoint(self._after(home, kept)) else set()

    def _outside(self, node: Node, home: Loop) -> list[Node]:
        return [reader for reader in self.readers[node] if self.loops.get(reader) is not home]

    def _after(self, home: Loop, kept: Mapping[Node, Loop]) -> set[Node]:
        """Return the values that depend on a loop: they exist once all its steps have run.

        If one value of another loop depends on it, all values of that loop do.
        """
        members: dict[int, list[Node]] = {}
        for node, loop in (*self.loops.items(), *kept.items()):
            members.setdefault(id(loop), []).append(node)
        home_of = {**self.loops, **kept}
        pending, after = [*members[id(home)]], set[Node]()
        while pending:
            for reader in self.readers[pending.pop()]:
                if reader not in after:
                    together = members[id(home_of[reader])] if reader in home_of else [reader]
                    after.update(together)
                    pending += together
        return after


def _moves(node: Node) -> bool:
    """True for ops that cost no more within a loop than over all steps."""
    row = OPS[node.op]
    return (
        row.kind in ("elementwise", "movement", "reduction") and not row.random and node.op not in ("gather", "concat")
    )


def _is_large(node: Node) -> bool:
    return isinstance(node.type, TensorType) and sum(dim != 1 for dim in node.shape) >= MIN_AXES


def _size(node: Node) -> int:
    """Return the number of elements in a row; 0 for the result of an inner loop."""
    if not isinstance(node.type, TensorType):
        return 0
    dims: Dim = product(node.shape)
    return evaluate(dims, dict.fromkeys(symbols_of(dims), 1))
