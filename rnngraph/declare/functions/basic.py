"""Functions of Tensors. Each builds nodes of the op table; none knows what it is used for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ...ir.types import FLOATS, INTEGERS, Dim, Size, dim_text, product, quotient, uncommon, whole_quotient
from ...ir.types import size as named_size
from ...support.api_guard import api
from ...support.arguments import entries, flag, whole_number
from ...support.errors import DtypeError, ShapeError, shown
from ..public_types import check_dtype
from ..tensor import Tensor, as_tensor, binary, build, constant, like, pair
from .matching import matrix_product

Axis = int | Sequence[int] | None
Function = TypeVar("Function", bound=Callable[..., Tensor])


def _named(function: Function, name: str, text: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return api(function)


def _unary(op: str, text: str, name: str = "") -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return build(op, as_tensor(x))

    return _named(function, name or op, text)


tanh = _unary("tanh", "Hyperbolic tangent, elementwise.")
sigmoid = _unary("sigmoid", "1 / (1 + exp(-x)), elementwise.")
exp = _unary("exp", "e to the x, elementwise.")
expm1 = _unary("expm1", "exp(x) - 1, accurate near 0, elementwise.")
log = _unary("log", "Natural logarithm, elementwise; of 0 it is -inf, of a negative number NaN.")
log1p = _unary("log1p", "log(1 + x), accurate near 0, elementwise.")
sqrt = _unary("sqrt", "Square root, elementwise.")
sin = _unary("sin", "Sine of radians, elementwise.")
cos = _unary("cos", "Cosine of radians, elementwise.")
atan = _unary("atan", "Arc tangent, in radians, elementwise.")
erf = _unary("erf", "The error function, elementwise.")
sign = _unary("sign", "-1, 0 or 1, elementwise.")
stop_gradient = _unary("stop_gradient", "x itself, through which no gradient passes.")
logical_not = _unary("not", "not x, elementwise, of bool tensors.", "logical_not")


@api
def abs(x: Any) -> Tensor:  # the field's name, as in numpy.abs
    """Absolute value, elementwise."""
    return build("abs", as_tensor(x))


@api
def square(x: Any) -> Tensor:
    """x * x."""
    x = as_tensor(x)
    return x * x


@api
def identity(x: Any) -> Tensor:
    """x itself."""
    return as_tensor(x)


def _binary(op: str, text: str, name: str = "") -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        return binary(op, a, b)

    return _named(function, name or op, text)


maximum = _binary("maximum", "The larger, elementwise; NaN where either is NaN.")
minimum = _binary("minimum", "The smaller, elementwise; NaN where either is NaN.")
logical_and = _binary("and", "a and b, elementwise, of bool tensors.", "logical_and")
logical_or = _binary("or", "a or b, elementwise, of bool tensors.", "logical_or")


@api
def equal(a: Any, b: Any) -> Tensor:
    """a == b, elementwise, as bool."""
    a, b = pair(a, b)
    return logical_not(logical_xor(a, b)) if a.dtype == b.dtype == "bool" else build("equal", a, b)


@api
def not_equal(a: Any, b: Any) -> Tensor:
    """a != b, elementwise, as bool."""
    a, b = pair(a, b)
    return logical_xor(a, b) if a.dtype == b.dtype == "bool" else build("not_equal", a, b)


@api
def logical_xor(a: Any, b: Any) -> Tensor:
    """True where exactly one of two bool tensors holds, elementwise."""
    a, b = pair(a, b)
    return logical_and(logical_or(a, b), logical_not(logical_and(a, b)))


@api
def clip(x: Any, low: Any, high: Any) -> Tensor:
    """x limited to [low, high]; NaN stays NaN. The gradient passes from low to high, at both limits too."""
    return minimum(high, maximum(low, as_tensor(x)))  # of equal operands the second one has the gradient


@api
def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """a where the condition holds, b elsewhere: a selection, so what is not chosen has no effect."""
    if not isinstance(a, Tensor):
        a = like(a, b) if isinstance(b, Tensor) else constant(a)
    return build("select", condition, a, like(b, a))


def known_by(x: Tensor, value: Tensor) -> Tensor:
    """``value``, which is made of sizes alone, as something of x's shape that is computed from x.

    x is read in name only: where nothing else reads what is fed, its sizes are still known by it.
    """
    read = build("stop_gradient", x) if x.dtype in FLOATS else x
    return build("select", constant(False), cast(read, value.dtype), value)


def filled_like(x: Tensor, value: float, dtype: str | None = None) -> Tensor:
    """``value`` in the shape of x."""
    return known_by(x, build("broadcast", constant(value, dtype or x.dtype), shape=x.type.shape))


@api
def cast(x: Any, dtype: Any) -> Tensor:
    """x in another dtype; floats to integers are cut off towards 0."""
    x, dtype = as_tensor(x), check_dtype(dtype)
    return x if x.dtype == dtype else build("cast", x, dtype=dtype)


# Reductions -----------------------------------------------------------------------------------------


def axes_of(x: Tensor, axis: Axis) -> tuple[int, ...]:
    """Axes from the front, in order, each once; None is all."""
    if axis is None:
        return tuple(range(x.rank))
    given = [axis] if isinstance(axis, int | np.integer) else entries(axis, f"axis of a tensor of rank {x.rank}")
    return tuple(sorted({one_axis(x.rank, entry) for entry in given}))


def one_axis(rank: int, axis: int) -> int:
    """A position from the front."""
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool) or not -rank <= axis < rank:
        order = "; Tensors stand first, and the axis last" if isinstance(axis, Tensor | list | tuple) else ""
        raise ShapeError(f"axis {shown(axis)} of a tensor of rank {rank}{order}")
    return int(axis) % rank


def _reduction(op: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    axes = axes_of(x, axis)
    return build(op, x, axes=axes, keepdims=flag(keepdims, "keepdims")) if axes else x


@api
def reduce_sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over ``axis``, an int, several, or None for all; ``keepdims`` leaves these axes there, with a length of 1."""
    return _reduction("reduce_sum", x, axis, keepdims)


