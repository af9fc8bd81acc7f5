"""Functions that move or repeat entries along axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.types import product
from ....support.api_guard import api
from ....support.arguments import entries, whole_number
from ....support.errors import ArgumentError, ShapeError, shown
from ...tensor import Tensor, as_tensor, build
from ..basic import Axis, axes_of, concat, one_axis
from ..padding import slice_axis


@api
def flip(x: Any, axis: Axis = None) -> Tensor:
    """Reverse the order of entries along ``axis``: an int, several, or None for all axes, as ``numpy.flip`` does."""
    x = as_tensor(x)
    for place in axes_of(x, axis):
        x = build("reverse", x, axis=place)
    return x


@api
def roll(x: Any, shift: int, axis: int | None = None) -> Tensor:
    """Shift entries along ``axis`` circularly, as ``numpy.roll`` does.

    Args:
        x: Tensor.
        shift: Number of positions; negative values shift towards the start. Each call checks that an axis of symbolic
            size has at least that many entries.
        axis: Axis. None: x is flattened for the shift.
    """
    x, offset = as_tensor(x), whole_number(shift, "shift")
    if axis is None:
        flat = build("reshape", x, shape=(product(x.type.shape),))
        return build("reshape", roll(flat, offset, 0), shape=x.type.shape)
    place = one_axis(x.rank, axis)
    size = x.type.shape[place]
    if isinstance(size, int):
        offset = offset % size if size else 0
    if not offset:
        return x
    cut = size - offset if offset > 0 else -offset
    return concat([slice_axis(x, place, cut, size, None), slice_axis(x, place, 0, cut, None)], place)


@api
def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """Repeat each entry of ``axis``, as ``numpy.repeat`` does.

    Args:
        x: Tensor.
        repeats: Number of copies of each entry, at least 1; copies are adjacent.
        axis: Axis. None: x is flattened first.
    """
    x, count = as_tensor(x), whole_number(repeats, "repeats", 1)
    if axis is None:
        return repeat(build("reshape", x, shape=(product(x.type.shape),)), count, 0)
    place, shape = one_axis(x.rank, axis), x.type.shape
    if count == 1:
        return x
    before, size, after = shape[:place], shape[place], shape[place + 1 :]
    separated = build("reshape", x, shape=(*before, size, 1, *after))
    copies = build("broadcast", separated, shape=(*before, size, count, *after))
    return build("reshape", copies, shape=(*before, size * count, *after))


@api
def tile(x: Any, multiples: Sequence[int]) -> Tensor:
    """Repeat x as a whole ``multiples[a]`` times along each axis a.

    Args:
        x: Tensor.
        multiples: One count for each axis, at least 1.

    Raises:
        ShapeError: The number of counts is not the rank of x.
    """
    x = as_tensor(x)
    counts = [whole_number(count, "a multiple", 1) for count in entries(multiples, "multiples")]
    if len(counts) != x.rank:
        raise ShapeError(f"tile: {len(counts)} multiples for a tensor of rank {x.rank}; give one for each axis")
    for axis, count in enumerate(counts):
        if count > 1:
            shape = x.type.shape
            separated = build("reshape", x, shape=(*shape[:axis], 1, *shape[axis:]))
            copies = build("broadcast", separated, shape=(*shape[:axis], count, *shape[axis:]))
            x = build("reshape", copies, shape=(*shape[:axis], count * shape[axis], *shape[axis + 1 :]))
    return x


@api
def unstack(x: Any, axis: int = 0) -> list[Tensor]:
    """Return the entries of an axis as a list, each without that axis, as ``numpy.unstack`` does.

    Raises:
        ShapeError: The axis has a symbolic size.
    """
    x = as_tensor(x)
    place = one_axis(x.rank, axis)
    size = x.type.shape[place]
    if not isinstance(size, int):
        raise ShapeError(
            f"can't unstack axis {axis} of {x!r}: its size is symbolic; use a driver such as rg.dynamic_rnn"
        )
    before = (slice(None),) * place
    return [x[(*before, number)] for number in range(size)]


@api
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Exchange ``axis1`` and ``axis2``, as ``numpy.swapaxes`` does."""
    x = as_tensor(x)
    return build("transpose", x, order=swapped_order(x.rank, axis1, axis2))


@api
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move the axes ``source`` to ``destination``, as ``numpy.moveaxis`` does. The other axes keep their order."""
    x = as_tensor(x)
    return build("transpose", x, order=moved_order(x.rank, source, destination))


def swapped_order(rank: int, axis1: int, axis2: int) -> tuple[int, ...]:
    """Return the order of axes for ``transpose`` that exchanges two axes."""
    first, second = one_axis(rank, axis1), one_axis(rank, axis2)
    order = list(range(rank))
    order[first], order[second] = second, first
    return tuple(order)


def moved_order(rank: int, source: int | Sequence[int], destination: int | Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes for ``transpose`` that moves axes from ``source`` to ``destination``.

    The other axes keep their order.
    """
    axes, places = (
        [one_axis(rank, axis) for axis in ([argument] if isinstance(argument, int) else entries(argument, name))]
        for argument, name in ((source, "source"), (destination, "destination"))
    )
    if len(axes) != len(places) or len(set(axes)) < len(axes) or len(set(places)) < len(places):
        raise ArgumentError(
            f"moveaxis can't move axes {shown(source)} to {shown(destination)}; name as many axes as positions, each "
            "once"
        )
    order = [axis for axis in range(rank) if axis not in axes]
    for place, axis in sorted(zip(places, axes, strict=True)):
        order.insert(place, axis)
    return tuple(order)
