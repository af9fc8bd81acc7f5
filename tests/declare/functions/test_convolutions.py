"""Convolutions and pools over time against loops in NumPy's float64, at lengths around those of windows."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import reference

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

Padding = str | tuple[int, int]
WIDTH, BATCH = 6, 3
PADDINGS: list[Padding] = ["causal", "same", "valid", "reflect", (2, 1), (0, 3)]
EVERY = list(product([1, 2, 3, 5], PADDINGS, [1, 2, 3, 4], [1, 2, 3], [1, 2, 6]))
"""Combinations of kernel sizes, paddings, strides, dilations and groups."""


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def sequence(dtype: str = "float64", time: int | None = None) -> rg.Tensor:
    return rg.placeholder("x", (None, time, WIDTH), dtype)


def steps_around(size: int, padding: Padding, strides: int, dilation: int) -> list[int]:
    """Return lengths around the shortest sequence with a window, or with valid padding, and longer lengths."""
    reach = dilation * (size - 1) + 1
    if padding == "valid":
        least = reach - 1
    elif isinstance(padding, tuple):
        least = max(reach - 1 - sum(padding), 0)
    else:
        least = reach if padding == "reflect" else 0
    return [max(1, least), least + 1, least + 7, 25]


def check_convolution(size: int, padding: Padding, strides: int, dilation: int, groups: int) -> None:
    result = rg.conv1d(sequence(), 12, size, padding, dilation, strides=strides, groups=groups)
    program = rg.compile({"y": result})
    program.parameters["conv1d/bias"] = data(12)
    assert program.parameters["conv1d/kernel"].shape == (size, WIDTH // groups, 12)
    for steps in steps_around(size, padding, strides, dilation):
        x = data(BATCH, steps, WIDTH, seed=steps)
        expected = reference.conv1d(program.parameters, "conv1d", x, padding, dilation, True, strides, groups)
        actual = program.inference(x=x)["y"]
        assert actual.shape == expected.shape, steps
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12, err_msg=str(steps))
        fed = {**program.parameters, "x": x}
        np.testing.assert_allclose(interpret(program.inference.graph, fed)["y"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("groups", "width", "filters"), [(8, 24, 8), (12, 24, 36), (7, 7, 21)])
def test_many_groups_are_one_kernel(groups: int, width: int, filters: int) -> None:
    x = rg.placeholder("x", (None, None, width), "float64")
    program = rg.compile(rg.conv1d(x, filters, 3, "same", groups=groups, use_bias=False), seed=0)
    assert str(program.inference.show("plan")).count("\n") < 60
    for steps in (1, 2, 17):
        fed = data(2, steps, width, seed=steps)
        expected = reference.conv1d(program.parameters, "conv1d", fed, "same", 1, False, 1, groups)
        np.testing.assert_allclose(program.inference(fed), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", EVERY[::97], ids=str)
def test_convolutions(case: Any) -> None:
    check_convolution(*case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", EVERY, ids=str)
def test_every_convolution(case: Any) -> None:
    check_convolution(*case)


@pytest.mark.parametrize("time", [5, 6, 7])
@pytest.mark.parametrize(
    ("padding", "strides", "size"), [("same", 4, 2), ("same", 5, 3), ("same", 2, 3), ("reflect", 3, 2), ("valid", 2, 5)]
)
def test_a_declared_length_and_an_open_one_give_equal_results(padding: str, strides: int, size: int, time: int) -> None:
    sequences = [sequence(time=axis_size) for axis_size in (time, None)]
    fixed, open_size = (rg.compile(rg.conv1d(x, 4, size, padding, strides=strides), seed=0) for x in sequences)
    x = data(BATCH, time, WIDTH)
    np.testing.assert_array_equal(fixed.inference(x=x), open_size.inference(x=x))


@pytest.mark.parametrize(("size", "width"), [(5, 40), (3, 17), (65, 16), (4, 1), (7, 64)])
def test_convolutions_of_several_widths(size: int, width: int) -> None:
    """Windows are read in place or copied, depending on widths."""
    x = rg.placeholder("x", (None, None, width))
    result = rg.conv1d(x, 33, size, "same", strides=2)
    program = rg.compile({"y": result}, loss=rg.reduce_sum(rg.square(result)))
    array = data(2, 63, width).astype("f")
    expected = reference.conv1d(program.parameters, "conv1d", array, "same", strides=2)
    np.testing.assert_allclose(program.inference(x=array)["y"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "strides"), [(1, 1), (2, None), (3, 2), (2, 3), (5, 1), (4, 4)])
def test_pools(kind: str, padding: str, size: int, strides: int | None) -> None:
    pool = {"max": rg.max_pool1d, "mean": rg.average_pool1d}[kind]
    program = rg.compile(pool(sequence(), size, strides, padding))
    for steps in (max(1, size - 1), size, size + 1, size + 6, 25):
        x = data(BATCH, steps, WIDTH, seed=steps) - 3
        expected = reference.pool1d(x, size, strides or size, padding, kind)
        np.testing.assert_allclose(program.inference(x=x), expected, rtol=1e-12, err_msg=str(steps))


@pytest.mark.parametrize("padding", ["same", pytest.param("causal", marks=pytest.mark.exhaustive)])
def test_a_row_alone_and_among_others_and_threads(padding: str) -> None:
    """A convolution's bits depend on its own row only, for any number of workers."""
    x = rg.placeholder("x", (None, None, 40))
    hidden = rg.conv1d(x, 24, 3, padding, strides=2, activation="relu")
    hidden = rg.max_pool1d(rg.conv1d(hidden, 24, 5, "same", groups=24, name="depthwise"), 3, 2)
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(9), hidden)
    loss = rg.reduce_sum(rg.square(outputs))
    program, shared = (rg.compile({"outputs": outputs}, loss=loss, seed=0, threads=count) for count in (1, 2))
    array = data(7, 63, 40).astype("f")
    whole = program.inference(x=array)["outputs"]
    for rows in ([3], [0, 4, 5]):
        np.testing.assert_array_equal(program.inference(x=array[rows])["outputs"], whole[rows])
    np.testing.assert_array_equal(shared.inference(x=array)["outputs"], whole)
    mine, theirs = (each.training.gradients(x=array)[1] for each in (program, shared))
    for name, gradient in mine.items():
        np.testing.assert_array_equal(gradient, theirs[name], name)


