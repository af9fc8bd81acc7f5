"""Selects parts of values in loops, compares operands, and reshapes values to and from [batch, width]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...declare.functions.basic import cast, expand_dims, reshape, transpose
from ...declare.functions.sequences import positions
from ...ir.types import Dim, Size, product
from ..script import Script
from ..steps import Value
from .loop import Carried, Entries, Inner, Numbers

ALL = slice(None)


class NotRolledError(Exception):
    """Error for a loop that cannot be converted to a driver."""


def shape_entries(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """Return a shape with -1 for its symbolic size. Raises ``NotRolledError`` for several symbolic sizes."""
    entries = tuple(dim if isinstance(dim, int) else -1 for dim in shape)
    if entries.count(-1) > 1:
        raise NotRolledError
    return entries


def has_no_batch(shape: tuple[Dim, ...]) -> bool:
    """True for the shape of a scalar, or of a vector of fixed size, which all rows share."""
    return len(shape) == 0 or (len(shape) == 1 and isinstance(shape[0], int))


def batch_axis(shape: tuple[Dim, ...]) -> int:
    """Return the axis of rows: the only one of symbolic size, otherwise the first."""
    open_axes = [axis for axis, dim in enumerate(shape) if isinstance(dim, Size)]
    return open_axes[0] if len(open_axes) == 1 else 0


def rows_first(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """Return the order of axes that moves the axis of rows to the front. Raises ``NotRolledError`` for a scalar."""
    if not shape:
        raise NotRolledError
    axis = batch_axis(shape)
    return (axis, *(other for other in range(len(shape)) if other != axis))


def flat_rows(script: Script, x: Value, width: int) -> Value:
    """Reshape a value to [batch, width]."""
    shape = x.tensor.type.shape
    if len(shape) > 1 and batch_axis(shape):
        x = script.call(transpose, x, rows_first(shape))
    return x if x.tensor.rank == 2 else script.call(reshape, x, (-1, width))


def shaped_rows(script: Script, x: Value, shape: tuple[Dim, ...]) -> Value:
    """Reshape [batch, width] to ``shape``: the inverse of ``flat_rows``."""
    order = rows_first(shape)
    if len(shape) != 2:
        x = script.call(reshape, x, shape_entries(tuple(shape[axis] for axis in order)))
    if order == tuple(range(len(shape))):
        return x
    return script.call(transpose, x, tuple(order.index(axis) for axis in range(len(shape))))


def part_of(value: Value, path: Sequence[int | str]) -> Value:
    """Return the part of a value at a path."""
    result = value.result
    for key in path:
        result = getattr(result, key) if isinstance(key, str) else result[key]
    return Value(result, value.step, (*value.path, *path)) if path else value


def same_input(a: object, b: object) -> bool:
    """True if two operands that vary with the iteration are equal in every iteration. False for ``Shared`` operands."""
    if isinstance(a, Carried) and isinstance(b, Carried):
        return (a.place, a.lag) == (b.place, b.lag) and have_equal_start(a, b)
    if isinstance(a, Entries) and isinstance(b, Entries):
        return a.keeps == b.keeps and same_entries(a, b)
    if isinstance(a, Numbers) and isinstance(b, Numbers):
        same = (a.formula, a.dtype) == (b.formula, b.dtype) and same_entries(a.beside, b.beside)
        return same and (a.like and a.like.tensor.type) == (b.like and b.like.tensor.type)
    return isinstance(a, Inner) and isinstance(b, Inner) and a.place == b.place


def same_entries(a: Entries, b: Entries) -> bool:
    """True if two operands read the same entries. One may keep the axis, with size 1, and the other not."""
    places = [
        (one.axis, one.start, one.step, repr(one.others), one.ahead, [(item.step, item.path) for item in one.before])
        for one in (a, b)
    ]
    return places[0] == places[1] and same_value(a.source, b.source)


def same_value(a: object, b: object) -> bool:
    """True if two operands are the same part of the same step's result."""
    if isinstance(a, Value) and isinstance(b, Value):
        return a.step is b.step and a.path == b.path
    return a is b


def have_equal_start(a: Carried, b: Carried) -> bool:
    """True if two operands that read one carried value have the same initial values."""
    pairs = zip((a.initial, *a.later), (b.initial, *b.later), strict=True)
    return all((is_zero(one) and is_zero(other)) or same_value(one, other) for one, other in pairs)


def is_zero(initial: Value | None) -> bool:
    """True for an initial value of zeros. None stands for zeros."""
    return initial is None or initial.step.fill == 0


def slice_of(start: int, step: int, count: int, size: int | None, dim: Dim) -> slice:
    """Return a ``slice`` of ``count`` entries from ``start``. Bounds near the end of a symbolic axis are negative."""
    last = start + (count - 1) * step
    near = 4 if isinstance(dim, Size) else 0
    if step > 0:
        stop: int | None = last + 1
        if size is not None and last + step >= size:
            stop = None
        elif size is not None and size - (last + 1) <= near:
            stop = last + 1 - size
        return slice(start or None, stop, None if step == 1 else step) if (start, stop, step) != (0, None, 1) else ALL
    stop = None if last + step < 0 else last - 1
    begin: int | None = start
    if size is not None and start == size - 1:
        begin = None
    elif size is not None and size - start <= near:
        begin = start - size
    return slice(begin, stop, step)


def sized(dim: Dim, value_of: Callable[[Dim], int] | None) -> int | None:
    """Return a size as an int, by ``value_of`` if it is symbolic; None if it is not known."""
    if isinstance(dim, int):
        return dim
    return None if value_of is None else value_of(dim)


def batch_major(script: Script, source: Value, axis: int) -> Value:
    """Return a value with time along ``axis`` as a sequence [batch, time, width]. Without a batch axis, batch is 1."""
    shape = source.tensor.type.shape
    rank = len(shape)
    if rank == 1:  # [time]: one number per iteration, without a batch axis
        source = script.call(reshape, source, (1, -1, 1))
    elif rank == 2 and (axis == 1 or isinstance(shape[1], Size)):  # [batch, time] or [time, batch]
        source = source if axis == 1 else script.call(transpose, source, (1, 0))
        source = script.call(expand_dims, source, 2)
    elif rank == 2:  # [time, width] without a batch
        source = script.call(expand_dims, source, 0)
    else:
        others = [other for other in range(rank) if other != axis]
        order = [others[place] for place in rows_first(tuple(shape[other] for other in others))]
        order.insert(1, axis)
        source = source if order == [*range(rank)] else script.call(transpose, source, tuple(order))
        if rank > 3:
            rest = product(source.tensor.type.shape[2:])
            if not isinstance(rest, int):
                raise NotRolledError
            source = script.call(reshape, source, (None, None, rest))
    return source


def with_rows(script: Script, x: Value, like: Value) -> Value:
    """Repeat a sequence [1, time, width] to the batch size of the sequence ``like``."""
    rows = like.tensor.type.shape[0]
    if x.tensor.type.shape[0] == rows or rows == 1:
        return x
    zeros = script.operation("*", script.call(positions, like, 0), 0)
    zeros = script.call(reshape, script.call(cast, zeros, x.tensor.dtype), (-1, 1, 1))
    return script.operation("+", x, zeros)
