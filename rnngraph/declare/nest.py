"""Nests: tuples, namedtuples, lists and dicts of leaves, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import StructureError, Where, did_you_mean


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


def matched(structure: Any, given: Any, what: str, where: Where | None = None) -> list[Any]:
    """What ``given`` holds for each leaf of ``structure``, in the order of the structure's leaves.

    Mappings and namedtuples are matched by their keys, in any order; plain tuples and lists by position, nested as the
    structure is, or all leaves one behind the other. Where the structure holds one entry alone, the entry may stand
    for the container. what: names ``given`` in an error. Raises ``StructureError`` with the place, and with every
    entry that is unknown or missing.
    """
    numbers = range(len(flatten(structure)))
    found: list[Any] = [None] * len(numbers)

    def take(number: int, leaf: Any) -> None:
        found[number] = leaf

    _fitted(pack(structure, numbers), given, what, where, take)
    return found


def arranged(structure: Any, given: Any) -> Any:
    """The leaves of ``structure`` in the containers of ``given``, which ``matched`` has taken."""
    return _fitted(structure, given, "a nest", None, lambda leaf, _: leaf)


def _fitted(structure: Any, given: Any, place: str, where: Where | None, at: Callable[[Any, Any], Any]) -> Any:
    """``given`` with ``at(leaf of structure, what is given for it)`` in place of each leaf."""
    parts, entries = children(structure), children(given)
    is_plain = isinstance(given, tuple | list) and not hasattr(given, "_fields")
    names = None if entries is None or is_plain else [key for key, _ in entries]
    if parts is None:
        if names is not None:
            raise StructureError(f"{place} is one array, not a nest {_names_text(names)}", where)
        if is_plain and not _is_array(given):
            raise StructureError(f"{place} is one array, not a {type(given).__name__} of {len(given)}", where)
        return at(structure, given)
    inner, leaves = dict(parts), flatten(structure)
    if is_plain and len(given) == len(leaves) and all(map(is_leaf, given)):  # one behind the other
        return rebuild(given, [at(leaf, value) for leaf, value in zip(leaves, given, strict=True)])
    if entries is None or len(entries) != len(inner) or not (names is None or inner.keys() == {*names}):
        only = parts[0][1] if len(parts) == 1 else None
        if len(parts) != 1 or (names is not None and is_leaf(only) and not isinstance(structure, tuple | list)):
            raise StructureError(f"{place} {_misfit(list(inner), names, entries, given)}", where)
        return _fitted(only, given, place, where, at)
    keys = list(inner) if names is None else names
    return rebuild(given, [
        _fitted(inner[key], value, f"{place}.{key}", where, at) for key, (_, value) in zip(keys, entries, strict=True)
    ])  # fmt: skip


def _is_array(given: Sequence[Any]) -> bool:
    """Whether a list or tuple is an array written out, of numbers or a list of rows, and not several arrays."""

    def is_part(item: Any) -> bool:
        if isinstance(item, np.ndarray):
            return isinstance(given, list) and item.ndim < 2
        return isinstance(item, int | float | np.generic | list | tuple)

    return all(map(is_part, given))


def _misfit(
    wanted: Sequence[str], names: Sequence[str] | None, entries: Sequence[Any] | None, given: Any
) -> str:  # fmt: skip
    """Why ``given`` does not have the entries ``wanted``; of names all that are unknown and all that are missing."""
    if entries is None:
        return f"takes a nest {_names_text(wanted)}, not {type(given).__name__}"
    if names is None:
        return f"takes {len(wanted)} entries {_names_text(wanted)}, not {len(entries)}"
    missing = [key for key in wanted if key not in names]
    unknown = [f"{key!r}{did_you_mean(key, missing)}" for key in names if key not in wanted]
    parts = [f"has no entry {', '.join(unknown)}"] if unknown else []
    parts += [f"lacks {', '.join(map(repr, missing))}"] if missing else []
    return f"{' and '.join(parts)}; it takes {_names_text(wanted)}"


def _names_text(names: Collection[str]) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
