"""TensorFlow 1.x's ``dynamic_rnn`` in a session, as TensorFlow 2 still offers it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow
import tensorflow.compat.v1 as tf
import weights
from workloads import Call, Row

import peers

warnings.filterwarnings("ignore", message=".*is deprecated")
tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

VERSION = tensorflow.__version__


class ResetAfterCell(tf.nn.rnn_cell.RNNCell):
    """GRU that resets after the state's product, unlike TensorFlow's own: input and state have separate products."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    @property
    def state_size(self) -> int:
        return self.units

    @property
    def output_size(self) -> int:
        return self.units

    def build(self, shape: Any) -> None:
        n = self.units
        shapes = {"kernel": (int(shape[-1]), 3 * n), "recurrent_kernel": (n, 3 * n), "bias": (3 * n,)}
        self.weights_by_name = {
            name: self.add_weight(name, shape) for name, shape in (shapes | {"reset_bias": (n,)}).items()
        }
        self.built = True

    def call(self, x: Any, h: Any) -> tuple[Any, Any]:
        w = self.weights_by_name
        r, u, n = tf.split(tf.nn.bias_add(tf.matmul(x, w["kernel"]), w["bias"]), 3, 1)
        from_r, from_u, from_n = tf.split(tf.matmul(h, w["recurrent_kernel"]), 3, 1)
        r, u = tf.sigmoid(r + from_r), tf.sigmoid(u + from_u)
        h = u * h + (1 - u) * tf.tanh(n + r * tf.nn.bias_add(from_n, w["reset_bias"]))
        return h, h


CELLS: dict[str, Callable[[Row], Any]] = {
    "RNN": lambda row: tf.nn.rnn_cell.BasicRNNCell(row.units),
    "LSTM": lambda row: (
        tf.nn.rnn_cell.LSTMCell(row.units, num_proj=row.projection)
        if row.projection
        else tf.nn.rnn_cell.BasicLSTMCell(row.units)
    ),
    "GRU": lambda row: ResetAfterCell(row.units),
    "GRU before": lambda row: tf.nn.rnn_cell.GRUCell(row.units),
    "peephole": lambda row: tf.nn.rnn_cell.LSTMCell(row.units, use_peepholes=True),
}


def inference(row: Row) -> list[Call]:
    return _calls(row, with_gradients=False)


def training(row: Row) -> list[Call]:
    return _calls(row, with_gradients=True)


def one_step(row: Row) -> list[Call]:
    """Return the call of one step of the cell, without a loop. Each call feeds the state that the last call fetched."""
    if row.cell not in CELLS or row.bidirectional or row.ended:
        return []
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [row.batch, row.inputs])
        cells = [CELLS[row.cell](row) for _ in range(row.layers)]
        widths = tf.nest.flatten([cell.state_size for cell in cells])
        states = [tf.placeholder(tf.float32, [row.batch, width]) for width in widths]
        nested = tf.nest.pack_sequence_as([cell.state_size for cell in cells], states)
        joined, after = x, []
        for number, (cell, state) in enumerate(zip(cells, nested, strict=True)):
            with tf.variable_scope(f"cell_{number}"):
                joined, state = cell(joined, state)
            after += tf.nest.flatten(state)[: len(tf.nest.flatten(cell.state_size))]
        session = _session(graph, row)
    run = session.make_callable([joined, *after], [x, *states])
    data, carried = row.batch_major()[:, 0], [np.zeros((row.batch, width), np.float32) for width in widths]

    def call() -> object:
        output, *carried[:] = run(data, *carried)
        return [output]

    return [call]


def outputs(row: Row, result: Any) -> np.ndarray:
    joined = np.concatenate(result, -1)
    return joined[None] if joined.ndim == 2 else joined


def learnt(row: Row, result: Any) -> tuple[float, list[np.ndarray]]:
    value, *gradients = result
    return float(value), gradients


def _calls(row: Row, with_gradients: bool) -> list[Call]:
    if row.cell not in CELLS:
        return []
    graph, lengths = tf.Graph(), row.lengths()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [row.time, row.batch, row.inputs])
        fed = [x] if lengths is None else [x, tf.placeholder(tf.int32, [row.batch])]
        halves = _over_time(row, x, None if lengths is None else fed[1])
        fetches: Any = halves
        session = _session(graph, row)
        if with_gradients:
            loss = sum(tf.reduce_mean(tf.square(half)) for half in halves) / len(halves)
            variables = [v for v in tf.trainable_variables() if "bias" not in v.name]
            biases = [v for v in tf.trainable_variables() if "bias" in v.name]
            gradients = tf.gradients(loss, variables + biases)
            fetches = [loss, *gradients]
    run = session.make_callable(fetches, fed)
    data = [row.time_major(), *([] if lengths is None else [lengths.astype(np.int32)])]
    if with_gradients:
        return [lambda: run(*data)[: 1 + len(variables)]]
    return [lambda: run(*data)]


def _over_time(row: Row, x: Any, lengths: Any) -> list[Any]:
    """Declare the layers, and return the outputs of the last layer, one for each direction."""
    options = {"sequence_length": lengths, "dtype": tf.float32, "time_major": True}
    if not row.bidirectional:
        cells = [CELLS[row.cell](row) for _ in range(row.layers)]
        stack = tf.nn.rnn_cell.MultiRNNCell(cells) if row.layers > 1 else cells[0]
        return [tf.nn.dynamic_rnn(stack, x, **options)[0]]
    for layer in range(row.layers):
        sides = CELLS[row.cell](row), CELLS[row.cell](row)
        halves, _ = tf.nn.bidirectional_dynamic_rnn(*sides, x, scope=f"layer_{layer}", **options)
        x = tf.concat(halves, -1)
    return list(halves)


def _session(graph: Any, row: Row) -> Any:
    """Return a session in which the variables, in the order of layers and directions, have the workload's weights."""
    variables = tf.trainable_variables()
    config = tf.ConfigProto(intra_op_parallelism_threads=peers.THREADS, inter_op_parallelism_threads=1)
    session = tf.Session(graph=graph, config=config)
    session.run(tf.global_variables_initializer())
    cells = weights.drawn(row)
    each = len(variables) // len(cells)
    for number, variable in enumerate(variables):
        variable.load(_value(row, cells[number // each], variable), session)
    return session


def _value(row: Row, cell: dict[str, np.ndarray], variable: Any) -> np.ndarray:
    """Return the value of a cell's variable. Names and layouts equal rnngraph's, except for ``ResetAfterCell``."""
    name = variable.op.name.rsplit("_cell/", 1)[1]
    if row.cell != "GRU":
        return weights.parameters(row, cell)[name]
    return cell[{"kernel": "W", "recurrent_kernel": "U", "bias": "b", "reset_bias": "c"}[name]]
