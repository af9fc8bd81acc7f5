"""``tf.compat``: as in TensorFlow 1.13 and later, ``tf.compat.v1`` has the same names."""

from __future__ import annotations

import sys
from typing import Any

from ..support.api_guard import api as _api
from ..support.errors import DtypeError, shown
from .core.names import missing as _missing

__all__ = ("as_bytes", "as_str", "as_text")


@_api
def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """A text as bytes; bytes as they are."""
    if not isinstance(bytes_or_text, str | bytes | bytearray):
        raise DtypeError(f"tf.compat.as_bytes takes a text or bytes, not {shown(bytes_or_text)}")
    return bytes_or_text.encode(encoding) if isinstance(bytes_or_text, str) else bytes(bytes_or_text)


@_api
def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Bytes as a text; a text as it is."""
    if not isinstance(bytes_or_text, str | bytes | bytearray):
        raise DtypeError(f"tf.compat.as_text takes a text or bytes, not {shown(bytes_or_text)}")
    return bytes_or_text if isinstance(bytes_or_text, str) else bytes(bytes_or_text).decode(encoding)


as_str = as_text


def __getattr__(name: str) -> Any:
    if name == "v1":  # the package itself, which imports this
        return sys.modules[__package__ or ""]
    raise _missing("compat", name)
