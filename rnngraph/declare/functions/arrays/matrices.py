"""Functions of matrices: triangles, diagonals, outer products, triangular systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.types import Dim, product
from ....support.api_guard import api
from ....support.arguments import flag, whole_number
from ....support.errors import ShapeError
from ...tensor import Tensor, as_tensor, build, floats, like, pair
from ..basic import cast, concat, equal, expand_dims, reduce_sum, where
from ..matching import matrix_product
from ..padding import padded, slice_axis
from ..statistics import selected
from .moves import moved_order


@api
def tril(x: Any, k: int = 0) -> Tensor:
    """Return the lower triangle of matrices, and 0 above it, as ``numpy.tril`` does.

    Args:
        x: Tensor [..., rows, columns].
        k: Diagonal that bounds the triangle: 0 is the main one, 1 the next above, -1 the next below.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    return _triangle(x, k, "tril", True)


@api
def triu(x: Any, k: int = 0) -> Tensor:
    """Return the upper triangle of matrices, and 0 below it, as ``numpy.triu`` does.

    Args:
        x: Tensor [..., rows, columns].
        k: Diagonal that bounds the triangle: 0 is the main one, 1 the next above, -1 the next below.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    return _triangle(x, k, "triu", False)


def _triangle(x: Any, k: int, name: str, is_lower: bool) -> Tensor:
    x = _matrices(x, name)
    rows, columns = _row_and_column_indices(x.type.shape, whole_number(k, "k"))
    return where(build("less_equal", *((columns, rows) if is_lower else (rows, columns))), x, like(0, x))


def _matrices(x: Any, name: str) -> Tensor:
    """Convert x to a Tensor, and raise ``ShapeError`` if it has fewer than two axes. ``name`` names the function."""
    x = as_tensor(x)
    if x.rank < 2:
        raise ShapeError(f"{name} needs matrices [..., rows, columns], not {x!r}")
    return x


def _row_and_column_indices(shape: Sequence[Dim], offset: int) -> tuple[Tensor, Tensor]:
    """Return the column of the diagonal in each row, [rows, 1], and all column indices, [columns]."""
    rows, columns = shape[-2:]
    place = build("reshape", build("iota", size=rows), shape=(rows, 1))
    return (place + offset if offset else place), build("iota", size=columns)


def _on_diagonal(x: Tensor, offset: int) -> Tensor:
    """Return x with 0 everywhere except on a diagonal of the last two axes."""
    return where(equal(*_row_and_column_indices(x.type.shape, offset)), x, like(0, x))


@api
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return a diagonal of matrices as the last axis of the result, as ``numpy.diagonal`` does.

    Args:
        x: Tensor of rank 2 or more. Matrices whose size is symbolic must be square.
        offset: 0 for the main diagonal, 1 for the next above it, -1 for the next below.
        axis1: Axis of the rows.
        axis2: Axis of the columns.

    Raises:
        ShapeError: x has fewer than two axes, or a symbolic matrix is not square.
    """
    x, shift = _matrix_axes_last(x, axis1, axis2, "diagonal"), whole_number(offset, "offset")
    kind = x.dtype
    rows, columns = x.type.shape[-2:]
    start, stop = _ends(rows, columns, shift)
    numbers = cast(x, "int32") if kind == "bool" else x
    entries = selected(equal(*_row_and_column_indices(x.type.shape, shift)), numbers, -1)
    return cast(slice_axis(entries, x.rank - 2, start, stop, None), kind)


def _ends(rows: Dim, columns: Dim, offset: int) -> tuple[Dim, Dim]:
    """Return the range of rows that a diagonal crosses: its first row, and the row after its last."""
    start = max(0, -offset)
    if isinstance(rows, int) and isinstance(columns, int):
        return min(start, rows), max(min(rows, columns - offset), min(start, rows))
    if rows != columns:
        raise ShapeError(
            f"diagonal: the matrices are {rows} x {columns}, and matrices of symbolic size must be square; "
            "declare the number of rows and columns as ints"
        )
    return start, rows - max(0, offset)


@api
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sum of a diagonal of matrices, as ``numpy.trace`` does.

    Args:
        x: Tensor of rank 2 or more.
        offset: 0 for the main diagonal, 1 for the next above it, -1 for the next below.
        axis1: Axis of the rows.
        axis2: Axis of the columns.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    return reduce_sum(
        _on_diagonal(_matrix_axes_last(x, axis1, axis2, "trace"), whole_number(offset, "offset")), (-2, -1)
    )