@api
def reduce_max(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest over ``axis``, with ``keepdims`` as for ``reduce_sum``; NaN where one is NaN."""
    return _reduction("reduce_max", x, axis, keepdims)


@api
def reduce_min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest over ``axis``, with ``keepdims`` as for ``reduce_sum``; NaN where one is NaN."""
    return _reduction("reduce_min", x, axis, keepdims)


def dimension(size: Dim, dtype: str) -> Tensor:
    """A size as a scalar; where it is open, its value at run time."""
    if isinstance(size, int):
        return constant(size, dtype=dtype)
    return cast(build("dimension", size=size), dtype)


@api
def reduce_mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over ``axis``, with ``keepdims`` as for ``reduce_sum``."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"a mean of {x.dtype}; convert with rg.cast first")
    count: Dim = 1
    for position in axes_of(x, axis):
        count = count * x.type.shape[position]
    return reduce_sum(x, axis, keepdims) / dimension(count, x.dtype)


@api
def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first largest entry along ``axis``, which stays with ``keepdims``; of the first NaN, if any.

    An axis without entries is an error: here where its size is declared, else at the call.
    """
    return _place_of_extreme(reduce_max, x, axis, keepdims, "argmax")


@api
def argmin(x: Any, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int64) of the first smallest entry along ``axis``, as ``argmax`` for the largest."""
    return _place_of_extreme(reduce_min, x, axis, keepdims, "argmin")


def _place_of_extreme(extreme: Callable[..., Tensor], x: Any, axis: int, keepdims: bool, name: str) -> Tensor:
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    size, others = x.type.shape[position], (*x.type.shape[:position], *x.type.shape[position + 1 :])
    if size == 0 and 0 not in others:
        raise ShapeError(f"{name} over axis {position} of {x!r}, which has no entries; give it one or more")
    hit = equal(x, extreme(x, position, keepdims=True))
    if x.dtype in FLOATS:
        hit = logical_or(hit, not_equal(x, x))
    entries = where(hit, places_along(x, position), np.int64(2**63 - 1))
    some: dict[str, Any] = {} if isinstance(size, int) else {"nonempty": True}
    return build("reduce_min", entries, axes=(position,), keepdims=flag(keepdims, "keepdims"), **some)


def places_along(x: Tensor, position: int) -> Tensor:
    """0, 1 and on along an axis of x, with an axis of 1 for each of x's later ones."""
    return _along(x.type.shape[position], x.rank - 1 - position)


def _along(size: Dim, behind: int) -> Tensor:
    """0, 1 and on up to a size, with so many axes of 1 behind."""
    index = build("iota", size=size)
    return build("reshape", index, shape=(size, *(1,) * behind)) if behind else index


# Movement -------------------------------------------------------------------------------------------


@api
def concat(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Tensors joined along ``axis``."""
    if isinstance(tensors, int):
        raise DtypeError(f"concat takes Tensors first; write rg.concat([a, b], {tensors})")
    items = [as_tensor(item) for item in entries(tensors, "tensors")]
    if not items:
        raise ShapeError("concat of nothing; give at least one tensor")
    return items[0] if len(items) == 1 else build("concat", *items, axis=one_axis(items[0].rank, axis))


@api
def split(x: Any, parts: int | Sequence[int], axis: int = -1) -> list[Tensor]:
    """x cut along ``axis``: into ``parts`` equal pieces, or into pieces of the given sizes."""
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
        raise ShapeError(f"can't split an axis of open size into {shown(parts)}; use slices")
    if sum(sizes) != total:
        raise ShapeError(f"an axis of {total} does not split into {shown(parts)}")
    index: list[Any] = [slice(None)] * x.rank
    pieces, start = [], 0
    for width in sizes:
        index[position] = slice(start, start + width)
        pieces.append(x[tuple(index)])
        start += width
    return pieces


@api
def expand_dims(x: Any, axis: int) -> Tensor:
    """x with an axis of 1 inserted before ``axis``."""
    x = as_tensor(x)
    position = one_axis(x.rank + 1, axis)
    shape = x.type.shape
    return build("reshape", x, shape=(*shape[:position], 1, *shape[position:]))


@api
def squeeze(x: Any, axis: Axis = None) -> Tensor:
    """x without axes of 1: all that are declared so, or those in ``axis``, which a call finds to be 1 if open."""
    x = as_tensor(x)
    axes = [a for a, dim in enumerate(x.type.shape) if dim == 1] if axis is None else axes_of(x, axis)
    for position in axes:
        if isinstance(dim := x.type.shape[position], int) and dim != 1:
            raise ShapeError(f"can't squeeze axis {position} of {x!r}: it is not 1")
    ones = tuple(1 if a in axes else dim for a, dim in enumerate(x.type.shape))
    x = x if ones == x.type.shape else build("ensure_shape", x, shape=ones)
    return build("reshape", x, shape=tuple(dim for a, dim in enumerate(x.type.shape) if a not in axes))


@api
def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new ``axis``."""
    return concat([expand_dims(item, axis) for item in entries(tensors, "tensors")], axis)


def _equal_parts(x: Tensor, count: int, position: int) -> list[Tensor]:
    """x cut into equal pieces along an axis whose size is open, and a multiple of ``count`` for all sizes."""
    shape = x.type.shape
    each = quotient(shape[position], count)
    if each is None:
        raise ShapeError(f"can't split axis {position} of {x!r} into {count} equal pieces: only a call knows its size")
    apart = build("reshape", x, shape=(*shape[:position], count, each, *shape[position + 1 :]))
    before = (slice(None),) * position
    return [apart[(*before, part)] for part in range(count)]


@api
def reshape(x: Any, shape: Sequence[int | str | None]) -> Tensor:
    """x in another shape. One entry may be -1; None keeps the size of that axis of x, a name is a named size. Where -1
    may be no whole number, as of [T] to [-1, 2], each call checks it.
    """
    x = as_tensor(x)
    dims: list[Dim] = []
    for axis, entry in enumerate(entries(shape, "the shape")):
        if entry is None:
            if axis >= x.rank:
                raise ShapeError(f"None at axis {axis} of a reshape of rank {x.rank}")
            dims.append(x.type.shape[axis])
        else:
            dims.append(-1 if isinstance(entry, int | np.integer) and entry == -1 else _size(entry, "reshape"))
    if dims.count(-1) > 1:
        raise ShapeError("a reshape can hold one -1 only")
    if -1 in dims:
        dims[dims.index(-1)] = _remaining(x, [dim for dim in dims if dim != -1])
    return build("reshape", x, shape=tuple(dims))


def _size(entry: Any, what: str) -> Dim:
    """A size of a shape that a user gives."""
    if isinstance(entry, str) and entry.isidentifier() and not entry.startswith("_"):
        return named_size(entry)
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool) and entry >= 0:
        return int(entry)
    if isinstance(entry, Size):
        return entry
    ints = "an int, -1," if what == "reshape" else "an int,"
    raise ShapeError(f"{entry!r} is no size for a {what}; use {ints} None or the name of a size")


def _remaining(x: Tensor, others: list[Dim]) -> Dim:
    """The size that -1 stands for: equal sizes cancel one by one, what is left divides."""
    elements, divisor = map(product, uncommon(x.type.shape, others))
    result = whole_quotient(elements, divisor)
    if result is None:
        raise ShapeError(
            f"can't find the size for -1 in a reshape of {x!r}: {dim_text(elements)} does not divide by "
            f"{dim_text(divisor)}; declare fixed sizes as ints"
        )
    return result


@api
def broadcast_to(x: Any, shape: Sequence[int | str | None]) -> Tensor:
    """x repeated to a shape, aligned from the right as in NumPy. None keeps the size of that axis of x; a name is a
    named size, which a placeholder must have.
    """
    x, wanted = as_tensor(x), entries(shape, "the shape")
    offset = len(wanted) - x.rank
    dims: list[Dim] = []
    for axis, entry in enumerate(wanted):
        if entry is None and axis >= offset >= 0:
            dims.append(x.type.shape[axis - offset])
        else:
            dims.append(_size(entry, "broadcast_to"))
    return build("broadcast", x, shape=tuple(dims))


@api
def transpose(x: Any, perm: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order ``perm`` (default: reversed)."""
    x = as_tensor(x)
    given = reversed(range(x.rank)) if perm is None else entries(perm, "perm")
    order = tuple(one_axis(x.rank, axis) for axis in given)
    return build("transpose", x, order=order)


@api
def gather(table: Any, indices: Any, axis: int = 0) -> Tensor:
    """Rows of ``table`` at ``indices``: shape indices.shape + table.shape[1:].

    axis: that of the entries which are taken; the axes of ``indices`` stand in its place, as for ``numpy.take``.

    An index that is fed, or made of ``positions`` alone, must be a row; of a computed one the nearest row counts.
    """
    table, index = as_tensor(table), as_tensor(indices)
    if not table.rank or not (place := one_axis(table.rank, axis)):
        return build("gather", table, index)
    order = (place, *(other for other in range(table.rank) if other != place))
    rows, many = build("gather", transpose(table, order), index), index.rank
    return transpose(rows, (*range(many, many + place), *range(many), *range(many + place, rows.rank)))


@api
def one_hot(
    indices: Any, depth: int, dtype: Any = "float32", axis: int = -1, on_value: Any = 1, off_value: Any = 0
) -> Tensor:
    """``on_value`` at each index and ``off_value`` elsewhere, in ``dtype``, on a new axis of ``depth``.

    indices: ints of any shape, each from 0 to depth - 1.
    axis: where the new axis is in the result.
    on_value, off_value: numbers, or scalar Tensors of ``dtype``.
    """
    index, kind = as_tensor(indices), check_dtype(dtype)
    if index.dtype not in INTEGERS:
        raise DtypeError(f"one_hot needs ints, not {index!r}; convert with rg.cast")
    place = one_axis(index.rank + 1, axis)
    hit = equal(expand_dims(cast(index, "int64"), place), _along(whole_number(depth, "depth", 1), index.rank - place))
    if isinstance(on_value, Tensor) or isinstance(off_value, Tensor) or (on_value, off_value) != (1, 0):
        on, off = (x if isinstance(x, Tensor) else constant(x, kind) for x in (on_value, off_value))
        return where(hit, on, off)
    return cast(hit, kind)


@api
def greater(a: Any, b: Any) -> Tensor:
    """a > b, elementwise, as bool."""
    return binary("less", b, a)


@api
def less(a: Any, b: Any) -> Tensor:
    """a < b, elementwise, as bool."""
    return binary("less", a, b)


@api
def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product: [..., K] times [K, N]; or matrix by matrix: [..., M, K] times [..., K, N], where leading axes are
    equal, 1 or missing, as for ``numpy.matmul``.
    """
    return matrix_product(as_tensor(a), as_tensor(b))
