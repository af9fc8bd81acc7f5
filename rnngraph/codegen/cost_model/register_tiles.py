"""Shapes of register tiles, chosen by a small model of the processor.

A tile has rows x columns vector accumulators. A kernel may compute several products of equal shape together, such as
those of a cell's gates; each is called a gate. A column is one vector of units (positions on the last axis) of one
gate. The estimated time of a step of k is the maximum of three times:

- the multiply-adds, at two per cycle;
- the loads, a broadcast for each row and a vector for each column, at two per cycle, or at the rate of L2 if a panel of
  packed weights exceeds L1;
- the latency of a multiply-add, on which the next step of k depends.

Tiles that would spill registers are not considered. Among tiles of similar cost, a tile whose height divides the number
of rows is preferred, because remainder tiles double the compile time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from ...ir.graph import Node
from ...ir.ops import MATRIX_PRODUCTS
from ...ir.types import FLOATS, HALF, ITEM_BYTES, NARROW, Dim
from ...support.records import dataclass
from ..machine.target import Target

FMA_LATENCY = 4.0
PER_CYCLE = 2.0
SECOND_CACHE_BYTES = 24.0  # bytes per cycle that a tile reads from the L2 cache
OVERHEAD = 0.5  # cycles per step of k for the loop, and for work that does not overlap with the multiply-adds
MAX_SLOWDOWN = 1.03  # maximum slowdown accepted for less code
MIN_SPLIT, MAX_SPLIT = 8, 64  # a sum is split in two for 8 to 64 steps of k and at most 64 columns
SUM_BLOCK = 512  # steps of k per partial sum of floats, which limits rounding errors
TRANSPOSED_TOGETHER = 4  # steps of k in a block of float32 that a tile transposes while loading
LARGE = 16  # accumulators of a tile above which the loop has at least two steps of k per iteration
OPEN_ROWS = 64  # assumed value of a symbolic number of rows
OPEN_DEPTH = 256  # assumed value of a symbolic number of steps of k
PAIR_REGISTERS = 4  # registers for words of weights that a tile of pairs widens, and for the mask of the upper halves
SIGNED_DOT_REGISTERS = {"maddubs": 3, "maddwd": 6, "i32x4.dot": 3, "smlad": 26}
"""Registers that a dot product of signed bytes needs for intermediate values, by the name of its instructions.

With ``smlad``, on Cortex-M, only six registers remain for a tile, because the dot product uses integer registers.
"""


@dataclass(frozen=True)
class TileShape:
    """Shape of a register tile: rows, blocks of units, and steps of k per iteration (``unroll``)."""

    rows: int
    blocks: int
    unroll: int


@dataclass(frozen=True)
class ProductShape:
    """Shape of the products of one kernel.

    Attributes:
        gates: Number of gates. Each gate has separate columns in a tile.
        blocks: Blocks of units. Each block is one vector.
        rows: Number of rows, which may be symbolic.
        depth: Maximum steps of k.
        parts: Number of narrow parts into which each left operand is split, such as high and low bytes. Each part is
            multiplied separately.
        accumulators: Partial sums of each result.
        together: Steps of k whose operands are in registers at the same time, because their weights share a lane.
        groups: Group sizes, in vectors, of weights that are packed already. Tiles of one row prefer widths that are
            multiples of a group size.
        streamed_rows: Maximum rows for which tiles have a single block, because weights come from memory.
    """

    gates: int
    blocks: int
    rows: Dim
    depth: int
    parts: int = 1
    accumulators: int = 1
    together: int = 1
    groups: tuple[int, ...] = ()
    streamed_rows: int = 0

    @property
    def row_count(self) -> int:
        """Number of rows, with ``OPEN_ROWS`` for a symbolic number."""
        return self.rows if isinstance(self.rows, int) else OPEN_ROWS

    def sums(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of accumulators in a tile of ``height`` rows and ``width`` blocks."""
        return height * self.parts, width * self.gates


def for_signed_bytes(target: Target) -> Target:
    """Return the target without the registers that a dot product of signed bytes needs in addition to its tile."""
    return replace(target, registers=target.registers - SIGNED_DOT_REGISTERS.get(target.signed_dots, 0))


