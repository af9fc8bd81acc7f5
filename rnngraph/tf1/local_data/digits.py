"""The handwritten digits of MNIST from local files, as ``input_data.read_data_sets`` gives them."""

from __future__ import annotations

import gzip
import math
import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...storage.atomic_file import as_path
from ...storage.read_file import open_file
from ...support.api_guard import api
from ...support.arguments import array_of, whole_number
from ...support.errors import ArgumentError, FileError, ShapeError
from ..core.errors import NotFoundError
from ..core.names import dtype_name

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LARGEST = 1 << 30
"""Bytes that a file of them may hold."""


def idx(path: str) -> np.ndarray:
    """The bytes of a file in MNIST's format, packed by gzip or not, in their shape."""
    try:
        with open_file(path, "a file of digits") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if packed else plain as file:
                data = file.read(LARGEST + 1)
    except FileError:
        raise
    except (OSError, EOFError) as error:
        raise FileError(f"can't read {path}: {error}") from None
    axes = data[3] if len(data) > 3 and data[:3] == b"\0\0\x08" else 0
    sizes = [int(size) for size in np.frombuffer(data[4 : 4 + 4 * axes], ">u4")]
    count = int(np.prod(sizes, dtype=object)) if sizes else -1
    if len(data) > LARGEST or len(sizes) != axes or len(data) != 4 + 4 * axes + count:
        raise FileError(f"{path} is no file of bytes in MNIST's format, or is cut off")
    return np.frombuffer(data, np.uint8, count, 4 + 4 * axes).reshape(sizes)


def _found(folder: str, name: str) -> str:
    """The path of a file of MNIST's, packed or not. Raises ``NotFoundError`` that says where to put it."""
    for path in (os.path.join(folder, f"{name}.gz"), os.path.join(folder, name)):
        if os.path.isfile(path):
            return path
    raise NotFoundError(
        f"there is no {os.path.join(folder, name)}.gz; nothing is downloaded: put MNIST's four files there"
    )


class DataSet:
    """Examples that ``next_batch`` gives in a new order in each epoch."""

    @api
    def __init__(self, images: Any, labels: Any, seed: int | None = None) -> None:
        images, labels = array_of(images, "images are arrays"), array_of(labels, "labels are arrays")
        if not images.ndim or not labels.ndim or len(images) != len(labels):
            raise ShapeError(f"as many labels as images, not {np.shape(labels)} and {np.shape(images)}")
        self._images, self._labels = images, labels
        self._order = np.arange(len(images))
        self._draw = np.random.RandomState(None if seed is None else whole_number(seed, "seed") & 0xFFFFFFFF)
        self._next = self._epochs = 0

    @property
    def images(self) -> np.ndarray:
        """[examples, pixels]."""
        return self._images

    @property
    def labels(self) -> np.ndarray:
        """[examples], or [examples, classes]."""
        return self._labels

    @property
    def num_examples(self) -> int:
        """How many there are."""
        return len(self._images)

    @property
    def epochs_completed(self) -> int:
        """How often all were given."""
        return self._epochs

    @api
    def next_batch(
        self, batch_size: int, fake_data: bool = False, shuffle: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next images and their labels. At the end of an epoch those that are left, and the first of the next."""
        count = whole_number(batch_size, "batch_size", 1)
        if count > self.num_examples:
            raise ArgumentError(f"batch_size={count} is more than the {self.num_examples} examples that there are")
        if shuffle and not self._next and not self._epochs:
            self._draw.shuffle(self._order)
        chosen = self._order[self._next : self._next + count].copy()
        self._next += count
        if self._next > self.num_examples:
            self._epochs += 1
            self._next = count - len(chosen)
            if shuffle:
                self._draw.shuffle(self._order)
            chosen = np.concatenate([chosen, self._order[: self._next]])
        return self._images[chosen], self._labels[chosen]


@api
def read_data_sets(
    train_dir: str, fake_data: bool = False, one_hot: bool = False, dtype: Any = "float32", reshape: bool = True,
    validation_size: int = 5000, seed: Any = None, source_url: Any = None,
) -> Any:  # fmt: skip
    """``train``, ``validation`` and ``test`` of the files in a directory: pixels from 0 to 1."""
    folder, kind = os.fspath(as_path(train_dir)), dtype_name(dtype)
    images, labels, test_images, test_labels = (idx(_found(folder, name)) for name in FILES)
    for pictures, numbers in ((images, labels), (test_images, test_labels)):
        if pictures.ndim != 3 or numbers.ndim != 1 or len(pictures) != len(numbers):
            raise FileError(f"the files of MNIST in {folder} don't belong together")
    count = whole_number(validation_size, "validation_size", 0)
    if count > len(images):
        raise ArgumentError(f"validation_size={count} is more than the {len(images)} examples that there are")

    def made(pictures: np.ndarray, numbers: np.ndarray) -> DataSet:
        pixels = pictures.reshape(len(pictures), math.prod(pictures.shape[1:])) if reshape else pictures[..., None]
        scaled = pixels.astype(kind) * np.asarray(1.0 / 255.0, kind)
        return DataSet(scaled, np.eye(10)[numbers % 10] if one_hot else numbers, seed)

    parts = (images[count:], labels[count:]), (images[:count], labels[:count]), (test_images, test_labels)
    train, validation, test = (made(*part) for part in parts)
    return SimpleNamespace(train=train, validation=validation, test=test)
