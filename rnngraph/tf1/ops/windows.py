"""TensorFlow 1.x's convolutions and pools over one or two axes, in ``tf.layers`` (with variables) and ``tf.nn``.

Inner axes are those between the batch and the channels: time, or height and width. Convolutions and pools are operators
of ``formats/operators``, applied to Tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...declare.cells.basic import Activation
from ...declare.functions import basic, convolutions
from ...declare.functions.activations import activation_function
from ...declare.functions.layers import owned
from ...declare.layer import within
from ...declare.parameters import ScopeName
from ...declare.tensor import Tensor, as_tensor
from ...formats.operators.backend import TensorBackend
from ...formats.operators.convolutions import convolution_along, kernel_order, padding_of
from ...formats.operators.errors import UnreadableError
from ...formats.operators.pools import max_pool, mean_pool
from ...formats.operators.windows import Window
from ...ir.types import FLOATS, product
from ...support.arguments import one_of, units
from ...support.errors import DtypeError, ShapeError, shown, user_line
from ..core.dtypes import refuse
from ..core.operations import operation, runs_after_dependencies
from ..core.scopes import layer_scope
from .layers import own_layer, refuse_penalties, starts_of

Numbers = Sequence[int]
_LAST = {1: ("channels_last", "NWC", "NHWC"), 2: ("channels_last", "NHWC")}
_AXES = {1: "[batch, time, width]", 2: "[batch, height, width, channels]"}


@contextmanager
def _naming_errors(what: str) -> Any:
    """Convert errors of operators within the block to ``ShapeError`` with the name ``what`` of the function."""
    try:
        yield
    except UnreadableError as error:
        raise ShapeError(f"{what}: {error}", user_line()) from None


@dataclass(frozen=True)
class _WindowOptions:
    """Arguments of a program that describe the windows of a convolution or pool.

    Attributes:
        sizes: Size along each inner axis.
        strides: Stride along each inner axis.
        dilation: Dilation rate along each inner axis.
        padding: "valid" or "same".
        layout: The program's ``data_format``.
    """

    sizes: Sequence[Any]
    strides: Numbers
    dilation: Numbers
    padding: Any
    layout: Any

    @property
    def count(self) -> int:
        """Number of inner axes: 1 or 2."""
        return len(self.sizes)


def _windows(what: str, x: Any, options: _WindowOptions) -> list[Window]:
    """Return the window along each inner axis of x. Raise an error if x does not have the layout."""
    count, layout, padding = options.count, options.layout, options.padding
    refuse(what, f"transpose the input to {_AXES[count]}", data_format=None if layout in _LAST[count] else layout)
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"{what} needs a float Tensor {_AXES[count]}, not {shown(x)}", user_line())
    if x.rank != count + 2:
        raise ShapeError(f"{what} needs a Tensor {_AXES[count]}, not {x!r}", user_line())
    kind = one_of(padding.lower() if isinstance(padding, str) else padding, "padding", ("valid", "same"))
    axes = zip(x.type.shape[1:-1], options.sizes, options.strides, options.dilation, strict=True)
    with _naming_errors(what):
        return [
            Window.along(dim, units(size, "kernel_size"), units(stride, "strides"), units(rate, "dilation"), kind)
            for dim, size, stride, rate in axes
        ]


def _one_per_inner_axis(value: Any, count: int) -> Numbers:
    """Return ``count`` numbers, one for each inner axis. A single number is repeated."""
    numbers = [value] * count if not isinstance(value, list | tuple) else list(value)
    if len(numbers) == 1:
        numbers *= count
    if len(numbers) != count:
        raise ShapeError(f"sizes, strides and dilations need {count} ints, one for each inner axis, not {shown(value)}")
    return numbers


def _without_outer_axes(value: Any, count: int, what: str) -> Numbers:
    """Return one number for each inner axis, from one for all axes, one for each inner axis, or one for each axis."""
    if isinstance(value, list | tuple) and len(value) == count + 2:
        if value[0] != 1 or value[-1] != 1:
            raise ShapeError(f"{what} must be 1 along the batch and the channels, not {shown(value)}")
        value = value[1:-1]
    return _one_per_inner_axis(value, count)


# Convolutions ----------------------------------------------------------------------------------------


def _convolved(what: str, x: Tensor, kernel: Tensor, windows: Sequence[Window], scope: ScopeName) -> Tensor:
    """Return the convolution of x with a kernel [*sizes, channels, filters]."""
    sizes = kernel.type.shape
    if not all(isinstance(size, int) for size in sizes):
        raise ShapeError(f"{what} needs a kernel of fixed sizes, not {kernel!r}")

    def convolved_axis(rows: Tensor, across: int | None, window: Window) -> Tensor:
        flat = kernel
        if across is not None:
            transposed = basic.transpose(kernel, kernel_order(across))
            along, *rest, filters = transposed.type.shape
            entries: Any = (along, product(rest), filters)
            flat = basic.reshape(transposed, entries)
        operator_windows = convolutions.Windows(window.size, window.stride, window.dilation, padding_of(window))
        return convolutions.convolved(rows, flat, operator_windows, 1, scope)

    with _naming_errors(what), within(scope.layer):
        return convolution_along(TensorBackend(), x, [int(str(size)) for size in sizes], windows, 1, convolved_axis)


@dataclass(frozen=True)
class _LayerOptions:
    """Options of a convolution layer other than its windows.

    Attributes:
        starts: Initializers of kernel and bias.
        penalties: Regularizers of kernel and bias.
    """

    filters: int
    activation: Activation
    use_bias: bool
    starts: tuple[Any, Any]
    penalties: tuple[Any, Any]
    name: str | None
    reuse: bool | None


def _layer(inputs: Tensor, window: _WindowOptions, options: _LayerOptions) -> Tensor:
    """Apply a convolution layer, and return its output."""
    layer, starts = f"conv{window.count}d", options.starts
    what, scope = f"tf.layers.{layer}", layer_scope(layer, options.name, options.reuse)
    windows = _windows(what, inputs, window)
    width = inputs.type.shape[-1]
    if not isinstance(width, int):
        raise ShapeError(f"{what} needs a last axis of fixed size, not {inputs!r}", scope.where)
    sizes, number = tuple(item.size for item in windows), units(options.filters, "filters")
    kernel = owned(scope, "kernel", (*sizes, width, number), inputs.dtype, starts[0])
    result = _convolved(what, inputs, kernel, windows, scope)
    with within(scope.layer):
        result = result + owned(scope, "bias", (number,), inputs.dtype, starts[1]) if options.use_bias else result
        result = activation_function(options.activation)(result)
    return own_layer(result, scope, kernel=options.penalties[0], bias=options.penalties[1])


@runs_after_dependencies
def conv1d(
    inputs: Tensor,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: Any = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    kernel_constraint: Any = None,
    bias_constraint: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
) -> Tensor:
    """Convolve [batch, time, width] over time. Creates the variables ``conv1d/kernel`` and ``conv1d/bias``."""
    _refuse("tf.layers.conv1d", activity_regularizer, kernel_constraint, bias_constraint, trainable)
    sizes, steps, rates = (_one_per_inner_axis(item, 1) for item in (kernel_size, strides, dilation_rate))
    starts, penalties = starts_of(kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer)
    options = _LayerOptions(filters, activation, use_bias, starts, penalties, name, reuse)
    return _layer(inputs, _WindowOptions(sizes, steps, rates, padding, data_format), options)


@runs_after_dependencies
def conv2d(
    inputs: Tensor,
    filters: int,
    kernel_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: Any = (1, 1),
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    kernel_constraint: Any = None,
    bias_constraint: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
) -> Tensor:
    """Convolve [batch, height, width, channels] over height and width, one of them of fixed size.

    Creates the variables ``conv2d/kernel`` and ``conv2d/bias``.
    """
    _refuse("tf.layers.conv2d", activity_regularizer, kernel_constraint, bias_constraint, trainable)
    sizes, steps, rates = (_one_per_inner_axis(item, 2) for item in (kernel_size, strides, dilation_rate))
    starts, penalties = starts_of(kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer)
    options = _LayerOptions(filters, activation, use_bias, starts, penalties, name, reuse)
    return _layer(inputs, _WindowOptions(sizes, steps, rates, padding, data_format), options)


def _refuse(what: str, activity: Any, kernel: Any, bias: Any, trainable: bool) -> None:
    """Raise ``ArgumentError`` for arguments of a convolution layer that are not offered."""
    refuse_penalties(what, activity, kernel_constraint=kernel, bias_constraint=bias)
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)


@operation
def nn_conv1d(
    value: Any = None,
    filters: Any = None,
    stride: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: Any = None,
    data_format: Any = None,
    name: str | None = None,
    input: Any = None,
    dilations: Any = None,
) -> Tensor:
    """Convolve [batch, time, width] with ``filters`` [size, width, filters]."""
    x = value if input is None else input
    what, rate = "tf.nn.conv1d", _without_outer_axes(1 if dilations is None else dilations, 1, "dilations")
    weights, steps = _kernel(what, filters, 1), _without_outer_axes(stride, 1, "strides")
    options = _WindowOptions(weights.type.shape[:1], steps, rate, padding, data_format or "NWC")
    return _with_kernel(what, x, weights, options)


@operation
def nn_conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = None,
    padding: Any = None,
    use_cudnn_on_gpu: Any = True,
    data_format: str = "NHWC",
    dilations: Any = (1, 1, 1, 1),
    name: str | None = None,
    filters: Any = None,
) -> Tensor:
    """Convolve [batch, height, width, channels] with a kernel [height, width, channels, filters]."""
    what, rate = "tf.nn.conv2d", _without_outer_axes(1 if dilations is None else dilations, 2, "dilations")
    weights, steps = (
        _kernel(what, filter if filters is None else filters, 2),
        _without_outer_axes(strides, 2, "strides"),
    )
    options = _WindowOptions(weights.type.shape[:2], steps, rate, padding, data_format)
    return _with_kernel(what, input, weights, options)


@operation
def nn_convolution(
    input: Any,
    filter: Any = None,
    padding: Any = None,
    strides: Any = None,
    dilation_rate: Any = None,
    name: str | None = None,
    data_format: Any = None,
    filters: Any = None,
    dilations: Any = None,
) -> Tensor:
    """Convolve [batch, *sizes, channels] along one axis or two with a kernel [*sizes, channels, filters]."""
    what, kernel, x = "tf.nn.convolution", as_tensor(filter if filters is None else filters), as_tensor(input)
    count = x.rank - 2
    if count not in (1, 2):
        raise ShapeError(f"{what} runs along one axis or two, over {_AXES[1]} or {_AXES[2]}, not {x!r}")
    rates = dilation_rate if dilations is None else dilations
    options = _WindowOptions(
        _kernel(what, kernel, count).type.shape[:count],
        _one_per_inner_axis(1 if strides is None else strides, count),
        _one_per_inner_axis(1 if rates is None else rates, count),
        padding,
        data_format or _LAST[count][1],
    )
    return _with_kernel(what, x, kernel, options)


def _kernel(what: str, kernel: Any, count: int) -> Tensor:
    """Return a kernel for ``count`` inner axes as a Tensor. Raise ``ShapeError`` if its rank differs."""
    weights = as_tensor(kernel)
    if weights.rank != count + 2:
        raise ShapeError(f"{what} needs a kernel [*sizes, width, filters] of rank {count + 2}, not {weights!r}")
    return weights


def _with_kernel(what: str, x: Any, weights: Tensor, options: _WindowOptions) -> Tensor:
    """Return the convolution of x with the program's kernel."""
    x = as_tensor(x)
    windows = _windows(what, x, options)
    return _convolved(what, x, weights, windows, ScopeName(f"conv{options.count}d", False, user_line()))


