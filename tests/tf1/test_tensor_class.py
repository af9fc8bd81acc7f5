"""``TfTensor``: importing ``rnngraph.tf1`` does not change ``rg.Tensor``, and programs may mix both classes."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.declare.nest import flatten

SNAPSHOT = """
import importlib, pathlib, sys
import rnngraph

def every_class():
    pending, seen = [object], set()
    while pending:
        item = pending.pop()
        if item not in seen:
            seen.add(item)
            pending += type.__subclasses__(item)
    return seen

root = pathlib.Path(rnngraph.__file__).parent
names = sorted(".".join(("rnngraph", *path.relative_to(root).with_suffix("").parts)) for path in root.rglob("*.py"))
names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
if sys.platform != "win32":
    names = [name for name in names if not name.startswith("rnngraph.support.system.windows")]
for name in names:
    if not name.startswith("rnngraph.tf1"):
        try:
            importlib.import_module(name)
        except ImportError:  # of packages that are not there
            pass
assert not any(name.startswith("rnngraph.tf1") for name in sys.modules)
before = {item: dict(vars(item)) for item in every_class()}
import rnngraph.tf1
for name in names:
    if name.startswith("rnngraph.tf1"):
        importlib.import_module(name)
changed = [
    f"{item} {name}"
    for item, attributes in before.items()
    for name in {*attributes, *vars(item)}
    if name not in attributes or vars(item).get(name) is not attributes[name]
]
print(len(before), changed)
"""

PLAIN_PROGRAM = """
import sys
if sys.argv[1:]:
    import rnngraph.tf1 as tf
    tf.placeholder(tf.float32, [None, 2]) + 1  # in the same process
import numpy as np
import rnngraph as rg

def told(function):
    try:
        print(function())
    except Exception as error:
        print(type(error).__name__, error)

x = rg.placeholder("x", [None, "steps", 2])
cell = rg.MultiRNNCell([rg.LSTMCell(3), rg.GRUCell(3)])
outputs, state = rg.dynamic_rnn(cell, x)
y = rg.dense(outputs, 1)
for item in (x, outputs, state, y, x.shape, type(x.shape), x.shape[0] is None, x.dtype, type(x.dtype), type(y + 1)):
    print(item)
for function in (
    lambda: x == 1, lambda: x == x, lambda: x.eval(), lambda: x.op, lambda: x.get_shape(), lambda: x.graph,
    lambda: x & x, lambda: ~x, lambda: x + np.zeros(2), lambda: x ** 2, lambda: x[:, : x.shape[1]], lambda: x.device,
    lambda: cell(x[:, 0], state), lambda: cell.variables, lambda: cell.zero_state(2), lambda: cell(), lambda: bool(x),
    lambda: cell.zero_state(x[0, 0, 0]), lambda: np.float64(2) * x, lambda: np.exp(x), lambda: rg.parameter("p", (2,)),
    lambda: hash(x) == object.__hash__(x), lambda: sorted(name for name in dir(x) if name[0] != "_"),
    lambda: sorted(name for name in dir(cell) if name[0] != "_"),
):
    told(function)
