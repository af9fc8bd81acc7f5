"""``tf.compat.as_bytes`` and ``as_text``: conversions between text and bytes."""

from __future__ import annotations

from typing import Any

from ...support.api_guard import api
from ...support.errors import DtypeError, shown


@api
def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Encode text as bytes; return bytes unchanged."""
    if not isinstance(bytes_or_text, str | bytes | bytearray):
        raise DtypeError(f"tf.compat.as_bytes needs a str or bytes, not {shown(bytes_or_text)}")
    return bytes_or_text.encode(encoding) if isinstance(bytes_or_text, str) else bytes(bytes_or_text)


@api
def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Decode bytes as text; return text unchanged."""
    if not isinstance(bytes_or_text, str | bytes | bytearray):
        raise DtypeError(f"tf.compat.as_text needs a str or bytes, not {shown(bytes_or_text)}")
    return bytes_or_text if isinstance(bytes_or_text, str) else bytes(bytes_or_text).decode(encoding)
