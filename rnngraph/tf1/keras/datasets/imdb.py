"""``tf.keras.datasets.imdb``."""

from __future__ import annotations

import json
from typing import Any

from ....errors import FileError
from ....public import api
from .files import Pair, arrays_of, place_of, rows_of, words_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/imdb.npz"
_LARGEST = 1 << 28


@api
def load_data(
    path: Any = "imdb.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None, seed: int = 113,
    start_char: int | None = 1, oov_char: int | None = 2, index_from: int | None = 3, **options: Any,
) -> tuple[Pair, Pair]:  # fmt: skip
    """(reviews as lists of ids, whether each is favourable) to train and to test."""
    place = place_of(path, URL)
    parts = [(rows_of(place, f"x_{part}"), arrays_of(place, (f"y_{part}",))[0]) for part in ("train", "test")]
    train, test = words_of(parts, seed, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    return train, test


@api
def get_word_index(path: Any = "imdb_word_index.json") -> dict[str, int]:
    """Ids by words."""
    return word_index(path, f"{URL.rpartition('/')[0]}/imdb_word_index.json")


def word_index(path: Any, url: str) -> dict[str, int]:
    """Ids by words, of a JSON file."""
    place = place_of(path, url)
    try:
        with open(place, "rb") as file:
            data = file.read(_LARGEST + 1)
        found = json.loads(data) if len(data) <= _LARGEST else None
        if not isinstance(found, dict):
            raise ValueError("it holds no ids by words")
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"can't read {place}: {error}") from None
    return found
