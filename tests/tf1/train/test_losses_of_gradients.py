"""Losses that depend on gradients of other losses, as in adversarial training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph import tf1 as tf

STEPS = 5


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [(random.standard_normal((3 + step % 2, 5)), random.standard_normal(3 + step % 2)) for step in range(STEPS)]


@pytest.fixture
def net() -> Any:
    tf.reset_default_graph()
    random = np.random.default_rng(1)
    x, y = tf.placeholder(tf.float64, [None, 5]), tf.placeholder(tf.float64, [None])
    kernel = tf.get_variable("kernel", initializer=random.standard_normal((5, 4)))
    last = tf.get_variable("last", initializer=random.standard_normal((4, 1)))

    def loss(inner: Any) -> Any:
        return tf.reduce_mean(tf.square(tf.squeeze(tf.matmul(tf.tanh(inner), last), 1) - y))

    return x, y, [kernel, last], tf.matmul(x, kernel), loss


def trained(net: Any, moved: Any, more: Any) -> list[Any]:
    """Return losses, gradients and final variables.

    Args:
        net: Placeholders, variables, inner layer and loss function of the fixture.
        moved: Tensor that is added to the inner layer in a second loss.
        more: Function of (session, feeds) that returns further feeds.
    """
    x, y, variables, inner, loss = net
    total = loss(inner) + loss(inner + moved)
    gradients = tf.gradients(total, variables)
    clipped, norm = tf.clip_by_global_norm(gradients, 1.0)
    step = tf.train.AdamOptimizer(0.01).apply_gradients(zip(clipped, variables, strict=True))
    results: list[Any] = []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for inputs, labels in batches():
            feed = {x: inputs, y: labels}
            feed |= more(session, feed)
            results += session.run([step, total, norm, moved], feed)[1:]
            results += session.run(gradients, feed | more(session, feed))
        results += session.run(variables)
    return results


def test_a_gradient_within_a_loss_is_constant_like_a_feed(net: Any) -> None:
    _, _, _, inner, loss = net
    (gradient,) = tf.gradients(loss(inner), inner)
    mine = trained(net, tf.stop_gradient(gradient), lambda session, feed: {})
    fed_gradient = tf.placeholder(tf.float64, [None, 4])
    theirs = trained(net, fed_gradient, lambda session, feed: {fed_gradient: session.run(gradient, feed)})
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert np.ptp([np.sum(value) for value in mine[::5]]) > 0
