"""TensorFlow 1.x's ``tf.keras``, of which what prepares data is offered: datasets from local files, sequences of one
length, classes as vectors. Layers and models are not: cells and ``tf.layers`` are. Its modules have TensorFlow's paths.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from . import datasets, preprocessing, utils

__all__ = ("datasets", "preprocessing", "utils")


def __getattr__(name: str) -> Any:
    raise _missing("keras", name)
