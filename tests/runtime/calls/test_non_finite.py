"""Checking mode reports the first value that is not finite: its node, step, row, and the user's line."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

NAN, INF = float("nan"), float("inf")


class Curve(rg.Cell):
    """Cell whose input passes through one function."""

    def __init__(self, function: Any, width: int = 4) -> None:
        self.function, self.width = function, width

    def state(self) -> dict[str, int]:
        return {"h": self.width}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        h = self.function(x) + rg.tanh(state["h"] @ p.kernel("u", (self.width, self.width)))
        return h, {"h": h}


def logarithm(x: rg.Tensor) -> rg.Tensor:
    return rg.log(x)  # here: logarithm


def exponential(x: rg.Tensor) -> rg.Tensor:
    return rg.tanh(rg.exp(x))  # here: exponential


def root(x: rg.Tensor) -> rg.Tensor:
    return rg.sqrt(x)  # here: root


def line(mark: str) -> int:
    """Return the line number of this file that ends in ``# here: mark``."""
    lines, _ = inspect.findsource(Curve)
    return next(number for number, text in enumerate(lines, 1) if text.rstrip().endswith(f"# here: {mark}"))


class Rooted(rg.Cell):
    def state(self) -> dict[str, int]:
        return {"h": 4}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        h = root(x * p.bias("b", (4,), "ones")) + 0.5 * state["h"]
        return h, {"h": h}


def assert_at(actual: rg.NonFinite | None, mark: str, **fields: Any) -> rg.NonFinite:
    assert actual is not None
    assert {name: getattr(actual, name) for name in fields} == fields, actual
    assert actual.where is not None
    assert (os.path.basename(actual.where.file), actual.where.line) == ("test_non_finite.py", line(mark))
    assert str(actual).startswith(f"{actual.where}: ")
    return actual


def network(function: Any = logarithm, batch: int | None = None, time: int | None = None, **options: Any) -> rg.Program:
    """Return a curve cell with a dense layer and a loss over x [B,T,4], y [B], and optional lengths n [B]."""
    x = rg.placeholder("x", (batch, time, 4))  # here: x
    n = rg.placeholder("n", (batch,), "int64") if options.pop("lengths", False) else None
    cell: rg.Cell = Curve(function)
    if keep := options.pop("keep_prob", None):
        cell = rg.DropoutWrapper(cell, input_keep_prob=keep)
    if options.pop("backward", False):
        outputs = rg.bidirectional_dynamic_rnn(rg.BasicRNNCell(4), cell, x, sequence_length=n)[0][1]
    else:
        major = options.pop("time_major", False)
        outputs, _ = rg.dynamic_rnn(cell, x, sequence_length=n, time_major=major)
    logits = rg.dense(rg.reduce_sum(rg.tanh(outputs), axis=1), 3)
    y = rg.placeholder("y", (batch,), "int64")
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.compile({"logits": logits}, loss=loss)


def feeds(rows: int = 3, steps: int = 5, **changes: Any) -> dict[str, Any]:
    return {"x": np.full((rows, steps, 4), 0.5, np.float32), "y": np.arange(rows) % 3} | changes


def x_with(value: float, *places: tuple[int, int, int], rows: int = 3, steps: int = 5) -> np.ndarray:
    """Return an array of 0.5, with ``value`` at each (row, step, unit)."""
    x = feeds(rows, steps)["x"]
    for place in places:
        x[place] = value
    return x


@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"batch": 3, "time": 5}, {"time": 5}, {"keep_prob": 0.9}])
def test_a_finite_run_gives_none(options: dict[str, Any]) -> None:
    program = network(root, **options)
    inputs = feeds()
    assert program.training.check(**inputs, seed=1) is None
    assert program.inference.check(x=inputs["x"]) is None


@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"batch": 3, "time": 5}])
@pytest.mark.parametrize("graph", ["inference", "training"])
def test_the_first_step_is_reported_before_the_first_row(graph: str, options: dict[str, Any]) -> None:
    program = network(logarithm, **options)
    x = x_with(0, (1, 3, 2), (0, 4, 1), (2, 3, 0))
    inputs = {"x": x} if graph == "inference" else feeds(x=x)
    actual = assert_at(
        getattr(program, graph).check(**inputs),
        "logarithm",
        op="log",
        node="log",
        value="-inf",
        step=3,
        row=1,
        index=(1, 2),
        phase="forward",
        name=None,
    )
    assert str(actual).endswith("log gives -inf in the forward pass at step 3, row 1 (node log)")
    x[1, 1, 3] = -1
    assert_at(getattr(program, graph).check(inputs), "logarithm", value="nan", step=1, row=1, index=(1, 3))


