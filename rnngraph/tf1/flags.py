"""TensorFlow 1.x's ``tf.flags``."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .platform.flags import (
    FLAGS,
    DEFINE_bool,
    DEFINE_boolean,
    DEFINE_enum,
    DEFINE_float,
    DEFINE_integer,
    DEFINE_list,
    DEFINE_string,
    Error,
    mark_flag_as_required,
    mark_flags_as_required,
)

__all__ = (
    "FLAGS", "DEFINE_bool", "DEFINE_boolean", "DEFINE_enum", "DEFINE_float", "DEFINE_integer", "DEFINE_list",
    "DEFINE_string", "Error", "mark_flag_as_required", "mark_flags_as_required",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("flags", name)
