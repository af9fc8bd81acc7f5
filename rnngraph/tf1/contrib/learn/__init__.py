"""TensorFlow 1.x's ``tf.contrib.learn``: what prepares data. Estimators are not offered."""

from __future__ import annotations

from typing import Any

from ...core.names import missing as _missing
from . import datasets as datasets
from . import preprocessing as preprocessing


def __getattr__(name: str) -> Any:
    raise _missing("contrib.learn", name)
