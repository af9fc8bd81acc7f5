"""Two axes, of which one is written out: windows along it become slices, and the other axis takes the part of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.types import Dim
from .backend import Backend, Item
from .errors import UnreadableError
from .windows import Window

MAX_SLICES = 64
"""Maximum entries of a window along the axis that is written out: each is a slice of its own."""


def written_axis(sizes: Sequence[Dim], windows: Sequence[Window]) -> int | None:
    """Return which of two axes is written out: one of fixed size, best one that windows leave as it is, else the
    second; or an open one that windows leave as it is. None where both are open.
    """
    fixed = [place for place in (1, 0) if isinstance(sizes[place], int)]
    unchanged = [place for place in (0, 1) if windows[place].is_identity]
    short = [place for place in fixed if windows[place].size <= MAX_SLICES]
    for place in [*(place for place in unchanged if place in fixed), *short, *unchanged]:
        return place
    if fixed:
        raise UnreadableError(f"it runs along two axes with windows of {windows[fixed[0]].size}")
    return None


def on_planes(
    b: Backend[Item], x: Item, windows: Sequence[Window], run: Callable[[Item, Window, Window, int], Item]
) -> Item:
    """Apply a function of [batch, across, along, channels] to x [batch, height, width, channels].

    run: of x in that order, of the windows across, which are written out, of those along, and of the place of the
        former.
    """
    place = written_axis(b.shape(x)[1:3], windows)
    if place is None:
        raise UnreadableError("both axes of its input are open; fix the size of one")
    if place == 0:
        return run(x, windows[0], windows[1], place)
    made = run(b.transpose(x, (0, 2, 1, 3)), windows[1], windows[0], place)
    return b.transpose(made, (0, 2, 1, 3))


def by_rows(b: Backend[Item], x: Item, run: Callable[[Item], Item]) -> Item:
    """Apply a function of [rows, along, channels] to x [batch, across, along, channels].

    ``along`` stays one axis of every reshape, so that its size may be any formula.
    """
    batch, across, along, channels = b.shape(x)
    first = b.reshape(b.transpose(x, (2, 0, 1, 3)), (along, batch * across, channels))
    made = b.transpose(run(b.transpose(first, (1, 0, 2))), (1, 0, 2))
    count, _, width = b.shape(made)
    return b.transpose(b.reshape(made, (count, batch, across, width)), (1, 2, 0, 3))
