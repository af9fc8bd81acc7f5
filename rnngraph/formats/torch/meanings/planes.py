"""What convolutions and pools along two axes mean, of which one has a fixed size: what a window reads along that one is
written out, and the other is time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ....declare.functions import basic
from ....declare.functions.convolutions import average_pool1d, conv1d, max_pool1d
from ....declare.functions.padding import pad as padded
from ....ir.sizes.polynomial import floor_divide
from ....ir.types import Dim, Size
from ...steps import Value
from ..tracing.calls import array_of
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tracer import Tracer
from ..tracing.values import shape_of
from .products import layer_of, same_dtype
from .shapes import of_shape, permuted, reshaped

MOST_ACROSS = 64
"""Entries of windows along an axis that is written out."""


@dataclass(frozen=True)
class _Window:
    """What an entry of the result reads along one axis."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def span(self) -> int:
        """Entries behind the first."""
        return self.dilation * (self.size - 1)

    @property
    def is_idle(self) -> bool:
        return self.size == self.stride == 1 and not self.before and not self.after

    def count(self, dim: Dim) -> Dim:
        """Of windows along an axis of this size."""
        rest = dim + (self.before + self.after - self.span - 1)
        return floor_divide(rest, self.stride) + 1 if isinstance(rest, Size) else rest // self.stride + 1


def _pair(given: Any) -> tuple[Any, Any]:
    if isinstance(given, list | tuple):
        return (given[0], given[1]) if len(given) > 1 else (given[0], given[0])
    return given, given


