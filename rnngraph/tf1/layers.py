"""TensorFlow 1.x's ``tf.layers``."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .ops.layers import (
    Dense,
    average_pooling1d,
    batch_normalization,
    conv1d,
    dense,
    flatten,
    max_pooling1d,
)
from .ops.layers import layer_dropout as dropout

__all__ = (
    "Dense", "average_pooling1d", "batch_normalization", "conv1d", "dense", "dropout", "flatten", "max_pooling1d",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("layers", name)
