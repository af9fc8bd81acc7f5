"""`contrib.layers.optimize_loss`: each run of the loss takes one step of the optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf
from rnngraph.support.errors import RnnGraphError

DATA, TARGETS = np.random.RandomState(1).randn(6, 3), np.random.RandomState(2).randn(6, 1)


def losses(make: Any, steps: int = 4) -> tuple[list[float], list[float], list[str]]:
    """Return the results of the steps, the loss after each, and the names of variables."""
    with tf.Graph().as_default(), tf.Session() as sess:
        x, y = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 1])
        kernel = tf.get_variable("kernel", initializer=np.ones((3, 1), np.float32))
        loss = tf.reduce_mean(tf.square(tf.matmul(x, kernel) - y))
        count = tf.train.get_or_create_global_step()
        step = make(loss, count)
        feeds, results, after = {x: DATA, y: TARGETS}, [], []
        sess.run(tf.global_variables_initializer())
        for number in range(steps):
            results.append(sess.run([step, loss], feeds)[0])
            after.append(float(sess.run(loss, feeds)))
            assert sess.run(count) == number + 1
        if summaries := tf.summary.merge_all():
            assert sess.run(summaries, feeds)
        return results, after, [item.name for item in tf.global_variables()]


def test_a_run_of_the_loss_takes_a_step() -> None:
    optimize = tf.contrib.layers.optimize_loss
    before, after, names = losses(lambda loss, count: optimize(loss, count, 0.1, "Adam", clip_gradients=0.5))
    assert before[1:] == after[:-1], "it is of before the step"
    assert "OptimizeLoss/learning_rate:0" in names
    assert "OptimizeLoss/kernel/Adam:0" in names

    def written_out(loss: Any, count: Any) -> Any:
        optimizer = tf.train.AdamOptimizer(0.1)
        gradients, variables = zip(*optimizer.compute_gradients(loss), strict=True)
        clipped, _ = tf.clip_by_global_norm(gradients, 0.5)
        return optimizer.apply_gradients(zip(clipped, variables, strict=True), count)

    np.testing.assert_array_equal(after, losses(written_out)[1])


@pytest.mark.parametrize(
    "optimizer",
    ["SGD", tf.train.GradientDescentOptimizer, lambda rate: tf.train.GradientDescentOptimizer(rate)],
    ids=["name", "class", "function"],
)
def test_rates_decay_and_gradients_have_factors(optimizer: Any) -> None:
    def decay(rate: Any, count: Any) -> Any:
        return tf.train.exponential_decay(rate, count, 2, 0.5, staircase=True)

    results = losses(
        lambda loss, count: tf.contrib.layers.optimize_loss(
            loss, count, 0.1, optimizer, gradient_multipliers={"kernel": 0.5}, learning_rate_decay_fn=decay
        )
    )[1]
    expected = losses(lambda loss, count: tf.train.GradientDescentOptimizer(decay(0.05, count)).minimize(loss, count))[
        1
    ]
    np.testing.assert_allclose(results, expected, rtol=1e-6)


def test_mistakes() -> None:
    for make, message in (
        (lambda loss, count: tf.contrib.layers.optimize_loss(loss, count, 0.1, "adam"), "use one of Adagrad, Adam"),
        (lambda loss, count: tf.contrib.layers.optimize_loss(loss, count, 0.1, 3), "a name or a tf.train optimizer"),
        (lambda loss, count: tf.contrib.layers.optimize_loss(loss, count, 0.1, "SGD", 0.3), "gradient_noise_scale"),
        (
            lambda loss, count: tf.contrib.layers.optimize_loss(loss, count, 0.1, "SGD", learning_rate_decay_fn=0.5),
            "decay_fn is called with",
        ),
        (lambda loss, count: tf.contrib.layers.optimize_loss(loss, count, 0.1, lambda: 3), "optimizer is called with"),
    ):
        with pytest.raises(RnnGraphError, match=message):
            losses(make)
