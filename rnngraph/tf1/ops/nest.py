"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

from ...declare.nest import flatten as _flatten
from ...declare.structures import map_structure
from ...support.api_guard import api as _api
from ..core.names import missing as _missing


@_api
def flatten(structure: Any) -> list[Any]:
    """The leaves of a nest, in order."""
    return _flatten(structure)


def __getattr__(name: str) -> Any:
    raise _missing("nest", name)
