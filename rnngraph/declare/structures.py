"""``map_structure``, which maps a function over the leaves of nests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from ..support.api_guard import api, taking
from ..support.errors import DtypeError, StructureError, shown
from .nest import children, flatten, pack


@overload
def map_structure(function: Callable[[Any], Any], nest: Any, /) -> Any: ...  # for type inference of lambdas
@overload
def map_structure(function: Callable[[Any, Any], Any], first: Any, second: Any, /) -> Any: ...
@overload
def map_structure(function: Callable[..., Any], /, *nests: Any) -> Any: ...


@api
def map_structure(function: Callable[..., Any], *nests: Any) -> Any:
    """Apply a function to corresponding leaves of nests.

    Tuples, lists, namedtuples and dicts are containers. All other values, None included, are leaves. Dicts are matched
    by key, in any order.

    Args:
        function: Function of one leaf of each nest. It is called in the order of the first nest's leaves.
        *nests: One or more nests of the same structure.

    Returns:
        The results, in the containers of the first nest.

    Raises:
        StructureError: The nests differ in structure. The message names the place.
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
    """Return the leaves of nest ``number`` in the order of the first nest's leaves."""
    leaves: list[Any] = []
    pending: list[tuple[Any, Any, str]] = [(first, nest, "")]
    while pending:
        expected, actual, path = pending.pop()
        parts, place = children(expected), f" at {path}" if path else ""
        if _container_text(expected) != _container_text(actual):
            raise StructureError(
                f"nest {number} of map_structure has {_container_text(actual)}{place}, and the first one "
                f"{_container_text(expected)}; give nests of one structure"
            )
        if parts is None:
            leaves.append(actual)
            continue
        entries = dict(children(actual) or ())
        missing = [key for key, _ in parts if key not in entries]
        unknown = [key for key in entries if key not in dict(parts)]
        if missing or unknown:
            differing = ", ".join(map(shown, [*missing, *unknown]))
            raise StructureError(
                f"nest {number} of map_structure and the first one have different keys{place}: only one has "
                f"{differing}; give nests with the same keys"
            )
        pending += [(part, entries[key], f"{path}.{key}".lstrip(".")) for key, part in reversed(parts)]
    return leaves


def _container_text(nest: Any) -> str:
    """Return a description of a container. Corresponding containers must have equal descriptions."""
    if isinstance(nest, dict):
        return "a dict"
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return f"a {type(nest).__name__}({', '.join(nest._fields)})"
    if isinstance(nest, tuple | list):
        return f"a {'tuple' if isinstance(nest, tuple) else 'list'} of {len(nest)}"
    return "one value"
