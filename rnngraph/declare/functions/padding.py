"""Padding with constants, mirrored or repeated entries, and padding for strided windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.sizes.polynomial import Dim, ceil_divide, floor_divide
from ...support.api_guard import api
from ...support.arguments import one_of, whole_number
from ...support.errors import ArgumentError, ShapeError, Where, shown, user_line, warn
from ...support.records import dataclass
from ..tensor import Tensor, as_tensor, build, like
from .basic import concat, one_axis

MODES = ("constant", "reflect", "edge", "wrap")


@api
def pad(x: Any, paddings: Any, mode: str = "constant", value: float = 0) -> Tensor:
    """Pad x along its axes, as ``numpy.pad`` does.

    Args:
        x: Tensor.
        paddings: (before, after) for each axis, or one pair or one number for all axes. A mapping from axes to pairs or
            numbers leaves other axes unpadded.
        mode: ``constant``: fill with ``value``. ``reflect``: mirror the entries, without a copy of the first or last
            one. ``edge``: repeat the first or last entry. ``wrap``: continue with the entries of the other end.
        value: Constant of the mode ``constant``.

    Raises:
        ArgumentError: ``paddings`` are not counts, or the mode is unknown.
        ShapeError: An axis has too few entries for the mode. For symbolic sizes, each call checks this.
    """
    x, line = as_tensor(x), user_line()
    one_of(mode, "mode", MODES)
    pairs = _pairs(x, paddings, line)
    if len(pairs) > 1 and any(pairs[0]) and not isinstance(x.type.shape[0], int) and np.shape(paddings) == (2,):
        pair = shown(paddings)
        warn(
            f"paddings={pair} pads all {len(pairs)} axes of {x!r}, the symbolic first one too, as numpy.pad does; "
            f"write [{pair}] for that, and {{-1: {pair}}} for the last axis alone, as in torch",
            line,
        )
    for axis, (before, after) in enumerate(pairs):
        x = padded(x, axis, before, after, mode, value, line)
    return x


@api
def pad_to_multiple(x: Any, multiple: int, axis: int = 1, value: float = 0) -> Tensor:
    """Pad the end of an axis, so that ``multiple`` divides its size. A divisible size is not padded.

    Args:
        x: Tensor.
        multiple: Divisor of the new size.
        axis: Axis, whose size may be symbolic.
        value: Value of the padding.
    """
    x, line = as_tensor(x), user_line()
    place, by = one_axis(x.rank, axis), whole_number(multiple, "multiple", 1)
    size = x.type.shape[place]
    return padded(x, place, 0, ceil_divide(size, by) * by - size, "constant", value, line)


def _pairs(x: Tensor, paddings: Any, line: Where | None) -> list[tuple[int, int]]:
    """Convert the argument ``paddings`` of ``pad`` to a pair (before, after) for each axis of x."""
    if isinstance(paddings, Mapping):
        pairs = [(0, 0)] * x.rank
        for axis, padding in paddings.items():
            pairs[one_axis(x.rank, axis)] = _broadcast_counts(padding, (2,), line)
        return pairs
    return [(before, after) for before, after in _broadcast_counts(paddings, (x.rank, 2), line)]


def _broadcast_counts(counts: Any, shape: tuple[int, ...], line: Where | None) -> Any:
    """Broadcast counts of ``paddings`` to ``shape``, and return them as nested lists of ints."""
    wrong = ArgumentError(f"paddings={shown(counts)} must be ints of 0 or more, (before, after) for each axis", line)
    try:
        numbers = np.asarray(counts)
        repeated = np.broadcast_to(numbers, shape)
    except (ValueError, TypeError, RuntimeError):
        raise wrong from None
    if numbers.size and (numbers.dtype.kind not in "iu" or numbers.min() < 0):
        raise wrong
    return repeated.tolist()


def padded(x: Tensor, axis: int, before: Dim, after: Dim, mode: str, value: Any, where: Where | None) -> Tensor:
    """Pad one axis of x by ``before`` and ``after`` entries. The mode and the value are those of ``pad``.

    For symbolic sizes, each call checks that the axis is long enough for the mode.
    """
    size = x.type.shape[axis]
    for count in (before, after):
        if isinstance(size, int) and isinstance(count, int) and mode != "constant" and count:
            minimum = {"reflect": count + 1, "wrap": count, "edge": 1}[mode]
            if size < minimum:
                raise ShapeError(
                    f"{mode} padding of {count} needs {minimum} entries or more along axis {axis}, not {size}; "
                    "pad less, or with zeros",
                    where,
                )

    def piece(count: Dim, start: Dim) -> list[Tensor]:
        """Return the padding of one side, computed from x's entries from ``start`` on; empty if ``count`` is 0."""
        if count == 0:
            return []
        shape = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
        if mode == "constant":
            return [build("broadcast", like(value, x), shape=shape, where=where)]
        if mode == "reflect":
            return [build("reverse", slice_axis(x, axis, start, start + count, where), axis=axis, where=where)]
        if mode == "wrap":
            return [slice_axis(x, axis, start, start + count, where)]
        return [build("broadcast", slice_axis(x, axis, start, start + 1, where), shape=shape, where=where)]

    last = size - 1
    front = piece(before, {"reflect": 1, "wrap": size - before}.get(mode, 0))
    back = piece(after, {"reflect": last - after, "wrap": 0}.get(mode, last))
    return concat([*front, x, *back], axis) if front or back else x


