"""What a call gives."""

from __future__ import annotations

from typing import Any


class Result(dict[str, Any]):
    """A mapping with the structure that was handed to ``compile``."""

    __slots__ = ()
