"""What of a step stays in its loop although no cycle needs it: values that are larger than what they are made of, and
readouts that are smaller than what they read.

Outside of a loop a value is a sequence in memory, written and read once more. An outer product that a matrix state adds
takes there as many bytes as the state, and so does a state that is only read out. The vectors that they are made of, or
become, take few, and neither is less work outside. A derivative reads the states of the forward loop, too: what makes
few numbers of these is computed where the backward loop reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...ir.graph import Node
from ...ir.node import OPS
from ...ir.types import Dim, TensorType, evaluate, product, symbols_of

Loop = TypeVar("Loop")

MIN_AXES = 3
"""Axes of a value that counts as large: rows, and two of a matrix."""
MIN_RATIO = 4
"""How many times larger than what it is made of, or read out to, a value is at least."""


@dataclass(frozen=True)
class Step(Generic[Loop]):
    """A step of a scan.

    Args:
        nodes: of its body, operands first.
        readers: who reads each of them; a carry reads the value that it becomes.
        loops: the loop of each member of one.
        varying: nodes that differ from step to step.
        results: nodes that each step gives.
    """

    nodes: Sequence[Node]
    readers: Mapping[Node, Sequence[Node]]
    loops: Mapping[Node, Loop]
    varying: Collection[Node]
    results: Collection[Node]

    def made_of_little(self) -> dict[Node, Loop]:
        """Return large values that only one loop reads and that outgrow what they are made of, with that loop."""
        smallest = dict[Node, int]()  # the largest value that each is made of, as small as that can be
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
        """Return what is computed of large values of a loop, up to values that are small, by loop.

        A value that is read elsewhere as well is a sequence anyway.
        """
        kept = dict[Node, Loop]()
        for node, home in self.loops.items():
            if _is_large(node) and node not in self.results:
                kept |= dict.fromkeys(self._readouts(node, home), home)
        return kept

    def readouts_of_sequences(self) -> dict[Node, Loop]:
        """Return what is computed of large sequences that one loop reads anyway, up to values that are small."""
        kept = dict[Node, Loop]()
        for node in self.nodes:
            if node.op != "input" or node in self.loops or node not in self.varying or not _is_large(node):
                continue
            homes = [self.loops[reader] for reader in self.readers[node] if reader in self.loops]
            if homes and all(home is homes[0] for home in homes):
                kept |= dict.fromkeys(self._readouts(node, homes[0]), homes[0])
        return kept

    def _readouts(self, large: Node, home: Loop) -> set[Node]:
        """Return what reads a large value outside of its loop, up to values that are small; none if that can't stay."""
        found, few = set[Node](), _size(large) // MIN_RATIO
        pending = self._outside(large, home)
        while pending:
            node = pending.pop()
            if node in self.loops or not _moves(node):
                return set()
            if node in found:
                continue
            found.add(node)
            if _size(node) > few:
                following = self._outside(node, home)
                if node in self.results or not following:
                    return set()
                pending += following
        own = {node for node, loop in self.loops.items() if loop is home}
        others = {item for node in found for item in node.operands} - found - own
        return set() if any(map(self._needs_loop, others)) else found

    def _outside(self, node: Node, home: Loop) -> list[Node]:
        return [reader for reader in self.readers[node] if self.loops.get(reader) is not home]

    def _needs_loop(self, node: Node) -> bool:
        """True if a value depends on a loop. It may be one that depends on the readout's own."""
        pending, seen = [node], set[Node]()
        while pending:
            item = pending.pop()
            if item in self.loops:
                return True
            if item not in seen:
                seen.add(item)
                pending += item.operands
        return False


def _moves(node: Node) -> bool:
    """True for ops that are no more work in a loop than over all steps."""
    row = OPS[node.op]
    return (
        row.kind in ("elementwise", "movement", "reduction") and not row.random and node.op not in ("gather", "concat")
    )


def _is_large(node: Node) -> bool:
    return isinstance(node.type, TensorType) and sum(dim != 1 for dim in node.shape) >= MIN_AXES


def _size(node: Node) -> int:
    """Entries of a row; none of what an inner loop gives as a whole."""
    if not isinstance(node.type, TensorType):
        return 0
    dims: Dim = product(node.shape)
    return evaluate(dims, dict.fromkeys(symbols_of(dims), 1))
