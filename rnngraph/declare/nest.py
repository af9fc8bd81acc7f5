"""Nests: tuples, namedtuples, lists and dicts of leaves, in a fixed order. They may be deeper than Python's stack."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any

import numpy as np

from ..support.errors import StructureError, Where, did_you_mean

SHALLOW = 16
"""Levels of a nest that is made by calls within calls, which take less time than a list of what is to be done."""


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


def fold(
    nest: Any, leaf: Callable[[Any], Any], join: Callable[[Any, list[Any]], Any],
    entries_of: Callable[[Any], list[tuple[str, Any]] | None] = children,
) -> Any:  # fmt: skip
    """What becomes of a nest: of each leaf ``leaf(leaf)``, of each nest ``join(nest, what became of its entries)``.

    From left to right, entries before what holds them. Raises ``StructureError`` where a nest contains itself.
    """
    made: list[Any] = []
    pending: list[tuple[Any, int | None]] = [(nest, None)]  # with the number of entries that were made, once they are
    inside: set[int] = set()
    while pending:
        item, count = pending.pop()
        if count is not None:
            inside.remove(id(item))
            first = len(made) - count
            made[first:] = [join(item, made[first:])]
            continue
        if id(item) in inside:
            what = f"{type(item).__name__} contains itself, and so has no end"
            raise StructureError(what, getattr(item, "where", None))
        entries = entries_of(item)
        if entries is None:
            made.append(leaf(item))
            continue
        inside.add(id(item))
        pending.append((item, len(entries)))
        pending += [(value, None) for _, value in reversed(entries)]
    return made[0]


def is_constant(nest: Any) -> bool:
    """Whether nobody can change a nest, so that it is the same as long as it is the same object."""
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
    found: list[Any] = []
    fold(nest, found.append, lambda item, values: None)
    return found


def paths(nest: Any) -> list[tuple[str, Any]]:
    """(path, leaf) for every leaf; a path is like ``states/0/c``."""

    def below(item: Any, parts: list[list[tuple[tuple[str, ...], Any]]]) -> list[tuple[tuple[str, ...], Any]]:
        keys = [key for key, _ in children(item) or ()]
        return [((key, *path), leaf) for key, part in zip(keys, parts, strict=True) for path, leaf in part]

    return [("/".join(path), leaf) for path, leaf in fold(nest, lambda leaf: [((), leaf)], below)]


def rebuild(nest: Any, values: Sequence[Any]) -> Any:
    """A nest of the same containers: a dict stays a dict, a namedtuple its own type."""
    return _joiner(nest)(values)


def pack(structure: Any, leaves: Sequence[Any]) -> Any:
    """``leaves`` in the structure of ``structure``."""
    return packer(structure)(leaves)


def height(nest: Any) -> int:
    """Levels of containers."""
    found: int = fold(nest, lambda leaf: 0, lambda item, heights: 1 + max(heights, default=0))
    return found


def packer(structure: Any) -> Callable[[Sequence[Any]], Any]:
    """``pack`` for one structure, again and again: to walk it takes longer than a small call."""
    return _shallow_packer(structure, count()) if height(structure) <= SHALLOW else _deep_packer(structure)


def _shallow_packer(nest: Any, numbers: Iterator[int]) -> Callable[[Sequence[Any]], Any]:
    """By calls within calls. numbers: of the leaves that come next."""
    entries = children(nest)
    if entries is None:
        return itemgetter(next(numbers))
    join = _joiner(nest)
    if all(is_leaf(child) for _, child in entries):
        places = [next(numbers) for _ in entries]
        taken = slice(places[0], places[-1] + 1) if places else slice(0)
        return lambda leaves: join(leaves[taken])
    parts = [_shallow_packer(child, numbers) for _, child in entries]
    return lambda leaves: join([part(leaves) for part in parts])


def _deep_packer(structure: Any) -> Callable[[Sequence[Any]], Any]:
    plan: list[tuple[Callable[[Sequence[Any]], Any] | None, int]] = []  # of each leaf (None, 0); of a nest its entries

    def joined(item: Any, entries: list[Any]) -> None:
        plan.append((_joiner(item), len(entries)))

    fold(structure, lambda leaf: plan.append((None, 0)), joined)

    def packed(leaves: Sequence[Any]) -> Any:
        made: list[Any] = []
        remaining = iter(leaves)
        for join, entries in plan:
            if join is None:
                made.append(next(remaining))
            else:
                first = len(made) - entries
                made[first:] = [join(made[first:])]
        return made[0]

    return packed


def _joiner(nest: Any) -> Callable[[Sequence[Any]], Any]:
    """``rebuild`` for one nest, of its entries."""
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


def matched(structure: Any, given: Any, what: str, where: Where | None = None) -> list[Any]:
    """What ``given`` holds for each leaf of ``structure``, in the order of the structure's leaves.

    Mappings and namedtuples are matched by their keys, in any order; plain tuples and lists by position, nested as the
    structure is, or all leaves one behind the other; by position, too, a namedtuple where there are no names. An
    entry that is the only one may stand for its container. what: names ``given`` in an error. Raises
    ``StructureError`` with the place, and with every entry that is unknown or missing.
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


