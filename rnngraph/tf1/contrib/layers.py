"""TensorFlow 1.x's ``tf.contrib.layers``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..ops.initializers import variance_scaling_initializer, xavier_initializer
from ..ops.layers import flatten, fully_connected
from ..ops.regularizers import apply_regularization, l1_regularizer, l2_regularizer


def __getattr__(name: str) -> Any:
    raise _missing("contrib.layers", name)
