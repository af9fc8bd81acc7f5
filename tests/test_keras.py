"""Keras' own layers, with masks, backwards and with other gates, have equal results with equal weights.

Gates are permuted by definition: an LSTM's are i, f, c, o in Keras and i, j, f, o here, a GRU's z, r, h in Keras and r,
u and the candidate here. Keras stores the forget bias. Runs with the backend that Keras is configured for.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg

pytestmark = pytest.mark.peers

INPUTS, STEPS, BATCH = 3, 9, 5
ACTIVATIONS = {"sigmoid": "sigmoid", "hard_sigmoid": "hard_sigmoid_keras3", "tanh": "tanh"}
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip(os.environ.get("KERAS_BACKEND", "tensorflow"))
    module = pytest.importorskip("keras")
    module.utils.set_random_seed(1)
    return module


def cell_of(layer: Any) -> rg.Cell:
    """Return the cell with the layer's options."""
    options = {"activation": layer.activation.__name__}
    if type(layer).__name__.startswith("SimpleRNN"):
        return rg.BasicRNNCell(layer.units, **options)
    gates = ACTIVATIONS[layer.recurrent_activation.__name__]
    if type(layer).__name__.startswith("LSTM"):
        return rg.LSTMCell(layer.units, forget_bias=0.0, recurrent_activation=gates, **options)
    return rg.GRUCell(layer.units, reset_after=layer.reset_after, recurrent_activation=gates, **options)


def weights_of(layer: Any, scope: str) -> Arrays:
    """Return the layer's weights by the cell's names at a scope."""
    kernel, recurrent, bias = (np.asarray(item) for item in layer.get_weights())
    both = np.concatenate([kernel, recurrent])
    if type(layer).__name__.startswith("SimpleRNN"):
        return {f"{scope}/basic_rnn_cell/kernel": both, f"{scope}/basic_rnn_cell/bias": bias}
    if type(layer).__name__.startswith("LSTM"):
        order = (0, 2, 1, 3)
        return {
            f"{scope}/lstm_cell/kernel": columns(both, order, 4),
            f"{scope}/lstm_cell/bias": columns(bias, order, 4),
        }
    at, folded = f"{scope}/gru_cell", bias.sum(0) if layer.reset_after else bias
    result = {f"{at}/gates/kernel": columns(both, (1, 0), 3), f"{at}/gates/bias": columns(folded, (1, 0), 3)}
    if not layer.reset_after:
        return result | {
            f"{at}/candidate/kernel": columns(both, (2,), 3),
            f"{at}/candidate/bias": columns(bias, (2,), 3),
        }
    for name, matrix, row in (("input", kernel, bias[0]), ("hidden", recurrent, bias[1])):
        result[f"{at}/candidate/{name}_projection/kernel"] = columns(matrix, (2,), 3)
        result[f"{at}/candidate/{name}_projection/bias"] = columns(row, (2,), 3)
    return result


def columns(array: np.ndarray, order: tuple[int, ...], count: int) -> np.ndarray:
    parts = np.split(array, count, axis=-1)
    return np.concatenate([parts[place] for place in order], axis=-1)


