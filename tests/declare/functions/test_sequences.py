"""Functions along an axis that may be time, and drivers over lists and stacks."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import reference

import rnngraph as rg

BATCH, TIME, WIDTH = 3, 8, 4


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def sequence(dtype: str = "float64", time: int | None = None) -> rg.Tensor:
    return rg.placeholder("x", (None, time, WIDTH), dtype)


@pytest.mark.parametrize("shape", [(5,), (None,), (None, 3), (None, None), (2, None, 9, None), (2, 3, None, 4)])
def test_sums_so_far(shape: tuple[int | None, ...]) -> None:
    x = rg.placeholder("x", shape, "float64")
    array = data(*(dim or 7 for dim in shape))
    options = [(axis, *flags) for axis in range(-1, len(shape)) for flags in product([False, True], repeat=2)]
    result = rg.compile({str(option): rg.cumsum(x, *option) for option in options}).inference(x=array)
    for option in options:
        expected = reference.cumsum(array, *option)
        np.testing.assert_allclose(result[str(option)], expected, rtol=1e-12, atol=1e-12, err_msg=str(option))


@pytest.mark.parametrize("batch", [None, "rows"])
@pytest.mark.parametrize("reverse", [False, True])
def test_sums_over_empty_axes_have_the_fed_rows(batch: Any, reverse: bool) -> None:
    x = rg.placeholder("x", (batch, 1))
    program = rg.compile(rg.cumsum(x, 1, exclusive=True, reverse=reverse))
    for rows in (3, 1):
        result = program.inference(x=np.full((rows, 1), np.nan))
        np.testing.assert_array_equal(result, np.zeros((rows, 1), np.float32))


def test_sums_of_ints_and_of_infinities() -> None:
    x = rg.placeholder("x", (None, 5), "int32")
    assert rg.compile(rg.cumsum(x, 1)).inference(x=[[1, 2, 3, 4, 5]]).tolist() == [[1, 3, 6, 10, 15]]
    y = rg.placeholder("y", (4,))
    assert rg.compile(rg.cumsum(y)).inference(y=[1, np.inf, 2, 3]).tolist() == [1, np.inf, np.inf, np.inf]


def test_layers_of_convolutions_and_sums_stream() -> None:
    x, s = sequence("float32"), rg.placeholder("s", (None, None))
    hidden = rg.conv1d(x, 6, 3, activation="relu")
    hidden = rg.conv1d(hidden, 6, 1, activation="tanh", name="mixer") * rg.conv1d(hidden, 6, 3, groups=6, name="deep")
    hidden = rg.conv1d(hidden, 5, 2, dilation=4, use_bias=False, name="wide")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), hidden)
    results = {"y": outputs + rg.cumsum(hidden, 1), "sum": rg.cumsum(s, 1, exclusive=True), "units": rg.cumsum(x, -1)}
    program = rg.compile(results)
    assert list(program.parameters)[:3] == ["conv1d/kernel", "conv1d/bias", "mixer/kernel"]
    feeds = {"x": data(BATCH, TIME, WIDTH).astype("f"), "s": data(BATCH, TIME).astype("f")}
    whole = program.inference(feeds)
    stream = program.inference.stream(batch=BATCH)
    parts = [stream.step(x=feeds["x"][:, step], s=feeds["s"][:, step]) for step in range(3)]
    rest = stream.process(x=feeds["x"][:, 3:], s=feeds["s"][:, 3:])
    for name, array in whole.items():
        assert np.array_equal(np.concatenate([np.stack([part[name] for part in parts], 1), rest[name]], 1), array)
    assert np.any(np.asarray(stream.state[0]) != 0)


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda x: rg.cumsum(x, 1, reverse=True), "a backward recurrence"),
        (lambda x: x[:, ::-1], "reverse runs over time"),
        (lambda x: rg.concat([x, x], 1), "sequences are concatenated along time"),
        (lambda x: rg.reduce_max(rg.max_pool1d(x, 2), 1), "reduce_max runs over time"),
        (lambda x: rg.reverse_sequence(x, rg.placeholder("n", (None,), "int32")), "joins steps"),
        (
            lambda x: rg.stack_bidirectional_dynamic_rnn([rg.GRUCell(2)], [rg.GRUCell(2)], x)[0],
            "a backward recurrence",
        ),
    ],
)
def test_functions_that_need_later_steps_are_errors_in_streams(
    declare: Callable[[rg.Tensor], rg.Tensor], why: str
) -> None:
    x = sequence()
    program = rg.compile({"a": rg.dynamic_rnn(rg.GRUCell(3), x)[0], "b": declare(x)})
    with pytest.raises(rg.GraphError, match=rf"test_sequences\.py:\d+: this graph can't be streamed: .*{why}"):
        program.inference.stream()


def test_rows_turned_round() -> None:
    lengths = rg.placeholder("lengths", (None,), "int64")
    x = rg.placeholder("x", (None, None, 2, 3), "float64")
    program = rg.compile(rg.reverse_sequence(x, lengths))
    array, counts = data(4, 6, 2, 3), np.array([6, 0, 1, 4])
    assert np.array_equal(program.inference(x=array, lengths=counts), reference.reverse(array, counts))
    with pytest.raises(rg.ShapeError, match="feed lengths holds 7"):
        program.inference(x=array, lengths=counts + 1)


class ShiftCell(rg.Cell):
    """Cell whose output concatenates its state and input, and whose next state is a part of the output."""

    output_size = 12

    def state(self) -> Any:
        return {"past": 8}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        seen = rg.concat([state["past"], x])
        return seen, {"past": seen[:, 4:]}


def test_a_state_may_be_a_part_of_a_computed_value() -> None:
    x = data(BATCH, TIME, 4).astype("f")
    outputs, state = rg.dynamic_rnn(ShiftCell(), sequence("float32"))
    result = rg.compile({"outputs": outputs, "state": state}).inference(x=x)
    padded = np.pad(x, ((0, 0), (2, 0), (0, 0)))
    assert np.array_equal(result["outputs"], np.concatenate([padded[:, i : i + TIME] for i in range(3)], 2))
    assert np.array_equal(result["state"], x[:, -2:].reshape(BATCH, 8))


def test_a_static_driver_is_the_dynamic_one() -> None:
    steps = [rg.placeholder(name, (None, WIDTH)) for name in "abc"]
    cell = rg.GRUCell(5)
    outputs, state = rg.static_rnn(cell, steps, scope="s")
    expected, final = rg.dynamic_rnn(cell, rg.stack(steps, 1), scope="d")
    program = rg.compile({"outputs": outputs, "state": state, "expected": expected, "final": final}, unroll="full")
    for name in ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"):
        program.parameters[f"d/gru_cell/{name}"] = program.parameters[f"s/gru_cell/{name}"]
    result = program.inference({name: data(BATCH, WIDTH, seed=ord(name)) for name in "abc"})
    assert isinstance(result["outputs"], list)
    assert np.array_equal(np.stack(result["outputs"], 1), result["expected"])
    assert np.array_equal(result["state"], result["final"])


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda x: rg.cumsum(x, 3), rg.ShapeError, "axis 3"),
        (lambda x: rg.cumprod(rg.cast(x, "int32"), 1), rg.DtypeError, "needs floats.*rg.cast"),
        (lambda x: rg.reverse_sequence(x, x), rg.DtypeError, "lengths must be ints of shape"),
        (lambda x: rg.static_rnn(rg.GRUCell(3), x), rg.StructureError, "rg.dynamic_rnn for one Tensor"),
        (lambda x: rg.static_rnn(rg.GRUCell(3), [x]), rg.ShapeError, "fixed sizes after batch and time"),
        (
            lambda x: rg.stack_bidirectional_dynamic_rnn([rg.GRUCell(3)], [], x),
            rg.StructureError,
            "cells_bw must be a list",
        ),
        (
            lambda x: rg.stack_bidirectional_dynamic_rnn([rg.GRUCell(3)] * 2, [rg.GRUCell(3)], x),
            rg.StructureError,
            "2 forward cells and 1 backward cells",
        ),
        (
            lambda x: rg.stack_bidirectional_dynamic_rnn([rg.GRUCell(3)], [rg.GRUCell(3)], x, [1, 2]),
            rg.StructureError,
            "must be a list of 1",
        ),
        (
            lambda x: rg.dynamic_rnn(rg.HighwayWrapper(rg.GRUCell(3)), x),
            rg.ShapeError,
            "of width 4 with an output of width 3",
        ),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(
    declare: Callable[[rg.Tensor], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"test_sequences\.py:\d+: .*{message}"):
        declare(sequence("float32"))


@pytest.mark.parametrize("shape", [(5,), (None,), (None, 3), (2, None, 4)])
def test_positions_along_every_axis(shape: tuple[int | None, ...]) -> None:
    x = rg.placeholder("x", shape)
    axes = range(-len(shape), len(shape))
    program = rg.compile({"x": x, **{f"axis {axis}": rg.positions(x, axis) for axis in axes}})
    for size in (1, 7):
        array = np.zeros([size if dim is None else dim for dim in shape], np.float32)
        result = program.inference(x=array)
        for axis in axes:
            expected = np.arange(array.shape[axis])
            assert result[f"axis {axis}"].dtype == np.int64
            np.testing.assert_array_equal(result[f"axis {axis}"], expected)


def test_positions_along_a_value_that_nothing_else_reads() -> None:
    program = rg.compile(rg.positions(rg.placeholder("x", (None, None)), 1))
    np.testing.assert_array_equal(program.inference(x=np.zeros((3, 4))), np.arange(4))
    with pytest.raises(rg.DtypeError, match="positions needs a Tensor"):
        rg.positions([1, 2])
