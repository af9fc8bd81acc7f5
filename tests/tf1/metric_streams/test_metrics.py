"""Measures over many runs: values, updates, and their variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf
from rnngraph.support.errors import RnnGraphError, ShapeError


@pytest.fixture(autouse=True)
def _anew() -> None:
    tf.reset_default_graph()


def _two(rows: int = 9) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.RandomState(rows)
    return draw.randint(0, 2, rows), draw.rand(rows).astype(np.float32)


def test_means_accumulate_over_runs_and_are_reset() -> None:
    x, weights = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.float32, [None])
    value, update = tf.metrics.mean(x, weights)
    a, b = np.arange(4.0), np.arange(1.0, 5.0)
    with tf.Session() as sess:
        sess.run(tf.local_variables_initializer())
        assert sess.run(value) == 0.0
        first = sess.run(update, {x: a, weights: b})
        assert first == sess.run(value) == np.float32(np.average(a, weights=b))
        second = sess.run(update, {x: a + 10, weights: b})
        np.testing.assert_allclose(second, np.average([*a, *(a + 10)], weights=[*b, *b]), rtol=1e-6)
        before, after = sess.run([value, update], {x: [0.0], weights: [1.0]})
        assert before == second, "beside an update the value is of before it"
        assert after < second
        sess.run(tf.local_variables_initializer())
        assert sess.run(value) == 0.0


def test_local_variables_are_neither_global_nor_saved(tmp_path: Path) -> None:
    kept = tf.get_variable("kept", [2])
    value, update = tf.metrics.accuracy([1, 2], [1, 3], name="right")
    own = tf.get_local_variable("own", [3], initializer=tf.ones_initializer())
    also = tf.Variable(1.0, trainable=False, collections=[tf.GraphKeys.LOCAL_VARIABLES], name="also")
    assert [item.name for item in tf.global_variables()] == ["kept:0"]
    names = ["right/total:0", "right/count:0", "own:0", "also:0"]
    assert [item.name for item in tf.local_variables()] == names
    assert [item.name for item in tf.get_collection(tf.GraphKeys.METRIC_VARIABLES)] == names[:2]
    assert [item.name for item in tf.trainable_variables()] == ["kept:0"]
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        assert len(sess.run(tf.report_uninitialized_variables())) == 4
        with pytest.raises(RnnGraphError, match=r"right/total.*local_variables_initializer"):
            sess.run(update)
        sess.run(tf.local_variables_initializer())
        assert (sess.run(update), sess.run(value), sess.run(also)) == (0.5, 0.5, 1.0)
        np.testing.assert_array_equal(sess.run(own), np.ones(3, np.float32))
        path = tf.train.Saver().save(sess, str(tmp_path / "model"))
    assert [name for name, _ in tf.train.list_variables(path)] == ["kept"]
    assert kept.name == "kept:0"


def test_an_update_runs_with_training_summaries_and_groups() -> None:
    x, y = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.int32, [None])
    logits = tf.layers.dense(x, 2)
    loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    right = tf.metrics.accuracy(labels=y, predictions=tf.argmax(logits, axis=1))[1]
    value, update = tf.metrics.mean(loss, updates_collections="updates")
    summary = tf.summary.scalar("loss", update)
    both = tf.group(train, tf.get_collection("updates"))
    feeds = {x: np.random.RandomState(0).randn(5, 3), y: [0, 1, 1, 0, 1]}
    with tf.Session() as sess:
        sess.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        _, first, share = sess.run([train, loss, right], feeds)
        assert share * 5 == round(share * 5)
        sess.run(summary, feeds)
        second = sess.run(value)
        assert second < first, "the summary ran the update, after the training"
        sess.run(both, feeds)
        third = sess.run(value)
        assert third == second, "beside a training it is of before it"
        with tf.control_dependencies([update]):
            dependent = tf.reduce_sum(x)
        sess.run(dependent, feeds)
        assert sess.run(value) < third


def test_counts_of_two_classes() -> None:
    labels, scores = _two(40)
    results = (scores > 0.5).astype(int)
    names = ("true_positives", "false_positives", "true_negatives", "false_negatives", "precision", "recall")
    measures = [getattr(tf.metrics, name)(tf.constant(labels), tf.constant(results)) for name in names]
    with tf.Session() as sess:
        sess.run(tf.local_variables_initializer())
        tp, fp, tn, fn, precision, recall = sess.run([update for _, update in measures])
    hits = np.array([(labels & results).sum(), (~labels & 1 & results).sum(), ((labels | results) == 0).sum()])
    assert [tp, fp, tn] == list(hits)
    assert tp + fp + tn + fn == 40
    np.testing.assert_allclose([precision, recall], [tp / (tp + fp), tp / (tp + fn)], rtol=1e-6)


@pytest.mark.parametrize("method", ["trapezoidal", "minoring", "majoring"])
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(method: str) -> None:
    labels, scores = _two(60)
    measure = tf.metrics.auc(tf.constant(labels), tf.constant(scores), num_thresholds=2000, summation_method=method)
    with tf.Session() as sess:
        sess.run(tf.local_variables_initializer())
        area = sess.run(measure[1])
    pairs = np.subtract.outer(scores[labels == 1], scores[labels == 0])
    assert abs(area - (pairs > 0).mean()) < 0.02


def test_a_metric_without_updates_is_0_and_not_nan() -> None:
    x = tf.placeholder(tf.float32, [None])
    measures: list[Any] = [tf.metrics.mean(x), tf.metrics.precision(x, x), tf.metrics.mean_iou(x > 0, x > 1, 2)]
    with tf.Session() as sess:
        sess.run(tf.local_variables_initializer())
        assert [float(sess.run(value)) for value, _ in measures] == [0.0, 0.0, 0.0]


def test_errors_name_the_accepted_shapes() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    with pytest.raises(RnnGraphError, match=r"in_top_k.*docs/tf1\.md"):
        tf.metrics.recall_at_k  # noqa: B018  # reading the name raises
    with pytest.raises(ShapeError, match="fixed shape"):
        tf.metrics.mean_tensor(x)
    with pytest.raises(ShapeError, match="rank"):
        tf.metrics.mean(x[:, 0], x[:, None, :])
    with pytest.raises(RnnGraphError, match="ROC"):
        tf.metrics.auc(x, x, curve="AB")
