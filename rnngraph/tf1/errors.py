"""TensorFlow 1.x's ``tf.errors``."""

from __future__ import annotations

from typing import Any

from .core.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, OpError, OutOfRangeError
from .core.names import missing as _missing

__all__ = (
    "FailedPreconditionError", "InvalidArgumentError", "NotFoundError", "OpError", "OutOfRangeError",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("errors", name)
