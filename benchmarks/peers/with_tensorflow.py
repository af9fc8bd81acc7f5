"""TensorFlow 1.x's ``dynamic_rnn`` in a session, as TensorFlow 2 still has it."""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow
import tensorflow.compat.v1 as tf
from workloads import Call, Row

import peers

warnings.filterwarnings("ignore", message=".*is deprecated")
tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

VERSION = tensorflow.__version__

CELLS = {
    "RNN": tf.nn.rnn_cell.BasicRNNCell,
    "LSTM": tf.nn.rnn_cell.BasicLSTMCell,
    "GRU": tf.nn.rnn_cell.GRUCell,  # it resets before the product, whatever the row says
    "GRU before": tf.nn.rnn_cell.GRUCell,
    "peephole": lambda units: tf.nn.rnn_cell.LSTMCell(units, use_peepholes=True),
}


def inference(row: Row) -> Call | None:
    return _call(row, with_gradients=False)


def training(row: Row) -> Call | None:
    return _call(row, with_gradients=True)


def _call(row: Row, with_gradients: bool) -> Call | None:
    if row.cell not in CELLS:
        return None
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [row.time, row.batch, row.inputs])
        stack = tf.nn.rnn_cell.MultiRNNCell([CELLS[row.cell](row.units) for _ in range(row.layers)])
        outputs, _ = tf.nn.dynamic_rnn(stack, x, dtype=tf.float32, time_major=True)
        fetches: Any = outputs
        if with_gradients:
            loss = tf.reduce_mean(tf.square(outputs))
            fetches = [loss, *tf.gradients(loss, tf.trainable_variables())]
        initialize = tf.global_variables_initializer()
    config = tf.ConfigProto(intra_op_parallelism_threads=peers.THREADS, inter_op_parallelism_threads=1)
    session = tf.Session(graph=graph, config=config)
    session.run(initialize)
    run, data = session.make_callable(fetches, [x]), row.time_major()
    return lambda: run(data)
