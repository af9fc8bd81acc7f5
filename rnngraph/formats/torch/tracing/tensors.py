"""``Traced``: a tensor without values for a module's code. Also shapes, nested arguments, and writes through views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ....ir.types import symbols_of
from ....support.errors import Where
from ....support.records import dataclass
from ...steps import Value
from .calls import Arguments, Keywords, user_line_of_module
from .registry import UnreadableError
from .sizes import Sizes
from .values import Lazy, shape_of

INPUT_DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.bool: "bool",
}
"""``rg``'s names of the torch dtypes of inputs."""
ROUNDED_DTYPES = {torch.bfloat16: "bfloat16"}
"""Dtypes that are computed in float32, and rounded to the dtype after each call: {torch's dtype: name for rounding}."""
DTYPES = {**INPUT_DTYPES, **dict.fromkeys(ROUNDED_DTYPES, "float32")}
"""``rg``'s names of the dtypes in which values are computed, by torch's dtype."""
TORCH_DTYPES = {name: dtype for dtype, name in INPUT_DTYPES.items()}
"""torch's dtypes by the names of ``rg``."""


def is_rounded(item: object) -> bool:
    """False for a tensor of a float dtype that is not in ``ROUNDED_DTYPES``; True for all other arguments."""
    return not isinstance(item, torch.Tensor) or item.dtype in ROUNDED_DTYPES or not item.dtype.is_floating_point


class Memory:
    """Memory that a tensor and its views share."""

    count = 0
    """Number of memories so far, of all runs."""

    def __init__(self) -> None:
        self.number = Memory.count
        """Index in the order of allocation."""
        Memory.count += 1
        self.writes = 0
        """Number of writes in place so far."""
        self.where: Where | None = None
        """Line of the last write."""


class Traced(torch.Tensor):  # type: ignore[misc, unused-ignore]  # without torch installed its base is Any
    """Tensor without values, which stands for a value of the script or a lazy value."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: Value | Lazy
    memory: Memory
    writes: int
    """Number of writes to ``memory`` whose effect ``value`` includes."""
    origin: View | None
    """Relation to the tensor of which this tensor is a view; None if it is no view."""

    @staticmethod
    def of(value: Value | Lazy, like: torch.Tensor) -> Traced:
        """Wrap a value in a tensor with the shape and dtype of ``like``."""
        traced: Traced = torch.Tensor._make_subclass(Traced, like)
        traced.value, traced.memory, traced.writes, traced.origin = value, Memory(), 0, None
        return traced

    @property
    def is_overwritten(self) -> bool:
        """True if a write in place to another tensor, such as a view, changed this tensor's memory."""
        return self.writes != self.memory.writes

    def share(self, other: Traced) -> None:
        """Make this tensor a view that shares the memory of another tensor."""
        self.memory, self.writes = other.memory, other.writes

    def write(self, value: Value | Lazy, where: Where | None) -> None:
        """Replace the value by a write in place at the line ``where``."""
        self.value, self.memory.where = value, where
        self.memory.writes += 1
        self.writes = self.memory.writes


class Shape(tuple[Any, ...]):
    """Shape of a tensor in the module's code: ints, some of which are ``Extent``s."""

    def numel(self) -> Any:
        """Return the product of the sizes."""
        total: Any = 1
        for size in self:
            total = size * total
        return total


# Nested arguments: lists, tuples, dicts and slices ---------------------------------------------------


def flat(item: object) -> list[Any]:
    """Return the leaves of nested arguments."""
    if isinstance(item, dict):
        return [leaf for part in item.values() for leaf in flat(part)]
    if isinstance(item, list | tuple):
        return [leaf for part in item for leaf in flat(part)]
    if isinstance(item, slice):
        return [item.start, item.stop, item.step]
    return [item]


def mapped(item: Any, function: Callable[[Any], Any]) -> Any:
    """Return nested arguments with a function applied to each leaf. A ``torch.Size`` becomes a tuple."""
    if isinstance(item, dict):
        return {key: mapped(part, function) for key, part in item.items()}
    if isinstance(item, slice):
        return slice(*(function(part) for part in (item.start, item.stop, item.step)))
    if isinstance(item, Shape | torch.Size):
        return tuple(mapped(part, function) for part in item)
    if isinstance(item, list | tuple):
        parts = [mapped(part, function) for part in item]
        return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
    return function(item)


# Views ----------------------------------------------------------------------------------------------