def inputs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences and a mask: a row that is always masked, one that never is, and gaps at either end."""
    generator = np.random.default_rng(seed)
    runs = generator.random((BATCH, STEPS)) < 0.5
    runs[0], runs[1], runs[2, :2], runs[2, -1] = False, True, False, False
    return generator.normal(size=(BATCH, STEPS, INPUTS)).astype(np.float32), runs


def shaken(layer: Any) -> Any:
    """Set random biases, because initial zeros would hide mistakes."""
    generator = np.random.default_rng(3)
    layer.set_weights([item + generator.normal(0, 0.3, item.shape) for item in layer.get_weights()])
    return layer


LAYERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "simple": lambda keras, options: keras.layers.SimpleRNN(7, **options),
    "lstm": lambda keras, options: keras.layers.LSTM(7, **options),
    "lstm_hard": lambda keras, options: keras.layers.LSTM(7, recurrent_activation="hard_sigmoid", **options),
    "gru": lambda keras, options: keras.layers.GRU(7, **options),
    "gru_before": lambda keras, options: keras.layers.GRU(
        7, reset_after=False, recurrent_activation="hard_sigmoid", **options
    ),
    "gru_tanh": lambda keras, options: keras.layers.GRU(
        7, activation="sigmoid", recurrent_activation="tanh", **options
    ),
}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_masks_and_reversed_layers(keras: Any, name: str, backwards: bool) -> None:
    layer = LAYERS[name](keras, {"return_sequences": True, "return_state": True, "go_backwards": backwards})
    x, runs = inputs()
    layer(x)
    shaken(layer)
    sequence, mask = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("m", (None, None), "bool")
    outputs, state = rg.dynamic_rnn(cell_of(layer), sequence, mask=mask, reverse=backwards)
    program = rg.compile({"outputs": outputs[:, ::-1] if backwards else outputs, "state": state})
    program.parameters.load(weights_of(layer, "rnn"))
    for applied in (runs, np.ones_like(runs)):
        wanted, *final = map(keras.ops.convert_to_numpy, layer(x, mask=applied))
        result = program.inference(x=x, m=applied)
        assert_allclose(result["outputs"], wanted, rtol=1e-5, atol=1e-5)
        actual = [result["state"].h, result["state"].c] if name.startswith("lstm") else [result["state"]]
        for one, two in zip(actual, final, strict=True):
            assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_zero_output_for_mask(keras: Any, name: str) -> None:
    cell = keras.layers.LSTMCell(6) if name == "lstm" else keras.layers.GRUCell(6)
    layer = keras.layers.RNN(cell, return_sequences=True, zero_output_for_mask=True)
    x, runs = inputs()
    layer(x)
    shaken(layer)
    sequence, mask = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("m", (None, None), "bool")
    program = rg.compile(rg.dynamic_rnn(cell_of(cell), sequence, mask=mask, zero_output_for_mask=True)[0])
    program.parameters.load(weights_of(cell, "rnn"))
    assert_allclose(
        program.inference(x=x, m=runs), keras.ops.convert_to_numpy(layer(x, mask=runs)), rtol=1e-5, atol=1e-5
    )


def test_a_stack_gives_the_last_output_where_the_mask_is_false(keras: Any) -> None:
    """The stack has an LSTM whose state is not an output, and a GRU."""
    cells = [keras.layers.LSTMCell(4), keras.layers.GRUCell(6)]
    layer = keras.layers.RNN(cells, return_sequences=True)
    x, runs = inputs()
    layer(x)
    shaken(layer)
    sequence, mask = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("m", (None, None), "bool")
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([cell_of(cell) for cell in cells]), sequence, mask=mask)
    program = rg.compile(outputs)
    weights = [weights_of(cell, f"rnn/multi_rnn_cell/cell_{number}") for number, cell in enumerate(cells)]
    program.parameters.load(weights[0] | weights[1])
    assert_allclose(
        program.inference(x=x, m=runs), keras.ops.convert_to_numpy(layer(x, mask=runs)), rtol=1e-5, atol=1e-5
    )


def test_a_bidirectional_lstm_between_masking_and_dense(keras: Any) -> None:
    """The mask depends on the inputs; mean pooling over unmasked steps and a loss follow."""
    model = keras.Sequential(
        [
            keras.Input((None, INPUTS)),
            keras.layers.Masking(0.0),
            keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True)),
            keras.layers.GRU(4, reset_after=True, return_sequences=True),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    for layer in model.layers:
        shaken(layer)
    both, gru, dense = (model.layers[place] for place in (1, 2, 4))

    x, labels = rg.placeholder("x", (None, None, INPUTS)), rg.placeholder("labels", (None,), "int64")
    mask = rg.reduce_any(rg.not_equal(x, 0), axis=2)
    forward, backward = cell_of(both.forward_layer), cell_of(both.backward_layer)
    (ahead, back), _ = rg.bidirectional_dynamic_rnn(forward, backward, x, mask=mask)
    steps, _ = rg.dynamic_rnn(cell_of(gru), rg.concat([ahead, back], -1), mask=mask)
    counted = rg.expand_dims(rg.cast(mask, "float32"), -1)
    pooled = rg.reduce_sum(steps * counted, axis=1) / rg.reduce_sum(counted, axis=1)
    logits = rg.dense(pooled, 3)
    loss = rg.sparse_softmax_cross_entropy(labels, logits)
    program = rg.compile({"classes": rg.softmax(logits)}, loss=loss)
    weights = weights_of(both.forward_layer, "bidirectional_rnn/fw") | weights_of(gru, "rnn")
    weights |= weights_of(both.backward_layer, "bidirectional_rnn/bw")
    program.parameters.load(weights | dict(zip(("dense/kernel", "dense/bias"), dense.get_weights(), strict=True)))

    array, runs = inputs()
    runs[0, 3] = True  # a row without steps has no mean
    array = np.where(runs[:, :, None], array, 0.0).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(model(array))
    assert_allclose(program.inference(x=array)["classes"], wanted, rtol=1e-5, atol=1e-6)
    truth = np.array([0, 2, 1, 1, 0])
    expected = -np.log(wanted[np.arange(BATCH), truth]).mean()
    assert_allclose(program.training(x=array, labels=truth, seed=1)["loss"], expected, rtol=1e-5)
