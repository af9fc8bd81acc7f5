"""Values that stay in a loop because of their size, although no cycle needs them.

Outside of a loop, a value becomes a sequence in memory, which is written and read. This does not pay for two kinds of
values, which this module selects:

- Large values computed from small ones, such as an outer product of two vectors that is added to a matrix state.
- Readouts: small values to which a large value is reduced, such as a matrix state times a vector. The large value is
  computed in the loop, or is a sequence of another loop's states, as in a derivative.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from ...ir.graph import Node
from ...ir.node import OPS
from ...ir.types import Dim, Shape, TensorType, evaluate, product, symbols_of
from ...support.records import dataclass

Loop = TypeVar("Loop")

MIN_AXES = 3
"""Minimum rank of a large value: rows, and two axes of a matrix."""
MIN_RATIO = 4
"""Minimum ratio between the size of a large value and that of its operands or readouts."""


@dataclass(frozen=True)
class StepValues(Generic[Loop]):
    """Values of a scan's step, and the loops into which the scan splits.

    Attributes:
        nodes: Nodes of the step, operands first.
        readers: Readers of each node; a carry reads its next value.
        loops: The loop that each node belongs to.
        varying: Nodes that differ from step to step.
        results: Nodes that each step returns, other than the next values of carries.
        histories: Inputs that hold another loop's carry at every step, mapped to a key that identifies the carry.
    """

    nodes: Sequence[Node]
    readers: Mapping[Node, Sequence[Node]]
    loops: Mapping[Node, Loop]
    varying: Collection[Node]
    results: Collection[Node]
    histories: Mapping[Node, object]

    def computed_from_small_values(self) -> dict[Node, Loop]:
        """Return {large value that is computed from small values: the only loop that reads it}.

        Sums over such values move with them.
        """
        smallest = dict[Node, int]()  # size of the smallest values from which movable ops can compute each value
        for node in self.nodes:
            smallest[node] = _size(node) if node in self.varying else 1
            if node.operands and node not in self.loops and moves_into_loops(node):
                smallest[node] = min(smallest[node], max(map(smallest.__getitem__, node.operands)))
        values = set[Node]()
        for node in self.nodes:
            is_much_larger = (
                is_large_value(node) and _size(node) >= MIN_RATIO * smallest[node] and moves_into_loops(node)
            )
            if is_much_larger and node in self.varying and node not in self.loops and node not in self.results:
                values.add(node)
        moved = self._sums_of(values)
        for node in reversed(self.nodes):
            if node in values:
                homes = [self.loops.get(reader, moved.get(reader)) for reader in self.readers[node]]
                if homes and homes[0] is not None and all(home is homes[0] for home in homes):
                    moved[node] = homes[0]
        return moved

    def _sums_of(self, values: set[Node]) -> dict[Node, Loop]:
        """Return {sum over large values: the only loop that reads these values}."""
        moved = dict[Node, Loop]()
        sums = [
            node for node in self.nodes if OPS[node.op].kind == "reduction" and not values.isdisjoint(node.operands)
        ]
        for node in sums:
            if node in self.loops or not moves_into_loops(node):
                continue
            read = [node]  # the sum, and the large values from which it is computed
            for item in read:
                read += [operand for operand in item.operands if operand in values and operand not in read]
            readers = {reader for item in read[1:] for reader in self.readers[item]} - values - {*sums}
            homes = [self.loops.get(reader) for reader in readers]
            if not homes or homes[0] is None or any(home is not homes[0] for home in homes):
                continue
            operands = {operand for item in read for operand in item.operands}
            if operands.isdisjoint(self._available_after(homes[0], moved)):
                moved[node] = homes[0]
        return moved

    def readouts_of_members(self) -> dict[Node, Loop]:
        """Return {readout of a large value: the loop that computes the large value}.

        If the loop also computes all readouts, the large value need not be written at every step.
        """
        moved = dict[Node, Loop]()
        for node, home in self.loops.items():
            if is_large_value(node) and node not in self.results:
                moved |= dict.fromkeys(self._readouts(node, home, moved), home)
        return moved

    def readouts_of_sequences(self) -> dict[Node, Loop]:
        """Return {value on the way from a large sequence to its sums: the only loop that reads the sequence}.

        Readouts include all values between the sequence and the small values. The values of a carry before and after
        each step count as one sequence, because they share memory.
        """
        moved = dict[Node, Loop]()
        for node in self.nodes:
            if node.op != "input" or node in self.loops or node not in self.varying or not is_large_value(node):
                continue
            same_carry = [item for item, key in self.histories.items() if key == self.histories.get(node)]
            readers = {reader for item in same_carry or [node] for reader in self.readers[item]}
            homes = [self.loops[reader] for reader in readers if reader in self.loops]
            if homes and all(home is homes[0] for home in homes):
                moved |= dict.fromkeys(self._readouts(node, homes[0], moved), homes[0])
        return moved

    def _readouts(self, large: Node, home: Loop, moved: Mapping[Node, Loop]) -> set[Node]:
        """Return the ops outside of a loop that reduce a large value; empty if one cannot move into the loop.

        Args:
            large: The large value.
            home: The loop.
            moved: Values that other calls have moved into loops.
        """
        readers, max_small = set[Node](), _size(large) // MIN_RATIO
        pending = self._outside(large, home)
        while pending:
            node = pending.pop()
            if node in self.loops or not moves_into_loops(node):
                return set()
            if node in readers:
                continue
            readers.add(node)
            if _size(node) > max_small:
                if node in self.results:
                    return set()
                pending += self._outside(node, home)
        own = {node for node, loop in self.loops.items() if loop is home}
        others = {item for node in readers for item in node.operands} - readers - own
        return readers if others.isdisjoint(self._available_after(home, moved)) else set()

    def _outside(self, node: Node, home: Loop) -> list[Node]:
        """Return the readers of a value that are not in the loop ``home``."""
        return [reader for reader in self.readers[node] if self.loops.get(reader) is not home]

    def _available_after(self, home: Loop, moved: Mapping[Node, Loop]) -> set[Node]:
        """Return the values that depend on a loop, and are available only after it, once ``moved`` values are in loops.

        If one value of another loop depends on ``home``, all values of the other loop do.
        """
        members: dict[int, list[Node]] = {}
        for node, loop in (*self.loops.items(), *moved.items()):
            members.setdefault(id(loop), []).append(node)
        home_of = {**self.loops, **moved}
        pending, after = [*members[id(home)]], set[Node]()
        while pending:
            for reader in self.readers[pending.pop()]:
                if reader not in after:
                    together = members[id(home_of[reader])] if reader in home_of else [reader]
                    after.update(together)
                    pending += together
        return after


def moves_into_loops(node: Node) -> bool:
    """True if an op costs no more within a loop than over all steps."""
    row = OPS[node.op]
    return (
        row.kind in ("elementwise", "movement", "reduction") and not row.random and node.op not in ("gather", "concat")
    )


def is_large(shape: Shape) -> bool:
    """True for at least ``MIN_AXES`` axes of a size other than 1."""
    return sum(dim != 1 for dim in shape) >= MIN_AXES


def entries(shape: Shape) -> int:
    """Return the product of sizes, with every symbolic size, such as the number of rows, taken as 1."""
    dims: Dim = product(shape)
    return evaluate(dims, dict.fromkeys(symbols_of(dims), 1))


def is_large_value(node: Node) -> bool:
    """True for a tensor with at least ``MIN_AXES`` axes of a size other than 1, such as one matrix for each row."""
    return isinstance(node.type, TensorType) and is_large(node.shape)


def _size(node: Node) -> int:
    """Return the number of elements in a row; 0 for the result of an inner loop."""
    return entries(node.shape) if isinstance(node.type, TensorType) else 0
