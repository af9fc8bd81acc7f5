"""Handlers of sorting, cumulative functions, gathers, scatters, triangles and diagonals."""

from __future__ import annotations

from typing import NamedTuple

from ....declare.functions import basic, cumulative, orders
from ....declare.functions.arrays import matrices
from ....declare.functions.indexing import put_along_axis, take_along_axis
from ....declare.functions.rounding import floor
from ....declare.functions.sequences import positions
from ....ir.types import INTEGERS
from ...steps import Value
from ..tracing.kinds import Argument, Function, Number, Operand, Result
from ..tracing.numbers import fixed
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Repeated, dtype_of, shape_of
from .shapes import ALL, axis_of, reshaped
from .slicing import check_indices, slice_axis

_REDUCTIONS = {
    "add": "add",
    "sum": "add",
    "multiply": "multiply",
    "prod": "multiply",
    "amin": "minimum",
    "amax": "maximum",
}
"""Modes of ``rg.put_along_axis``, by the option ``reduce`` of torch's scatters."""


class ValuesAndIndices(NamedTuple):
    """Result with values along an axis, and their indices."""

    values: Value
    indices: Value


# Sorting --------------------------------------------------------------------------------------------


def ordered(tracer: Tracer, x: Operand, dim: int, descending: bool) -> ValuesAndIndices:
    """Declare a stable sort along an axis. Return the sorted entries and their indices."""
    x = tracer.value(x)
    axis = axis_of(len(shape_of(x)), dim)
    options = {"descending": True} if descending else {}
    return ValuesAndIndices(
        tracer.call(orders.sort, x, axis, **options), tracer.call(orders.argsort, x, axis, **options)
    )


@reads("msort")
def _msort(tracer: Tracer, x: Operand) -> Result:
    return tracer.call(orders.sort, tracer.value(x), 0)


