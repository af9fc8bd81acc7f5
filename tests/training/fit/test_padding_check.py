"""A loss or metric that depends on padding is an error with its line. Correct ones are never refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training import compiled_once

import rnngraph as rg

RNG = np.random.default_rng(0)
STEPS = [5, 9, 3, 7, 9, 2, 8, 4]
SEQUENCES = [RNG.normal(size=(steps, 3)).astype(np.float32) for steps in STEPS]
LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1])
TAGS = [RNG.integers(0, 4, steps) for steps in STEPS]
TARGETS = [RNG.normal(size=(steps, 2)).astype(np.float32) for steps in STEPS]


@pytest.fixture(autouse=True)
def _compiled_once() -> Any:
    with compiled_once():
        yield


class Net:
    """Placeholders, and a recurrence with lengths."""

    def __init__(self, cell: rg.Cell | None = None) -> None:
        self.x = rg.placeholder("x", (None, None, 3))
        self.n = rg.placeholder("n", (None,), "int32")
        self.y = rg.placeholder("y", (None,), "int64")
        self.tags = rg.placeholder("tags", (None, None), "int64")
        self.w = rg.placeholder("w", (None, None))
        self.targets = rg.placeholder("targets", (None, None, 2))
        cell = rg.GRUCell(5) if cell is None else cell
        self.outputs, self.state = rg.dynamic_rnn(cell, self.x, sequence_length=self.n)
        steps = rg.expand_dims(rg.cast(self.n, "int64"), 1)
        self.mask = rg.cast(rg.positions(self.x, axis=1) < steps, "float32")

    def of_rows(self, features: rg.Tensor) -> rg.Tensor:
        return rg.sparse_softmax_cross_entropy(labels=self.y, logits=rg.dense(features, 2))

    def of_steps(self, features: rg.Tensor | None = None, **options: Any) -> rg.Tensor:
        logits = rg.dense(self.outputs if features is None else features, 4)
        return rg.sparse_softmax_cross_entropy(labels=self.tags, logits=logits, **options)


def both_ways(net: Net, lengths: bool = True) -> Any:
    cells = rg.GRUCell(4), rg.BasicLSTMCell(4)
    return rg.bidirectional_dynamic_rnn(*cells, net.x, sequence_length=net.n if lengths else None)


def attended(net: Net, lengths: Any) -> rg.Tensor:
    query = rg.dense(net.state, 5)
    scores = rg.reduce_sum(net.outputs * rg.expand_dims(query, 1), axis=-1)
    if lengths is not None:
        scores = rg.where(net.mask > 0.5, scores, -1e30)
    return rg.reduce_sum(net.outputs * rg.expand_dims(rg.softmax(scores), 2), axis=1)


def counted(net: Net) -> rg.Tensor:
    return rg.expand_dims(rg.cast(net.n, "float32"), 1)


def decoded(net: Net) -> rg.Tensor:
    attention = rg.LuongAttention(5, net.outputs, memory_sequence_length=net.n)
    cell = rg.AttentionWrapper(rg.GRUCell(5), attention)
    heard, _ = rg.dynamic_rnn(cell, net.x, sequence_length=net.n)
    return net.of_steps(heard, lengths=net.n)


RIGHT: dict[str, Callable[[Net], rg.Tensor]] = {
    "final state": lambda net: net.of_rows(net.state),
    "gather_last": lambda net: net.of_rows(rg.gather_last(net.outputs, net.n)),
    "sum over outputs": lambda net: net.of_rows(rg.reduce_sum(net.outputs, axis=1)),
    "mean by lengths": lambda net: net.of_rows(rg.reduce_sum(net.outputs, axis=1) / counted(net)),
    "mean by a mask": lambda net: net.of_rows(
        rg.reduce_sum(net.outputs * rg.expand_dims(net.mask, 2), axis=1)
        / rg.reduce_sum(net.mask, axis=1, keepdims=True)
    ),
    "maximum by a mask": lambda net: net.of_rows(
        rg.reduce_max(rg.where(rg.expand_dims(net.mask, 2) > 0.5, net.outputs, -1e30), axis=1)
    ),
    "first step": lambda net: net.of_rows(net.outputs[:, 0]),
    "loss with lengths": lambda net: net.of_steps(lengths=net.n),
    "loss with a mask": lambda net: net.of_steps(weights=net.mask),
    "loss with weights that are fed": lambda net: net.of_steps(weights=net.w),
    "loss of a sum": lambda net: net.of_steps(weights=net.mask, reduction="sum"),
    "mean of masked losses": lambda net: rg.reduce_mean(net.of_steps(reduction="none") * net.mask),
    "mean of masked losses and a penalty": lambda net: (
        rg.reduce_mean(net.of_steps(reduction="none") * net.w) + 0.1 * rg.reduce_mean(rg.square(net.state))
    ),
    "regression with lengths": lambda net: rg.mean_squared_error(net.targets, rg.dense(net.outputs, 2), lengths=net.n),
    "both ways": lambda net: net.of_rows(rg.concat([both_ways(net)[1][0], both_ways(net)[1][1].h], -1)),
    "both ways, by steps": lambda net: net.of_steps(rg.concat(both_ways(net)[0], -1), lengths=net.n),
    "attention with lengths": lambda net: net.of_rows(attended(net, net.n)),
    "attention wrapper": decoded,
    "convolution": lambda net: net.of_steps(rg.conv1d(net.outputs, 4, 3, padding="same"), lengths=net.n),
    "differences of steps": lambda net: net.of_steps(
        rg.concat([net.outputs[:, :1], net.outputs[:, 1:] - net.outputs[:, :-1]], axis=1), lengths=net.n
    ),
    "cumulative sum": lambda net: net.of_steps(rg.cumsum(net.outputs, axis=1), lengths=net.n),
}
WRONG: dict[str, Callable[[Net], rg.Tensor]] = {
    "last step": lambda net: net.of_rows(net.outputs[:, -1]),
    "last step but one": lambda net: net.of_rows(net.outputs[:, -2]),
    "mean": lambda net: net.of_rows(rg.reduce_mean(net.outputs, axis=1)),
    "maximum": lambda net: net.of_rows(rg.reduce_max(net.outputs, axis=1)),
    "loss of all steps": lambda net: net.of_steps(),
    "regression of all steps": lambda net: rg.mean_squared_error(net.targets, rg.dense(net.outputs, 2)),
    "sum of all steps": lambda net: net.of_steps(reduction="sum"),
    "both ways, last step": lambda net: net.of_rows(rg.concat(both_ways(net)[0], -1)[:, -1]),
    "both ways without lengths": lambda net: net.of_steps(
        rg.concat(both_ways(net, lengths=False)[0], -1), lengths=net.n
    ),
    "attention without lengths": lambda net: net.of_rows(attended(net, None)),
    "state without lengths": lambda net: net.of_rows(
        rg.concat([rg.dynamic_rnn(rg.GRUCell(3), net.x)[1], net.state], -1)
    ),
}


def examples_of(program: rg.Program) -> dict[str, Any]:
    known = {"x": SEQUENCES, "y": LABELS, "tags": TAGS, "targets": TARGETS}
    known["w"] = [np.ones(steps, np.float32) for steps in STEPS]
    return {name: value for name, value in known.items() if name in program.inputs}


def fitted(program: rg.Program, **options: Any) -> rg.History:
    settings = {"batch_size": 4, "progress": False, "bucket": False, **options}
    return rg.Trainer(program, rg.Adam(1e-2)).fit(examples_of(program), **settings)


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
@pytest.mark.parametrize("name", RIGHT)
def test_correct_losses_are_never_rejected(name: str) -> None:
    net = Net()
    loss = RIGHT[name](net)
    fitted(rg.compile({"state": net.state}, loss=loss, seed=1), epochs=2)


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
@pytest.mark.parametrize("name", WRONG)
def test_a_loss_that_depends_on_padding_is_an_error_with_the_line(name: str) -> None:
    net = Net()
    loss = WRONG[name](net)
    program = rg.compile({"state": net.state}, loss=loss)
    before = {key: array.copy() for key, array in program.parameters.items()}
    trainer = rg.Trainer(program)
    for _ in range(2):  # a second attempt also fails
        words = r"padding shows in the loss .*rg\.gather_last\(outputs, n\), or the"
        with pytest.raises(rg.GraphError, match=words) as error:
            trainer.fit(examples_of(program), batch_size=4, progress=False, bucket=False)
        assert f"declared at {__file__}:" in str(error.value)
    assert all((array == before[key]).all() for key, array in program.parameters.items())


def test_the_line_is_that_of_the_op_that_reads_padding() -> None:
    net = Net()
    frame = inspect.currentframe()
    assert frame is not None
    shown, line = net.outputs[:, -1], frame.f_lineno
    program = rg.compile({"state": net.state}, loss=net.of_rows(shown))
    with pytest.raises(rg.GraphError, match=rf"declared at \S*test_padding_check.py:{line}\)"):
        fitted(program)


CELLS: list[Callable[[], rg.Cell]] = [
    lambda: rg.DropoutWrapper(rg.GRUCell(5), input_keep_prob=0.5),
    lambda: rg.MultiRNNCell(
        [rg.DropoutWrapper(rg.GRUCell(4), output_keep_prob=0.5), rg.ResidualWrapper(rg.GRUCell(4))]
    ),
]


@pytest.mark.parametrize("cell", CELLS, ids=["dropout", "stack"])
def test_dropout_and_stacks_are_no_reason(cell: Callable[[], rg.Cell]) -> None:
    net = Net(cell())
    fitted(rg.compile({"outputs": net.outputs}, loss=net.of_rows(rg.gather_last(net.outputs, net.n))))


def test_batches_of_one_length_show_no_padding() -> None:
    net = Net()
    program = rg.compile({"state": net.state}, loss=net.of_rows(net.outputs[:, -1]))
    same = {"x": np.stack([RNG.normal(size=(6, 3)) for _ in range(8)]), "y": LABELS}
    rg.Trainer(program).fit(same, progress=False)
    rg.Trainer(program).fit({"x": SEQUENCES, "y": LABELS}, batch_size=1, progress=False)


def test_a_validation_is_looked_at_too() -> None:
    net = Net()
    program = rg.compile({"state": net.state}, loss=net.of_rows(net.outputs[:, -1]))
    same = {"x": [RNG.normal(size=(6, 3)) for _ in range(8)], "y": LABELS}
    with pytest.raises(rg.GraphError, match="padding shows in the loss"):
        rg.Trainer(program).fit(same, validation=examples_of(program), progress=False)
    with pytest.raises(rg.GraphError, match="padding shows in the loss"):
        rg.Trainer(program).evaluate(examples_of(program))


def test_a_metric_is_looked_at_too() -> None:
    net = Net()
    logits = rg.dense(net.outputs, 4)
    loss = rg.sparse_softmax_cross_entropy(labels=net.tags, logits=logits, lengths=net.n)
    program = rg.compile({"logits": logits}, loss=loss)
    fitted(program, metrics={"accuracy": rg.accuracy(net.tags, logits, lengths=net.n)})
    with pytest.raises(rg.GraphError, match="padding shows in metric 'of all'"):
        fitted(program, metrics={"of all": rg.sparse_softmax_cross_entropy(labels=net.tags, logits=logits)})


def test_windows() -> None:
    for loss, right in ((RIGHT["loss with lengths"], True), (WRONG["loss of all steps"], False)):
        net = Net()
        program = rg.compile({"state": net.state}, loss=loss(net))
        if right:
            fitted(program, window=4)
            continue
        with pytest.raises(rg.GraphError, match="padding shows"):
            fitted(program, window=4)


@pytest.mark.parametrize("filler", [0.0, 7.5])
def test_padded_arrays(filler: float) -> None:
    """Padding in the user's own arrays may have any values."""
    x = np.full((8, 12, 3), filler, np.float32)
    for row, sequence in zip(x, SEQUENCES, strict=True):
        row[: len(sequence)] = sequence
    for name, right in (("final state", True), ("mean by lengths", True), ("last step", False), ("mean", False)):
        net = Net()
        program = rg.compile({"state": net.state}, loss=(RIGHT if right else WRONG)[name](net))
        trainer = rg.Trainer(program)
        if right:
            trainer.fit({"x": x, "y": LABELS}, lengths=STEPS, progress=False)
            continue
        with pytest.raises(rg.GraphError, match="padding shows"):
            trainer.fit({"x": x, "y": LABELS}, lengths=STEPS, progress=False)


