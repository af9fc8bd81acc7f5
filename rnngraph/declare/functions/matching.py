"""Tensors whose shapes must match: labels and predictions, which are never repeated; rows; matrices of a product."""

from __future__ import annotations

from typing import Any

from ...ir.type_rules import broadcast_shapes
from ...ir.types import INTEGERS, Dim, Shape, meet_declared
from ...support.errors import DtypeError, ShapeError
from ..public_types import public_type
from ..tensor import UFUNCS, Tensor, as_tensor, build, like, pair


def compared(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    """Both as Tensors of one shape; a number, or a scalar, goes with all entries of the other.

    Raises ``ShapeError`` where one would be repeated for the other, here or, as far as sizes are open, at a call.
    """
    predictions = like(predictions, labels) if isinstance(labels, Tensor) else as_tensor(predictions)
    labels = like(labels, predictions)
    if not labels.rank or not predictions.rank:
        return labels, predictions
    check_same_shape(labels, predictions)
    labels = _fitted(labels, predictions.type.shape)
    return labels, _fitted(predictions, labels.type.shape)


def check_same_shape(labels: Tensor, predictions: Tensor) -> None:
    """Raises ``ShapeError`` where declared sizes differ."""
    if not _may_be_one(labels.type.shape, predictions.type.shape):
        raise ShapeError(
            f"labels {labels!r} and predictions {predictions!r} must have one shape, as neither is repeated for the "
            "other; write rg.expand_dims or rg.reshape for one of them"
        )


def class_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels [...] of logits [..., classes], as the former are compared with the latter."""
    want = logits.type.shape[:-1]
    if not _may_be_one(labels.type.shape, want):
        raise ShapeError(
            f"labels {labels!r} must have the shape of logits {logits!r} but for the last axis, one axis less; write "
            "rg.squeeze or rg.reshape for one of them"
        )
    return _fitted(labels, want)


def lengths_of_rows(lengths: Any, rows: Dim, what: str) -> Tensor:
    """Lengths as int64 [rows]. what: names them in an error."""
    found = as_tensor(lengths)
    if found.dtype not in INTEGERS or found.rank != 1:
        raise DtypeError(f"{what} must be ints of shape [batch], not {found!r}")
    return of_rows(found if found.dtype == "int64" else build("cast", found, dtype="int64"), rows, what)


def of_rows(x: Tensor, rows: Dim, what: str) -> Tensor:
    """x, whose first axis numbers so many rows. what: names it in an error."""
    first, *rest = x.type.shape
    if _differ(first, rows):
        raise ShapeError(f"{what} {x!r} must have one entry for each of {rows} rows")
    return _fitted(x, (rows, *rest))


def _may_be_one(have: Shape, want: Shape) -> bool:
    """Whether shapes are one, as far as their sizes are known."""
    return len(have) == len(want) and not any(map(_differ, have, want))


def _differ(a: Dim, b: Dim) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _fitted(x: Tensor, other: Shape) -> Tensor:
    """x, of which a call finds that an axis of 1 meets no other size, and an open one no 1."""
    shape = tuple(want if (have == 1) != (want == 1) else have for have, want in zip(x.type.shape, other, strict=True))
    return x if shape == x.type.shape else build("ensure_shape", x, shape=shape)


# Products of matrices -----------------------------------------------------------------------------------


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product. Leading axes are aligned as ``numpy.matmul`` does: those of 1 are repeated, as are those that
    one side lacks.
    """
    rows, columns = a.type.shape, b.type.shape
    if len(columns) <= 2 or not rows:
        return build("matmul", a, b)
    if len(rows) >= len(columns) and all(dim == 1 for dim in columns[:-2]):
        return build("matmul", a, build("reshape", b, shape=columns[-2:]))
    try:
        leading = broadcast_shapes([rows[:-2], columns[:-2]], meet_declared)
    except ValueError as error:
        kinds = f"{public_type(a.type)} and {public_type(b.type)}"
        raise ShapeError(f"matmul of {kinds}: their leading axes must be equal or 1, and {error}") from None
    if len(rows) == 1:
        row = _repeated(build("reshape", a, shape=(1, *rows)), leading)
        return build("reshape", build("matmul", row, b), shape=(*leading, columns[-1]))
    return build("matmul", _repeated(a, leading), _repeated(b, leading))


def _repeated(x: Tensor, leading: tuple[Dim, ...]) -> Tensor:
    """Matrices, repeated along leading axes that are 1 or missing."""
    shape = x.type.shape
    have = shape[:-2]
    if len(have) == len(leading) and all(dim != 1 or to == 1 for dim, to in zip(have, leading, strict=True)):
        return x
    return build("broadcast", x, shape=(*leading, *shape[-2:]))


UFUNCS["matmul"] = lambda a, b: matrix_product(*pair(a, b))
