"""``tf.keras.datasets.fashion_mnist``."""

from __future__ import annotations

from ....public import api
from ...contrib.learn.datasets import FILES, idx
from .files import Pair, place_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


@api
def load_data() -> tuple[Pair, Pair]:
    """(images, labels) to train and to test: bytes [n, 28, 28] and [n]; of four files in the folder fashion-mnist."""
    places = [place_of(f"fashion-mnist/{name}.gz", f"{URL}/{name}.gz") for name in FILES]
    images, labels, test_images, test_labels = map(idx, places)
    return (images, labels), (test_images, test_labels)