def lanes_for(target: Target, nodes: Sequence[Node], width: Dim) -> int:
    """Return the lanes per vector for ops: as many as their narrowest float type allows, fewer for a small ``width``.

    Narrow types, and products of integers, count as 32 bits. Without any of these types, lanes have 64 bits. If
    ``width`` is an int, the number is halved until it is less than twice ``width``. Values without a row axis and with
    a symbolic width use one lane (scalars), because a remainder vector would cost more code than it gains.
    """
    if not isinstance(width, int) and all(node.tensor.rank < 2 for node in nodes):
        return 1
    sizes = [ITEM_BYTES[node.dtype] for node in nodes if node.dtype in FLOATS]
    narrow = (
        node
        for node in nodes
        if node.dtype in (*NARROW, HALF) or (node.op in MATRIX_PRODUCTS and node.dtype not in FLOATS)
    )
    sizes += [4 for _ in narrow]  # computed in 32 bits
    lanes = target.lanes(min(sizes or [8]))
    while isinstance(width, int) and lanes > 1 and lanes // 2 >= width:
        lanes //= 2
    return lanes


def accumulators(target: Target, depth: Dim, width: Dim) -> int:
    """Return the number of partial sums of each result of a product. It does not depend on the number of rows.

    A multiply-add waits for the previous multiply-add of its sum, and a row of few units has few other sums to compute
    meanwhile. But more partial sums leave registers for fewer rows of a tile. This costs more with few registers, or if
    weights exceed L1 and are reloaded for each tile.
    """
    if not isinstance(depth, int) or not isinstance(width, int) or target.registers <= 16:
        return 1
    return 2 if MIN_SPLIT <= depth <= MAX_SPLIT and width <= MAX_SPLIT else 1


def sum_block(depth: Dim, dtype: str) -> int:
    """Return the steps of k per partial sum, from the depth and dtype alone; 0 if the sum is not split."""
    return 0 if dtype == "int32" or (isinstance(depth, int) and depth <= SUM_BLOCK) else SUM_BLOCK


def fits(target: Target, rows: int, columns: int, accumulators: int = 1, together: int = 1) -> bool:
    """True if a tile's accumulators, broadcasts and weights fit in registers."""
    if rows == 1:  # weights need no registers, because they are memory operands of multiply-adds
        return columns * accumulators + 2 * together <= target.registers
    operand_registers = _operand_registers(target, rows, columns) * together
    operand_registers += PAIR_REGISTERS if together > 1 else 0
    if not target.takes_operands_from_memory:  # an iteration first loads the operands of all its partial sums
        operand_registers *= accumulators
    return rows * columns * accumulators + operand_registers <= target.registers


def step_cycles(
    target: Target, rows: int, columns: int, reread: int, accumulators: int = 1, together: int = 1
) -> float:
    """Return the cycles of one step of k in a tile.

    ``reread`` is the number of bytes that are read between two reads of the same weights. If L1 holds so many bytes,
    the weights come from L1, else from L2. One vector of weights serves ``together`` steps.
    """
    vectors = columns / together
    streamed = 0.0 if target.fits_first_cache(reread) else vectors * target.vector_bits // 8 / SECOND_CACHE_BYTES
    loads = max((rows + vectors) / PER_CYCLE, streamed)
    return OVERHEAD + max(rows * columns / PER_CYCLE, loads, FMA_LATENCY / accumulators)


def tile_shape(target: Target, product: ProductShape) -> TileShape:
    """Return the tile of the lowest estimated cost, or of a similar cost and less code.

    If weights come from memory, and there are few rows, the tile has a single block. Then it reads weights in a single
    stream, which prefetchers follow best: on Zen 4, products of one row take 0.65 to 0.87 of the time. With more rows,
    tiles of several blocks save more time, because they load activations less often.
    """
    if 0 < product.row_count <= product.streamed_rows:
        return _tile(target, product, product.row_count, 1)
    return cheapest(target, product)[0]


def cycles_of_row(target: Target, product: ProductShape) -> float:
    """Return the cycles per step of k and row of the cheapest tile."""
    return cheapest(target, product)[1] / product.row_count


@lru_cache(maxsize=4096)
def cheapest(target: Target, product: ProductShape) -> tuple[TileShape, float]:
    """Return the tile shape of about the lowest estimated cost for a product, and the lowest cost, in cycles.

    The cost is the number of cycles of a step of k for all rows and blocks.
    """
    best, cost = TileShape(1, 1, 4), float("inf")
    for height in range(1, min(product.row_count, target.registers) + 1):
        for width in range(1, product.blocks + 1):
            sums = product.sums(height, width)
            if not fits(target, *sums, product.accumulators, product.together) and (height, width) != (1, 1):
                break
            if product.together > 1 and height > 2 * sums[1] and width < product.blocks:
                continue  # by measurement on Zen 4, tall tiles of pairs take 4 % longer than wide ones
            total = _cycles(target, product, height, width)
            if total < cost * 0.999:
                best, cost = _tile(target, product, height, width), total
    return _smaller_tile(target, product, best), cost


