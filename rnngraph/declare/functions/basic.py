"""Elementwise functions, reductions, and changes of shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ...ir.types import FLOATS, INTEGERS, Dim, quotient
from ...support.api_guard import api
from ...support.arguments import entries, flag, whole_number
from ...support.errors import DtypeError, ShapeError, shown
from ..public_types import check_dtype
from ..tensor import Tensor, as_tensor, binary, build, constant, like, pair
from .extremes import clip as clip
from .extremes import maximum as maximum
from .extremes import minimum as minimum
from .extremes import straight_through as straight_through
from .matching import checked_constants, matrix_product, remaining_size, size_argument

Axis = int | Sequence[int] | None
Function = TypeVar("Function", bound=Callable[..., Tensor])


def _with_docstring(function: Function, name: str, text: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return api(function)


def _unary(op: str, text: str, name: str = "") -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return build(op, as_tensor(x))

    return _with_docstring(function, name or op, text)


tanh = _unary("tanh", "Return the hyperbolic tangent, elementwise.")
sigmoid = _unary("sigmoid", "Return 1 / (1 + exp(-x)), elementwise.")
exp = _unary("exp", "Return e to the power of x, elementwise.")
expm1 = _unary("expm1", "Return exp(x) - 1, elementwise, accurate near 0.")
log = _unary("log", "Return the natural logarithm, elementwise: -inf for 0, and NaN for negative numbers.")
log1p = _unary("log1p", "Return log(1 + x), elementwise, accurate near 0.")
sqrt = _unary("sqrt", "Return the square root, elementwise.")
sin = _unary("sin", "Return the sine of angles in radians, elementwise.")
cos = _unary("cos", "Return the cosine of angles in radians, elementwise.")
atan = _unary("atan", "Return the arc tangent in radians, elementwise.")
erf = _unary("erf", "Return the error function, elementwise.")
sign = _unary("sign", "Return -1, 0 or 1 by the sign of x, elementwise. NaN stays NaN.")
stop_gradient = _unary("stop_gradient", "Return x, through which no gradient passes.")
logical_not = _unary("not", "Return not x, elementwise, for bool tensors.", "logical_not")


@api
def abs(x: Any) -> Tensor:  # the field's name, as in numpy.abs
    """Return the absolute value, elementwise."""
    return build("abs", as_tensor(x))


@api
def square(x: Any) -> Tensor:
    """Return x * x, elementwise."""
    x = as_tensor(x)
    return x * x


@api
def identity(x: Any) -> Tensor:
    """Return x."""
    return as_tensor(x)


def _binary(op: str, text: str, name: str = "") -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        return binary(op, a, b)

    return _with_docstring(function, name or op, text)


logical_and = _binary("and", "Return a and b, elementwise, for bool tensors.", "logical_and")
logical_or = _binary("or", "Return a or b, elementwise, for bool tensors.", "logical_or")


@api
def equal(a: Any, b: Any) -> Tensor:
    """Return a == b, elementwise, as bool."""
    a, b = pair(a, b)
    return logical_not(logical_xor(a, b)) if a.dtype == b.dtype == "bool" else build("equal", a, b)


@api
def not_equal(a: Any, b: Any) -> Tensor:
    """Return a != b, elementwise, as bool."""
    a, b = pair(a, b)
    return logical_xor(a, b) if a.dtype == b.dtype == "bool" else build("not_equal", a, b)


@api
def logical_xor(a: Any, b: Any) -> Tensor:
    """Return True where exactly one of two bool tensors is True, elementwise."""
    a, b = pair(a, b)
    return logical_and(logical_or(a, b), logical_not(logical_and(a, b)))


@api
def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """Select a where ``condition`` is True, else b. NaN or infinity in the operand not selected has no effect."""
    if not isinstance(a, Tensor):
        a = like(a, b) if isinstance(b, Tensor) else constant(a)
    return build("select", condition, a, like(b, a))


def known_by(x: Tensor, value: Tensor) -> Tensor:
    """Return ``value``, which was computed from sizes of x, as the result of an op that reads x.

    The graph then keeps the inputs of x, so that a call knows its sizes, even if nothing else reads x.
    """
    read = build("stop_gradient", x) if x.dtype in FLOATS else x
    return build("select", constant(False), cast(read, value.dtype), value)


def filled_like(x: Tensor, value: float, dtype: str | None = None) -> Tensor:
    """Return a Tensor of the shape of x, filled with ``value``. ``dtype`` None is x's dtype."""
    return known_by(x, build("broadcast", constant(value, dtype or x.dtype), shape=x.type.shape))


