"""TensorFlow 1.x's ``tf.nest``: nests of tuples, lists and dicts."""

from __future__ import annotations

from typing import Any

from ...declare.nest import flatten
from ...declare.structures import map_structure
from ..core.names import missing as _missing


def __getattr__(name: str) -> Any:
    raise _missing("nest", name)
