"""Operands of loop IR statements: buffers, values, literals, and scales of register tiles."""

from __future__ import annotations

from typing import Any

from ...ir.types import Dim
from ...support.records import NamedTuple, dataclass

Index = Dim
Place = tuple["Buffer", Index]  # buffer and index of an element
Factors = tuple[tuple[Place, ...], tuple[Place, ...]]
"""Left operand of each row of a register tile, and right operand of each column, as places."""
Condition = tuple[Index, Index, Index]
"""Condition (index, low, high): true if ``low <= index < high``."""
Valid = Index | None
"""Number of leading lanes of a vector that are in bounds; None if all are."""


class Buffer(NamedTuple):
    """Memory with elements of one dtype, passed to a function as a pointer."""

    name: str
    dtype: str


class Value(NamedTuple):
    """Named value with ``lanes`` elements; one lane is a scalar."""

    name: str
    dtype: str
    lanes: int


@dataclass(frozen=True)
class Literal:
    """Constant, equal in all lanes."""

    value: Any
    dtype: str
    lanes: int


Operand = Value | Literal


@dataclass(frozen=True)
class Destination:
    """Memory for the results of a register tile, which the tile prefetches.

    Attributes:
        lines: (buffer, index) of each cache line of the tile's first row.
        pitch: Elements from one row to the next.
    """

    lines: tuple[Place, ...]
    pitch: int


@dataclass(frozen=True)
class BlockScales:
    """Scales of a register tile of bytes. The sum over each block of k is scaled, then added to the total, in order.

    For block b, ``total = fma(float(sum of products of b - zero * sums[r][b]), left[r][b] * right[b][j], total)``.

    Attributes:
        steps: Steps of k in a block.
        blocks: Number of blocks.
        left: (buffer, index) of the scales of each row; b advances by 1.
        sums: (buffer, index) of each row's sums of bytes, one for each block; b advances by 1.
        right: (buffer, index) of the scales of each column; b advances by ``right_stride``.
        zero: Byte that represents a weight of 0.
        bits: Stored bits of a weight: 8 or 4. With 4, a vector has the weights of two steps; the lower bits of bytes
            belong to the first step.
    """

    steps: int
    blocks: int
    left: tuple[Place, ...]
    sums: tuple[Place, ...]
    right: tuple[Place, ...]
    right_stride: Index
    zero: int
    bits: int

    @property
    def places(self) -> tuple[Place, ...]:
        """All places, in the order of rows, sums and columns."""
        return (*self.left, *self.sums, *self.right)
