"""``map_structure``, for states and for whatever else stands in nests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from ..support.api_guard import api, taking
from ..support.errors import DtypeError, StructureError, shown
from .nest import children, flatten, pack


@overload
def map_structure(function: Callable[[Any], Any], nest: Any, /) -> Any: ...  # so that checkers know what a lambda takes
@overload
def map_structure(function: Callable[[Any, Any], Any], first: Any, second: Any, /) -> Any: ...
@overload
def map_structure(function: Callable[..., Any], /, *nests: Any) -> Any: ...


@api
def map_structure(function: Callable[..., Any], *nests: Any) -> Any:
    """``function`` of what stands at the same place of each nest, in the containers of the first.

    Tuples, lists, namedtuples and dicts are containers; all else is a leaf, None too. Dicts are matched by their keys,
    in any order. The function is called with one leaf of each nest, from left to right as they stand in the first;
    what it returns is a leaf. Raises ``StructureError`` with the place where nests differ.
    """
    if not callable(function):
        raise DtypeError(f"map_structure needs a function of leaves, not {shown(function)}")
    if not nests:
        raise StructureError("map_structure needs one nest or more")
    names = ["leaf", *(f"leaf{number}" for number in range(2, len(nests) + 1))]
    function = taking(function, "the function of map_structure", *names)
    leaves = [flatten(nests[0]), *(_in_order(nests[0], nest, number) for number, nest in enumerate(nests[1:], 2))]
    return pack(nests[0], [function(*items) for items in zip(*leaves, strict=True)])


def _in_order(first: Any, nest: Any, number: int) -> list[Any]:
    """The leaves of the nest of this number, in the order of the first one's."""
    found: list[Any] = []
    pending: list[tuple[Any, Any, str]] = [(first, nest, "")]
    while pending:
        wanted, given, path = pending.pop()
        parts, place = children(wanted), f" at {path}" if path else ""
        if _kind(wanted) != _kind(given):
            raise StructureError(
                f"nest {number} of map_structure has {_kind(given)}{place}, and the first one {_kind(wanted)}"
            )
        if parts is None:
            found.append(given)
            continue
        entries = dict(children(given) or ())
        wanted_only = [key for key, _ in parts if key not in entries]
        given_only = [key for key in entries if key not in dict(parts)]
        if wanted_only or given_only:
            differing = ", ".join(map(shown, [*wanted_only, *given_only]))
            raise StructureError(
                f"nest {number} of map_structure and the first one have other keys{place}: only one has {differing}"
            )
        pending += [(part, entries[key], f"{path}.{key}".lstrip(".")) for key, part in reversed(parts)]
    return found


def _kind(nest: Any) -> str:
    """What nests must have in common, in words."""
    if isinstance(nest, dict):
        return "a dict"
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return f"a {type(nest).__name__}({', '.join(nest._fields)})"
    if isinstance(nest, tuple | list):
        return f"a {'tuple' if isinstance(nest, tuple) else 'list'} of {len(nest)}"
    return "one value"
