"""Operands of register tiles in a sum of outer products, and arguments of functions that tiles share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from ...ir.types import Size, substitute
from ...support.records import dataclass
from ..cost_model.register_tiles import TileShape
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Call, Index
from .views import View


@dataclass(frozen=True)
class KBlock:
    """Block of ``count`` steps of k from ``first``, at the coordinates ``at`` of outer axes."""

    at: list[Index]
    first: Index
    count: Index


def row_offset(view: View, at: Sequence[Index]) -> Index:
    """Return the offset of a row's first element."""
    total = view.offset
    for stride, index in zip(view.strides[:-1], at, strict=True):
        total = total + stride * index
    return total


@dataclass(frozen=True)
class LeftOperand:
    """Left operand of tiles, for ``rows`` rows of the result from ``first``.

    Attributes:
        tile: Shape of the tiles.
        view: Piece of the operand that is read in place; None if tiles read the packed panel.
        stride: Elements between consecutive steps of k of the piece.
        place: Index, in the piece's buffer, of the element of row ``first`` at the first step of k.
    """

    first: Index
    rows: int
    tile: TileShape
    view: View | None = None
    stride: Index = 1
    place: Index = 0

    def of_block(self, block: Block, at: Sequence[Index]) -> LeftOperand:
        """Return the operand for a block of k at the coordinates ``at``.

        Positions become variables instead of constants, so that equal pieces share code.
        """
        if self.view is None:
            return self
        first = block.let_index("first", "max", self.first, 0)
        return replace(self, first=first, place=block.let_index("piece", "max", row_offset(self.view, at), 0))


@dataclass(frozen=True)
class TileArguments:
    """Arguments of a call of a function that several tiles share. ``work`` is equal for calls of one function."""

    buffers: tuple[Buffer, ...]
    indices: tuple[Index, ...]
    work: Hashable

    def substitute(self, other: TileArguments, call: Call) -> Call:
        """Return a copy of ``call`` in which the arguments of ``self`` replace those of ``other``."""
        buffers = dict(zip(other.buffers, self.buffers, strict=True))
        pairs = zip(other.indices, self.indices, strict=True)
        names = {old.symbol: new for old, new in pairs if isinstance(old, Size) and old.symbol}
        places = tuple((buffers.get(buffer, buffer), substitute(index, names)) for buffer, index in call.buffers)
        return replace(call, buffers=places, sizes=tuple(substitute(item, names) for item in call.sizes))
