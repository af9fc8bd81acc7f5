"""Functions along an axis that may be time: sums so far, rows turned round, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...arguments import flag
from ...arguments import units as positive
from ...errors import ArgumentError, DtypeError, ShapeError, user_line
from ...ir.types import FLOATS, INTEGERS, Dim, product
from ...public import api
from ..cell import Cell, Scope
from ..drivers import run_steps
from ..parameters import ScopeName
from ..tensor import Tensor, as_tensor, build, constant
from .activations import activation_function
from .basic import cast, concat, dimension, filled_like, gather, one_axis, reshape, transpose, where
from .layers import owned


@api
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums along ``axis`` of all entries so far.

    exclusive: without the entry itself. reverse: from the end on. Along an axis of open size it is a loop, which
    a stream runs step by step unless reversed; x is a float then.
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

    x: [batch, time, …]; lengths: int [batch], each in 0..time.
    """
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"reverse_sequence needs a Tensor [batch, time, …], not {x!r}")
    lengths = as_tensor(lengths)
    if lengths.dtype not in INTEGERS or lengths.rank != 1:
        raise DtypeError(f"reverse_sequence needs lengths that are ints [batch], not {lengths!r}")
    batch, time, *rest = x.type.shape
    limit = build("reshape", cast(lengths, "int64"), shape=(lengths.type.shape[0], 1))
    step = build("iota", size=time)
    real = build("less", step, limit, within="lengths")
    source = where(real, limit - 1 - step, step)
    rows = build("reshape", build("iota", size=batch), shape=(batch, 1))
    table = build("reshape", x, shape=(product((batch, time)), *rest))
    return gather(table, rows * dimension(time, "int64") + source)


# Convolutions ---------------------------------------------------------------------------------------


@api
def conv1d(
    x: Tensor,
    filters: int,
    kernel_size: int,
    padding: str = "causal",
    dilation: int = 1,
    activation: str | Callable[[Any], Tensor] | None = None,
    use_bias: bool = True,
    name: str | None = None,
) -> Tensor:
    """activation(convolution of x over time + bias): x [batch, time, width] gives [batch, time, filters].

    padding: ``causal``: an output reads its own step and ``dilation * (kernel_size - 1)`` before it, zeros before
    the first, and streams step by step. ``same``: as many steps before as after, zeros beyond both ends, the odd
    one after. ``valid``: only where all steps are there, so that ``dilation * (kernel_size - 1)`` fewer come out.
    Owns ``conv1d/kernel`` [kernel_size, width, filters] and ``conv1d/bias`` [filters]; ``name`` replaces ``conv1d``.
    """
    scope = ScopeName(name or "conv1d", name is not None, user_line())
    return convolution(x, filters, kernel_size, padding, dilation, activation, use_bias, scope)


def convolution(
    x: Tensor, filters: int, kernel_size: int, padding: str, dilation: int,
    activation: str | Callable[[Any], Tensor] | None, use_bias: bool, scope: ScopeName,
    initializers: tuple[Any, Any] = ("glorot_uniform", "zeros"),
) -> Tensor:  # fmt: skip
    """What convolutions share. initializers: of the kernel and of the bias."""
    line = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"conv1d needs a float Tensor, not {x!r}", line)
    if x.rank != 3 or not isinstance(x.type.shape[2], int):
        raise ShapeError(f"conv1d needs a Tensor [batch, time, width] of fixed width, not {x!r}", line)
    if padding not in ("causal", "same", "valid"):
        raise ArgumentError(f"padding={padding!r} is not offered; use causal, same or valid", line)
    count, taps, apart = (
        positive(filters, "filters"),
        positive(kernel_size, "kernel_size"),
        positive(dilation, "dilation"),
    )
    kernel = owned(scope, "kernel", (taps, x.width, count), x.dtype, initializers[0])
    matrix = reshape(kernel, (taps * x.width, count))
    past = apart * (taps - 1)
    time = x.type.shape[1]
    if padding == "valid" and isinstance(time, int) and time <= past:
        raise ShapeError(f"a valid conv1d needs at least {past + 1} steps, not {time}; use causal or same", line)
    if padding == "causal" and past:
        turned = build("transpose", x, order=(1, 0, 2), where=line)
        windows, _ = run_steps(Window(x.width, taps, apart), turned, scope, False, line)
        windows = build("transpose", windows, order=(1, 0, 2), where=line)
    else:
        windows = _windows(x, taps, apart, past // 2 if padding == "same" else 0, past if padding == "same" else 0)
    result = windows @ matrix
    if use_bias:
        result = result + owned(scope, "bias", (count,), x.dtype, initializers[1])
    return activation_function(activation)(result)


class Window(Cell):
    """Input at this step and before, side by side, oldest first: every ``apart``-th of ``taps``."""

    def __init__(self, width: int, taps: int, apart: int) -> None:
        self.width, self.taps, self.apart = width, taps, apart

    def state(self) -> Any:
        return {"past": self.width * self.apart * (self.taps - 1)}

    @property
    def output_size(self) -> int:
        return self.width * self.taps

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        seen = concat([state["past"], x])
        starts = [tap * self.apart * self.width for tap in range(self.taps)]
        window = seen if self.apart == 1 else concat([seen[:, start : start + self.width] for start in starts])
        return window, {"past": seen[:, self.width :]}


def _windows(x: Tensor, taps: int, apart: int, before: int, zeros: int) -> Tensor:
    """Steps ``apart`` from each other side by side. zeros: steps of 0 around x, ``before`` of them in front."""
    if zeros:
        parts = [_zeros(x, 1, before)] if before else []
        x = concat([*parts, x, _zeros(x, 1, zeros - before)], axis=1)
    ends = [apart * (taps - 1 - tap) for tap in range(taps)]
    return concat([x[:, apart * tap : -end if end else None] for tap, end in enumerate(ends)])
