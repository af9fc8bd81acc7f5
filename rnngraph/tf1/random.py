"""TensorFlow 1.x's ``tf.random``."""

from __future__ import annotations

from typing import Any

from .core.graph import set_random_seed
from .core.names import missing as _missing
from .ops.random import categorical, multinomial, truncated_normal
from .ops.random import random_normal as normal
from .ops.random import random_shuffle as shuffle
from .ops.random import random_uniform as uniform

__all__ = (
    "categorical", "multinomial", "normal", "set_random_seed", "shuffle", "truncated_normal", "uniform",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("random", name)
