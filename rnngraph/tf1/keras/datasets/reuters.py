"""``tf.keras.datasets.reuters``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arguments import check_within, number
from ....public import api
from .files import Pair, arrays_of, place_of, rows_of, words_of
from .imdb import word_index

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/reuters.npz"


@api
def load_data(
    path: Any = "reuters.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None,
    test_split: float = 0.2, seed: int = 113, start_char: int | None = 1, oov_char: int | None = 2,
    index_from: int | None = 3, **options: Any,
) -> tuple[Pair, Pair]:  # fmt: skip
    """(news as lists of ids, their topics) to train and to test."""
    check_within("test_split", number(test_split, "test_split"), 0, 1)
    place = place_of(path, URL)
    whole = (rows_of(place, "x"), arrays_of(place, ("y",))[0])
    nothing: tuple[list[list[int]], np.ndarray] = ([], np.zeros(0, whole[1].dtype))
    (x, y), _ = words_of([whole, nothing], seed, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


@api
def get_word_index(path: Any = "reuters_word_index.json") -> dict[str, int]:
    """Ids by words."""
    return word_index(path, f"{URL.rpartition('/')[0]}/reuters_word_index.json")