def _tile(target: Target, product: ProductShape, height: int, width: int) -> TileShape:
    multiple = max(product.accumulators, product.together)  # 1 or 2 each
    return TileShape(height, width, unroll(target, *product.sums(height, width), multiple))


def transposing_tile(target: Target, rows: int, accumulators: int = 1) -> TileShape | None:
    """Return a tile of all ``rows`` that transposes weights while loading; None if registers do not suffice.

    Such a tile is fast, because shuffles run during the latency of multiply-adds.
    """
    if rows * accumulators + TRANSPOSED_TOGETHER + 2 > target.registers:
        return None
    return TileShape(rows, 1, unroll(target, rows, 1, accumulators))


def unroll(target: Target, rows: int, columns: int, accumulators: int) -> int:
    """Return the number of steps of k in each iteration of a tile's loop, a multiple of ``accumulators``.

    On some processors, the loop counter takes issue slots of multiply-adds, and few iterations of a large tile are in
    flight at once. Two steps per iteration are then up to 4 % faster, if registers suffice.
    """
    sums = rows * columns
    minimum = 1 if sums <= LARGE else 2
    if (
        not target.takes_operands_from_memory
        and sums + 2 * _operand_registers(target, rows, columns) > target.registers
    ):
        minimum = 1
    return -(-max(minimum, min(4, 16 // sums)) // accumulators) * accumulators


def _operand_registers(target: Target, rows: int, columns: int) -> int:
    """Return the number of registers that a step needs for operands."""
    return (min(rows, columns) if target.registers > 16 else rows) + 1


def _smaller_tile(target: Target, product: ProductShape, tile: TileShape) -> TileShape:
    """Return a smaller tile of similar cost and less code, if there is one; else the tile.

    Most compile time is spent on tiles, and each height of tiles has separate code. The cost of reading weights again
    from L1 is neglected.
    """
    rows = product.row_count
    if rows == 1:
        return _narrowed(target, product, tile)
    if product.depth * tile.blocks * product.gates * target.vector_bits // 8 > target.first_cache:
        return tile
    height = next((height for height in range(tile.rows, 1, -1) if rows % height == 0), tile.rows)
    cached = replace(product, depth=0)

    def cycles(maximum: int) -> float:
        return _cycles(target, cached, maximum, tile.blocks)

    if height == tile.rows or cycles(height) > MAX_SLOWDOWN * cycles(tile.rows):
        return tile
    return _tile(target, product, height, tile.blocks)


def _narrowed(target: Target, product: ProductShape, tile: TileShape) -> TileShape:
    """Return the tile of a single row with the least code among similarly fast tiles.

    Widths that are multiples of all ``groups`` come first.
    """

    def cycles(width: int) -> float:
        return _cycles(target, product, 1, width)

    close = [width for width in range(1, tile.blocks + 1) if cycles(width) <= MAX_SLOWDOWN * cycles(tile.blocks)]
    shared = [width for width in close if not any(width % group for group in product.groups)]
    return _tile(target, product, 1, min(shared or close, key=lambda width: (width + product.blocks % width, -width)))


def _cycles(target: Target, product: ProductShape, height: int, width: int) -> float:
    """Return the cycles of one step of k over all rows and units, in tiles of ``height`` rows x ``width`` vectors."""
    tiles, blocks = balanced(product.row_count, height), product.blocks
    groups = [(width, blocks // width), (blocks % width, 1 if blocks % width else 0)]
    vector_bytes = target.vector_bits // 8
    several = sum(number for _, number in tiles) > 1  # each tile of rows reads the same weights
    total = 0.0
    for size, number in tiles:
        for columns, times in groups:
            reread = product.depth * product.gates * vector_bytes * (columns if several else blocks)
            rows, sums = product.sums(size, columns)
            total += number * times * step_cycles(target, rows, sums, reread, product.accumulators, product.together)
    return total


def balanced(rows: int, maximum: int) -> list[tuple[int, int]]:
    """Return [(height, number of tiles)] of the fewest tiles of at most ``maximum`` rows that cover ``rows`` rows.

    Heights differ by at most 1, and higher tiles are first. The list is empty without rows.
    For 10 rows and a maximum of 4, it is [(4, 1), (3, 2)].
    """
    if rows <= 0:
        return []
    tiles = -(-rows // maximum)
    small, larger = divmod(rows, tiles)
    parts = [(small + 1, larger), (small, tiles - larger)]
    return [(size, number) for size, number in parts if number]
