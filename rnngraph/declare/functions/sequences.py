"""Functions along an axis that may be time: sums so far, rows turned round, convolutions."""

from __future__ import annotations

from typing import Any

from ...arguments import flag
from ...errors import DtypeError, ShapeError, shown, user_line
from ...ir.types import FLOATS, Dim, product
from ...public import api
from ..cell import Cell, Scope
from ..drivers import run_steps
from ..parameters import ScopeName
from ..tensor import Tensor, as_tensor, build, constant
from .basic import cast, concat, dimension, filled_like, gather, known_by, one_axis, reduce_max, transpose, where
from .same_shape import lengths_of_rows


@api
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums along ``axis`` of all entries so far.

    exclusive: without the entry itself.
    reverse: from the end on.

    Along an axis of open size it is a loop, which a stream runs step by step unless reversed; x is a float then.
    """
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    exclusive, reverse = flag(exclusive, "exclusive"), flag(reverse, "reverse")
    if isinstance(x.type.shape[position], int):
        return _fixed_sum(x, position, exclusive, reverse)
    line = user_line()
    if x.dtype not in FLOATS:
        raise DtypeError(f"cumsum along an axis of open size needs floats, not {x!r}; convert with rg.cast", line)
    order = (position, *(other for other in range(x.rank) if other != position))
    rest = tuple(x.type.shape[other] for other in order[1:])
    turned = transpose(x, order)
    steps = build("reshape", turned, shape=(turned.type.shape[0], *_rows_and_units(rest)), where=line)
    scope = ScopeName("cumsum", False, line)
    sums, _ = run_steps(RunningSum(steps.width, exclusive), steps, scope, reverse, line)
    result = build("reshape", sums, shape=turned.type.shape, where=line)
    return transpose(result, [order.index(other) for other in range(x.rank)])


def _rows_and_units(rest: tuple[Dim, ...]) -> tuple[Dim, int]:
    """Axes as rows and units: units are those after the first, if they are fixed."""
    units = product(rest[1:])
    return (rest[0] if rest else 1, units) if isinstance(units, int) else (product(rest), 1)


class RunningSum(Cell):
    """The sum of all inputs so far; ``exclusive``: of those before this one."""

    def __init__(self, width: int, exclusive: bool) -> None:
        self.width, self.exclusive = width, exclusive

    def state(self) -> Any:
        return {"sum": self.width}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        total = state["sum"] + x
        return state["sum"] if self.exclusive else total, {"sum": total}


def _fixed_sum(x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Each round adds sums of twice as many entries (Hillis and Steele 1986)."""
    size = x.type.shape[axis]
    assert isinstance(size, int)
    result, count = (_shifted(x, axis, 1, reverse) if exclusive else x), 1
    while count < size:
        result, count = result + _shifted(result, axis, count, reverse), 2 * count
    return result


def _shifted(x: Tensor, axis: int, count: int, reverse: bool) -> Tensor:
    """x moved by ``count`` along a fixed axis, zeros behind it."""
    before: tuple[Any, ...] = (slice(None),) * axis
    size = x.type.shape[axis]
    assert isinstance(size, int)
    if count >= size:
        return filled_like(x, 0)
    kept = x[(*before, slice(count, None))] if reverse else x[(*before, slice(0, size - count))]
    zeros = _zeros(x, axis, count)
    return concat([kept, zeros] if reverse else [zeros, kept], axis)


def _zeros(x: Tensor, axis: int, count: int) -> Tensor:
    shape = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
    return build("broadcast", constant(0, x.dtype), shape=shape)


@api
def reverse_sequence(x: Tensor, lengths: Any) -> Tensor:
    """Each row's steps from its last real one to the first; what stands past its length stays.

    x: [batch, time, …].
    lengths: int [batch], each in 0..time.
    """
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"reverse_sequence needs a Tensor [batch, time, …], not {x!r}")
    batch, time, *rest = x.type.shape
    lengths = lengths_of_rows(lengths, batch, "lengths")
    limit = build("reshape", lengths, shape=(lengths.type.shape[0], 1))
    step = build("iota", size=time)
    real = build("less", step, limit, within="lengths")
    source = where(real, limit - 1 - step, step)
    rows = build("reshape", build("iota", size=batch), shape=(batch, 1))
    table = build("reshape", x, shape=(product((batch, time)), *rest))
    return gather(table, rows * dimension(time, "int64") + source)


@api
def positions(x: Tensor, axis: int = 0) -> Tensor:
    """0, 1, 2 and on along ``axis`` of x: int64 [x's size there], which may be open."""
    if not isinstance(x, Tensor):
        raise DtypeError(f"positions needs a Tensor, not {shown(x)}")
    position = one_axis(x.rank, axis)
    places = build("iota", size=x.type.shape[position])
    others = tuple(other for other in range(x.rank) if other != position)
    along = reduce_max(cast(x, "float32"), others) if others else cast(x, "float32")
    return known_by(along, places)
