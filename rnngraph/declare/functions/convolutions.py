"""Convolutions and pools over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...ir.attributes import MOST_DIVISOR
from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import flag, one_of, whole_number
from ...support.arguments import units as positive
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, shown, user_line
from ..cell import Cell, Scope
from ..drivers import run_steps
from ..layer import within
from ..parameters import ScopeName, scope_name
from ..tensor import Tensor, build, constant
from .activations import activation_function
from .basic import concat, reduce_max, reduce_sum, reshape, stack
from .layers import owned
from .padding import windows_over_time

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
    """activation(convolution of x over time + bias): x [batch, time, width] gives [batch, steps, filters].

    padding: ``causal``: an output reads its own step and ``dilation * (kernel_size - 1)`` before it, zeros before the
        first. ``same``: ceil(time / strides) outputs, with as many zeros before as after, the odd one after.
        ``reflect``: as ``same``, with the sequence mirrored in place of zeros. ``valid``: only where all steps are
        there. (before, after): so many zeros.
    strides: steps from one output to the next.
    dilation: steps from one entry of the kernel to the next.
    groups: equal parts of the width, each of which makes as large a part of the filters; as many as the width is wide:
        a depthwise convolution.

    Owns ``conv1d/kernel`` [kernel_size, width / groups, filters] and ``conv1d/bias`` [filters]; ``name`` replaces
    ``conv1d``.

    use_bias: whether a bias is added.
    """
    scope = scope_name(name, "conv1d", user_line())
    windows = Windows.checked("kernel_size", kernel_size, strides, dilation, padding, scope.where)
    return convolution(x, filters, windows, groups, activation, use_bias, scope)


@api
def max_pool1d(x: Tensor, pool_size: int, strides: int | None = None, padding: str = "valid") -> Tensor:
    """The largest of ``pool_size`` steps: x [batch, time, width] gives [batch, steps, width].

    strides: steps from one output to the next; ``pool_size`` if not given.
    padding: ``valid``: whole windows only. ``same``: ceil(time / strides) outputs, of what there is. Where several are
        largest, they share the gradient evenly.
    """
    scope = ScopeName("max_pool1d", False, user_line())
    with within(scope.layer):
        return reduce_max(_pools(scope, x, pool_size, strides, padding).of(x, scope, float("-inf")), 2)


@api
def average_pool1d(x: Tensor, pool_size: int, strides: int | None = None, padding: str = "valid") -> Tensor:
    """The mean of ``pool_size`` steps, as ``max_pool1d`` takes them. With ``same`` only steps that there are count.

    strides, padding: as for ``max_pool1d``.
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
    what, line = scope.base, scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"{what} needs a float Tensor, not {shown(x)}", line)
    if x.rank != 3:
        raise ShapeError(f"{what} needs a Tensor [batch, time, width], not {x!r}", line)
    one_of(padding, "padding", ("valid", "same"))
    return Windows.checked("pool_size", size, size if strides is None else strides, 1, padding, line)


@dataclass(frozen=True)
class Windows:
    """What each output reads: every ``apart``-th of ``size`` steps; ``stride`` steps from one to the next."""

    size: int
    stride: int
    apart: int
    padding: Padding

    @staticmethod
    def checked(what: str, size: Any, stride: Any, apart: Any, padding: Any, where: Where | None) -> Windows:
        """The same of what a user gives. what: the user's word for the size."""
        if isinstance(padding, str):
            one_of(padding, "padding", PADDINGS)
        else:
            padding = _pair(padding, where)
        size, stride, apart = positive(size, what), positive(stride, "strides"), positive(apart, "dilation")
        if stride > MOST_DIVISOR:
            raise ArgumentError(f"strides must be at most {MOST_DIVISOR}, not {stride}", where)
        return Windows(size, stride, apart, padding)

    def of(self, x: Tensor, scope: ScopeName, fill: float = 0) -> Tensor:
        """x [batch, time, width] as [batch, windows, size, width]. fill: what stands around x."""
        if self.is_stepwise:
            found = self._last_steps(x, scope)
            shape = (*found.type.shape[:2], self.size, x.width)
            return build("reshape", found, shape=shape, where=scope.where)
        return windows_over_time(scope.base, x, self.size, self.stride, self.apart, self.padding, fill, scope.where)

    def side_by_side(self, x: Tensor, scope: ScopeName) -> Tensor:
        """The windows as [batch, windows, size * width]."""
        if self.is_stepwise:
            return self._last_steps(x, scope)
        found = self.of(x, scope)
        return build("reshape", found, shape=(*found.type.shape[:2], self.size * x.width), where=scope.where)

    @property
    def is_stepwise(self) -> bool:
        """Whether windows are what a loop has seen last, which a stream runs step by step."""
        return self.padding == "causal" and self.stride == 1 and self.size > 1

    def _last_steps(self, x: Tensor, scope: ScopeName) -> Tensor:
        turned = build("transpose", x, order=(1, 0, 2), where=scope.where)
        found, _ = run_steps(Window(x.width, self.size, self.apart), turned, scope, False, scope.where)
        return build("transpose", found, order=(1, 0, 2), where=scope.where)


