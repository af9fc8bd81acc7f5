"""Slots of optimizers: names and sharing, as in TensorFlow 1.15.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf
from rnngraph.support.errors import ArgumentError, NotOfferedError


@pytest.fixture(autouse=True)
def fresh_graph() -> None:
    tf.reset_default_graph()


def a_loss() -> tuple[Any, Any, Any]:
    x = tf.placeholder(tf.float32, [None, 3])
    w = tf.get_variable("w", [3, 1])
    return x, w, tf.reduce_mean(tf.square(tf.matmul(x, w) - 1.0))


def names() -> list[str]:
    return sorted(item.name for item in tf.global_variables())


def test_optimizers_of_a_scope_that_reuses_share_slots() -> None:
    """Two training operations that share slots update variables like one optimizer."""
    x, w, loss = a_loss()
    train = []
    for number in range(2):
        with tf.variable_scope("optimizer", reuse=number > 0):
            train.append(tf.train.RMSPropOptimizer(0.05, momentum=0.5).minimize(loss))
    assert names() == ["optimizer/w/RMSProp:0", "optimizer/w/RMSProp_1:0", "w:0"]
    alone = tf.train.RMSPropOptimizer(0.05, momentum=0.5, name="alone").minimize(loss)
    data = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)

    def trained(operations: list[Any]) -> Any:
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            w.load(np.full((3, 1), 0.5, np.float32), sess)
            for operation in operations:
                sess.run(operation, {x: data})
            return sess.run(w)

    np.testing.assert_array_equal(trained([train[0], train[1], train[1], train[0]]), trained([alone] * 4))


def test_optimizers_of_their_own_have_slots_of_their_own() -> None:
    _, _, loss = a_loss()
    for _ in range(2):
        tf.train.AdamOptimizer().minimize(loss)
    slots = [f"w/Adam{end}:0" for end in ("", "_1", "_2", "_3")]
    powers = [f"beta{number}_power{end}:0" for number in (1, 2) for end in ("", "_1")]
    assert names() == sorted([*powers, *slots, "w:0"])


def test_a_scope_that_is_opened_again_restarts_its_names() -> None:
    """Names inside a closed scope can be used again, as in TensorFlow, where get_variable then raises."""
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("net"):
        w = tf.get_variable("w", [3, 1])
    loss = tf.reduce_mean(tf.square(tf.matmul(x, w)))
    tf.train.AdamOptimizer().minimize(loss)
    with tf.variable_scope("net", reuse=True):
        tf.get_variable("w", [3, 1])
    with pytest.raises(ArgumentError, match=r"slot net/w/Adam already exists.*name="):
        tf.train.AdamOptimizer().minimize(loss)


def test_slots_that_are_to_be_reused_exist() -> None:
    _, _, loss = a_loss()
    with tf.variable_scope("optimizer", reuse=True), pytest.raises(ArgumentError, match=r"does not exist.*AUTO_REUSE"):
        tf.train.AdamOptimizer().minimize(loss)


def test_slots_of_another_kind_of_optimizer_are_not_shared() -> None:
    _, _, loss = a_loss()
    with tf.variable_scope("optimizer"):
        tf.train.MomentumOptimizer(0.1, 0.9, name="it").minimize(loss)
    with tf.variable_scope("optimizer", reuse=True), pytest.raises(NotOfferedError, match="another kind"):
        tf.train.AdagradOptimizer(0.1, name="it").minimize(loss)


def test_slots_have_shapes_and_dtypes_as_variables_have() -> None:
    _, w, loss = a_loss()
    optimizer = tf.train.AdamOptimizer()
    optimizer.minimize(loss)
    assert [item.name for item in optimizer.variables()] == ["beta1_power:0", "beta2_power:0", "w/Adam:0", "w/Adam_1:0"]
    for item, shape in zip(optimizer.variables(), ([], [], [3, 1], [3, 1]), strict=True):
        assert item.shape.as_list() == item.get_shape().as_list() == shape
        assert item.dtype.base_dtype == tf.float32
        assert item.shape.ndims == len(shape)
    assert optimizer.get_slot(w, "m").shape == w.shape


def test_layers_within_a_scope_that_reuses_are_numbered_as_in_tensorflow() -> None:
    """Numbers of layers continue within an open scope, and restart after the scope was closed."""
    x = tf.placeholder(tf.float32, [2, 3])
    with tf.variable_scope("m", reuse=tf.AUTO_REUSE) as scope:
        tf.layers.dense(x, 3)
        tf.layers.dense(x, 3)
        for _ in range(2):
            with tf.variable_scope(scope):
                tf.layers.dense(x, 3)  # dense_2 in both cases
    with tf.variable_scope(scope):
        for _ in range(4):
            tf.layers.dense(x, 3)
    kernels = [name for name in names() if name.endswith("kernel:0")]
    assert kernels == [f"m/dense{end}/kernel:0" for end in ("", "_1", "_2", "_3")]
