"""A chunk of steps of an affine recurrence as matrix products.

For steps t = 1 … C of a chunk that begins with the state S_0, keys first and values last::

    P_t = w_t' S_t-1                                  readouts
    S_t = diag(d_t) S_t-1 + sum of x_t (f_t + c_t P_t)'  decays, columns, and rows that may scale readouts

Products of decays are taken forwards only, by halves: a product over steps s+1 … t is one of decays up to the middle of
the block that holds both, and one from there on. Nothing is divided and there is no logarithm, so that decays of any
size and sign are exact: those that are 0, those whose product underflows, and those above 1. With them::

    A_ts = sum over keys of w_t (d_s+1 … d_t-1) x_s   for s < t, else 0
    y = f + c P,  P = A y + (w_t d_1 … d_t-1)' S_0    hence (I - c A) y = f + c (w_t d_1 … d_t-1)' S_0
    S_C = diag(d_1 … d_C) S_0 + sum of (d_t+1 … d_C x_t) y_t'

``I - c A`` is unit lower triangular. Its inverse is taken by halves, too, which is as stable as substitution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir.graph import Node, make
from ...ir.types import Dim, Shape
from .views import shaped, transposed


@dataclass(frozen=True)
class ChunkColumn:
    """x_t, [..., C, keys]; f_t, [..., C, values] or None; c_t by the number of a readout, [..., C, 1]."""

    keys: Node
    row: Node | None
    scales: Mapping[int, Node]


@dataclass(frozen=True)
class ChunkSteps:
    """All that a chunk needs of its steps. decay: [..., C, keys], or [..., C, 1] where it is the same for all keys.

    weights: w_t of each readout, [..., C, keys]. Leading axes may be 1 where a value is the same along them.
    """

    steps: int
    decay: Node
    weights: Sequence[Node]
    columns: Sequence[ChunkColumn]


def chunk_of(given: ChunkSteps, state: Node) -> tuple[list[Node], Node]:
    """Return the readouts of a chunk, [..., C, values] each, and the state behind it. state: [..., keys, values]."""
    return _Chunk(given, state).result()


class _Chunk:
    def __init__(self, given: ChunkSteps, state: Node) -> None:
        self.given, self.state, self.steps = given, state, given.steps
        self.leading = state.shape[:-2]
        self.decays = Decays(given.decay, given.steps)
        self.is_scalar = given.decay.shape[-1] == 1

    def result(self) -> tuple[list[Node], Node]:
        given = self.given
        within = {
            (number, place): self._attention(weights, column.keys)
            for number, weights in enumerate(given.weights)
            for place, column in enumerate(given.columns)
        }
        before = [
            self._product(multiplied(self.decays.before, weights), self.state) for weights in given.weights
        ]
        rows = self._rows(within, before)
        readouts = []
        for number, first in enumerate(before):
            total = first
            for place, row in enumerate(rows):
                total = added(total, self._product(within[number, place], row))
            readouts.append(total)
        state = multiplied(_last_two_swapped(self.decays.all_steps), self.state)
        for column, row in zip(given.columns, rows, strict=True):
            late = multiplied(column.keys, self.decays.behind)
            state = added(state, self._product(_last_two_swapped(late), row))
        return readouts, state

    def _rows(self, within: Mapping[tuple[int, int], Node], before: Sequence[Node]) -> list[Node]:
        """Return y of every column, [..., C, values]."""
        columns = self.given.columns
        width = self.state.shape[-1]
        rows: list[Node | None] = [
            None if column.row is None else self._full(column.row, (self.steps, width)) for column in columns
        ]
        fed = [place for place, column in enumerate(columns) if column.scales]
        starts = []
        for place in fed:
            start = rows[place]
            for number, scale in columns[place].scales.items():
                read = before[number]
                for other, row in enumerate(rows):
                    if other not in fed and row is not None:
                        read = added(read, self._product(within[number, other], row))
                start = added(start, multiplied(scale, read))
            assert start is not None
            starts.append(start)
        if fed:
            for place, row in zip(fed, self._solved(fed, within, starts), strict=True):
                rows[place] = row
        return [row if row is not None else _zeros((*self.leading, self.steps, width), self.state) for row in rows]

    def _solved(
        self, fed: Sequence[int], within: Mapping[tuple[int, int], Node], starts: Sequence[Node]
    ) -> list[Node]:
        """Return the rows that scale readouts. Those of one step stand beside each other."""
        count, steps = len(fed), self.steps
        blocks = []
        for place in fed:
            parts = []
            for other in fed:
                total: Node | None = None
                for number, scale in self.given.columns[place].scales.items():
                    total = added(total, multiplied(scale, within[number, other]))
                assert total is not None
                parts.append(self._full(total, (steps, steps)))
            blocks.append(parts)
        if count == 1:
            inverse = unit_lower_inverse(blocks[0][0], 1)
            return [self._product(inverse, starts[0])]
        lead = self.leading
        stacked = [shaped(part, (*lead, steps, 1, steps, 1)) for parts in blocks for part in parts]
        rows = [concat(stacked[count * row : count * row + count], -1) for row in range(count)]
        system = shaped(concat(rows, -3), (*lead, steps * count, steps * count))
        inverse = unit_lower_inverse(system, count)
        width = starts[0].shape[-1]
        start = concat([shaped(item, (*lead, steps, 1, width)) for item in starts], -2)
        solved = shaped(
            self._product(inverse, shaped(start, (*lead, steps * count, width))), (*lead, steps, count, width)
        )
        return [
            shaped(sliced(solved, -2, place, place + 1), (*lead, steps, width)) for place in range(count)
        ]

    def _attention(self, weights: Node, keys: Node) -> Node:
        """Return A of a readout and a column, [..., C, C]."""
        if self.is_scalar:
            return multiplied(self._product(weights, _last_two_swapped(keys)), self.decays.between())
        return self.decays.attention(weights, keys, self._product)

    def _full(self, node: Node, shape: Sequence[Dim]) -> Node:
        """Return a value with all leading axes of the state."""
        full = (*self.leading, *shape)
        return node if node.shape == full else make("broadcast", node, where=node.where, shape=full)

    def _product(self, left: Node, right: Node) -> Node:
        return matmul(left, right)


class Decays:
    """Products of decays within a chunk.

    before: of the steps before each one. behind: of those behind it. all_steps: of all, [..., 1, keys].
    """

    def __init__(self, decay: Node, steps: int) -> None:
        self.decay, self.steps = decay, steps
        self.lead, self.keys = decay.shape[:-2], decay.shape[-1]
        self.levels: list[tuple[Node | None, Node | None]] = []  # by halves of 1, 2, 4, … steps
        before: Node | None = None
        behind: Node | None = None
        total = shaped(decay, (*self.lead, steps, 1, self.keys))
        half = 1
        while half < steps:
            self.levels.append((before, behind))
            first, second = _halves(total, (*self.lead, steps // (2 * half), 2, 1, self.keys), -3)
            one = _ones(first)
            before = self._doubled(before, concat([one, first], -3), half)
            behind = self._doubled(behind, concat([second, one], -3), half)
            total = shaped(multiplied(first, second), (*self.lead, steps // (2 * half), 1, self.keys))
            half *= 2
        assert before is not None and behind is not None
        self.before, self.behind = before, behind
        self.all_steps = shaped(total, (*self.lead, 1, self.keys))

    def _doubled(self, products: Node | None, factors: Node, half: int) -> Node:
        """Return products within blocks of twice as many steps."""
        shape = (*self.lead, self.steps // (2 * half), 2, half, self.keys)
        if products is None:
            made = factors
        else:
            made = multiplied(shaped(products, shape), factors)
        return shaped(made, (*self.lead, self.steps, self.keys))

    def between(self) -> Node:
        """Return the products of decays between two steps, [..., C, C]: 0 where the first is not before the second."""
        blocks: Node | None = None
        half = 1
        for before, behind in self.levels:
            shape = (*self.lead, self.steps // (2 * half), 2, half, 1)
            lower = self._corner(before, behind, shape)
            blocks = _with_corner(blocks, lower, half)
            half *= 2
        assert blocks is not None
        return shaped(blocks, (*self.lead, self.steps, self.steps))

    def _corner(self, before: Node | None, behind: Node | None, shape: Shape) -> Node:
        """Return the products between steps of the first and of the second half of each block."""
        if before is None or behind is None:
            return _ones_of((*shape[:-3], 1, 1), self.decay)
        late = _halves(before, shape, -3)[1]
        early = _halves(behind, shape, -3)[0]
        lead, half = shape[:-3], shape[-2]
        return multiplied(shaped(late, (*lead, half, 1)), shaped(early, (*lead, 1, half)))

    def attention(self, weights: Node, keys: Node, product: object) -> Node:
        """Return sums over keys of weights, decays between two steps, and columns; [..., C, C]."""
        blocks: Node | None = None
        half = 1
        for before, behind in self.levels:
            late = weights if before is None else multiplied(weights, before)
            early = keys if behind is None else multiplied(keys, behind)
            count = self.steps // (2 * half)
            late = _halves(late, (*late.shape[:-2], count, 2, half, late.shape[-1]), -3)[1]
            early = _halves(early, (*early.shape[:-2], count, 2, half, early.shape[-1]), -3)[0]
            late, early = (
                shaped(item, (*item.shape[:-3], half, item.shape[-1])) for item in (late, early)
            )
            blocks = _with_corner(blocks, matmul(late, _last_two_swapped(early)), half)
            half *= 2
        assert blocks is not None
        return shaped(blocks, (*blocks.shape[:-3], self.steps, self.steps))


def _with_corner(blocks: Node | None, lower: Node, half: int) -> Node:
    """Return blocks of twice the size: pairs of ``blocks`` on the diagonal, and ``lower`` below."""
    *lead, count, _, _ = lower.shape
    zero = _zeros(lower.shape, lower)
    if blocks is None:
        first = second = zero
    else:
        first, second = (
            shaped(part, (*lead, count, half, half))
            for part in _halves(_with_lead(blocks, lead), (*lead, count, 2, half, half), -3)
        )
    return concat([concat([first, zero], -1), concat([lower, second], -1)], -2)


def _with_lead(node: Node, lead: Sequence[Dim]) -> Node:
    full = (*lead, *node.shape[len(lead) :])
    return node if node.shape == full else make("broadcast", node, where=node.where, shape=full)


def unit_lower_inverse(strict: Node, within: int) -> Node:
    """Return the inverse of ``I - strict``. strict: [..., n, n], lower triangular in blocks of ``within`` without its
    diagonal ones.
    """
    lead, size = strict.shape[:-2], strict.shape[-1]
    assert isinstance(size, int)
    inverse: Node | None = None
    half = within
    while half < size:
        count = size // (2 * half)
        pairs = shaped(strict, (*lead, count, 2, half, count, 2, half))
        lower = _diagonal_blocks(sliced(sliced(pairs, -5, 1, 2), -2, 0, 1), lead, count, half)
        if inverse is None:
            first = second = _identity(lower)
            corner = lower
        else:
            first, second = (
                shaped(part, (*lead, count, half, half))
                for part in _halves(inverse, (*lead, count, 2, half, half), -3)
            )
            corner = matmul(second, matmul(lower, first))
        zero = _zeros(lower.shape, lower)
        inverse = concat([concat([first, zero], -1), concat([corner, second], -1)], -2)
        half *= 2
    assert inverse is not None
    return shaped(inverse, (*lead, size, size))


def _diagonal_blocks(node: Node, lead: Shape, count: int, half: int) -> Node:
    """Return the blocks [i, :, i, :] of [..., count, 1, half, count, 1, half]."""
    node = shaped(node, (*lead, count, half, count, half))
    if count == 1:
        return shaped(node, (*lead, 1, half, half))
    rows = [
        sliced(sliced(node, -4, place, place + 1), -2, place, place + 1) for place in range(count)
    ]
    return concat([shaped(row, (*lead, 1, half, half)) for row in rows], -3)


# Small builders ---------------------------------------------------------------------------------------


def matmul(left: Node, right: Node) -> Node:
    """The product, matrix by matrix; leading axes of 1 are repeated."""
    lead = tuple(b if a == 1 else a for a, b in zip(left.shape[:-2], right.shape[:-2], strict=True))
    sides = []
    for item in (left, right):
        full = (*lead, *item.shape[-2:])
        sides.append(item if item.shape == full else make("broadcast", item, where=item.where, shape=full))
    return make("matmul", *sides, where=left.where)


def multiplied(one: Node, other: Node) -> Node:
    return make("mul", one, other, where=one.where)


def added(one: Node | None, other: Node) -> Node:
    return other if one is None else make("add", one, other, where=other.where)


def concat(parts: Sequence[Node], axis: int) -> Node:
    rank = parts[0].tensor.rank
    return parts[0] if len(parts) == 1 else make("concat", *parts, where=parts[0].where, axis=axis + rank)


def sliced(node: Node, axis: int, first: Dim, last: Dim) -> Node:
    place = node.tensor.rank + axis if axis < 0 else axis
    start = tuple(first if number == place else 0 for number in range(node.tensor.rank))
    stop = tuple(last if number == place else dim for number, dim in enumerate(node.shape))
    return make("slice", node, where=node.where, start=start, stop=stop, step=(1,) * node.tensor.rank)


def _halves(node: Node, shape: Shape, axis: int) -> tuple[Node, Node]:
    """Return the first and the second half of a value that is cut to ``shape``, along an axis of 2."""
    whole = shaped(node, shape)
    return sliced(whole, axis, 0, 1), sliced(whole, axis, 1, 2)


def _last_two_swapped(node: Node) -> Node:
    rank = node.tensor.rank
    return transposed(node, (*range(rank - 2), rank - 1, rank - 2))


def _ones(like: Node) -> Node:
    return _ones_of(like.shape, like)


def _ones_of(shape: Shape, like: Node) -> Node:
    return make("broadcast", make("constant", value=np.ones((), like.dtype)), where=like.where, shape=shape)


def _zeros(shape: Shape, like: Node) -> Node:
    return make("broadcast", make("constant", value=np.zeros((), like.dtype)), where=like.where, shape=shape)


def _identity(like: Node) -> Node:
    size = like.shape[-1]
    assert isinstance(size, int)
    return make("broadcast", make("constant", value=np.eye(size, dtype=like.dtype)), where=like.where, shape=like.shape)
