"""Checks of shapes that must match without broadcasting, and the matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.type_rules import broadcast_shapes
from ...ir.types import INTEGERS, Dim, Shape, Size, dim_text, product, uncommon, unify_declared, whole_quotient
from ...ir.types import size as named_size
from ...support.errors import DtypeError, ShapeError
from ..public_types import public_type
from ..tensor import UFUNCS, Tensor, as_tensor, build, constant, like, pair


def compared(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    """Convert labels and predictions to Tensors, and check that their shapes are equal. A scalar fits any shape.

    Raises:
        ShapeError: The shapes differ. For symbolic sizes, each call checks this.
    """
    predictions = like(predictions, labels) if isinstance(labels, Tensor) else as_tensor(predictions)
    labels = like(labels, predictions)
    if not labels.rank or not predictions.rank:
        return labels, predictions
    check_same_shape(labels, predictions)
    labels = _check_sizes(labels, predictions.type.shape)
    return labels, _check_sizes(predictions, labels.type.shape)


def check_same_shape(labels: Tensor, predictions: Tensor) -> None:
    """Raise ``ShapeError`` if ranks or fixed sizes of labels and predictions differ."""
    if not _may_be_equal(labels.type.shape, predictions.type.shape):
        raise ShapeError(
            f"labels {labels!r} and predictions {predictions!r} must have the same shape, because losses do not "
            "broadcast; apply rg.expand_dims or rg.reshape to one of them"
        )


def class_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Return labels [...], after a check that their shape is that of logits [..., classes] without the classes."""
    want = logits.type.shape[:-1]
    if not _may_be_equal(labels.type.shape, want):
        raise ShapeError(
            f"labels {labels!r} must have the shape of logits {logits!r} without the last axis; apply rg.squeeze or "
            "rg.reshape to one of them"
        )
    return _check_sizes(labels, want)


def lengths_of_rows(lengths: Any, rows: Dim, what: str) -> Tensor:
    """Convert the lengths of ``rows`` rows to int64 [rows], and check their shape. ``what`` names them in errors."""
    lengths_ = as_tensor(lengths)
    if lengths_.dtype not in INTEGERS or lengths_.rank != 1:
        raise DtypeError(f"{what} must be ints of shape [batch], not {lengths_!r}")
    return of_rows(lengths_ if lengths_.dtype == "int64" else build("cast", lengths_, dtype="int64"), rows, what)


def is_within(steps: Dim, lengths: Tensor, **checks: Any) -> Tensor:
    """Return a mask [..., steps] that is True where the number of a step is below the row's length.

    Args:
        steps: Number of steps.
        lengths: Length of each row, int64 [..., 1].
        **checks: ``within="lengths"`` makes each call check fed lengths.
    """
    return build("less", build("iota", size=steps), lengths, **checks)


def of_rows(x: Tensor, rows: Dim, what: str) -> Tensor:
    """Return x, after a check that its first axis has ``rows`` entries. ``what`` names x in errors."""
    first, *rest = x.type.shape
    if _differ(first, rows):
        raise ShapeError(f"{what} {x!r} must have one entry for each of {rows} rows; check the batch size")
    return _check_sizes(x, (rows, *rest))


def _may_be_equal(have: Shape, want: Shape) -> bool:
    """True if two shapes may be equal at run time."""
    return len(have) == len(want) and not any(map(_differ, have, want))


def _differ(a: Dim, b: Dim) -> bool:
    """True if two sizes are fixed and not equal."""
    return isinstance(a, int) and isinstance(b, int) and a != b


def _check_sizes(x: Tensor, other: Shape) -> Tensor:
    """Return x, with a check at each call of axes where x or ``other``, but not both, has a declared size of 1.

    Such axes would broadcast. For other axes, ops that combine both Tensors require equal sizes.
    """
    shape = tuple(want if (have == 1) != (want == 1) else have for have, want in zip(x.type.shape, other, strict=True))
    return x if shape == x.type.shape else build("ensure_shape", x, shape=shape)


# Indices ---------------------------------------------------------------------------------------------


def checked_constants(index: Tensor, size: Dim, axis: int, negative: bool, what: str) -> Tensor:
    """Return a constant index with negative entries counted from the end, after a check of its bounds.

    An index that is not constant is returned unchanged.

    Args:
        index: The index.
        size: Size of the axis.
        axis: The axis, for errors.
        negative: Count negative constants from the end.
        what: Name of the function, for errors.

    Raises:
        ShapeError: A constant is out of bounds.
    """
    if index.node.op != "constant" or index.dtype not in INTEGERS:
        return index
    places = np.asarray(index.node["value"])
    lowest = (-size if isinstance(size, int) else None) if negative else 0
    outside = np.zeros(places.shape, bool) if lowest is None else places < lowest
    outside = outside | (places >= size) if isinstance(size, int) else outside
    if outside.any():
        is_empty = isinstance(size, int) and not size
        bounds = f"give {lowest} to {size - 1}" if isinstance(size, int) else "give 0 or more"
        bounds = "index an axis that has entries" if is_empty else bounds
        entries_ = f"axis {axis} of {size} entries" if isinstance(size, int) else f"axis {axis}"
        raise ShapeError(f"{what}: index {places[outside].flat[0]} is out of bounds for {entries_}; {bounds}")
    if not (places < 0).any():
        return index
    if isinstance(size, int):
        return constant(np.where(places < 0, places + size, places), index.dtype)
    from_end = index + build("cast", build("dimension", size=size), dtype=index.dtype)
    return build("select", constant(places < 0), from_end, index)


