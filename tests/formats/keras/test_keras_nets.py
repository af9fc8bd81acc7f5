"""Random nets, saved by Keras 3 and by tf_keras (Keras 2) in both of their formats, give the numbers that Keras gives.

Each net runs at two sizes of batch and time in one program, where inputs have masks with rows that are all masked, have
holes, or end early. Keras 3 runs with the backend that it is configured for.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_nets import RandomNet, fill, numbers
from keras_wide_nets import WideNet
from numpy.testing import assert_allclose

import rnngraph as rg

pytestmark = pytest.mark.peers

NETS, BLOCK = 300, 10
Feeds = list[np.ndarray]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def by_steps(keras: Any) -> tuple[Any, list[Feeds]]:
    """Layers on each step of sequences of sequences, of any number."""
    layers = keras.layers
    x = keras.Input((None, 5, 3))
    inner = keras.Sequential([keras.Input((5, 3)), layers.Conv1D(4, 2), layers.GlobalMaxPooling1D()])
    one, other = layers.TimeDistributed(layers.LSTM(4))(x), layers.TimeDistributed(inner)(x)
    flat = layers.TimeDistributed(layers.Flatten())(x)
    y = layers.GRU(3, return_sequences=True)(layers.Concatenate()([one, other, flat]))
    return keras.Model(x, y), [[drawn(2, 7, 5, 3)], [drawn(3, 4, 5, 3)]]


def states(keras: Any) -> tuple[Any, list[Feeds]]:
    """States of stacks and of both directions, in and out; no merge; an output for each."""
    layers = keras.layers
    x = keras.Input((None, 3))
    y, *more = layers.Bidirectional(layers.LSTM(2, return_state=True), merge_mode="concat")(x)
    z = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode=None)(x)
    again = layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="ave")(z[0], initial_state=more)
    cells = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(2)])(z[1])
    return keras.Model(x, [y, again, cells, more[1]]), [[drawn(2, 7, 3)], [drawn(3, 4, 3)]]


def shared(keras: Any) -> tuple[Any, list[Feeds]]:
    """Layers and networks that are called twice, on inputs of other lengths, and a model of twins."""
    layers = keras.layers
    one, other = keras.Input((None, 4), name="one"), keras.Input((None, 4), name="other")
    x = keras.Input((None, 4))
    y = layers.Conv1D(6, 3, padding="same", groups=2, activation="relu")(x)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.BatchNormalization()(y))
    twin = keras.Model(x, layers.GlobalAveragePooling1D()(layers.Conv1D(2, 3, padding="causal", strides=2)(y)))
    left, right = twin(one), twin(other)
    near = layers.Dot(axes=1, normalize=True)([left, right])
    return keras.Model([one, other], [near, left]), [[drawn(2, 7, 4), drawn(2, 9, 4)], [drawn(3, 5, 4), drawn(3, 4, 4)]]


def fixed(keras: Any) -> tuple[Any, list[Feeds]]:
    """A batch and a length of their own, a stateful layer, axes that move."""
    layers = keras.layers
    shape = {"batch_shape": (2, 6, 4)} if hasattr(keras, "ops") else {"shape": (6, 4), "batch_size": 2}
    x = keras.Input(**shape)
    y = layers.LSTM(5, return_sequences=True, stateful=True)(x)
    y = layers.Permute((2, 1))(layers.Reshape((3, 10))(y))
    y = layers.Dense(4, activation="swish")(layers.Flatten()(layers.Conv1D(3, 2)(y)))
    return keras.Model(x, layers.Reshape((2, -1))(y)), [[drawn(2, 6, 4)]]


def heads(keras: Any) -> tuple[Any, list[Feeds]]:
    """Heads that take masks, which Keras 3 takes off what others read later, too."""
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 4, mask_zero=True)(ids)
    attended = layers.MultiHeadAttention(2, 3)(x, x)
    y = layers.LayerNormalization()(layers.Add()([x, attended]))
    again = layers.MultiHeadAttention(1, 2)(y, x, use_causal_mask=True)
    outputs = [layers.GlobalAveragePooling1D()(y), layers.GRU(3)(attended), layers.GRU(3)(x), layers.LSTM(2)(again)]
    feeds = [[np.array([[3, 1, 0, 4, 0, 0, 5], [2, 0, 0, 0, 0, 0, 0]])], [np.array([[0, 1, 2], [1, 0, 2], [3, 4, 1]])]]
    return keras.Model(ids, outputs), feeds


def functions(keras: Any) -> tuple[Any, list[Feeds]]:
    """Functions among layers that random nets don't draw."""
    if not hasattr(keras, "ops"):
        pytest.skip("keras.ops came with Keras 3")
    k, x = keras.ops, keras.Input((None, 4))
    outputs = [
        k.flip(x, axis=1), k.flip(x, axis=(1, -1)), k.cumsum(x, axis=1), k.argmax(x, axis=-1), k.moveaxis(x, -1, 1),
        k.argmax(x, axis=1, keepdims=True), k.var(x, axis=1), k.std(x, axis=-1, keepdims=True), k.rsqrt(x * x + 1.0),
        k.reciprocal(x * x + 1.0),
    ]  # fmt: skip
    return keras.Model(x, outputs), [[drawn(2, 7, 4)], [drawn(3, 5, 4)]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("build", [by_steps, states, shared, fixed, heads, functions])
def test_nets_with_one_thing_each(build: Any, ending: str, name: str, tmp_path: Path) -> None:
    keras = module(name)
    keras.backend.clear_session()
    model, calls = build(keras)
    fill(model, np.random.default_rng(1))
    model.save(tmp_path / f"net.{ending}")
    read = rg.read_keras(tmp_path / f"net.{ending}")
    program = read.program()
    for feeds in calls:
        given = program.inference(dict(zip(read.inputs, feeds, strict=True)))
        for array, wanted in zip(given.values(), numbers(keras, model, feeds), strict=True):
            assert_allclose(array, wanted, atol=3e-6)


def module(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    for needed in ("tensorflow" if name == "tf_keras" else os.environ.get("KERAS_BACKEND", "tensorflow"), name):
        found = importlib.util.find_spec(needed)
        if found is None or found.origin is None:  # folders of tests have these names too
            pytest.skip(f"{needed} is not installed")
    return importlib.import_module(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("first", range(0, NETS, BLOCK))
@pytest.mark.parametrize("drawn_as", [RandomNet, WideNet])
def test_random_nets_give_the_numbers_of_keras(
    drawn_as: type[RandomNet], name: str, first: int, tmp_path: Path
) -> None:
    keras = module(name)
    for seed in range(first, first + BLOCK):
        keras.backend.clear_session()
        net = drawn_as(keras, seed)
        path = tmp_path / f"net.{'keras' if seed % 2 else 'h5'}"
        net.model.save(path)
        read = rg.read_keras(path)
        program = read.program()
        for batch, steps in ((3, 17), (1, 25)):
            feeds = net.feeds(batch, steps)
            found = program.inference(dict(zip(read.inputs, feeds, strict=True)))
            expected = net.expected(feeds)
            assert len(found) == len(expected), seed
            for array, wanted in zip(found.values(), expected, strict=True):
                largest = np.nanmax(np.abs(wanted), initial=1.0)
                assert_allclose(array, wanted, atol=3e-5 * largest, rtol=1e-4, err_msg=f"seed {seed}")
