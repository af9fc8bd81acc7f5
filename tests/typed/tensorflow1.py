"""A program of TensorFlow 1.x, with a schedule, a metric and an optimizer of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import rnngraph as rg
from rnngraph import tf1 as tf

x = tf.placeholder(tf.float32, [None, 4, 2])
cell = tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.BasicLSTMCell(2))
outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
loss = tf.reduce_mean(tf.square(tf.layers.dense(outputs, 1)))
train = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run([train, loss], feed_dict={x: np.ones((2, 4, 2))}))


@dataclass(frozen=True)
class Signs(rg.Optimizer):
    learning_rate: float = 1e-3

    def slots(self) -> Mapping[str, float]:
        return {}

    def numbers(self, update: int) -> Mapping[str, float]:
        return {"rate": self.learning_rate / (1 + update)}

    def update(
        self,
        parameter: rg.Tensor,
        gradient: rg.Tensor,
        slots: Mapping[str, rg.Tensor],
        numbers: Mapping[str, rg.Tensor],
    ) -> tuple[rg.Tensor, Mapping[str, rg.Tensor]]:
        return parameter - numbers["rate"] * rg.sign(gradient), slots


def largest(result: rg.Result, feeds: dict[str, np.ndarray]) -> float:
    return float(result["guess"].max()) + len(feeds)


features = rg.placeholder("features", (None, 3))
guess = rg.dense(features, 2)
program = rg.compile({"guess": guess}, loss=rg.reduce_mean(rg.square(guess)))
trainer = rg.Trainer(program, Signs())
history = trainer.fit({"features": np.ones((4, 3))}, metrics={"largest": largest}, progress=False)
trainer.learning_rate = rg.PiecewiseConstant([10], [0.1, 0.01])
print(history["largest"], trainer.evaluate({"features": np.ones((4, 3))}, metrics={"largest": largest}))