@api
def cast(x: Any, dtype: Any) -> Tensor:
    """Convert x to another dtype. Floats are truncated towards 0 when they become integers."""
    x, dtype = as_tensor(x), check_dtype(dtype)
    return x if x.dtype == dtype else build("cast", x, dtype=dtype)


# Reductions -----------------------------------------------------------------------------------------


def axes_of(x: Tensor, axis: Axis) -> tuple[int, ...]:
    """Return the axes of x that ``axis`` names, as sorted, distinct, non-negative indices. None names all axes."""
    if axis is None:
        return tuple(range(x.rank))
    axes = [axis] if isinstance(axis, int | np.integer) else entries(axis, f"axis of a tensor of rank {x.rank}")
    return tuple(sorted({one_axis(x.rank, entry) for entry in axes}))


def one_axis(rank: int, axis: int) -> int:
    """Return an axis as a non-negative index. Raise ``ShapeError`` if the tensor has no such axis."""
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool) or not -rank <= axis < rank:
        order = "; give the Tensors first, and the axis last" if isinstance(axis, Tensor | list | tuple) else ""
        remedy = order or f"; give an axis from {-rank} to {rank - 1}" * (rank > 0)
        raise ShapeError(f"axis {shown(axis)} does not exist in a tensor of rank {rank}{remedy}")
    return int(axis) % rank


