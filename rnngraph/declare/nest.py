"""Nests: tuples, namedtuples, lists and dicts of leaves in a fixed order, of any depth."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

import numpy as np

from ..support.errors import StructureError, Where, did_you_mean
from ..support.records import dataclass

SHALLOW = 16
"""Maximum height of nests that are built by recursion. Above it, a slower explicit stack is used."""


def children(nest: Any) -> list[tuple[str, Any]] | None:
    """Return (key, child) for each entry of a nest; None for a leaf."""
    if isinstance(nest, dict):
        return [(str(key), value) for key, value in nest.items()]
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return [(str(key), getattr(nest, key)) for key in nest._fields]
    if isinstance(nest, tuple | list):
        return [(str(position), value) for position, value in enumerate(nest)]
    return None


def is_leaf(nest: Any) -> bool:
    return children(nest) is None


def fold(
    nest: Any,
    leaf: Callable[[Any], Any],
    join: Callable[[Any, list[Any]], Any],
    entries_of: Callable[[Any], list[tuple[str, Any]] | None] = children,
) -> Any:
    """Reduce a nest in post-order: a leaf to ``leaf(leaf)``, and a container to ``join(container, results)``.

    Raises:
        StructureError: A nest contains itself.
    """
    results: list[Any] = []
    pending: list[tuple[Any, int | None]] = [(nest, None)]  # (item, number of its entries; None: not pushed yet)
    inside: set[int] = set()
    while pending:
        item, count = pending.pop()
        if count is not None:
            inside.remove(id(item))
            first = len(results) - count
            results[first:] = [join(item, results[first:])]
            continue
        if id(item) in inside:
            what = f"{type(item).__name__} contains itself; remove the reference to itself"
            raise StructureError(what, getattr(item, "where", None))
        entries = entries_of(item)
        if entries is None:
            results.append(leaf(item))
            continue
        inside.add(id(item))
        pending.append((item, len(entries)))
        pending += [(value, None) for _, value in reversed(entries)]
    return results[0]


def is_constant(nest: Any) -> bool:
    """True if all containers of a nest are immutable."""
    pending = [nest]
    while pending:
        item = pending.pop()
        if is_leaf(item):
            continue
        if not isinstance(item, tuple):
            return False
        pending += item
    return True


def flatten(nest: Any) -> list[Any]:
    leaves: list[Any] = []
    fold(nest, leaves.append, lambda item, values: None)
    return leaves


def paths(nest: Any) -> list[tuple[str, Any]]:
    """Return (path, leaf) for every leaf, with paths such as ``states/0/c``."""

    def below(item: Any, parts: list[list[tuple[tuple[str, ...], Any]]]) -> list[tuple[tuple[str, ...], Any]]:
        keys = [key for key, _ in children(item) or ()]
        return [((key, *path), leaf) for key, part in zip(keys, parts, strict=True) for path, leaf in part]

    return [("/".join(path), leaf) for path, leaf in fold(nest, lambda leaf: [((), leaf)], below)]


def rebuild(nest: Any, values: Sequence[Any]) -> Any:
    """Return a container like ``nest`` with other entries."""
    return _joiner(nest)(values)


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """Arrange a list of leaves in the containers of ``structure``: the inverse of ``flatten``."""
    return packer(structure)(leaves)


def height(nest: Any) -> int:
    """Return the number of levels of containers in a nest; 0 for a leaf."""
    levels: int = fold(nest, lambda leaf: 0, lambda item, heights: 1 + max(heights, default=0))
    return levels


def packer(structure: Any) -> Callable[[Sequence[Any]], Any]:
    """Return the function ``leaves -> pack(structure, leaves)``, which is faster for several lists of leaves."""
    return _shallow_packer(structure, count()) if height(structure) <= SHALLOW else _deep_packer(structure)


def _shallow_packer(nest: Any, numbers: Iterator[int]) -> Callable[[Sequence[Any]], Any]:
    """Return a packer for ``nest``, built by recursion. ``numbers`` yields the indices of the nest's leaves."""
    entries = children(nest)
    if entries is None:
        return itemgetter(next(numbers))
    join = _joiner(nest)
    if all(is_leaf(child) for _, child in entries):
        places = [next(numbers) for _ in entries]
        own = slice(places[0], places[-1] + 1) if places else slice(0)
        return lambda leaves: join(leaves[own])
    parts = [_shallow_packer(child, numbers) for _, child in entries]
    return lambda leaves: join([part(leaves) for part in parts])


