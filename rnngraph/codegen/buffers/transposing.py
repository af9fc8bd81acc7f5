"""Packing of weights with contiguous k: rows of units are transposed in registers."""

from __future__ import annotations

from ...ir.types import ITEM_BYTES, size
from ...support.errors import Where
from ...support.records import NamedTuple
from ..loop_ir.builder import Block, loop
from ..loop_ir.functions import Function
from ..loop_ir.nodes import Buffer, Call, Index, Operand, Place, Store
from .lane_order import PIECE_BYTES, elements_of_pieces, whole_pieces


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
        """Add a call to ``block`` that packs one slice of weights, given by ``move``, by transposing it."""
        assert move.depth >= move.lanes, "rows have fewer elements than a square block"
        key = (move.target[0].dtype, move.lanes)
        if key in self.functions:
            self.functions[key] = self.functions[key].called_for(block.origin)
        else:
            self.functions[key] = _transposing(f"transpose{len(self.functions)}", *key, block.origin)
        sizes = move.distance, move.per_k, move.valid, move.depth
        block.add(Call(self.functions[key].name, (move.source, move.target), sizes))


def _transposing(name: str, dtype: str, lanes: int, origin: Where | None) -> Function:
    """Return a loop IR function that transposes rows of weights in square blocks of ``lanes`` x ``lanes``.

    A block is transposed in two loops. The first transposes the elements within pieces of 16 bytes, the second whole
    pieces in the target's memory. The loops compile in a third of the time of straight-line code.

    Arguments of the function are the row distances of source and target, the number of rows, and the elements of a row.
    Copies of the last row replace missing rows.
    """
    source, target, block = Buffer("m0", dtype), Buffer("m1", dtype), Block(origin=origin)
    piece = min(lanes, PIECE_BYTES // ITEM_BYTES[dtype])

    def square(inner: Block, k: Index) -> None:
        # the last block ends at the end of the rows, and overlaps the previous block
        first = inner.let_index("first", "min", k, size("n3") - lanes)

        def place(k: Index) -> Index:
            return size("n1") * (first + k)

        def elements(at: Block, row: Index) -> None:
            rows = [at.let_index("row", "min", row + number, size("n2") - 1) for number in range(piece)]
            vectors: list[Operand] = [at.load("w", source, first + size("n0") * item, lanes) for item in rows]
            for number, value in enumerate(elements_of_pieces(at, vectors)):
                at.add(Store(value, target, place(row + number)))

        def pieces(at: Block, k: Index) -> None:
            places = [place(k + number) for number in range(0, lanes, piece)]
            vectors: list[Operand] = [at.load("w", target, item, lanes) for item in places]
            for item, value in zip(places, whole_pieces(at, vectors, lanes), strict=True):
                at.add(Store(value, target, item))

        loop(inner, "row", lanes, elements, 0, piece)
        loop(inner, "column", piece, pieces)

    loop(block, "k", size("n3"), square, 0, lanes)
    return Function(name, (source, target), ("n0", "n1", "n2", "n3"), tuple(block.statements), "transposes rows")
