"""``Window``: padding, stride and dilation of convolutions and pools along one axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...declare.functions.basic import maximum
from ...declare.functions.padding import same_padding
from ...ir.sizes.polynomial import floor_divide
from ...ir.types import Dim
from .backend import Backend, Item
from .errors import UnreadableError

Padding = str | tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Size, stride, dilation and padding of the windows along one axis.

    Attributes:
        size: Entries of a window.
        stride: Distance between the first entries of consecutive windows.
        dilation: Distance between the entries of a window.
        before: Entries of padding before the axis. Symbolic for ``same`` padding with a stride along an axis of
            symbolic size.
        after: Entries of padding after the axis.
        is_same: True for ``same`` padding, with ceil(size of the axis / stride) windows.
        beyond: Maximum entries of the last window that lie after the padding (ceil mode). Pools ignore them.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    before: Dim = 0
    after: Dim = 0
    is_same: bool = False
    beyond: int = 0

    @staticmethod
    def along(axis: Dim, size: int, stride: int = 1, dilation: int = 1, padding: Padding = "valid") -> Window:
        """Return the windows along an axis of size ``axis``, with the padding as entries before and after.

        Args:
            axis: Size of the axis.
            size: Entries of a window.
            stride: Distance between the first entries of consecutive windows.
            dilation: Distance between the entries of a window.
            padding: ``valid``; ``same``, which pads more after if the total is odd; ``same_lower``, which then pads
                more before; ``causal``; or (before, after).
        """
        if min(size, stride, dilation) < 1:
            raise UnreadableError(
                f"its windows have size {size}, stride {stride} and dilation {dilation}; each must be at least 1"
            )
        window = Window(size, stride, dilation)
        if isinstance(padding, tuple):
            return replace(window, before=padding[0], after=padding[1])
        if padding == "causal":
            return replace(window, before=window.span)
        if padding in ("same", "same_lower"):
            less, more = same_padding(axis, window.span, stride) if stride > 1 else _halves(window.span)
            is_upper = padding == "same"
            return replace(
                window, before=less if is_upper else more, after=more if is_upper else less, is_same=is_upper
            )
        if padding != "valid":
            raise UnreadableError(f"its padding is {padding!r}; it must be valid, same, same_lower or causal")
        return window

    @staticmethod
    def transposed(size: int, stride: int, dilation: int, padding: Padding, added: int = 0) -> Window:
        """Return the window of a transposed convolution, with the padding as entries that are cropped from the result.

        Args:
            size: Entries of a window.
            stride: Distance between the results of consecutive entries of the input.
            dilation: Distance between the entries of a window.
            padding: ``valid``, ``same``, ``same_lower`` or (before, after). With ``same``, the result is ``stride``
                times as long as the input, or shorter if ``stride`` exceeds the extent of a window plus ``added``.
            added: Number of entries that are appended to the result (output padding).
        """
        if isinstance(padding, tuple):
            return Window(size, stride, dilation, *padding)
        cut = max(0, dilation * (size - 1) + 1 - stride + added)
        less, more = _halves(cut)
        sides = {"same": (less, more), "same_lower": (more, less), "valid": (0, 0)}.get(padding)
        if sides is None:
            raise UnreadableError(f"its padding is {padding!r}; it must be valid, same or same_lower")
        return Window(size, stride, dilation, *sides)

    @property
    def span(self) -> int:
        """Distance from the first to the last entry of a window: (size - 1) * dilation."""
        return self.dilation * (self.size - 1)

    @property
    def is_identity(self) -> bool:
        """True if windows have one entry, with stride 1 and no padding."""
        return self.size == self.stride == 1 and self.before == self.after == self.beyond == 0

    @property
    def sides(self) -> tuple[int, int]:
        """(before, after + beyond) as ints. Raises ``UnreadableError`` if the padding is symbolic."""
        if isinstance(self.before, int) and isinstance(self.after, int):
            return self.before, self.after + self.beyond
        raise UnreadableError("its padding depends on the symbolic size of its axis; fix the size")

    @property
    def is_even(self) -> bool:
        """True if the padding equals ``same`` padding, so that ``rg.conv1d`` or a pool can be called with ``same``."""
        return not self.beyond and (
            self.is_same or (self.stride == 1 and self.span > 0 and (self.before, self.after) == _halves(self.span))
        )

    def count(self, axis: Dim) -> Dim:
        """Return the number of windows along an axis of this size."""
        return floor_divide(axis + self.before + self.after + (self.beyond - self.span - 1), self.stride) + 1

    def transposed_count(self, axis: Dim, added: int = 0) -> Dim:
        """Return the size of a transposed convolution's result along an axis of this size."""
        return (axis - 1) * self.stride + self.span + 1 - self.before - self.after + added

    def ceiled(self, axis: Dim) -> Window | None:
        """Return the window padded for ceil mode, which keeps an incomplete last window; None if undecided.

        A window that would start in the padding after the axis is dropped. The window is undecided if that depends
        on a symbolic size.
        """
        if not isinstance(axis, int):
            if not isinstance(self.before, int) or not isinstance(self.after, int):
                return None
            is_always = self.stride + self.after <= self.span + 1
            return replace(self, beyond=self.stride - 1) if is_always else None
        before, after = self.sides
        whole = axis + before + after - self.span - 1
        last = -(-whole // self.stride)
        if last * self.stride >= axis + before:
            last -= 1
        return replace(self, beyond=max(0, last * self.stride - whole))


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


def slices(b: Backend[Item], x: Item, axis: int, window: Window, fill: float) -> list[Item]:
    """Return one slice of an axis for each entry of a window: slice i consists of entry i of every window.

    Args:
        b: The backend.
        x: The value.
        axis: The axis.
        window: The windows.
        fill: Value of the padding.

    Raises:
        UnreadableError: An axis of fixed size is shorter than a window, or the padding is symbolic.
    """
    if window.is_identity:
        return [x]
    before, after = window.sides
    if before or after:
        x = b.pad(x, {axis: (before, after)}, fill)
    size = b.shape(x)[axis]
    if isinstance(size, int) and size <= window.span:
        raise UnreadableError(f"its windows span {window.span + 1} entries, but the axis has {size}; pad the axis")
    if isinstance(size, int):  # Entries after the last window are in no slice.
        used = (size - window.span - 1) // window.stride * window.stride + 1
        ends = [entry * window.dilation + used for entry in range(window.size)]
    else:
        ends = [entry * window.dilation - window.span for entry in range(window.size)]
    step = None if window.stride == 1 else window.stride
    starts = [entry * window.dilation for entry in range(window.size)]
    parts = zip(starts, ends, strict=True)
    ahead = (slice(None),) * axis
    return [b.item(x, *ahead, slice(start or None, end or None, step)) for start, end in parts]


def joined(b: Backend[Item], parts: list[Item], is_max: bool) -> Item:
    """Return the elementwise maximum or sum of several tensors."""
    total = parts[0]
    for part in parts[1:]:
        total = b.call(maximum, total, part) if is_max else b.operation("+", total, part)
    return total
