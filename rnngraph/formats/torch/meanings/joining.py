"""What torch's functions that join and cut tensors mean, and those that write into them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from ....declare.functions import basic
from ....declare.functions.arrays import moves
from ....declare.functions.padding import pad as padded
from ....ir.types import Dim, Size, product
from ...steps import Value
from ..tracing.kinds import Operand, Operands, Result
from ..tracing.numbers import dim_of
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Stacked, dtype_of, expanded_of, shape_of
from .shapes import axis_of, unsqueezed
from .slicing import entry_of, of_steps, part


@meaning("cat", "concat", "concatenate")
def _cat(tracer: Tracer, tensors: Operands, dim: int = 0, **named: Any) -> Result:
    dtype = DTYPES[tracer.expected.dtype]
    rank = tracer.expected.dim()
    axis = axis_of(rank, named.get("axis", dim))
    items: list[Any] = [item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors]
    items = [item for item in items if tracer.sizes.value(product(shape_of(item))) or len(shape_of(item)) == rank]
    for other in range(rank):
        if other != axis:
            for item in items[1:]:
                tracer.sizes.meet(shape_of(items[0])[other], shape_of(item)[other])
    total = sum((shape_of(item)[axis] for item in items[1:]), shape_of(items[0])[axis])
    shape = (*shape_of(items[0])[:axis], total, *shape_of(items[0])[axis + 1 :])
    return joined(tracer, items, axis, shape, dtype)


def joined(tracer: Tracer, items: list[Any], axis: int, shape: tuple[Dim, ...], dtype: str) -> Operand:
    """Items one behind the other. shape: of all of it."""
    if len(items) == 1:
        return items[0]
    if all(isinstance(item, Filled) and item.number == items[0].number for item in items):
        return Filled(items[0].number, shape, dtype)
    items = [_as_stack(item, axis) for item in items]
    if all(isinstance(item, Stacked) and item.axis == axis for item in items):
        parts = tuple(part for item in items for part in item.items)
        return of_steps(tracer, parts, axis, dtype)
    joined = _with_edges(tracer, items, axis, dtype)
    return joined or tracer.call(basic.concat, [tracer.value(item, dtype) for item in items], axis)


def _as_stack(x: Operand, axis: int) -> Any:
    """A value to which this axis was added as a stack of one."""
    expanded = expanded_of(x)
    if expanded is None or expanded[1] != axis:
        return x
    return Stacked((expanded[0],), axis, shape_of(x), dtype_of(x))


def _with_edges(tracer: Tracer, items: list[Any], axis: int, dtype: str) -> Operand:
    """Padding, where numbers stand before or after what is joined."""
    fixed = [item for item in items if isinstance(item, Filled) and isinstance(item.shape[axis], int)]
    middle = [number for number, item in enumerate(items) if item not in fixed]
    numbers = {item.number for item in fixed}
    if len(shape_of(items[0])) < 3:
        return None  # of a step: what it carries is joined to what it reads
    if not fixed or len(numbers) > 1 or not middle or middle != [*range(middle[0], middle[-1] + 1)]:
        return None
    inner = [tracer.value(items[number], dtype) for number in middle]
    whole = inner[0] if len(inner) == 1 else tracer.call(basic.concat, inner, axis)
    before = sum(int(item.shape[axis]) for item in items[: middle[0]])
    after = sum(int(item.shape[axis]) for item in items[middle[-1] + 1 :])
    options = {} if numbers == {0} else {"value": float(numbers.pop())}
    return tracer.call(padded, whole, {axis: (before, after)}, **options)


@meaning("stack")
def _stack(tracer: Tracer, tensors: Operands, dim: int = 0) -> Result:
    dtype = DTYPES[tracer.expected.dtype]
    items = tuple(item if isinstance(item, Value | Lazy) else tracer.value(item) for item in tensors)
    for item in items[1:]:
        for a, b in zip(shape_of(items[0]), shape_of(item), strict=True):
            tracer.sizes.meet(a, b)
    return of_steps(tracer, items, axis_of(tracer.expected.dim(), dim), dtype)


@meaning("hstack")
def _hstack(tracer: Tracer, tensors: Operands) -> Result:
    return _cat(tracer, tensors, 1 if tracer.expected.dim() > 1 else 0)


def _pieces(tracer: Tracer, x: Operand, axis: int, sizes: Sequence[Dim]) -> Operands:
    shape = shape_of(x)
    expanded = expanded_of(x)
    if expanded is not None and expanded[1] == 0 < axis:
        return tuple(unsqueezed(tracer, part, 0) for part in _pieces(tracer, expanded[0], axis - 1, sizes))
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
    found: list[Any] = []
    start: Dim = 0
    for width in sizes:
        found.append(part(tracer, x, axis, start, start + width))
        start = start + width
    return tuple(found)


@meaning("tensor_split")
def _tensor_split(tracer: Tracer, x: Operand, sections: Any = None, dim: int = 0, *, indices: Any = None) -> Result:
    """So many parts of which the first may be one longer, or parts between places."""
    sections = indices if sections is None else sections
    axis = axis_of(len(shape_of(x)), dim)
    size = tracer.sizes.fix(shape_of(x)[axis])
    if isinstance(sections, int):
        return _pieces(tracer, x, axis, [size // sections + (place < size % sections) for place in range(sections)])
    places = [0, *(min(size, max(0, int(place) + (size if place < 0 else 0))) for place in sections), size]
    return _pieces(tracer, x, axis, [max(0, later - place) for place, later in pairwise(places)])


@meaning("split", "split_with_sizes")
def _split(tracer: Tracer, x: Operand, split_size: Any = None, dim: int = 0, **named: Any) -> Result:
    split_size = named.get("split_size_or_sections", named.get("split_sizes", split_size))
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if isinstance(split_size, list | tuple):
        return _pieces(tracer, x, axis, [dim_of(entry) for entry in split_size])
    if isinstance(size, Size):
        parts = len(tracer.expected)
        return _pieces(tracer, x, axis, [int(split_size)] * parts) if int(split_size) == 1 else _fixed(tracer, size)
    count = int(split_size)
    return _pieces(tracer, x, axis, [min(count, size - start) for start in range(0, size, count)])


def _fixed(tracer: Tracer, size: Size) -> NoReturn:
    tracer.sizes.close(size.symbols)


@meaning("chunk")
def _chunk(tracer: Tracer, x: Operand, chunks: int, dim: int = 0) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    if isinstance(size, Size) and len(tracer.expected) == tracer.sizes.value(size):
        return _pieces(tracer, x, axis, [1] * len(tracer.expected))
    size = tracer.sizes.fix(size)
    each = -(-size // int(chunks))
    return _pieces(tracer, x, axis, [min(each, size - start) for start in range(0, size, each)])


@meaning("unbind")
def _unbind(tracer: Tracer, x: Operand, dim: int = 0) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    return tuple(entry_of(tracer, x, axis, place) for place in range(len(tracer.expected)))


@meaning("flip")
def _flip(tracer: Tracer, x: Operand, *dims: Any) -> Result:
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    rank = len(shape_of(x))
    axes = {axis_of(rank, axis) for axis in given}
    if isinstance(x, Filled):
        return x
    if isinstance(x, Stacked) and axes == {x.axis}:
        return Stacked(x.items[::-1], x.axis, x.shape, x.dtype)
    return tracer.call(moves.flip, tracer.value(x), min(axes) if len(axes) == 1 else tuple(sorted(axes)))


@meaning("roll")
def _roll(tracer: Tracer, x: Operand, shifts: Any, dims: Any = None) -> Result:
    if isinstance(shifts, list | tuple):
        for shift, dim in zip(shifts, dims, strict=True):
            x = _roll(tracer, x, shift, dim)
        return x
    axis = [] if dims is None else [axis_of(len(shape_of(x)), dims[0] if isinstance(dims, list | tuple) else dims)]
    if int(shifts) == 0 or isinstance(x, Filled):
        return x
    return tracer.call(moves.roll, tracer.value(x), int(shifts), *axis)


@meaning("pad")
def _pad(tracer: Tracer, x: Operand, pad: Any, mode: str = "constant", value: Any = None) -> Result:
    rank = len(shape_of(x))
    pairs = [(int(pad[at]), int(pad[at + 1])) for at in range(0, len(pad), 2)]
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if mode == "circular":
        return turned_round(tracer, x, {rank - 1 - at: pair for at, pair in enumerate(pairs)})
    if mode not in modes:
        raise UnreadableError(f"mode={mode!r}")
    cut = x
    for at, (before, after) in enumerate(pairs):
        axis, size = rank - 1 - at, shape_of(cut)[rank - 1 - at]
        if before < 0 or after < 0:
            cut = part(tracer, cut, axis, max(0, -before), size - max(0, -after))
    found = {rank - 1 - at: (max(0, a), max(0, b)) for at, (a, b) in enumerate(pairs) if a > 0 or b > 0}
    if not found:
        return cut
    options: dict[str, Any] = {} if mode == "constant" else {"mode": modes[mode]}
    if value:
        options["value"] = value
    if isinstance(cut, Filled) and mode == "constant" and (value or 0) == cut.number:
        shape = tuple(size + sum(found.get(axis, (0, 0))) for axis, size in enumerate(cut.shape))
        return Filled(cut.number, shape, cut.dtype)
    return tracer.call(padded, tracer.value(cut), dict(sorted(found.items())), **options)


def turned_round(tracer: Tracer, x: Operand, around: dict[int, tuple[int, int]]) -> Operand:
    """x with the end of each axis before its beginning, and the beginning behind its end."""
    if any(count < 0 for pair in around.values() for count in pair):
        raise UnreadableError("a circular padding is read of numbers from 0 on")
    pairs = {axis: pair for axis, pair in sorted(around.items()) if any(pair)}
    return tracer.call(padded, tracer.value(x), pairs, mode="wrap") if pairs else x
