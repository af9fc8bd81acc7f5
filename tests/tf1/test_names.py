"""Less frequent names: selections, layers of contrib, moving averages, and settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

DRAW = np.random.default_rng(4)
A = DRAW.normal(size=(4, 5)).astype(np.float32)
LABELS, GUESSES = np.array([0, 2, 1, 2]), np.array([0, 1, 1, 2])

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "top_k": (lambda a: tf.nn.top_k(a, 2).values, lambda a: np.sort(a)[:, :-3:-1]),
    "places": (lambda a: tf.nn.top_k(a, k=5)[1], lambda a: np.argsort(-a).astype(np.int32)),
    "infinite": (lambda a: tf.nn.top_k(a * 0.0 - np.inf, 1)[1], lambda a: np.zeros((4, 1), np.int32)),
    "boolean_mask": (lambda a: tf.boolean_mask(a, [True, False, True, True]), lambda a: a[[0, 2, 3]]),
    "roll": (lambda a: tf.roll(a, -7, 1), lambda a: np.roll(a, -7, 1)),
    "segments": (
        lambda a: tf.unsorted_segment_sum(tf.reshape(a, [4, 5, 1]), [1, 1, 3, 0], 5),
        lambda a: np.stack([a[3], a[0] + a[1], 0 * a[0], a[2], 0 * a[0]])[..., None],
    ),
    "confusion": (
        lambda a: tf.confusion_matrix(LABELS, GUESSES, 3),
        lambda a: np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]], np.int32),
    ),
    "weighted": (
        lambda a: tf.confusion_matrix(LABELS, GUESSES, 3, tf.float32, weights=[0.5, 1.0, 2.0, 3.0]),
        lambda a: np.array([[0.5, 0, 0], [0, 2, 0], [0, 1, 3]], np.float32),
    ),
    "diag": (lambda a: tf.diag(a[0]), lambda a: np.diag(a[0])),
    "diag_part": (lambda a: tf.diag_part(a[:, :4]), lambda a: np.diag(a[:, :4])),
    "trace": (lambda a: tf.trace(a[:, 1:]), lambda a: np.trace(a[:, 1:])),
    "band": (lambda a: tf.matrix_band_part(a, 1, -1), lambda a: np.triu(a, -1)),
    "crelu": (lambda a: tf.nn.crelu(a), lambda a: np.concatenate([np.maximum(a, 0), np.maximum(-a, 0)], 1)),
    "relu_layer": (lambda a: tf.nn.relu_layer(a, A.T, [1.0] * 4), lambda a: np.maximum(a @ A.T + 1, 0)),
    "zero_fraction": (lambda a: tf.nn.zero_fraction(tf.nn.relu(a)), lambda a: np.float32(np.mean(a <= 0))),
    "unit_norm": (
        lambda a: tf.contrib.layers.unit_norm(a, 1),
        lambda a: a / np.sqrt(np.sum(a * a, 1, keepdims=True) + np.float32(1e-7)),
    ),
    "one_hot": (
        lambda a: tf.contrib.layers.one_hot_encoding(LABELS, 3, 2.0, -1.0),
        lambda a: np.where(np.eye(3)[LABELS] > 0, 2, -1).astype(np.float32),
    ),
    "filled": (
        lambda a: tf.zeros_like(tf.argmax(a, 1)) + tf.ones_like(tf.cast(a[:, 0], tf.int64)),
        lambda a: np.ones(4, int),
    ),
    "filled with truth": (lambda a: tf.zeros_like(a > 0.0), lambda a: a > 9.0),
    "kept": (lambda a: tf.contrib.layers.dropout(a, 0.5, is_training=False), lambda a: a),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str) -> None:
    ours, numpys = FUNCTIONS[name]
    a = tf.placeholder(tf.float32, [None, 5])
    rows = tf.placeholder(tf.float32, [4, 5])
    with tf.Session() as sess:
        source = rows if name in ("boolean_mask", "diag_part", "band", "segments", "trace") else a
        results = sess.run(ours(source), {source: A})
    expected = np.asarray(numpys(A))
    np.testing.assert_allclose(results, expected, rtol=1e-5, atol=1e-6)
    assert results.dtype == expected.dtype


def test_layers_of_contrib_have_the_variables_of_tensorflows() -> None:
    ids, x = tf.placeholder(tf.int32, [None, 3]), tf.placeholder(tf.float32, [None, 6])
    layers = tf.contrib.layers
    layers.embed_sequence(ids, 7, 4)
    hidden = layers.fully_connected(x, 5, normalizer_fn=layers.layer_norm, normalizer_params={"scale": False})
    hidden = layers.batch_norm(layers.relu(hidden, 4), scale=True, is_training=True)
    layers.bias_add(layers.layer_norm(hidden))
    penalty = layers.sum_regularizer([layers.l1_l2_regularizer(0.5, 0.25), None])
    with tf.variable_scope("again", regularizer=penalty):
        layers.linear(hidden, 2, biases_initializer=None)
    names = {variable.op.name for variable in tf.global_variables()}
    assert names == {
        "EmbedSequence/embeddings",
        "fully_connected/weights",
        "fully_connected/LayerNorm/beta",
        "fully_connected_1/weights",
        "fully_connected_1/biases",
        "BatchNorm/beta",
        "BatchNorm/gamma",
        "BatchNorm/moving_mean",
        "BatchNorm/moving_variance",
        "LayerNorm/beta",
        "LayerNorm/gamma",
        "BiasAdd/biases",
        "again/fully_connected/weights",
    }
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        (weights,) = tf.global_variables("again")
        array, loss = sess.run([weights, tf.losses.get_regularization_loss()])
    np.testing.assert_allclose(loss, 0.5 * np.abs(array).sum() + 0.125 * np.square(array).sum(), rtol=1e-5)


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mask": (lambda x: tf.boolean_mask(x, tf.random_uniform(tf.shape(x)) > 0.5), "the number of entries is not known"),
    "mask's shape": (lambda x: tf.boolean_mask(x, [True]), r"of shape \(4,\)"),
    "k": (lambda x: tf.nn.top_k(x, 9), "fixed size 9 or more"),
    "k fed": (lambda x: tf.nn.top_k(x, tf.placeholder(tf.int32, [])), "an int of 1 or more"),
    "classes": (lambda x: tf.confusion_matrix([0], [0]), "num_classes="),
    "training": (lambda x: tf.contrib.layers.batch_norm(x, is_training=x[0] > 0), "a scalar bool Tensor"),
    "vocabulary": (lambda x: tf.contrib.layers.embed_sequence([[0]]), "vocab_size="),
    "normalizer": (lambda x: tf.contrib.layers.fully_connected(x, 2, normalizer_fn="norm"), "must be a function"),
    "parameters": (
        lambda x: tf.contrib.layers.layer_norm(x, begin_norm_axis=1, begin_params_axis=0),
        "must not be before begin_norm_axis",
    ),
    "average": (lambda x: tf.train.ExponentialMovingAverage(0.9).apply([x]), "average fetched values in NumPy"),
    "decay": (lambda x: tf.train.ExponentialMovingAverage(1.5), "from 0 to 1"),
    "bytes": (lambda x: tf.compat.as_bytes(3), "a str or bytes"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_name_the_line(name: str) -> None:
    declare, message = MISTAKES[name]
    with pytest.raises(rg.RnnGraphError, match=rf"test_names\.py:\d+: .*{message}"):
        declare(tf.placeholder(tf.float32, [4, 5]))


def test_texts_and_bytes() -> None:
    assert tf.compat.as_bytes("é") == "é".encode()
    assert tf.compat.as_str(b"a") == tf.compat.as_text("a") == "a"


def test_settings() -> None:
    params = tf.contrib.training.HParams(units=8, rate=0.1, names=["a"], deep=True, sizes=(1, 2), kind="gru")
    assert params.parse("units=16, rate=1e-3,deep=false,sizes=[3, 4],names=[b, c],kind=lstm") is params
    params.parse("sizes[1]=5")
    assert params.values() == {
        "units": 16,
        "rate": 1e-3,
        "names": ["b", "c"],
        "deep": False,
        "sizes": [3, 5],
        "kind": "lstm",
    }
    params.parse_json('{"units": 4}').override_from_dict({"rate": 2})
    assert (params.units, params.rate, "units" in params, params.get("none", 1)) == (4, 2.0, True, 1)
    assert tf.contrib.training.HParams().parse_json("{}").to_json() == "{}"
    params.units = 3
    params.add_hparam("more", 1)
    params.del_hparam("kind")
    assert params.to_json(sort_keys=True).startswith('{"deep": false, "more": 1,')
    for wrong, message in {
        "units=1.5": "must be of type int",
        "deep=2": "true or false",
        "none=1": "no setting none",
        "sizes=3": "can't be",
        "sizes[7]=3": "no entry 7",
        "units": "name=value",
        "unit=3": "did you mean",
    }.items():
        with pytest.raises(rg.RnnGraphError, match=message):
            params.parse(wrong)
    with pytest.raises(rg.NameLookupError, match="add_hparam"):
        params.unknown = 1
    with pytest.raises(rg.ArgumentError, match="it exists already"):
        params.add_hparam("units", 1)
