"""The version of TensorFlow whose names these are."""

from __future__ import annotations

from ...support.api_guard import api

VERSION = ".".join(("1", "15", "0"))  # TensorFlow's; ours stands in one file


@api
def disable_v2_behavior() -> None:
    """Do nothing: there is no other behaviour."""
