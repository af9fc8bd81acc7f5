"""Convolutions and pooling over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.attributes import MAX_DIVISOR
from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import flag, one_of, whole_number
from ...support.arguments import units as positive
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, shown, user_line
from ...support.records import dataclass
from ..cell import Cell, Scope
from ..initializers import DEFAULT_INITIALIZER
from ..layer import within
from ..parameters import ScopeName, scope_name
from ..running.drivers import run_steps
from ..tensor import Tensor, build, constant
from .activations import activation_function
from .basic import concat, reduce_max, reduce_sum, reshape, stack
from .layers import owned
from .padding import WindowSizes, windows_over_time

MIN_SIDE_BY_SIDE = 8
"""Minimum number of groups for computing a convolution with one group in each vector lane.

With fewer groups, one matrix product for each group is faster.
"""
PADDINGS = ("causal", "same", "valid", "reflect")
Padding = str | tuple[int, int]


@api
def conv1d(
    x: Tensor,
    filters: int,
    kernel_size: int,
    padding: Padding = "causal",
    dilation: int = 1,
    activation: str | Callable[[Any], Tensor] | None = None,
    use_bias: bool = True,
    name: str | None = None,
    *,
    strides: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve x over time, add a bias, and apply an activation.

    Parameters: ``conv1d/kernel`` [kernel_size, width / groups, filters] and ``conv1d/bias`` [filters].

    Args:
        x: float [batch, time, width].
        filters: Width of the result.
        kernel_size: Number of steps that an output reads.
        padding: ``causal``: zeros before the first step, so that an output reads only its own and earlier steps.
            ``same``: ceil(time / strides) outputs, with as many zeros before as after, the odd one after.
            ``reflect``: like ``same``, with the mirrored sequence in place of zeros. ``valid``: no padding.
            (before, after): numbers of zeros.
        dilation: Distance in steps between neighbouring entries of the kernel.
        activation: Name, function, or None for no activation.
        use_bias: Add a bias.
        name: Scope of the parameters in place of ``conv1d``.
        strides: Distance in steps between the windows of neighbouring outputs.
        groups: Number of equal parts of the width that are convolved separately. Equal to the width: a depthwise
            convolution.

    Returns:
        Tensor [batch, steps, filters].

    Raises:
        DtypeError: x is not a float Tensor.
        ShapeError: x is not [batch, time, width], or has too few steps for ``valid``.
        ArgumentError: ``padding`` is unknown, or ``groups`` does not divide the width and ``filters``.
    """
    scope = scope_name(name, "conv1d", user_line())
    windows = Windows.checked("kernel_size", kernel_size, strides, dilation, padding, scope.where)
    return convolution(x, filters, windows, groups, activation, use_bias, scope)


@api
def max_pool1d(x: Tensor, pool_size: int, strides: int | None = None, padding: str = "valid") -> Tensor:
    """Return the maximum of each window of ``pool_size`` steps. Equal maxima share the gradient evenly.

    Args:
        x: float [batch, time, width].
        pool_size: Steps in a window.
        strides: Distance in steps between neighbouring windows; default ``pool_size``.
        padding: ``valid``: whole windows only. ``same``: ceil(time / strides) outputs; windows at the ends are cut off.

    Returns:
        Tensor [batch, steps, width].

    Raises:
        ShapeError: x is not [batch, time, width].
    """
    scope = ScopeName("max_pool1d", False, user_line())
    with within(scope.layer):
        return reduce_max(_pools(scope, x, pool_size, strides, padding).of(x, scope, float("-inf")), 2)


