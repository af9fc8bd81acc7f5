"""``tf.keras.datasets.mnist``."""

from __future__ import annotations

from typing import Any

from ....public import api
from .files import Pair, arrays_of, place_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


@api
def load_data(path: Any = "mnist.npz") -> tuple[Pair, Pair]:
    """(images, labels) to train and to test: bytes [n, 28, 28] and [n]."""
    names = "x_train", "y_train", "x_test", "y_test"
    x_train, y_train, x_test, y_test = arrays_of(place_of(path, URL), names)
    return (x_train, y_train), (x_test, y_test)
