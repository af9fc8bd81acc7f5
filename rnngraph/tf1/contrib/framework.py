"""TensorFlow 1.x's ``tf.contrib.framework``: nests, and the global step."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..ops import nest
from ..train.schedules import create_global_step, get_global_step, get_or_create_global_step

__all__ = ("create_global_step", "get_global_step", "get_or_create_global_step", "nest")


def __getattr__(name: str) -> Any:
    raise _missing("contrib.framework", name)
