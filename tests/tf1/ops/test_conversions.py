"""Conversion of operands that are not Tensors, as in TensorFlow rather than as in ``rg``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

A = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)

CONVERSIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "array_first": (lambda x: np.arange(3.0) * x, lambda a: np.arange(3) * a),
    "list_of_ints": (lambda x: [1, 2, 3] - x, lambda a: np.array([1, 2, 3]) - a),
    "comparison": (lambda x: x > np.zeros(3), lambda a: a > 0),
    "product": (lambda x: tf.matmul(x, np.ones((3, 2))), lambda a: a @ np.ones((3, 2))),
    "joined": (lambda x: tf.concat([x, np.ones((4, 1))], 1), lambda a: np.concatenate([a, np.ones((4, 1))], 1)),
    "listed": (lambda x: tf.reduce_sum([x, x * 2.0], 0), lambda a: a * 3),
    "scalars": (lambda x: tf.nn.relu([x[0, 0], -x[0, 1], 2.0]), lambda a: np.maximum([a[0, 0], -a[0, 1], 2], 0)),
    "truths": (lambda x: ~(x > 0) | (x > 1), lambda a: ~(a > 0) | (a > 1)),
    "chosen_rows": (lambda x: tf.where(x[:, 0] > 0, x, -x), lambda a: np.where(a[:, :1] > 0, a, -a)),
    "expand": (lambda x: tf.expand_dims(x, [0]), lambda a: a[None]),
    "strides": (lambda x: tf.strided_slice(x, [0, 0], [4, -1], [2, 1], end_mask=1), lambda a: a[::2, :-1]),
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_values(name: str) -> None:
    ours, numpys = CONVERSIONS[name]
    x = tf.placeholder(tf.float32, [4, 3])
    with tf.Session() as sess:
        results = sess.run(ours(x), {x: A})
    np.testing.assert_allclose(results, numpys(A), rtol=1e-6)
    assert results.dtype in (np.float32, np.bool_)


def test_rg_does_not_convert_dtypes() -> None:
    tf.placeholder(tf.float32, [4, 3])
    x = rg.placeholder("x", (4, 3))
    for declared in (lambda: x * np.arange(3.0), lambda: np.arange(3.0) * x, lambda: x * [1, 2, 3]):
        with pytest.raises(rg.DtypeError, match="convert one with"):
            declared()


def test_labels_of_ints_and_sizes_of_a_feed() -> None:
    x, labels = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int32, [None, 3])
    loss = tf.nn.softmax_cross_entropy_with_logits(logits=x, labels=labels)
    pieces = tf.split(tf.reshape(tf.stack([x, x + 1.0]), [-1, 3]), 2, 0)
    square = tf.reshape(x, [2, 6])
    hot = np.eye(3)[[0, 2, 1, 1]]
    with tf.Session() as sess:
        results, parts, squared = sess.run([loss, pieces, square], {x: A, labels: hot})
        np.testing.assert_allclose(results, np.log(np.exp(A).sum(1)) - (A * hot).sum(1), rtol=1e-5)
        np.testing.assert_array_equal(parts[1], A + 1)
        np.testing.assert_array_equal(squared, A.reshape(2, 6))
        with pytest.raises(rg.RnnGraphError, match="12"):
            sess.run(square, {x: A[:3]})
    assert (x.shape[0].value, x.shape[1].value) == (None, 3)
    assert x.shape == (None, 3)
    assert x.dtype.base_dtype == tf.float32


def test_initializers_are_called() -> None:
    for maker in (tf.contrib.layers.xavier_initializer, tf.zeros_initializer, tf.truncated_normal_initializer):
        assert maker()([3, 2]).shape == (3, 2)

    def own(shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        return tf.constant(np.full(shape, 2.0, np.float32))

    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.contrib.slim.fully_connected(x, 2, activation_fn=None, weights_initializer=own)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        np.testing.assert_allclose(sess.run(y, {x: A}), np.repeat(A.sum(1, keepdims=True) * 2, 2, 1), rtol=1e-5)


def test_block_cells_are_the_plain_ones() -> None:
    x = tf.placeholder(tf.float32, [None, 5, 3])
    built = {
        "lstm": (tf.contrib.rnn.LSTMBlockCell(4, forget_bias=0.5), tf.nn.rnn_cell.LSTMCell(4, forget_bias=0.5)),
        "gru": (tf.contrib.rnn.GRUBlockCellV2(4), tf.nn.rnn_cell.GRUCell(4)),
    }
    outputs = []
    for name, cells in built.items():
        for reuse, cell in zip((False, True), cells, strict=True):
            with tf.variable_scope(name, reuse=reuse):
                outputs.append(tf.nn.dynamic_rnn(tf.contrib.rnn.MultiRNNCell([cell]), x, dtype=tf.float32)[0])
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        block, plain, block_gru, plain_gru = sess.run(outputs, {x: np.stack([A] * 5, 1)})
    np.testing.assert_array_equal(block, plain)
    np.testing.assert_array_equal(block_gru, plain_gru)
    assert tf.global_variables()[0].name == "lstm/rnn/multi_rnn_cell/cell_0/lstm_cell/kernel:0"


def test_gradients_move_other_variables() -> None:
    """Workers train copies, and apply their gradients to shared variables."""
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("shared"):
        shared = tf.get_variable("w", [3, 1])
    with tf.variable_scope("copy"):
        copy = tf.get_variable("w", [3, 1])
    gradient = tf.gradients(tf.reduce_mean(tf.matmul(x, copy)), copy)
    train = tf.train.GradientDescentOptimizer(0.5).apply_gradients(zip(gradient, [shared], strict=True))
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        before = sess.run([shared, copy])
        sess.run(train, {x: A})
        after = sess.run([shared, copy])
    np.testing.assert_allclose(after[0], before[0] - 0.5 * A.mean(0)[:, None], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after[1], before[1])


def test_mistakes() -> None:
    x, v = tf.placeholder(tf.float32, [None, 3]), tf.Variable(A)
    with pytest.raises(rg.NotOfferedError, match=r"session\.run\(tensor\)"):
        x.numpy()
    assert not hasattr(x, "anything")
    with pytest.raises(rg.ArgumentError, match=r"tf\.concat"):
        tf.nn.embedding_lookup([v, v], [0, 1])
    with pytest.raises(rg.ShapeError, match="known only at run time"):
        tf.split(x, 2, 0)
    with pytest.raises(rg.ShapeError, match="size of its axis"):
        x[: tf.shape(v)[0] * tf.shape(x)[0] : 2, 0]
    with pytest.raises(rg.RnnGraphError):
        x[:, 0, : tf.shape(x)[0]]
    (first,) = tf.gradients(tf.reduce_sum(v**3), v)
    with pytest.raises(rg.NotOfferedError, match="stop_gradient"):
        tf.gradients(first, v)
    assert tf.gradients(tf.reduce_sum(tf.stop_gradient(first) * v), v)


def test_narrow_ints_are_stored_as_int32() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ids, floats = tf.placeholder(tf.uint8, [None, 2]), tf.placeholder(tf.float32, [None])
        wide = np.array([-1, 255, 256, 300, 128, -129, 70000])
        built = [
            tf.one_hot(ids, 9)[:, 0],
            tf.cast(wide, tf.uint8),
            tf.cast(wide, tf.int8),
            tf.cast(wide, tf.int16),
            tf.cast(floats, tf.uint8),
            tf.cast(ids, tf.float32),
        ]
        results = session.run(built, {ids: np.array([[1, 8]], np.uint8), floats: [1.9, 200.2]})
    expected = [np.eye(9)[[1]], *(wide.astype(kind) for kind in (np.uint8, np.int8, np.int16)), [1, 200], [[1.0, 8.0]]]
    for a, b in zip(results, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (tf.uint8.name, tf.uint8.as_numpy_dtype, tf.as_dtype("uint8")) == ("uint8", np.int32, tf.int32)


def test_ints_without_tensors_are_int32() -> None:
    tf.reset_default_graph()
    built = {
        "square": (tf.square(70000), np.int32(605032704)),
        "product": (tf.reduce_prod([100000] * 2), 1410065408),
        "add": (tf.add(1, 2), 3),
        "reshape": (tf.reshape([1, 2], [2, 1]), [[1], [2]]),
        "abs": (tf.abs(-3), 3),
        "gather": (tf.gather([4, 5], tf.constant([1])), [5]),
        "pad": (tf.pad([1], [[1, 0]]), [0, 1]),
        "where": (tf.where(tf.constant([True, False]), [1, 2], [3, 4]), [1, 4]),
        "sum": (tf.add_n([1, 2]), 3),
        "split": (tf.split([1, 2], 2)[1], [2]),
        "unstack": (tf.unstack([1, 2])[1], 2),
        "hot": (tf.one_hot([1], 2, on_value=5, off_value=1), [[1, 5]]),
    }
    others = {
        "long": (tf.add(np.int64(70000), 1), "int64"),
        "float": (tf.subtract(1.5, 2), "float32"),
        "array": (tf.multiply(np.ones(2), 2), "float64"),
        "hot": (tf.one_hot([1], 2, True, False), "bool"),
    }
    with tf.Session() as session:
        for name, (tensor, expected) in built.items():
            results = session.run(tensor)
            assert results.dtype == np.int32, name
            np.testing.assert_array_equal(results, expected, name)
        for name, (tensor, kind) in others.items():
            assert session.run(tensor).dtype == kind, name


def test_parts_of_a_table_are_no_table() -> None:
    with pytest.raises(rg.ArgumentError, match="a table of 2 arrays is not offered"):
        tf.nn.embedding_lookup([[1.0, 2.0], [3.0, 4.0]], [1, 0])


def test_a_variable_takes_the_session_first() -> None:
    tf.reset_default_graph()
    value = tf.Variable(3.0)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    assert value.eval(session) == 3