@reads("topk")
def _topk(tracer: Tracer, x: Operand, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Result:
    x = tracer.value(x)
    rank = len(shape_of(x))
    axis = axis_of(rank, dim)
    options: dict[str, object] = {} if axis == rank - 1 else {"axis": axis}
    options |= {} if largest else {"largest": False}
    return ValuesAndIndices(*tracer.call(orders.top_k, x, fixed(k), **options, hint=("values", "places")))


@reads("kthvalue")
def _kthvalue(tracer: Tracer, x: Operand, k: int, dim: int = -1, keepdim: bool = False) -> Result:
    return ValuesAndIndices(
        *(_entry(tracer, one, fixed(k) - 1, dim, keepdim) for one in ordered(tracer, x, dim, False))
    )


def _entry(tracer: Tracer, x: Value, place: int, dim: int, keepdim: bool) -> Value:
    """Declare the entry of an axis at a constant position."""
    index = slice(place, place + 1) if keepdim else place
    return tracer.script.item(x, *(ALL,) * axis_of(len(shape_of(x)), dim), index)


@reads("median")
def _median(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Declare the lower median. If entries are NaN, the result is the first NaN."""
    x = tracer.value(x)
    if dim is None:
        flat = tracer.value(reshaped(tracer, x, [-1]))
        return _middle(tracer, flat, 0, False)
    order = tracer.call(orders.argsort, x, axis := axis_of(len(shape_of(x)), dim))
    middle = _entry(tracer, order, (tracer.sizes.fix(shape_of(x)[axis]) - 1) // 2, axis, keepdim)
    if dtype_of(x) not in INTEGERS:
        options = {"keepdims": True} if keepdim else {}
        largest = tracer.call(basic.reduce_max, x, axis, **options)
        first = tracer.call(basic.argmax, x, axis, **options)
        middle = tracer.call(basic.where, tracer.call(basic.equal, largest, largest), middle, first)
    return ValuesAndIndices(_middle(tracer, x, axis, keepdim), middle)


def _middle(tracer: Tracer, x: Value, axis: int, keepdim: bool) -> Value:
    """Declare the lower median along an axis, whose size is fixed. The median of floats with a NaN is NaN."""
    if dtype_of(x) in INTEGERS:
        place = (tracer.sizes.fix(shape_of(x)[axis]) - 1) // 2
        return _entry(tracer, tracer.call(orders.sort, x, axis), place, axis, keepdim)
    options = {"keepdims": True} if keepdim else {}
    tracer.sizes.fix(shape_of(x)[axis])
    return tracer.call(orders.quantile, x, 0.5, axis, **options, method="lower")


@reads("nanmedian")
def _nanmedian(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Declare the lower median of the entries that are not NaN."""
    if dtype_of(x) in INTEGERS:
        return _median(tracer, x, dim, keepdim)
    x = tracer.value(x)
    if dim is None:
        flat = tracer.value(reshaped(tracer, x, [-1]))
        tracer.sizes.fix(shape_of(flat)[0])
        return tracer.call(orders.nanquantile, flat, 0.5, 0, method="lower")
    axis = axis_of(len(shape_of(x)), dim)
    tracer.sizes.fix(shape_of(x)[axis])
    options = {"keepdims": True} if keepdim else {}
    values = tracer.call(orders.nanquantile, x, 0.5, axis, **options, method="lower")
    return ValuesAndIndices(values, _middle_place(tracer, x, axis, options))


def _middle_place(tracer: Tracer, x: Value, axis: int, options: dict[str, bool]) -> Value:
    """Declare the index of the lower median along an axis of x. NaN entries are ignored."""
    script = tracer.script
    is_number = tracer.call(basic.cast, tracer.call(basic.equal, x, x), "float64")
    last = script.operation("-", tracer.call(basic.reduce_sum, is_number, axis, keepdims=True), 1)
    middle = tracer.call(floor, script.operation("*", tracer.call(basic.maximum, last, 0), 0.5))
    hits = tracer.call(basic.equal, _positions(tracer, x, axis, "float64"), middle)
    order = tracer.call(orders.argsort, x, axis)
    return tracer.call(basic.reduce_sum, tracer.call(basic.where, hits, order, 0), axis, **options)


def _positions(tracer: Tracer, x: Value, axis: int, dtype: str) -> Value:
    """Declare the positions 0, 1, 2 and so on along an axis of x, in a shape that broadcasts with x."""
    place = tracer.value(tracer.call(positions, x, axis), dtype)
    trailing = len(shape_of(x)) - axis - 1
    return tracer.call(basic.reshape, place, (-1, *(1,) * trailing)) if trailing else place


def _quantile(function: Function) -> Handler:
    """Return a function that translates ``quantile`` or ``nanquantile`` to a call of the ``rg`` function."""

    def read(
        tracer: Tracer,
        x: Operand,
        q: Operand,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Result:
        if not isinstance(q, int | float) or interpolation != "linear":
            raise UnreadableError("q must be one number, and interpolation 'linear'")
        x = tracer.value(x)
        rank = len(shape_of(x))
        if dim is None:
            quantile = _quantile_along(tracer, function, tracer.value(reshaped(tracer, x, [-1])), q, 0, False)
            return reshaped(tracer, quantile, (1,) * rank) if keepdim else quantile
        return _quantile_along(tracer, function, x, q, axis_of(rank, dim), keepdim)

    return read


def _quantile_along(tracer: Tracer, function: Function, x: Value, q: float, axis: int, keepdim: bool) -> Value:
    tracer.sizes.fix(shape_of(x)[axis])
    return tracer.call(function, x, q, axis, **({"keepdims": True} if keepdim else {}))


reads("quantile")(_quantile(orders.quantile))
reads("nanquantile")(_quantile(orders.nanquantile))


# Cumulative functions -------------------------------------------------------------------------------


def _cumulative(function: Function) -> Handler:
    """Return a function that translates torch's ``cumsum`` or a like function to a call of the ``rg`` function.

    Products of integers fix the size of the axis.
    """

    def read(tracer: Tracer, x: Operand, dim: int, dtype: object = None) -> Result:
        kind, axis = DTYPES[tracer.expected.dtype], axis_of(len(shape_of(x)), dim)
        if function is cumulative.cumprod and kind in INTEGERS:
            tracer.sizes.fix(shape_of(x)[axis])
        if axis:  # Axis 0 may be the batch rather than time.
            tracer.on_time(shape_of(x)[axis])
        return tracer.call(function, tracer.value(x, kind), axis)

    return read


reads("cumsum")(_cumulative(cumulative.cumsum))
reads("cumprod")(_cumulative(cumulative.cumprod))
reads("logcumsumexp")(_cumulative(cumulative.logcumsumexp))


def _cumulative_extreme(function: Function) -> Handler:
    """Return a function that translates ``cummax`` or ``cummin`` to (values, indices), the last index of equal ones."""

    def read(tracer: Tracer, x: Operand, dim: int) -> Result:
        x = tracer.value(x, "int32") if dtype_of(x) == "bool" else tracer.value(x)
        axis = axis_of(len(shape_of(x)), dim)
        values = tracer.call(function, x, axis)
        hits = tracer.call(basic.equal, x, values)
        if dtype_of(x) not in INTEGERS:
            hits = tracer.call(basic.logical_or, hits, tracer.call(basic.not_equal, x, x))
        place = tracer.call(basic.where, hits, _positions(tracer, x, axis, "int64"), 0)
        return ValuesAndIndices(values, tracer.call(cumulative.cummax, place, axis))

    return read


reads("cummax")(_cumulative_extreme(cumulative.cummax))
reads("cummin")(_cumulative_extreme(cumulative.cummin))


# Entries at indices -----------------------------------------------------------------------------------


def _index(tracer: Tracer, x: Value, axis: int, index: Operand) -> Value:
    """Return an index tensor as ints. Raise ``UnreadableError`` unless it has x's sizes along all axes but ``axis``."""
    for other, (have, want) in enumerate(zip(shape_of(x), shape_of(index), strict=True)):
        if other != axis:
            tracer.sizes.unify(have, want)
            if isinstance(have, int) and isinstance(want, int) and have != want:
                raise UnreadableError(f"its index has {want} entries along axis {other}; it must have {have}")
    check_indices(tracer, index, shape_of(x)[axis], axis, negative=False)
    if isinstance(index, Repeated) and shape_of(index.of)[axis] == shape_of(index)[axis]:
        index = index.of
    value = tracer.value(index)
    return value if dtype_of(value) in ("int32", "int64") else tracer.value(value, "int64")


@reads("gather")
def _gather(tracer: Tracer, x: Operand, dim: int, index: Operand, *, sparse_grad: bool = False) -> Result:
    x = tracer.value(x)
    axis = axis_of(len(shape_of(x)), dim)
    return tracer.call(take_along_axis, x, _index(tracer, x, axis, index), axis, negative=False)


def put_entries(tracer: Tracer, x: Operand, dim: int, index: Operand, source: Argument, mode: str = "set") -> Value:
    """Return x with a number, or the entries of a tensor, written at indices along an axis.

    Args:
        mode: Mode of ``rg.put_along_axis``: ``"set"``, or a reduction of old and new entries.
    """
    x = tracer.value(x)
    axis = axis_of(len(shape_of(x)), dim)
    places = _index(tracer, x, axis, index)
    if not isinstance(source, bool | int | float):
        for other, (have, want) in enumerate(zip(shape_of(source), shape_of(index), strict=True)):
            source = slice_axis(tracer, source, other, 0, want) if have != want else source
        source = tracer.value(source, dtype_of(x))
    options = {} if mode == "set" else {"mode": mode}
    return tracer.call(put_along_axis, x, places, source, axis, **options, negative=False)


@reads("scatter")
def scatter(
    tracer: Tracer,
    x: Operand,
    dim: int,
    index: Operand,
    src: Operand | None = None,
    *,
    value: Number | None = None,
    reduce: str | None = None,
) -> Result:
    return put_entries(
        tracer, x, dim, index, value if src is None else src, "set" if reduce is None else _REDUCTIONS[reduce]
    )


@reads("scatter_add", "scatter_add_")
def _scatter_add(tracer: Tracer, x: Operand, dim: int, index: Operand, src: Operand) -> Result:
    return put_entries(tracer, x, dim, index, src, "add")


@reads("scatter_reduce")
def _scatter_reduce(
    tracer: Tracer, x: Operand, dim: int, index: Operand, src: Operand, reduce: str, *, include_self: bool = True
) -> Result:
    if reduce not in _REDUCTIONS or not include_self:
        raise UnreadableError(
            f"reduce={reduce!r} or include_self=False is not supported; use one of {', '.join(_REDUCTIONS)}"
        )
    return put_entries(tracer, x, dim, index, src, _REDUCTIONS[reduce])


def _put_slices(mode: str, negative: bool = False) -> Handler:
    """Return a function that translates ``index_add`` and others, which write whole slices at indices along an axis.

    Args:
        mode: Mode of ``rg.put_along_axis``.
        negative: True if negative indices are valid, and count from the end.
    """

    def read(tracer: Tracer, x: Operand, dim: int, index: Operand, source: Operand, *, alpha: Number = 1) -> Result:
        x = tracer.value(x)
        rank = len(shape_of(x))
        axis = axis_of(rank, dim)
        check_indices(tracer, index, shape_of(x)[axis], axis, negative)
        index = tracer.value(index)
        shaped = tracer.value(reshaped(tracer, index, [*(1,) * axis, -1, *(1,) * (rank - axis - 1)]))
        if not isinstance(source, bool | int | float):
            source = tracer.value(source, dtype_of(x))
            source = source if alpha == 1 else tracer.script.operation("*", source, alpha)
        options = {} if mode == "set" else {"mode": mode}
        return tracer.call(put_along_axis, x, shaped, source, axis, **options)

    return read


reads("index_add")(_put_slices("add"))
reads("index_copy")(_put_slices("set"))
reads("index_fill")(_put_slices("set", negative=True))


# Triangles and diagonals -------------------------------------------------------------------------------


def _triangle(function: Function) -> Handler:
    return lambda tracer, x, diagonal=0: tracer.call(
        function, tracer.value(x), *([fixed(diagonal)] if diagonal else [])
    )


reads("tril")(_triangle(matrices.tril))
reads("triu")(_triangle(matrices.triu))


@reads("linalg_diagonal")
def _linalg_diagonal(tracer: Tracer, x: Operand, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Result:
    return _diagonal(tracer, x, offset, dim1, dim2)


@reads("diagonal")
def _diagonal(tracer: Tracer, x: Operand, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Result:
    x = tracer.value(x)
    rows, columns = (shape_of(x)[axis_of(len(shape_of(x)), dim)] for dim in (dim1, dim2))
    if tracer.sizes.value(rows) == tracer.sizes.value(columns):
        tracer.sizes.unify(rows, columns)
    else:  # The diagonal's length depends on which size is smaller, so both must be fixed.
        tracer.sizes.fix(rows), tracer.sizes.fix(columns)
    return tracer.call(matrices.diagonal, x, fixed(offset), int(dim1), int(dim2))


@reads("diag_embed")
def _diag_embed(tracer: Tracer, x: Operand, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Result:
    if (dim1, dim2) != (-2, -1):
        raise UnreadableError(f"axes {dim1} and {dim2} are not supported; use -2 and -1, and transpose the result")
    return tracer.call(matrices.diag_embed, tracer.value(x), *([fixed(offset)] if offset else []))


@reads("diag")
def _diag(tracer: Tracer, x: Operand, diagonal: int = 0) -> Result:
    return (_diag_embed if len(shape_of(x)) == 1 else _diagonal)(tracer, x, diagonal)


@reads("trace")
def _trace(tracer: Tracer, x: Operand) -> Result:
    return tracer.call(matrices.trace, tracer.value(x, DTYPES[tracer.expected.dtype]))