def _reduction(op: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    axes = axes_of(x, axis)
    return build(op, x, axes=axes, keepdims=flag(keepdims, "keepdims")) if axes else x


@api
def reduce_sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the sum over ``axis``: an int, several, or None for all. ``keepdims`` keeps these axes with size 1."""
    return _reduction("reduce_sum", x, axis, keepdims)


@api
def reduce_max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over ``axis``; NaN if an entry is NaN. Without entries it is -inf, or the lowest int."""
    return _reduction("reduce_max", x, axis, keepdims)


@api
def reduce_min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the minimum over ``axis``; NaN if an entry is NaN. Without entries it is inf, or the largest int."""
    return _reduction("reduce_min", x, axis, keepdims)


def dimension(size: Dim, dtype: str) -> Tensor:
    """Return a size as a scalar Tensor. A symbolic size has its value only at run time."""
    if isinstance(size, int):
        return constant(size, dtype=dtype)
    return cast(build("dimension", size=size), dtype)


@api
def reduce_mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the mean over ``axis`` of floats; NaN without entries. ``keepdims`` is as for ``reduce_sum``."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"reduce_mean needs floats, not {x.dtype}; convert with rg.cast first")
    count: Dim = 1
    for position in axes_of(x, axis):
        count = count * x.type.shape[position]
    return reduce_sum(x, axis, keepdims) / dimension(count, x.dtype)


@api
def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Return the index (int64) of the maximum along ``axis``: the first of equal entries, or the first NaN.

    ``keepdims`` keeps the axis with a length of 1. ``ShapeError`` is raised if the axis has no entries.
    """
    return _index_of_extreme(reduce_max, x, axis, keepdims, "argmax")


@api
def argmin(x: Any, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Return the index (int64) of the minimum along ``axis``. Ties, NaN and ``keepdims`` are as for ``argmax``."""
    return _index_of_extreme(reduce_min, x, axis, keepdims, "argmin")


def _index_of_extreme(extreme: Callable[..., Tensor], x: Any, axis: int, keepdims: bool, name: str) -> Tensor:
    """Return the index of the first entry along ``axis`` that equals the result of ``extreme``, or of the first NaN."""
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    size, other_dims = x.type.shape[position], (*x.type.shape[:position], *x.type.shape[position + 1 :])
    if size == 0 and 0 not in other_dims:
        raise ShapeError(f"{name}: axis {position} of {x!r} has no entries; it needs at least one")
    hit = equal(x, extreme(x, position, keepdims=True))
    if x.dtype in FLOATS:
        hit = logical_or(hit, not_equal(x, x))
    entries = where(hit, places_along(x, position), np.int64(2**63 - 1))
    attributes: dict[str, Any] = {} if isinstance(size, int) else {"nonempty": True}
    return build("reduce_min", entries, axes=(position,), keepdims=flag(keepdims, "keepdims"), **attributes)


def places_along(x: Tensor, position: int) -> Tensor:
    """Return the indices 0, 1, … of an axis of x (int64), in a shape that broadcasts with x."""
    return index_range(x.type.shape[position], x.rank - 1 - position)


def index_range(size: Dim, trailing: int) -> Tensor:
    """Return the indices 0, 1, …, size - 1 (int64) as a Tensor [size, 1, …, 1] with ``trailing`` ones."""
    index = build("iota", size=size)
    return build("reshape", index, shape=(size, *(1,) * trailing)) if trailing else index


@api
def concat(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Join tensors along an existing ``axis``. Sizes along the other axes must be equal."""
    if isinstance(tensors, int):
        raise DtypeError(f"concat needs Tensors first; write rg.concat([a, b], {tensors})")
    items = [as_tensor(item) for item in entries(tensors, "tensors")]
    if not items:
        raise ShapeError("concat needs at least one Tensor; got an empty list")
    return items[0] if len(items) == 1 else build("concat", *items, axis=one_axis(items[0].rank, axis))


@api
def split(x: Any, parts: int | Sequence[int], axis: int = -1) -> list[Tensor]:
    """Cut x along ``axis`` into ``parts`` equal pieces, or into pieces of the sizes in the list ``parts``.

    Raises:
        ShapeError: The pieces do not add up to the size of the axis, or a symbolic size is no multiple of ``parts``.
    """
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    total = x.type.shape[position]
    if isinstance(parts, int | np.integer):
        count = whole_number(parts, "parts", 1)
        if not isinstance(total, int):
            return _equal_parts(x, count, position)
        sizes = [total // count] * count
    else:
        sizes = [whole_number(part, "a part", 0) for part in entries(parts, "parts")]
    if not isinstance(total, int):
        raise ShapeError(f"can't split an axis of symbolic size into {shown(parts)}; use slices")
    if sum(sizes) != total:
        raise ShapeError(f"cannot split an axis of size {total} into {shown(parts)}; give sizes that add up to {total}")
    index: list[Any] = [slice(None)] * x.rank
    pieces, start = [], 0
    for width in sizes:
        index[position] = slice(start, start + width)
        pieces.append(x[tuple(index)])
        start += width
    return pieces


@api
def expand_dims(x: Any, axis: int) -> Tensor:
    """Insert an axis of length 1, which is axis ``axis`` of the result."""
    x = as_tensor(x)
    position = one_axis(x.rank + 1, axis)
    shape = x.type.shape
    return build("reshape", x, shape=(*shape[:position], 1, *shape[position:]))


@api
def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """Remove the axes ``axis`` of size 1; None: all that are declared with 1. Each call checks symbolic sizes."""
    x = as_tensor(x)
    axes = [a for a, dim in enumerate(x.type.shape) if dim == 1] if axis is None else axes_of(x, axis)
    for position in axes:
        if isinstance(dim := x.type.shape[position], int) and dim != 1:
            raise ShapeError(f"can't squeeze axis {position} of {x!r}: its size is not 1; select an entry by x[..., 0]")
    ones = tuple(1 if a in axes else dim for a, dim in enumerate(x.type.shape))
    x = x if ones == x.type.shape else build("ensure_shape", x, shape=ones)
    return build("reshape", x, shape=tuple(dim for a, dim in enumerate(x.type.shape) if a not in axes))


@api
def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new ``axis``."""
    return concat([expand_dims(item, axis) for item in entries(tensors, "tensors")], axis)


def _equal_parts(x: Tensor, count: int, position: int) -> list[Tensor]:
    """Cut x into equal pieces along an axis whose symbolic size is a multiple of ``count``."""
    shape = x.type.shape
    piece = quotient(shape[position], count)
    if piece is None:
        what = f"can't split axis {position} of {x!r} into {count} equal pieces: its size is known only at run time"
        raise ShapeError(f"{what}; declare the axis as an int, or give the sizes of the pieces")
    separated = build("reshape", x, shape=(*shape[:position], count, piece, *shape[position + 1 :]))
    before = (slice(None),) * position
    return [separated[(*before, part)] for part in range(count)]


@api
def reshape(x: Any, shape: Sequence[int | str | None]) -> Tensor:
    """Return x in another shape. Each call checks symbolic sizes.

    Args:
        x: Tensor.
        shape: New sizes. One may be -1, which is inferred. None is x's size at that position. A str is a named size.

    Raises:
        ShapeError: x has another number of entries than the new shape, or the shape has more than one -1.
    """
    x = as_tensor(x)
    dims: list[Dim] = []
    for axis, entry in enumerate(entries(shape, "the shape")):
        if entry is None:
            if axis >= x.rank:
                raise ShapeError(f"reshape: None keeps axis {axis}, which {x!r} does not have; write its size")
            dims.append(x.type.shape[axis])
        else:
            dims.append(-1 if isinstance(entry, int | np.integer) and entry == -1 else size_argument(entry, "reshape"))
    if dims.count(-1) > 1:
        raise ShapeError("reshape: the shape has more than one -1; write the other sizes, or None to keep them")
    if -1 in dims:
        dims[dims.index(-1)] = remaining_size(x, [dim for dim in dims if dim != -1])
    return build("reshape", x, shape=tuple(dims))


@api
def broadcast_to(x: Any, shape: Sequence[int | str | None]) -> Tensor:
    """Broadcast x to a shape, aligned from the right as in NumPy.

    Args:
        x: Tensor.
        shape: New sizes. None is the size of x's axis at that place. A str is a named size of a placeholder.
    """
    x, wanted = as_tensor(x), entries(shape, "the shape")
    offset = len(wanted) - x.rank
    dims: list[Dim] = []
    for axis, entry in enumerate(wanted):
        if entry is None and axis >= offset >= 0:
            dims.append(x.type.shape[axis - offset])
        else:
            dims.append(size_argument(entry, "broadcast_to"))
    return build("broadcast", x, shape=tuple(dims))


@api
def transpose(x: Any, perm: Sequence[int] | None = None) -> Tensor:
    """Permute the axes of x to the order ``perm``, by default reversed."""
    x = as_tensor(x)
    axes = reversed(range(x.rank)) if perm is None else entries(perm, "perm")
    return build("transpose", x, order=tuple(one_axis(x.rank, axis) for axis in axes))


@api
def gather(table: Any, indices: Any, axis: int = 0, negative: bool = True) -> Tensor:
    """Look up entries along an axis by index, as ``numpy.take`` does.

    Args:
        table: Tensor.
        indices: ints of any shape. Fed indices must be in ``0..n-1`` for an axis of ``n`` entries, as must indices that
            only sizes determine, such as ``positions(x)``. Each call checks them. Other computed indices are clamped.
        axis: Axis of ``table``.
        negative: Count negative constants from the end. For other negative indices, apply ``axis_indices`` first.

    Returns:
        Tensor in which the axes of ``indices`` replace ``axis``.

    Raises:
        ShapeError: A constant index is out of bounds for an axis of fixed size.
    """
    table, index = as_tensor(table), as_tensor(indices)
    if not table.rank:
        return build("gather", table, index)
    place = one_axis(table.rank, axis)
    index = checked_constants(index, table.type.shape[place], place, flag(negative, "negative"), "gather")
    if not place:
        return build("gather", table, index)
    order = (place, *(other for other in range(table.rank) if other != place))
    rows, many = build("gather", transpose(table, order), index), index.rank
    return transpose(rows, (*range(many, many + place), *range(many), *range(many + place, rows.rank)))


@api
def one_hot(
    indices: Any, depth: int, dtype: Any = "float32", axis: int = -1, on_value: Any = 1, off_value: Any = 0
) -> Tensor:
    """Return vectors along a new axis, with ``on_value`` at each index and ``off_value`` elsewhere.

    Args:
        indices: ints of any shape. For an index outside 0..depth - 1, all entries are ``off_value``.
        depth: Size of the new axis.
        dtype: Dtype of the result.
        axis: Position of the new axis in the result.
        on_value: A number, or a scalar Tensor of ``dtype``.
        off_value: A number, or a scalar Tensor of ``dtype``.
    """
    index, kind = as_tensor(indices), check_dtype(dtype)
    if index.dtype not in INTEGERS:
        raise DtypeError(f"one_hot needs ints, not {index!r}; convert with rg.cast")
    place = one_axis(index.rank + 1, axis)
    hit = equal(
        expand_dims(cast(index, "int64"), place), index_range(whole_number(depth, "depth", 1), index.rank - place)
    )
    if isinstance(on_value, Tensor) or isinstance(off_value, Tensor) or (on_value, off_value) != (1, 0):
        on, off = (x if isinstance(x, Tensor) else constant(x, kind) for x in (on_value, off_value))
        return where(hit, on, off)
    return cast(hit, kind)


@api
def greater(a: Any, b: Any) -> Tensor:
    """Return a > b, elementwise, as bool."""
    return binary("less", b, a)


@api
def less(a: Any, b: Any) -> Tensor:
    """Return a < b, elementwise, as bool."""
    return binary("less", a, b)


@api
def matmul(a: Any, b: Any) -> Tensor:
    """Return the matrix product, as ``numpy.matmul`` does.

    Args:
        a: Tensor [..., M, K], or a vector [K].
        b: Tensor [..., K, N], or a vector [K]. Leading axes of a and b broadcast.
    """
    return matrix_product(as_tensor(a), as_tensor(b))
