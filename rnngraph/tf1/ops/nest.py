"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare import nest, structures
from ...support.api_guard import api
from ...support.errors import StructureError


@api
def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """Return the leaves of a nest, in order."""
    return nest.flatten(structure)


@api
def map_structure(func: Callable[..., Any], *structure: Any, **options: Any) -> Any:
    """Apply a function to the corresponding leaves of nests of one structure."""
    return structures.map_structure(func, *structure)


@api
def is_nested(structure: Any) -> bool:
    """Return True for tuples, lists and dicts."""
    return not nest.is_leaf(structure)


@api
def pack_sequence_as(structure: Any, flat_sequence: Any, expand_composites: bool = False) -> Any:
    """Return a nest with the structure of ``structure`` and the leaves ``flat_sequence``."""
    leaves = list(flat_sequence)
    count = len(nest.flatten(structure))
    if len(leaves) != count:
        raise StructureError(f"tf.nest.pack_sequence_as: the structure has {count} leaves, not {len(leaves)}")
    return nest.pack(structure, leaves)


@api
def assert_same_structure(nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """Raise ``StructureError`` if two nests have different containers or numbers of leaves."""
    structures.map_structure(lambda first, second: None, nest1, nest2)
