"""Products of bfloat16 matrices on AMX, the matrix unit of x86-64 processors.

The unit has eight tiles, each of 16 rows of 64 bytes. One instruction multiplies a tile of 16 rows x 32 steps of k by a
tile of 32 steps of k x 16 columns. In the latter, each column's values for k and k + 1 are adjacent. The product is
added to a tile of 16 x 16 float32 sums.
"""

from __future__ import annotations

import struct
from contextlib import AbstractContextManager
from itertools import product

from .ir_builder import IRBuilder

TILE_ROWS, TILE_WORDS = 16, 16
"""Rows of a tile, and words of 4 bytes in a row. A word is a float32 sum, or a pair of bfloat16 values."""

_TILES, _ROW_BYTES = 8, 4 * TILE_WORDS
_CONFIGURATION = struct.pack(f"<2B14x{_TILES}H16x{_TILES}B8x", 1, 0, *(_ROW_BYTES,) * _TILES, *(TILE_ROWS,) * _TILES)
"""Operand of ``ldtilecfg``: palette 1, then the bytes of a row for each tile, then the number of rows for each tile."""
_LEFT, _RIGHT = (4, 5), (6, 7)
"""Numbers of the tiles for left and right operands. Tiles 0 to 3 are for sums."""

_INTRINSICS = {
    "ldtilecfg": "ptr",
    "tilerelease": "",
    "tilezero": "i8 immarg",
    "tileloadd64": "i8 immarg, ptr, i64",
    "tilestored64": "i8 immarg, ptr, i64",
    "tdpbf16ps": "i8 immarg, i8 immarg, i8 immarg",
}


def tile_product_text(intrinsics: dict[str, str]) -> str:
    """Return the LLVM text of a function that multiplies packed matrices by AMX; add declarations to ``intrinsics``.

    The function computes two by two tiles of sums at a time. If the number of tiles along an axis is odd, the last
    tiles are computed twice.
    """
    for name, operands in _INTRINSICS.items():
        intrinsics[f"llvm.x86.{name}"] = f"declare void @llvm.x86.{name}({operands})"
    f = IRBuilder()
    row_bytes = f.value(f"mul i64 %columns, {_ROW_BYTES}", "row_bytes")
    tile_bytes = f.value(f"mul i64 {row_bytes}, {TILE_ROWS}", "tile_bytes")
    left_row_bytes = f.value(f"mul i64 %depth, {_ROW_BYTES}", "row_bytes")
    left_bytes = f.value(f"mul i64 {left_row_bytes}, {TILE_ROWS}", "tile_bytes")
    _unit(f, "ldtilecfg", "ptr @tile_configuration")
    with _pairs(f, "%rows", "row") as row, _pairs(f, "%columns", "column") as column:
        rows, columns = _pair(f, row, "%rows"), _pair(f, column, "%columns")
        across = [f.value(f"mul i64 {item}, {_ROW_BYTES}", "across") for item in columns]
        for number in range(4):
            _unit(f, "tilezero", f"i8 {number}")
        lefts = [f.moved("%left", f.value(f"mul i64 {item}, {left_bytes}", "down")) for item in rows]
        with f.loop("%depth", "step") as step:
            behind = f.value(f"mul i64 {step}, {_ROW_BYTES}", "behind")
            below = f.moved("%right", f.value(f"mul i64 {step}, {tile_bytes}", "below"))
            for tile, first in zip(_LEFT, lefts, strict=True):
                _unit(f, "tileloadd64", f"i8 {tile}, ptr {f.moved(first, behind)}, i64 {left_row_bytes}")
            for tile, offset in zip(_RIGHT, across, strict=True):
                _unit(f, "tileloadd64", f"i8 {tile}, ptr {f.moved(below, offset)}, i64 {row_bytes}")
            for number, (one, other) in enumerate(product(_LEFT, _RIGHT)):
                _unit(f, "tdpbf16ps", f"i8 {number}, i8 {one}, i8 {other}")
        downs = [f.moved("%sums", f.value(f"mul i64 {item}, {tile_bytes}", "down")) for item in rows]
        for number, (down, offset) in enumerate(product(downs, across)):
            _unit(f, "tilestored64", f"i8 {number}, ptr {f.moved(down, offset)}, i64 {row_bytes}")
    _unit(f, "tilerelease", "")
    f.ret()
    parameters = dict.fromkeys(("sums", "left", "right"), "ptr") | dict.fromkeys(("rows", "columns", "depth"), "i64")
    text = f.function("tile_product", "void", parameters)
    data = "".join(f"\\{byte:02X}" for byte in _CONFIGURATION)
    return f'@tile_configuration = internal constant [64 x i8] c"{data}", align 64\n{text}'


def _unit(f: IRBuilder, name: str, operands: str) -> None:
    """Write an instruction of the unit."""
    f.do(f"call void @llvm.x86.{name}({operands})")


def _pairs(f: IRBuilder, count: str, name: str) -> AbstractContextManager[str]:
    """Write a loop over pairs of tiles. The context is the loop's body; its value is the index of the pair."""
    return f.loop(f.value(f"lshr i64 {f.plus(count, 1)}, 1", "pairs"), name)


def _pair(f: IRBuilder, number: str, count: str) -> list[str]:
    """Return the indices of a pair of tiles. If the number of tiles is odd, the last pair is the same tile twice."""
    first = f.value(f"shl i64 {number}, 1", "first")
    second = f.value(f"add i64 {first}, 1", "second")
    inside = f.icmp("ult", "i64", second, count, "inside")
    return [first, f.value(f"select i1 {inside}, i64 {second}, i64 {first}", "second")]
