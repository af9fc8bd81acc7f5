"""TensorFlow 1.x's ``tf.keras.datasets``, from files in ``~/.keras/datasets``."""

from __future__ import annotations

from typing import Any

from ..core.names import Namespace as _Namespace
from ..core.names import missing as _missing
from ..local_data import datasets as _datasets

__all__ = ("boston_housing", "fashion_mnist", "imdb", "mnist", "reuters")

mnist = _Namespace("keras.datasets.mnist", {"load_data": _datasets.mnist})
fashion_mnist = _Namespace("keras.datasets.fashion_mnist", {"load_data": _datasets.fashion_mnist})
boston_housing = _Namespace("keras.datasets.boston_housing", {"load_data": _datasets.boston_housing})
imdb = _Namespace("keras.datasets.imdb", {"load_data": _datasets.imdb, "get_word_index": _datasets.imdb_words})
reuters = _Namespace(
    "keras.datasets.reuters", {"load_data": _datasets.reuters, "get_word_index": _datasets.reuters_words}
)


def __getattr__(name: str) -> Any:
    raise _missing("keras.datasets", name)
