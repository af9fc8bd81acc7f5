"""Convolutions and pools along one axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.convolutions import average_pool1d, conv1d, max_pool1d
from ....ir.types import Dim
from ...script import Value
from ..core.known import Known, Operand, shape_of
from ..core.sizes import UnreadableError, length_of, texts
from ..core.table import Call, Outputs, reads
from .moving import padded


@reads("Conv")
def _conv(call: Call) -> Outputs:
    kernel = call.array(1, "its kernel")
    bias = call.array(2, "its bias") if call.maybe(2) is not None else None
    if call.rank() == 4 and kernel.ndim == 4:
        return _flat(call, kernel, bias)
    if call.rank() != 3 or kernel.ndim != 3:
        raise UnreadableError(
            f"it runs along {call.rank() - 2} axes; one is read, and two of which one has kernels of 1"
        )
    window = _Window(call, 0, 1, kernel.shape[2], call.shape()[2])
    return call.tensors.transpose(_run(call, _time_last(call, call.input(0)), kernel, bias, window), (0, 2, 1))


def _flat(call: Call, kernel: np.ndarray, bias: np.ndarray | None) -> Operand:
    """A convolution along two axes, whose kernel has size 1 along one: rows of that one are rows of a batch."""
    windows = [_Window(call, place, 2, kernel.shape[2 + place], call.shape()[2 + place]) for place in (0, 1)]
    idle = next((place for place in (0, 1) if windows[place].is_idle), None)
    if idle is None:
        raise UnreadableError("it runs along two axes; one is read, and two of which one has kernels of 1")
    along, tensors = 1 - idle, call.tensors
    batch, width = call.shape()[0], call.shape()[2 + idle]
    moved = tensors.transpose(call.input(0), (0, 2 + idle, 2 + along, 1))
    length = shape_of(moved)[2]
    rows = tensors.value(tensors.reshape(moved, [batch * width, length, shape_of(moved)[3]]))
    found = _run(call, rows, kernel.squeeze(2 + idle), bias, windows[along])
    inner = shape_of(found)
    whole = tensors.reshape(found, [batch, width, *inner[1:]])
    return tensors.transpose(whole, (0, 3, 1, 2) if idle == 0 else (0, 3, 2, 1))


def _time_last(call: Call, x: Operand) -> Value:
    return call.tensors.value(call.tensors.transpose(x, (0, 2, 1)))


class _Window:
    """What each output reads along one axis. place: of the axis, among ``count``. size: entries of the axis."""

    def __init__(self, call: Call, place: int, count: int, kernel: int, size: Dim) -> None:
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
            self._same(auto == "SAME_LOWER", size)
        elif auto == "VALID":
            self.before = self.after = 0

    @property
    def span(self) -> int:
        """Entries of a window behind its first."""
        return self.dilation * (self.kernel - 1)

    @property
    def is_idle(self) -> bool:
        return self.kernel == self.stride == 1 and not self.before and not self.after

    def _same(self, is_lower: bool, size: Dim) -> None:
        total = self.span
        if self.stride > 1:
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


@reads("MaxPool", "AveragePool", "LpPool")
def _pool(call: Call) -> Outputs:
    if call.rank() != 3 or call.op == "LpPool":
        raise UnreadableError(f"it pools along {call.rank() - 2} axes; one is read")
    kernels = call.entries("kernel_shape") or [0]
    window = _Window(call, 0, 1, int(kernels[0]), call.shape()[2])
    if window.dilation > 1 or call.whole("storage_order", 0):
        raise UnreadableError("its windows leave steps out")
    is_max, size = call.op == "MaxPool", call.shape()[2]
    before, after = window.before, window.after
    if call.whole("ceil_mode", 0):
        after += _more(window, size)
    padding = "same" if window.is_same else "valid"
    tensors, options = call.tensors, {} if window.stride == window.kernel else {"strides": window.stride}
    if window.is_same:
        options["padding"] = padding
    if window.stride == 1 and (before, after) == (window.span // 2, window.span - window.span // 2) and window.span:
        before, after, options["padding"] = 0, 0, "same"  # of what there is
        if not is_max and call.whole("count_include_pad", 0):
            before, after = window.before, window.after
            del options["padding"]
    counts_all = is_max or not (before or after) or bool(call.whole("count_include_pad", 0))
    if not counts_all or (not is_max and after != window.after and call.whole("ceil_mode", 0)):
        return _counted(call, window, before, after)
    fill = float("-inf") if is_max else 0.0
    x = padded(call, call.input(0), [(0, 0), (0, 0), (before, after)], "constant", fill)
    function = max_pool1d if is_max else average_pool1d
    made = call.script.call(function, _time_last(call, x), window.kernel, **options)
    return [tensors.transpose(made, (0, 2, 1))]


def _more(window: _Window, size: Dim) -> int:
    """How much stands behind so that the last window, which is not whole, counts."""
    if not isinstance(size, int):
        raise UnreadableError("whether a last window counts depends on the call")
    whole = size + window.before + window.after - window.span - 1
    last = -(-whole // window.stride)
    if last * window.stride >= size + window.before:  # it would begin in the padding
        last -= 1
    return max(0, last * window.stride - whole)


def _counted(call: Call, window: _Window, before: int, after: int) -> Operand:
    """Means of the entries that there are: sums by how many they are of."""
    size = call.shape()[2]
    if not isinstance(size, int):
        raise UnreadableError("of how many steps a mean is depends on the call")
    is_counted = np.zeros(before + size + after, np.float32)
    first, last = (0, before + size + window.after) if call.whole("count_include_pad", 0) else (before, before + size)
    is_counted[first:last] = 1
    steps = length_of(0, before + size + after - window.span, window.stride)
    assert isinstance(steps, int)
    counts = [is_counted[step * window.stride :][: window.kernel].sum() for step in range(steps)]
    factors = (window.kernel / np.array(counts, np.float64)).astype(np.float32)
    x = padded(call, call.input(0), [(0, 0), (0, 0), (before, after)], "constant", 0.0)
    options = {} if window.stride == window.kernel else {"strides": window.stride}
    made = call.script.call(average_pool1d, _time_last(call, x), window.kernel, **options)
    factor = call.tensors.value(Known(factors[:, np.newaxis], "float32"), "factor")
    return call.tensors.transpose(call.script.operation("*", made, factor), (0, 2, 1))


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