def test_a_limit_to_steps_is_no_reason() -> None:
    """A table of positions limits the steps: the check's longer padding exceeds it, which is not an error."""
    net = Net()
    table = rg.parameter("table", (9, 5))
    places = rg.gather(table, rg.positions(net.x, axis=1))
    weighed = rg.reduce_sum(net.outputs * rg.expand_dims(places, 0), axis=1)
    fitted(rg.compile({"state": net.state}, loss=net.of_rows(weighed)))


def test_a_declared_batch() -> None:
    x = rg.placeholder("x", (4, None, 3))
    n, y = rg.placeholder("n", (4,), "int32"), rg.placeholder("y", (4,), "int64")
    outputs, state = rg.dynamic_rnn(rg.GRUCell(5), x, sequence_length=n)
    right = rg.sparse_softmax_cross_entropy(y, rg.dense(rg.reduce_sum(outputs, 1) / rg.cast(n, "float32")[:, None], 2))
    fitted(rg.compile({"state": state}, loss=right))
    wrong = rg.sparse_softmax_cross_entropy(y, rg.dense(outputs[:, -1], 2))
    with pytest.raises(rg.GraphError, match="padding shows"):
        fitted(rg.compile({"state": state}, loss=wrong))


def test_one_check_settles_all_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnngraph.training.fit import padding_check

    seen: list[Any] = []
    plain = padding_check.PaddingCheck._differing
    monkeypatch.setattr(padding_check.PaddingCheck, "_differing", lambda *a: seen.append(a) or plain(*a))
    net = Net()
    trainer = rg.Trainer(rg.compile({"state": net.state}, loss=RIGHT["mean of masked losses"](net)))
    for _ in range(3):
        trainer.fit({"x": SEQUENCES, "tags": TAGS}, progress=False)
    assert len(seen) == 1
