"""Subclasses of Tensor that propagate through operations, cells and drivers."""

from types import FunctionType
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.declare.nest import flatten


class Marked(rg.Tensor, propagates=True):
    __slots__ = ()


class Special(Marked):
    """Subclass without propagation, so that operations return its base class ``Marked``."""

    __slots__ = ()


def marked(tensor: rg.Tensor) -> Marked:
    return Marked(tensor.node)


def placed(name: str, shape: Any, dtype: str = "float32") -> Marked:
    return marked(rg.placeholder(name, shape, dtype))


def classes(nest: Any) -> set[type]:
    return {type(item) for item in flatten(nest) if isinstance(item, rg.Tensor)}


X, IDS, FLAGS = placed("x", (None, 4, 3)), placed("ids", (None, 4), "int32"), placed("flags", (None, 4), "bool")
LENGTHS, STATE, PLAIN = (
    placed("lengths", (None,), "int32"),
    placed("state", (None, 5)),
    rg.placeholder("z", (None, 4, 3)),
)
POSITIONS = placed("positions", (None, 4, 3), "int32")
ARGUMENTS = [
    (X,),
    (X, X),
    (IDS,),
    (FLAGS,),
    (X, PLAIN),
    (PLAIN, X),
    (X, 1),
    (X, 0, 1),
    (X, [1]),
    (IDS, 5),
    (IDS, 5, 2),
    (X, -1, 1),
    ([X, PLAIN],),
    ([PLAIN, X],),
    (X, IDS),
    (X, [[0, 0]] * 3),
    (X, (-1, 3)),
    (X, LENGTHS),
    (PLAIN, LENGTHS),
    (X, 2, 3),
    (X, 4, 2),
    (X, 1.0, 2.0),
    (X, 0.5),
    (PLAIN, IDS),
    (X, (2, 1, 1)),
    (X, (0, 2, 1)),
    (FLAGS, FLAGS),
    (X, "float64"),
    (X[:, 0] > 0, PLAIN[:, 0], 0.0),
    (IDS, X),
    ("name", X),
    (X, (2, 3, 4, 3)),
    (X, rg.transpose(PLAIN, (0, 2, 1))),
    ("bti->bt", X),
    (X[:, :3], X[:, :3]),
    (X, POSITIONS, 1),
    (X, POSITIONS, PLAIN, 1),
    (X, STATE[0, :3], STATE[0, :3]),
    (marked(rg.parameter("stored", (64, 3), "zeros", dtype="int8", trainable=False)), rg.concat([X[0, :2]], axis=0), 0),
]
NO_OPERATIONS = {
    "accuracy",
    "bidirectional_dynamic_rnn",
    "by_graph",
    "compile",
    "ctc_loss",
    "dumps",
    "dynamic_decode",
    "dynamic_rnn",
    "joined",
    "load",
    "loads",
    "loads_trainer",
    "map_structure",
    "memory",
    "parameter",
    "placeholder",
    "read_gguf",
    "read_keras",
    "read_nam",
    "read_onnx",
    "read_rtneural",
    "read_tf1_graph",
    "read_tf1_variables",
    "read_torch",
    "stack_bidirectional_dynamic_rnn",
    "state",
    "state_placeholder",
    "static_rnn",
    "with_update",
    "write_onnx",
    "constant",
    "broadcast_to",
}
"""Functions that need special arguments, or that return no Tensor computed from others."""


@pytest.mark.parametrize(
    "name", [name for name in rg.__all__ if isinstance(getattr(rg, name), FunctionType) and name not in NO_OPERATIONS]
)
def test_functions_of_a_marked_tensor_return_a_marked_tensor(name: str) -> None:
    result_classes = []
    for arguments in ARGUMENTS:
        try:
            result_classes.append(classes(getattr(rg, name)(*arguments)))
        except rg.RnnGraphError:
            continue
    assert [item for item in result_classes if item] != [], "no arguments fit; add some"
    assert set().union(*result_classes) == {Marked}


def test_operators_and_functions_of_other_kinds_of_arguments() -> None:
    array = np.ones(3, "float32")
    for value in (
        X + 1,
        1 - X,
        X * PLAIN,
        PLAIN / X,
        array + X,
        X @ np.ones((3, 2), "float32"),
        -X,
        abs(X),
        X < 0,
        PLAIN > X,
        X**2,
        X // 2,
        divmod(X, 2),
        X[:, 0],
        X[:, ::-1],
        X[:, IDS[0, 0]],
        rg.broadcast_to(X[0, 0], (2, 3)),
        rg.by_graph(training=PLAIN, inference=X),
        rg.accuracy(IDS, X),
        np.add(array, X),
        rg.ctc_loss(IDS, X),
        rg.with_update(X, rg.parameter("count", (), trainable=False), 1.0),
    ):
        assert classes(value) == {Marked}


