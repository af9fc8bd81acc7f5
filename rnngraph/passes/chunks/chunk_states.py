"""States of a chunk's graph other than those of loops: kept entries, step counts, and stream numbers."""

from __future__ import annotations

import numpy as np

from ...ir.graph import Node, make
from ...ir.sizes.polynomial import Dim, size
from ...ir.types import TensorType
from ..lowering.lowered import NUMBER, STEPS
from .stream_rate import Growth

PAST = "state/past"
FIRST = "state/first"
LOOP = "state/loop"
NUMBER_STATE = f"state/{NUMBER}"


def is_number(node: Node) -> bool:
    """True for the input with the number of each row's stream, from which its random numbers are drawn."""
    return node.op == "input" and node["label"] == NUMBER


class ChunkStates:
    """States by label: the initial value, the value before the chunk, and the value after it.

    Attributes:
        rows: Number of rows.
        is_tail: True at the end of a sequence, where no steps follow.
    """

    def __init__(self, rows: Dim, is_tail: bool) -> None:
        self.rows, self.is_tail = rows, is_tail
        self.by_label: dict[str, tuple[Node, Node, Node]] = {}

    def make(self, label: str, shape: tuple[Dim, ...], fill: Node, like: Node) -> Node:
        """Return the input of a state with the dtype of ``fill``. The caller adds it to ``by_label``."""
        kind = TensorType(fill.dtype, shape)
        return make("input", where=like.where, name=label.replace("/", "_"), label=label, type=kind)

    def steps(self, growth: Growth) -> Node:
        """Return the number of steps of each row before the chunk as a node [rows, 1], read from a state."""
        if STEPS not in self.by_label:
            zero = make("constant", value=np.zeros((), np.int64))
            steps = self.make(STEPS, (self.rows, 1), zero, zero)
            after = steps if self.is_tail else make("add", steps, make("dimension", size=size(growth.symbol)))
            self.by_label[STEPS] = zero, steps, after
        return self.by_label[STEPS][1]

    def is_start(self, growth: Growth, rank: int = 2) -> Node:
        """Return a mask [rows, 1, …] that is True before the first step of a row."""
        begins = make("equal", self.steps(growth), make("constant", value=np.zeros((), np.int64)))
        return begins if rank == 2 else make("reshape", begins, shape=(self.rows, *(1,) * (rank - 1)))

    def first(self, label: str, first: Node, growth: Growth) -> tuple[Node, Node]:
        """Return (value, present): ``first`` at the first step and the state afterwards, and the input of the state.

        The caller adds the state to ``by_label``.

        Args:
            label: Label of the state.
            first: Value at the first step, [rows, …].
            growth: Growth of a sequence, which counts steps.
        """
        present = self.make(label, first.shape, first, first)
        return make("select", self.is_start(growth, first.tensor.rank), first, present, where=first.where), present

    def calls(self, one: Node) -> Node:
        """Return the number of each row's calls, this one included: [rows]. ``one`` is the count of a single call."""
        zero = make("constant", value=np.zeros((), np.int64))
        if STEPS not in self.by_label:
            calls = self.make(STEPS, (self.rows, 1), zero, zero)
            self.by_label[STEPS] = zero, calls, make("add", calls, one)
        return make("add", make("reshape", self.by_label[STEPS][1], shape=(self.rows,)), one, where=one.where)

    def indices(self, growth: Growth, count: Dim) -> Node:
        """Return the index in the whole sequence of each entry of a chunk, int64 [rows, entries]."""
        per_step = make("constant", value=np.asarray(growth.per_step, np.int64))
        return make("add", make("iota", size=count), make("mul", self.steps(growth), per_step))

    def running(self, node: Node, plain: Node, growth: Growth, delay: int) -> Node:
        """Return the counterpart in a chunk of an op that counts the entries of the whole sequence.

        ``iota`` becomes the indices of the chunk's entries [rows, entries]; ``dimension`` the number of entries up to
        the end of the chunk [rows].

        Args:
            node: ``iota`` or ``dimension`` of the whole graph.
            plain: The same op over the entries of the chunk.
            growth: Growth of the counted size.
            delay: Delay of the entries.
        """
        before = make("mul", self.steps(growth), make("constant", value=np.asarray(growth.per_step, np.int64)))
        if node.op == "dimension":
            return make("add", make("reshape", before, shape=(self.rows,)), plain, where=node.where, name=node.name)
        value = make("add", before, plain, where=node.where, name=node.name)
        delay_node = make("constant", value=np.asarray(delay, np.int64))
        return make("sub", value, delay_node, where=node.where) if delay else value

    def number(self, node: Node) -> Node:
        """Return the stream number of each row, [rows]: a state whose initial value is the input ``node``."""
        first = make("reshape", node, shape=(self.rows, 1))
        present = self.make(NUMBER_STATE, (self.rows, 1), first, node)
        self.by_label[NUMBER_STATE] = first, present, present
        return make("reshape", present, where=node.where, name=node.name, shape=(self.rows,))
