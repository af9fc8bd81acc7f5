"""TensorFlow 1.x's ``tf.keras.utils``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..local_data.sequences import to_categorical

__all__ = ("to_categorical",)


def __getattr__(name: str) -> Any:
    raise _missing("keras.utils", name)
