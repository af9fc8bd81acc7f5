"""Kernels of one product that a matrix unit computes, matrix by matrix.

The unit reads whole tiles of 32-bit words. A word has two bfloat16 values, of k and k + 1. Kernels therefore round and
pack both factors first.
"""

from __future__ import annotations

from functools import cached_property

from ...ir.types import Dim
from ...support.records import dataclass
from ..analysis.node_kinds import label_of, starts_of
from ..buffers.lane_order import transposed
from ..buffers.views import View
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Buffer, Index, Literal, Operand, Place, Store, TileProduct
from ..machine.amx import TILE_ROWS, TILE_WORDS
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, strips
from .region import Region, over_axes
from .values import Coordinate, Coordinates, ValueEmitter, absolute, aligned, place

K = 2 * TILE_WORDS
"""Steps of k that one instruction of the unit multiplies."""
_ZERO = Literal(0, "int32", TILE_WORDS)


class TileKernel:
    """Writer of a product that a matrix unit computes. If the product continues a sum, the addition comes last."""

    def __init__(self, region: Region, block: Block, plan: KernelPlan, share: WorkerSlice | None) -> None:
        self.region, self.memory, self.block, self.share = region, region.memory, block, share
        self.node, self.lanes = plan.kernel.first, plan.lanes
        self.shape, self.starts = self.node.shape, starts_of(self.node)
        self.rows, self.columns = _known(self.shape[-2:])
        (self.depth,) = _known(self.node.operands[0].shape[-1:])

    def emit(self) -> None:
        """Write the kernel: loops over the leading axes, with one product of two matrices inside."""
        leading = range(len(self.shape) - 2)
        over_axes(self.region, self.block, self.shape, leading, [0] * len(self.shape), self._matrix, self.share)

    def _matrix(self, block: Block, at: list[Coordinate]) -> None:
        """Write the product of two matrices by the matrix unit, at the leading coordinates of ``at``.

        If possible, the unit stores the sums directly to the result. Otherwise, they are copied from scratch memory.
        """
        matrix, views = tuple(at[:-2]), [*self.memory.stores[self.node]]
        direct = next((view for view in views if self._takes_tiles(view)), None)
        if direct is None:
            sums: Place = self._sums
        else:
            views.remove(direct)
            sums = direct.buffer, place(direct, (*matrix, 0, 0))[0]
        left, right = self._factors(matrix)
        factors = {"left": left, "right": right}
        left_place, right_place = (self._scratch(name, "int32", item.words) for name, item in factors.items())
        pack(block, left, left_place, by_words=False)
        pack(block, right, right_place, by_words=True)
        counts = tiles(self.rows, TILE_ROWS), tiles(self.columns, TILE_WORDS), tiles(self.depth, K)
        block.add(TileProduct(sums, left_place, right_place, *counts, str(self.node.where or "")))
        if views:
            loop(block, "i", self.rows, lambda inner, row: self._row(inner, (*matrix, row), sums, views))

    def _factors(self, matrix: Coordinates) -> tuple[Factor, Factor]:
        """Return the memory of the left and the transposed right factor of the product at leading coordinates."""
        left, right = self.node.operands[:2]

        def start(view: View) -> Place:
            return view.buffer, place(view, (*aligned(view.shape[:-2], matrix), 0, 0))[0]

        one, other = self.memory.views[left], self.memory.views[right]
        return (
            Factor(start(one), self.rows, one.strides[-2], self.depth, one.strides[-1]),
            Factor(start(other), self.columns, other.strides[-1], self.depth, other.strides[-2]),
        )

    def _row(self, block: Block, row: Coordinates, sums: Place, views: list[View]) -> None:
        """Write code that adds one row of sums to the value that the product continues, and stores it in ``views``."""
        buffer, first = sums
        for inner, strip in strips(block, self.columns, self.lanes):
            emitter = ValueEmitter(inner, self.memory.views, computed=lambda node: node is self.node)
            at = (*row, strip)
            index = first + self._pitch * absolute(row[-1]) + strip.start
            total: Operand = inner.load(label_of(self.node), buffer, index, self.lanes)
            for start in self.starts:
                begin = emitter.spread(emitter.value(start, aligned(start.shape, at)), self.lanes)
                total = inner.let("add", [begin, total], self.node.dtype, self.lanes)
            for view in views:
                emitter.store(total, view, at)

    # Memory --------------------------------------------------------------------------------------

    def _takes_tiles(self, view: View) -> bool:
        """True if the matrix unit can store its tiles directly to a view, which consists of whole tiles."""
        whole = self.rows % TILE_ROWS == 0 and self.columns % TILE_WORDS == 0
        return whole and not self.starts and view.strides[-2:] == (self.columns, 1)

    @property
    def _pitch(self) -> int:
        """Number of sums in a row, padded to whole tiles."""
        return tiles(self.columns, TILE_WORDS) * TILE_WORDS

    @cached_property
    def _sums(self) -> Place:
        """Scratch memory for the sums of one matrix."""
        return self._scratch("sums", "float32", tiles(self.rows, TILE_ROWS) * TILE_ROWS * self._pitch)

    def _scratch(self, name: str, dtype: str, room: int) -> tuple[Buffer, Index]:
        """Return a scratch buffer of ``room`` elements for each worker, and the first index of this worker's part."""
        parts, part = (1, 0) if self.share is None else (self.share.parts, self.share.part)
        return self.memory.scratch(name, dtype, room * parts), part * room


