"""``tf.keras.preprocessing``: sequences of different lengths as one array."""

from __future__ import annotations

from typing import Any

from ...core.names import missing as _missing
from . import sequence as sequence


def __getattr__(name: str) -> Any:
    raise _missing("keras.preprocessing", name)
