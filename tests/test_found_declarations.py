"""Random declarations that once failed, reduced to what the failure needed."""

from __future__ import annotations

import numpy as np
import pytest
from declaration_checks import check_all
from declarations import Axis, Declaration, Feed, Value
from teams import check_turns, share_everything

import rnngraph as rg

X = 'x = rg.placeholder("x", (None, None, 7))'
TWO_DIRECTIONS = (
    X,
    "(fw, bw), (_, state) = rg.bidirectional_dynamic_rnn(rg.BasicRNNCell(9), rg.BasicRNNCell(1), x)",
    "both = rg.concat([fw, bw], -1)",
)
SEQUENCE: dict[str, Feed] = {"x": Feed(("B", "T", 7), "float32")}
FOUND: dict[str, tuple[tuple[str, ...], dict[str, tuple[Axis, ...]], dict[str, Feed]]] = {
    "a join waits for both directions": ((*TWO_DIRECTIONS, 'outputs["r"] = both'), {"r": ("B", "T", 10)}, {}),
    "an output joins an initial state and the states after it": (
        (
            X,
            "first = rg.dense(x[:, 0], 4)",
            "y, _ = rg.dynamic_rnn(rg.GRUCell(4), x[:, 1:], initial_state=first)",
            'outputs["r"] = rg.concat([rg.expand_dims(first, 1), y], 1)',
        ),
        {"r": ("B", "T", 4)},
        {},
    ),
    "a fed sequence meets one that a scan gives": (
        (
            *TWO_DIRECTIONS,
            'y = rg.placeholder("y", (None, None, 10))',
            "loss = rg.absolute_difference(y, both)",
            'outputs["r"] = state',
        ),
        {"r": ("B", 1)},
        {"y": Feed(("B", "T", 10), "float32")},
    ),
    "a column of indices is no step of a sequence": (
        (
            *TWO_DIRECTIONS,
            'y = rg.placeholder("y", (None, None), "int64")',
            "loss = rg.sparse_softmax_cross_entropy(y, both)",
            'outputs["r"] = rg.relu(both)',
        ),
        {"r": ("B", "T", 10)},
        {"y": Feed(("B", "T"), "int64", 9)},
    ),
    "a number of sizes that a scan reads is there for what else reads it": (
        (
            X,
            'y = rg.placeholder("y", (None, None, 4))',
            "o, s = rg.dynamic_rnn(rg.GRUCell(4), x)",
            "t = o * 2.0 + y",
            "loss = rg.reduce_mean(rg.square(t))",
            'outputs["r"] = t',
        ),
        {"r": ("B", "T", 4)},
        {"y": Feed(("B", "T", 4), "float32")},
    ),
    "a sum over an open size is not of parameters alone": (
        (X, "o, s = rg.dynamic_rnn(rg.GRUCell(4), x)", "loss = rg.reduce_mean(o * 0 + 1)", 'outputs["r"] = s'),
        {"r": ("B", 4)},
        {},
    ),
    "what a step computes of outer tensors is computed outside": (
        (
            X,
            'm = rg.placeholder("m", (None, 3))',
            "o, s = rg.dynamic_rnn(own.CaptureCell(5, rg.tanh(m) * 2), x)",
            'outputs["r"] = o',
        ),
        {"r": ("B", "T", 5)},
        {"m": Feed(("B", 3), "float32")},
    ),
    "an initial state has the rows of the batch": (
        (
            X,
            'h = rg.placeholder("h", (None, 10))',
            "o, s = rg.dynamic_rnn(rg.BasicLSTMCell(5, state_is_tuple=False), x, initial_state=h)",
            'outputs["r"] = s',
        ),
        {"r": ("B", 10)},
        {"h": Feed(("B", 10), "float32")},
    ),
    "a length that only an unread feed tells": (
        (
            X,
            "o, s = rg.dynamic_rnn(rg.MultiRNNCell([own.ConstantCell(3), rg.BasicRNNCell(5)]), x)",
            'outputs["r"] = s[1]',
        ),
        {"r": ("B", 5)},
        {},
    ),
    "dropout of what is the same at every step": (
        (
            X,
            "cell = rg.DropoutWrapper(own.ConstantCell(9), output_keep_prob=0.5)",
            "o, s = rg.dynamic_rnn(cell, x)",
            'outputs["r"] = o',
        ),
        {"r": ("B", "T", 9)},
        {},
    ),
    "a state of zeros that no step changes": (
        (
            X,
            "o, s = rg.dynamic_rnn(own.PassThroughCell(9), x)",
            "q, _ = rg.dynamic_rnn(own.PassThroughCell(1), x)",
            'outputs["r"] = rg.transpose(o, (2, 0, 1))',
            'outputs["q"] = rg.log_softmax(q)',
        ),
        {"r": (9, "B", "T"), "q": ("B", "T", 1)},
        {},
    ),
    "rows and steps of a feed become one axis": (
        (X, "o, s = rg.dynamic_rnn(rg.GRUCell(3), x)", 'outputs["r"] = rg.reshape(x, (-1, 7))', 'outputs["s"] = s'),
        {"r": ("B*T", 7), "s": ("B", 3)},
        {},
    ),
    "a view takes what it views out of its chunk": (
        (
            *TWO_DIRECTIONS,
            'outputs["r"] = rg.reduce_sum(rg.transpose(both[::-1], (2, 1, 0)), [1, 2])',
            'outputs["q"] = rg.softmax(both[::-1])',
        ),
        {"r": (10,), "q": ("B", "T", 10)},
        {},
    ),
    "an index that lies in memory is read after it is there": (
        (
            X,
            'n = rg.placeholder("n", (None,), "int32")',
            'm = rg.placeholder("m", (None, 1))',
            "o, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), x, sequence_length=n)",
            "_, s = rg.dynamic_rnn(rg.GRUCell(3), o)",
            'outputs["r"] = s - m * s',
        ),
        {"r": ("B", 3)},
        {"n": Feed(("B",), "int32", "T"), "m": Feed(("B", 1), "float32")},
    ),
    "a parameter that the loss does not reach": (
        (
            X,
            'y = rg.placeholder("y", (None,), "int64")',
            "o, s = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(5), rg.GRUCell(3)]), x)",
            "loss = rg.sparse_softmax_cross_entropy(y, s[0])",
            'outputs["r"] = s[0]',
        ),
        {"r": ("B", 5)},
        {"y": Feed(("B",), "int64", 4)},
    ),
    "a constant that every step gives as it is": (
        (
            X,
            "o, s = rg.dynamic_rnn(own.ConstantCell(4), x)",
            "loss = rg.reduce_sum(rg.square(o) * 0.1)",
            'outputs["r"] = s',
        ),
        {"r": ("B", 4)},
        {},
    ),
    "one recurrence over steps and one over rows": (
        (
            X,
            "o, s = rg.dynamic_rnn(rg.GRUCell(5), x)",
            "q, t = rg.dynamic_rnn(rg.BasicLSTMCell(3), o, time_major=True)",
            'outputs["r"] = q',
            'outputs["s"] = s',
        ),
        {"r": ("B", "T", 3), "s": ("B", 5)},
        {},
    ),
    "lengths of a decoder that does not stop are made of sizes alone": (
        (
            X,
            'f = rg.placeholder("f", (None, 7))',
            "o, s, n = rg.dynamic_decode(rg.GRUCell(3), f, lambda y, x_t: x_t, None, inputs=x)",
            'outputs["r"] = n',
        ),
        {"r": ("B",)},
        {"f": Feed(("B", 7), "float32")},
    ),
    "sums of nothing have the size of what they sum": (
        (X, 'outputs["r"] = rg.cumsum(x[:, :, :1], 2, exclusive=True)'),
        {"r": ("B", "T", 1)},
        {},
    ),
    "a sum over time follows the mask of what it adds": (
        (
            X,
            'n, m = rg.placeholder("n", (None,), "int32"), rg.placeholder("m", (None,), "int64")',
            "o, s = rg.dynamic_rnn(rg.SRUCell(17), x, sequence_length=n)",
            "p, t = rg.dynamic_rnn(rg.GRUCell(5), rg.dense(o, 3), sequence_length=rg.minimum(m, 3))",
            "loss = rg.reduce_mean(rg.square(t)) + rg.reduce_mean(rg.square(p))",
            'outputs["r"] = t',
        ),
        {"r": ("B", 5)},
        {"n": Feed(("B",), "int32", "T"), "m": Feed(("B",), "int64", "T")},
    ),
    "a fed probability is asked for in training alone": (
        (
            X,
            'keep = rg.placeholder("keep0", ())',
            "o, s = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicRNNCell(3), output_keep_prob=keep), x)",
            "loss = rg.reduce_mean(rg.square(o))",
            'outputs["r"] = s',
        ),
        {"r": ("B", 3)},
        {"keep0": Feed((), "float32")},
    ),
    "a delay is read by what becomes it alone": (
        (
            X,
            'o, s = rg.dynamic_rnn(own.WiredCell(3, {"h": "dense(x, h)", "late": "h"}, "late"), x)',
            "loss = rg.reduce_mean(rg.square(o))",
            'outputs["r"] = o',
        ),
        {"r": ("B", "T", 3)},
        {},
    ),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize(("batch", "time"), [(3, 4), pytest.param(1, 1, marks=pytest.mark.exhaustive)])
def test_found(name: str, batch: int, time: int) -> None:
    lines, axes, feeds = FOUND[name]
    outputs = {key: Value(key, shape, row_wise=False) for key, shape in axes.items()}
    streams = not any("time_major" in line for line in lines)
    check_all(Declaration(5, lines, SEQUENCE | feeds, outputs, batch, time, "float32", streams=streams))


@pytest.mark.parametrize(
    "size", [pytest.param(1, marks=pytest.mark.exhaustive), 9, pytest.param(17, marks=pytest.mark.exhaustive)]
)
def test_as_many_rows_as_steps(size: int) -> None:
    """Axes with equal declared sizes are kept apart. A past bug wrote zeros past a row's end to other rows."""
    lines = (
        f'x = rg.placeholder("x", ({size}, {size}, 7))',
        f'n = rg.placeholder("n", ({size},), "int64")',
        "o, (s, t) = rg.dynamic_rnn(own.Tapped(own.SwapCell(7)), x, sequence_length=n)",
        "loss = rg.reduce_sum(s * s)",
        'outputs["r"] = o',
    )
    feeds = {"x": Feed(("B", "T", 7), "float32"), "n": Feed(("B",), "int64", "T")}
    outputs = {"r": Value("r", ("B", "T", 14), row_wise=False)}
    check_all(Declaration(5, lines, feeds, outputs, size, size, "float32"))


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.exhaustive), 3])
def test_numbers_of_rows_that_a_loop_over_rows_takes_are_read_by_indices_too(batch: int) -> None:
    """A sum over rows is a loop; its row numbers must be in memory, because keys of masks read them."""
    lines = (
        X,
        'f = rg.placeholder("f", (None, 1))',
        'w = rg.parameter("w", (5, 1))',
        "ends = lambda y: rg.reduce_max(y, 1, keepdims=True) > -0.1",
        'teacher = rg.placeholder("teacher", (None, 5, 1))',
        "given = {'teacher': teacher, 'teacher_prob': 0.5, 'stop': ends}",
        "d, s, n = rg.dynamic_decode(rg.BasicLSTMCell(5), f, lambda y, _: rg.tanh(y @ w), 5, **given)",
        "cell = rg.DropoutWrapper(rg.GRUCell(7), input_keep_prob=0.9, variational_recurrent=True)",
        "o, t = rg.dynamic_rnn(cell, x)",
        "loss = rg.reduce_sum(rg.square(s[0]))",
        'outputs["r"] = rg.cumsum(o + rg.expand_dims(f + rg.reduce_max(teacher, 1), 1), 0)',
    )
    feeds = SEQUENCE | {"f": Feed(("B", 1), "float32"), "teacher": Feed(("B", 5, 1), "float32")}
    outputs = {"r": Value("r", ("B", "T", 7), row_wise=False)}
    check_all(Declaration(5, lines, feeds, outputs, batch, 4, "float32", streams=False))


