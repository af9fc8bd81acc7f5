"""Handlers of 1-D and 2-D convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from torch import nn

from ....declare.functions import basic
from ....declare.functions.arrays.moves import flip
from ....declare.functions.padding import pad as padded
from ....ir.types import Dim
from ...operators.convolutions import (
    Convolve,
    convolution,
    convolution_along,
    flattened_kernel,
    kernel_order,
    owned,
    shared,
    transposed_convolution,
)
from ...operators.planes import unrolled_axis
from ...operators.pools import max_pool, mean_pool
from ...operators.windows import Padding, Window
from ...steps import Value
from ..tracing.calls import array_of
from ..tracing.kinds import Extents, Operand, Result
from ..tracing.numbers import Extent, fixed
from ..tracing.registry import Handler, UnreadableError, reads, reads_module
from ..tracing.tracer import Tracer
from ..tracing.values import shape_of
from .backend import TorchBackend
from .joining import pad_circular
from .products import layer_of, same_dtype
from .shapes import of_shape

T = TypeVar("T", int, "int | None")


def _per_axis(option: T | Sequence[T], count: int) -> list[T]:
    """Return an option as a list with one entry per axis."""
    entries = list(option) if isinstance(option, list | tuple) else [cast(T, option)]
    return entries * count if len(entries) == 1 else entries


def _windows(
    sizes: Sequence[Dim], kernel: Sequence[int], stride: Extents, padding: Extents | str, dilation: Extents = 1
) -> list[Window]:
    """Return the windows along axes of these sizes."""
    count = len(sizes)
    pads = [padding] * count if isinstance(padding, str) else _per_axis(padding, count)
    sides: list[Padding] = [side if isinstance(side, str) else (fixed(side), fixed(side)) for side in pads]
    axes = zip(sizes, kernel, _per_axis(stride, count), _per_axis(dilation, count), sides, strict=True)
    return [Window.along(size, fixed(one), fixed(step), fixed(gap), side) for size, one, step, gap, side in axes]


def _channels_last(b: TorchBackend, x: Operand, axes: int) -> tuple[Value, bool]:
    """Transpose x [batch, channels, *axes]. Return (x [batch, *axes, channels], True if x has a batch axis)."""
    x = b.tracer.value(x)
    has_batch = len(shape_of(x)) == axes + 2
    if not has_batch:
        x = b.call(basic.expand_dims, x, 0)
    if len(shape_of(x)) != axes + 2:
        raise UnreadableError(f"it runs along {axes} axes; its input must have rank {axes + 1} or {axes + 2}")
    return b.transpose(x, (0, *range(2, axes + 2), 1)), has_batch


def _channels_first(b: TorchBackend, x: Value, has_batch: bool) -> Value:
    rank = len(shape_of(x))
    y = b.transpose(x, (0, rank - 1, *range(1, rank - 1)))
    return y if has_batch else b.call(basic.squeeze, y, 0)


def _run(
    b: TorchBackend, x: Value, windows: list[Window], counts: list[Dim], width: int | None, run: Callable[[], Value]
) -> Value:
    """Return ``run()``, a convolution or pool of x; if neither of two axes has a fixed size yet, a placeholder value.

    The script of a run with a stand-in is discarded, and a later layer may fix one of the axes.

    Args:
        b: The backend.
        x: The value.
        windows: Window along each axis.
        counts: Sizes of the result's axes.
        width: Number of the result's channels; None for that of x.
        run: Function that declares the operation.
    """
    tracer, (batch, *sizes, channels) = b.tracer, shape_of(x)
    unrolled = unrolled_axis(sizes, windows) if len(sizes) == 2 else None
    if len(sizes) == 2 and unrolled is None:  # A later layer may fix one of the sizes.
        tracer.undecided.append((sizes, tracer.sizes.place()))
        return of_shape(tracer, x, (batch, *counts, channels if width is None else width))
    tracer.on_time(sizes[0 if unrolled is None else 1 - unrolled], is_recurrence=False)
    return run()


# Convolutions ---------------------------------------------------------------------------------------


@reads("conv1d", "conv2d")
def _convolved(
    tracer: Tracer,
    x: Operand,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Extents = 1,
    padding: Extents = 0,
    dilation: Extents = 1,
    groups: int = 1,
) -> Value:
    """Declare ``conv1d`` or ``conv2d`` of x [batch, channels, *axes]."""
    b, y, has_batch = _operands(tracer, x, weight, 1, groups)
    sizes = shape_of(y)[1:-1]
    windows = _windows(sizes, weight.shape[2:], stride, padding, dilation)
    counts = [window.count(size) for window, size in zip(windows, sizes, strict=True)]

    def run() -> Value:
        if id(weight) in tracer.shared:
            return _shared_convolution(b, y, weight, bias, windows, groups)
        return convolution(b, y, _kernel(weight), windows, groups, _layer(b, weight, bias, groups))

    return _channels_first(b, _run(b, y, windows, counts, weight.shape[0], run), has_batch)


def _operands(
    tracer: Tracer, x: Operand, weight: torch.Tensor, place: int, groups: int
) -> tuple[TorchBackend, Value, bool]:
    """Check a convolution's weight. Return (backend, x with channels last, True if x has a batch axis).

    Args:
        place: Axis of the weight with x's channels: 1, or 0 for a transposed convolution.
    """
    if not isinstance(weight, torch.Tensor):
        raise UnreadableError("its weight is computed; it must be a parameter of the module")
    is_transposed = place == 0
    if tracer.use(weight) and is_transposed and (weight.dim() > 3 or groups > 1):
        raise UnreadableError("its weight is used several times; give each use a module of its own")
    b = TorchBackend(tracer)
    y, has_batch = _channels_last(b, x, weight.dim() - 2)
    tracer.sizes.unify(shape_of(y)[-1], weight.shape[place] * (groups if place else 1))
    same_dtype(y, weight)
    return b, y, has_batch


@reads_module(nn.Conv1d)
def _conv1d_module(tracer: Tracer, module: nn.Conv1d, x: Operand) -> Operand:
    options = (module.stride, module.padding, module.dilation, module.groups)
    if module.padding_mode != "zeros":
        before, after = module._reversed_padding_repeated_twice
        x, options = tracer.value(x), (module.stride, 0, module.dilation, module.groups)
        pairs = {len(shape_of(x)) - 1: (before, after)}
        if module.padding_mode == "circular":
            x = pad_circular(tracer, x, pairs)
        elif before or after:
            x = tracer.call(padded, x, pairs, mode={"reflect": "reflect", "replicate": "edge"}[module.padding_mode])
    return _convolved(tracer, x, module.weight, module.bias, *options)


def _kernel(weight: torch.Tensor) -> np.ndarray:
    """Transpose a weight [filters, width / groups, *sizes] to [*sizes, width / groups, filters]."""
    array = array_of(weight)
    return array.transpose(*range(2, array.ndim), 1, 0)


def _layer(b: TorchBackend, weight: torch.Tensor, bias: torch.Tensor | None, groups: int) -> Convolve[Value]:
    """Return the function that declares a 1-D convolution as a layer with its own kernel, for a weight with one use."""
    scope = b.script.scope(layer_of(b.tracer.path_of(weight)))
    return owned(b, scope, None if bias is None else array_of(bias), groups)


def _shared_convolution(
    b: TorchBackend,
    x: Value,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    windows: list[Window],
    groups: int,
) -> Value:
    """Declare a convolution with a weight that several calls share, which stays a parameter in torch's layout."""
    declared = b.tracer.parameter(weight)
    shift = None if bias is None else b.tracer.value(bias)
    kernel = b.transpose(declared, (*range(2, weight.dim()), 1, 0))

    def along(x: Value, across: int | None, window: Window) -> Value:
        if across is None:
            return shared(b, lambda _: kernel, shift, groups)(x, _kernel(weight), window)
        flat = flattened_kernel(_kernel(weight), across)
        whole = b.reshape(b.transpose(kernel, kernel_order(across)), flat.shape)
        return shared(b, lambda _: whole, shift, groups)(x, flat, window)

    return convolution_along(b, x, _kernel(weight).shape, windows, groups, along)


