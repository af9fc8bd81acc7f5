"""``tf.keras.datasets``: what its ``load_data`` functions give of local files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ...storage.read_file import open_file
from ...support.api_guard import api
from ...support.arguments import check_within, number, whole_number
from ...support.errors import FileError
from .digits import FILES, idx
from .stored import Pair, arrays_of, place_of, rows_of, words_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
_LARGEST = 1 << 28
"""Bytes that ids by words may have."""


@api
def mnist(path: Any = "mnist.npz") -> tuple[Pair, Pair]:
    """(images, labels) to train and to test: bytes [n, 28, 28] and [n]."""
    names = "x_train", "y_train", "x_test", "y_test"
    x_train, y_train, x_test, y_test = arrays_of(_place(path, "mnist.npz"), names)
    return (x_train, y_train), (x_test, y_test)


@api
def fashion_mnist() -> tuple[Pair, Pair]:
    """(images, labels) to train and to test: bytes [n, 28, 28] and [n]; of four files in the folder fashion-mnist."""
    places = [_place(f"fashion-mnist/{name}.gz", f"{name}.gz") for name in FILES]
    images, labels, test_images, test_labels = map(idx, places)
    return (images, labels), (test_images, test_labels)


@api
def boston_housing(path: Any = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """(features, prices) to train and to test: [n, 13] and [n]."""
    cut = _share(test_split)
    x, y = arrays_of(_place(path, "boston_housing.npz"), ("x", "y"))
    order = np.arange(len(x))
    np.random.RandomState(whole_number(seed, "seed", 0) & 0xFFFFFFFF).shuffle(order)
    return _cut(x[order], y[order], cut)


@api
def imdb(
    path: Any = "imdb.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None, seed: int = 113,
    start_char: int | None = 1, oov_char: int | None = 2, index_from: int | None = 3, **options: Any,
) -> tuple[Pair, Pair]:  # fmt: skip
    """(reviews as lists of ids, whether each is favourable) to train and to test."""
    place = _place(path, "imdb.npz")
    parts = [(rows_of(place, f"x_{part}"), arrays_of(place, (f"y_{part}",))[0]) for part in ("train", "test")]
    train, test = words_of(parts, seed, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    return train, test


@api
def reuters(
    path: Any = "reuters.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None,
    test_split: float = 0.2, seed: int = 113, start_char: int | None = 1, oov_char: int | None = 2,
    index_from: int | None = 3, **options: Any,
) -> tuple[Pair, Pair]:  # fmt: skip
    """(news as lists of ids, their topics) to train and to test."""
    cut, place = _share(test_split), _place(path, "reuters.npz")
    whole = (rows_of(place, "x"), arrays_of(place, ("y",))[0])
    nothing: tuple[list[list[int]], np.ndarray] = ([], np.zeros(0, whole[1].dtype))
    (x, y), _ = words_of([whole, nothing], seed, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    return _cut(x, y, cut)


@api
def imdb_words(path: Any = "imdb_word_index.json") -> dict[str, int]:
    """Ids by words."""
    return _word_index(_place(path, "imdb_word_index.json"))


@api
def reuters_words(path: Any = "reuters_word_index.json") -> dict[str, int]:
    """Ids by words."""
    return _word_index(_place(path, "reuters_word_index.json"))


def _place(path: Any, name: str) -> str:
    return place_of(path, f"{URL}/{name}")


def _share(test_split: Any) -> float:
    check_within("test_split", share := number(test_split, "test_split"), 0, 1)
    return share


def _cut(x: np.ndarray, y: np.ndarray, test_split: float) -> tuple[Pair, Pair]:
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _word_index(place: str) -> dict[str, int]:
    """Ids by words, of a JSON file."""
    try:
        with open_file(place, "a file of words") as file:
            data = file.read(_LARGEST + 1)
        found = json.loads(data) if len(data) <= _LARGEST else None
        if not isinstance(found, dict):
            raise ValueError("it holds no ids by words")
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"can't read {place}: {error}") from None
    return found
