"""Feeds that are nests: the placeholders of a state have one name together (``rg.state_placeholder``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...declare.nest import arranged, flatten, map_leaves, matched
from ...support.errors import Where

Tree = dict[str, Any]


def names_under(name: str, names: Iterable[str]) -> list[str]:
    """The placeholders that ``name`` stands for, which begin with it and a dot."""
    return [item for item in names if item.startswith(f"{name}.")]


def spread(name: str, nest: Any, names: Iterable[str], where: Where | None) -> dict[str, Any]:
    """What each of the placeholders under ``name`` is fed by ``nest``. Raises ``StructureError`` with the place."""
    tree = _tree(name, names)
    return dict(zip(flatten(tree), matched(tree, nest, f"feed {name}", where), strict=True))


def gathered(name: str, nest: Any, values: Mapping[str, Any]) -> Any:
    """Of the placeholders under ``name`` their ``values``, by name, in the containers in which ``nest`` fed them."""
    tree = _tree(name, values)
    return arranged(map_leaves(values.__getitem__, tree), nest)


def _tree(name: str, names: Iterable[str]) -> Tree:
    """The placeholders under ``name`` as a nest of dicts, by their keys."""
    tree: Tree = {}
    for item in names_under(name, names):
        *inner, last = item[len(name) + 1 :].split(".")
        level = tree
        for key in inner:
            level = level.setdefault(key, {})
        level[last] = item
    return tree