def test_node_is_the_name_in_the_printed_graph() -> None:
    x = rg.placeholder("x", (None, 4))
    program = rg.compile({"a": rg.log(x), "b": rg.log(x * 2), "c": rg.log(x - 1)})
    finding = program.inference.check(x=np.full((2, 4), 0.5))
    assert finding is not None
    assert f"  {finding.node} = log sub :" in str(program.inference.graph)
    assert (finding.step, finding.row, finding.index) == (None, 0, (0, 0))


def test_overflow_in_float32_is_found_although_every_result_is_finite() -> None:
    program = network(exponential)
    x = x_with(100, (2, 1, 3))
    assert np.isfinite(program.inference(x=x)["logits"]).all()
    assert_at(program.inference.check(x=x), "exponential", op="exp", value="inf", step=1, row=2, index=(2, 3))
    assert program.inference.check(x=x_with(88, (2, 1, 3))) is None


@pytest.mark.parametrize(("dtype", "value"), [("float32", "inf"), ("float64", None)])
def test_values_have_the_dtype_that_was_declared(dtype: str, value: str | None) -> None:
    x = rg.placeholder("x", (None, 2), dtype)
    finding = rg.compile(rg.exp(x)).inference.check(x=[[0, 100]])
    assert (finding and finding.value) == value


@pytest.mark.parametrize("options", [{}, {"batch": 3, "time": 5}])
def test_a_derivative_that_is_infinite_where_the_value_is_not(options: dict[str, Any]) -> None:
    program = network(root, **options)
    x = x_with(0, (1, 2, 3), (0, 1, 0))
    assert program.inference.check(x=x) is None
    assert program.training.check(x=x) is None, "without labels there is no loss and no gradient"
    inputs = rg.placeholder("x", (None, None, 4))
    trained = root(inputs * rg.parameter("scale", (4,), initializer="ones"))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), trained)
    program = rg.compile(outputs, loss=rg.reduce_mean(outputs))
    finding = assert_at(program.training.check(x=x), "root", op="div", phase="backward", step=1, row=0, index=(0, 1, 0))
    assert finding.value in ("inf", "-inf")
    assert "in the backward pass at step 1, row 0" in str(finding)


def test_rows_of_a_table_that_overflow_together() -> None:
    """The check reports a row of a table whose gradients are finite, but whose sum overflows."""
    ids, scale = rg.placeholder("ids", (None,), "int32"), rg.placeholder("scale", (None, 2))  # here: scale
    rows = rg.gather(rg.parameter("table", (4, 2), initializer="zeros"), ids)  # here: rows
    program = rg.compile(rows, loss=rg.reduce_sum(rows * scale))
    large = np.full((3, 2), 2e38, np.float32)
    assert program.training.check(ids=[0, 1, 2], scale=large) is None
    assert_at(
        program.training.check(ids=[0, 3, 3], scale=large),
        "rows",
        op="scatter_add",
        value="inf",
        phase="backward",
        step=None,
        row=None,
        index=(3, 0),
    )
    infinite = np.full((3, 2), INF, np.float32)
    assert_at(program.training.check(ids=[0, 3, 3], scale=infinite), "scale", phase="feed")


def test_windows_that_overflow_where_they_overlap() -> None:
    x, scale = rg.placeholder("x", (None, None, 1)), rg.parameter("scale", (1,), initializer="ones")
    y = rg.conv1d(x * scale, 1, 2, "valid", use_bias=False)  # here: windows
    program = rg.compile(y, loss=rg.reduce_sum(y * np.float32(2e38)))
    program.parameters["conv1d/kernel"] = np.ones((2, 1, 1))
    assert program.training.check(x=np.full((2, 2, 1), 0.01)) is None
    finding = program.training.check(x=np.full((2, 5, 1), 0.01))
    assert_at(finding, "windows", op="overlap_add", value="inf", phase="backward", index=(0, 1, 0))


def test_the_backward_loop_counts_steps_as_the_user_does() -> None:
    outputs, _ = rg.dynamic_rnn(Rooted(), rg.placeholder("x", (None, None, 4)))
    program = rg.compile(outputs, loss=rg.reduce_mean(outputs))
    x = x_with(0, (1, 3, 2), (0, 1, 2))  # the backward loop reaches step 3 first
    assert_at(program.training.check(x=x), "root", op="div", phase="backward", step=3, row=1, index=(1, 2))


