"""Version of TensorFlow whose names ``tf1`` offers."""

from __future__ import annotations

from ...support.api_guard import api

VERSION = ".".join(("1", "15", "0"))  # TensorFlow's version; rnngraph's is in rnngraph/version.py


@api
def disable_v2_behavior() -> None:
    """Do nothing: there is no TensorFlow 2 behaviour."""
