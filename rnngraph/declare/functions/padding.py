"""Entries around what is there: zeros, mirrored or repeated ones; and how much of it strided windows need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.sizes.polynomial import Dim, ceil_divide, floor_divide
from ...support.api_guard import api
from ...support.arguments import one_of
from ...support.errors import ArgumentError, ShapeError, Where, shown, user_line, warn
from ..tensor import Tensor, as_tensor, build, like
from .basic import concat, one_axis

MODES = ("constant", "reflect", "edge", "wrap")


@api
def pad(x: Any, paddings: Any, mode: str = "constant", value: float = 0) -> Tensor:
    """``x`` with entries around it, as ``numpy.pad`` has it.

    paddings: (before, after) of every axis, as a list of pairs; a list of one pair, or one number, for all axes; or a
    mapping of axes to pairs or numbers, which leaves the others alone.
    mode: ``constant``: ``value`` stands there. ``reflect``: the entries that follow the first one, or precede the
    last one, mirrored, of which there must be as many. ``edge``: the first and the last one again. ``wrap``: the end
    before the beginning, and the beginning behind the end, of which there must be as many.
    """
    x, line = as_tensor(x), user_line()
    one_of(mode, "mode", MODES)
    pairs = _pairs(x, paddings, line)
    if len(pairs) > 1 and any(pairs[0]) and not isinstance(x.type.shape[0], int) and np.shape(paddings) == (2,):
        pair = shown(paddings)
        warn(
            f"paddings={pair} pads all {len(pairs)} axes of {x!r}, the open first one too, as numpy.pad does: write "
            f"[{pair}] for that, and {{-1: {pair}}} for the last axis alone, as torch has it",
            line,
        )
    for axis, (before, after) in enumerate(pairs):
        x = padded(x, axis, before, after, mode, value, line)
    return x


def _pairs(x: Tensor, paddings: Any, line: Where | None) -> list[tuple[int, int]]:
    """How much is to stand before and after each axis."""
    if isinstance(paddings, Mapping):
        pairs = [(0, 0)] * x.rank
        for axis, given in paddings.items():
            pairs[one_axis(x.rank, axis)] = _whole(given, (2,), line)
        return pairs
    return [(before, after) for before, after in _whole(paddings, (x.rank, 2), line)]


def _whole(given: Any, shape: tuple[int, ...], line: Where | None) -> Any:
    """Whole numbers from 0 on, repeated to ``shape`` as NumPy does it."""
    wrong = ArgumentError(f"paddings={shown(given)} must be counts from 0 on, (before, after) for each axis", line)
    try:
        numbers = np.asarray(given)
        repeated = np.broadcast_to(numbers, shape)
    except (ValueError, TypeError, RuntimeError):
        raise wrong from None
    if numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        raise wrong
    return repeated.tolist()


def padded(
    x: Tensor, axis: int, before: Dim, after: Dim, mode: str, value: Any, where: Where | None
) -> Tensor:  # fmt: skip
    """``x`` with ``before`` and ``after`` entries around an axis. Where sizes are open, a call checks that there are
    enough to reflect, or one to repeat.
    """
    size = x.type.shape[axis]
    for count in (before, after):
        if isinstance(size, int) and isinstance(count, int) and mode != "constant" and count:
            least = {"reflect": count + 1, "wrap": count, "edge": 1}[mode]
            if size < least:
                raise ShapeError(
                    f"{mode} padding of {count} needs {least} entries or more along axis {axis}, not {size}; pad less, "
                    "or with zeros",
                    where,
                )

    def piece(count: Dim, start: Dim) -> list[Tensor]:
        """What stands on one side. start: of the entries that it is made of."""
        if count == 0:
            return []
        shape = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
        if mode == "constant":
            return [build("broadcast", like(value, x), shape=shape, where=where)]
        if mode == "reflect":
            return [build("reverse", part(x, axis, start, start + count, where), axis=axis, where=where)]
        if mode == "wrap":
            return [part(x, axis, start, start + count, where)]
        return [build("broadcast", part(x, axis, start, start + 1, where), shape=shape, where=where)]

    last = size - 1
    front = piece(before, {"reflect": 1, "wrap": size - before}.get(mode, 0))
    back = piece(after, {"reflect": last - after, "wrap": 0}.get(mode, last))
    return concat([*front, x, *back], axis) if front or back else x


def part(x: Tensor, axis: int, start: Dim, stop: Dim, where: Where | None) -> Tensor:
    """x[start:stop] of an axis, in sizes."""
    starts = tuple(start if other == axis else 0 for other in range(x.rank))
    stops = tuple(stop if other == axis else dim for other, dim in enumerate(x.type.shape))
    return build("slice", x, start=starts, stop=stops, step=(1,) * x.rank, where=where)


def same_padding(steps: Dim, span: int, stride: int) -> tuple[Dim, Dim]:
    """How much stands before and after, so that ceil(steps / stride) windows have room: as even as can be, the odd one
    after, as in TensorFlow and Keras. span: entries of a window behind its first.
    """
    if not span:
        return 0, 0
    missing = (ceil_divide(steps, stride) - 1) * stride + span + 1 - steps  # above -stride, at most span
    if isinstance(missing, int):
        total: Dim = max(missing, 0)
    elif span + 1 >= stride:
        total = missing
    else:
        total = missing * floor_divide(missing + stride, stride)  # times 0 where it is negative, else times 1
    before = floor_divide(total, 2)
    return before, total - before


def windows_over_time(
    what: str, x: Tensor, size: int, stride: int, apart: int, padding: str | tuple[int, int], fill: float,
    where: Where | None,
) -> Tensor:  # fmt: skip
    """x [batch, time, width] as [batch, windows, size, width]: every ``stride``-th window of ``size`` steps ``apart``.

    padding: ``valid``, ``same``, ``reflect``, ``causal`` or (before, after). fill: what stands around x. what: takes
    the windows.
    """
    steps, span = x.type.shape[1], apart * (size - 1)
    mode, room = "reflect" if padding == "reflect" else "constant", 0
    before: Dim
    after: Dim
    if isinstance(padding, tuple):
        before, after = padding
    elif padding in ("same", "reflect"):
        before, after = same_padding(steps, span, stride)
        room = 0 if not span or isinstance(steps, int) or span + 1 >= stride else stride - 1
    else:
        before, after = span if padding == "causal" else 0, 0
    whole = before + steps + after
    if isinstance(whole, int) and whole <= span and steps != 0:
        raise ShapeError(f"{what} needs at least {span + 1} steps for a window, not {whole}; pad, as same does", where)
    x = padded(x, 1, before, after, mode, fill, where)
    if room:  # so much is in front that the number of windows is one formula
        count = ceil_divide(steps, stride)
        x = part(padded(x, 1, 0, room, "constant", fill, where), 1, 0, count * stride, where)
    if size == 1:  # steps as they are, which a stream takes one by one
        shape = x.type.shape
        if stride > 1:
            x = build("slice", x, start=(0, 0, 0), stop=shape, step=(1, stride, 1), where=where)
        return build("reshape", x, shape=(*x.type.shape[:2], 1, shape[2]), where=where)
    return build("windows", x, axis=1, size=size, step=stride, apart=apart, where=where)
