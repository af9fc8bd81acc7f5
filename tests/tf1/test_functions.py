"""TensorFlow's functions that are operators or methods in rnngraph, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

DRAW = np.random.default_rng(0)
A = DRAW.normal(size=(4, 3)).astype(np.float32)
I = DRAW.integers(1, 9, (4, 3)).astype(np.int32)  # noqa: E741  # named like R, B and X

FUNCTIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "div": (lambda a, i: tf.div(a, 3.0), lambda a, i: a / np.float32(3)),
    "truediv": (lambda a, i: tf.truediv(i, 2), lambda a, i: i / 2),
    "realdiv": (lambda a, i: tf.realdiv(1.0, a), lambda a, i: 1 / a),
    "reciprocal": (lambda a, i: tf.reciprocal(a), lambda a, i: 1 / a),
    "rsqrt": (lambda a, i: tf.rsqrt(tf.square(a)), lambda a, i: 1 / np.abs(a)),
    "conversions": (
        lambda a, i: tf.to_double(tf.to_int32(tf.to_int64(a * 10.0))),
        lambda a, i: np.trunc(a * np.float32(10)).astype(np.float64),
    ),
    "reverse": (lambda a, i: tf.reverse(a, [0, -1]), lambda a, i: a[::-1, ::-1]),
    "slice": (lambda a, i: tf.slice(a, [1, 0], [2, -1]), lambda a, i: a[1:3]),
    "l2_normalize": (
        lambda a, i: tf.nn.l2_normalize(a, 1),
        lambda a, i: a / np.sqrt(np.sum(a * a, 1, keepdims=True)),
    ),
    "mean": (lambda a, i: tf.nn.moments(a, [0])[0], lambda a, i: a.mean(0)),
    "variance": (lambda a, i: tf.nn.moments(a, [0], keep_dims=True)[1], lambda a, i: a.var(0, keepdims=True)),
    "add_n": (lambda a, i: tf.add_n([a, a, a]), lambda a, i: a * 3),
    "negative": (lambda a, i: tf.negative(i), lambda a, i: -i),
    "squared_difference": (lambda a, i: tf.squared_difference(a, 1.0), lambda a, i: (a - 1) ** 2),
    "l2_loss": (lambda a, i: tf.nn.l2_loss(a), lambda a, i: np.sum(a * a) / 2),
    "bias_add": (lambda a, i: tf.nn.bias_add(a, [1.0, 2.0, 3.0]), lambda a, i: a + np.float32([1, 2, 3])),
    "sequence_mask": (
        lambda a, i: tf.sequence_mask(tf.reduce_max(i, 1), 9, tf.float32),
        lambda a, i: (np.arange(9) < i.max(1)[:, None]).astype(np.float32),
    ),
    "broadcast_to": (lambda a, i: tf.broadcast_to(a[:1], [5, 3]), lambda a, i: np.broadcast_to(a[:1], (5, 3))),
    "convert": (lambda a, i: tf.convert_to_tensor([a, a]), lambda a, i: np.stack([a, a])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str) -> None:
    ours, numpys = FUNCTIONS[name]
    a, i = tf.placeholder(tf.float32, [4, 3]), tf.placeholder(tf.int32, [4, 3])
    with tf.Session() as sess:
        results = sess.run(ours(a, i), {a: A, i: I})
    expected = np.asarray(numpys(A, I))
    np.testing.assert_allclose(results, expected, rtol=1e-5, atol=1e-6)
    assert results.dtype == expected.dtype


def test_mistakes() -> None:
    a = tf.placeholder(tf.float32, [4, 3])
    for wrong, message in (
        (lambda: tf.reverse(a, 0), "a list of axes"),
        (lambda: tf.slice(a, [0], [1]), "needs 2 entries"),
        (lambda: tf.add_n(a), "needs a list"),
        (lambda: tf.range(0, tf.shape(tf.placeholder(tf.float32, [None]))[0], 2), "needs delta=1"),
        (lambda: tf.nn.static_bidirectional_rnn(tf.nn.rnn_cell.GRUCell(2), tf.nn.rnn_cell.GRUCell(2), a), "a list"),
    ):
        with pytest.raises(rg.RnnGraphError, match=rf"test_functions\.py:\d+: .*{message}"):
            wrong()


def test_tensors_of_a_graph_are_no_numbers() -> None:
    """Programs compare a keep probability with 1.0, even if it is a placeholder."""
    keep = tf.placeholder(tf.float32, [])
    assert not keep == 1.0  # noqa: SIM201  # the operator == is tested
    assert keep != 1.0
    assert keep in [1.0, keep]