def test_a_sum_of_gradients_of_a_table_that_overflows() -> None:
    ids = rg.placeholder("ids", (None, None), "int64")
    rows = rg.embedding(ids, 4, 2)  # here: embedding
    program = rg.compile(rows, loss=rg.reduce_sum(rows * np.float32(3e38)))
    program.parameters["embedding/table"] = np.zeros((4, 2))
    assert program.training.check(ids=[[0, 1], [2, 3]]) is None
    finding = program.training.check(ids=[[0, 2], [2, 3]])
    finding = assert_at(finding, "embedding", op="scatter_add", phase="backward", value="inf", index=(2, 0))
    assert (finding.row, finding.step) == (None, None)


def test_a_backward_cell_counts_steps_as_the_user_does() -> None:
    x = x_with(0, (1, 3, 2), (0, 1, 2))
    assert_at(network(logarithm, backward=True).inference.check(x=x), "logarithm", step=3, row=1)


def test_rows_of_time_major_inputs() -> None:
    x = x_with(0, (1, 3, 2)).transpose(1, 0, 2)
    assert_at(network(logarithm, time_major=True).inference.check(x=x), "logarithm", step=3, row=1)


def test_steps_and_rows_outside_of_loops() -> None:
    sequence = rg.placeholder("x", (None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), logarithm(sequence))
    finding = rg.compile(outputs).inference.check(x=x_with(0, (1, 3, 2), (2, 1, 3)))
    assert_at(finding, "logarithm", step=1, row=2, index=(2, 1, 3))


