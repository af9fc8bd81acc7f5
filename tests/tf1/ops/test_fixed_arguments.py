"""Arguments that must be known at declaration, written as Tensors or as lists of Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def constants(values: Any) -> Any:
    return tf.constant(values)


CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "concat": (lambda x: tf.concat([x, x], constants(1)), np.concatenate([X, X], 1)),
    "reduce_sum": (lambda x: tf.reduce_sum(x, constants([0, 2])), X.sum((0, 2))),
    "axes of a range": (lambda x: tf.reduce_mean(x, tf.range(1, tf.rank(x))), X.mean((1, 2))),
    "expand_dims": (lambda x: tf.expand_dims(x, constants(1)), X[:, None]),
    "argmax": (lambda x: tf.argmax(x, constants(1)), X.argmax(1)),
    "split": (lambda x: tf.split(x, 3, constants(1))[2], X[:, 2:]),
    "reverse": (lambda x: tf.reverse(x, [constants(1)]), X[:, ::-1]),
    "pad": (lambda x: tf.pad(x, constants([[0, 0], [1, 0], [0, 0]])), np.pad(X, ((0, 0), (1, 0), (0, 0)))),
    "transpose": (lambda x: tf.transpose(x, tf.concat([[1, 0], tf.range(2, tf.rank(x))], 0)), X.transpose(1, 0, 2)),
    "top_k": (lambda x: tf.nn.top_k(x, constants(2)).values, X[..., :1:-1]),
    "one_hot": (lambda x: tf.one_hot([1, 2], constants(4)), np.eye(4)[[1, 2]]),
    "eye": (lambda x: tf.eye(constants(2)), np.eye(2)),
    "fill": (lambda x: tf.fill([tf.shape(x)[0]], constants(7)), np.array([7, 7])),
    "stack of a Tensor": (lambda x: tf.zeros(tf.stack(tf.shape(x)[:2])), np.zeros((2, 3))),
    "matrix_transpose": (lambda x: tf.matrix_transpose(x), X.transpose(0, 2, 1)),
    "where of lists": (lambda x: tf.where(x[0] > 4, [x[1, 0], x[1, 1], x[1, 2]], x[0]), np.where(X[0] > 4, X[1], X[0])),
    "array of a list": (lambda x: tf.TensorArray(tf.float32, 2).unstack([x[0], x[1]]).stack(), X),
    "reverse_sequence": (
        lambda x: tf.reverse_sequence([x[0], x[1]], [2, 3], 1),
        np.stack([X[0][[1, 0, 2]], X[1][::-1]]),
    ),
    "labels in a list": (
        lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[constants(1)], logits=[x[0, 0]]),
        np.log(np.exp(X[0, 0]).sum(keepdims=True)) - 1,
    ),
    "quotient of ints": (lambda x: tf.shape(x) / 2, np.array([2, 3, 4]) / 2),
    "number by ints": (lambda x: 6 / tf.shape(x), 6 / np.array([2, 3, 4])),
    "scatter_nd": (
        lambda x: tf.scatter_nd([[0, 1], [2, 0], [0, 1]], [1.0, 2.0, 3.0], [tf.shape(x)[1], 2]),
        np.array([[0.0, 4.0], [0.0, 0.0], [2.0, 0.0]]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    declare, expected = CASES[name]
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, 3, 4])
        result = session.run(declare(x), {x: X})
        np.testing.assert_allclose(result, expected, rtol=1e-6)
        assert result.dtype.kind == np.asarray(expected).dtype.kind or name == "one_hot"


def test_float_lengths_become_ints() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2, 3, 4])
        lengths = tf.reduce_sum(tf.sign(tf.reduce_max(x, 2)), 1)
        outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(2), x, lengths, dtype=tf.float32)
        session.run(tf.global_variables_initializer())
        data = X.copy()
        data[0, 1:] = 0
        result = session.run(outputs, {x: data})
        assert np.all(result[0, 1:] == 0)
        assert np.all(result[1] != 0)


@pytest.mark.filterwarnings("ignore:.*drops units")
def test_masks_of_a_noise_shape_drop_whole_columns() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 3, 4])
        dropped = tf.nn.dropout(x, 0.5, noise_shape=[tf.shape(x)[0], 1, 4])
        result = session.run(dropped, {x: np.ones((40, 3, 4))})
        assert set(np.unique(result)) == {0.0, 2.0}
        assert np.all(result == result[:, :1])


def test_two_placeholders_have_as_many_steps() -> None:
    """Rows of one placeholder are reshaped by the number of steps of another. A run checks that they are equal."""
    with tf.Graph().as_default(), tf.Session() as session:
        x, y = tf.placeholder(tf.float32, [None, 1, None]), tf.placeholder(tf.float32, [None, None])
        rows = tf.reshape(x, [-1, tf.shape(y)[1]]) * y
        assert session.run(rows, {x: np.full((2, 1, 3), 2), y: np.ones((2, 3))}).tolist() == [[2.0] * 3] * 2
        with pytest.raises(Exception, match="3"):
            session.run(rows, {x: np.full((2, 1, 4), 2), y: np.ones((2, 3))})


def test_a_diagonal_of_open_sizes_is_checked() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, None])
        assert session.run(tf.diag_part(x), {x: [[1, 2], [3, 4]]}).tolist() == [1, 4]


def test_sparse_products() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        matrix = tf.sparse_reorder(tf.SparseTensor([[1, 0], [0, 2]], [2.0, 3.0], [2, 3]))
        assert session.run(matrix).indices.tolist() == [[0, 2], [1, 0]]
        product = tf.sparse_tensor_dense_matmul(matrix, np.arange(6, dtype=np.float32).reshape(3, 2))
        np.testing.assert_array_equal(session.run(product), [[12, 15], [0, 2]])
