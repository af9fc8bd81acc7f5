"""2-D convolution and pooling: one axis is unrolled into slices, and the other is treated as time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.types import Dim
from .backend import Backend, Item
from .errors import UnreadableError
from .windows import Window

MAX_SLICES = 64
"""Maximum entries of a window along the unrolled axis, because each entry becomes a slice op."""


def unrolled_axis(sizes: Sequence[Dim], windows: Sequence[Window]) -> int | None:
    """Return which of two axes a 2-D window op unrolls into slices; None if neither can be.

    The first choice is an axis of fixed size that its window leaves unchanged. Next are the second and the first axis,
    if the size is fixed and the window short. The last choice is a symbolic axis that its window leaves unchanged.

    Raises:
        UnreadableError: No axis can be unrolled, because the window along each fixed axis is too long.
    """
    fixed = [place for place in (1, 0) if isinstance(sizes[place], int)]
    unchanged = [place for place in (0, 1) if windows[place].is_identity]
    short = [place for place in fixed if windows[place].size <= MAX_SLICES]
    for place in [*(place for place in unchanged if place in fixed), *short, *unchanged]:
        return place
    if fixed:
        raise UnreadableError(
            f"its windows along a fixed axis have {windows[fixed[0]].size} entries; at most {MAX_SLICES} are supported"
        )
    return None


def on_planes(
    b: Backend[Item], x: Item, windows: Sequence[Window], run: Callable[[Item, Window, Window, int], Item]
) -> Item:
    """Apply a 2-D function, which unrolls one of two axes, to x [batch, height, width, channels].

    Args:
        b: The backend.
        x: The value.
        windows: Window along the height and along the width.
        run: Function of (x as [batch, across, along, channels], window across the unrolled axis, window along the
            other axis, unrolled axis: 0 for the height, 1 for the width).
    """
    place = unrolled_axis(b.shape(x)[1:3], windows)
    if place is None:
        raise UnreadableError("both axes of its input are symbolic; fix the size of one")
    if place == 0:
        return run(x, windows[0], windows[1], place)
    y = run(b.transpose(x, (0, 2, 1, 3)), windows[1], windows[0], place)
    return b.transpose(y, (0, 2, 1, 3))


def by_rows(b: Backend[Item], items: Sequence[Item], run: Callable[[Sequence[Item]], Item]) -> Item:
    """Apply a function of [rows, along, channels] to values [batch, across, along, channels].

    The axes ``batch`` and ``across`` are merged into ``rows``. No reshape changes ``along``, which may be symbolic.
    """
    batch, across = b.shape(items[0])[:2]
    y = b.transpose(run([_as_rows(b, item) for item in items]), (1, 0, 2))
    count, _, width = b.shape(y)
    return b.transpose(b.reshape(y, (count, batch, across, width)), (1, 2, 0, 3))


def _as_rows(b: Backend[Item], x: Item) -> Item:
    batch, across, along, channels = b.shape(x)
    first = b.reshape(b.transpose(x, (2, 0, 1, 3)), (along, batch * across, channels))
    return b.transpose(first, (1, 0, 2))