# Shapes that users write -------------------------------------------------------------------------------


def size_argument(entry: Any, what: str) -> Dim:
    """Validate one entry of a shape that a user wrote, and return it as a size. ``what`` names the function."""
    if isinstance(entry, str) and entry.isidentifier() and not entry.startswith("_"):
        return named_size(entry)
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool) and entry >= 0:
        return int(entry)
    if isinstance(entry, Size):
        return entry
    ints = "an int, -1," if what == "reshape" else "an int,"
    raise ShapeError(f"{entry!r} is not a size for a {what}; use {ints} None or the name of a size")


def remaining_size(x: Tensor, others: list[Dim]) -> Dim:
    """Return the size for -1 in a reshape: the number of elements of x divided by the other sizes."""
    elements, divisor = map(product, uncommon(x.type.shape, others))
    result = whole_quotient(elements, divisor)
    if result is None:
        raise ShapeError(
            f"can't infer the size for -1 in a reshape of {x!r}: {dim_text(elements)} is not divisible by "
            f"{dim_text(divisor)}; declare fixed sizes as ints"
        )
    return result


# Products of matrices -----------------------------------------------------------------------------------


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product, with leading axes broadcast as by ``numpy.matmul``."""
    rows, columns = a.type.shape, b.type.shape
    if len(columns) == 1 and rows:
        return _row_products(a, b)
    if len(columns) <= 2 or not rows:
        return build("matmul", a, b)
    if len(rows) >= len(columns) and all(dim == 1 for dim in columns[:-2]):
        return build("matmul", a, build("reshape", b, shape=columns[-2:]))
    try:
        leading = broadcast_shapes([rows[:-2], columns[:-2]], unify_declared)
    except ValueError as error:
        kinds = f"{public_type(a.type)} and {public_type(b.type)}"
        raise ShapeError(f"matmul of {kinds}: their leading axes must be equal or 1 ({error})") from None
    if len(rows) == 1:
        row = _broadcast_matrices(build("reshape", a, shape=(1, *rows)), leading)
        return build("reshape", build("matmul", row, b), shape=(*leading, columns[-1]))
    shared = columns if len(columns) == len(rows) else (1, *columns)
    if len(shared) == len(rows) > 3 and rows[-2] == 1 != rows[0] and shared[:-2] == (1, *rows[1:-2]):
        return _product_of_all_rows(a, b)
    return build("matmul", _broadcast_matrices(a, leading), _broadcast_matrices(b, leading))


def _product_of_all_rows(a: Tensor, b: Tensor) -> Tensor:
    """Multiply rows [B, ..., 1, K] by matrices [..., K, N], with one product of all B rows for each matrix."""
    (count, *leading, _, depth), columns = a.type.shape, b.type.shape[-1]
    last = len(leading)
    rows = build(
        "transpose", build("reshape", a, shape=(count, *leading, depth)), order=(*range(1, last + 1), 0, last + 1)
    )
    product_ = build("matmul", rows, build("reshape", b, shape=(*leading, depth, columns)))
    result = build("transpose", product_, order=(last, *range(last), last + 1))
    return build("reshape", result, shape=(count, *leading, 1, columns))


def _row_products(a: Tensor, b: Tensor) -> Tensor:
    """Return the dot products [...] of rows [..., K] and a vector [K]."""
    (have,), want = b.type.shape, a.type.shape[-1]
    if _differ(have, want):
        raise ShapeError(
            f"matmul of {public_type(a.type)} and {public_type(b.type)}: rows of {want} entries do not fit a "
            f"vector of {have}; both must be equal"
        )
    products = build("mul", _check_sizes(a, (*a.type.shape[:-1], have)), _check_sizes(b, (want,)))
    return build("reduce_sum", products, axes=(a.rank - 1,), keepdims=False)


def _broadcast_matrices(x: Tensor, leading: tuple[Dim, ...]) -> Tensor:
    """Broadcast the leading axes of matrices to ``leading``."""
    shape = x.type.shape
    have = shape[:-2]
    if len(have) == len(leading) and all(dim != 1 or to == 1 for dim, to in zip(have, leading, strict=True)):
        return x
    return build("broadcast", x, shape=(*leading, *shape[-2:]))


UFUNCS["matmul"] = lambda a, b: matrix_product(*pair(a, b))
