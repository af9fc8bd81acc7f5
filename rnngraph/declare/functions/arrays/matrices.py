"""Functions of matrices that need no product: triangles, diagonals, outer products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.types import Dim, product
from ....support.api_guard import api
from ....support.arguments import whole_number
from ....support.errors import ShapeError
from ...tensor import Tensor, as_tensor, build, like, pair
from ..basic import cast, equal, reduce_sum, where
from ..padding import padded, part
from .moves import moved_order


@api
def tril(x: Any, k: int = 0) -> Tensor:
    """Matrices [..., rows, columns] with 0 above a diagonal, as ``numpy.tril``.

    k: 1 for the diagonal above the main one, -1 for that below.
    """
    return _triangle(x, k, "tril", True)


@api
def triu(x: Any, k: int = 0) -> Tensor:
    """Matrices [..., rows, columns] with 0 below a diagonal, as ``numpy.triu``.

    k: 1 for the diagonal above the main one, -1 for that below.
    """
    return _triangle(x, k, "triu", False)


def _triangle(x: Any, k: int, name: str, is_lower: bool) -> Tensor:
    x = _matrices(x, name)
    rows, columns = _places(x.type.shape, whole_number(k, "k"))
    return where(build("less_equal", *((columns, rows) if is_lower else (rows, columns))), x, like(0, x))


def _matrices(x: Any, name: str) -> Tensor:
    x = as_tensor(x)
    if x.rank < 2:
        raise ShapeError(f"{name} takes matrices [..., rows, columns], not {x!r}")
    return x


def _places(shape: Sequence[Dim], offset: int) -> tuple[Tensor, Tensor]:
    """Return for each row of matrices the column on a diagonal, [rows, 1], and the columns, [columns]."""
    rows, columns = shape[-2:]
    place = build("reshape", build("iota", size=rows), shape=(rows, 1))
    return (place + offset if offset else place), build("iota", size=columns)


def _on_diagonal(x: Tensor, offset: int) -> Tensor:
    """Return the entries of a diagonal of the last two axes, and 0 elsewhere."""
    return where(equal(*_places(x.type.shape, offset)), x, like(0, x))


@api
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of matrices, with rows along ``axis1`` and columns along ``axis2``, as ``numpy.diagonal``.

    offset: 1 for the diagonal above the main one.

    It is the last axis of the result. Matrices of open size are square.
    """
    x, by = _turned(x, axis1, axis2, "diagonal"), whole_number(offset, "offset")
    kind = x.dtype
    rows, columns = x.type.shape[-2:]
    start, stop = _ends(rows, columns, by)
    numbers = cast(x, "int32") if kind == "bool" else x
    return cast(part(reduce_sum(_on_diagonal(numbers, by), -1), x.rank - 2, start, stop, None), kind)


def _ends(rows: Dim, columns: Dim, offset: int) -> tuple[Dim, Dim]:
    """Return from which row to which a diagonal goes."""
    start = max(0, -offset)
    if isinstance(rows, int) and isinstance(columns, int):
        return min(start, rows), max(min(rows, columns - offset), min(start, rows))
    if rows != columns:
        raise ShapeError("diagonal: matrices of open size must be square; fix the number of rows and columns")
    return start, rows - max(0, offset)


@api
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal of matrices, with rows along ``axis1`` and columns along ``axis2``, as ``numpy.trace``.

    offset: 1 for the diagonal above the main one.
    """
    return reduce_sum(_on_diagonal(_turned(x, axis1, axis2, "trace"), whole_number(offset, "offset")), (-2, -1))


def _turned(x: Any, axis1: int, axis2: int, name: str) -> Tensor:
    """Return x with the axes of rows and columns last."""
    x = _matrices(x, name)
    order = moved_order(x.rank, (axis1, axis2), (-2, -1))
    return x if order == tuple(range(x.rank)) else build("transpose", x, order=order)


@api
def diag_embed(x: Any, offset: int = 0) -> Tensor:
    """Square matrices [..., n, n] with the numbers [..., n] on the diagonal, and 0 elsewhere.

    offset: 1 for the diagonal above the main one; matrices are larger by as many rows and columns.
    """
    x, by = as_tensor(x), whole_number(offset, "offset")
    if not x.rank:
        raise ShapeError(f"diag_embed takes numbers [..., n], not {x!r}")
    x = padded(x, x.rank - 1, max(by, 0), max(-by, 0), "constant", 0, None)
    *before, size = x.type.shape
    return where(equal(*_places((size, size), by)), build("reshape", x, shape=(*before, 1, size)), like(0, x))


@api
def outer(a: Any, b: Any) -> Tensor:
    """Products of all entries of a with all entries of b, [size of a, size of b], as ``numpy.outer``."""
    a, b = pair(a, b)
    sizes = (product(a.type.shape), product(b.type.shape))
    return build("reshape", a, shape=(sizes[0], 1)) * build("reshape", b, shape=(1, sizes[1]))
