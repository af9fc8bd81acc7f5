"""Shapes of register tiles, from a small model of the processor.

A tile holds rows x columns vector accumulators; a column is one block of lanes of one gate. A step of k
costs the largest of: its multiply-adds at two a cycle; its loads, a broadcast for each row and a vector for
each column, at two a cycle, or at the second cache's rate where a panel does not stay in the first; and the
latency of a multiply-add, which the next step of k must wait for. Tiles that need more registers than there
are would spill and are not considered. Of tiles that take about as long, those that need one height only are
half the code to compile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ...ir.graph import Node
from ...ir.types import FLOATS, ITEM_BYTES, NARROW, Dim
from ..machine.target import Target

FMA_LATENCY = 4.0
PER_CYCLE = 2.0
SECOND_CACHE_BYTES = 24.0  # a cycle, as far as tiles reach it
OVERHEAD = 0.5  # cycles a step of k costs whatever the tile: the loop, and what does not overlap
EVEN = 1.03  # how much longer tiles of one height may take than tiles of two
FEWEST_CUT, MOST_CUT = 8, 64  # steps of k from which, and steps and columns up to which, a sum is cut in two
SUM_BLOCK = 512  # steps of k after which a float's sum begins anew, and is added to those before: it rounds less
TRANSPOSED_TOGETHER = 4  # k of a block of float32 that a tile transposes as it reads them
LARGE = 16  # sums
OPEN_ROWS = 64  # what is assumed of a number of rows that is known at run time only
OPEN_DEPTH = 256  # and of a number of k
BESIDE_BYTES = {"maddubs": 3, "maddwd": 6, "i32x4.dot": 3, "smlad": 26}
"""Registers that a dot product of signed bytes needs beside sums and operands, as for halves of these; of Cortex-M all
but six, as it takes integer registers.
"""


@dataclass(frozen=True)
class TileShape:
    """rows: at most so many rows a tile; blocks: blocks of units a tile; unroll: steps of k a turn."""

    rows: int
    blocks: int
    unroll: int


def for_signed_bytes(target: Target) -> Target:
    """The processor as tiles see it that multiply signed bytes: without the registers that this takes."""
    return replace(target, registers=target.registers - BESIDE_BYTES.get(target.signed_dots, 0))


def lanes_for(target: Target, nodes: Sequence[Node], width: Dim) -> int:
    """Lanes of a vector: the narrowest float decides; no more than the units need. One row of as many as a call tells
    is not worth the code of a last vector.
    """
    if not isinstance(width, int) and all(node.tensor.rank < 2 for node in nodes):
        return 1
    sizes = [ITEM_BYTES[node.dtype] for node in nodes if node.dtype in FLOATS]
    narrow = (node for node in nodes if node.dtype in NARROW or (node.op == "matmul" and node.dtype not in FLOATS))
    sizes += [4 for _ in narrow]  # computed in 32 bits
    lanes = target.lanes(min(sizes or [8]))
    while isinstance(width, int) and lanes > 1 and lanes // 2 >= width:
        lanes //= 2
    return lanes


def accumulators(target: Target, depth: Dim, width: Dim) -> int:
    """Sums into which one over ``depth`` steps of k is cut, for weights of ``width`` columns: by their shape alone.

    A multiply-add waits for the one before it, and a row of few units has few other sums in the meantime. A tile has
    rows for half as many sums then: with few registers that is too few, and so it is where weights don't stay in the
    first cache, and pass for each tile of rows.
    """
    if not isinstance(depth, int) or not isinstance(width, int) or target.registers <= 16:
        return 1
    return 2 if FEWEST_CUT <= depth <= MOST_CUT and width <= MOST_CUT else 1


def sum_block(depth: Dim, dtype: str) -> int:
    """How many k of a float's product are summed before they are added to those before, by its shape alone; 0: all."""
    return 0 if dtype == "int32" or (isinstance(depth, int) and depth <= SUM_BLOCK) else SUM_BLOCK


def fits(target: Target, rows: int, columns: int, accumulators: int = 1) -> bool:
    """Whether accumulators, broadcasts and weights stay in registers."""
    if rows == 1:  # weights come straight from memory as operands
        return columns * accumulators + 2 <= target.registers
    beside = _beside(target, rows, columns)
    if not target.takes_operands_from_memory:  # the k of all accumulators are loaded together
        beside *= accumulators
    return rows * columns * accumulators + beside <= target.registers


def step_cycles(target: Target, rows: int, columns: int, reread: int, accumulators: int = 1) -> float:
    """Cycles of one step of k of a tile; ``reread`` bytes of weights pass before the same ones come again."""
    streamed = 0.0 if target.keeps(reread) else columns * target.vector_bits // 8 / SECOND_CACHE_BYTES
    loads = max((rows + columns) / PER_CYCLE, streamed)
    return OVERHEAD + max(rows * columns / PER_CYCLE, loads, FMA_LATENCY / accumulators)


def tile_shape(
    target: Target, gates: int, blocks: int, rows: Dim, depth: int, parts: int = 1, accumulators: int = 1,
    groups: tuple[int, ...] = (),
) -> TileShape:  # fmt: skip
    """The cheapest tile for ``blocks`` blocks of units of ``gates`` gates over ``rows`` rows, k up to ``depth``.

    parts: sums for each row, unit and gate, with a left operand each. groups: a lone row's tile is rather a multiple of
    these, by which weights are packed already.
    """
    return cheapest(target, gates, blocks, rows, depth, parts, accumulators, groups)[0]