@api
def average_pool1d(x: Tensor, pool_size: int, strides: int | None = None, padding: str = "valid") -> Tensor:
    """Return the mean of each window of ``pool_size`` steps.

    With ``same``, a window that is cut off at an end averages its remaining steps.

    Args:
        x: float [batch, time, width].
        pool_size: Steps in a window.
        strides: As for ``max_pool1d``.
        padding: As for ``max_pool1d``.

    Returns:
        Tensor [batch, steps, width].

    Raises:
        ShapeError: x is not [batch, time, width].
    """
    scope = ScopeName("average_pool1d", False, user_line())
    pools = _pools(scope, x, pool_size, strides, padding)
    with within(scope.layer):
        total = reduce_sum(pools.of(x, scope), 2)
        if padding == "valid":
            return total / pools.size
        steps = build("broadcast", constant(1, x.dtype), shape=(1, x.type.shape[1], 1), where=scope.where)
        return total / reduce_sum(pools.of(steps, scope), 2)


def _pools(scope: ScopeName, x: Any, size: Any, strides: Any, padding: Any) -> Windows:
    """Validate the arguments of a pooling function named ``scope.base``, and return its windows."""
    what, line = scope.base, scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"{what} needs a float Tensor, not {shown(x)}", line)
    if x.rank != 3:
        raise ShapeError(f"{what} needs a Tensor [batch, time, width], not {x!r}", line)
    one_of(padding, "padding", ("valid", "same"))
    return Windows.checked("pool_size", size, size if strides is None else strides, 1, padding, line)


@dataclass(frozen=True)
class Windows(WindowSizes):
    """Windows over time, built from a user's arguments."""

    @staticmethod
    def checked(what: str, size: Any, stride: Any, dilation: Any, padding: Any, where: Where | None) -> Windows:
        """Validate the arguments of windows, and return the windows. ``what`` names the argument ``size`` in errors."""
        if isinstance(padding, str):
            one_of(padding, "padding", PADDINGS)
        else:
            padding = _pair(padding, where)
        size, stride, dilation = positive(size, what), positive(stride, "strides"), positive(dilation, "dilation")
        if stride > MAX_DIVISOR:
            raise ArgumentError(f"strides must be at most {MAX_DIVISOR}, not {stride}", where)
        return Windows(size, stride, dilation, padding)

    def of(self, x: Tensor, scope: ScopeName, fill: float = 0) -> Tensor:
        """Return the windows of x [batch, time, width] as [batch, windows, size, width], with ``fill`` as padding."""
        if self.is_stepwise:
            steps = self._last_steps(x, scope)
            shape = (*steps.type.shape[:2], self.size, x.width)
            return build("reshape", steps, shape=shape, where=scope.where)
        return windows_over_time(scope.base, x, self, fill, scope.where)

    def side_by_side(self, x: Tensor, scope: ScopeName) -> Tensor:
        """Return the windows as [batch, windows, size * width]."""
        if self.is_stepwise:
            return self._last_steps(x, scope)
        windows = self.of(x, scope)
        return build("reshape", windows, shape=(*windows.type.shape[:2], self.size * x.width), where=scope.where)

    @property
    def is_stepwise(self) -> bool:
        """True if the windows are computed by a loop over time, which a stream can run step by step."""
        return self.padding == "causal" and self.stride == 1 and self.size > 1

    def _last_steps(self, x: Tensor, scope: ScopeName) -> Tensor:
        time_major = build("transpose", x, order=(1, 0, 2), where=scope.where)
        steps, _ = run_steps(Window(x.width, self.size, self.dilation), time_major, scope, False, scope.where)
        return build("transpose", steps, order=(1, 0, 2), where=scope.where)


def _pair(padding: Any, where: Where | None) -> tuple[int, int]:
    """Validate a padding (before, after), and return it. Raise ``ArgumentError`` for anything else."""
    if not isinstance(padding, list | tuple) or len(padding) != 2:
        words = ", ".join(PADDINGS)
        raise ArgumentError(f"unknown padding={shown(padding)}; use one of {words}, or (before, after)", where)
    before, after = (whole_number(count, "padding", 0) for count in padding)
    return before, after


