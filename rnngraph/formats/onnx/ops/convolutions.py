"""Convolutions and pools along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.convolutions import average_pool1d, conv1d, max_pool1d
from ....ir.sizes.polynomial import ceil_divide
from ....ir.types import Dim
from ...steps import Value
from ..core.known import Known, Operand, shape_of
from ..core.sizes import UnreadableError, texts
from ..core.table import Call, Outputs, reads
from .moving import padded

MOST_ACROSS = 64
"""Entries of kernels along an axis that is written out."""


@reads("Conv")
def _conv(call: Call) -> Outputs:
    bias = call.array(2, "its bias") if call.maybe(2) is not None else None
    return convolved(call, call.input(0), call.array(1, "its kernel"), bias)


@reads("ConvTranspose")
def _transposed(call: Call) -> Outputs:
    """As a convolution of the entries with zeros between them, with the kernel turned round."""
    bias = call.array(2, "its bias") if call.maybe(2) is not None else None
    kernel, x, groups = call.array(1, "its kernel"), call.input(0), call.whole("group", 1)
    if kernel.ndim != len(shape_of(x)) or kernel.ndim < 3 or groups < 1 or kernel.shape[0] % groups:
        raise UnreadableError(f"its kernel {list(kernel.shape)} does not fit {texts(shape_of(x))} in {groups} groups")
    if call.entries("output_shape") is not None:
        raise UnreadableError("it is read without output_shape; say by pads how long its result is")
    count = kernel.ndim - 2
    more = call.entries("output_padding") or [0] * count
    if len(more) != count:
        raise UnreadableError(f"output_padding has {len(more)} entries for {count} axes")
    windows = [_Window(call, place, count, kernel.shape[2 + place], 1, more[place]) for place in range(count)]
    for place, window in enumerate(windows):
        x = _apart(call, x, 2 + place, window.stride)
    around = [
        (window.span - window.before, window.span - window.after - window.stride + 1 + added)
        for window, added in zip(windows, more, strict=True)
    ]
    x = padded(call, x, [(0, 0), (0, 0), *((min(pair[0], 0), min(pair[1], 0)) for pair in around)], "constant", 0.0)
    for window, (before, after) in zip(windows, around, strict=True):
        window.before, window.after, window.stride = max(before, 0), max(after, 0), 1
    parts = np.split(kernel, groups)  # [width / groups, filters / groups, …] of each group
    turned = np.flip(np.concatenate([part.swapaxes(0, 1) for part in parts]), tuple(range(2, kernel.ndim)))
    return convolved(call, x, np.ascontiguousarray(turned), bias, windows)


def _apart(call: Call, x: Operand, axis: int, stride: int) -> Operand:
    """x with zeros behind each entry of an axis, as many as a stride passes over."""
    if stride == 1:
        return x
    shape = shape_of(x)
    pairs = [(0, stride - 1) if place == axis + 1 else (0, 0) for place in range(len(shape) + 1)]
    wide = padded(call, call.tensors.expand_dims(x, [axis + 1]), pairs, "constant", 0.0)
    return call.tensors.reshape(wide, [*shape[:axis], shape[axis] * stride, *shape[axis + 1 :]])


def convolved(
    call: Call, x: Operand, kernel: np.ndarray, bias: np.ndarray | None, windows: Sequence[_Window] | None = None
) -> Operand:
    """x with a kernel [filters, width / groups, size along each axis] and the node's windows, or those given."""
    rank, sizes = len(shape_of(x)), shape_of(x)[2:]
    if rank not in (3, 4) or kernel.ndim != rank:
        raise UnreadableError(f"it runs along {rank - 2} axes; one and two are read")
    if windows is None:
        windows = [_Window(call, place, rank - 2, kernel.shape[2 + place], size) for place, size in enumerate(sizes)]
    if rank == 4:
        return _flat(call, x, kernel, bias, windows)
    return call.tensors.transpose(_run(call, _time_last(call, x), kernel, bias, windows[0]), (0, 2, 1))


