"""What torch's functions that take and write entries at indices mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....declare.functions.arrays import matrices
from ....declare.functions.indexing import put_along_axis, take_along_axis
from ...steps import Value
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Repeated, dtype_of, shape_of
from .shapes import axis_of, reshaped
from .slicing import part

_MODES = {
    "add": "add", "sum": "add", "multiply": "multiply", "prod": "multiply", "amin": "minimum", "amax": "maximum",
}  # fmt: skip


def _index(tracer: Tracer, x: Value, axis: int, index: Any) -> Value:
    """Return an index with as many axes as x, of x's sizes along the others, or repeated along them."""
    for other, (have, want) in enumerate(zip(shape_of(x), shape_of(index), strict=True)):
        if other != axis:
            tracer.sizes.meet(have, want)
            if isinstance(have, int) and isinstance(want, int) and have != want:
                raise UnreadableError(f"its index has {want} entries along axis {other} and not {have}")
    is_one = isinstance(index, Repeated) and shape_of(index.of)[axis] == shape_of(index)[axis]
    found = tracer.value(index.of if is_one else index)
    return found if dtype_of(found) in ("int32", "int64") else tracer.value(found, "int64")


@meaning("gather")
def _gather(tracer: Tracer, x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    x = tracer.value(x)
    axis = axis_of(len(shape_of(x)), dim)
    return tracer.call(take_along_axis, x, _index(tracer, x, axis, index), axis, negative=False)


def put(tracer: Tracer, x: Any, dim: int, index: Any, given: Any, mode: str = "set") -> Value:
    """Return x with a number, or entries of a tensor, at indices."""
    x = tracer.value(x)
    axis = axis_of(len(shape_of(x)), dim)
    found = _index(tracer, x, axis, index)
    if not isinstance(given, bool | int | float):
        for other, (have, want) in enumerate(zip(shape_of(given), shape_of(index), strict=True)):
            given = part(tracer, given, other, 0, want) if have != want else given
        given = tracer.value(given, dtype_of(x))
    options: dict[str, Any] = {} if mode == "set" else {"mode": mode}
    return tracer.call(put_along_axis, x, found, given, axis, **options, negative=False)


@meaning("scatter")
def scatter(
    tracer: Tracer, x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    return put(tracer, x, dim, index, value if src is None else src, "set" if reduce is None else _MODES[reduce])


@meaning("scatter_add", "scatter_add_")
def _scatter_add(tracer: Tracer, x: Any, dim: int, index: Any, src: Any) -> Any:
    return put(tracer, x, dim, index, src, "add")


@meaning("scatter_reduce")
def _scatter_reduce(
    tracer: Tracer, x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    if reduce not in _MODES or not include_self:
        raise UnreadableError("it is read with include_self=True, and with a reduce that is no mean")
    return put(tracer, x, dim, index, src, _MODES[reduce])


def _of_all(mode: str) -> Callable[..., Any]:
    """Entries at an index of one axis, the same along all others."""

    def mean(tracer: Tracer, x: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
        x, index = tracer.value(x), tracer.value(index)
        rank = len(shape_of(x))
        axis = axis_of(rank, dim)
        shaped = tracer.value(reshaped(tracer, index, [*(1,) * axis, -1, *(1,) * (rank - axis - 1)]))
        if not isinstance(source, bool | int | float):
            source = tracer.value(source, dtype_of(x))
            source = source if alpha == 1 else tracer.script.operation("*", source, alpha)
        options: dict[str, Any] = {} if mode == "set" else {"mode": mode}
        return tracer.call(put_along_axis, x, shaped, source, axis, **options)

    return mean


meaning("index_add")(_of_all("add"))
meaning("index_copy", "index_fill")(_of_all("set"))


# Triangles and diagonals -------------------------------------------------------------------------------


def _triangle(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda tracer, x, diagonal=0: tracer.call(function, tracer.value(x), *([int(diagonal)] if diagonal else []))


meaning("tril")(_triangle(matrices.tril))
meaning("triu")(_triangle(matrices.triu))


@meaning("diagonal", "linalg_diagonal")
def _diagonal(tracer: Tracer, x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    x = tracer.value(x)
    rows, columns = (shape_of(x)[axis_of(len(shape_of(x)), dim)] for dim in (dim1, dim2))
    if tracer.sizes.value(rows) == tracer.sizes.value(columns):
        tracer.sizes.meet(rows, columns)
    else:  # of matrices that are not square sizes are numbers
        tracer.sizes.fix(rows), tracer.sizes.fix(columns)
    return tracer.call(matrices.diagonal, x, int(offset), int(dim1), int(dim2))


@meaning("diag_embed")
def _diag_embed(tracer: Tracer, x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    if (dim1, dim2) != (-2, -1):
        raise UnreadableError("it is read with the last two axes")
    return tracer.call(matrices.diag_embed, tracer.value(x), *([int(offset)] if offset else []))


@meaning("diag")
def _diag(tracer: Tracer, x: Any, diagonal: int = 0) -> Any:
    return (_diag_embed if len(shape_of(x)) == 1 else _diagonal)(tracer, x, diagonal)


@meaning("trace")
def _trace(tracer: Tracer, x: Any) -> Any:
    return tracer.call(matrices.trace, tracer.value(x, DTYPES[tracer.expected.dtype]))
