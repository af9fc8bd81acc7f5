"""Composed functions against NumPy, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

DRAW = np.random.default_rng(3)
A = DRAW.normal(size=(4, 3)) * 3
B = DRAW.normal(size=(4, 3)) + np.where(DRAW.random((4, 3)) < 0.5, 2, -2)
C = DRAW.normal(size=(2, 4, 3))
I = DRAW.integers(-9, 9, (4, 3)).astype(np.int32)  # noqa: E741  # named like R, B and X
SPECIAL = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e20, -1e20, np.inf, -np.inf, np.nan, 0.0, -3.0, 2.0**52 + 1])


FUNCTIONS: dict[str, Any] = {
    "floor": (lambda a, b, c, i: tf.floor(a), lambda a, b, c, i: np.floor(a)),
    "ceil": (lambda a, b, c, i: tf.ceil(a), lambda a, b, c, i: np.ceil(a)),
    "round": (lambda a, b, c, i: tf.round(a), lambda a, b, c, i: np.round(a)),
    "floor of special numbers": (lambda a, b, c, i: tf.floor(SPECIAL), lambda a, b, c, i: np.floor(SPECIAL)),
    "round of special numbers": (lambda a, b, c, i: tf.rint(SPECIAL), lambda a, b, c, i: np.round(SPECIAL)),
    "is_nan": (lambda a, b, c, i: tf.is_nan(SPECIAL), lambda a, b, c, i: np.isnan(SPECIAL)),
    "is_inf": (lambda a, b, c, i: tf.is_inf(SPECIAL), lambda a, b, c, i: np.isinf(SPECIAL)),
    "is_finite": (lambda a, b, c, i: tf.is_finite(SPECIAL), lambda a, b, c, i: np.isfinite(SPECIAL)),
    "floordiv": (lambda a, b, c, i: tf.floordiv(a, b), lambda a, b, c, i: a // b),
    "mod": (lambda a, b, c, i: tf.mod(a, b), lambda a, b, c, i: a % b),
    "ints": (lambda a, b, c, i: tf.floordiv(i, 4) * 100 + i % 4, lambda a, b, c, i: i // 4 * 100 + i % 4),
    "reversed": (lambda a, b, c, i: 100 // (i * 2 + 1), lambda a, b, c, i: 100 // (i * 2 + 1)),
    "div": (lambda a, b, c, i: tf.div(i, 2), lambda a, b, c, i: i // 2),
    "div_no_nan": (
        lambda a, b, c, i: tf.div_no_nan(a, tf.maximum(a, 0.0)),
        lambda a, b, c, i: np.where(a > 0, 1.0, 0.0),
    ),
    "logical_xor": (lambda a, b, c, i: tf.logical_xor(a > 0, b > 0), lambda a, b, c, i: (a > 0) ^ (b > 0)),
    "log_sigmoid": (lambda a, b, c, i: tf.log_sigmoid(a), lambda a, b, c, i: -np.log1p(np.exp(-a))),
    "tan": (lambda a, b, c, i: tf.tan(a), lambda a, b, c, i: np.tan(a)),
    "hyperbolic": (lambda a, b, c, i: tf.sinh(a) + 2 * tf.cosh(a), lambda a, b, c, i: np.sinh(a) + 2 * np.cosh(a)),
    "argmin": (lambda a, b, c, i: tf.argmin(a, 1), lambda a, b, c, i: a.argmin(1)),
    "count_nonzero": (lambda a, b, c, i: tf.count_nonzero(i % 3, 0), lambda a, b, c, i: np.count_nonzero(i % 3, 0)),
    "logsumexp": (
        lambda a, b, c, i: tf.reduce_logsumexp(a * 300.0, 1),
        lambda a, b, c, i: np.log(np.exp(a * 300 - (a * 300).max(1, keepdims=True)).sum(1)) + (a * 300).max(1),
    ),
    "reduce_prod": (lambda a, b, c, i: tf.reduce_prod(c, 1, True), lambda a, b, c, i: c.prod(1, keepdims=True)),
    "norm": (
        lambda a, b, c, i: tf.stack([tf.norm(a), tf.norm(a, 1), tf.norm(a, np.inf)]),
        lambda a, b, c, i: np.array([np.sqrt((a * a).sum()), np.abs(a).sum(), np.abs(a).max()]),
    ),
    "eye": (lambda a, b, c, i: tf.eye(3, 5, dtype=tf.float64), lambda a, b, c, i: np.eye(3, 5)),
    "tensordot": (
        lambda a, b, c, i: tf.tensordot(c, a, [[2], [1]]),
        lambda a, b, c, i: np.tensordot(c, a, [[2], [1]]),
    ),
    "tensordot of a number": (lambda a, b, c, i: tf.tensordot(c, a, 2), lambda a, b, c, i: np.tensordot(c, a, 2)),
    "einsum": (
        lambda a, b, c, i: tf.einsum("btd,kd->bkt", c, a),
        lambda a, b, c, i: np.einsum("btd,kd->bkt", c, a),
    ),
    "einsum of rows": (
        lambda a, b, c, i: tf.einsum("btd,td->b", c, a),
        lambda a, b, c, i: np.einsum("btd,td->b", c, a),
    ),
    "einsum of three": (
        lambda a, b, c, i: tf.einsum("btd,td,te->bet", c, a, b),
        lambda a, b, c, i: np.einsum("btd,td,te->bet", c, a, b),
    ),
    "einsum implicit": (lambda a, b, c, i: tf.einsum("ij,kj", a, b), lambda a, b, c, i: np.einsum("ij,kj", a, b)),
    "einsum of one": (lambda a, b, c, i: tf.einsum("btd->db", c), lambda a, b, c, i: np.einsum("btd->db", c)),
    "gather along an axis": (
        lambda a, b, c, i: tf.gather(c, [[2, 0], [1, 1]], axis=2),
        lambda a, b, c, i: np.take(c, [[2, 0], [1, 1]], 2),
    ),
    "gather_nd": (
        lambda a, b, c, i: tf.gather_nd(c, tf.stack([tf.range(tf.shape(c)[0]), [3, 1]], 1)),
        lambda a, b, c, i: c[[0, 1], [3, 1]],
    ),
    "gather_nd of elements": (lambda a, b, c, i: tf.gather_nd(c, [1, 2, 0]), lambda a, b, c, i: c[1, 2, 0]),
    "one_hot along an axis": (
        lambda a, b, c, i: tf.one_hot(tf.abs(i) % 3, 3, axis=1, dtype=tf.float64),
        lambda a, b, c, i: np.moveaxis(np.eye(3)[np.abs(i) % 3], 2, 1),
    ),
    "batch_normalization": (
        lambda a, b, c, i: tf.nn.batch_normalization(a, [1.0, 0.0, 2.0], [1.0, 4.0, 9.0], b[0], None, 0.0),
        lambda a, b, c, i: (a - [1.0, 0.0, 2.0]) / [1.0, 2.0, 3.0] + b[0],
    ),
    "weighted": (
        lambda a, b, c, i: tf.nn.weighted_cross_entropy_with_logits(tf.cast(b > 0, tf.float64), a, 3.0),
        lambda a, b, c, i: (b > 0) * -np.log(1 / (1 + np.exp(-a))) * 3 + (b <= 0) * -np.log(1 - 1 / (1 + np.exp(-a))),
    ),
}
NO_GRADIENT = ("special", "is_", "ints", "reversed", "div", "xor", "argmin", "count", "eye", "one_hot", "floor", "mod")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name: str) -> None:
    """Check in float64 with symbolic sizes. The directional derivative of the sum equals a finite difference."""
    ours, numpys = FUNCTIONS[name]
    x = [tf.placeholder(tf.float64, [None, *array.shape[1:]]) for array in (A, B, C)]
    i = tf.placeholder(tf.int32, [None, 3])
    built = ours(*x, i)
    feed = {**dict(zip(x, (A, B, C), strict=True)), i: I}
    with tf.Session() as session:
        results, expected = session.run(built, feed), numpys(A, B, C, I)
        np.testing.assert_allclose(results, expected, rtol=1e-9, atol=1e-12)
        assert results.dtype == np.asarray(expected).dtype
        if any(part in name for part in NO_GRADIENT):
            return
        total = tf.reduce_sum(built)
        reached = [(place, slope) for place, slope in zip(x, tf.gradients(total, x), strict=True) if slope is not None]
        slopes = session.run([slope for _, slope in reached], feed)
        for (place, _), slope in zip(reached, slopes, strict=True):
            direction = DRAW.normal(size=feed[place].shape)
            high, low = (session.run(total, {**feed, place: feed[place] + sign * 1e-6 * direction}) for sign in (1, -1))
            np.testing.assert_allclose((slope * direction).sum(), (high - low) / 2e-6, rtol=1e-5, atol=1e-5)


def test_losses_of_all_kinds() -> None:
    x, p = A, 1 / (1 + np.exp(-A))
    y = (B > 0).astype(float)
    unit = A / np.linalg.norm(A, axis=1, keepdims=True)
    for loss, expected in (
        (tf.losses.log_loss(y, p), -(y * np.log(p + 1e-7) + (1 - y) * np.log(1 - p + 1e-7)).mean()),
        (tf.losses.hinge_loss(y, x), np.maximum(1 - (2 * y - 1) * x, 0).mean()),
        (tf.losses.cosine_distance(unit, unit[::-1].copy(), 1), (1 - (unit * unit[::-1]).sum(1)).mean()),
        (tf.losses.compute_weighted_loss(tf.constant(x), 2.0), 2 * x.mean()),
    ):
        with tf.Session() as session:
            assert session.run(loss) == pytest.approx(expected, rel=1e-9)
    assert len(tf.losses.get_losses()) == 4


def test_dropout_that_is_fed_whether_to_train() -> None:
    x, training = tf.placeholder(tf.float32, [None, 50]), tf.placeholder(tf.bool, [])
    dropped, never = tf.layers.dropout(x, 0.4, training=training), tf.layers.dropout(x, 0.4)
    with tf.Session() as session:
        with pytest.warns(UserWarning, match="drops units"):
            results = session.run([dropped, never], {x: np.ones((40, 50)), training: True})
        kept = session.run(dropped, {x: np.ones((40, 50)), training: False})
    assert 0.5 < (results[0] > 0).mean() < 0.7
    np.testing.assert_allclose(np.unique(results[0]), [0, 1 / 0.6], rtol=1e-6)
    assert (results[1] == 1).all()
    assert (kept == 1).all()


def test_old_names_and_namespaces() -> None:
    assert tf.mod is tf.floormod
    assert tf.pack is tf.stack
    assert tf.math.log is tf.log
    assert tf.linalg.norm is tf.norm
    assert tf.contrib.framework.get_or_create_global_step is tf.train.get_or_create_global_step
    with pytest.raises(AttributeError, match=r"tf\.math\.lgamma is not offered"):
        _ = tf.math.lgamma


def test_refusals() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    for call in (
        lambda: tf.einsum("ij,jk", x),
        lambda: tf.einsum("ij->ik", x),
        lambda: tf.tensordot(x, tf.ones([2, 3]), 1),
        lambda: tf.tensordot(x, x, [[0, 0], [1, 1]]),
        lambda: tf.gather_nd(x, [[0.5]]),
        lambda: tf.gather_nd(x, [[1, 2, 3]]),
        lambda: tf.norm(x, -1, axis=1),
        lambda: tf.norm(x, "fro"),
        lambda: tf.norm(x, 2, axis=[0, 1]),
        lambda: tf.norm(x, 3, axis=[0, 1]),
        lambda: tf.norm(x, axis=[0]),
        lambda: tf.eye(-1),
        lambda: tf.linspace(0.0, 1.0, 0),
        lambda: tf.losses.cosine_distance(x, x),
    ):
        with pytest.raises(rg.RnnGraphError, match=r"test_more_functions\.py:\d+"):
            call()


def test_norms_orders_and_logarithms_are_tensorflows() -> None:
    """Compare with values of TensorFlow 1.15."""
    inf = np.inf
    x, far = tf.constant([[1.0, -2, 3], [4, 5, -6]]), tf.constant([[-inf, -3.4e38, -inf, 1.0]])
    whole = tf.constant([[5, -(2**31), -(2**31)]])
    logits = tf.constant([[inf, 0.0, 0], [-inf, -inf, 0], [np.nan, 0, 0], [1, 2, 3]])
    values = {
        "orders": [tf.norm(x, 3), tf.norm(x, 2), tf.norm(x, 1, axis=[0, 1]), tf.norm(x, inf, axis=[0, 1])],
        "turned": [tf.norm(x, inf, axis=[1, 0]), tf.norm(x, "fro", axis=[0, 1], keepdims=True)[0, 0]],
        "roots": tf.norm(x, 0.5, axis=1),
        "product": tf.reduce_prod(x, [0, 1], True),
        "far": tf.nn.top_k(far, 4),
        "whole": tf.nn.top_k(whole, 3),
        "least": tf.argmin(whole, 1),
        "logarithms": tf.reduce_logsumexp(tf.constant([[-inf, -inf], [inf, 0]]), 1),
        "in top": tf.nn.in_top_k(logits, tf.constant([0, 2, 1, 2]), 2),
    }
    with tf.Session() as session:
        results = session.run(values)
    np.testing.assert_allclose(results["orders"], [7.611663, 9.539392, 9, 15], rtol=1e-6)
    np.testing.assert_allclose(results["turned"], [9, 9.539392], rtol=1e-6)
    np.testing.assert_allclose(results["roots"], [17.19151, 44.69668], rtol=1e-6)
    assert results["product"].tolist() == [[720]]
    assert results["far"].indices.tolist() == [[3, 1, 0, 2]]
    assert results["whole"].indices.tolist() == [[0, 1, 2]]
    assert results["least"].tolist() == [1]
    assert results["logarithms"].tolist() == [-inf, inf]
    assert results["in top"].tolist() == [False, False, False, True]


def test_slices_beyond_an_open_axis_are_clamped() -> None:
    x = tf.placeholder(tf.float64, [None, None, 3])
    nodes = [x[:, :1000], x[:, -1000:3], x[..., ::-1][:, None, :50, 0], tf.strided_slice(x, [0, 0], [2, 100], [1, 2])]
    with tf.Session() as session:
        for steps in (1, 4, 60, 1200):
            data = np.random.default_rng(0).normal(size=(2, steps, 3))
            expected = [data[:, :1000], data[:, -1000:3], data[:, None, :50, 2], data[:2, :100:2]]
            for results, array in zip(session.run(nodes, {x: data}), expected, strict=True):
                np.testing.assert_array_equal(results, array)
        with pytest.raises(ValueError, match="does not fit"):  # as in TensorFlow, whose tf.slice does not clamp
            session.run(tf.slice(x, [0, 0, 0], [2, 1001, 3]), {x: np.zeros((2, 1000, 3))})
    with pytest.raises(rg.ShapeError, match="read at most"):
        tf.slice(tf.zeros([2, 4]), [0, 2], [2, 3])


def test_gather_nd_rejects_indices_without_an_entry() -> None:
    x, i = tf.placeholder(tf.float64, [None, 4]), tf.placeholder(tf.int32, [None, 2])
    node, table = tf.gather_nd(x, i), np.arange(8.0).reshape(2, 4)
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run(node, {x: table, i: [[1, 3], [0, 2]]}), [7, 2])
        for wrong in ([[0, 4]], [[2, 0]], [[-1, 0]]):
            with pytest.raises(ValueError, match="feed Placeholder"):
                session.run(node, {x: table, i: wrong})


def test_values_at_indices_of_a_dense_array() -> None:
    places = tf.placeholder(tf.int32, [None, 2])
    dense = tf.sparse_to_dense(places, [3, 4], [1.5, 2.5], -1.0)
    line, one = tf.sparse_to_dense([3, 1], [5], 7), tf.sparse_to_dense(2, tf.stack([4]), 1)
    with tf.Session() as sess:
        results = sess.run([dense, line, one], {places: [[0, 3], [2, 0]]})
    expected = np.full((3, 4), -1.0, np.float32)
    expected[0, 3], expected[2, 0] = 1.5, 2.5
    for array, target in zip(results, (expected, [0, 7, 0, 7, 0], [0, 0, 1, 0]), strict=True):
        np.testing.assert_array_equal(array, target)


@pytest.mark.parametrize(
    ("reduction", "wanted"),
    [
        ("weighted_mean", [0, 1.5, 1.125]),
        ("weighted_sum_by_nonzero_weights", [0, 0.75, 1.125]),
        ("weighted_sum", [0, 3, 4.5]),
        ("weighted_sum_over_batch_size", [0, 0.75, 1.125]),
    ],
)
def test_losses_with_weights_of_zero(reduction: str, wanted: list[float]) -> None:
    """Compare with values of TensorFlow 1.15.5. Labels are ints and float64, predictions float32."""
    predictions, weights = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[0.0], [0.0]])
    losses = [
        tf.losses.mean_squared_error(np.eye(2, dtype=int), predictions, weights, reduction=reduction),
        tf.losses.absolute_difference(np.ones((2, 2)), predictions, weights + 0.5, reduction=reduction),
        tf.losses.huber_loss(np.ones((2, 2)), predictions, reduction=reduction),
    ]
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(losses), wanted)
