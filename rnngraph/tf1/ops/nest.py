"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

from ...declare import nest
from ...support.api_guard import api


@api
def flatten(structure: Any) -> list[Any]:
    """The leaves of a nest, in order."""
    return nest.flatten(structure)
