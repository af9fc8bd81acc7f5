"""Handlers of functions that reshape, transpose and broadcast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from ....declare.functions import basic
from ....declare.functions.arrays.moves import moved_order, swapped_order, tile
from ....declare.tensor import build, constant
from ....ir.types import Dim, Size, product, quotient, size, uncommon, whole_quotient
from ...operators.backend import entries_of
from ...steps import Index, Value
from ..tracing.kinds import Axes, Extents, Operand, Operands, Result
from ..tracing.numbers import dim_of
from ..tracing.registry import UnreadableError, reads
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Repeated, Stacked, dtype_of, expanded_of, shape_of

ALL = slice(None)


def axis_of(rank: int, dim: int) -> int:
    """Return ``dim`` as a nonnegative axis; 0 for a scalar."""
    return int(dim) % rank if rank else 0


def flat_arguments(args: Sequence[Any]) -> Sequence[Any]:
    """Return arguments as one sequence, whether they were passed one by one or as one list."""
    return args[0] if len(args) == 1 and isinstance(args[0], list | tuple) else args


# Shapes ---------------------------------------------------------------------------------------------


def reshaped(tracer: Tracer, x: Operand, target: Sequence[Dim]) -> Operand:
    """Return x in another shape.

    Args:
        target: Sizes, one of which may be -1.
    """
    shape, dims = shape_of(x), _with_counts(tracer, shape_of(x), target)
    if -1 in dims:
        rest = [dim for dim in dims if dim != -1]
        whole = _divide_shapes(tracer, shape, rest)
        if whole is None:
            whole = tracer.sizes.value(product(shape)) // max(1, tracer.sizes.value(product(rest)))
            for dim in (dim for dims in uncommon(shape, rest) for dim in dims):
                tracer.sizes.fix(dim)
        dims[dims.index(-1)] = whole
    else:
        _settle(tracer, product(shape), product(dims))
    if tuple(dims) == tuple(shape):
        return x
    tracer.wrote_numbers |= isinstance(x, Repeated)
    if isinstance(x, Repeated) and tracer.keeps_filled:
        x = tracer.value(x)  # An initial state must be reshaped by the same steps as later states.
    expanded = expanded_of(x)
    if expanded is not None:
        return reshaped(tracer, expanded[0], dims)
    if isinstance(x, Value) and x.step.key is basic.reshape and shape_of(x.step.operands[0]) == tuple(dims):
        return x.step.operands[0]  # A reshape that undoes an earlier one.
    added = next((axis for axis in range(len(dims)) if dims == [*shape[:axis], 1, *shape[axis:]]), None)
    if isinstance(x, Value) and added is not None:
        return tracer.call(basic.expand_dims, x, added)
    if tracer.is_number(x):
        return Filled(x.number, tuple(dims), x.dtype)
    if isinstance(x, Stacked) and len(x.items) == 1 and tuple(dims) == (*shape[: x.axis], *shape[x.axis + 1 :]):
        return x.items[0]
    try:
        # Axes of unrolled steps are written as -1, because rolling up the loop changes their sizes.
        entries = entries_of(shape, dims, tracer.sizes.selected)
    except UnreadableError as error:  # A later layer may fix one of the sizes.
        if not tracer.undecided and (moved := _around_an_axis(tracer, tracer.value(x), dims)) is not None:
            return moved
        if not tracer.undecided:
            tracer.problem(f"a reshape: {error}")
        return of_shape(tracer, tracer.value(x), dims)
    return tracer.call(basic.reshape, tracer.value(x), entries)


def _around_an_axis(tracer: Tracer, x: Value, dims: Sequence[Dim]) -> Operand | None:
    """Reshape x by moving an unchanged axis of symbolic size to the front, and back after the reshape.

    At the front, ``rg.reshape`` can write its size as None, so that -1 is free for another computed size. Return None
    if no such axis is unchanged.
    """
    shape = shape_of(x)
    for axis, place in itertools.product(range(len(shape)), range(len(dims))):
        is_unchanged = shape[axis] == dims[place] and product(shape[:axis]) == product(dims[:place])
        if not is_unchanged or isinstance(dims[place], int):
            continue
        order = [axis, *(other for other in range(len(shape)) if other != axis)]
        wanted = [dims[place], *dims[:place], *dims[place + 1 :]]
        try:
            entries = entries_of([shape[other] for other in order], wanted, tracer.sizes.selected)
        except UnreadableError:
            continue
        moved = tracer.call(basic.reshape, tracer.value(permuted(tracer, x, order)), entries)
        return permuted(tracer, moved, [*range(1, place + 1), 0, *range(place + 1, len(dims))])
    return None


def _with_counts(tracer: Tracer, shape: Sequence[Dim], target: Sequence[Dim]) -> list[Dim]:
    """Return target sizes in which step counts of unrolled loops are replaced by the symbolic size that they equal.

    The module's code has such a count as ``len(outputs)``. Counts are replaced until the target fits ``shape``.
    """
    dims, whole = list(target), product(shape)
    names = whole.plain_symbols if isinstance(whole, Size) else ()
    for place, dim in enumerate(dims):
        if _fits(shape, dims):
            break
        for name in names if isinstance(dim, int) and dim in tracer.sizes.counts else ():
            if tracer.sizes.value(size(name)) == dim:
                with_name = [*dims[:place], size(name), *dims[place + 1 :]]
                dims = with_name if _fits(shape, with_name) else dims
    return dims


def _fits(shape: Sequence[Dim], dims: Sequence[Dim]) -> bool:
    """True if a shape has as many entries as another one, in which one size may be -1."""
    left, others = uncommon(shape, [dim for dim in dims if dim != -1])
    rest = quotient(product(left), product(others))
    return rest == 1 if -1 not in dims else rest is not None


def _settle(tracer: Tracer, entries: Dim, wanted: Dim) -> None:
    """Fix a size that a reshape determines: if B*T*W entries must be 4*B*T entries, W is 4.

    Raises ``SizesChanged`` if it fixes a size.
    """
    if entries == wanted or not isinstance(entries, Size):
        return
    for name in sorted(entries.plain_symbols):
        others = quotient(entries, size(name))
        determined = None if others is None else quotient(wanted, others)
        if isinstance(determined, int) and determined == tracer.sizes.value(size(name)):
            tracer.sizes.unify(size(name), determined)


def of_shape(tracer: Tracer, x: Value, dims: Sequence[Dim]) -> Value:
    """Return a placeholder value of a shape, for a run whose script is discarded because a size is undecided."""
    stand_in = tracer.call(basic.identity, x)
    stand_in.step.result = build("broadcast", constant(0, x.tensor.dtype), shape=tuple(dims))
    return Value(stand_in.step.result, stand_in.step)


def _divide_shapes(tracer: Tracer, shape: Sequence[Dim], others: Sequence[Dim]) -> Dim | None:
    """Return prod(shape) / prod(others); None if the division needs fixed sizes.

    If the divisor equals the example's value of adjacent sizes, the module hard-codes these sizes, so they are fixed.
    """
    left, divisors = uncommon(shape, others)
    divisor = product(divisors)
    if isinstance(divisor, int) and quotient(product(left), divisor) is None:
        for first, last in itertools.combinations(range(len(left) + 1), 2):
            if tracer.sizes.value(product(left[first:last])) == divisor:
                for dim in left[first:last]:
                    tracer.sizes.fix(dim)
    return whole_quotient(product(left), divisor)


def sizes_of(args: Sequence[Any]) -> list[Dim]:
    """Return sizes as a list of symbolic sizes and ints, whether they were passed one by one or as one list."""
    return [dim_of(entry) for entry in flat_arguments(args)]


@reads("view", "reshape", "_unsafe_view")
def _view(
    tracer: Tracer, x: Operand, *args: Any, shape: Sequence[int] = (), size: Sequence[int] = (), dtype: object = None
) -> Result:
    if dtype is not None or (args and isinstance(args[0], torch.dtype)):
        raise UnreadableError("it reinterprets the bytes of a tensor in another dtype; convert with to()")
    return reshaped(tracer, x, sizes_of(args or (shape or size,)))


@reads("view_as", "reshape_as")
def _view_as(tracer: Tracer, x: Operand, other: Operand) -> Result:
    return reshaped(tracer, x, shape_of(other))


@reads("flatten", "ravel")
def _flatten(tracer: Tracer, x: Operand, start_dim: int = 0, end_dim: int = -1) -> Result:
    shape = shape_of(x)
    if not shape:
        return reshaped(tracer, x, [1])
    first, last = axis_of(len(shape), start_dim), axis_of(len(shape), end_dim)
    return reshaped(tracer, x, [*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]])


@reads("unflatten")
def _unflatten(tracer: Tracer, x: Operand, dim: int, sizes: Sequence[int]) -> Result:
    shape = shape_of(x)
    axis = axis_of(len(shape), dim)
    parts = [dim_of(entry) for entry in sizes]
    if -1 in parts:
        rest = quotient(shape[axis], product(part for part in parts if part != -1))
        if rest is None:
            rest = tracer.sizes.fix(shape[axis])
        parts[parts.index(-1)] = rest
    return reshaped(tracer, x, [*shape[:axis], *parts, *shape[axis + 1 :]])


@reads("unsqueeze")
def unsqueezed(tracer: Tracer, x: Operand, dim: int) -> Result:
    shape = shape_of(x)
    axis = axis_of(len(shape) + 1, dim)
    whole = (*shape[:axis], 1, *shape[axis:])
    if tracer.is_number(x):
        return Filled(x.number, whole, x.dtype)
    if isinstance(x, Filled):  # such as a loop's initial state, which is stacked with later states
        x = tracer.value(x)
    return Stacked((x,), axis, whole, dtype_of(x)) if isinstance(x, Value) else reshaped(tracer, x, whole)


@reads("squeeze")
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
    if tracer.is_number(x):
        return Filled(x.number, tuple(kept), x.dtype)
    if (expanded := expanded_of(x)) and gone == [expanded[1]]:
        return expanded[0]
    if len(gone) == 1 and (entry := _entry_of_slice(tracer, x, gone[0])):
        return entry
    return tracer.call(basic.squeeze, tracer.value(x), gone[0] if len(gone) == 1 else tuple(gone))


def _entry_of_slice(tracer: Tracer, x: Operand, axis: int) -> Value | None:
    """If x is a slice of size 1 along an axis, return that entry without the axis; None otherwise."""
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
    """Return x with its axes in the order ``order``. Consecutive transposes are merged."""
    order = [axis_of(len(shape_of(x)), axis) for axis in order]
    if order == sorted(order):
        return x
    if tracer.is_number(x):
        return Filled(x.number, tuple(x.shape[axis] for axis in order), x.dtype)
    x = tracer.value(x)
    if x.step.key is basic.transpose and not x.path:  # Two transposes are merged, or cancel.
        before, first = x.step.operands
        return permuted(tracer, before, [first[axis] for axis in order])
    return tracer.call(basic.transpose, x, tuple(order))


@reads("transpose", "swapaxes", "swapdims", "transpose_")
def _transpose(tracer: Tracer, x: Operand, dim0: int, dim1: int) -> Result:
    rank = len(shape_of(x)) if not isinstance(x, torch.Tensor) else x.dim()
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    a, b = axis_of(rank, dim0), axis_of(rank, dim1)
    order = swapped_order(rank, a, b) if rank else ()
    if isinstance(x, Stacked) and {a, b} == {x.axis, 1 - x.axis} and x.axis < 2 and len(x.items) > 1:
        shape = tuple(x.shape[axis] for axis in order)
        return Stacked(x.items, 1 - x.axis, shape, x.dtype)
    return permuted(tracer, x, order)


@reads("permute")
def _permute(tracer: Tracer, x: Operand, *args: Any, dims: Sequence[int] = ()) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, flat_arguments(args) or dims)


@reads("t", ".mT", "adjoint")
def _matrix_transpose(tracer: Tracer, x: Operand) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    rank = len(shape_of(x))
    return permuted(tracer, x, swapped_order(rank, -2, -1)) if rank > 1 else x


@reads(".T")
def _reversed_axes(tracer: Tracer, x: Operand) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, range(len(shape_of(x)))[::-1])


@reads("movedim", "moveaxis")
def _moved(tracer: Tracer, x: Operand, source: Extents, destination: Extents) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    return permuted(tracer, x, moved_order(len(shape_of(x)), source, destination))


@reads("expand", "broadcast_to", "expand_as")
def _expand(tracer: Tracer, x: Operand, *args: Any, size: Sequence[int] = (), other: Any = None, **_: object) -> Result:
    like = args[0] if len(args) == 1 else other
    if isinstance(like, Value | Lazy):
        return expanded(tracer, x, shape_of(like))
    return expanded(tracer, x, sizes_of(args or (size,)))


@reads("broadcast_tensors")
def _broadcast_tensors(tracer: Tracer, *args: Operand | Operands) -> Result:
    values = [item if isinstance(item, Value | Lazy) else tracer.value(item) for item in flat_arguments(args)]
    whole = tracer.sizes.broadcast(*map(shape_of, values))
    return tuple(expanded(tracer, value, whole) for value in values)


def expanded(tracer: Tracer, x: Operand, wanted: Sequence[Dim]) -> Operand:
    """Return x broadcast along axes of size 1 and along new leading axes.

    Args:
        tracer: The tracer.
        x: The value.
        wanted: Sizes of the result; -1 for an unchanged size.
    """
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    own = (1,) * (len(wanted) - len(shape)) + tuple(shape)
    wanted = [have if want == -1 else want for have, want in zip(own, wanted, strict=True)]
    for have, want in zip(own, wanted, strict=True):
        if have == 1 or have == want:
            continue
        if isinstance(have, Size) and tracer.sizes.value(have) == 1 != tracer.sizes.value(want):
            tracer.sizes.fix(have)
        tracer.sizes.unify(have, want)
    if isinstance(x, Filled):
        return Filled(x.number, tuple(wanted), x.dtype)
    if isinstance(x, Value | Lazy) and shape == tuple(wanted):
        return x
    value = tracer.value(
        reshaped(tracer, tracer.value(x.of if isinstance(x, Repeated) else x), _shape_before_broadcast(x, own))
    )
    return value if shape_of(value) == tuple(wanted) else Repeated(value, tuple(wanted))


def _shape_before_broadcast(x: Operand, own: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Return the shape of x before broadcasting, with leading axes of size 1 up to the rank of ``own``."""
    if not isinstance(x, Repeated):
        return own
    inner = shape_of(x.of)
    return (1,) * (len(own) - len(inner)) + inner


@reads("repeat", "tile")
def _repeat(tracer: Tracer, x: Operand, *args: Any, repeats: Sequence[int] = (), dims: Sequence[int] = ()) -> Result:
    counts = sizes_of(args or (repeats or dims,))
    shape = shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)
    own = (1,) * (len(counts) - len(shape)) + tuple(shape)
    counts = [*(1,) * (len(own) - len(counts)), *counts]
    if all(have == 1 or count == 1 for have, count in zip(own, counts, strict=True)):
        return expanded(tracer, x, [have if count == 1 else count for have, count in zip(own, counts, strict=True)])
    if isinstance(x, Filled):
        return Filled(x.number, tuple(have * count for have, count in zip(own, counts, strict=True)), x.dtype)
    value = reshaped(tracer, tracer.value(x), own)
    return tracer.call(tile, value, [tracer.sizes.fix(count) for count in counts])