@pytest.mark.parametrize(("value", "text"), [(NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
@pytest.mark.parametrize("graph", ["inference", "training"])
def test_a_feed_that_is_not_finite(graph: str, value: float, text: str) -> None:
    x = x_with(value, (1, 3, 2), (2, 2, 0))
    inputs = {"x": x} if graph == "inference" else feeds(x=x)
    finding = getattr(network(root), graph).check(**inputs)
    finding = assert_at(finding, "x", phase="feed", name="x", value=text, step=2, row=2, index=(2, 2, 0))
    assert str(finding).endswith(f"feed x holds {text} at step 2, row 2, index (2, 2, 0)")


def test_a_parameter_that_is_not_finite() -> None:
    program = network(root)
    with program.parameters.edit("dense/kernel") as kernel:
        kernel[3, 1] = INF
    finding = program.inference.check(x=feeds()["x"])
    assert finding is not None
    assert (finding.phase, finding.name, finding.value, finding.index) == ("parameter", "dense/kernel", "inf", (3, 1))
    assert (finding.step, finding.row) == (None, None)
    assert "parameter dense/kernel holds inf at index (3, 1)" in str(finding)


def masked(mask: float) -> rg.Program:
    scores = rg.dense(rg.placeholder("x", (None, 4)), 3)
    allowed = rg.placeholder("allowed", (None, 3), "bool")
    penalty = rg.where(allowed, rg.constant(np.float32(0)), rg.constant(np.float32(mask)))
    attention = rg.softmax(scores + penalty)
    logits = rg.dense(attention, 2)
    y = rg.placeholder("y", (None,), "int64")
    return rg.compile({"a": attention}, loss=rg.sparse_softmax_cross_entropy(labels=y, logits=logits))


def test_infinities_of_a_mask_are_findings_only_if_they_become_nan() -> None:
    program = masked(-INF)
    feeds = {"x": np.ones((2, 4)), "y": [0, 1], "allowed": [[True, True, False], [False, True, True]]}
    assert np.isfinite(program.training.gradients(feeds)[0])
    assert program.training.check(feeds) is None
    feeds["allowed"] = [[True, True, False], [False, False, False]]
    finding = program.training.check(feeds)
    assert finding is not None
    assert (finding.value, finding.row, finding.phase, finding.op) == ("nan", 1, "forward", "sub")


def test_an_infinity_of_the_users_own_in_the_loss_is_named_by_its_output() -> None:
    x = rg.placeholder("x", (None, 4))
    masked = x + rg.constant(np.asarray([0, -INF, 0, 0], np.float32))
    program = rg.compile({"masked": masked}, loss=rg.reduce_sum(masked))
    assert program.inference.check(x=np.ones((2, 4))) is None
    finding = program.training.check(x=np.ones((2, 4)))
    assert finding is not None
    assert (finding.name, finding.value, finding.phase) == ("loss", "-inf", "forward")
    assert "output loss" in str(finding)


def test_values_after_a_rows_end_are_findings_only_if_they_reach_a_result() -> None:
    lengths = np.asarray([5, 2, 5])
    padded = x_with(0, (1, 2, 0), (1, 4, 3))
    assert network(logarithm, lengths=True).inference.check(x=padded, n=lengths) is None
    assert_at(network(logarithm, lengths=True).inference.check(x=padded, n=[5, 3, 5]), "logarithm", step=2, row=1)
    unread = x_with(NAN, (1, 2, 0))
    assert network(root, lengths=True).inference.check(x=unread, n=lengths) is None
    assert_at(network(root, lengths=True).inference.check(x=unread, n=[5, 3, 5]), "x", phase="feed", step=2, row=1)
    x, n = rg.placeholder("x", (None, None, 4)), rg.placeholder("n", (None,), "int64")  # here: read whole
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x, sequence_length=n)
    program = rg.compile({"outputs": outputs, "sums": rg.reduce_sum(x, axis=(1, 2))})
    assert_at(program.inference.check(x=unread, n=lengths), "read whole", phase="feed", step=2, row=1)


def test_a_derivative_past_a_rows_end_that_spoils_a_gradient() -> None:
    """A NaN past a row's end that reaches a gradient is reported with its position; compiled code may skip it."""
    n = rg.placeholder("n", (None,), "int64")
    outputs, _ = rg.dynamic_rnn(Rooted(), rg.placeholder("x", (None, None, 4)), sequence_length=n)
    program = rg.compile(outputs, loss=rg.reduce_mean(outputs))
    feeds = {"x": x_with(0, (1, 4, 2)), "n": [5, 2, 5]}
    _, gradients = program.training.gradients(feeds)
    finding = program.training.check(feeds)
    assert finding is not None or np.isfinite(gradients["rnn/rooted/b"]).all()
    if finding is not None:
        assert_at(finding, "root", phase="backward", step=4, row=1)


def test_masks_are_those_of_the_call_with_that_seed() -> None:
    """The check draws the masks of the call: dropout creates zeros, whose logarithm is reported."""
    program = network(logarithm, keep_prob=0.8)
    inputs = feeds()
    seen = set()
    for seed in range(6):
        for offsets in ({}, {"first_row": 7, "first_step": 11}):
            (mask,) = program.training.dropout_masks(**inputs, seed=seed, **offsets).values()
            dropped = np.argwhere(mask.transpose(1, 0, 2) == 0)
            step, row, unit = (int(number) for number in dropped[0])
            assert_at(program.training.check(**inputs, seed=seed, **offsets), "logarithm", step=step, index=(row, unit))
            seen.add((step, row, unit))
    assert len(seen) > 3


def test_a_check_accepts_the_feeds_of_a_call() -> None:
    program = network(root)
    with pytest.raises(rg.NameLookupError, match="needs x"):
        program.inference.check()
    with pytest.raises(rg.NameLookupError, match="no input 'z'"):
        program.inference.check(x=feeds()["x"], z=1)
    with pytest.raises(rg.ShapeError):
        program.training.check(**feeds(y=np.zeros(2, np.int64)))
    with pytest.raises(rg.ShapeError):
        program.training.check(**feeds(y=np.full(3, 3)))
    with pytest.raises(rg.DtypeError, match="seed"):
        program.training.check(**feeds(), seed=1.5)


def test_results_that_are_not_finite_always_have_a_finding() -> None:
    """Whenever the native code's results are not finite, the check reports a value."""
    program = network(lambda x: rg.log(x) * rg.exp(x) / x, lengths=True)
    generator = np.random.default_rng(3)
    bad = 0
    for _ in range(20):
        x = np.where(generator.random((3, 5, 4)) < 0.01, generator.choice([0, 90, -1]), 0.7).astype(np.float32)
        inputs = feeds(x=x, n=generator.integers(1, 6, 3))
        loss, gradients = program.training.gradients(inputs)
        finite = np.isfinite(loss) and all(np.isfinite(array).all() for array in gradients.values())
        finding = program.training.check(inputs)
        bad += not finite
        assert finite or finding is not None
    assert 0 < bad < 20


def test_the_error_carries_the_finding() -> None:
    finding = network(logarithm).inference.check(x=x_with(0, (0, 0, 0)))
    error = rg.NonFiniteError("the loss is nan; lower the rate", finding=finding)
    assert isinstance(error, ArithmeticError)
    assert error.finding is finding
