"""Matrix products for a chunk of steps of an affine recurrence.

For steps t = 1 … C of a chunk that begins with the state S_0, keys first and values last::

    P_t = w_t' S_t-1                                  readouts
    S_t = diag(d_t) S_t-1 + sum of x_t (f_t + c_t P_t)'  decays d, columns x, rows f, and scales c of readouts

Products of decays over the steps s+1 … t-1 are computed by recursive halving. A product is split at the middle of the
smallest block of 2, 4, 8, … steps that contains s and t. No decay is divided or put into a logarithm, so that decays
may have any size and sign. Products that underflow count as 0. With these products::

    A_ts = sum over keys of w_t (d_s+1 … d_t-1) x_s   for s < t, else 0
    y = f + c P,  P = A y + (w_t d_1 … d_t-1)' S_0    hence (I - c A) y = f + c (w_t d_1 … d_t-1)' S_0
    S_C = diag(d_1 … d_C) S_0 + sum of (d_t+1 … d_C x_t) y_t'

``I - c A`` is unit lower triangular. Its inverse is computed by recursive halving, too, which is as stable as
substitution. Steps are the last axis of decays, [..., keys, C], and of scalars per step, [..., 1, C].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.build import sliced, zeros
from ...ir.graph import Node, make
from ...ir.types import Dim, Shape
from ...support.records import dataclass
from .views import shaped, transposed


@dataclass(frozen=True)
class ChunkColumn:
    """A column of the update.

    Attributes:
        keys: x_t, [..., C, keys].
        row: f_t, [..., C, values], or None.
        scales: c_t, [..., 1, C], by the index of a readout.
    """

    keys: Node
    row: Node | None
    scales: Mapping[int, Node]


@dataclass(frozen=True)
class ChunkSteps:
    """Values of the steps of a chunk. Leading axes along which a value is constant may have size 1.

    Attributes:
        decay: [..., keys, C], or [..., 1, C] if it is the same for all keys.
        weights: w_t of each readout, [..., C, keys].
        columns: Columns of the update.
    """

    steps: int
    decay: Node
    weights: Sequence[Node]
    columns: Sequence[ChunkColumn]


def chunk_of(chunk: ChunkSteps, state: Node, factors: str) -> tuple[list[Node], Node]:
    """Return the readouts of a chunk, and the state after it.

    Each readout is [..., C, values], and ``state`` is [..., keys, values].

    Args:
        factors: Dtype to which factors of matrix products are rounded: ``float32`` or ``bfloat16``. Factors of the
            products that compute decays and the triangular inverse are not rounded.
    """
    return _Chunk(chunk, state, factors).result()


class _Chunk:
    """Builder of the products of a chunk."""

    def __init__(self, chunk: ChunkSteps, state: Node, factors: str) -> None:
        self.chunk, self.state, self.steps, self.factors = chunk, state, chunk.steps, factors
        self.leading = state.shape[:-2]
        self.decays = Decays(chunk.decay, chunk.steps, self._product)

    def _product(self, left: Node, right: Node) -> Node:
        """Return the matrix product of factors that are rounded to the chunk's dtype."""
        return matmul(left, right, rounded=self.factors == "bfloat16")

    def result(self) -> tuple[list[Node], Node]:
        """Return the readouts (weighted sums of the state) [..., C, values] of C steps, and the final state."""
        chunk = self.chunk
        within = {
            (number, place): self.decays.attention(weights, column.keys)
            for number, weights in enumerate(chunk.weights)
            for place, column in enumerate(chunk.columns)
        }
        reading = [self.decays.scaled(weights, self.decays.before) for weights in chunk.weights]
        before = [self._product(weights, self.state) for weights in reading]
        rows = self._rows(within, before)
        readouts = []
        for number, first in enumerate(before):
            total = first
            for place, row in enumerate(rows):
                total = added(total, self._product(within[number, place], row))
            readouts.append(total)
        state = multiplied(self.decays.all_steps, self.state)
        for column, row in zip(chunk.columns, rows, strict=True):
            writing = self.decays.scaled(column.keys, self.decays.after)
            state = added(state, self._product(swapped(writing), row))
        return readouts, state

    def _rows(self, within: Mapping[tuple[int, int], Node], before: Sequence[Node]) -> list[Node]:
        """Return, for each column x of the update, the rows y [..., C, values]: steps add ``x y'`` to the state.

        Args:
            within: A [..., C, C], by indices of a readout and a column.
            before: For each readout, its part that reads the state before the chunk.
        """
        columns, width = self.chunk.columns, self.state.shape[-1]
        rows: list[Node | None] = [
            None if column.row is None else self._full(column.row, (self.steps, width)) for column in columns
        ]
        coupled = [place for place, column in enumerate(columns) if column.scales]
        starts = []
        for place in coupled:
            start = rows[place]
            for number, scale in columns[place].scales.items():
                read = before[number]
                for other_place, row in enumerate(rows):
                    if other_place not in coupled and row is not None:
                        read = added(read, self._product(within[number, other_place], row))
                start = added(start, multiplied(as_column(scale), read))
            assert start is not None
            starts.append(start)
        if coupled:
            for place, row in zip(coupled, self._solved(coupled, within, starts), strict=True):
                rows[place] = row
        empty_shape = (*self.leading, self.steps, width)
        return [row if row is not None else zeros(empty_shape, self.state) for row in rows]

    def _solved(
        self, coupled: Sequence[int], within: Mapping[tuple[int, int], Node], starts: Sequence[Node]
    ) -> list[Node]:
        """Solve for the rows y [..., C, values] that depend on earlier rows of the chunk; one array per column.

        Args:
            coupled: Indices of the columns whose rows depend on readouts.
            within: A [..., C, C], by indices of a readout and a column.
            starts: For each of these columns, the right-hand side of its block.
        """
        count, steps = len(coupled), self.steps
        blocks = []
        for place in coupled:
            parts = []
            for other in coupled:
                total: Node | None = None
                for number, scale in self.chunk.columns[place].scales.items():
                    total = added(total, multiplied(as_column(scale), within[number, other]))
                assert total is not None
                parts.append(self._full(total, (steps, steps)))
            blocks.append(concat(parts, -1))
        inverse = unit_lower_inverse(concat(blocks, -2), steps)
        solved = self._product(inverse, concat(starts, -2))
        if count == 1:
            return [solved]
        return [sliced(solved, -2, steps * place, steps * (place + 1)) for place in range(count)]

    def _full(self, node: Node, shape: Sequence[Dim]) -> Node:
        """Broadcast the leading axes of a value to those of the state."""
        full = (*self.leading, *shape)
        return node if node.shape == full else make("broadcast", node, where=node.where, shape=full)


