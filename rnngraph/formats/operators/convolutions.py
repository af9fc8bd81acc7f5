"""1-D and 2-D convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Generic

import numpy as np

from ...declare.functions.basic import expand_dims
from ...declare.functions.convolutions import conv1d
from .backend import Backend, Item
from .errors import UnreadableError
from .planes import by_rows, on_planes
from .windows import Window, slices

MAX_PRODUCTS = 4096
"""Maximum number of matrix products in the sum that ``shared`` declares, because each product is an op."""
Convolve = Callable[[Item, np.ndarray, Window], Item]
"""Function of (x [batch, time, width], kernel [size, width / groups, filters], window) that convolves x in 1-D."""


@dataclass(frozen=True)
class Owned(Generic[Item]):
    """1-D convolution as a layer, which owns its kernel.

    Attributes:
        b: The backend.
        scope: Name of the layer.
        bias: [filters].
        groups: Number of groups of channels.
        activation: Name of the activation.
    """

    b: Backend[Item]
    scope: str
    bias: np.ndarray | None
    groups: int = 1
    activation: str | None = None

    def __call__(self, x: Item, kernel: np.ndarray, window: Window) -> Item:
        """Declare a ``rg.conv1d`` of x [batch, time, width], and record kernel and bias as its parameters."""
        size, _, filters = kernel.shape
        self.b.own(self.scope, {"kernel": kernel} if self.bias is None else {"kernel": kernel, "bias": self.bias})
        padding = padding_of(window)
        options: dict[str, object] = {} if padding == "causal" else {"padding": padding}
        options |= {"dilation": window.dilation} if window.dilation > 1 and size > 1 else {}
        options |= {"strides": window.stride} if window.stride > 1 else {}
        options |= {"groups": self.groups} if self.groups > 1 else {}
        options |= {} if self.activation is None else {"activation": self.activation}
        options |= {"use_bias": False} if self.bias is None else {}
        return self.b.call(conv1d, x, filters, size, **options, name=self.scope)

    def of_row(self, row: int) -> Owned[Item]:
        """Return the layer for one row of a 2-D kernel. The layer of row 0 is ``self``, and adds the bias."""
        return self if row == 0 else replace(self, scope=f"{self.scope}/row_{row}", bias=None)


def owned(
    b: Backend[Item], scope: str, bias: np.ndarray | None, groups: int = 1, activation: str | None = None
) -> Owned[Item]:
    """Return a function that declares a 1-D convolution as a layer with a kernel of its own.

    Args:
        bias: [filters].
    """
    return Owned(b, scope, bias, groups, activation)


def padding_of(window: Window) -> str | tuple[int, int]:
    """Return the argument ``padding`` of ``rg.conv1d`` for a window."""
    if window.is_even:
        return "same" if window.span else "valid"
    sides = window.sides
    if sides == (window.span, 0):
        return "causal"
    return "valid" if sides == (0, 0) else sides


def shared(
    b: Backend[Item], declare: Callable[[np.ndarray], Item], bias: Item | None, groups: int = 1
) -> Convolve[Item]:
    """Return a function that declares a 1-D convolution, as a sum of products, with a kernel that several calls share.

    Args:
        b: The backend.
        declare: Function that returns the kernel [size, width / groups, filters] as a value.
        bias: [filters].
        groups: Number of groups of channels.
    """

    def convolve(x: Item, array: np.ndarray, window: Window) -> Item:
        kernel, (size, wide, filters) = declare(array), array.shape
        if size * groups > MAX_PRODUCTS:
            raise UnreadableError(
                f"it is called more than once, with {groups} groups and a kernel of {size} steps, which is more than "
                f"{MAX_PRODUCTS} products; give each call its own layer"
            )
        high, total = filters // groups, None
        for entry, steps in enumerate(slices(b, x, 1, window, 0.0)):
            weights = b.item(kernel, entry)
            part = _product(b, steps, weights, groups, wide, high)
            total = part if total is None else b.operation("+", total, part)
        if total is None:
            raise UnreadableError("its kernel has no entries; it must have at least one")
        return total if bias is None else b.operation("+", total, bias)

    return convolve


def _product(b: Backend[Item], x: Item, weights: Item, groups: int, wide: int, high: int) -> Item:
    """Return the grouped product of x [batch, time, groups * wide] and weights [wide, groups * high]."""
    if groups == 1:
        return b.operation("@", x, weights)
    every = slice(None)
    parts = [
        b.operation(
            "@",
            b.item(x, every, every, slice(group * wide, (group + 1) * wide)),
            b.item(weights, every, slice(group * high, (group + 1) * high)),
        )
        for group in range(groups)
    ]
    return b.concat(parts, 2)


def convolution(
    b: Backend[Item], x: Item, kernel: np.ndarray, windows: Sequence[Window], groups: int, convolve: Convolve[Item]
) -> Item:
    """Convolve x [batch, *axes, width] with a 1-D or 2-D kernel [*sizes, width / groups, filters].

    Args:
        b: The backend.
        x: The value.
        kernel: The kernel.
        windows: Window along each axis.
        groups: Number of groups of channels.
        convolve: The 1-D convolution: the result of ``owned`` or ``shared``.
    """
    if isinstance(convolve, Owned) and len(windows) == 2 and kernel.shape[2] == 1 < groups and not convolve.activation:
        return _depthwise(b, x, kernel, windows, groups, convolve)

    def run(x: Item, across: int | None, window: Window) -> Item:
        return convolve(x, kernel if across is None else flattened_kernel(kernel, across), window)

    return convolution_along(b, x, kernel.shape, windows, groups, run)


def _depthwise(
    b: Backend[Item], x: Item, kernel: np.ndarray, windows: Sequence[Window], groups: int, layer: Owned[Item]
) -> Item:
    """Return a 2-D depthwise convolution as a sum of 1-D convolutions, one for each row of the kernel.

    ``convolution_along`` would be slower: it concatenates rows within each group, which is one channel wide here.
    """
    _check(b, x, kernel.shape, windows, groups)

    def run(x: Item, across: Window, along: Window, place: int) -> Item:
        ordered = kernel.transpose(kernel_order(place))

        def total(rows: Sequence[Item]) -> Item:
            parts = [layer.of_row(row)(part, ordered[:, row], along) for row, part in enumerate(rows)]
            return reduce(lambda left, right: b.operation("+", left, right), parts)

        return by_rows(b, slices(b, x, 1, across, 0.0), total)

    return on_planes(b, x, windows, run)


def flattened_kernel(kernel: np.ndarray, across: int) -> np.ndarray:
    """Reshape a 2-D kernel to a 1-D kernel [size along, size across * width, filters].

    Args:
        across: The kernel's unrolled axis, 0 or 1.
    """
    ordered = kernel.transpose(kernel_order(across))
    return ordered.reshape(ordered.shape[0], -1, ordered.shape[3])


def kernel_order(across: int) -> tuple[int, int, int, int]:
    """Return the order of axes that transposes a 2-D kernel to [along, across, width, filters]."""
    return (1, 0, 2, 3) if across == 0 else (0, 1, 2, 3)


def convolution_along(
    b: Backend[Item],
    x: Item,
    kernel: Sequence[int],
    windows: Sequence[Window],
    groups: int,
    convolve: Callable[[Item, int | None, Window], Item],
) -> Item:
    """Convolve x [batch, *axes, width] along one or two axes by a 1-D convolution. Channels come last.

    For two axes, the entries of a window along the unrolled axis are concatenated as channels, group by group.

    Args:
        b: The backend.
        x: The value.
        kernel: The shape of the kernel, [*sizes, width / groups, filters].
        windows: Window along each axis.
        groups: Number of groups of channels.
        convolve: The 1-D convolution: function of its input, the unrolled axis of the kernel (None if the
            kernel has one axis), and the window.
    """
    _check(b, x, kernel, windows, groups)
    if len(windows) == 1:
        return convolve(x, None, windows[0])

    def run(x: Item, across: Window, along: Window, place: int) -> Item:
        parts = slices(b, x, 1, across, 0.0)
        return by_rows(b, [_concat_channels(b, parts, groups)], lambda rows: convolve(rows[0], place, along))

    return on_planes(b, x, windows, run)


def _concat_channels(b: Backend[Item], parts: Sequence[Item], groups: int) -> Item:
    """Concatenate several tensors along the last axis, group by group, so that each group's channels are adjacent."""
    if groups == 1 or len(parts) == 1:
        return parts[0] if len(parts) == 1 else b.concat(parts, 3)
    *ahead, width = b.shape(parts[0])
    assert isinstance(width, int)
    grouped = [b.reshape(part, (*ahead, groups, width // groups)) for part in parts]
    return b.reshape(b.concat(grouped, 4), (*ahead, width * len(parts)))


def _check(b: Backend[Item], x: Item, kernel: Sequence[int], windows: Sequence[Window], groups: int) -> None:
    """Raise ``UnreadableError`` if a kernel's rank, sizes or channels do not fit the windows, x or the groups."""
    shape = b.shape(x)
    axes = len(shape) - 2
    if axes not in (1, 2) or len(kernel) != len(shape) or len(windows) != axes:
        raise UnreadableError(
            f"it runs along {axes} axes with a kernel of rank {len(kernel)}; use a 1-D or 2-D convolution"
        )
    if [window.size for window in windows] != [*kernel[:-2]]:
        raise UnreadableError(
            f"its windows have sizes {[window.size for window in windows]}; they must be those of the kernel, "
            f"{[*kernel[:-2]]}"
        )
    width, (part, filters) = shape[-1], kernel[-2:]
    if not isinstance(width, int) or groups < 1 or part * groups != width or filters % groups:
        raise UnreadableError(
            f"its kernel of shape {list(kernel)} does not fit {width} channels in {groups} groups; it must be "
            "[*sizes, channels / groups, filters]"
        )


def transposed_convolution(
    b: Backend[Item],
    x: Item,
    kernel: np.ndarray,
    windows: Sequence[Window],
    added: Sequence[int],
    groups: int,
    convolve: Convolve[Item],
) -> Item:
    """Return the transposed convolution of x [batch, *axes, width].

    Zeros are inserted between the entries of x, and the result is convolved with the flipped kernel.

    Args:
        b: The backend.
        x: The value.
        kernel: [*sizes, filters / groups, width].
        windows: Window along each axis. ``before`` and ``after`` are cropped from the result.
        added: Number of entries that are appended to the result along each axis (output padding).
        groups: Number of groups of channels.
        convolve: The 1-D convolution.
    """
    count = kernel.ndim - 2
    if groups < 1 or kernel.shape[-1] % groups or len(b.shape(x)) != kernel.ndim:
        raise UnreadableError(
            f"its kernel of shape {list(kernel.shape)} does not fit an input of rank {len(b.shape(x))} and {groups} "
            "groups; it must be [*sizes, filters / groups, channels]"
        )
    plain = []
    for axis, (window, more) in enumerate(zip(windows, added, strict=True), 1):
        before, after = window.sides
        x = _with_zeros_between(b, x, axis, window.stride)
        ends = window.span - before, window.span - after - window.stride + 1 + more
        if min(ends) < 0:
            cut = slice(-min(ends[0], 0) or None, min(ends[1], 0) or None)
            x = b.item(x, *(slice(None),) * axis, cut)
        plain.append(Window(window.size, 1, window.dilation, max(ends[0], 0), max(ends[1], 0)))
    parts = np.split(kernel, groups, axis=count + 1)  # [*sizes, filters / groups, width / groups] for each group
    swapped = np.concatenate([part.swapaxes(count, count + 1) for part in parts], axis=count + 1)
    return convolution(b, x, np.flip(swapped, tuple(range(count))), plain, groups, convolve)


def _with_zeros_between(b: Backend[Item], x: Item, axis: int, stride: int) -> Item:
    """Insert stride - 1 zeros after each entry of an axis."""
    if stride == 1:
        return x
    shape = b.shape(x)
    wide = b.pad(b.call(expand_dims, x, axis + 1), {axis + 1: (0, stride - 1)})
    return b.reshape(wide, (*shape[:axis], shape[axis] * stride, *shape[axis + 1 :]))
