"""Nests: tuples, namedtuples, lists and dicts of leaves, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def children(nest: Any) -> list[tuple[str, Any]] | None:
    """(key, child) of each entry of a nest, or None for a leaf."""
    if isinstance(nest, dict):
        return [(str(key), value) for key, value in nest.items()]
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return [(str(key), getattr(nest, key)) for key in nest._fields]
    if isinstance(nest, tuple | list):
        return [(str(position), value) for position, value in enumerate(nest)]
    return None


def is_leaf(nest: Any) -> bool:
    return children(nest) is None


def flatten(nest: Any) -> list[Any]:
    return [leaf for _, leaf in paths(nest)]


def paths(nest: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) for every leaf; a path is like ``states/0/c``."""
    entries = children(nest)
    if entries is None:
        yield prefix, nest
        return
    for key, value in entries:
        yield from paths(value, f"{prefix}/{key}" if prefix else key)


def rebuild(nest: Any, values: Sequence[Any]) -> Any:
    """A nest of the same containers: a dict stays a dict, a namedtuple its own type."""
    if isinstance(nest, dict):
        return dict(zip(nest, values, strict=True))
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*values)
    return type(nest)(values)


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """``leaves`` in the structure of ``structure``."""
    iterator = iter(leaves)

    def fill(nest: Any) -> Any:
        entries = children(nest)
        if entries is None:
            return next(iterator)
        return rebuild(nest, [fill(value) for _, value in entries])

    return fill(structure)


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    return pack(nest, [function(leaf) for leaf in flatten(nest)])