def _shared_transposed(b: TorchBackend, weight: torch.Tensor, bias: torch.Tensor | None) -> Convolve[Value]:
    """Return the function that declares a 1-D convolution with the flipped kernel of a weight that calls share.

    Transposed convolutions are computed by it.
    """
    kernel = b.call(flip, b.transpose(b.tracer.parameter(weight), (2, 0, 1)), 0)
    return shared(b, lambda _: kernel, None if bias is None else b.tracer.value(bias))


@reads_module(nn.ConvTranspose1d, nn.ConvTranspose2d)
def _transposed_module(
    tracer: Tracer,
    module: nn.ConvTranspose1d | nn.ConvTranspose2d,
    x: Operand,
    output_size: Sequence[int] | None = None,
) -> Operand:
    if output_size is not None:
        raise UnreadableError("output_size is not supported; use output_padding")
    return _transposed(
        tracer,
        x,
        module.weight,
        module.bias,
        module.stride,
        module.padding,
        module.output_padding,
        module.groups,
        module.dilation,
    )


@reads("conv_transpose1d", "conv_transpose2d")
def _transposed(
    tracer: Tracer,
    x: Operand,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Extents = 1,
    padding: Extents = 0,
    output_padding: Extents = 0,
    groups: int = 1,
    dilation: Extents = 1,
) -> Result:
    """Declare a 1-D or 2-D transposed convolution of x [batch, channels, *axes]."""
    b, y, has_batch = _operands(tracer, x, weight, 0, groups)
    sizes = shape_of(y)[1:-1]
    added = [fixed(more) for more in _per_axis(output_padding, len(sizes))]
    windows = _windows(sizes, weight.shape[2:], stride, padding, dilation)
    ends = zip(windows, sizes, added, strict=True)
    counts = [window.transposed_count(size, more) for window, size, more in ends]

    def run() -> Value:
        is_shared = id(weight) in tracer.shared
        convolve = _shared_transposed(b, weight, bias) if is_shared else _layer(b, weight, bias, groups)
        return transposed_convolution(b, y, _kernel(weight), windows, added, groups, convolve)

    return _channels_first(b, _run(b, y, windows, counts, weight.shape[1] * groups, run), has_batch)


