"""TensorFlow 1.x's ``tf.logging``."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .platform.logging import (
    DEBUG,
    ERROR,
    FATAL,
    INFO,
    WARN,
    debug,
    error,
    fatal,
    flush,
    get_verbosity,
    info,
    log,
    set_verbosity,
    vlog,
    warn,
    warning,
)

__all__ = (
    "DEBUG", "ERROR", "FATAL", "INFO", "WARN", "debug", "error", "fatal", "flush", "get_verbosity", "info", "log",
    "set_verbosity", "vlog", "warn", "warning",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("logging", name)
