"""Shuffles of vectors while weights are packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from ...ir.types import ITEM_BYTES
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Operand

Vector = TypeVar("Vector")

PIECE_BYTES = 16
"""Bytes of a piece of a vector. On all processors, shuffles within 16-byte pieces are the cheapest shuffles."""


def side_by_side(block: Block, rows: list[Operand]) -> Operand:
    """Interleave the lanes of rows: ``[a0, a1], [b0, b1] → [a0, b0, a1, b1]``.

    The number of rows must be a power of two.
    """
    while len(rows) > 1:
        half = len(rows) // 2
        wide = 2 * rows[0].lanes
        order = tuple(lane // 2 + lane % 2 * rows[0].lanes for lane in range(wide))
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [block.let("shuffle", pair, pair[0].dtype, wide, order=order) for pair in pairs]
    return rows[0]


def transposed(block: Block, rows: list[Operand]) -> list[Operand]:
    """Return the transpose of a square matrix of vectors. The number of vectors equals their lanes, a power of two.

    Elements within pieces of 16 bytes are transposed first, and then whole pieces. Each shuffle is therefore one
    instruction that needs no index register.
    """
    lanes = len(rows)
    piece = min(lanes, PIECE_BYTES // ITEM_BYTES[rows[0].dtype])
    shuffled = [elements_of_pieces(block, rows[first : first + piece]) for first in range(0, lanes, piece)]
    by_column = [whole_pieces(block, list(column), lanes) for column in zip(*shuffled, strict=True)]
    return [vector for columns in zip(*by_column, strict=True) for vector in columns]


def elements_of_pieces(block: Block, rows: list[Operand]) -> list[Operand]:
    """Transpose each n x n square of elements in n vectors: result i has element i of each piece of n elements."""
    return within_pieces(rows, rows[0].lanes, partial(_shuffled, block))


def within_pieces(
    vectors: list[Vector], lanes: int, shuffle: Callable[[Vector, Vector, Sequence[int]], Vector], width: int = 1
) -> list[Vector]:
    """Transpose each n x n square of elements in n vectors, by ``shuffle`` of two vectors at a time.

    Each of log2(vectors) steps interleaves pairs of vectors in groups of ``width`` elements. One result of a pair has
    the first halves of all pieces, and the other result the second halves.
    """
    if len(vectors) == 1:
        return vectors
    length, transposed_vectors = width * len(vectors), []
    for half in range(2):
        order: list[int] = []
        for piece in range(half * length // 2, lanes, length):
            for group in range(piece, piece + length // 2, width):
                order += [*range(group, group + width), *range(group + lanes, group + lanes + width)]
        joined = [shuffle(x, y, order) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
        transposed_vectors += within_pieces(joined, lanes, shuffle, 2 * width)
    return transposed_vectors


def whole_pieces(block: Block, rows: list[Operand], width: int) -> list[Operand]:
    """Transpose a matrix of 16-byte pieces: result i has piece i of each vector, in order.

    Each step splits the groups of ``width`` elements of pairs of vectors. One result of a pair has the first halves of
    all groups, and the other result the second halves.
    """
    if len(rows) == 1:
        return rows
    lanes = rows[0].lanes
    vectors = []
    for half in (0, width // 2):
        order = [lane + half for first in range(0, 2 * lanes, width) for lane in range(first, first + width // 2)]
        joined = [_shuffled(block, x, y, order) for x, y in zip(rows[::2], rows[1::2], strict=True)]
        vectors += whole_pieces(block, joined, width // 2)
    return vectors


def _shuffled(block: Block, x: Operand, y: Operand, order: Sequence[int]) -> Operand:
    """Return a vector of the lanes ``order`` of two vectors. Indices of ``y``'s lanes start after those of ``x``."""
    return block.let("shuffle", [x, y], x.dtype, x.lanes, order=tuple(order))