# Pools ----------------------------------------------------------------------------------------------


def _pool(
    tracer: Tracer,
    x: Operand,
    size: Extents,
    steps: tuple[Extents | None, Extents, Extents],
    axes: int,
    counts_padding: bool | None,
    ceil_mode: bool,
) -> Value:
    """Declare a max or average pool.

    Args:
        size: Size of the window.
        steps: (stride, padding, dilation).
        counts_padding: True to count padding as zeros in a mean; None for the maximum.
    """
    stride, padding, dilation = steps
    whole = (
        None
        if axes > 1 or any(_per_axis(padding, 1))
        else _global_pool(tracer, x, _per_axis(size, 1)[0], counts_padding is None)
    )
    if whole is not None:
        return whole
    b = TorchBackend(tracer)
    y, has_batch = _channels_last(b, x, axes)
    sizes = shape_of(y)[1:-1]
    windows = _windows(sizes, _per_axis(size, axes), size if stride in (None, [], ()) else stride, padding, dilation)
    if ceil_mode:
        windows = [_ceiled(tracer, *pair) for pair in zip(windows, sizes, strict=True)]
    counts = [window.count(size) for window, size in zip(windows, sizes, strict=True)]

    def run() -> Value:
        return max_pool(b, y, windows) if counts_padding is None else mean_pool(b, y, windows, counts_padding)

    return _channels_first(b, _run(b, y, windows, counts, None, run), has_batch)


def _global_pool(tracer: Tracer, x: Operand, size: Extents, is_max: bool) -> Value | None:
    """Return the reduction over all steps if the window covers an entire symbolic axis; None otherwise."""
    if not isinstance(size, Extent) or size.dim != shape_of(x)[-1]:
        return None
    return tracer.call(
        basic.reduce_max if is_max else basic.reduce_mean, tracer.value(x), len(shape_of(x)) - 1, keepdims=True
    )


def _ceiled(tracer: Tracer, window: Window, size: Dim) -> Window:
    """Return the window for ceil mode. The size is fixed if it decides whether the last window is incomplete."""
    ceiled = window.ceiled(size) or window.ceiled(tracer.sizes.fix(size))
    assert ceiled is not None
    return ceiled


def _max_pool(axes: int) -> Handler:
    """Return a function that translates ``max_pool1d`` (``axes`` is 1) or ``max_pool2d`` (2)."""

    def pool(
        tracer: Tracer,
        x: Operand,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        dilation: Extents = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Result:
        if return_indices or isinstance(tracer.expected, tuple):
            raise UnreadableError("indices are not supported; use torch.nn.functional without return_indices")
        return _pool(tracer, x, kernel_size, (stride, padding, dilation), axes, None, ceil_mode)

    return pool


reads("max_pool1d", "max_pool1d_with_indices", "boolean_dispatch")(_max_pool(1))
reads("max_pool2d", "max_pool2d_with_indices")(_max_pool(2))


def _mean_pool(axes: int) -> Handler:
    """Return a function that translates ``avg_pool1d`` (``axes`` is 1) or ``avg_pool2d`` (2)."""

    def pool(
        tracer: Tracer,
        x: Operand,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Result:
        if divisor_override is not None:
            raise UnreadableError("divisor_override is not supported; multiply the mean instead")
        return _pool(tracer, x, kernel_size, (stride, padding, 1), axes, count_include_pad, ceil_mode)

    return pool


reads("avg_pool1d")(_mean_pool(1))
reads("avg_pool2d")(_mean_pool(2))
