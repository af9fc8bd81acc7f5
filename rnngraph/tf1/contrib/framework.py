"""TensorFlow 1.x's ``tf.contrib.framework``: nests."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..ops import nest


def __getattr__(name: str) -> Any:
    raise _missing("contrib.framework", name)
