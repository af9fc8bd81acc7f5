"""TensorFlow 1.x's ``tf.contrib.framework``: nests."""

from __future__ import annotations

from typing import Any

from ..core.names import missing
from ..ops import nest


def __getattr__(name: str) -> Any:
    raise missing("contrib.framework", name)