program = rg.compile({"y": y}, loss=rg.reduce_mean(y * y))
fed = np.random.default_rng(1).normal(size=(2, 4, 2)).astype("float32")
print(program.inference(x=fed)["y"].tobytes().hex())
trainer = rg.Trainer(program, rg.Adam(1e-2))
print([float(trainer.step(x=fed)).hex() for _ in range(3)])
print(program.inference.show("graph"), program.summary())
"""


def printed(program: str, *arguments: str) -> str:
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_an_import_changes_no_attribute_of_a_class_outside() -> None:
    count, changed = printed(SNAPSHOT).split(" ", 1)
    assert int(count) > 2000
    assert changed.strip() == "[]"


def test_a_program_of_rg_computes_and_prints_the_same_after_the_import() -> None:
    plain = printed(PLAIN_PROGRAM)
    assert plain.count("NotOfferedError") > 3
    assert printed(PLAIN_PROGRAM, "tf1") == plain


# Results of functions of tf ------------------------------------------------------------------------------


def is_tensorflow(nest: Any) -> bool:
    results = [item for item in flatten(nest) if isinstance(item, rg.Tensor)]
    return bool(results) and all(isinstance(item, tf.Tensor) for item in results)


def is_plain(nest: Any) -> bool:
    results = [item for item in flatten(nest) if isinstance(item, rg.Tensor)]
    return bool(results) and not any(isinstance(item, tf.Tensor) for item in results)


def test_functions_without_a_tensor_argument() -> None:
    for value in (
        tf.constant(1.0),
        tf.zeros([2]),
        tf.ones([2, 3]),
        tf.fill([2], 3.0),
        tf.range(4),
        tf.random_normal([2, 3]),
        tf.random_uniform([3]),
        tf.truncated_normal([3]),
        tf.get_variable("v", [2]),
        tf.Variable(1.0),
        tf.placeholder(tf.int32, [None]),
        tf.placeholder_with_default(1.0, ()),
        tf.eye(3),
        tf.linspace(0.0, 1.0, 3),
        tf.convert_to_tensor(np.ones(3)),
        tf.stack([1.0, 2.0]),
        tf.concat([[1.0], [2.0]], 0),
        tf.add(1.0, 2.0),
        tf.one_hot([0, 1], 3),
        tf.sequence_mask([1, 2], 3),
        tf.glorot_uniform_initializer()([2, 3]),
        tf.square(2.0),
        tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(3)]).zero_state(2, tf.float32),
        tf.reduce_sum([1.0, 2.0]),
        tf.cond(tf.constant(True), lambda: 1.0, lambda: 2.0),
        tf.train.exponential_decay(0.1, 1, 2, 0.9),
        tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s * 2.0), (0, 1.0)),
        tf.identity(3.0),
    ):
        assert is_tensorflow(value), value


def test_functions_of_plain_tensors() -> None:
    x = rg.placeholder("x", (3, 4, 2))
    for value in (
        tf.reduce_mean(x),
        tf.tanh(x),
        tf.reshape(x, [-1, 2]),
        tf.layers.dense(x, 3),
        tf.nn.softmax(x),
        tf.shape(x),
        tf.concat([x, x], 0),
        tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(3), x, dtype=tf.float32),
        tf.unstack(x),
        tf.map_fn(lambda item: item + 1, x),
        tf.losses.mean_squared_error(x, x),
        tf.split(x, 2, 1),
        tf.nn.top_k(x),
        tf.layers.batch_normalization(x),
        tf.contrib.layers.fully_connected(x, 2),
        tf.metrics.mean(x)[0],
    ):
        assert is_tensorflow(value), value
    assert is_plain(x)
    assert x.shape == (3, 4, 2)
    assert is_plain(x + 1)


def test_constants_convert_the_other_operand_like_placeholders() -> None:
    assert (tf.constant(1.0) + np.ones(3)).dtype == tf.float32
    assert (np.ones(3) * tf.constant([1.0, 2.0, 3.0])).dtype == tf.float32


def test_a_tensor_is_no_number() -> None:
    keep = tf.constant(0.5)
    assert keep != 1.0
    assert keep in [0.5, keep]


# Programs that mix both ---------------------------------------------------------------------------------


def test_arithmetic_of_both() -> None:
    plain, own = rg.placeholder("x", (None, 3)), tf.placeholder(tf.float32, [None, 3])
    for value in (plain + own, own - plain, plain * own, plain / own, plain < own, plain @ tf.ones([3, 2]), plain**own):
        assert is_tensorflow(value)
        assert value.get_shape().ndims == 2
    for value in (rg.maximum(plain, own), rg.concat([plain, own]), rg.where(own > 0, plain, 0.0), rg.softmax(own)):
        assert is_tensorflow(value)
    with tf.Session() as session:
        fed = {plain: np.ones((2, 3)), own: np.full((2, 3), 2)}
        assert session.run(plain + own, fed).tolist() == [[3.0] * 3] * 2
        assert (rg.maximum(plain, own)).eval(fed).tolist() == [[2.0] * 3] * 2


class Decaying(rg.Cell):
    """Cell of rg whose step uses TensorFlow's functions and ``tf.shape``."""

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        assert isinstance(x, tf.Tensor)
        width = x.get_shape()[-1].value
        h = tf.tanh(tf.matmul(x, p.kernel("kernel", (width, 3)))) + 0.5 * state["h"]
        assert isinstance(h, tf.Tensor)
        return h, {"h": h}


@pytest.mark.parametrize("declare", [rg.dynamic_rnn, tf.nn.dynamic_rnn])
def test_a_cell_of_rg_in_a_program(declare: Any) -> None:
    x, y = tf.placeholder(tf.float32, [None, 4, 2]), tf.placeholder(tf.float32, [None, 3])
    outputs, state = declare(Decaying(), x)
    assert is_tensorflow([outputs, state])
    assert outputs.get_shape().as_list() == [None, 4, 3]
    loss = tf.reduce_mean(tf.square(outputs[:, -1] - y))
    if declare is rg.dynamic_rnn:
        tf.get_default_graph().own(outputs)
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        fed = {x: np.ones((2, 4, 2)), y: np.zeros((2, 3))}
        first = session.run(loss, fed)
        for _ in range(5):
            session.run(train, fed)
        assert session.run(loss, fed) < first


