"""Statements that multiply: register tiles of rows and columns, and tiles of a matrix unit."""

from __future__ import annotations

from dataclasses import field

from ...support.errors import Where
from ...support.records import dataclass
from .base import BaseStatement, Renaming, Uses, sizes_in
from .values import BlockScales, Buffer, Condition, Destination, Factors, Index, Operand, Place, Valid, Value


@dataclass(frozen=True)
class Contract(BaseStatement):
    """Register tile: ``results[r][j] = starts[r][j] + sum over k of left[r][k] * right[k][j]``, k in order.

    Attributes:
        left: (buffer, index) of each row; a step of k advances by ``left_stride`` elements.
        depth: Number of values of k.
        right: (buffer, index) of each column; a step of k advances by ``right_stride`` elements, and a lane by
            ``lane_stride``.
        valid: Number of lanes of each column that are in bounds; None if all are.
        unroll: Steps of k per iteration of the loop.
        dot_width: Values of consecutive k that one step multiplies. They are adjacent narrow values of a row, and
            the narrow values in each lane of a column.
        accumulators: Number of partial sums of each result. Partial sum i adds the steps with ``k % accumulators ==
            i``. The first begins with the start, and the others with 0. They are added at the end, in order.
        block: Number of values of k that are summed before they are added to the total, which limits rounding errors;
            0 for a single sum.
        chained: Operands of further products with the same strides, depth and lanes. Each product continues the sums
            of the previous one.
        spread: True to load all steps of k of a row as one vector, and broadcast its lanes from the register.
        ahead: Distance in elements from the first column to the weights of the next tiles, which each iteration over k
            prefetches; None for no prefetch.
        prefetched: Buffer and index from which ``ahead`` counts; None for those of the first column.
        destination: Memory of the results. Each iteration over k prefetches one row of it for writing. None for no
            prefetch.
        conditions: Condition of each product, in order; None for a product that is always added. A product whose
            condition does not hold adds nothing. If the tuple is empty, all products are added.
        scales: Scales of blocks of k, for weights in blocks; None if sums are not scaled.
        steps_per_lane: Steps of k that multiply the weights in a lane of a column, which the first of them loads.
        columns: Origin of each column, if a tile computes products of several lines.
    """

    results: tuple[tuple[Value, ...], ...]
    starts: tuple[tuple[Operand, ...], ...]
    left: tuple[tuple[Buffer, Index], ...]
    left_stride: Index
    depth: Index
    right: tuple[tuple[Buffer, Index], ...]
    right_stride: Index
    lane_stride: Index
    valid: tuple[Valid, ...]
    unroll: int
    comment: str = ""
    dot_width: int = 1
    accumulators: int = 1
    block: int = 0
    chained: tuple[Factors, ...] = ()
    spread: bool = False
    ahead: Index | None = None
    prefetched: Place | None = None
    destination: Destination | None = None
    scales: BlockScales | None = None
    conditions: tuple[Condition | None, ...] = ()
    steps_per_lane: int = 1
    columns: tuple[Where | None, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def factors(self) -> tuple[Factors, ...]:
        """Left and right operands of each product, in order."""
        return ((self.left, self.right), *self.chained)

    @property
    def together(self) -> int:
        """Steps of k whose operands are in registers at the same time: pairs of floats that share a lane."""
        return self.steps_per_lane if self.dot_width == 1 else 1

    @property
    def _every_condition(self) -> tuple[Condition | None, ...]:
        """Condition of each product, in order; None for a product that is always added."""
        return self.conditions or (None,) * len(self.factors)

    def then(self, other: Contract) -> Contract | None:
        """Return one tile that does the work of this tile and then of ``other``, which continues its sums.

        Return None unless ``other`` continues the sums in the same layout, and has the same origins.
        """
        joined = self.changed(results=other.results, chained=(*self.chained, *other.factors))
        if self.conditions or other.conditions:
            joined = joined.changed(conditions=(*self._every_condition, *other._every_condition))
        rest_of_other = joined.changed(
            left=other.left,
            right=other.right,
            starts=other.starts,
            conditions=other.conditions,
            chained=(),
            comment=other.comment,
            prefetched=other.prefetched,
        )
        continues = other.starts == self.results and rest_of_other == other
        return joined if continues and (self.origin, self.columns) == (other.origin, other.columns) else None

    def uses(self) -> Uses:
        places = [place for left, right in self.factors for place in (*left, *right)]
        places += [] if self.prefetched is None else [self.prefetched]
        steps = (self.left_stride, self.depth, self.right_stride, self.lane_stride, *sizes_in(*self.valid, self.ahead))
        steps = (*steps, *(limit for condition in self.conditions if condition for limit in condition))
        if self.scales is not None:
            places += self.scales.places
            steps = (*steps, self.scales.right_stride)
        lines = () if self.destination is None else self.destination.lines
        reads, prefetches = [buffer for buffer, _ in places], [buffer for buffer, _ in lines]
        return Uses([*places, *lines], steps, reads, prefetches=prefetches)

    def renamed(self, by: Renaming) -> Contract:
        return self.changed(
            left=tuple(map(by.place, self.left)),
            right=tuple(map(by.place, self.right)),
            left_stride=by.index(self.left_stride),
            right_stride=by.index(self.right_stride),
            lane_stride=by.index(self.lane_stride),
            depth=by.index(self.depth),
            valid=tuple(map(by.valid, self.valid)),
            ahead=None if self.ahead is None else by.index(self.ahead),
            prefetched=None if self.prefetched is None else by.place(self.prefetched),
            chained=tuple((tuple(map(by.place, left)), tuple(map(by.place, right))) for left, right in self.chained),
            destination=None if self.destination is None else by.destination(self.destination),
            scales=None if self.scales is None else by.scales(self.scales),
            conditions=tuple([None if each is None else by.condition(each) for each in self.conditions]),
        )


@dataclass(frozen=True)
class TileProduct(BaseStatement):
    """Product of two matrices of bfloat16 in tiles of a matrix unit: ``sums = left * right``, in float32.

    A tile of sums has 16 rows and 16 columns, and an instruction of the unit multiplies 32 steps of k. Zeros pad
    matrices to whole tiles. A word is a pair of values, of k and k + 1.

    Attributes:
        sums: float32 buffer and first element, [16 rows, 16 columns].
        left: First word of the left matrix, [16 rows, 16 depth] words.
        right: First word of the right matrix, [16 depth, 16 columns] words.
        rows, columns: Number of tiles of sums.
        depth: Number of instructions of the unit for one tile of sums: a 32nd of the steps of k, rounded up.
    """

    sums: Place
    left: Place
    right: Place
    rows: int
    columns: int
    depth: int
    comment: str = ""

    def uses(self) -> Uses:
        return Uses((self.left, self.right, self.sums), (), (self.left[0], self.right[0]), (self.sums[0],))

    def renamed(self, by: Renaming) -> TileProduct:
        return self.changed(sums=by.place(self.sums), left=by.place(self.left), right=by.place(self.right))