class Decays:
    """Products of decays within a chunk.

    Attributes:
        before: For each step, the product over the steps before it, shaped like the decay.
        after: For each step, the product over the steps after it, shaped like the decay.
        all_steps: Product over all steps, [..., keys, 1].
        levels: For blocks of 2, 4, … steps: half the block's size, and ``before`` and ``after`` within each half. For
            halves of one step, both are None, because these products are 1.
    """

    def __init__(self, decay: Node, steps: int, multiply: Callable[[Node, Node], Node]) -> None:
        self.decay, self.steps, self._multiply = decay, steps, multiply
        self.levels: list[tuple[int, Node | None, Node | None]] = []
        before: Node | None = None
        after: Node | None = None
        total, half = decay, 1
        while half < steps:
            self.levels.append((half, before, after))
            sibling = matmul(total, _constant(_siblings(steps, half), decay))
            is_late = _constant(_late(steps, half)[None], decay)
            is_early = _constant(1 - _late(steps, half)[None], decay)
            before = _flush(_times(before, added(multiplied(is_late, sibling), is_early)))
            after = _flush(_times(after, added(multiplied(is_early, sibling), is_late)))
            total = _flush(multiplied(total, sibling))
            half *= 2
        assert before is not None
        assert after is not None
        self.before, self.after = before, after
        first = _constant((np.arange(steps) == 0)[None].astype(int), decay)
        last = decay.tensor.rank - 1
        self.all_steps = make("reduce_sum", multiplied(total, first), where=decay.where, axes=(last,), keepdims=True)

    def attention(self, weights: Node, keys: Node) -> Node:
        """Return A [..., C, C]: the weight with which the readout at step t counts what step s < t has added."""
        if self._is_scalar:
            return multiplied(self._multiply(weights, swapped(keys)), self.between)
        total: Node | None = None
        for half, before, after in self.levels:
            late = weights if before is None else self.scaled(weights, before)
            early = keys if after is None else self.scaled(keys, after)
            total = self._select(self._multiply(late, swapped(early)), half, total)
        assert total is not None
        return total

    @property
    def _is_scalar(self) -> bool:
        """True if the decay is the same for all keys."""
        return self.decay.shape[-2] == 1

    def scaled(self, rows: Node, decays: Node) -> Node:
        """Return ``rows`` [..., C, keys] times ``decays``, which have the layout of ``decay``: steps last.

        A decay that is the same for all keys scales whole rows, so that the keys of a step stay contiguous.
        """
        if self._is_scalar:
            return multiplied(as_column(decays), rows)
        return swapped(multiplied(decays, swapped(rows)))

    @property
    def between(self) -> Node:
        """Products of the decays between steps s and t [..., C, C], for decays that keys share; 0 where t <= s."""
        total: Node | None = None
        for half, before, after in self.levels:
            if before is None or after is None:
                one = make("constant", value=np.ones((), self.decay.dtype))
                part = make(
                    "broadcast", one, where=self.decay.where, shape=(*self.decay.shape[:-2], *(self.steps,) * 2)
                )
            else:
                part = multiplied(as_column(before), after)
            total = self._select(part, half, total)
        assert total is not None
        return total

    def _select(self, value: Node, half: int, other: Node | None) -> Node:
        """Select ``value`` for pairs of steps in opposite halves of one block, and ``other`` elsewhere; None means 0.

        Each half has ``half`` steps.
        """
        pairs = make("constant", value=_corners(self.steps, half))
        if other is None:
            other = make("constant", value=np.zeros((), value.dtype))
        return make("select", pairs, value, other, where=value.where)