def _deep_packer(structure: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a packer that needs no recursion: a loop over a post-order plan of (joiner, number of entries).

    A leaf is (None, 0) in the plan.
    """
    plan: list[tuple[Callable[[Sequence[Any]], Any] | None, int]] = []

    def joined(item: Any, entries: list[Any]) -> None:
        plan.append((_joiner(item), len(entries)))

    fold(structure, lambda leaf: plan.append((None, 0)), joined)

    def packed(leaves: Sequence[Any]) -> Any:
        results: list[Any] = []
        remaining = iter(leaves)
        for join, entries in plan:
            if join is None:
                results.append(next(remaining))
            else:
                first = len(results) - entries
                results[first:] = [join(results[first:])]
        return results[0]

    return packed


def _joiner(nest: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a function that makes a container like ``nest`` from a list of entries."""
    kind = type(nest)
    if isinstance(nest, dict):
        keys = tuple(nest)
        return lambda values: dict(zip(keys, values, strict=True))
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        make: Callable[[Sequence[Any]], Any] = kind._make
        return make
    return kind


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    return fold(nest, function, rebuild)


def matched(structure: Any, nest: Any, what: str, where: Where | None = None) -> list[Any]:
    """Return the entry of a user's nest for each leaf of ``structure``.

    Mappings and namedtuples are matched by key, in any order. Plain tuples and lists are matched by position, either
    nested like the structure, or as a flat list of all leaves. A namedtuple is matched by position if the structure has
    no names. The only entry of a container may replace the container.

    Args:
        structure: Expected structure.
        nest: Nest from a user.
        what: Name of ``nest`` in errors.
        where: Line of the error.

    Returns:
        The entry of ``nest`` for each leaf of ``structure``, in the order of the structure's leaves.

    Raises:
        StructureError: The nests do not match. The message names the place, and all unknown and missing entries.
    """
    numbers = range(len(flatten(structure)))
    entries: list[Any] = [None] * len(numbers)

    def assign(number: int, entry: Any) -> None:
        entries[number] = entry

    _fitted(pack(structure, numbers), nest, what, where, assign)
    return entries


def arranged(structure: Any, nest: Any) -> Any:
    """Return the leaves of ``structure`` in the containers of ``nest``, which must match as for ``matched``."""
    return _fitted(structure, nest, "a nest", None, lambda leaf, _: leaf)


def _fitted(structure: Any, nest: Any, what: str, where: Where | None, at: Callable[[Any, Any], Any]) -> Any:
    """Return ``nest`` with each entry that matches a leaf of ``structure`` replaced by ``at(leaf, entry)``."""
    results: list[Any] = [None]
    containers: list[tuple[int, Any, range]] = []  # index in ``results`` of a container, and indices of its entries
    pending: list[tuple[Any, Any, str, int]] = [(structure, nest, what, 0)]
    while pending:
        structure, nest, what, place = pending.pop()
        pairs = _pairs(structure, nest, what, where)
        if not isinstance(pairs, list):
            results[place] = at(pairs.leaf, nest)
            continue
        places = range(len(results), len(results) + len(pairs))
        results += [None] * len(pairs)
        containers.append((place, nest, places))
        pending += [(*pair, entry) for pair, entry in zip(pairs, places, strict=True)]
    for place, container, places in reversed(containers):
        results[place] = rebuild(container, results[places.start : places.stop])
    return results[0]


@dataclass(frozen=True)
class _Leaf:
    """Leaf of the structure that matches a nest as a whole."""

    leaf: Any


def _pairs(structure: Any, nest: Any, what: str, where: Where | None) -> list[tuple[Any, Any, str]] | _Leaf:
    """Match one level of ``nest`` with ``structure``.

    Return (part of the structure, entry, name in errors) for each entry, or the leaf that matches ``nest`` as a whole.
    """
    entries, is_plain = children(nest), _is_plain(nest)
    names = None if entries is None or is_plain else [key for key, _ in entries]
    while (parts := children(structure)) is not None:
        inner = dict(parts)
        if is_plain and len(nest) != len(inner) and all(map(is_leaf, nest)):
            leaves = flatten(structure)
            if len(nest) == len(leaves):
                return [(leaf, value, what) for leaf, value in zip(leaves, nest, strict=True)]
        by_position = is_plain or (_is_plain(structure) and isinstance(nest, tuple))
        if entries is not None and len(entries) == len(inner) and (by_position or inner.keys() == {*(names or ())}):
            keys = list(inner) if by_position or names is None else names
            if is_plain and not _is_plain(structure):
                _check_order(keys, nest, what, where)
            return [(inner[key], value, f"{what}.{key}") for key, (_, value) in zip(keys, entries, strict=True)]
        if len(parts) != 1 or (names is not None and is_leaf(parts[0][1]) and not _is_plain(structure)):
            raise StructureError(f"{what} {_misfit(list(inner), names, entries, nest)}", where)
        structure = parts[0][1]
    if names is not None:
        raise StructureError(f"{what} must be one array, not a nest {_names_text(names)}; give the array alone", where)
    if is_plain and not _is_array(nest):
        if len(nest) == 1:
            return [(structure, nest[0], what)]
        raise StructureError(
            f"{what} must be one array, not a {type(nest).__name__} of {len(nest)}; join them, as with rg.concat",
            where,
        )
    return _Leaf(structure)


_WORDS = {"h": "hidden", "c": "cell"}


def _check_order(fields: Sequence[str], values: Sequence[Any], what: str, where: Where | None) -> None:
    """Raise ``StructureError`` if entries have the right names in the wrong order, such as torch's (h0, c0)."""
    names = [getattr(value, "name", None) for value in values]

    def is_of(name: Any, field: str) -> bool:
        form = rf"{re.escape(field)}[_x0-9]*|{_WORDS.get(field, field)}.*"
        return isinstance(name, str) and re.fullmatch(form, name) is not None

    others = ([other for other in fields if other != field] for field in fields)
    if all(any(is_of(name, field) for field in wrong) for name, wrong in zip(names, others, strict=True)):
        swapped = _names_text(list(map(str, names)))
        raise StructureError(
            f"{what} has the entries {swapped}, but the order is {_names_text(fields)}; swap them, or give a mapping",
            where,
        )


def _is_plain(nest: Any) -> bool:
    """True if the entries of a nest have no names."""
    return isinstance(nest, tuple | list) and not hasattr(nest, "_fields")


def _is_array(nest: Sequence[Any]) -> bool:
    """True if a list or tuple is a single array, written as numbers or rows."""

    def is_part(item: Any) -> bool:
        if isinstance(item, np.ndarray):
            return isinstance(nest, list) and item.ndim < 2
        return isinstance(item, int | float | np.generic | list | tuple)

    return all(map(is_part, nest))


def _misfit(wanted: Sequence[str], names: Sequence[str] | None, entries: Sequence[Any] | None, nest: Any) -> str:
    """Return the end of the message for a nest that does not fit ``wanted``.

    Args:
        wanted: Names of the required entries.
        names: Names of the nest's entries; None if they have none, so that only their number is wrong.
        entries: Entries of the nest; None if it is no nest.
        nest: The nest.
    """
    if entries is None:
        return f"takes a nest {_names_text(wanted)}, not {type(nest).__name__}"
    if names is None:
        return f"takes {len(wanted)} entries {_names_text(wanted)}, not {len(entries)}"
    missing = [key for key in wanted if key not in names]
    hints = {key: did_you_mean(key, missing).removeprefix("; ") for key in names if key not in wanted}
    unknown = [f"{key!r} ({hint})" if hint else repr(key) for key, hint in hints.items()]
    parts = [f"has no entry {', '.join(unknown)}"] if unknown else []
    parts += [f"lacks {', '.join(map(repr, missing))}"] if missing else []
    return f"{' and '.join(parts)}; it takes {_names_text(wanted)}"


def _names_text(names: Collection[str]) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