def _matrix_axes_last(x: Any, axis1: int, axis2: int, name: str) -> Tensor:
    """Move the axes of rows (``axis1``) and columns (``axis2``) to the end. ``name`` names the function in errors."""
    x = _matrices(x, name)
    order = moved_order(x.rank, (axis1, axis2), (-2, -1))
    return x if order == tuple(range(x.rank)) else build("transpose", x, order=order)


@api
def diag_embed(x: Any, offset: int = 0) -> Tensor:
    """Return square matrices with x on a diagonal, and 0 elsewhere.

    Args:
        x: Tensor [..., n].
        offset: 0 for the main diagonal, 1 for the next above it, -1 for the next below.

    Returns:
        Tensor [..., n + |offset|, n + |offset|].

    Raises:
        ShapeError: x is a scalar.
    """
    x, shift = as_tensor(x), whole_number(offset, "offset")
    if not x.rank:
        raise ShapeError(f"diag_embed needs a Tensor [..., n], not the scalar {x!r}")
    x = padded(x, x.rank - 1, max(shift, 0), max(-shift, 0), "constant", 0, None)
    *before, size = x.type.shape
    return where(
        equal(*_row_and_column_indices((size, size), shift)), build("reshape", x, shape=(*before, 1, size)), like(0, x)
    )


@api
def outer(a: Any, b: Any) -> Tensor:
    """Return the products of all entries of a with all entries of b, as ``numpy.outer`` does.

    The result has one row for each entry of a, and one column for each entry of b.
    """
    a, b = pair(a, b)
    sizes = (product(a.type.shape), product(b.type.shape))
    return build("reshape", a, shape=(sizes[0], 1)) * build("reshape", b, shape=(1, sizes[1]))


MAX_SOLVED = 512
"""Maximum size n of matrices [n, n] in ``triangular_solve``, whose substitution is unrolled."""


@api
def triangular_solve(a: Any, b: Any, lower: bool = True) -> Tensor:
    """Return the solution x of ``a @ x = b`` for triangular matrices, as ``scipy.linalg.solve_triangular`` does.

    Substitution by halves: one half of the rows is solved, and its product is subtracted from the other half. Only the
    triangle of ``a`` is read. Gradients reach the triangle and ``b``. A zero on the diagonal gives infinities or NaN.

    Args:
        a: Floats [..., n, n], n an int up to 512.
        b: Floats [..., n, columns], or vectors [..., n] with one axis less than ``a``.
        lower: True for a lower triangle, False for an upper one.

    Raises:
        ShapeError: ``a`` is not square or too large, or ``b`` has another number of rows.
    """
    a, b = _matrices(floats(a, "triangular_solve"), "triangular_solve"), floats(b, "triangular_solve")
    rows, columns = a.type.shape[-2:]
    if not isinstance(rows, int) or rows != columns or not 0 < rows <= MAX_SOLVED:
        raise ShapeError(f"triangular_solve needs square matrices [..., n, n] with n up to {MAX_SOLVED}, not {a!r}")
    is_vector = b.rank == a.rank - 1
    right = expand_dims(b, -1) if is_vector else b
    if right.rank < 2 or right.type.shape[-2] != rows:
        raise ShapeError(f"triangular_solve of {a!r} needs b [..., {rows}, columns] or [..., {rows}], not {b!r}")
    solved = _substituted(a, right, flag(lower, "lower"))
    return build("reshape", solved, shape=solved.type.shape[:-1]) if is_vector else solved


def _substituted(a: Tensor, b: Tensor, lower: bool) -> Tensor:
    """Solve a triangular system by halves: solve one half of the rows, and eliminate it from the other."""
    size = a.width
    if size == 1:
        return b / a
    half = size // 2
    first, other = slice(0, half), slice(half, size)
    if not lower:
        first, other = other, first
    solved = _substituted(a[..., first, first], b[..., first, :], lower)
    rest = b[..., other, :] - matrix_product(a[..., other, first], solved)
    following = _substituted(a[..., other, other], rest, lower)
    return concat([solved, following] if lower else [following, solved], -2)