def _windows(size: Any, stride: Any, padding: Any, dilation: Any) -> list[_Window]:
    found = []
    sides = [padding, padding] if isinstance(padding, str) else _pair(padding)
    for one, step, side, apart in zip(_pair(size), _pair(stride), sides, _pair(dilation), strict=True):
        span = int(apart) * (int(one) - 1)
        around = {"valid": (0, 0), "same": (span // 2, span - span // 2)}.get(side) if isinstance(side, str) else None
        before, after = (int(side), int(side)) if around is None else around
        found.append(_Window(int(one), int(step), int(apart), before, after))
    return found


def _across(tracer: Tracer, sizes: Sequence[Dim], windows: Sequence[_Window]) -> int | None:
    """Which of two axes is written out: one that windows leave as it is, else one of fixed size, of two the second.
    None where both are open.
    """
    for place in (0, 1):
        if windows[place].is_idle:
            return place
    for place in (1, 0):
        if isinstance(sizes[place], int):
            if windows[place].size > MOST_ACROSS:
                raise UnreadableError(f"it runs along two axes with windows of {windows[place].size}")
            return place
    return None


def _along(
    tracer: Tracer, x: Any, windows: Sequence[_Window], width: int,
    run: Callable[[Value, _Window, _Window, int], Value],
) -> Any:  # fmt: skip
    """x [batch, channels, height, width], by a function of x as [batch, across, along, channels], of the windows across
    and along, and of which axis is across. width: channels of the result.
    """
    x = tracer.value(x)
    if len(shape_of(x)) != 4:
        raise UnreadableError("it is read of [batch, channels, height, width]")
    batch, _, *sizes = shape_of(x)
    across = _across(tracer, sizes, windows)
    if across is None:
        tracer.undecided.append(sizes[1])
        shape = (batch, width, *(window.count(size) for window, size in zip(windows, sizes, strict=True)))
        return of_shape(tracer, x, shape)
    tracer.on_time(sizes[1 - across])
    moved = tracer.value(permuted(tracer, x, (0, 2 + across, 3 - across, 1)))
    found = run(moved, windows[across], windows[1 - across], across)
    return permuted(tracer, found, (0, 3, 1, 2) if across == 0 else (0, 3, 2, 1))


def _parts(tracer: Tracer, x: Value, window: _Window, fill: float) -> list[Value]:
    """Of x [batch, across, along, channels] what each entry of a window reads across."""
    if window.is_idle:
        return [x]
    if window.before or window.after:
        options = {"value": fill} if fill else {}
        x = tracer.call(padded, x, {1: (window.before, window.after)}, **options)
    size = shape_of(x)[1]
    assert isinstance(size, int)
    behind = (size - window.span - 1) // window.stride * window.stride + 1
    step = None if window.stride == 1 else window.stride
    starts = [entry * window.dilation for entry in range(window.size)]
    return [tracer.script.item(x, slice(None), slice(start or None, start + behind, step)) for start in starts]


def _by_rows(tracer: Tracer, x: Value, run: Callable[[Value], Value]) -> Value:
    """A function of [rows, along, channels], of [batch, across, along, channels]."""
    batch, across, along, channels = shape_of(x)
    first = reshaped(tracer, permuted(tracer, x, (2, 0, 1, 3)), [along, batch * across, channels])
    found = permuted(tracer, run(tracer.value(permuted(tracer, first, (1, 0, 2)))), (1, 0, 2))
    count, _, width = shape_of(found)
    return tracer.value(permuted(tracer, reshaped(tracer, found, [count, batch, across, width]), (1, 2, 0, 3)))


@meaning("conv2d")
def _conv2d(tracer: Tracer, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
            dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    if not isinstance(weight, torch.Tensor):
        raise UnreadableError("it is read with a weight of the module's")
    if tracer.use(weight):
        raise UnreadableError("a convolution's weight is used several times; give each use a module of its own")
    x = tracer.value(x)
    same_dtype(x, weight)
    if len(shape_of(x)) == 4:
        tracer.sizes.meet(shape_of(x)[1], weight.shape[1] * groups)
    windows = _windows(weight.shape[2:], stride, padding, dilation)

    def run(x: Value, across: _Window, along: _Window, place: int) -> Value:
        if groups > 1 and across.size > 1:
            raise UnreadableError("it runs along two axes in groups")
        parts = _parts(tracer, x, across, 0.0)
        beside = parts[0] if len(parts) == 1 else tracer.call(basic.concat, parts, 3)
        kernel = array_of(weight) if place == 0 else array_of(weight).swapaxes(2, 3)
        side = kernel.transpose(0, 2, 1, 3).reshape(kernel.shape[0], -1, kernel.shape[3])
        scope = tracer.script.scope(layer_of(tracer.path_of(weight)))
        tracer.script.own(scope, {"kernel": side.transpose(2, 1, 0)})
        if bias is not None:
            tracer.script.own(scope, {"bias": array_of(bias)})
        options: dict[str, Any] = {"padding": (along.before, along.after) if along.before or along.after else "valid"}
        options |= {"dilation": along.dilation} if along.dilation > 1 else {}
        options |= {"strides": along.stride} if along.stride > 1 else {}
        options |= {"groups": groups} if groups > 1 else {}
        options |= {"use_bias": False} if bias is None else {}
        filters, size = side.shape[0], side.shape[2]
        return _by_rows(tracer, beside, lambda rows: tracer.call(conv1d, rows, filters, size, **options, name=scope))

    return _along(tracer, x, windows, weight.shape[0], run)


def _pooled(tracer: Tracer, x: Any, windows: Sequence[_Window], is_max: bool) -> Any:
    fill = float("-inf") if is_max else 0.0

    def run(x: Value, across: _Window, along: _Window, _: int) -> Value:
        parts = _parts(tracer, x, across, fill)
        found = parts[0]
        for part in parts[1:]:
            found = tracer.call(basic.maximum, found, part) if is_max else tracer.script.operation("+", found, part)
        if not is_max and len(parts) > 1:
            found = tracer.script.operation("/", found, float(len(parts)))
        if along.is_idle:
            return found
        if along.before or along.after:
            options = {"value": fill} if fill else {}
            found = tracer.call(padded, found, {2: (along.before, along.after)}, **options)
        pool, strides = max_pool1d if is_max else average_pool1d, [] if along.stride == along.size else [along.stride]
        return _by_rows(tracer, found, lambda rows: tracer.call(pool, rows, along.size, *strides))

    x = tracer.value(x)
    width = shape_of(x)[1] if len(shape_of(x)) == 4 else 0
    return _along(tracer, x, windows, tracer.sizes.fix(width), run)


@meaning("max_pool2d", "max_pool2d_with_indices")
def _max_pool(tracer: Tracer, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
              ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    windows = _windows(kernel_size, kernel_size if stride in (None, [], ()) else stride, padding, dilation)
    if ceil_mode or return_indices or any(window.dilation > 1 for window in windows):
        raise UnreadableError("it is read without ceil_mode, return_indices and dilation")
    return _pooled(tracer, x, windows, True)


@meaning("avg_pool2d")
def _average_pool(tracer: Tracer, x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
                  ceil_mode: bool = False, count_include_pad: bool = True,
                  divisor_override: Any = None) -> Any:  # fmt: skip
    windows = _windows(kernel_size, kernel_size if stride in (None, [], ()) else stride, padding, 1)
    if ceil_mode or divisor_override is not None or (padding not in (0, (0, 0)) and not count_include_pad):
        raise UnreadableError("it is read without ceil_mode and divisor_override, and with count_include_pad")
    return _pooled(tracer, x, windows, False)