def test_plain_tensors_stay_plain() -> None:
    assert classes([PLAIN + 1, rg.tanh(PLAIN), rg.dense(PLAIN, 2), rg.constant(1.0), rg.parameter("p", (2,))]) == {
        rg.Tensor
    }
    assert classes(rg.dynamic_rnn(rg.LSTMCell(5), PLAIN)) == {rg.Tensor}


def test_a_class_that_does_not_propagate_returns_the_type_of_its_base() -> None:
    special = Special(PLAIN.node)
    assert classes([special + 1, rg.relu(special), special[:, 0]]) == {Marked}


CELLS = [
    rg.BasicRNNCell(5),
    rg.GRUCell(5),
    rg.MultiRNNCell([rg.LSTMCell(5), rg.DropoutWrapper(rg.LSTMCell(5), input_keep_prob=0.5)]),
    rg.OutputProjectionWrapper(rg.ZoneoutWrapper(rg.LSTMCell(5), state_keep_prob=0.5), 2),
]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_drivers_return_the_class_of_any_of_their_arguments(cell: rg.Cell) -> None:
    width = cell.state_size if isinstance(cell.state_size, int) else None
    arguments: list[dict[str, Any]] = [
        {"inputs": X},
        {"inputs": PLAIN, "sequence_length": LENGTHS},
        {"inputs": PLAIN, "mask": FLAGS},
        {"inputs": X, "reverse": True, "time_major": True},
        {"inputs": X, "zero_output_for_mask": True, "mask": FLAGS},
    ]
    if width:
        arguments.append({"inputs": PLAIN, "initial_state": STATE})
    for options in arguments:
        assert classes(rg.dynamic_rnn(cell, **options)) == {Marked}
    assert classes(rg.bidirectional_dynamic_rnn(cell, cell, X)) == {Marked}
    assert classes(rg.stack_bidirectional_dynamic_rnn([cell], [cell], X)) == {Marked}
    assert classes(rg.static_rnn(cell, [PLAIN[:, 0], X[:, 1]])) == {Marked}


class Watching(rg.Cell):
    """Cell that records the classes of its arguments. Its step also reads the Tensor ``outside``."""

    def __init__(self, outside: rg.Tensor) -> None:
        self.outside, self.seen = outside, set[type]()

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        self.seen |= {type(x), type(state["h"])}
        h = rg.tanh(x + state["h"] + self.outside)
        return h, {"h": h}


def test_steps_receive_the_class_of_the_inputs() -> None:
    watching = Watching(PLAIN[0, 0])
    assert classes(rg.dynamic_rnn(watching, X)) == {Marked}
    assert watching.seen == {Marked}


def test_values_that_a_step_reads_from_outside_determine_the_results_class() -> None:
    watching = Watching(X[0, 0])
    assert classes(rg.dynamic_rnn(watching, PLAIN)) == {Marked}
    assert watching.seen == {rg.Tensor}


def test_decoders_and_attention() -> None:
    memory = placed("memory", (None, 6, 5))
    cell = rg.AttentionWrapper(rg.GRUCell(5), rg.LuongAttention(5, memory))
    seen: set[type] = set()

    def following(output: rg.Tensor, x: Any) -> rg.Tensor:
        seen.add(type(output))
        return output

    first = rg.placeholder("first", (None, 5))
    assert classes(rg.dynamic_decode(cell, first, following, 4)) == {Marked}
    assert classes(rg.dynamic_decode(rg.GRUCell(5), marked(first), following, 4, stop=lambda o: o[:, 0] > 1)) == {
        Marked
    }
    assert seen == {Marked}
    assert classes(rg.dynamic_decode(rg.GRUCell(5), first, lambda output, x: output, 4)) == {rg.Tensor}


def test_a_program_of_marked_tensors_computes_as_one_of_plain_ones() -> None:
    def program(x: rg.Tensor) -> Any:
        outputs, state = rg.dynamic_rnn(rg.GRUCell(5), x)
        return rg.compile({"y": rg.dense(outputs, 2), "state": state})

    fed = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    results = [program(x).inference(z=fed) for x in (PLAIN, marked(PLAIN))]
    for name in ("y", "state"):
        assert np.array_equal(results[0][name], results[1][name])
