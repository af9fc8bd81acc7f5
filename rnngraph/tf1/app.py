"""TensorFlow 1.x's ``tf.app``."""

from __future__ import annotations

from typing import Any

from . import flags
from .core.names import missing as _missing
from .platform.app import run

__all__ = ("flags", "run")


def __getattr__(name: str) -> Any:
    raise _missing("app", name)