RESHAPES = frozenset(("view", "view_as", "unflatten", "squeeze", "unsqueeze"))
"""Functions whose result is always a view with all entries in their order. ``reshape`` may copy."""
TRANSPOSES = frozenset(("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "t", ".T", ".mT"))
"""Functions whose result is always a view with axes in another order."""
VIEWS = frozenset((*RESHAPES, *TRANSPOSES))
"""Functions whose form in place, such as ``squeeze_``, makes a tensor a view of itself, and writes nothing."""
Call = Callable[[str, Any, Arguments, Keywords], Any]
"""Function that declares a call of a torch function: (name, function, arguments, keywords)."""


@dataclass(frozen=True)
class View:
    """Relation of a view to the tensor that contains it.

    Attributes:
        whole: The other tensor.
        name: Name of the function that returned the view.
        called: The function.
        args: Arguments of the function after ``whole``. For ``__getitem__``, the index.
        keywords: Keyword arguments of the function.
    """

    whole: Traced
    name: str
    called: Any
    args: Arguments
    keywords: Keywords


def view_of(result: object, name: str, called: Any, args: Arguments, keywords: Keywords) -> View | None:
    """Return ``result`` as a view of the first argument; None if it is no view through which writes can be tracked."""
    if name not in ("__getitem__", *RESHAPES, *TRANSPOSES) or not isinstance(result, Traced) or not args:
        return None
    whole = args[0]
    if not isinstance(whole, Traced) or result.memory is not whole.memory:
        return None
    return View(whole, name, called, tuple(args[1:]), keywords)


def is_part(part: object, whole: object, index: object) -> bool:
    """True if ``part`` is ``whole[index]``, and includes all later writes to ``whole``."""
    if not isinstance(part, Traced) or part.is_overwritten:
        return False
    view = part.origin
    if view is None or view.name != "__getitem__" or view.whole is not whole:
        return False
    return repr(view.args[0]) == repr(index)


def write(target: Traced, value: Value | Lazy, call: Call, sizes: Sizes, is_view: bool) -> None:
    """Write a value into a tensor. If the tensor is a view, write into its whole tensor, too.

    Args:
        target: The tensor.
        value: The value.
        call: Function that declares calls.
        sizes: Known equalities of sizes.
        is_view: True if the value is a view of the tensor itself, as by ``squeeze_``, so that no numbers change.
    """
    if is_view:
        target.value, target.origin = value, None
        return
    target.write(value, user_line_of_module())
    write_through(target, call, sizes)


def write_through(part: Traced, call: Call, sizes: Sizes) -> None:
    """Write a changed view into its whole tensor, which is written into its own whole tensor if it is a view, too."""
    while (view := part.origin) is not None:
        whole = view.whole
        if whole.writes != part.writes - 1:
            return  # Another write changed the tensor, so the write can't be followed. Reading the tensor is an error.
        whole.writes = part.writes
        whole.value = _whole_after_write(view, part, call, sizes).value
        part = whole


def refresh(part: Traced, call: Call) -> None:
    """Recompute a view after a write to the tensor that contains it.

    Raises:
        UnreadableError: ``part`` is not recorded as a view, so a write through another view can't be applied to it.
    """
    view = part.origin
    if view is None:
        at = f" at {part.memory.where}" if part.memory.where else ""
        raise UnreadableError(
            f"it reads a tensor that was changed in place through a view{at}; compute a new tensor, as in y = y + 1"
        )
    if view.whole.is_overwritten:
        refresh(view.whole, call)
    part.value = call(view.name, view.called, (view.whole, *view.args), view.keywords).value
    part.writes = part.memory.writes


def _whole_after_write(view: View, part: Traced, call: Call, sizes: Sizes) -> Any:
    """Return the whole tensor after a write to the view ``part``."""
    if view.name == "__getitem__":
        return call("__setitem__", None, (view.whole, view.args[0], part), {})
    if view.name in TRANSPOSES:
        return call("permute", torch.Tensor.permute, (part, *_inverse_order(view)), {})
    lost = _symbols(view.whole) - _symbols(part)
    if lost:  # The view has a number where the whole tensor has a symbolic size.
        sizes.close(lost)
    return call("view_as", torch.Tensor.view_as, (part, view.whole), {})


def _symbols(tensor: Traced) -> frozenset[str]:
    return frozenset().union(*map(symbols_of, shape_of(tensor.value)))


def _inverse_order(view: View) -> list[int]:
    """Return the permutation of axes that undoes the transpose by which a view was computed."""
    sizes = range(2, 2 + view.whole.dim())  # distinct sizes identify the axes
    with torch._C.DisableTorchFunction():
        transposed = view.called(torch.empty([*sizes], device="meta"), *view.args, **view.keywords)
    order = [sizes.index(size) for size in transposed.shape]
    return [order.index(axis) for axis in range(len(order))]
