"""Feeds that are nests. One name feeds all placeholders of a state, as ``rg.state_placeholder`` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...declare.nest import arranged, flatten, map_leaves, matched
from ...support.errors import Where

Tree = dict[str, Any]


def names_under(name: str, names: Iterable[str]) -> list[str]:
    """Return the names of a nest's placeholders, which begin with ``name`` and a dot."""
    return [item for item in names if item.startswith(f"{name}.")]


def spread(name: str, nest: Any, names: Iterable[str], where: Where | None) -> dict[str, Any]:
    """Return a nest's values by placeholder name. Raise ``StructureError`` if the structure does not match."""
    tree = _tree(name, names)
    return dict(zip(flatten(tree), matched(tree, nest, f"feed {name}", where), strict=True))


def gathered(name: str, nest: Any, values: Mapping[str, Any]) -> Any:
    """Return the values of a nest's placeholders, in the structure of ``nest``."""
    tree = _tree(name, values)
    return arranged(map_leaves(values.__getitem__, tree), nest)


def _tree(name: str, names: Iterable[str]) -> Tree:
    """Return the placeholders whose names begin with ``name.`` as nested dicts, such as {"c": "name.c"}."""
    tree: Tree = {}
    for item in names_under(name, names):
        *inner, last = item[len(name) + 1 :].split(".")
        level = tree
        for key in inner:
            level = level.setdefault(key, {})
        level[last] = item
    return tree
