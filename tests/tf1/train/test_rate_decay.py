"""Learning rates at the deciding steps of TensorFlow's schedules."""

from __future__ import annotations

from rnngraph import tf1 as tf


def test_a_decay_rate_of_0_leaves_the_rate_at_step_0() -> None:
    """TensorFlow computes 0 ** 0 as 1, also for a decay rate that is a Tensor."""
    with tf.Graph().as_default():
        step, decay = tf.placeholder(tf.int32, []), tf.placeholder(tf.float32, [])
        rates = [
            tf.train.exponential_decay(0.5, step, 10, 0.0),
            tf.train.exponential_decay(0.5, step, 10, 0.0, staircase=True),
            tf.train.exponential_decay(0.5, step, 10, decay),
        ]
        with tf.Session() as session:
            for number, expected in ((0, [0.5, 0.5, 0.5]), (5, [0, 0.5, 0]), (10, [0, 0, 0])):
                assert session.run(rates, {step: number, decay: 0.0}) == expected
