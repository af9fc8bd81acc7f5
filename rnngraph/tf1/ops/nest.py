"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare import nest, structures
from ...support.api_guard import api


@api
def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """Return the leaves of a nest, in order."""
    return nest.flatten(structure)


@api
def map_structure(func: Callable[..., Any], *structure: Any, **options: Any) -> Any:
    """Apply a function to the corresponding leaves of nests of one structure."""
    return structures.map_structure(func, *structure)
