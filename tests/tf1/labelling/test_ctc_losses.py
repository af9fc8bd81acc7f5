"""CTC with sparse labels, against `rg.ctc_loss`, finite differences, and definitions in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

CLASSES = 4
ROWS = [[1, 1, 2], [0], [2, 1, 0, 1], []]
LENGTHS = np.array([7, 2, 5, 6])
LOGITS = np.random.default_rng(5).normal(size=(7, 4, CLASSES))
SPARSE = tf.SparseTensorValue(
    [(row, column) for row, labels in enumerate(ROWS) for column in range(len(labels))],
    [label for row in ROWS for label in row],
    (4, 4),
)


def distance(one: list[int], other: list[int]) -> int:
    """Return the edit distance, by its definition."""
    if not one or not other:
        return len(one) + len(other)
    ends = distance(one[:-1], other[:-1]) + (one[-1] != other[-1])
    return min(ends, distance(one[:-1], other) + 1, distance(one, other[:-1]) + 1)


def test_losses_decoded_classes_and_distances() -> None:
    x, n = tf.placeholder(tf.float64, [None, None, CLASSES]), tf.placeholder(tf.int32, [None])
    labels = tf.sparse_placeholder(tf.int32, name="labels")
    losses = tf.nn.ctc_loss(labels, x, n)
    (decoded,), score = tf.nn.ctc_greedy_decoder(x, n)
    distances = tf.edit_distance(tf.cast(decoded, tf.int32), labels, normalize=False)
    fetches = [
        losses,
        tf.gradients(tf.reduce_sum(losses), [x])[0],
        decoded,
        score,
        distances,
        tf.sparse_tensor_to_dense(decoded, default_value=-1),
        tf.sparse.to_dense(labels, -1),
        labels,
        decoded.values,
    ]
    feed = {x: LOGITS, n: LENGTHS, labels: SPARSE}
    with tf.Session() as session:
        results, gradient, sparse, scores, distances, dense, dense_labels, fed, values = session.run(fetches, feed)
        np.testing.assert_array_equal(session.run(fetches, {**feed, labels: tuple(SPARSE)})[0], results)
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels is not fed"):
            session.run(fetches, {x: LOGITS, n: LENGTHS})
        with pytest.raises(tf.errors.InvalidArgumentError, match="outside of its dense_shape"):
            session.run(fetches, {**feed, labels: ([(0, 9)], [1], (4, 4))})
        with pytest.raises(tf.errors.InvalidArgumentError, match="as many values as indices"):
            session.run(fetches, {**feed, labels: ([(0, 0)], [1, 2], (4, 4))})
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"dense_shape .* negative, but is -1 by 4"):
            session.run(fetches, {**feed, labels: ([], [], (-1, 4))})
    with pytest.raises(TypeError, match=r"must be a tf\.SparseTensor"):
        tf.sparse_tensor_dense_matmul(decoded, LOGITS[0])
    padded = np.array([[*row, *[0] * (4 - len(row))] for row in ROWS])
    expected, slopes = by_our_own(padded)
    np.testing.assert_allclose(results.sum(), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, slopes.transpose(1, 0, 2), atol=1e-12)
    np.testing.assert_array_equal(dense_labels, np.where(np.arange(4) < [[len(row)] for row in ROWS], padded, -1))
    assert len(fed.values) == len(SPARSE.values)
    for row, length in enumerate(LENGTHS):
        best = LOGITS[:length, row].argmax(1)
        kept = [int(k) for step, k in enumerate(best) if k != CLASSES - 1 and (not step or k != best[step - 1])]
        assert [int(k) for k in dense[row] if k >= 0] == kept
        assert [int(k) for place, k in zip(sparse.indices, values, strict=True) if place[0] == row] == kept
        assert distances[row] == distance(kept, ROWS[row])
        np.testing.assert_allclose(scores[row], -LOGITS[:length, row].max(1).sum())
    assert tuple(sparse.dense_shape) == dense.shape


def by_our_own(padded: np.ndarray) -> Any:
    """Return the sum of the losses of ``rg.ctc_loss``, and its gradients."""
    logits = rg.placeholder("logits", (None, None, CLASSES), dtype="float64")
    labels, counts = rg.placeholder("labels", (None, 4), dtype="int64"), rg.placeholder("counts", (None,), "int64")
    steps = rg.placeholder("steps", (None,), dtype="int64")
    losses = rg.ctc_loss(labels, logits, counts, steps, blank_index=CLASSES - 1, reduction="none")
    program = rg.compile({"losses": losses}, loss=rg.reduce_sum(losses))
    feeds = {
        "logits": LOGITS.transpose(1, 0, 2),
        "labels": padded,
        "counts": np.array([len(row) for row in ROWS]),
        "steps": LENGTHS,
    }
    total, slopes = program.training.gradients(feeds, wrt=["logits"])
    return total, slopes["logits"]


def test_labels_that_do_not_fit() -> None:
    x, n = tf.placeholder(tf.float32, [None, None, CLASSES]), tf.placeholder(tf.int32, [None])
    labels = tf.SparseTensor([(0, 0), (0, 1), (1, 0)], np.array([1, 1, 2]), (2, 2))
    losses = tf.nn.ctc_loss(labels, x, n, time_major=False)
    ignored = tf.nn.ctc_loss(labels, x, n, time_major=False, ignore_longer_outputs_than_inputs=True)
    with tf.Session() as session:
        # two equal labels need three steps
        results = session.run([losses, ignored], {x: np.zeros((2, 2, CLASSES)), n: [2, 2]})
    np.testing.assert_array_equal(np.isfinite(results[0]), [False, True])
    np.testing.assert_allclose(results[1], [0, np.log(CLASSES**2 / 3)], rtol=1e-6)


def test_mistakes_name_the_remedy() -> None:
    x, n = tf.placeholder(tf.float32, [None, None, CLASSES]), tf.placeholder(tf.int32, [None])
    with pytest.raises(rg.DtypeError, match=r"tf\.sparse_placeholder"):
        tf.nn.ctc_loss(tf.placeholder(tf.int32, [None, None]), x, n)
    with pytest.raises(rg.DtypeError, match=r"of ints"):
        tf.nn.ctc_loss(tf.sparse_placeholder(tf.float32), x, n)
    with pytest.raises(rg.NotOfferedError, match=r"fetch it, and feed it"):
        tf.nn.ctc_loss(tf.nn.ctc_greedy_decoder(x, n)[0][0], x, n)
    with pytest.raises(rg.ArgumentError, match="before feeding"):
        tf.nn.ctc_loss(tf.sparse_placeholder(tf.int32), x, n, preprocess_collapse_repeated=True)
    with pytest.raises(rg.NotOfferedError, match="placeholders or arrays"):
        tf.SparseTensor(tf.cast(x[0], tf.int64), [1], [1, 1])
