"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts. Entries of dicts are in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare import nest, structures
from ...support.api_guard import api
from ...support.errors import StructureError


def _sorted_entries(item: Any) -> list[tuple[str, Any]] | None:
    """Return (key, child) for each entry of a nest, those of a dict by ascending keys; None for a leaf."""
    return [(key, item[key]) for key in sorted(item)] if isinstance(item, dict) else nest.children(item)


def _rebuilt(item: Any, values: list[Any]) -> Any:
    """Return a container like ``item`` with values in the order of ``_sorted_entries``."""
    by_key = dict(zip(sorted(item), values, strict=True)) if isinstance(item, dict) else {}
    return {key: by_key[key] for key in item} if isinstance(item, dict) else nest.rebuild(item, values)


def _without_types(structure: Any) -> Any:
    """Return a nest with tuples in place of lists and namedtuples."""
    return nest.fold(
        structure,
        lambda leaf: leaf,
        lambda item, values: dict(zip(item, values, strict=True)) if isinstance(item, dict) else tuple(values),
    )


@api
def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """Return the leaves of a nest, in order. ``expand_composites`` has no effect."""
    leaves: list[Any] = []
    nest.fold(structure, leaves.append, lambda item, values: None, _sorted_entries)
    return leaves


@api
def map_structure(
    func: Callable[..., Any], *structure: Any, check_types: bool = True, expand_composites: bool = False
) -> Any:
    """Apply a function to the corresponding leaves of nests of one structure.

    Args:
        func: Function of one leaf of each nest.
        *structure: The nests. The result has the containers of the first one.
        check_types: False: lists, tuples and namedtuples of one length match each other.
        expand_composites: No effect.
    """
    if check_types or not structure:
        return structures.map_structure(func, *structure)
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types=False)
    return pack_sequence_as(structure[0], [func(*leaves) for leaves in zip(*map(flatten, structure), strict=True)])


@api
def is_nested(structure: Any) -> bool:
    """Return True for tuples, lists and dicts."""
    return not nest.is_leaf(structure)


@api
def pack_sequence_as(structure: Any, flat_sequence: Any, expand_composites: bool = False) -> Any:
    """Return a nest with the structure of ``structure`` and the leaves ``flat_sequence``, in ``flatten``'s order."""
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if len(leaves) != count:
        raise StructureError(f"tf.nest.pack_sequence_as: the structure has {count} leaves, not {len(leaves)}")
    remaining = iter(leaves)
    return nest.fold(structure, lambda leaf: next(remaining), _rebuilt, _sorted_entries)


@api
def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """Raise ``StructureError`` if two nests differ in their containers or in the number of entries.

    With ``check_types=False``, lists, tuples and namedtuples of one length match. ``expand_composites`` has no effect.
    """
    pair = (nest1, nest2) if check_types else map(_without_types, (nest1, nest2))
    structures.map_structure(lambda first, second: None, *pair)
