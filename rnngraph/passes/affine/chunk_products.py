"""A chunk of steps of an affine recurrence as matrix products.

For steps t = 1 … C of a chunk that begins with the state S_0, keys first and values last::

    P_t = w_t' S_t-1                                  readouts
    S_t = diag(d_t) S_t-1 + sum of x_t (f_t + c_t P_t)'  decays, columns, and rows that may scale readouts

Products of decays are taken forwards only, by halves: a product over steps s+1 … t-1 is one of decays up to the middle
of the smallest block of 2, 4, 8, … steps that holds both, and one from there on. Nothing is divided and there is no
logarithm, so that decays may have any size and sign: those that are 0, those whose product underflows, which counts
as 0, and those above 1. With them::

    A_ts = sum over keys of w_t (d_s+1 … d_t-1) x_s   for s < t, else 0
    y = f + c P,  P = A y + (w_t d_1 … d_t-1)' S_0    hence (I - c A) y = f + c (w_t d_1 … d_t-1)' S_0
    S_C = diag(d_1 … d_C) S_0 + sum of (d_t+1 … d_C x_t) y_t'

``I - c A`` is unit lower triangular. Its inverse is taken by halves, too, which is as stable as substitution. Steps lie
on the last axis of what varies along keys, [..., keys, C], and of what is one number a step, [..., 1, C].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...ir.build import zeros
from ...ir.graph import Node, make
from ...ir.types import Dim, Shape
from .views import shaped, transposed


@dataclass(frozen=True)
class ChunkColumn:
    """x_t, [..., keys, C]; f_t, [..., C, values] or None; c_t by the number of a readout, [..., 1, C]."""

    keys: Node
    row: Node | None
    scales: Mapping[int, Node]


@dataclass(frozen=True)
class ChunkSteps:
    """All that a chunk needs of its steps. decay: [..., keys, C], or [..., 1, C] where it is the same for all keys.

    weights: w_t of each readout, [..., keys, C]. Leading axes may be 1 where a value is the same along them.
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

    def result(self) -> tuple[list[Node], Node]:
        given = self.given
        within = {
            (number, place): self.decays.attention(weights, column.keys)
            for number, weights in enumerate(given.weights)
            for place, column in enumerate(given.columns)
        }
        before = [matmul(swapped(multiplied(self.decays.before, weights)), self.state) for weights in given.weights]
        rows = self._rows(within, before)
        readouts = []
        for number, first in enumerate(before):
            total = first
            for place, row in enumerate(rows):
                total = added(total, matmul(within[number, place], row))
            readouts.append(total)
        state = multiplied(self.decays.all_steps, self.state)
        for column, row in zip(given.columns, rows, strict=True):
            state = added(state, matmul(multiplied(column.keys, self.decays.behind), row))
        return readouts, state

    def _rows(self, within: Mapping[tuple[int, int], Node], before: Sequence[Node]) -> list[Node]:
        """Return y of every column, [..., C, values]."""
        columns, width = self.given.columns, self.state.shape[-1]
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
                        read = added(read, matmul(within[number, other], row))
                start = added(start, multiplied(as_column(scale), read))
            assert start is not None
            starts.append(start)
        if fed:
            for place, row in zip(fed, self._solved(fed, within, starts), strict=True):
                rows[place] = row
        nothing = (*self.leading, self.steps, width)
        return [row if row is not None else zeros(nothing, self.state) for row in rows]

    def _solved(self, fed: Sequence[int], within: Mapping[tuple[int, int], Node], starts: Sequence[Node]) -> list[Node]:
        """Return the rows that scale readouts, of one column behind those of the other."""
        count, steps = len(fed), self.steps
        blocks = []
        for place in fed:
            parts = []
            for other in fed:
                total: Node | None = None
                for number, scale in self.given.columns[place].scales.items():
                    total = added(total, multiplied(as_column(scale), within[number, other]))
                assert total is not None
                parts.append(self._full(total, (steps, steps)))
            blocks.append(concat(parts, -1))
        inverse = unit_lower_inverse(concat(blocks, -2), steps)
        solved = matmul(inverse, concat(starts, -2))
        if count == 1:
            return [solved]
        return [sliced(solved, -2, steps * place, steps * (place + 1)) for place in range(count)]

    def _full(self, node: Node, shape: Sequence[Dim]) -> Node:
        """Return a value with all leading axes of the state."""
        full = (*self.leading, *shape)
        return node if node.shape == full else make("broadcast", node, where=node.where, shape=full)


