"""reactionrnn: predicts the reactions to a text.

The package's Keras 2 file has only weights. Its script declares the net, so this module declares the net as well.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model, lines_of

LONGEST, WIDTH, UNITS, REACTIONS = 140, 100, 256, 5
TEXTS = (
    "Happy Mother's Day from the Chicago Cubs!",
    "Ocean is dying",
    "What is this sorcery? An ad-free night with every chapter of it, and then the next one",
    "zzz",
)


def declared(characters: int) -> dict[str, rg.Tensor]:
    """Declare the net: the shares of five reactions for character ids [batch, 140], padded at the front."""
    text = rg.placeholder("text", (None, LONGEST), "int64")
    table = rg.parameter("embedding", (characters, WIDTH))
    cell = rg.GRUCell(UNITS, recurrent_activation=lambda x: rg.clip(0.2 * x + 0.5, 0.0, 1.0))
    _, last = rg.dynamic_rnn(cell, rg.gather(table, text), scope="rnn")
    positive = rg.relu(rg.dense(last, REACTIONS, name="output"))
    return {"reactions": positive / rg.reduce_sum(positive, axis=1, keepdims=True)}


def arrays_of(path: Any) -> dict[str, np.ndarray]:
    """Return the file's arrays, by the last two components of their names."""
    import h5py

    arrays: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {"/".join(name.split("/")[-2:]).partition(":")[0]: array for name, array in arrays.items()}


def parameters(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the file's arrays by the names of rnngraph's parameters."""
    names = ("rnn/kernel", "rnn/recurrent_kernel", "rnn/bias")
    own = rg.weights.from_keras(rg.GRUCell(UNITS), [arrays[name] for name in names])
    renamed = {f"rnn/gru_cell/{name}": array for name, array in own.items()}
    renamed |= {f"output/{name}": arrays[f"output/{name}"] for name in ("kernel", "bias")}
    return renamed | {"embedding": arrays["embedding/embeddings"]}


def in_keras(arrays: Arrays) -> Any:
    """Return the package's net in Keras 3's layers."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    def hard_sigmoid(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    def shares(x: Any) -> Any:
        return keras.ops.relu(x) / keras.ops.sum(keras.ops.relu(x), axis=-1, keepdims=True)

    inputs = keras.Input((LONGEST,))
    embedded = keras.layers.Embedding(len(arrays["embedding/embeddings"]), WIDTH, name="embedding")(inputs)
    gru = keras.layers.GRU(UNITS, reset_after=False, recurrent_activation=hard_sigmoid, name="rnn")(embedded)
    model = keras.Model(inputs, keras.layers.Dense(REACTIONS, activation=shares, name="output")(gru))
    for layer, names in (
        ("embedding", ("embeddings",)),
        ("rnn", ("kernel", "recurrent_kernel", "bias")),
        ("output", ("kernel", "bias")),
    ):
        model.get_layer(layer).set_weights([arrays[f"{layer}/{name}"] for name in names])
    return model


def encoded(texts: tuple[str, ...], vocabulary: dict[str, int]) -> np.ndarray:
    """Return the ids of each text's last 140 characters in the vocabulary, padded with zeros at the front."""
    rows = np.zeros((len(texts), LONGEST), np.int64)
    for row, text in zip(rows, texts, strict=True):
        numbers = [vocabulary[letter] for letter in text.lower() if letter in vocabulary][-LONGEST:]
        row[LONGEST - len(numbers) :] = numbers
    return rows


def nets() -> list[Model]:
    files = fetched("reactionrnn")
    arrays = arrays_of(files["reactionrnn_weights.hdf5"])
    vocabulary = json.loads(files["reactionrnn_vocab.json"].read_text())
    program = rg.compile(declared(len(arrays["embedding/embeddings"])))
    program.parameters.load(parameters(arrays))
    model = in_keras(arrays)
    feeds = [{"text": encoded(TEXTS, vocabulary)}, {"text": encoded(TEXTS[:1], vocabulary)}]
    package = PACKAGES["reactionrnn"]

    def theirs(feeds: Arrays) -> Arrays:
        return {"reactions": model(feeds["text"], training=False).detach().numpy()}

    return [
        Model(
            name="reactionrnn",
            form="Keras 2, weights alone",
            origin=f"{package.requirement}, {package.licence}",
            by="Keras on torch",
            steps_in_python=True,
            lines=lines_of(declared) + lines_of(parameters),
            program=program,
            feeds=feeds,
            engine=theirs,
            tolerance=1e-5,
            timed={"a text": (lambda: program.inference(feeds[1]), lambda: theirs(feeds[1]))},
        )
    ]
