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
from ..padding import part


@api
def flip(x: Any, axis: Axis = None) -> Tensor:
    """x with its entries in the opposite order along ``axis``, an int, several, or None for all, as ``numpy.flip``."""
    x = as_tensor(x)
    for place in axes_of(x, axis):
        x = build("reverse", x, axis=place)
    return x


@api
def roll(x: Any, shift: int, axis: int | None = None) -> Tensor:
    """x with its entries moved on by ``shift`` along ``axis``, those of the end to the beginning, as ``numpy.roll``.

    shift: below 0 towards the beginning. An axis of open size must have as many entries at each call.
    axis: None for the entries of all axes in a row.
    """
    x, by = as_tensor(x), whole_number(shift, "shift")
    if axis is None:
        flat = build("reshape", x, shape=(product(x.type.shape),))
        return build("reshape", roll(flat, by, 0), shape=x.type.shape)
    place = one_axis(x.rank, axis)
    size = x.type.shape[place]
    if isinstance(size, int):
        by = by % size if size else 0
    if not by:
        return x
    cut = size - by if by > 0 else -by
    return concat([part(x, place, cut, size, None), part(x, place, 0, cut, None)], place)


@api
def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """x with each entry of ``axis`` ``repeats`` times, one after the other, as ``numpy.repeat``.

    axis: None for the entries of all axes in a row.
    """
    x, count = as_tensor(x), whole_number(repeats, "repeats", 1)
    if axis is None:
        return repeat(build("reshape", x, shape=(product(x.type.shape),)), count, 0)
    place, shape = one_axis(x.rank, axis), x.type.shape
    if count == 1:
        return x
    before, size, after = shape[:place], shape[place], shape[place + 1 :]
    apart = build("reshape", x, shape=(*before, size, 1, *after))
    many = build("broadcast", apart, shape=(*before, size, count, *after))
    return build("reshape", many, shape=(*before, size * count, *after))


@api
def tile(x: Any, multiples: Sequence[int]) -> Tensor:
    """x repeated ``multiples[a]`` times along each axis a."""
    x = as_tensor(x)
    counts = [whole_number(count, "a multiple", 1) for count in entries(multiples, "multiples")]
    if len(counts) != x.rank:
        raise ShapeError(f"{len(counts)} multiples for a tensor of rank {x.rank}")
    for axis, count in enumerate(counts):
        if count > 1:
            shape = x.type.shape
            apart = build("reshape", x, shape=(*shape[:axis], 1, *shape[axis:]))
            many = build("broadcast", apart, shape=(*shape[:axis], count, *shape[axis:]))
            x = build("reshape", many, shape=(*shape[:axis], count * shape[axis], *shape[axis + 1 :]))
    return x


@api
def unstack(x: Any, axis: int = 0) -> list[Tensor]:
    """The entries of ``axis``, whose size is fixed, each without that axis, as ``numpy.unstack``."""
    x = as_tensor(x)
    place = one_axis(x.rank, axis)
    size = x.type.shape[place]
    if not isinstance(size, int):
        raise ShapeError(f"can't unstack axis {axis} of {x!r}: its size is open; use a driver such as rg.dynamic_rnn")
    before = (slice(None),) * place
    return [x[(*before, number)] for number in range(size)]


@api
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """x with ``axis1`` and ``axis2`` exchanged, as ``numpy.swapaxes``."""
    x = as_tensor(x)
    return build("transpose", x, order=swapped_order(x.rank, axis1, axis2))


@api
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """x with the axes of ``source`` at the places of ``destination``, as ``numpy.moveaxis``; others stay in order."""
    x = as_tensor(x)
    return build("transpose", x, order=moved_order(x.rank, source, destination))


def swapped_order(rank: int, axis1: int, axis2: int) -> tuple[int, ...]:
    """Return the order of axes that exchanges two."""
    first, second = one_axis(rank, axis1), one_axis(rank, axis2)
    order = list(range(rank))
    order[first], order[second] = second, first
    return tuple(order)


def moved_order(rank: int, source: int | Sequence[int], destination: int | Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes that puts some at other places and keeps the order of the others."""
    axes, places = (
        [one_axis(rank, axis) for axis in ([given] if isinstance(given, int) else entries(given, name))]
        for given, name in ((source, "source"), (destination, "destination"))
    )
    if len(axes) != len(places) or len(set(axes)) < len(axes) or len(set(places)) < len(places):
        raise ArgumentError(f"axes {shown(source)} can't move to {shown(destination)}; name each axis and place once")
    order = [axis for axis in range(rank) if axis not in axes]
    for place, axis in sorted(zip(places, axes, strict=True)):
        order.insert(place, axis)
    return tuple(order)
