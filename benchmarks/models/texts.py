"""textgenrnn: predicts the next letter. A Keras 2 file that has only weights, of layers for cuDNN."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model, lines_of
from .reaction import arrays_of

WIDTH, UNITS = 100, 128
UNEVEN = 2e-3
"""Tolerance, because attention scores are up to 80, and their softmax amplifies float32 rounding errors."""


def declared(characters: int) -> dict[str, rg.Tensor]:
    """Declare the net: probabilities of the next character for character ids [batch, time]."""
    text = rg.placeholder("text", ("B", "T"), "int64")
    embedded = rg.embedding(text, characters, WIDTH, name="embedding")
    first, _ = rg.dynamic_rnn(rg.BasicLSTMCell(UNITS, forget_bias=0.0), embedded, scope="rnn_1")
    second, _ = rg.dynamic_rnn(rg.BasicLSTMCell(UNITS, forget_bias=0.0), first, scope="rnn_2")
    steps = rg.concat([embedded, first, second], -1)
    shares = rg.softmax(rg.dense(steps, 1, use_bias=False, name="attention"), axis=1)
    return {"next": rg.softmax(rg.dense(rg.reduce_sum(shares * steps, 1), characters, name="output"))}


def parameters(arrays: Arrays) -> dict[str, Any]:
    """Return the file's arrays by the names of rnngraph's parameters."""
    loaded = {"embedding/table": arrays["embedding/embeddings"], "attention/kernel": arrays["attention/attention_W"]}
    for layer in ("rnn_1", "rnn_2"):
        own = {name: arrays[f"{layer}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")}
        own = rg.weights.from_cudnn(rg.BasicLSTMCell(UNITS, forget_bias=0.0), own)
        loaded |= {f"{layer}/basic_lstm_cell/{name}": array for name, array in own.items()}
    return loaded | {f"output/{name}": arrays[f"output/{name}"] for name in ("kernel", "bias")}


def in_keras(arrays: Arrays) -> Any:
    """Return the package's net in Keras 3's layers."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    inputs = keras.Input((None,))
    embedded = keras.layers.Embedding(len(arrays["embedding/embeddings"]), WIDTH, name="embedding")(inputs)
    first = keras.layers.LSTM(UNITS, return_sequences=True, name="rnn_1")(embedded)
    second = keras.layers.LSTM(UNITS, return_sequences=True, name="rnn_2")(first)
    steps = keras.layers.concatenate([embedded, first, second])
    scores = keras.layers.Dense(1, use_bias=False, name="attention")(steps)
    seen = keras.layers.Dot(1)([keras.layers.Softmax(1)(scores), steps])
    characters = len(arrays["output/bias"])
    outputs = keras.layers.Dense(characters, "softmax", name="output")(keras.layers.Reshape((-1,))(seen))
    model = keras.Model(inputs, outputs)
    model.get_layer("embedding").set_weights([arrays["embedding/embeddings"]])
    model.get_layer("attention").set_weights([arrays["attention/attention_W"]])
    model.get_layer("output").set_weights([arrays["output/kernel"], arrays["output/bias"]])
    for layer in ("rnn_1", "rnn_2"):
        model.get_layer(layer).set_weights(
            _plain(*(arrays[f"{layer}/{n}"] for n in ("kernel", "recurrent_kernel", "bias")))
        )
    return model


def _plain(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Convert weights of CuDNNLSTM to those of LSTM, as Keras 2 does."""
    inputs = [part.T.reshape(part.shape, order="F") for part in np.hsplit(kernel, 4)]
    return [np.hstack(inputs), np.hstack([part.T for part in np.hsplit(recurrent, 4)]), sum(np.split(bias, 2))]


def nets() -> list[Model]:
    arrays = arrays_of(fetched("textgenrnn")["textgenrnn_weights.hdf5"])
    characters = len(arrays["output/bias"])
    program = rg.compile(declared(characters))
    program.parameters.load(parameters(arrays))
    model, draw = in_keras(arrays), np.random.default_rng(0)

    def drawn(rows: int, steps: int) -> Arrays:
        return {"text": draw.integers(1, characters, (rows, steps))}

    def theirs(feeds: Arrays) -> Arrays:
        return {"next": model(feeds["text"], training=False).detach().numpy()}

    package, one = PACKAGES["textgenrnn"], drawn(1, 40)
    return [
        Model(
            name="textgenrnn",
            form="Keras 2, weights alone",
            origin=f"{package.requirement}, {package.licence}",
            by="Keras on torch",
            steps_in_python=True,
            lines=lines_of(declared) + lines_of(parameters),
            program=program,
            feeds=[drawn(1, 40), drawn(3, 17), drawn(2, 1)],
            engine=theirs,
            tolerance=UNEVEN,
            last=True,
            timed={"a text of 40": (lambda: program.inference(one), lambda: theirs(one))},
        )
    ]
