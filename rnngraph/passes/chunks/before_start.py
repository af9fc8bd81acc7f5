"""Entries in place of those before the first of a sequence: numbers, values, and mirrored or repeated first entries."""

from __future__ import annotations

import numpy as np

from ...ir.build import number
from ...ir.graph import Node, make
from ...ir.node import inverse_order
from ...ir.types import Dim
from .chunk_states import ChunkStates
from .stream_rate import Growth
from .timeline import Repeat, Timeline


class BeforeStart:
    """Builder of masks and values for entries of a chunk before the first entry of the sequence.

    Rows may start at different times, so that masks differ by row.
    """

    def __init__(self, timeline: Timeline, rows: Dim, states: ChunkStates) -> None:
        self.timeline, self.rows, self.states = timeline, rows, states

    def row_axis(self, node: Node) -> int:
        """Return the index of a value's row axis: the first axis other than time with the size of the batch.

        If the batch has a fixed size, or if no axis has its size, the row axis is the first one other than time.
        """
        axis = self.timeline.axis(node)
        usual = 1 if axis == 0 else 0
        if isinstance(self.rows, int):  # another axis may have this size by chance
            return usual
        candidates = (place for place, dim in enumerate(node.shape) if dim == self.rows and place != axis)
        return next(candidates, usual)

    def has_begun(self, growth: Growth, delay: int, count: Dim) -> Node:
        """Return a mask [rows, count] that is False for entries before the first of the sequence.

        Args:
            growth: Growth of the sequence.
            delay: Index of the sequence's first entry at the first step.
            count: Number of entries.
        """
        delay_node = make("constant", value=np.asarray(delay, np.int64))
        return make("less_equal", delay_node, self.states.indices(growth, count))

    def fill_with(self, entries: Node, base: Node, value: Node, delay: int) -> Node:
        """Return a chunk's ``entries`` with ``value`` in place of those that precede the sequence's first entry.

        Args:
            entries: Entries of the sequence along its time axis.
            base: The sequence in the whole graph.
            value: A number, or a value with one entry along time.
            delay: Index of the sequence's first entry at the first step.
        """
        axis, rows, growth = self.timeline.axis(base), self.row_axis(base), self.timeline.growth(base)
        assert axis is not None
        assert growth is not None
        begun = self.has_begun(growth, delay, entries.shape[axis])
        if axis < rows:
            begun = make("transpose", begun, order=(1, 0))
        shape: list[Dim] = [1] * entries.tensor.rank
        for place, dim in zip(sorted((axis, rows)), begun.shape, strict=True):
            shape[place] = dim
        begun = make("reshape", begun, shape=tuple(shape))
        return make("select", begun, entries, value, where=base.where)

    def fill_with_entries(self, joined: Node, base: Node, kept: int, repeat: Repeat) -> Node:
        """Replace the entries before the first one by mirrored or repeated entries.

        Windows wait until all mirrored entries have arrived.
        """
        axis, rows, growth = self.timeline.axis(base), self.row_axis(base), self.timeline.growth(base)
        assert axis is not None
        assert growth is not None
        joined = with_size(joined, rows, self.rows)
        count = joined.shape[axis]
        offset = make("constant", value=np.asarray(kept + self.timeline.delay_of(base), np.int64))
        index = make("sub", self.states.indices(growth, count), offset)
        source = make("neg", index) if repeat is Repeat.MIRRORED else number(0, index)
        place = make("add", make("iota", size=count), make("sub", make("maximum", index, source), index))
        row = make("mul", make("iota", size=self.rows), make("dimension", size=count))
        place = make("add", place, make("reshape", row, shape=(self.rows, 1)))
        others = [other for other in range(joined.tensor.rank) if other not in (rows, axis)]
        order, wide = (rows, axis, *others), tuple(joined.shape[other] for other in others)
        table = make("reshape", transposed(joined, order), shape=(self.rows * count, *wide))
        gathered = make("gather", table, place, where=base.where)
        return transposed(gathered, inverse_order(order))


def transposed(node: Node, order: tuple[int, ...]) -> Node:
    """Transpose a value; return it unchanged if ``order`` is the identity."""
    return node if order == tuple(range(len(order))) else make("transpose", node, where=node.where, order=order)


def with_size(node: Node, axis: int, new_size: Dim) -> Node:
    """Broadcast an axis of size 1 to ``new_size``; return the value itself if the axis has that size."""
    if node.shape[axis] == new_size:
        return node
    shape = tuple(new_size if place == axis else dim for place, dim in enumerate(node.shape))
    return make("broadcast", node, where=node.where, shape=shape)