class Decays:
    """Products of decays within a chunk.

    before: of the steps before each one; behind: of those behind it; both as the decay. all_steps: [..., keys, 1].
    levels: the same within blocks of 1, 2, 4, … steps, half of what pairs of steps are in; None where all are 1.
    """

    def __init__(self, decay: Node, steps: int) -> None:
        self.decay, self.steps = decay, steps
        self.levels: list[tuple[int, Node | None, Node | None]] = []
        before: Node | None = None
        behind: Node | None = None
        total, half = decay, 1
        while half < steps:
            self.levels.append((half, before, behind))
            sibling = matmul(total, _constant(_siblings(steps, half), decay))
            is_late = _constant(_late(steps, half)[None], decay)
            is_early = _constant(1 - _late(steps, half)[None], decay)
            before = _flushed(_times(before, added(multiplied(is_late, sibling), is_early)))
            behind = _flushed(_times(behind, added(multiplied(is_early, sibling), is_late)))
            total = _flushed(multiplied(total, sibling))
            half *= 2
        assert before is not None
        assert behind is not None
        self.before, self.behind = before, behind
        first = _constant((np.arange(steps) == 0)[None].astype(int), decay)
        last = decay.tensor.rank - 1
        self.all_steps = make("reduce_sum", multiplied(total, first), where=decay.where, axes=(last,), keepdims=True)

    def attention(self, weights: Node, keys: Node) -> Node:
        """Return sums over keys of weights, decays between two steps, and columns: A, [..., C, C]."""
        if self.decay.shape[-2] == 1:
            return multiplied(matmul(swapped(weights), keys), self.between)
        total: Node | None = None
        for half, before, behind in self.levels:
            late, early = _times(before, weights), _times(behind, keys)
            total = self._chosen(matmul(swapped(late), early), half, total)
        assert total is not None
        return total

    @property
    def between(self) -> Node:
        """Products of decays between two steps, [..., C, C], that are the same for all keys: 0 where t <= s."""
        total: Node | None = None
        for half, before, behind in self.levels:
            if before is None or behind is None:
                one = make("constant", value=np.ones((), self.decay.dtype))
                part = make(
                    "broadcast", one, where=self.decay.where, shape=(*self.decay.shape[:-2], *(self.steps,) * 2)
                )
            else:
                part = multiplied(as_column(before), behind)
            total = self._chosen(part, half, total)
        assert total is not None
        return total

    def _chosen(self, value: Node, half: int, other: Node | None) -> Node:
        """Return a value at pairs of steps in both halves of one block, and another one elsewhere."""
        pairs = make("constant", value=_corners(self.steps, half))
        if other is None:
            other = make("constant", value=np.zeros((), value.dtype))
        return make("select", pairs, value, other, where=value.where)


def unit_lower_inverse(strict: Node, steps: int) -> Node:
    """Return the inverse of ``I - strict``, [..., n, n]. strict: square blocks of ``steps``, each strictly lower
    triangular.
    """
    size = strict.shape[-1]
    assert isinstance(size, int)
    count, half = size // steps, 1
    inverse: Node | None = None
    while half < steps:
        pairs = make("constant", value=np.tile(_corners(steps, half), (count, count)))
        none = make("constant", value=np.zeros((), strict.dtype))
        corner = make("select", pairs, strict, none, where=strict.where)
        if inverse is None:
            inverse = make("add", corner, _constant(np.eye(size), strict), where=strict.where)
        else:
            inverse = added(inverse, matmul(inverse, matmul(corner, inverse)))
        half *= 2
    assert inverse is not None
    return inverse


# Blocks of 2, 4, 8, … steps ---------------------------------------------------------------------------


def _late(steps: int, half: int) -> np.ndarray:
    """1 for steps of the second half of each block, else 0."""
    return np.arange(steps) // half % 2


def _siblings(steps: int, half: int) -> np.ndarray:
    """A matrix that gives each step the value of one in the other half of its block."""
    matrix = np.zeros((steps, steps))
    matrix[np.arange(steps) ^ half, np.arange(steps)] = 1
    return matrix


def _corners(steps: int, half: int) -> np.ndarray:
    """True for a step of the second half of a block, and one of the first half of the same."""
    blocks, late = np.arange(steps) // (2 * half), _late(steps, half) == 1
    return (blocks[:, None] == blocks) & late[:, None] & ~late


# Small builders ---------------------------------------------------------------------------------------


def matmul(left: Node, right: Node) -> Node:
    """Return the product, matrix by matrix; leading axes of 1 are repeated."""
    if right.tensor.rank == 2:
        return make("matmul", left, right, where=left.where)
    lead = tuple(b if a == 1 else a for a, b in zip(left.shape[:-2], right.shape[:-2], strict=True))
    sides = []
    for item in (left, right):
        full = (*lead, *item.shape[-2:])
        sides.append(item if item.shape == full else make("broadcast", item, where=item.where, shape=full))
    return make("matmul", *sides, where=left.where)


def multiplied(one: Node, other: Node) -> Node:
    return make("mul", one, other, where=one.where or other.where)


def added(one: Node | None, other: Node) -> Node:
    return other if one is None else make("add", one, other, where=other.where or one.where)


def concat(parts: Sequence[Node], axis: int) -> Node:
    rank = parts[0].tensor.rank
    return parts[0] if len(parts) == 1 else make("concat", *parts, where=parts[0].where, axis=axis % rank)


def sliced(node: Node, axis: int, first: Dim, last: Dim) -> Node:
    place = axis % node.tensor.rank
    start = tuple(first if number == place else 0 for number in range(node.tensor.rank))
    stop = tuple(last if number == place else dim for number, dim in enumerate(node.shape))
    return make("slice", node, where=node.where, start=start, stop=stop, step=(1,) * node.tensor.rank)


def swapped(node: Node) -> Node:
    """Return a value with its last two axes swapped."""
    rank = node.tensor.rank
    return transposed(node, (*range(rank - 2), rank - 1, rank - 2))


def as_column(node: Node) -> Node:
    """Return [..., 1, C] as [..., C, 1]."""
    shape: Shape = (*node.shape[:-2], node.shape[-1], 1)
    return shaped(node, shape)


def _flushed(node: Node) -> Node:
    """Return a value with 0 in place of what would soon be no normal number: processors multiply those slowly.

    Derivatives are those of the value as it was.
    """
    kind = np.finfo(node.dtype)
    least, zero = (_constant(np.asarray(value), node) for value in (kind.tiny / kind.eps, 0.0))
    is_small = make("less", make("abs", node, where=node.where), least, where=node.where)
    small = make("stop_gradient", make("select", is_small, node, zero, where=node.where), where=node.where)
    return make("sub", node, small, where=node.where)


def _times(one: Node | None, other: Node) -> Node:
    return other if one is None else multiplied(one, other)


def _constant(value: np.ndarray, like: Node) -> Node:
    return make("constant", value=value.astype(like.dtype))
