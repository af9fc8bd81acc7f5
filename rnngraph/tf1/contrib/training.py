"""TensorFlow 1.x's ``tf.contrib.training``: settings of a program."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..platform.settings import HParams as HParams

__all__ = ("HParams",)


def __getattr__(name: str) -> Any:
    raise _missing("contrib.training", name)
