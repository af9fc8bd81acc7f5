"""``tf.keras.datasets.boston_housing``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arguments import check_within, number, whole_number
from ....public import api
from .files import Pair, arrays_of, place_of

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"


@api
def load_data(path: Any = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """(features, prices) to train and to test: [n, 13] and [n]."""
    check_within("test_split", number(test_split, "test_split"), 0, 1)
    x, y = arrays_of(place_of(path, URL), ("x", "y"))
    order = np.arange(len(x))
    np.random.RandomState(whole_number(seed, "seed", 0) & 0xFFFFFFFF).shuffle(order)
    cut = int(len(x) * (1 - test_split))
    x, y = x[order], y[order]
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