@lru_cache(maxsize=4096)
def cheapest(
    target: Target, gates: int, blocks: int, rows: Dim, depth: int, parts: int = 1, accumulators: int = 1,
    groups: tuple[int, ...] = (),
) -> tuple[TileShape, float]:  # fmt: skip
    """The cheapest tile, and what a step of k over all rows and blocks takes with it, in cycles."""
    count = rows if isinstance(rows, int) else OPEN_ROWS
    best, cost = TileShape(1, 1, 4), float("inf")
    for height in range(1, min(count, target.registers) + 1):
        for width in range(1, blocks + 1):
            if not fits(target, height * parts, width * gates, accumulators) and (height, width) != (1, 1):
                break
            total = _cycles(target, count, height, blocks, width, gates, depth, parts, accumulators)
            if total < cost * 0.999:
                steps = unroll(target, height * parts, width * gates, accumulators)
                best, cost = TileShape(height, width, steps), total
    return _evened(target, count, best, blocks, gates, depth, parts, accumulators, groups), cost


def transposing_tile(target: Target, rows: int, accumulators: int = 1) -> TileShape | None:
    """A tile of all ``rows`` that transposes columns as it reads them, a block at a time: shuffles leave time for sums
    that wait for each other. None where registers don't hold it, with the k that are transposed together.
    """
    if rows * accumulators + TRANSPOSED_TOGETHER + 2 > target.registers:
        return None
    return TileShape(rows, 1, unroll(target, rows, 1, accumulators))


def unroll(target: Target, rows: int, columns: int, accumulators: int) -> int:
    """Steps of k a turn, for a tile of so many sums: a multiple of the accumulators.

    Counting k takes instructions that some processors issue in place of multiply-adds. Of a large tile, of which few
    turns are in flight, that shows: two steps a turn are up to 4 % faster there, if both find room beside the sums.
    """
    sums = rows * columns
    least = 1 if sums <= LARGE else 2
    if not target.takes_operands_from_memory and sums + 2 * _beside(target, rows, columns) > target.registers:
        least = 1
    return -(-max(least, min(4, 16 // sums)) // accumulators) * accumulators


def _beside(target: Target, rows: int, columns: int) -> int:
    """Registers that broadcasts and weights of a step take."""
    return (min(rows, columns) if target.registers > 16 else rows) + 1


def _evened(
    target: Target, rows: int, tile: TileShape, blocks: int, gates: int, depth: int, parts: int, accumulators: int,
    groups: tuple[int, ...],
) -> TileShape:  # fmt: skip
    """The tile, or a smaller one that costs next to nothing more and is less code.

    Most of the time to compile goes into the code of tiles, and tiles of a second height are code of their own. How
    often weights pass that stay in the first cache is left out of account.
    """
    if rows == 1:
        return _narrowed(target, tile, blocks, gates, depth, parts, accumulators, groups)
    if depth * tile.blocks * gates * target.vector_bits // 8 > target.first_cache:
        return tile
    height = next((height for height in range(tile.rows, 1, -1) if rows % height == 0), tile.rows)

    def cycles(most: int) -> float:
        return _cycles(target, rows, most, blocks, tile.blocks, gates, 0, parts, accumulators)

    if height == tile.rows or cycles(height) > EVEN * cycles(tile.rows):
        return tile
    return TileShape(height, tile.blocks, unroll(target, height * parts, tile.blocks * gates, accumulators))


def _narrowed(
    target: Target, tile: TileShape, blocks: int, gates: int, depth: int, parts: int, accumulators: int,
    groups: tuple[int, ...],
) -> TileShape:  # fmt: skip
    """A lone row's tile: of the widths that take about as long, and of which all ``groups`` are divisors if there are
    such, the one with the fewest blocks, those of a rest among them.
    """

    def cycles(width: int) -> float:
        return _cycles(target, 1, 1, blocks, width, gates, depth, parts, accumulators)

    close = [width for width in range(1, tile.blocks + 1) if cycles(width) <= EVEN * cycles(tile.blocks)]
    shared = [width for width in close if not any(width % group for group in groups)]
    width = min(shared or close, key=lambda width: (width + blocks % width, -width))
    return TileShape(1, width, unroll(target, parts, width * gates, accumulators))


def _cycles(
    target: Target, rows: int, height: int, blocks: int, width: int, gates: int, depth: int, parts: int,
    accumulators: int,
) -> float:  # fmt: skip
    """Cycles for one step of k over all rows and blocks."""
    tiles = balanced(rows, height)
    groups = [(width, blocks // width), (blocks % width, 1 if blocks % width else 0)]
    vector_bytes = target.vector_bits // 8
    several = sum(number for _, number in tiles) > 1  # the next tile of rows reads the same panel again
    total = 0.0
    for size, number in tiles:
        for columns, times in groups:
            reread = depth * gates * vector_bytes * (columns if several else blocks)
            total += number * times * step_cycles(target, size * parts, columns * gates, reread, accumulators)
    return total


def balanced(rows: int, most: int) -> list[tuple[int, int]]:
    """``rows`` cut into tiles of at most ``most`` rows that differ by one at most: [(rows, tiles)]."""
    if rows <= 0:
        return []
    tiles = -(-rows // most)
    small, larger = divmod(rows, tiles)
    parts = [(small + 1, larger), (small, tiles - larger)]
    return [(size, number) for size, number in parts if number]
