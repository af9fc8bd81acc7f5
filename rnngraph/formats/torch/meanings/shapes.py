"""What torch's functions that move elements mean: shapes, slices, joining, choosing by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ....declare.functions import basic
from ....declare.functions.arrays.moves import moved_order, swapped_order, tile
from ....declare.tensor import build, constant
from ....ir.types import Dim, Size, product, quotient, uncommon, whole_quotient
from ...steps import Index, Value
from ..tracing.kinds import Axes, Operand, Result
from ..tracing.numbers import dim_of
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Repeated, Stacked, dtype_of, expanded_of, shape_of

ALL = slice(None)


def axis_of(rank: int, dim: int) -> int:
    return int(dim) % rank if rank else 0


# Shapes ---------------------------------------------------------------------------------------------


def reshaped(tracer: Tracer, x: Operand, target: Sequence[Dim]) -> Operand:
    """x in another shape. target: sizes, one of which may be -1."""
    shape, dims = shape_of(x), list(target)
    if -1 in dims:
        rest = [dim for dim in dims if dim != -1]
        whole = _without(tracer, shape, rest)
        if whole is None:
            whole = tracer.sizes.value(product(shape)) // max(1, tracer.sizes.value(product(rest)))
            for dim in (dim for dims in uncommon(shape, rest) for dim in dims):
                tracer.sizes.fix(dim)
        dims[dims.index(-1)] = whole
    if tuple(dims) == tuple(shape):
        return x
    expanded = expanded_of(x)
    if expanded is not None:
        return reshaped(tracer, expanded[0], dims)
    if isinstance(x, Value) and tuple(dims) == (1, *shape):
        return tracer.call(basic.expand_dims, x, 0)
    if isinstance(x, Filled):
        return Filled(x.number, tuple(dims), x.dtype)
    if isinstance(x, Stacked) and len(x.items) == 1 and tuple(dims) == (*shape[: x.axis], *shape[x.axis + 1 :]):
        return x.items[0]
    try:
        written = _written_shape(tracer, shape, dims)
    except UnreadableError as error:  # a later layer may settle one of them
        if not tracer.undecided:
            tracer.problem(f"a reshape: {error}")
        return of_shape(tracer, tracer.value(x), dims)
    return tracer.call(basic.reshape, tracer.value(x), written)


def of_shape(tracer: Tracer, x: Value, dims: Sequence[Dim]) -> Value:
    """Something of this shape, in a run that only finds out more of sizes: none of its script is kept."""
    made = tracer.call(basic.identity, x)
    made.step.thing = build("broadcast", constant(0, x.tensor.dtype), shape=tuple(dims))
    return Value(made.step.thing, made.step)


def _without(tracer: Tracer, shape: Sequence[Dim], others: Sequence[Dim]) -> Dim | None:
    """What the product of ``shape`` is, divided by that of others; None where sizes must be numbers for that. A size
    that is in the example what it is divided by was written down as a number.
    """
    left, divisors = uncommon(shape, others)
    divisor = product(divisors)
    if isinstance(divisor, int) and quotient(product(left), divisor) is None:
        for dim in left:
            if isinstance(dim, Size) and tracer.sizes.value(dim) == divisor:
                tracer.sizes.fix(dim)
    return whole_quotient(product(left), divisor)


def _written_shape(tracer: Tracer, shape: Sequence[Dim], target: Sequence[Dim]) -> tuple[Any, ...]:
    """Sizes as a script has them: ints, None where an axis stays, names, and -1 for at most one other."""
    entries: list[Any] = []
    for axis, dim in enumerate(target):
        if isinstance(dim, int):
            entries.append(dim)
        elif axis < len(shape) and shape[axis] == dim:
            entries.append(None)
        else:
            entries.append(-1)
    if entries.count(-1) > 1:
        unnamed = [axis for axis, entry in enumerate(entries) if entry == -1]
        for axis in unnamed:
            dim = target[axis]
            if isinstance(dim, Size) and dim.symbol and entries.count(-1) > 1:
                entries[axis] = tracer.name_of(dim)
    if entries.count(-1) > 1:
        raise UnreadableError("two of its sizes are computed ones; give all but one as numbers, or as sizes of inputs")
    return tuple(entries)


def sizes_of(given: Sequence[Any]) -> list[Dim]:
    entries = given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given
    return [dim_of(entry) for entry in entries]


@meaning("view", "reshape", "_unsafe_view")
def _view(tracer: Tracer, x: Operand, *shape: Any, **named: Any) -> Result:
    given = shape or (named.get("shape", named.get("size")),)
    if len(given) == 1 and isinstance(given[0], torch.dtype):
        raise UnreadableError("another dtype of the same bytes")
    return reshaped(tracer, x, sizes_of(given))


@meaning("view_as", "reshape_as")
def _view_as(tracer: Tracer, x: Operand, other: Operand) -> Result:
    return reshaped(tracer, x, shape_of(other))


@meaning("flatten", "ravel")
def _flatten(tracer: Tracer, x: Operand, start_dim: int = 0, end_dim: int = -1) -> Result:
    shape = shape_of(x)
    if not shape:
        return reshaped(tracer, x, [1])
    first, last = axis_of(len(shape), start_dim), axis_of(len(shape), end_dim)
    return reshaped(tracer, x, [*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]])


@meaning("unflatten")
def _unflatten(tracer: Tracer, x: Operand, dim: int, sizes: Any) -> Result:
    shape = shape_of(x)
    axis = axis_of(len(shape), dim)
    parts = [dim_of(entry) for entry in sizes]
    if -1 in parts:
        rest = quotient(shape[axis], product(part for part in parts if part != -1))
        if rest is None:
            rest = tracer.sizes.fix(shape[axis])
        parts[parts.index(-1)] = rest
    return reshaped(tracer, x, [*shape[:axis], *parts, *shape[axis + 1 :]])


@meaning("unsqueeze")
def unsqueezed(tracer: Tracer, x: Operand, dim: int) -> Result:
    shape = shape_of(x)
    axis = axis_of(len(shape) + 1, dim)
    whole = (*shape[:axis], 1, *shape[axis:])
    if isinstance(x, Filled):
        return Filled(x.number, whole, x.dtype)
    return Stacked((x,), axis, whole, dtype_of(x)) if isinstance(x, Value) else reshaped(tracer, x, whole)


@meaning("squeeze")
def _squeeze(tracer: Tracer, x: Operand, dim: Axes = None) -> Result:
    shape = shape_of(x)
    axes = (
        range(len(shape))
        if dim is None
        else [axis_of(len(shape), one) for one in ([dim] if isinstance(dim, int) else dim)]
    )
    gone = []
    for axis in axes:
        if tracer.sizes.value(shape[axis]) == 1:
            tracer.sizes.fix(shape[axis])
            gone.append(axis)
        elif dim is not None:
            tracer.sizes.fix(shape[axis])
    kept = [size for axis, size in enumerate(shape) if axis not in gone]
    if len(kept) == len(shape):
        return x
    if isinstance(x, Stacked) and gone == [x.axis]:
        return x.items[0]
    if isinstance(x, Filled):
        return Filled(x.number, tuple(kept), x.dtype)
    if (expanded := expanded_of(x)) and gone == [expanded[1]]:
        return expanded[0]
    if len(gone) == 1 and (entry := _entry(tracer, x, gone[0])):
        return entry
    return tracer.call(basic.squeeze, tracer.value(x), gone[0] if len(gone) == 1 else tuple(gone))


def _entry(tracer: Tracer, x: Operand, axis: int) -> Value | None:
    """An entry of an axis in place of a slice of one, where x is such a slice of that axis alone."""
    if not isinstance(x, Value) or not isinstance(x.step.key, Index) or x.path:
        return None
    index = x.step.key.index
    if len(index) != axis + 1 or any(entry != ALL for entry in index[:axis]) or not isinstance(index[axis], slice):
        return None
    start, size = index[axis].start or 0, shape_of(x.step.operands[0])[axis]
    if not isinstance(size, int) or not isinstance(start, int) or index[axis].step is not None:
        return None
    return tracer.script.item(x.step.operands[0], *index[:axis], start)


def permuted(tracer: Tracer, x: Operand, order: Sequence[int]) -> Operand:
    order = [axis_of(len(shape_of(x)), axis) for axis in order]
    if order == sorted(order):
        return x
    if isinstance(x, Filled):
        return Filled(x.number, tuple(x.shape[axis] for axis in order), x.dtype)
    x = tracer.value(x)
    if x.step.key is basic.transpose and not x.path:  # of two transpositions one is left, or none
        before, first = x.step.operands
        return permuted(tracer, before, [first[axis] for axis in order])
    return tracer.call(basic.transpose, x, tuple(order))


@meaning("transpose", "swapaxes", "swapdims", "transpose_")
def _transpose(tracer: Tracer, x: Operand, dim0: int, dim1: int) -> Result:
    rank = len(shape_of(x)) if not isinstance(x, torch.Tensor) else x.dim()
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    a, b = axis_of(rank, dim0), axis_of(rank, dim1)
    order = swapped_order(rank, a, b) if rank else ()
    if isinstance(x, Stacked) and {a, b} == {x.axis, 1 - x.axis} and x.axis < 2 and len(x.items) > 1:
        shape = tuple(x.shape[axis] for axis in order)
        return Stacked(x.items, 1 - x.axis, shape, x.dtype)
    return permuted(tracer, x, order)


@meaning("permute")
def _permute(tracer: Tracer, x: Operand, *dims: Any) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims)


@meaning("t", ".T", ".mT", "adjoint")
def _turned(tracer: Tracer, x: Operand) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    rank = len(shape_of(x))
    return permuted(tracer, x, [*range(rank - 2), rank - 1, rank - 2]) if rank > 1 else x


@meaning("movedim", "moveaxis")
def _moved(tracer: Tracer, x: Operand, source: Any, destination: Any) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, moved_order(len(shape_of(x)), source, destination))


@meaning("expand", "broadcast_to", "expand_as")
def _expand(tracer: Tracer, x: Operand, *sizes: Any, **_: Any) -> Result:
    is_like = len(sizes) == 1 and isinstance(sizes[0], Value | Lazy)
    return expanded(tracer, x, shape_of(sizes[0]) if is_like else sizes_of(sizes))


@meaning("broadcast_tensors")
def _broadcast_tensors(tracer: Tracer, *items: Any) -> Result:
    given = items[0] if len(items) == 1 and isinstance(items[0], list | tuple) else items
    values = [item if isinstance(item, Value | Lazy) else tracer.value(item) for item in given]
    whole = tracer.sizes.broadcast(*map(shape_of, values))
    return tuple(expanded(tracer, value, whole) for value in values)


def expanded(tracer: Tracer, x: Operand, wanted: Sequence[Dim]) -> Operand:
    """x repeated along axes of size 1 and new ones in front. wanted: sizes, -1 where one stays."""
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    own = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    wanted = [have if want == -1 else want for have, want in zip(own, wanted, strict=True)]
    for have, want in zip(own, wanted, strict=True):
        if have != 1 and isinstance(have, Size) and tracer.sizes.value(have) == 1 != tracer.sizes.value(want):
            tracer.sizes.fix(have)
    if isinstance(x, Filled):
        return Filled(x.number, tuple(wanted), x.dtype)
    value = tracer.value(reshaped(tracer, tracer.value(x.of if isinstance(x, Repeated) else x), _inner(x, own)))
    return value if shape_of(value) == tuple(wanted) else Repeated(value, tuple(wanted))


def _inner(x: Operand, own: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape of what is repeated, with as many axes in front as ``own`` has."""
    if not isinstance(x, Repeated):
        return own
    inner = shape_of(x.of)
    return (1,) * (len(own) - len(inner)) + inner


@meaning("repeat", "tile")
def _repeat(tracer: Tracer, x: Operand, *counts: Any, **named: Any) -> Result:
    given = sizes_of(counts or (named.get("repeats", named.get("dims")),))
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    own = (1,) * (len(given) - len(shape)) + tuple(shape)
    given = [*(1,) * (len(own) - len(given)), *given]
    if all(have == 1 or count == 1 for have, count in zip(own, given, strict=True)):
        return expanded(tracer, x, [have if count == 1 else count for have, count in zip(own, given, strict=True)])
    if isinstance(x, Filled):
        return Filled(x.number, tuple(have * count for have, count in zip(own, given, strict=True)), x.dtype)
    value = reshaped(tracer, tracer.value(x), own)
    return tracer.call(tile, value, [tracer.sizes.fix(count) for count in given])
