"""Handlers of functions that concatenate, stack, split, flip, roll and pad."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from ....declare.functions import basic
from ....declare.functions.arrays import moves
from ....declare.functions.padding import pad as padded
from ....declare.functions.padding import pad_to_multiple
from ....ir.sizes.polynomial import ceil_divide, floors_of
from ....ir.types import Dim, Size, product
from ...steps import Value
from ..tracing.kinds import Axes, Extents, Number, Operand, Operands, Result
from ..tracing.numbers import dim_of, fixed
from ..tracing.registry import UnreadableError, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Entry, Filled, Lazy, Repeated, Stacked, dtype_of, expanded_of, shape_of
from .shapes import axis_of, flat_arguments, reshaped, unsqueezed
from .slicing import entry_of, of_steps, slice_axis


@reads("cat", "concat", "concatenate")
def _cat(tracer: Tracer, tensors: Operands, dim: int = 0, *, axis: int | None = None) -> Result:
    dtype = DTYPES[tracer.expected.dtype]
    rank = tracer.expected.dim()
    axis = axis_of(rank, dim if axis is None else axis)
    items = [item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors]
    items = [item for item in items if tracer.sizes.value(product(shape_of(item))) or len(shape_of(item)) == rank]
    for other in range(rank):
        if other != axis:
            for item in items[1:]:
                tracer.sizes.unify(shape_of(items[0])[other], shape_of(item)[other])
    if len(items) > 1 and _are_steps(tracer, items):
        return _merged_steps(tracer, tuple(items), axis, dtype)
    total = sum((shape_of(item)[axis] for item in items[1:]), shape_of(items[0])[axis])
    shape = (*shape_of(items[0])[:axis], total, *shape_of(items[0])[axis + 1 :])
    return joined(tracer, items, axis, shape, dtype)


def joined(tracer: Tracer, items: list[Entry], axis: int, shape: tuple[Dim, ...], dtype: str) -> Entry:
    """Return the concatenation of values along an axis.

    Args:
        tracer: The tracer.
        items: The values.
        axis: The axis.
        shape: Shape of the result.
        dtype: Dtype of the result.
    """
    if len(items) == 1:
        return items[0]
    numbers = {item.number for item in items if isinstance(item, Filled)}
    if len(numbers) == 1 and all(isinstance(item, Filled) for item in items):
        return Filled(numbers.pop(), shape, dtype)
    items = [_as_stack(item, axis) for item in items]
    stacks = [item for item in items if isinstance(item, Stacked) and item.axis == axis]
    if len(stacks) == len(items):
        return of_steps(tracer, tuple(part for stack in stacks for part in stack.items), axis, dtype)
    joined = _with_edges(tracer, items, axis, dtype)
    return joined or tracer.call(basic.concat, [tracer.value(item, dtype) for item in items], axis)


def _are_steps(tracer: Tracer, items: Sequence[Entry]) -> bool:
    """True if values are results of one expression, one for each step of a loop over an axis of symbolic size.

    Their number must equal the size of an axis whose entries the module selected one by one. They must be results of
    different calls of one function, on one line, with equal shapes.
    """
    values = [item for item in items if isinstance(item, Value)]
    if len(values) < len(items) or not isinstance(tracer.sizes.steps(len(items)), Size):
        return False
    kinds = {(item.step.key, item.step.where, item.path, shape_of(item)) for item in values}
    return len(kinds) == 1 and expanded_of(items[0]) is None and len({item.step for item in values}) == len(items)


def _merged_steps(tracer: Tracer, items: tuple[Entry, ...], axis: int, dtype: str) -> Operand:
    """Return the concatenation [batch, time * width] of a loop's steps [batch, width], as a reshaped stack.

    Rolling up replaces a stack of all steps by a sequence.
    """
    stack = of_steps(tracer, items, axis, dtype)
    shape = stack.shape
    return reshaped(tracer, stack, [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]])


def _as_stack(x: Entry, axis: int) -> Entry:
    """Convert the result of ``expand_dims`` along ``axis`` to a stack of one value. Other values are unchanged."""
    expanded = expanded_of(x)
    if expanded is None or expanded[1] != axis:
        return x
    return Stacked((expanded[0],), axis, shape_of(x), dtype_of(x))


def _with_edges(tracer: Tracer, items: list[Entry], axis: int, dtype: str) -> Value | None:
    """Return a concatenation that begins or ends with a constant tensor as one padded value; None for others."""
    fixed = [item for item in items if isinstance(item, Filled) and isinstance(item.shape[axis], int)]
    middle = [number for number, item in enumerate(items) if item not in fixed]
    numbers = {item.number for item in fixed}
    is_window = all(isinstance(shape_of(item)[axis], int) for item in items)
    if len(shape_of(items[0])) < 3 or (is_window and not all(tracer.is_number(item) for item in fixed)):
        # The constant may be a loop's initial state: padding would give the first step other calls than later steps.
        return None
    if not fixed or len(numbers) > 1 or not middle or middle != [*range(middle[0], middle[-1] + 1)]:
        return None
    inner = [tracer.value(items[number], dtype) for number in middle]
    whole = inner[0] if len(inner) == 1 else tracer.call(basic.concat, inner, axis)
    before, after = (
        sum(size for item in edge if isinstance(size := shape_of(item)[axis], int))
        for edge in (items[: middle[0]], items[middle[-1] + 1 :])
    )
    options = {} if numbers == {0} else {"value": float(numbers.pop())}
    return tracer.call(padded, whole, {axis: (before, after)}, **options)


@reads("stack")
def _stack(tracer: Tracer, tensors: Operands, dim: int = 0) -> Result:
    dtype = DTYPES[tracer.expected.dtype]
    items = tuple(item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors)
    for item in items[1:]:
        for a, b in zip(shape_of(items[0]), shape_of(item), strict=True):
            tracer.sizes.unify(a, b)
    return of_steps(tracer, items, axis_of(tracer.expected.dim(), dim), dtype)


@reads("hstack")
def _hstack(tracer: Tracer, tensors: Operands) -> Result:
    return _cat(tracer, tensors, 1 if tracer.expected.dim() > 1 else 0)


def _pieces(tracer: Tracer, x: Operand, axis: int, sizes: Sequence[Dim]) -> Operands:
    """Return the parts of x along an axis, one for each of ``sizes``."""
    shape = shape_of(x)
    expanded = expanded_of(x)
    if expanded is not None and expanded[1] == 0 < axis:
        return tuple(unsqueezed(tracer, part, 0) for part in _pieces(tracer, expanded[0], axis - 1, sizes))
    tracer.wrote_numbers |= isinstance(x, Repeated)
    if (isinstance(x, Repeated) and tracer.keeps_filled) or (isinstance(x, Filled) and not tracer.is_number(x)):
        # Declare the constant, so that splitting an initial state records the same calls as splitting later states.
        # Otherwise the unrolled loop is not recognised.
        x = tracer.value(x)
    if isinstance(x, Value) and isinstance(shape[axis], int):
        widths = [tracer.sizes.fix(size) for size in sizes]
        if len(widths) == 1:
            return (x,)
        equal = len(set(widths)) == 1
        last = axis if axis != len(shape) - 1 else -1
        names = tuple(f"part_{number}" for number in range(len(widths)))
        whole = tracer.call(
            basic.split, x, len(widths) if equal else widths, *([] if last == -1 else [last]), hint=names
        )
        return tuple(whole)
    pieces: list[Operand] = []
    start: Dim = 0
    for width in sizes:
        pieces.append(slice_axis(tracer, x, axis, start, start + width))
        start = start + width
    return tuple(pieces)


@reads("tensor_split")
def _tensor_split(
    tracer: Tracer, x: Operand, sections: Extents = (), dim: int = 0, *, indices: Sequence[int] | None = None
) -> Result:
    """Split x at indices, or into a number of parts, of which the first ones may be longer by 1."""
    sections = sections if indices is None else indices
    axis = axis_of(len(shape_of(x)), dim)
    size = tracer.sizes.fix(shape_of(x)[axis])
    if isinstance(sections, int):
        return _pieces(tracer, x, axis, [size // sections + (place < size % sections) for place in range(sections)])
    places = [0, *(min(size, max(0, fixed(place) + (size if place < 0 else 0))) for place in sections), size]
    return _pieces(tracer, x, axis, [max(0, later - place) for place, later in pairwise(places)])


@reads("split", "split_with_sizes")
def _split(
    tracer: Tracer,
    x: Operand,
    split_size: Extents = 1,
    dim: int = 0,
    *,
    split_size_or_sections: Extents | None = None,
    split_sizes: Sequence[int] | None = None,
) -> Result:
    by_name = split_size_or_sections if split_sizes is None else split_sizes
    split_size = split_size if by_name is None else by_name
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if not isinstance(split_size, int):
        return _pieces(tracer, x, axis, [dim_of(entry) for entry in split_size])
    count = fixed(split_size)
    if isinstance(size, Size):
        return _pieces(tracer, x, axis, [1] * len(tracer.expected)) if count == 1 else _fixed(tracer, size)
    return _pieces(tracer, x, axis, [min(count, size - start) for start in range(0, size, count)])


def _fixed(tracer: Tracer, size: Size) -> NoReturn:
    """Fix a size that determines the number of results. Raises ``SizesChanged``."""
    tracer.sizes.close(size.symbols)


@reads("chunk")
def _chunk(tracer: Tracer, x: Operand, chunks: int, dim: int = 0) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if isinstance(size, Size) and len(tracer.expected) == tracer.sizes.value(size):
        return _pieces(tracer, x, axis, [1] * len(tracer.expected))
    size = tracer.sizes.fix(size)
    each = -(-size // fixed(chunks))
    return _pieces(tracer, x, axis, [min(each, size - start) for start in range(0, size, each)])


@reads("unbind")
def _unbind(tracer: Tracer, x: Operand, dim: int = 0) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    return tuple(entry_of(tracer, x, axis, place) for place in range(len(tracer.expected)))


@reads("flip")
def _flip(tracer: Tracer, x: Operand, *dims: Any) -> Result:
    rank = len(shape_of(x))
    axes = {axis_of(rank, axis) for axis in flat_arguments(dims)}
    if isinstance(x, Filled):
        return x
    if isinstance(x, Stacked) and axes == {x.axis}:
        return Stacked(x.items[::-1], x.axis, x.shape, x.dtype)
    return tracer.call(moves.flip, tracer.value(x), min(axes) if len(axes) == 1 else tuple(sorted(axes)))


@reads("roll")
def _roll(tracer: Tracer, x: Operand, shifts: Extents, dims: Axes = None) -> Result:
    """Roll x along axes, one after the other. Without axes, roll the flattened tensor."""
    axes: list[int | None] = [dims] if isinstance(dims, int) else [*(dims or (None,))]
    counts = [fixed(count) for count in ([shifts] if isinstance(shifts, int) else shifts)]
    if tracer.is_number(x):
        return x
    for shift, axis in zip(counts, axes, strict=True):
        if shift:
            own = [] if axis is None else [axis_of(len(shape_of(x)), axis)]
            x = tracer.call(moves.roll, tracer.value(x), shift, *own)
    return x


@reads("pad")
def _pad(tracer: Tracer, x: Operand, pad: Sequence[int], mode: str = "constant", value: Number | None = None) -> Result:
    rank = len(shape_of(x))
    if mode == "constant":
        x, pad = _padded_to_multiples(tracer, x, pad, value or 0)
    pairs = [(fixed(pad[at]), fixed(pad[at + 1])) for at in range(0, len(pad), 2)]
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode == "circular":
        return pad_circular(tracer, x, {rank - 1 - at: pair for at, pair in enumerate(pairs)})
    if mode not in modes:
        raise UnreadableError(f"mode={mode!r} is not supported; use {', '.join(modes)} or circular")
    cut = x
    for at, (before, after) in enumerate(pairs):
        axis, size = rank - 1 - at, shape_of(cut)[rank - 1 - at]
        if before < 0 or after < 0:
            cut = slice_axis(tracer, cut, axis, max(0, -before), size - max(0, -after))
    padding = {rank - 1 - at: (max(0, a), max(0, b)) for at, (a, b) in enumerate(pairs) if a > 0 or b > 0}
    if not padding:
        return cut
    options: dict[str, object] = {} if mode == "constant" else {"mode": modes[mode]}
    if value:
        options["value"] = value
    if isinstance(cut, Filled) and mode == "constant" and (value or 0) == cut.number:
        shape = tuple(size + sum(padding.get(axis, (0, 0))) for axis, size in enumerate(cut.shape))
        return Filled(cut.number, shape, cut.dtype)
    return tracer.call(padded, tracer.value(cut), dict(sorted(padding.items())), **options)


def _padded_to_multiples(tracer: Tracer, x: Operand, pad: Sequence[int], value: Number) -> tuple[Operand, list[int]]:
    """Pad the end of axes whose count in ``pad`` completes a multiple. Return (padded x, ``pad`` without these counts).

    Return (padded value, ``pad`` with 0 in place of the counts that were applied).
    """
    others = list(pad)
    for at in range(1, len(others), 2):
        count, axis = dim_of(others[at]), len(shape_of(x)) - 1 - at // 2
        if isinstance(count, Size) and (rounding := _multiple_of(shape_of(x)[axis], count)) is not None:
            ahead, by = rounding
            options = {"value": value} if value else {}
            whole = tracer.call(padded, tracer.value(x), {axis: (0, ahead)}, **options) if ahead else tracer.value(x)
            x, others[at] = tracer.call(pad_to_multiple, whole, by, axis, **options), 0
    return x, others


def _multiple_of(size: Dim, count: Size) -> tuple[int, int] | None:
    """Return (n, m) if ``size + count`` is the smallest multiple of m that is at least ``size + n``; else None."""
    for floor in floors_of(count):
        for ahead in range(floor.by):
            if ceil_divide(size + ahead, floor.by) * floor.by == size + count:
                return ahead, floor.by
    return None


def pad_circular(tracer: Tracer, x: Operand, padding: dict[int, tuple[int, int]]) -> Operand:
    """Return x with axes padded by the entries of the opposite end.

    Args:
        tracer: The tracer.
        x: The value.
        padding: (before, after) by axis.
    """
    if any(count < 0 for pair in padding.values() for count in pair):
        raise UnreadableError(f"circular padding has negative counts {[*padding.values()]}; remove entries by slicing")
    pairs = {axis: pair for axis, pair in sorted(padding.items()) if any(pair)}
    return tracer.call(padded, tracer.value(x), pairs, mode="wrap") if pairs else x
