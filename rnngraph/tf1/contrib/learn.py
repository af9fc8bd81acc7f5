"""TensorFlow 1.x's ``tf.contrib.learn``: what prepares data. Estimators are not offered."""

from __future__ import annotations

from typing import Any

from ..core.names import Namespace as _Namespace
from ..core.names import missing as _missing
from ..local_data.digits import DataSet, read_data_sets
from ..local_data.vocabulary import CategoricalVocabulary, VocabularyProcessor, tokenizer

__all__ = (
    "CategoricalVocabulary", "DataSet", "VocabularyProcessor", "datasets", "preprocessing", "read_data_sets",
    "tokenizer",
)  # fmt: skip

preprocessing = _Namespace(
    "contrib.learn.preprocessing",
    {
        "VocabularyProcessor": VocabularyProcessor, "CategoricalVocabulary": CategoricalVocabulary,
        "tokenizer": tokenizer,
    },
)  # fmt: skip
datasets = _Namespace(
    "contrib.learn.datasets",
    {"mnist": _Namespace("contrib.learn.datasets.mnist", {"read_data_sets": read_data_sets, "DataSet": DataSet})},
)


def __getattr__(name: str) -> Any:
    raise _missing("contrib.learn", name)