@pytest.mark.parametrize(
    "cell",
    [rg.LSTMCell(3), rg.shared(rg.GRUCell(3)), rg.MultiRNNCell([rg.GRUCell(3), rg.shared(rg.LSTMCell(3))])],
    ids=str,
)
def test_cells_of_rg_step_by_step(cell: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 4, 2])
    begin = state = cell.zero_state(tf.shape(x)[0], tf.float32)
    assert is_tensorflow(begin)
    outputs = []
    for step in range(4):
        output, state = cell(x[:, step], state)
        outputs.append(output)
    assert is_tensorflow([outputs, state])
    fed = {x: np.random.default_rng(2).normal(size=(2, 4, 2))}
    count = len(tf.trainable_variables())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        zeros, steps = session.run([begin, outputs], fed)
        assert [item.shape for item in flatten(zeros)] == [(2, 3)] * len(flatten(zeros))
        whole, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
        assert np.allclose(np.stack(steps, 1), session.run(whole, fed), atol=1e-6)
    assert len(tf.trainable_variables()) == count


def test_cells_of_rg_are_not_called_with_plain_tensors() -> None:
    x = rg.placeholder("x", (None, 2))
    cell = rg.GRUCell(3)
    with pytest.raises(rg.CallError, match=r"GRUCell can't be called; write outputs, state = rg\.dynamic_rnn"):
        cell(x, cell.zero_state(2))


def test_a_cell_of_a_program_in_a_driver_of_rg() -> None:
    class Summing(tf.nn.rnn_cell.RNNCell):
        @property
        def state_size(self) -> Any:
            return (3, tf.TensorShape([3]))

        @property
        def output_size(self) -> int:
            return 3

        def call(self, inputs: Any, state: Any) -> Any:
            assert is_tensorflow([inputs, state])
            assert inputs.get_shape().as_list()[-1] == 3
            return state[0] + inputs, (state[0] + inputs, state[1] * 2.0)

    x = rg.placeholder("x", (None, 4, 3))
    outputs, state = rg.dynamic_rnn(Summing(), x)
    assert is_tensorflow([outputs, state])
    assert is_plain(x)
    array = np.ones((1, 4, 3), "float32")
    assert rg.compile(outputs).inference(x=array)[0, :, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_nests_of_states_of_both() -> None:
    x = rg.placeholder("x", (2, 4, 3))
    cell = rg.MultiRNNCell([rg.LSTMCell(3), rg.GRUCell(3)])
    begin = (rg.LSTMStateTuple(tf.zeros([2, 3]), rg.constant(np.zeros((2, 3), "float32"))), tf.ones([2, 3]))
    outputs, state = rg.dynamic_rnn(cell, x, initial_state=begin)
    assert is_tensorflow([outputs, state])
    assert isinstance(state[0], rg.LSTMStateTuple)
    outputs, state = rg.dynamic_rnn(cell, x, initial_state=cell.zero_state(2))
    assert is_plain([outputs, state])


@pytest.mark.filterwarnings("ignore:.*this run drops units:UserWarning")
def test_functions_of_rg_over_tensors_of_a_program() -> None:
    x, labels = tf.placeholder(tf.float32, [None, 4, 3]), tf.placeholder(tf.int32, [None, 4])
    hidden = rg.dense(rg.dropout(x, 0.5), 5, name="hidden")
    tf.get_default_graph().own(hidden)
    logits = rg.layer_norm(rg.tanh(hidden))
    for value in (
        hidden,
        logits,
        rg.sparse_softmax_cross_entropy(labels, logits),
        rg.embedding(labels, 10, 4),
        rg.reduce_max(x, 1),
        rg.bidirectional_dynamic_rnn(rg.GRUCell(2), rg.GRUCell(2), x),
        rg.ctc_loss(labels=labels, logits=logits),
        rg.conv1d(x, 4, 2),
        rg.gather_last(x, labels[:, 0]),
        rg.split(x, 3),
        rg.top_k(x, 2),
        rg.masked_softmax(x, x > 0),
    ):
        assert is_tensorflow(value), value
    assert hidden.get_shape().as_list() == [None, 4, 5]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(hidden, {x: np.ones((2, 4, 3))}).shape == (2, 4, 5)


def test_a_program_compiled_as_rg_compiles() -> None:
    x = tf.placeholder(tf.float32, [None, 4, 3], name="x")
    outputs, _ = tf.nn.dynamic_rnn(rg.GRUCell(2), x, dtype=tf.float32)
    program = rg.compile({"y": outputs})
    assert program.inference(x=np.ones((2, 4, 3)))["y"].shape == (2, 4, 2)


def test_quotients_that_are_rounded_down_are_tensorflows() -> None:
    """The quotient of floats is rounded to a float first: 1.0 // 0.1 is 10. A size divided by a number is a size."""
    x = tf.placeholder(tf.float32, [None])
    half = tf.zeros([tf.shape(x)[0] // 2, 3])
    with tf.Session() as session:
        floats, ints, zeros = session.run([x // 0.1, tf.constant([-7, 7]) // 2, half], {x: [1.0, -0.25, 3.0]})
    assert floats.tolist() == [10, -3, 30]
    assert ints.tolist() == [-4, 3]
    assert zeros.shape == (1, 3)
