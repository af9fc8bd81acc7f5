"""TensorFlow 1.x's ``tf.io``: files."""

from __future__ import annotations

from typing import Any

from . import gfile
from .core.names import missing as _missing

__all__ = ("gfile",)


def __getattr__(name: str) -> Any:
    raise _missing("io", name)