def unit_lower_inverse(strict: Node, steps: int) -> Node:
    """Return the inverse of ``I - strict`` [..., n, n], where ``strict`` consists of strictly lower triangular blocks.

    Args:
        steps: Size of a block.
    """
    size = strict.shape[-1]
    assert isinstance(size, int)
    count, half = size // steps, 1
    inverse: Node | None = None
    while half < steps:
        pairs = make("constant", value=np.tile(_corners(steps, half), (count, count)))
        zero = make("constant", value=np.zeros((), strict.dtype))
        corner = make("select", pairs, strict, zero, where=strict.where)
        if inverse is None:
            inverse = make("add", corner, _constant(np.eye(size), strict), where=strict.where)
        else:
            inverse = added(inverse, matmul(inverse, matmul(corner, inverse)))
        half *= 2
    assert inverse is not None
    return inverse


# Blocks of 2, 4, 8, … steps ---------------------------------------------------------------------------


def _late(steps: int, half: int) -> np.ndarray:
    """Return an array with 1 for steps in the second half of each block, and 0 for steps in the first half."""
    return np.arange(steps) // half % 2


def _siblings(steps: int, half: int) -> np.ndarray:
    """Return the permutation matrix that swaps each step with its counterpart in the other half of its block."""
    matrix = np.zeros((steps, steps))
    matrix[np.arange(steps) ^ half, np.arange(steps)] = 1
    return matrix


def _corners(steps: int, half: int) -> np.ndarray:
    """Return a mask of pairs [steps, steps] of a step in the second half of a block and one in the first half."""
    blocks, late = np.arange(steps) // (2 * half), _late(steps, half) == 1
    return (blocks[:, None] == blocks) & late[:, None] & ~late


# Small builders ---------------------------------------------------------------------------------------


def matmul(left: Node, right: Node, rounded: bool = False) -> Node:
    """Return the matrix product. Leading axes of size 1 are broadcast. ``rounded`` rounds the factors to bfloat16."""
    kind: dict[str, Any] = {"rounded": True} if rounded else {}
    if right.tensor.rank == 2:
        return make("matmul", left, right, where=left.where, **kind)
    lead = tuple(b if a == 1 else a for a, b in zip(left.shape[:-2], right.shape[:-2], strict=True))
    sides = []
    for item in (left, right):
        full = (*lead, *item.shape[-2:])
        sides.append(item if item.shape == full else make("broadcast", item, where=item.where, shape=full))
    return make("matmul", *sides, where=left.where, **kind)


def multiplied(one: Node, other: Node) -> Node:
    """Return the elementwise product."""
    return make("mul", one, other, where=one.where or other.where)


def added(one: Node | None, other: Node) -> Node:
    """Return the sum; ``other`` if there is no first term yet."""
    return other if one is None else make("add", one, other, where=other.where or one.where)


def concat(parts: Sequence[Node], axis: int) -> Node:
    """Concatenate values along an axis, which may be negative. A single value is returned unchanged."""
    rank = parts[0].tensor.rank
    return parts[0] if len(parts) == 1 else make("concat", *parts, where=parts[0].where, axis=axis % rank)


def swapped(node: Node) -> Node:
    """Swap the last two axes."""
    rank = node.tensor.rank
    return transposed(node, (*range(rank - 2), rank - 1, rank - 2))


def as_column(node: Node) -> Node:
    """Reshape [..., 1, C] to [..., C, 1]."""
    shape: Shape = (*node.shape[:-2], node.shape[-1], 1)
    return shaped(node, shape)


def _flush(node: Node) -> Node:
    """Flush magnitudes below the dtype's ``tiny / eps`` to 0, because arithmetic on denormals is slow.

    Derivatives are not affected.
    """
    kind = np.finfo(node.dtype)
    minimum, zero = (_constant(np.asarray(value), node) for value in (kind.tiny / kind.eps, 0.0))
    is_small = make("less", make("abs", node, where=node.where), minimum, where=node.where)
    small = make("stop_gradient", make("select", is_small, node, zero, where=node.where), where=node.where)
    return make("sub", node, small, where=node.where)


def _times(one: Node | None, other: Node) -> Node:
    """Return the elementwise product; ``other`` if there is no first factor yet."""
    return other if one is None else multiplied(one, other)


def _constant(value: np.ndarray, like: Node) -> Node:
    return make("constant", value=value.astype(like.dtype))