def slice_axis(x: Tensor, axis: int, start: Dim, stop: Dim, where: Where | None) -> Tensor:
    """Return x[start:stop] along an axis, where the bounds may be symbolic."""
    starts = tuple(start if other == axis else 0 for other in range(x.rank))
    stops = tuple(stop if other == axis else dim for other, dim in enumerate(x.type.shape))
    return build("slice", x, start=starts, stop=stops, step=(1,) * x.rank, where=where)


def same_padding(steps: Dim, span: int, stride: int) -> tuple[Dim, Dim]:
    """Return the padding (before, after) with which a sequence has ceil(steps / stride) windows.

    If the sum of both is odd, the padding after is larger by one step, as in TensorFlow.

    Args:
        steps: Number of steps of the sequence.
        span: Distance in steps from the first to the last entry of a window.
        stride: Distance in steps between neighbouring windows.
    """
    if not span:
        return 0, 0
    missing = (ceil_divide(steps, stride) - 1) * stride + span + 1 - steps  # greater than -stride, and at most span
    if isinstance(missing, int):
        total: Dim = max(missing, 0)
    elif span + 1 >= stride:
        total = missing
    else:
        total = missing * floor_divide(missing + stride, stride)  # times 0 if ``missing`` is negative, else 1
    before = floor_divide(total, 2)
    return before, total - before


@dataclass(frozen=True)
class WindowSizes:
    """Windows over time.

    Attributes:
        size: Number of entries in a window.
        stride: Distance in steps between neighbouring windows.
        dilation: Distance in steps between neighbouring entries of a window.
        padding: ``valid``, ``same``, ``reflect``, ``causal`` or (before, after).
    """

    size: int
    stride: int
    dilation: int
    padding: str | tuple[int, int]


def windows_over_time(what: str, x: Tensor, sizes: WindowSizes, fill: float, where: Where | None) -> Tensor:
    """Return the windows of x [batch, time, width] as [batch, windows, size, width].

    Args:
        what: Name of the calling function, for errors.
        x: float Tensor.
        sizes: Sizes of the windows.
        fill: Value of the padding.
        where: Line of the declaration.
    """
    size, stride, padding = sizes.size, sizes.stride, sizes.padding
    steps, span = x.type.shape[1], sizes.dilation * (size - 1)
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
        raise ShapeError(f"{what} needs at least {span + 1} steps for a window, not {whole}; use padding='same'", where)
    x = padded(x, 1, before, after, mode, fill, where)
    if room:  # add enough padding that one formula gives the number of windows for all sizes
        count = ceil_divide(steps, stride)
        x = slice_axis(padded(x, 1, 0, room, "constant", fill, where), 1, 0, count * stride, where)
    if size == 1:  # windows are single steps, which a stream can run one at a time
        shape = x.type.shape
        if stride > 1:
            x = build("slice", x, start=(0, 0, 0), stop=shape, step=(1, stride, 1), where=where)
        return build("reshape", x, shape=(*x.type.shape[:2], 1, shape[2]), where=where)
    return build("windows", x, axis=1, size=size, step=stride, apart=sizes.dilation, where=where)
