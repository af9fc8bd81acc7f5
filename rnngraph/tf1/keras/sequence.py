"""TensorFlow 1.x's ``tf.keras.preprocessing.sequence``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..local_data.sequences import pad_sequences

__all__ = ("pad_sequences",)


def __getattr__(name: str) -> Any:
    raise _missing("keras.preprocessing.sequence", name)