def convolution(
    x: Tensor,
    filters: int,
    windows: Windows,
    groups: int,
    activation: str | Callable[[Any], Tensor] | None,
    use_bias: bool,
    scope: ScopeName,
) -> Tensor:
    """Return a ``conv1d`` layer of x with validated ``windows``, and create its parameters in ``scope``."""
    line = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"conv1d needs a float Tensor, not {x!r}", line)
    if x.rank != 3 or not isinstance(x.type.shape[2], int):
        raise ShapeError(f"conv1d needs a Tensor [batch, time, width] of fixed width, not {x!r}", line)
    count, parts = positive(filters, "filters"), positive(groups, "groups")
    if x.width % parts or count % parts:
        raise ArgumentError(f"groups={parts} must divide the width of {x.width} and the {count} filters", line)
    kernel = owned(scope, "kernel", (windows.size, x.width // parts, count), x.dtype, DEFAULT_INITIALIZER)
    with within(scope.layer):
        result = convolved(x, kernel, windows, parts, scope)
        if flag(use_bias, "use_bias"):
            result = result + owned(scope, "bias", (count,), x.dtype, "zeros")
        return activation_function(activation)(result)


def convolved(x: Tensor, kernel: Tensor, windows: Windows, groups: int, scope: ScopeName) -> Tensor:
    """Convolve x [batch, time, width] with a kernel [size, width / groups, filters]."""
    size, wide, filters = kernel.type.shape
    assert isinstance(size, int)
    assert isinstance(wide, int)
    assert isinstance(filters, int)
    if groups >= MIN_SIDE_BY_SIDE or groups == x.width > 1:
        return _side_by_side(x, kernel, windows, groups, scope)
    high = filters // groups
    outputs = [
        windows.side_by_side(x[:, :, part * wide : (part + 1) * wide], scope)
        @ reshape(kernel[:, :, part * high : (part + 1) * high], (size * wide, high))
        for part in range(groups)
    ]
    return concat(outputs) if groups > 1 else outputs[0]


def _side_by_side(x: Tensor, kernel: Tensor, windows: Windows, groups: int, scope: ScopeName) -> Tensor:
    """Convolve all groups in one loop, with entries of different groups in adjacent vector lanes.

    As in a depthwise convolution, an output of a filter is a sum of elementwise products with the entries of a window.
    """
    size, wide, count = kernel.type.shape
    assert isinstance(size, int)
    assert isinstance(wide, int)
    assert isinstance(count, int)
    taps = windows.of(_groups_last(x, groups, wide), scope)  # [batch, steps, size, wide * groups]
    taps = build("reshape", taps, shape=(*taps.type.shape[:2], size * wide, groups))
    filters = reshape(kernel, (size * wide, groups, count // groups))
    outputs = [reduce_sum(taps * filters[:, :, number], 2) for number in range(count // groups)]
    if len(outputs) == 1:
        return outputs[0]
    side = stack(outputs, 3)
    return build("reshape", side, shape=(*side.type.shape[:2], count))


def _groups_last(x: Tensor, groups: int, wide: int) -> Tensor:
    """Reorder the width of x [batch, time, groups * wide] so that entries of different groups are adjacent."""
    if wide == 1:
        return x
    shape = x.type.shape
    separated = build("reshape", x, shape=(*shape[:2], groups, wide))
    return build("reshape", build("transpose", separated, order=(0, 1, 3, 2)), shape=shape)


class Window(Cell):
    """Cell whose output concatenates the inputs of ``taps`` steps, ``dilation`` steps apart, the present one last."""

    def __init__(self, width: int, taps: int, dilation: int) -> None:
        self.width, self.taps, self.dilation = width, taps, dilation

    def state(self) -> Any:
        return {"past": self.width * self.dilation * (self.taps - 1)}

    @property
    def output_size(self) -> int:
        return self.width * self.taps

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        history = concat([state["past"], x])
        starts = [tap * self.dilation * self.width for tap in range(self.taps)]
        window = history if self.dilation == 1 else concat([history[:, start : start + self.width] for start in starts])
        return window, {"past": history[:, self.width :]}
