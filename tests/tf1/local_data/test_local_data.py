"""Data from local files: ``tf.keras.datasets``, MNIST's own format, texts as ids, sequences of one length."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.local_data import digits as input_data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Keras keeps datasets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = tmp_path / ".keras" / "datasets"
    made.mkdir(parents=True)
    return made


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pictures(folder: Path, packed: bool = True) -> dict[str, np.ndarray]:
    draw = np.random.RandomState(1)
    sizes = [(25, 3, 2), (25,), (7, 3, 2), (7,)]
    made = {
        name: draw.randint(0, 256 if len(size) > 1 else 10, size).astype(np.uint8)
        for name, size in zip(input_data.FILES, sizes, strict=True)
    }
    folder.mkdir(exist_ok=True)
    for name, array in made.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return made


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_in_its_own_format(tmp_path: Path, packed: bool) -> None:
    raw = pictures(tmp_path, packed)
    mnist = input_data.read_data_sets(str(tmp_path), one_hot=True, validation_size=5, seed=1)
    assert (mnist.train.num_examples, mnist.validation.num_examples, mnist.test.num_examples) == (20, 5, 7)
    np.testing.assert_allclose(mnist.test.images, raw[input_data.FILES[2]].reshape(7, 6) / 255, rtol=1e-6)
    np.testing.assert_array_equal(mnist.test.labels.argmax(1), raw[input_data.FILES[3]])
    seen = [mnist.train.next_batch(7) for _ in range(6)]
    assert all(x.shape == (7, 6) and y.shape == (7, 10) for x, y in seen)
    assert mnist.train.epochs_completed == 2
    first_epoch = np.concatenate([x for x, _ in seen])[:20]
    np.testing.assert_array_equal(np.sort(first_epoch, 0), np.sort(mnist.train.images, 0))
    ordered = input_data.read_data_sets(str(tmp_path), validation_size=0).train.next_batch(25, shuffle=False)
    np.testing.assert_array_equal(ordered[1], raw[input_data.FILES[1]])


def test_files_that_are_missing_or_damaged(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(tf.errors.NotFoundError, match="put MNIST's four files there"):
        input_data.read_data_sets(str(tmp_path / "no"))
    with pytest.raises(tf.errors.NotFoundError, match=r"\.keras/datasets/mnist\.npz; nothing is downloaded"):
        tf.keras.datasets.mnist.load_data()
    pictures(tmp_path / "m")
    path = tmp_path / "m" / f"{input_data.FILES[0]}.gz"
    for data in (b"", b"x" * 50, gzip.compress(idx(np.zeros((3, 3), np.uint8))[:-1]), path.read_bytes()[:-9]):
        path.write_bytes(data)
        with pytest.raises(rg.FileError, match=str(path)):
            input_data.read_data_sets(str(tmp_path / "m"))
    (folder / "mnist.npz").write_bytes(b"PK damaged")
    with pytest.raises(rg.FileError, match="can't read"):
        tf.keras.datasets.mnist.load_data()
    np.savez(folder / "mnist.npz", x_train=np.zeros(3))
    with pytest.raises(rg.FileError, match="has no y_train"):
        tf.keras.datasets.mnist.load_data()


def test_arrays_of_keras(folder: Path) -> None:
    draw = np.random.RandomState(2)
    held = {"x_train": draw.randint(0, 9, (5, 2, 2)), "y_train": draw.randint(0, 9, 5), "x_test": np.zeros((1, 2, 2)),
            "y_test": np.zeros(1)}  # fmt: skip
    np.savez(folder / "mnist.npz", **held)
    (x, y), (test, _) = tf.keras.datasets.mnist.load_data()
    np.testing.assert_array_equal(x, held["x_train"])
    np.testing.assert_array_equal(y, held["y_train"])
    assert test.shape == (1, 2, 2)
    np.savez(folder / "boston_housing.npz", x=np.arange(20).reshape(10, 2), y=np.arange(10))
    (x, y), (test, left) = tf.keras.datasets.boston_housing.load_data()
    assert (len(x), len(test)) == (8, 2)
    assert {*y, *left} == {*range(10)}
    np.testing.assert_array_equal(x[:, 0], y * 2)
    raw = pictures(folder / "fashion-mnist")
    (x, _), (_, labels) = tf.keras.datasets.fashion_mnist.load_data()
    np.testing.assert_array_equal(x, raw[input_data.FILES[0]])
    np.testing.assert_array_equal(labels, raw[input_data.FILES[3]])


ROWS = [[5, 1, 9, 2], [3], [8, 8], [4, 7, 6, 1, 2]]


def test_reviews_without_pickles(folder: Path) -> None:
    """As Keras makes them, of rows that stand one behind the other; pickled ones are refused with a way out."""
    held: dict[str, Any] = {}
    for part in ("train", "test"):
        held |= {
            f"x_{part}": np.concatenate(ROWS),
            f"x_{part}_lengths": [len(row) for row in ROWS],
            f"y_{part}": [0, 1, 0, 1],
        }
    np.savez(folder / "imdb.npz", **held)
    (x, y), (test, _) = tf.keras.datasets.imdb.load_data(num_words=10, seed=4)
    order = np.arange(4)
    np.random.RandomState(4).shuffle(order)
    expected = [[1, *(word + 3 if word + 3 < 10 else 2 for word in ROWS[place])] for place in order]
    assert list(x) == expected
    assert [*y] == [order[0] % 2, order[1] % 2, order[2] % 2, order[3] % 2]
    assert len(test) == 4
    (x, _), _ = tf.keras.datasets.imdb.load_data(maxlen=4, start_char=None, index_from=0, oov_char=None, skip_top=2)
    assert sorted(map(tuple, x)) == [(), (3,)]  # the largest id is none of them
    (folder / "imdb_word_index.json").write_text(json.dumps({"the": 1}))
    assert tf.keras.datasets.imdb.get_word_index() == {"the": 1}
    np.savez(folder / "reuters.npz", x=np.concatenate(ROWS), x_lengths=[len(row) for row in ROWS], y=[0, 1, 2, 3])
    (x, y), (_, topics) = tf.keras.datasets.reuters.load_data(test_split=0.25)
    assert len(x) == 3
    assert {*y, *topics} == {0, 1, 2, 3}
    pickled = np.empty(2, object)
    pickled[:] = [[1], [2, 3]]
    np.savez(folder / "imdb.npz", x_train=pickled)
    with pytest.raises(rg.FileError, match="convert it once"):
        tf.keras.datasets.imdb.load_data()


PADDED: list[tuple[Any, dict[str, Any], Any]] = [
    ([[1, 2, 3], [4]], {}, [[1, 2, 3], [0, 0, 4]]),
    ([[1, 2, 3], [4]], {"maxlen": 2}, [[2, 3], [0, 4]]),
    ([[1, 2, 3], [4]], {"maxlen": 2, "padding": "post", "truncating": "post", "value": 9}, [[1, 2], [4, 9]]),
    ([[], [4.5]], {"dtype": "float32"}, [[0.0], [4.5]]),
    ([[[1, 2]], [[3, 4], [5, 6]]], {}, [[[0, 0], [1, 2]], [[3, 4], [5, 6]]]),
    ([], {}, []),
]


@pytest.mark.parametrize(("rows", "options", "expected"), PADDED)
def test_sequences_of_one_length(rows: Any, options: dict[str, Any], expected: Any) -> None:
    found = tf.keras.preprocessing.sequence.pad_sequences(rows, **options)
    np.testing.assert_array_equal(found, np.array(expected).reshape(found.shape))
    assert found.dtype == options.get("dtype", "int32")


@pytest.mark.peers
@pytest.mark.parametrize(("rows", "options", "expected"), PADDED[:-1])
def test_sequences_are_those_of_keras(rows: Any, options: dict[str, Any], expected: Any) -> None:
    keras = pytest.importorskip("tf_keras")
    np.testing.assert_array_equal(keras.preprocessing.sequence.pad_sequences(rows, **options), np.array(expected))


def test_classes_as_vectors() -> None:
    made = tf.keras.utils.to_categorical([[0], [2], [1]])
    np.testing.assert_array_equal(made, np.eye(3)[[0, 2, 1]])
    assert made.dtype == np.float32
    assert tf.keras.utils.to_categorical(np.zeros((2, 3), int), 4).shape == (2, 3, 4)
    for wrong in ([0.5], [3], ["x"]):
        with pytest.raises(rg.RnnGraphError):
            tf.keras.utils.to_categorical(wrong, 3)


def test_texts_as_ids(tmp_path: Path) -> None:
    texts = ["The cat can't see the dog", "the dog", "a-b HTMLParser"]
    made = tf.contrib.learn.preprocessing.VocabularyProcessor(5)
    rows = np.array(list(made.fit_transform(texts)))
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4, 5], [5, 6, 0, 0, 0], [7, 8, 9, 0, 0]])
    assert len(made.vocabulary_) == 10
    assert list(made.reverse(rows))[1] == "the dog <UNK> <UNK> <UNK>"
    np.testing.assert_array_equal(next(made.transform(["a dog unknown"])), [0, 6, 0, 0, 0])
    made.save(str(tmp_path / "vocabulary"))
    again = tf.contrib.learn.preprocessing.VocabularyProcessor.restore(str(tmp_path / "vocabulary"))
    np.testing.assert_array_equal(list(again.transform(texts)), rows)
    frequent = tf.contrib.learn.preprocessing.VocabularyProcessor(4, min_frequency=1)
    np.testing.assert_array_equal(list(frequent.fit_transform(["b a b", "a b c"])), [[1, 2, 1, 0], [2, 1, 0, 0]])
    (tmp_path / "pickle").write_bytes(b"\x80\x04N.")
    with pytest.raises(rg.FileError, match="pickles"):
        tf.contrib.learn.preprocessing.VocabularyProcessor.restore(str(tmp_path / "pickle"))
    with pytest.raises(rg.DtypeError, match="list of them"):
        made.fit("one text")