def _pair(padding: Any, where: Where | None) -> tuple[int, int]:
    """Zeros before and after."""
    if not isinstance(padding, list | tuple) or len(padding) != 2:
        words = ", ".join(PADDINGS)
        raise ArgumentError(f"padding={shown(padding)} is not offered; use one of {words}, or (before, after)", where)
    before, after = (whole_number(count, "padding", 0) for count in padding)
    return before, after


def convolution(
    x: Tensor, filters: int, windows: Windows, groups: int, activation: str | Callable[[Any], Tensor] | None,
    use_bias: bool, scope: ScopeName, initializers: tuple[Any, Any] = ("glorot_uniform", "zeros"),
) -> Tensor:  # fmt: skip
    """A convolution over ``windows`` of any kind. initializers: of the kernel and of the bias."""
    line = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"conv1d needs a float Tensor, not {x!r}", line)
    if x.rank != 3 or not isinstance(x.type.shape[2], int):
        raise ShapeError(f"conv1d needs a Tensor [batch, time, width] of fixed width, not {x!r}", line)
    count, parts = positive(filters, "filters"), positive(groups, "groups")
    if x.width % parts or count % parts:
        raise ArgumentError(f"groups={parts} must divide the width of {x.width} and the {count} filters", line)
    kernel = owned(scope, "kernel", (windows.size, x.width // parts, count), x.dtype, initializers[0])
    with within(scope.layer):
        result = convolved(x, kernel, windows, parts, scope)
        if flag(use_bias, "use_bias"):
            result = result + owned(scope, "bias", (count,), x.dtype, initializers[1])
        return activation_function(activation)(result)


def convolved(x: Tensor, kernel: Tensor, windows: Windows, groups: int, scope: ScopeName) -> Tensor:
    """Convolve x [batch, time, width] with a kernel [size, width / groups, filters]."""
    size, wide, filters = kernel.type.shape
    assert isinstance(size, int)
    assert isinstance(wide, int)
    assert isinstance(filters, int)
    if groups == x.width > 1:
        return _depthwise(windows.of(x, scope), kernel)
    high = filters // groups
    outputs = [
        windows.side_by_side(x[:, :, part * wide : (part + 1) * wide], scope)
        @ reshape(kernel[:, :, part * high : (part + 1) * high], (size * wide, high))
        for part in range(groups)
    ]
    return concat(outputs) if groups > 1 else outputs[0]


def _depthwise(windows: Tensor, kernel: Tensor) -> Tensor:
    """windows [batch, steps, size, width], kernel [size, 1, width * n]: n filters for each unit, side by side."""
    size, _, count = kernel.type.shape
    assert isinstance(size, int)
    assert isinstance(count, int)
    many = count // windows.width
    filters = reshape(kernel, (size, windows.width, many))
    found = [reduce_sum(windows * filters[:, :, number], 2) for number in range(many)]
    if many == 1:
        return found[0]
    side = stack(found, 3)
    return build("reshape", side, shape=(*side.type.shape[:2], count))


class Window(Cell):
    """Input at this step and before, side by side, oldest first: every ``apart``-th of ``taps``."""

    def __init__(self, width: int, taps: int, apart: int) -> None:
        self.width, self.taps, self.apart = width, taps, apart

    def state(self) -> Any:
        return {"past": self.width * self.apart * (self.taps - 1)}

    @property
    def output_size(self) -> int:
        return self.width * self.taps

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        seen = concat([state["past"], x])
        starts = [tap * self.apart * self.width for tap in range(self.taps)]
        window = seen if self.apart == 1 else concat([seen[:, start : start + self.width] for start in starts])
        return window, {"past": seen[:, self.width :]}
