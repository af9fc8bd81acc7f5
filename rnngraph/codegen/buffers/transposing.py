"""Packing of weights with contiguous k: rows of units are transposed in registers."""

from __future__ import annotations

from typing import NamedTuple

from ...ir.types import size
from ...support.errors import Where
from ..loop_ir.builder import Block
from ..loop_ir.functions import Function
from ..loop_ir.nodes import Buffer, Call, For, Index, Operand, Place, Store
from .lane_order import transposed


class Transposition(NamedTuple):
    """Transposition of rows of a matrix, one row for each unit, to columns of a panel.

    Attributes:
        source: Buffer and first element of the matrix.
        target: Buffer and first element of the panel.
        distance: Elements between rows of the source.
        per_k: Elements between rows of the target.
        lanes: Units of a row of the target.
        valid: Number of units that exist. The remaining lanes receive copies of the last unit.
        depth: Elements of a row of the source, at least ``lanes``.
    """

    source: Place
    target: Place
    distance: Index
    per_k: int
    lanes: int
    valid: Index
    depth: int


class TransposingPackers:
    """Functions that pack weights with contiguous k by transposing them.

    Slices of all depths share a function, because its code is long.
    """

    def __init__(self) -> None:
        self.functions: dict[tuple[str, int], Function] = {}

    def transpose(self, block: Block, move: Transposition) -> None:
        """Add a call that transposes one slice."""
        key = (move.target[0].dtype, move.lanes)
        if key in self.functions:
            self.functions[key] = self.functions[key].called_for(block.origin)
        else:
            self.functions[key] = _transposing(f"transpose{len(self.functions)}", *key, block.origin)
        sizes = move.distance, move.per_k, move.valid, move.depth
        block.add(Call(self.functions[key].name, (move.source, move.target), sizes))


def _transposing(name: str, dtype: str, lanes: int, origin: Where | None) -> Function:
    """Return a function that transposes rows in square blocks of ``lanes``.

    Arguments of the function are the row distances of source and target, the number of rows, and the elements of a row.
    Copies of the last row replace missing rows.
    """
    source, target, block = Buffer("m0", dtype), Buffer("m1", dtype), Block(origin=origin)
    places = [size("n0") * block.let_index("lane", "min", lane, size("n2") - 1) for lane in range(1, lanes)]
    inner = block.nested()
    # the last block ends at the end of the rows, and overlaps the previous block
    k = inner.let_index("first", "min", size("k"), size("n3") - lanes)
    rows: list[Operand] = [inner.load("w", source, place + k, lanes) for place in (0, *places)]
    for number, value in enumerate(transposed(inner, rows)):
        inner.add(Store(value, target, size("n1") * (k + number)))
    block.add(For("k", 0, size("n3"), lanes, tuple(inner.statements)))
    return Function(name, (source, target), ("n0", "n1", "n2", "n3"), tuple(block.statements), "transposes rows")
