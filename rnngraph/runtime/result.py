"""What a call gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..declare.nest import children, pack
from ..errors import NameLookupError, did_you_mean, shown

Leaf = Callable[[], np.ndarray]
"""Gives one array of a result, fresh."""


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Given = TypeVar("Given", default="Result")
else:
    from typing import TypeVar

    Given = TypeVar("Given")
"""What a program's calls give: a ``Result``, or an array where one bare Tensor was compiled without a loss."""


class Result(dict[str, Any]):
    """A mapping with the structure that was handed to ``compile``."""

    __slots__ = ()

    def __missing__(self, name: Any) -> Any:
        raise NameLookupError(
            f"the result has no {shown(name)}{did_you_mean(name, self) or '; it has ' + ', '.join(self)}"
        )


def result_of(structure: Any, arrays: Sequence[np.ndarray]) -> Any:
    """Arrays, in the order of the leaves, as what a call gives."""
    whole = pack(structure, arrays)
    return Result(whole) if isinstance(structure, dict) else whole


def giver(structure: Any, leaves: Sequence[Leaf]) -> Callable[[], Any]:
    """What gives the same again and again, of what its leaves give: to look at a structure takes longer than a small
    call.
    """
    return _giver(structure, iter(leaves), Result)


def _giver(nest: Any, leaves: Iterator[Leaf], mapping: type[dict[str, Any]]) -> Callable[[], Any]:
    entries = children(nest)
    if entries is None:
        return next(leaves)
    parts = [_giver(child, leaves, dict) for _, child in entries]
    if isinstance(nest, dict):
        mapping = Result if isinstance(nest, Result) else mapping
        named = tuple(zip(nest, parts, strict=True))

        def give() -> dict[str, Any]:
            result = mapping()
            for key, part in named:
                result[key] = part()
            return result

        return give
    kind = type(nest)
    if hasattr(nest, "_fields"):
        return lambda: kind._make([part() for part in parts])
    return lambda: kind([part() for part in parts])