def test_largest_steps_that_are_equal_share_the_gradient() -> None:
    x = sequence()
    program = rg.compile({"y": x}, loss=rg.reduce_sum(rg.max_pool1d(x, 3)))
    _, gradients = program.training.gradients({"x": np.zeros((1, 7, WIDTH))}, wrt=["x"])
    np.testing.assert_allclose(gradients["x"][0, :, 0], [1 / 3] * 6 + [0])


class Frequencies(rg.Cell):
    """Cell with windows over a step's units instead of time."""

    output_size = 5

    def state(self) -> Any:
        return {"h": 5}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        bands = rg.squeeze(rg.max_pool1d(rg.tanh(rg.expand_dims(x, 2)), 3, 2, "same"), 2)[:, ::-1]
        seen = rg.concat([bands, x[:, :1:-3], state["h"]])
        h = rg.tanh(seen @ p.kernel("kernel", (10, 5)))
        return h, {"h": h}


def test_windows_of_units_within_a_step() -> None:
    outputs, _ = rg.dynamic_rnn(Frequencies(), sequence("float32"))
    program = rg.compile({"y": outputs})
    x = data(BATCH, 7, WIDTH).astype("f")
    whole = program.inference(x=x)["y"]
    np.testing.assert_allclose(
        interpret(program.inference.graph, {**program.parameters, "x": x})["y"], whole, atol=1e-6
    )
    stream = program.inference.stream(batch=BATCH)
    np.testing.assert_array_equal(np.stack([stream.step(x=x[:, t])["y"] for t in range(7)], 1), whole)