def _flat(call: Call, x: Operand, kernel: np.ndarray, bias: np.ndarray | None, windows: Sequence[_Window]) -> Operand:
    """A convolution along two axes, of which one is of fixed size or has kernels of 1: places along that one are rows
    of a batch, and what a kernel reads of them is side by side among the channels.
    """
    across, tensors = _across(shape_of(x)[2:], windows), call.tensors
    window = windows[across]
    kernel = kernel if across == 0 else kernel.swapaxes(2, 3)  # [filters, width, across, along]
    moved = tensors.transpose(x, (0, 2 + across, 3 - across, 1))
    rows = tensors.value(_side_by_side(call, moved, window, 0.0, lambda parts: _by_groups(call, parts)))
    flat = _as_rows(call, rows)
    side = kernel.transpose(0, 2, 1, 3).reshape(kernel.shape[0], -1, kernel.shape[3])
    found = _run(call, flat, side, bias, windows[1 - across])
    return _from_rows(call, found, shape_of(rows), across)


def _by_groups(call: Call, parts: list[Operand]) -> Operand:
    """Channels of all parts side by side, those of one group after the other."""
    tensors, groups = call.tensors, call.whole("group", 1)
    *ahead, channels = shape_of(parts[0])
    if groups == 1:
        return tensors.concat(parts, 3)
    if not isinstance(channels, int) or groups < 1 or channels % groups:
        raise UnreadableError(f"its {channels} channels are no {groups} groups")
    apart = [tensors.reshape(part, [*ahead, groups, channels // groups]) for part in parts]
    return tensors.reshape(tensors.concat(apart, 4), [*ahead, channels * len(parts)])


def _as_rows(call: Call, x: Value) -> Value:
    """x [batch, across, along, channels] as [batch * across, along, channels]. ``along`` stays the same axis of the
    reshape, so that its size may be any formula.
    """
    batch, width, length, channels = shape_of(x)
    first = call.tensors.turned(x, (2, 0, 1, 3))
    return call.tensors.turned(
        call.tensors.value(call.tensors.reshape(first, [length, batch * width, channels])), (1, 0, 2)
    )


def _from_rows(call: Call, x: Value, before: Sequence[Dim], across: int) -> Operand:
    """The same back, with the channels in front of the two axes. before: the shape of what was taken apart."""
    first = call.tensors.turned(x, (1, 0, 2))
    length, _, channels = shape_of(first)
    whole = call.tensors.reshape(first, [length, before[0], before[1], channels])
    return call.tensors.transpose(whole, (1, 3, 2, 0) if across == 0 else (1, 3, 0, 2))


def _across(sizes: Sequence[Dim], windows: Sequence[_Window]) -> int:
    """Which of two axes is written out: one with kernels of 1, else one of fixed size, of two the second."""
    for place in (0, 1):
        if windows[place].is_idle:
            return place
    for place in (1, 0):
        if isinstance(sizes[place], int) and not windows[place].is_same:
            if windows[place].kernel > MOST_ACROSS:
                raise UnreadableError(f"it runs along two axes with kernels of {windows[place].kernel}")
            return place
    raise UnreadableError("it runs along two axes, both of open size")


def _side_by_side(
    call: Call, x: Operand, window: _Window, fill: float, join: Callable[[list[Operand]], Operand]
) -> Operand:
    """Of x [batch, across, along, channels] what each entry of a kernel reads along ``across``, joined."""
    if window.is_idle:
        return x
    x = padded(call, x, [(0, 0), (window.before, window.after), (0, 0), (0, 0)], "constant", fill)
    size = shape_of(x)[1]
    assert isinstance(size, int)
    if size <= window.span:
        raise UnreadableError(f"windows that span {window.span + 1} of an axis of {size}")
    behind = (size - window.span - 1) // window.stride * window.stride + 1
    step = None if window.stride == 1 else window.stride
    starts = [entry * window.dilation for entry in range(window.kernel)]
    index = [[slice(None), slice(start, start + behind, step)] for start in starts]
    return join([call.tensors.taken(x, [*item, slice(None), slice(None)]) for item in index])


def _time_last(call: Call, x: Operand) -> Value:
    return call.tensors.value(call.tensors.transpose(x, (0, 2, 1)))


class _Window:
    """What each output reads along one axis. place: of the axis, among ``count``. size: entries of the axis. more: of
    a transposed convolution, entries that are added behind its result.
    """

    def __init__(self, call: Call, place: int, count: int, kernel: int, size: Dim, more: int | None = None) -> None:
        def of(name: str, default: int) -> int:
            given = call.entries(name)
            if given is not None and len(given) != count:
                raise UnreadableError(f"{name} has {len(given)} entries for {count} axes")
            return int(given[place]) if given else default

        self.kernel, self.stride, self.dilation = of("kernel_shape", kernel), of("strides", 1), of("dilations", 1)
        if self.kernel != kernel or min(self.kernel, self.stride, self.dilation) < 1:
            raise UnreadableError(f"kernel_shape is {self.kernel} for kernels of {kernel}")
        pads = call.entries("pads") or [0, 0] * count
        if len(pads) != 2 * count or min(pads) < 0:
            raise UnreadableError(f"pads are {pads}")
        self.before, self.after = int(pads[place]), int(pads[place + count])
        self.is_same = False
        auto = call.text("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            self._same(auto == "SAME_LOWER", size, more)
        elif auto == "VALID":
            self.before = self.after = 0

    @property
    def span(self) -> int:
        """Entries of a window behind its first."""
        return self.dilation * (self.kernel - 1)

    @property
    def is_idle(self) -> bool:
        return self.kernel == self.stride == 1 and not self.before and not self.after

    def _same(self, is_lower: bool, size: Dim, more: int | None) -> None:
        total = self.span
        if more is not None:  # as many results as strides
            total = max(0, self.span + 1 - self.stride + more)
        elif self.stride > 1:
            if not isinstance(size, int):
                self.is_same = True
                if is_lower:
                    raise UnreadableError("how much SAME_LOWER pads an axis of open size depends on the call")
                return
            total = max(0, (math.ceil(size / self.stride) - 1) * self.stride + self.span + 1 - size)
        self.before, self.after = total // 2, total - total // 2
        if is_lower:
            self.before, self.after = self.after, self.before


def _run(call: Call, x: Value, kernel: np.ndarray, bias: np.ndarray | None, window: _Window) -> Value:
    """x [batch, time, width] with a kernel [filters, width / groups, size], as ``conv1d`` has it."""
    filters, part, size = kernel.shape
    groups, width = call.whole("group", 1), shape_of(x)[2]
    if not isinstance(width, int) or groups < 1 or part * groups != width or filters % groups:
        raise UnreadableError(f"its kernel {list(kernel.shape)} does not fit {width} channels in {groups} groups")
    scope = call.script.scope("conv1d")
    if bias is not None and bias.shape != (filters,):
        raise UnreadableError(f"its bias {list(bias.shape)} does not fit {filters} filters")
    call.script.own(scope, {"kernel": kernel.transpose(2, 1, 0)} | ({} if bias is None else {"bias": bias}))
    padding: Any = (window.before, window.after)
    if window.is_same or (window.stride == 1 and padding == (window.span // 2, window.span - window.span // 2)):
        padding = "same" if window.span else "valid"
    elif padding == (window.span, 0):
        padding = "causal"
    elif padding == (0, 0):
        padding = "valid"
    options: dict[str, Any] = {} if padding == "causal" else {"padding": padding}
    options |= {"dilation": window.dilation} if window.dilation > 1 and window.kernel > 1 else {}
    options |= {"use_bias": False} if bias is None else {}
    options |= {"strides": window.stride} if window.stride > 1 else {}
    options |= {"groups": groups} if groups > 1 else {}
    return call.script.call(conv1d, x, filters, size, **options, name=scope)


@reads("MaxPool", "AveragePool")
def _pool(call: Call) -> Outputs:
    if call.rank() not in (3, 4):
        raise UnreadableError(f"it pools along {call.rank() - 2} axes; one and two are read")
    kernels, count = call.entries("kernel_shape") or [], call.rank() - 2
    if len(kernels) != count or call.whole("storage_order", 0):
        raise UnreadableError(f"its kernels are {kernels}")
    windows = [_Window(call, place, count, int(kernels[place]), call.shape()[2 + place]) for place in range(count)]
    if any(window.dilation > 1 for window in windows):
        raise UnreadableError("its windows leave steps out")
    if count == 1:
        made = _pooled(call, _time_last(call, call.input(0)), windows[0])
        return [call.tensors.transpose(made, (0, 2, 1))]
    return [_pooled_twice(call, windows)]


def _pooled_twice(call: Call, windows: Sequence[_Window]) -> Operand:
    """A pool along two axes: along one written out, along the other as such."""
    across, tensors, script = _across(call.shape()[2:], windows), call.tensors, call.script
    window, is_max = windows[across], call.op == "MaxPool"
    counts_all = is_max or bool(call.whole("count_include_pad", 0))
    if call.whole("ceil_mode", 0):
        added = _more(window, call.shape()[2 + across])
        window.after += added
        counts_all = counts_all and (is_max or not added)
    if (window.before or window.after) and not counts_all:
        raise UnreadableError("its last windows along one of two axes are not whole")

    def join(parts: list[Operand]) -> Operand:
        total = tensors.value(parts[0])
        for part in parts[1:]:
            value = tensors.value(part)
            total = script.call(basic.maximum, total, value) if is_max else script.operation("+", total, value)
        return total if is_max else script.operation("/", total, float(len(parts)))

    moved = tensors.transpose(call.input(0), (0, 2 + across, 3 - across, 1))
    rows = tensors.value(_side_by_side(call, moved, window, float("-inf") if is_max else 0.0, join))
    flat = _as_rows(call, rows)
    found = _pooled(call, flat, windows[1 - across])
    return _from_rows(call, found, shape_of(rows), across)


def _pooled(call: Call, x: Value, window: _Window) -> Value:
    """A pool of x [batch, time, width]."""
    if window.is_idle:
        return x
    is_max, size = call.op == "MaxPool", shape_of(x)[1]
    before, after = window.before, window.after
    if call.whole("ceil_mode", 0):
        after += _more(window, size)
    options: dict[str, Any] = {} if window.stride == window.kernel else {"strides": window.stride}
    counts_all = bool(call.whole("count_include_pad", 0))
    if window.is_same and counts_all and not is_max:
        raise UnreadableError("how much SAME_UPPER pads an axis of open size, which its means count, is not known")
    half = window.span // 2
    is_even = window.stride == 1 and window.span > 0 and (before, after) == (half, window.span - half)
    if window.is_same or (is_even and (is_max or not counts_all)):  # of what there is
        before, after, options["padding"] = 0, 0, "same"
    if not is_max and ((before or after) and (not counts_all or after != window.after)):
        return _counted(call, x, window, before, after)
    fill = float("-inf") if is_max else 0.0
    wide = call.tensors.value(padded(call, x, [(0, 0), (before, after), (0, 0)], "constant", fill))
    return call.script.call(max_pool1d if is_max else average_pool1d, wide, window.kernel, **options)


def _more(window: _Window, size: Dim) -> int:
    """How much stands behind so that the last window, which is not whole, counts."""
    if not isinstance(size, int):
        raise UnreadableError("whether a last window counts depends on the call")
    whole = size + window.before + window.after - window.span - 1
    last = -(-whole // window.stride)
    if last * window.stride >= size + window.before:  # it would begin in the padding
        last -= 1
    return max(0, last * window.stride - whole)


def _counted(call: Call, x: Value, window: _Window, before: int, after: int) -> Value:
    """Means of the entries that there are: sums by how many they are of."""
    size = shape_of(x)[1]
    if not isinstance(size, int):
        raise UnreadableError("of how many steps a mean is depends on the call")
    is_counted = np.zeros(before + size + after, np.float32)
    first, last = (0, before + size + window.after) if call.whole("count_include_pad", 0) else (before, before + size)
    is_counted[first:last] = 1
    steps = ceil_divide(before + size + after - window.span, window.stride)
    assert isinstance(steps, int)
    counts = [is_counted[step * window.stride :][: window.kernel].sum() for step in range(steps)]
    factors = (window.kernel / np.array(counts, np.float64)).astype(np.float32)
    wide = call.tensors.value(padded(call, x, [(0, 0), (before, after), (0, 0)], "constant", 0.0))
    options = {} if window.stride == window.kernel else {"strides": window.stride}
    made = call.script.call(average_pool1d, wide, window.kernel, **options)
    factor = call.tensors.value(Known(factors[:, np.newaxis], "float32"), "factor")
    return call.script.operation("*", made, factor)


@reads("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(call: Call) -> Outputs:
    if call.rank() < 3:
        raise UnreadableError(f"it pools an array of shape {texts(call.shape())}")
    function = basic.reduce_mean if call.op == "GlobalAveragePool" else basic.reduce_max
    turned = call.tensors.turned_from(call.input(0))
    if turned is not None and turned[1] == (0, 2, 1):
        return call.tensors.transpose(call.script.call(function, turned[0], axis=1, keepdims=True), (0, 2, 1))
    axes: Any = tuple(range(2, call.rank()))
    return call.script.call(function, call.value(0), axis=axes if len(axes) > 1 else 2, keepdims=True)
