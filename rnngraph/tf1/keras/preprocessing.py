"""TensorFlow 1.x's ``tf.keras.preprocessing``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from . import sequence

__all__ = ("sequence",)


def __getattr__(name: str) -> Any:
    raise _missing("keras.preprocessing", name)
