"""Feeds that are nests: the placeholders of a state have one name together (``rg.state_placeholder``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..declare.nest import children
from ..errors import StructureError, Where

Tree = dict[str, Any]


def names_under(name: str, names: Iterable[str]) -> list[str]:
    """The placeholders that ``name`` stands for, which begin with it and a dot."""
    return [item for item in names if item.startswith(f"{name}.")]


def spread(name: str, nest: Any, names: Iterable[str], where: Where | None) -> dict[str, Any]:
    """What each of the placeholders under ``name`` is fed by ``nest``. Raises ``StructureError`` with the place."""
    tree: Tree = {}
    for item in names_under(name, names):
        *inner, last = item[len(name) + 1 :].split(".")
        level = tree
        for key in inner:
            level = level.setdefault(key, {})
        level[last] = item
    found: dict[str, Any] = {}
    _match(name, tree, nest, found, where)
    return found


def _match(place: str, tree: Tree, nest: Any, found: dict[str, Any], where: Where | None) -> None:
    entries = children(nest)
    wanted = f"({', '.join(tree)}{',' if len(tree) == 1 else ''})"
    if entries is None:
        raise StructureError(f"feed {place} takes a nest {wanted}, not {type(nest).__name__}", where)
    given = dict(entries)
    if len(given) != len(tree):
        raise StructureError(f"feed {place} takes {len(tree)} entries {wanted}, not {len(given)}", where)
    plain = isinstance(nest, tuple | list) and not hasattr(nest, "_fields")
    if not plain and given.keys() != tree.keys():
        raise StructureError(f"feed {place} takes the entries {wanted}, not ({', '.join(given)})", where)
    values = list(given.values()) if plain else [given[key] for key in tree]
    for (key, below), value in zip(tree.items(), values, strict=True):
        if isinstance(below, dict):
            _match(f"{place}.{key}", below, value, found, where)
        else:
            found[below] = value