@pytest.mark.parametrize(
    ("axes", "lines"),
    [
        pytest.param(
            ("B", "T", 7),
            (
                'x = rg.placeholder("x", (None, None, 7))',
                "o, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x, sequence_length=n)",
                "r, _ = rg.dynamic_rnn(own.DeltaCell(2), o)",
                "loss = rg.reduce_sum(rg.square(r))",
            ),
            id="matrix of a state",
        ),
        pytest.param(
            (3, "T", "B", 7),
            (
                'x = rg.placeholder("x", (3, 3, None, 7))',
                "o, _ = rg.dynamic_rnn(rg.BasicRNNCell(7), x[0], sequence_length=n, time_major=True)",
                "s = rg.reduce_sum(rg.tanh(o * x), 0)",
                "r, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), s, sequence_length=n, time_major=True)",
                "loss = rg.reduce_sum(rg.square(r))",
            ),
            id="axis before time",
        ),
        pytest.param(
            (3, "T", "B", 7),
            (
                'x = rg.placeholder("x", (3, 3, 3, 7))',
                "r, _ = rg.dynamic_rnn(rg.BasicRNNCell(7), x[0], sequence_length=n, time_major=True)",
                "loss = rg.reduce_sum(rg.square(rg.dense(r * x, 3)))",
            ),
            id="values before time",
        ),
    ],
)
def test_other_axes_as_long_as_rows(axes: tuple[Axis, ...], lines: tuple[str, ...]) -> None:
    """An axis as long as the batch or the sequence is not a batch axis. A past bug read rows that were not computed."""
    lines = ('n = rg.placeholder("n", (None,), "int64")', *lines, 'outputs["r"] = r')
    feeds = {"n": Feed(("B",), "int64", "T"), "x": Feed(axes, "float32")}
    outputs = {"r": Value("r", ("B", "T", 2), row_wise=False)}
    check_all(Declaration(5, lines, feeds, outputs, 3, 3, "float32", streams=False))