def _fitted(structure: Any, given: Any, what: str, where: Where | None, at: Callable[[Any, Any], Any]) -> Any:
    """``given`` with ``at(leaf of structure, what is given for it)`` in place of each leaf."""
    made: list[Any] = [None]
    holders: list[tuple[int, Any, range]] = []  # places in ``made``: of a container, and of its entries
    pending: list[tuple[Any, Any, str, int]] = [(structure, given, what, 0)]
    while pending:
        structure, given, what, place = pending.pop()
        pairs = _pairs(structure, given, what, where)
        if not isinstance(pairs, list):
            made[place] = at(pairs.leaf, given)
            continue
        places = range(len(made), len(made) + len(pairs))
        made += [None] * len(pairs)
        holders.append((place, given, places))
        pending += [(*pair, entry) for pair, entry in zip(pairs, places, strict=True)]
    for place, container, places in reversed(holders):
        made[place] = rebuild(container, made[places.start : places.stop])
    return made[0]


@dataclass(frozen=True)
class _Leaf:
    leaf: Any


def _pairs(structure: Any, given: Any, what: str, where: Where | None) -> list[tuple[Any, Any, str]] | _Leaf:
    """For each entry of ``given`` what it is matched with, itself, and its name in an error; or the only leaf."""
    entries, is_plain = children(given), _is_plain(given)
    names = None if entries is None or is_plain else [key for key, _ in entries]
    while (parts := children(structure)) is not None:
        inner = dict(parts)
        if is_plain and len(given) != len(inner) and all(map(is_leaf, given)):
            leaves = flatten(structure)
            if len(given) == len(leaves):
                return [(leaf, value, what) for leaf, value in zip(leaves, given, strict=True)]
        by_position = is_plain or (_is_plain(structure) and isinstance(given, tuple))
        if entries is not None and len(entries) == len(inner) and (by_position or inner.keys() == {*(names or ())}):
            keys = list(inner) if by_position or names is None else names
            if is_plain and not _is_plain(structure):
                _check_order(keys, given, what, where)
            return [(inner[key], value, f"{what}.{key}") for key, (_, value) in zip(keys, entries, strict=True)]
        if len(parts) != 1 or (names is not None and is_leaf(parts[0][1]) and not _is_plain(structure)):
            raise StructureError(f"{what} {_misfit(list(inner), names, entries, given)}", where)
        structure = parts[0][1]
    if names is not None:
        raise StructureError(f"{what} is one array, not a nest {_names_text(names)}", where)
    if is_plain and not _is_array(given):
        if len(given) == 1:
            return [(structure, given[0], what)]
        raise StructureError(f"{what} is one array, not a {type(given).__name__} of {len(given)}", where)
    return _Leaf(structure)


_WORDS = {"h": "hidden", "c": "cell"}


def _check_order(fields: Sequence[str], given: Sequence[Any], what: str, where: Where | None) -> None:
    """Raises where each entry has the name of another field, as torch's (h0, c0) has for (c, h)."""
    names = [getattr(value, "name", None) for value in given]

    def is_of(name: Any, field: str) -> bool:
        form = rf"{re.escape(field)}[_x0-9]*|{_WORDS.get(field, field)}.*"
        return isinstance(name, str) and re.fullmatch(form, name) is not None

    others = ([other for other in fields if other != field] for field in fields)
    if all(any(is_of(name, field) for field in wrong) for name, wrong in zip(names, others, strict=True)):
        turned = _names_text(list(map(str, names)))
        raise StructureError(
            f"{what} is given {turned} for {_names_text(fields)}, which stand in this order; turn them round, or give "
            "a mapping",
            where,
        )


def _is_plain(nest: Any) -> bool:
    """Whether the entries of a nest have no names."""
    return isinstance(nest, tuple | list) and not hasattr(nest, "_fields")


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
    hints = {key: did_you_mean(key, missing).removeprefix("; ") for key in names if key not in wanted}
    unknown = [f"{key!r} ({hint})" if hint else repr(key) for key, hint in hints.items()]
    parts = [f"has no entry {', '.join(unknown)}"] if unknown else []
    parts += [f"lacks {', '.join(map(repr, missing))}"] if missing else []
    return f"{' and '.join(parts)}; it takes {_names_text(wanted)}"


def _names_text(names: Collection[str]) -> str:
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
