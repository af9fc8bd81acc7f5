"""TensorFlow 1.x's ``tf.contrib.crf``, of which nothing is offered: each name says what to use."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing


def __getattr__(name: str) -> Any:
    raise _missing("contrib.crf", name)