def test_saved_and_loaded(tmp_path: Any) -> None:
    x = rg.placeholder("x", (None, "T", WIDTH))
    y = rg.placeholder("y", (None, None, 4))
    hidden = rg.conv1d(x, 4, 2, "same", strides=3)
    program = rg.compile({"y": rg.average_pool1d(hidden, 2, padding="same"), "sum": hidden + y})
    program.save(tmp_path / "net")
    loaded = rg.load(tmp_path / "net")
    feeds = {"x": data(2, 8, WIDTH).astype("f"), "y": data(2, 3, 4).astype("f")}
    mine, theirs = program.inference(feeds), loaded.inference(feeds)
    assert str(loaded.inference.graph) == str(program.inference.graph)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])
    with pytest.raises(rg.ShapeError, match=r"feed y has shape .*axis 1 must be \(T\+2\)//3 = 3, as in feed x"):
        loaded.inference({**feeds, "y": data(2, 4, 4)})


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda x: rg.conv1d(x, 5, 3, "full"), rg.ArgumentError, "use one of causal, same, valid, reflect"),
        (lambda x: rg.conv1d(x, 5, 3, (1, 2, 3)), rg.ArgumentError, r"or \(before, after\)"),
        (lambda x: rg.conv1d(x, 5, 3, (1, -2)), rg.ArgumentError, "padding must be at least 0"),
        (lambda x: rg.conv1d(x, 0, 3), rg.ArgumentError, "filters must be positive"),
        (lambda x: rg.conv1d(x, 5, 3, dilation=0), rg.ArgumentError, "dilation must be positive"),
        (lambda x: rg.conv1d(x, 5, 3, strides=0), rg.ArgumentError, "strides must be positive"),
        (lambda x: rg.conv1d(x, 5, 3, strides=1 << 21), rg.ArgumentError, "strides must be at most"),
        (lambda x: rg.conv1d(x, 8, 3, groups=4), rg.ArgumentError, "groups=4 must divide the width of 6"),
        (lambda x: rg.conv1d(x, 8, 3, groups=3), rg.ArgumentError, "groups=3 must divide .* the 8 filters"),
        (lambda x: rg.conv1d(x[:, 0], 5, 3), rg.ShapeError, r"\[batch, time, width\]"),
        (lambda x: rg.conv1d(x[:, :2], 5, 3, "valid"), rg.ShapeError, "at least 3 steps"),
        (lambda x: rg.conv1d(x[:, :2], 5, 5, "reflect"), rg.ShapeError, "reflect padding of 2 needs 3 entries"),
        (lambda x: rg.max_pool1d(x, 2, padding="causal"), rg.ArgumentError, "use one of valid, same"),
        (lambda x: rg.max_pool1d(x[:, :1], 2), rg.ShapeError, "at least 2 steps"),
        (lambda x: rg.max_pool1d(x, 2, 0), rg.ArgumentError, "strides must be positive"),
        (lambda x: rg.average_pool1d(x, 0), rg.ArgumentError, "pool_size must be positive"),
        (lambda x: rg.average_pool1d(x[:, 0], 2), rg.ShapeError, r"average_pool1d needs a Tensor \[batch, time, width"),
        (lambda x: rg.average_pool1d(rg.cast(x, "int32"), 2), rg.DtypeError, "average_pool1d needs a float Tensor"),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(
    declare: Callable[[rg.Tensor], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"test_convolutions\.py:\d+: .*{message}"):
        declare(sequence("float32"))


def test_a_sequence_too_short_for_a_window_is_an_error() -> None:
    program = rg.compile(rg.conv1d(sequence(), 5, 3, "valid"))
    with pytest.raises(
        rg.ShapeError, match=r"a window of 3 entries of an axis of .*test_convolutions\.py:\d+\) does not fit"
    ):
        program.inference(x=data(BATCH, 1, WIDTH))
    program = rg.compile(rg.conv1d(sequence(), 5, 7, "reflect"))
    with pytest.raises(rg.ShapeError, match=r"a slice 1:4 of an axis of .*test_convolutions\.py:\d+\) does not fit"):
        program.inference(x=data(BATCH, 3, WIDTH))
