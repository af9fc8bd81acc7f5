"""Losses over drawn classes, against NumPy over the same classes."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

CLASSES, DRAWN = 50, 8
DRAW = np.random.default_rng(5)
TABLE = DRAW.normal(size=(CLASSES, 4)).astype(np.float32)
BIAS = DRAW.normal(size=CLASSES).astype(np.float32)
ROWS = DRAW.normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([[0], [1], [2], [7], [30], [49]])


def test_losses() -> None:
    table, bias = tf.Variable(TABLE), tf.Variable(BIAS)
    x, labels = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.int32, [None, 1])
    drawn = tf.nn.log_uniform_candidate_sampler(labels, 1, DRAWN, True, CLASSES)
    losses = [
        tf.nn.nce_loss(table, bias, labels, x, DRAWN, CLASSES, sampled_values=drawn),
        tf.nn.sampled_softmax_loss(table, bias, labels, x, DRAWN, CLASSES, sampled_values=drawn),
    ]
    own = tf.reduce_mean(
        tf.nn.nce_loss(weights=table, biases=bias, labels=labels, inputs=x, num_sampled=DRAWN, num_classes=CLASSES)
    )
    train = tf.train.GradientDescentOptimizer(0.1).minimize(own)
    met = set()
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for _ in range(3):
            (ids, of_labels, of_drawn), (nce, softmax) = sess.run([drawn, losses], {x: ROWS, labels: LABELS})
            assert len({*ids}) == DRAWN
            met.add(tuple(ids))
            share = np.log1p(1 / (ids + 1.0)) / np.log(CLASSES + 1)
            tries = np.log1p(-of_drawn.astype(np.float64)) / np.log1p(-share)  # all classes share the number of draws
            np.testing.assert_allclose(tries, round(tries[0]), rtol=1e-3)
            assert round(tries[0]) >= DRAWN
            true = (ROWS * TABLE[LABELS[:, 0]]).sum(1) + BIAS[LABELS[:, 0]] - np.log(of_labels[:, 0])
            others = ROWS @ TABLE[ids].T + BIAS[ids] - np.log(of_drawn)
            np.testing.assert_allclose(nce, np.logaddexp(0, -true) + np.logaddexp(0, others).sum(1), rtol=1e-4)
            kept = np.where(ids == LABELS, -np.inf, others)
            of_all = np.logaddexp.reduce(np.concatenate([true[:, None], kept], 1), axis=1)
            np.testing.assert_allclose(softmax, of_all - true, rtol=1e-4, atol=1e-5)
        for _ in range(40):
            sess.run(train, {x: ROWS, labels: LABELS})
        moved = np.any(sess.run(table) != TABLE, 1)
    assert len(met) == 3
    assert moved[LABELS].all()


def test_mistakes() -> None:
    x, labels = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.int32, [None, 1])
    with pytest.raises(rg.ArgumentError, match="distinct classes"):
        tf.nn.nce_loss(TABLE, BIAS, labels, x, CLASSES + 1, CLASSES)
    with pytest.raises(rg.ShapeError, match=r"\[batch, num_true\]"):
        tf.nn.nce_loss(TABLE, BIAS, labels[:, 0], x, DRAWN, CLASSES)
