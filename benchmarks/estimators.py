"""Compare SequenceClassifier with aeon's classifiers and Keras: accuracy and time on the data sets in aeon's package.

    pip install '.[sklearn]' aeon keras jax
    python benchmarks/estimators.py [--sets NAME …] [--seeds N] [--epochs N] [--only NAME …] [--markdown]

Every contender is trained on the archive's training part and measured on its test part, on one core. The recurrent nets
of rnngraph and Keras are the same: standardised features, one bidirectional GRU, a dense layer, Adam, and the same
batch size, epochs and learning rate. A second pair reads the mean of all outputs instead of the last states. aeon's
classifiers have their defaults: MiniRocket with its linear classifier, and the nearest neighbour by dynamic time
warping. Accuracies are means over seeds, with minimum and maximum; seconds are medians. A first fit of one epoch, which
fills caches of code, is not counted. Keras compiles each model with JAX; its seconds include the compilation.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from rnngraph.sklearn import SequenceClassifier

SETS = ("JapaneseVowels", "BasicMotions", "ItalyPowerDemand", "ArrowHead")
UNITS, BATCH, RATE = 64, 16, 3e-3


class Part(NamedTuple):
    """Part of a data set: X, a list of arrays [time, features], and y, the labels."""

    X: list[np.ndarray]
    y: np.ndarray


Contender = Callable[[Part, Part, int, int], np.ndarray]
"""Function of the training part, the test part, a seed and a number of epochs that returns labels for the test part."""


def load(name: str) -> tuple[Part, Part]:
    """Return (training part, test part) of a data set in aeon's package, with arrays transposed to [time, features]."""
    from aeon.datasets import load_classification

    parts = []
    for split in ("train", "test"):
        X, y = load_classification(name, split=split, load_equal_length=False)
        parts.append(Part([np.ascontiguousarray(np.asarray(item, np.float32).T) for item in X], np.asarray(y)))
    return parts[0], parts[1]


def rnngraph(train: Part, test: Part, seed: int, epochs: int, pooling: str = "last") -> np.ndarray:
    model = SequenceClassifier(
        units=UNITS,
        bidirectional=True,
        pooling=pooling,
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=RATE,
        clip_norm=None,
        random_state=seed,
    )
    predicted: np.ndarray = model.fit(*train).predict(test.X)
    return predicted


def keras(train: Part, test: Part, seed: int, epochs: int) -> np.ndarray:
    import keras as library

    library.utils.set_random_seed(seed)
    steps = np.concatenate(train.X)
    mean, scale = steps.mean(0), steps.std(0)
    longest = max(len(item) for item in (*train.X, *test.X))
    unlike = np.float32(1e6)  # fills the steps after a sequence's end, and occurs in no sequence

    def padded(part: Part) -> np.ndarray:
        return np.stack(
            [
                np.pad((item - mean) / scale, ((0, longest - len(item)), (0, 0)), constant_values=unlike)
                for item in part.X
            ]
        ).astype(np.float32)

    classes = np.unique(train.y)
    model = library.Sequential(
        [
            library.Input((longest, steps.shape[1])),
            library.layers.Masking(unlike),
            library.layers.Bidirectional(library.layers.GRU(UNITS)),
            library.layers.Dense(len(classes), activation="softmax"),
        ]
    )
    model.compile(library.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    model.fit(padded(train), np.searchsorted(classes, train.y), batch_size=BATCH, epochs=epochs, verbose=0)
    predicted: np.ndarray = classes[model.predict(padded(test), batch_size=BATCH, verbose=0).argmax(axis=1)]
    return predicted


def mini_rocket(train: Part, test: Part, seed: int, epochs: int) -> np.ndarray:
    from aeon.classification.convolution_based import MiniRocketClassifier

    return fitted(MiniRocketClassifier(random_state=seed), train, test)


def dtw_neighbour(train: Part, test: Part, seed: int, epochs: int) -> np.ndarray:
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    return fitted(KNeighborsTimeSeriesClassifier(distance="dtw"), train, test)


def fitted(model: Any, train: Part, test: Part) -> np.ndarray:
    """Fit one of aeon's classifiers, and return its labels for the test part."""

    def own(part: Part) -> Any:
        items = [item.T.astype(np.float64) for item in part.X]
        return np.stack(items) if len({item.shape for item in items}) == 1 else items

    predicted: np.ndarray = model.fit(own(train), train.y).predict(own(test))
    return predicted


CONTENDERS: dict[str, Contender] = {
    "rnngraph": rnngraph,
    "rnngraph, mean": partial(rnngraph, pooling="mean"),
    "keras": keras,
    "aeon MiniRocket": mini_rocket,
    "aeon 1-NN DTW": dtw_neighbour,
}


def measured(contender: Contender, train: Part, test: Part, seeds: int, epochs: int) -> tuple[list[float], list[float]]:
    """Return (test accuracy for each seed, seconds of fit and prediction for each seed)."""
    contender(train, test, 0, 1)
    accuracies, seconds = [], []
    for seed in range(seeds):
        start = time.perf_counter()
        predicted = contender(train, test, seed, epochs)
        seconds.append(time.perf_counter() - start)
        accuracies.append(float((predicted == test.y).mean()))
    return accuracies, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS)
    parser.add_argument("--markdown", action="store_true", help="a table for Markdown")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all threads of a contender
    if importlib.util.find_spec("aeon") is None:
        parser.error("the data sets are in aeon's package; pip install aeon")
    table = Table(
        "data set",
        "train × steps × features",
        "contender",
        "accuracy",
        "least to most",
        "seconds",
        box=box.MARKDOWN if options.markdown else box.SIMPLE,
    )
    for name in options.sets:
        train, test = load(name)
        lengths = sorted({len(item) for item in train.X})
        steps = f"{lengths[0]}–{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
        shape = f"{len(train.X)} × {steps} × {train.X[0].shape[1]}"
        for title in options.only or CONTENDERS:
            try:
                accuracies, seconds = measured(CONTENDERS[title], train, test, options.seeds, options.epochs)
            except ValueError:  # MiniRocket does not support sequences of different lengths
                table.add_row(name, shape, title, "not offered", "", "")
                continue
            spread = f"{min(accuracies):.3f} to {max(accuracies):.3f}"
            median = f"{statistics.median(seconds):.2f}"
            table.add_row(name, shape, title, f"{statistics.mean(accuracies):.3f}", spread, median)
    Console(width=160 if options.markdown else None, highlight=False).print(table)


if __name__ == "__main__":
    main()