def _known(dims: tuple[Dim, ...]) -> list[int]:
    """Return sizes as ints. Products of a matrix unit have fixed sizes."""
    return [int(str(dim)) for dim in dims]


# Factors in words of two values -----------------------------------------------------------------


def tiles(size: int, of_tile: int) -> int:
    """Return the number of tiles that cover an axis."""
    return -(-size // of_tile)


@dataclass(frozen=True)
class Factor:
    """Left factor, or transposed right factor, of a product in float32. A row has the values for all k.

    Attributes:
        place: Buffer, and index of the first element.
        rows: Number of rows.
        row_stride: Elements between rows.
        depth: Steps of k.
        stride: Elements between consecutive steps of k.
    """

    place: Place
    rows: int
    row_stride: Index
    depth: int
    stride: Index

    @property
    def words(self) -> int:
        """Number of words in all tiles of the factor."""
        return tiles(self.rows, TILE_ROWS) * TILE_ROWS * tiles(self.depth, K) * TILE_WORDS


def pack(block: Block, factor: Factor, target: Place, by_words: bool) -> None:
    """Write code that rounds a float32 factor to bfloat16 and packs it into 32-bit words, padded to whole tiles.

    Args:
        block: Block to which statements are added.
        factor: The factor.
        target: Buffer, and index of the first word.
        by_words: True to pack as [k / 2, rows], as for a right factor; False for [rows, k / 2].
    """
    height, width = tiles(factor.rows, TILE_ROWS) * TILE_ROWS, tiles(factor.depth, K) * TILE_WORDS
    buffer, first = target
    are_rows = factor.row_stride != 1  # adjacent rows are apart in memory, so vectors are read along k

    def tile(inner: Block, row: Index, word: Index, rows: int, depth: int) -> None:
        read = _rows if are_rows else _columns
        vectors = read(inner, factor, factor.row_stride * row + factor.stride * 2 * word, rows, depth)
        if are_rows == by_words:
            vectors = transposed(inner, vectors)
        for number, vector in enumerate(vectors):
            at = (word + number) * height + row if by_words else (row + number) * width + word
            inner.add(Store(vector, buffer, first + at))

    def columns(inner: Block, row: Index, rows: int) -> None:
        whole, rest = divmod(factor.depth, K)
        loop(inner, "w", whole * TILE_WORDS, lambda one, word: tile(one, row, word, rows, K), step=TILE_WORDS)
        if rest:
            tile(inner, row, whole * TILE_WORDS, rows, rest)

    whole, rest = divmod(factor.rows, TILE_ROWS)
    loop(block, "r", whole * TILE_ROWS, lambda one, row: columns(one, row, TILE_ROWS), step=TILE_ROWS)
    if rest:
        columns(block, whole * TILE_ROWS, rest)


def _rows(block: Block, factor: Factor, offset: Index, rows: int, depth: int) -> list[Operand]:
    """Write code that reads a tile of a factor as bfloat16. Return 16 vectors, its rows; missing values are 0."""
    vectors: list[Operand] = []
    for row in range(TILE_ROWS):
        if row >= rows:
            vectors.append(_ZERO)
            continue
        parts = [
            _numbers(block, factor, offset + factor.row_stride * row + factor.stride * k, factor.stride, depth - k)
            for k in (0, TILE_WORDS)
        ]
        vectors.append(block.let("bfloat16_words", parts, "int32", TILE_WORDS, interleaved=False))
    return vectors


def _columns(block: Block, factor: Factor, offset: Index, rows: int, depth: int) -> list[Operand]:
    """Write code that reads a tile of a factor as bfloat16. Return 16 vectors: columns, with a word of each row.

    Only ``rows`` rows and ``depth`` values of a row exist; others are 0.
    """
    vectors: list[Operand] = []
    for k in range(0, K, 2):
        if k >= depth:
            vectors.append(_ZERO)
            continue
        parts = [
            _numbers(block, factor, offset + factor.stride * number, 1, rows if number < depth else 0)
            for number in (k, k + 1)
        ]
        vectors.append(block.let("bfloat16_words", parts, "int32", TILE_WORDS, interleaved=True))
    return vectors


def _numbers(block: Block, factor: Factor, offset: Index, stride: Index, count: int) -> Operand:
    """Load 16 values, of which ``count`` exist. The others are 0."""
    if count <= 0:
        return Literal(0.0, "float32", TILE_WORDS)
    buffer, first = factor.place
    return block.load("number", buffer, first + offset, TILE_WORDS, min(count, TILE_WORDS), stride)
