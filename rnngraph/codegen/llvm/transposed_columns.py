"""Columns of a register tile in which k is contiguous: they are loaded row by row, and transposed in registers.

Each lane of a vector belongs to a row. A load reads a piece of 16 bytes of a row, that is several steps of k. Pieces
are combined to vectors, which are transposed within 16 bytes, where shuffles are cheapest. No memory beyond the
operands is read, and the products are the same as those of columns with contiguous lanes.
"""

from __future__ import annotations

from ...ir.types import FLOATS, ITEM_BYTES, Dim, Size, size
from ..buffers.lane_order import within_pieces
from ..loop_ir.nodes import Contract, LetIndex
from .function_builder import FunctionBuilder
from .instructions import LLVM_TYPES, Handle, element_of
from .load_store import read, step_pointer

PIECE_BYTES = 16
FROM_ONE_POINTER = 8
"""Maximum rows with addresses relative to one pointer. More would need registers for multiples of the row distance."""


def are_transposed(tile: Contract) -> bool:
    """True if k, not the lanes, is contiguous in the memory of a tile's columns."""
    is_float = tile.right[0][0].dtype in FLOATS
    return is_float and tile.right_stride == 1 and tile.lane_stride != 1 and tile.results[0][0].lanes > 1


def read_together(tile: Contract) -> int:
    """Return the number of steps of k that a load reads."""
    first = tile.results[0][0]
    return min(PIECE_BYTES // ITEM_BYTES[first.dtype], first.lanes)


def transposed_columns(
    builder: FunctionBuilder, tile: Contract, column: int, k: str, offset: int, count: int
) -> list[Handle]:
    """Write loads and a transpose of weights with contiguous k. Return a column's vectors for ``count`` steps of k.

    Lanes without a row are 0, or copies of the last row.
    """
    b, lanes, length = builder.b, tile.results[0][0].lanes, read_together(tile)
    dtype = tile.right[column][0].dtype
    valid = None if count == length else count
    pieces = [
        read(builder, at, dtype, length, valid, 1, "row") for at in _row_pointers(builder, tile, column, k, offset)
    ]
    pieces += [b.constant(0.0, pieces[0])] * (lanes - len(pieces))
    joined = [_concatenate(builder, pieces[number::length]) for number in range(length)]
    return within_pieces(joined, lanes, b.shuffle)[:count]


def _row_pointers(builder: FunctionBuilder, tile: Contract, column: int, k: str, offset: int) -> list[str]:
    """Write code for the addresses of a column's rows, one a lane, at step ``k + offset``. Return their names."""
    (buffer, index), valid, stride = tile.right[column], tile.valid[column], tile.lane_stride
    lanes = tile.results[0][0].lanes
    if isinstance(stride, int) and not isinstance(valid, Size):
        there = range(lanes if valid is None else valid)
        return [step_pointer(builder, (buffer, index + stride * lane), k, 1, offset) for lane in there]
    kind, pointers = LLVM_TYPES[element_of(buffer.dtype)], []
    base = builder.frozen(step_pointer(builder, (buffer, index), k, 1, 0))
    for lane in range(lanes if valid is None or isinstance(valid, Size) else valid):
        number: Dim = lane
        if isinstance(valid, Size):
            number = _at_most(builder, lane, valid - 1)
        elif lane and lane % FROM_ONE_POINTER == 0:
            base = builder.frozen(builder.pointer(kind, base, builder.index(stride * FROM_ONE_POINTER)))
        if isinstance(number, int):
            number %= FROM_ONE_POINTER
        row = builder.pointer(kind, base, builder.index(stride * number)) if number != 0 else base
        pointers.append(builder.pointer(kind, row, str(offset)) if offset else row)
    return pointers


def _at_most(builder: FunctionBuilder, lane: int, last: Dim) -> Size:
    """Write code for the minimum of a lane's index and the index ``last``, once per scope. Return its size."""
    key = ("lane", lane, last)
    for scope in builder.known:
        if key in scope:
            return size(scope[key])
    builder.b.count += 1
    builder.known[-1][key] = name = f"lane.{builder.b.count}"
    builder.let_index(LetIndex(name, "min", lane, last))
    return size(name)


def _concatenate(builder: FunctionBuilder, pieces: list[Handle]) -> Handle:
    """Return the concatenation of vectors, whose number is a power of two."""
    while len(pieces) > 1:
        wide = range(2 * pieces[0].lanes)
        pieces = [builder.b.shuffle(x, y, wide) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
    return pieces[0]
