"""Gradients that are None, as in TensorFlow 1.15.5."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnngraph import tf1 as tf

Run = Callable[[tf.Tensor], tf.Tensor]


@pytest.fixture(autouse=True)
def _graph() -> None:
    tf.reset_default_graph()


@pytest.mark.parametrize(
    "function",
    [
        tf.floor,
        tf.round,
        tf.rint,
        tf.stop_gradient,
        tf.zeros_like,
        lambda x: x // 2.0,
        lambda x: tf.cast(tf.argmax(x, 1), tf.float32),
        lambda x: tf.cast(x > 0, tf.float32),
        lambda x: tf.where(x > 0, tf.ones_like(x), tf.zeros_like(x)),
        lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32),
        lambda x: tf.cast(tf.shape(x)[0], tf.float32),
        lambda x: tf.cast(tf.nn.top_k(x, 2)[1], tf.float32),
    ],
)
def test_functions_without_a_derivative(function: Run) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    assert tf.gradients(function(x), x) == [None]


@pytest.mark.parametrize(
    "function", [tf.sign, tf.abs, tf.nn.relu, lambda x: tf.floormod(x, 2.0), lambda x: tf.stop_gradient(x) * x]
)
def test_functions_with_a_derivative(function: Run) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    (gradient,) = tf.gradients(function(x), x)
    with tf.Session() as session:
        assert session.run(gradient, {x: [[0.5, 2.5, -1.0]]}).shape == (1, 3)


def test_a_variable_behind_stop_gradient_is_not_trained() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    own, other = tf.get_variable("own", [3]), tf.get_variable("other", [3])
    loss = tf.reduce_sum(x * own - tf.stop_gradient(x * other))
    pairs = tf.train.AdamOptimizer().compute_gradients(loss)
    assert [gradient is None for gradient, _ in pairs] == [False, True]