def test_a_state_that_a_step_hands_on_is_copied_by_who_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A past bug let one worker copy the initial state for all workers, without a barrier after the copy."""
    lines = (
        'x = rg.placeholder("x", ("batch", "time", 7))',
        "o, _ = rg.dynamic_rnn(rg.GRUCell(7), x)",
        'w = rg.reshape(rg.dense(rg.reshape(o, (-1, 7)), 17), ("batch", "time", 17))',
        "(f, b), _ = rg.bidirectional_dynamic_rnn(rg.IntersectionRNNCell(25, num_in_proj=25), rg.GRUCell(33), w)",
        "r = rg.concat([f, b], -1)",
        'outputs["r"] = r',
    )
    outputs = {"r": Value("r", ("B", "T", 58), row_wise=False)}
    declaration = Declaration(5, lines, SEQUENCE, outputs, 9, 3, "float32", streams=False)
    share_everything(monkeypatch, 2, barrier_cycles=500.0)
    check_turns(declaration, 2, monkeypatch)


def test_a_stream_can_be_reset_before_it_is_fed() -> None:
    x, start = rg.placeholder("x", (None, None, 7)), rg.placeholder("start", (None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), x, initial_state=start)
    stream = rg.compile(outputs).inference.stream(batch=2)
    stream.reset()
    stream.reset(rows=[1])
    assert stream.step(x=np.zeros((2, 7), np.float32), start=np.ones((2, 3), np.float32)).shape == (2, 3)


def test_masks_do_not_need_feeds_that_only_the_loss_reads() -> None:
    x, y = rg.placeholder("x", (None, None, 7)), rg.placeholder("y", (None,), "int64")
    _, state = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.5), x)
    program = rg.compile(state, loss=rg.sparse_softmax_cross_entropy(y, state))
    masks = program.training.dropout_masks(x=np.zeros((2, 4, 7), np.float32), seed=1)
    assert masks["rnn/input"].shape == (2, 4, 7)


@pytest.mark.parametrize("stride", [2, 3, -1])
def test_units_are_left_out_of_a_step_that_is_picked(stride: int) -> None:
    """A selected step is computed with the whole sequence, but only those of its units that are used."""
    x = rg.placeholder("x", (None, None, 17))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(17), x, time_major=True)
    outputs_by_name = {"first": outputs[:1, :, 1::stride], "third": rg.tanh(x)[2:3, :, ::stride], "all": outputs}
    program = rg.compile(outputs_by_name, cache=False)
    fed = np.random.default_rng(0).normal(size=(6, 3, 17)).astype(np.float32)
    result = program.inference(x=fed)
    np.testing.assert_array_equal(result["first"], result["all"][:1, :, 1::stride])
    np.testing.assert_allclose(result["third"], np.tanh(fed)[2:3, :, ::stride], atol=1e-6)


def test_rows_of_another_length_that_the_same_loop_adds_up() -> None:
    """One direction's loop adds up the lengths of a later driver, whose tables must be computed after the loop."""
    lines = (
        'x = rg.placeholder("x", ("batch", "time", 25))',
        'n = rg.placeholder("n", (None,), "int64")',
        "(f, b), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(3), own.GatedCell(17), x, sequence_length=n)",
        "both = rg.concat([f, b], -1)",
        'own_length = rg.reduce_sum(rg.cast(both[:, :, 0] > 0, "int64"), 1)',
        "r, s = rg.dynamic_rnn(rg.BasicRNNCell(20), both, sequence_length=own_length)",
        "loss = rg.reduce_mean(rg.square(r)) - rg.reduce_mean(s)",
        'outputs["r"] = r',
    )
    feeds = {"x": Feed(("B", "T", 25), "float32"), "n": Feed(("B",), "int64", "T")}
    check_all(Declaration(5, lines, feeds, {"r": Value("r", ("B", "T", 20))}, 3, 4, "float32"))
