"""1-D and 2-D max pooling and average pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...declare.functions.basic import reduce_max, reduce_mean
from ...declare.functions.convolutions import average_pool1d, max_pool1d
from ...declare.tensor import constant
from ...ir.types import Dim
from .backend import Backend, Item
from .errors import UnreadableError
from .planes import by_rows, on_planes
from .windows import Window, joined, slices


def max_pool(b: Backend[Item], x: Item, windows: Sequence[Window]) -> Item:
    """Return the maximum of every window of x [batch, *axes, width]."""
    return _pool(b, x, windows, None)


def mean_pool(b: Backend[Item], x: Item, windows: Sequence[Window], counts_padding: bool) -> Item:
    """Return the mean of every window of x [batch, *axes, width].

    Args:
        b: The backend.
        x: The value.
        windows: Window along each axis.
        counts_padding: True if padding counts as zeros; False for the mean over the entries of x alone.
    """
    return _pool(b, x, windows, counts_padding)


def adaptive_pool(b: Backend[Item], x: Item, counts: Mapping[int, int], is_max: bool) -> Item:
    """Return the maximum or mean of ``counts[axis]`` windows that divide each axis, as torch's adaptive pooling does.

    Args:
        b: The backend.
        x: The value.
        counts: Number of windows, by axis. If it does not divide the axis, windows differ in size, and may overlap.
        is_max: True for the maximum, False for the mean.
    """
    function = reduce_max if is_max else reduce_mean
    for axis, count in counts.items():
        shape, ahead = b.shape(x), (slice(None),) * axis
        size = shape[axis]
        if count == 1:
            x = b.call(function, x, axis, keepdims=True)
            continue
        if count < 1:
            raise UnreadableError(f"it asks for {count} windows along axis {axis}; at least 1 is needed")
        if not isinstance(size, int):
            raise UnreadableError(f"it divides an axis of size {size} into {count} windows; fix the size")
        if size % count == 0:
            x = b.call(function, b.reshape(x, (*shape[:axis], count, size // count, *shape[axis + 1 :])), axis + 1)
            continue
        bounds = [slice(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]
        x = b.concat([b.call(function, b.item(x, *ahead, window), axis, keepdims=True) for window in bounds], axis)
    return x


def _pool(b: Backend[Item], x: Item, windows: Sequence[Window], counts_padding: bool | None) -> Item:
    """Pool x [batch, *axes, width] along one axis or two.

    Args:
        counts_padding: True to count padding as zeros in a mean, False to skip padding; None for the maximum.
    """
    if len(b.shape(x)) != len(windows) + 2 or len(windows) not in (1, 2):
        raise UnreadableError(f"it pools {len(b.shape(x)) - 2} axes with {len(windows)} windows; use a 1-D or 2-D pool")
    if len(windows) == 1:
        return _pool_time(b, x, windows[0], counts_padding)

    def run(x: Item, across: Window, along: Window, _: int) -> Item:
        y = _pool_unrolled(b, x, across, counts_padding)
        return y if along.is_identity else by_rows(b, [y], lambda rows: _pool_time(b, rows[0], along, counts_padding))

    return on_planes(b, x, windows, run)


def _pool_unrolled(b: Backend[Item], x: Item, window: Window, counts_padding: bool | None) -> Item:
    """Pool x [batch, across, along, width] along axis 1, which is unrolled into slices."""
    fill = float("-inf") if counts_padding is None else 0.0
    total = joined(b, slices(b, x, 1, window, fill), counts_padding is None)
    if counts_padding is None or window.is_identity:
        return total
    size = b.shape(x)[1]
    assert isinstance(size, int)
    counts = entry_counts(window, size, counts_padding)
    if len(set(counts)) == 1:
        return total if counts[0] == 1 else b.operation("/", total, float(counts[0]))
    return b.operation("/", total, b.call(constant, [[[float(count)]] for count in counts], b.dtype(x)))


def entry_counts(window: Window, size: int, counts_padding: bool) -> list[int]:
    """Return, for each window along an axis, the number of entries by which the mean divides the window's sum.

    Args:
        window: The windows.
        size: Size of the axis.
        counts_padding: True to count padding too.
    """
    before, _ = window.sides
    after = window.after
    assert isinstance(after, int)
    first, last = (-before, size + after) if counts_padding else (0, size)
    count = window.count(size)
    assert isinstance(count, int)
    starts = [number * window.stride - before for number in range(count)]
    reads = range(0, window.span + 1, window.dilation)
    return [sum(first <= start + entry < last for entry in reads) for start in starts]


def _pool_time(b: Backend[Item], x: Item, window: Window, counts_padding: bool | None) -> Item:
    """Pool x [batch, time, width] along time."""
    is_max = counts_padding is None
    if window.is_even and window.dilation == 1 and not counts_padding and window.span:
        return b.call(max_pool1d if is_max else average_pool1d, x, window.size, **_strides(window), padding="same")
    total = _padded_pool(b, x, window, is_max)
    if is_max or (not window.beyond and (counts_padding or window.sides == (0, 0))):
        return total
    size, whole = b.shape(x)[1], window
    if counts_padding:
        before, after = window.sides
        size, whole = size + (before + after - window.beyond), replace(window, before=0, after=0, is_same=False)
    shares = _padded_pool(b, _ones(b, (1, size, 1), b.dtype(x)), whole, is_max)
    return b.operation("/", total, shares)


def _ones(b: Backend[Item], shape: Sequence[Dim], dtype: str) -> Item:
    options = {} if dtype == "float32" else {"dtype": dtype}
    return b.broadcast(b.call(constant, 1.0, **options), shape)


def _padded_pool(b: Backend[Item], x: Item, window: Window, is_max: bool) -> Item:
    """Pool x [batch, time, width] along time. The mean counts padding as zeros."""
    fill = float("-inf") if is_max else 0.0
    if window.is_identity:
        return x
    if window.dilation > 1 and window.size > 1:
        total = joined(b, slices(b, x, 1, window, fill), is_max)
        return total if is_max else b.operation("/", total, float(window.size))
    if window.sides != (0, 0):
        x = b.pad(x, {1: window.sides}, fill)
    return b.call(max_pool1d if is_max else average_pool1d, x, window.size, **_strides(window))


def _strides(window: Window) -> dict[str, object]:
    return {} if window.stride == window.size else {"strides": window.stride}