# Pools -------------------------------------------------------------------------------------------------


def _pooled(what: str, is_max: bool, x: Any, sizes: Numbers, strides: Numbers, padding: Any, layout: Any) -> Tensor:
    """Return the largest entry, or the mean, of every window of x."""
    windows = _windows(what, x, _WindowOptions(sizes, strides, [1] * len(sizes), padding, layout))
    with _naming_errors(what):
        return max_pool(TensorBackend(), x, windows) if is_max else mean_pool(TensorBackend(), x, windows, False)


def _pool_layer(name: str, count: int, is_max: bool) -> Callable[..., Tensor]:
    """Return ``tf.layers.<name>``, a pool over ``count`` inner axes."""
    what = f"tf.layers.{name}"

    def pooling(
        inputs: Tensor,
        pool_size: Any,
        strides: Any,
        padding: str = "valid",
        data_format: str = "channels_last",
        name: str | None = None,
    ) -> Tensor:
        sizes, steps = _one_per_inner_axis(pool_size, count), _one_per_inner_axis(strides, count)
        return _pooled(what, is_max, inputs, sizes, steps, padding, data_format)

    pooling.__name__ = pooling.__qualname__ = name
    pooling.__doc__ = f"Return the {'largest entry' if is_max else 'mean'} of every window of a Tensor {_AXES[count]}."
    return runs_after_dependencies(pooling)


max_pooling1d, max_pooling2d = _pool_layer("max_pooling1d", 1, True), _pool_layer("max_pooling2d", 2, True)
average_pooling1d = _pool_layer("average_pooling1d", 1, False)
average_pooling2d = _pool_layer("average_pooling2d", 2, False)


def _nn_pool(name: str, is_max: bool) -> Callable[..., Tensor]:
    """Return ``tf.nn.<name>``, a pool over height and width."""
    what = f"tf.nn.{name}"

    def pooling(
        value: Any,
        ksize: Any,
        strides: Any,
        padding: Any,
        data_format: str = "NHWC",
        name: str | None = None,
        input: Any = None,
    ) -> Tensor:
        x, sizes = as_tensor(value if input is None else input), _without_outer_axes(ksize, 2, "ksize")
        return _pooled(what, is_max, x, sizes, _without_outer_axes(strides, 2, "strides"), padding, data_format)

    pooling.__name__ = pooling.__qualname__ = name
    pooling.__doc__ = f"Return the {'largest entry' if is_max else 'mean'} of every window of a Tensor {_AXES[2]}."
    return operation(pooling)


nn_max_pool, nn_avg_pool = _nn_pool("max_pool", True), _nn_pool("avg_pool", False)
