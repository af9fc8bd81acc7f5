"""Convolutions and pools of pictures of open width: no copies, no products with padding, and the numbers of NumPy."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

WIDTHS = (1, 2, 3, 7, 17, 25, 63, 100)


@cache
def net(height: int, channels: int, filters: int, stride: int = 1, threads: int = 1) -> rg.Program:
    """Return a convolution, a maximum over pairs of rows if there are several, and another convolution.

    A recurrence reads the result along the columns, so that one compilation serves every width.
    """
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, (None, height, None, channels), name="x")
    y = tf.layers.conv2d(x, filters, 3, (1, stride), "same", activation=tf.nn.relu, name="first")
    if height > 1:
        y = tf.layers.max_pooling2d(y, (2, 1), (2, 1))
    y = tf.layers.conv2d(y, filters, 3, padding="same", name="second")
    columns, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), rg.reduce_mean(y, axis=1))
    return rg.compile(
        {"y": y, "columns": columns}, loss=rg.reduce_mean(rg.square(y)), cache=False, seed=3, threads=threads
    )


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> np.ndarray:
    """Return a 2-D convolution with TensorFlow's ``same`` padding, in float64."""
    height, width = x.shape[1:3]
    steps = -(-width // stride)
    missing = max((steps - 1) * stride + 3 - width, 0)
    padded = np.pad(x.astype(float), ((0, 0), (1, 1), (missing // 2, missing - missing // 2), (0, 0)))
    total = np.zeros((len(x), height, steps, kernel.shape[-1])) + bias
    for row in range(3):
        for column in range(3):
            part = padded[:, row : row + height, column : column + (steps - 1) * stride + 1 : stride]
            total += part @ kernel[row, column].astype(float)
    return total


def expected(program: rg.Program, x: np.ndarray, stride: int = 1) -> np.ndarray:
    weights = {name: np.asarray(value) for name, value in program.parameters.items()}
    y = np.maximum(convolved(x, weights["first/kernel"], weights["first/bias"], stride), 0)
    if x.shape[1] > 1:
        pairs = y[:, : x.shape[1] // 2 * 2]
        y = np.maximum(pairs[:, ::2], pairs[:, 1::2])
    return convolved(y, weights["second/kernel"], weights["second/bias"])


@pytest.mark.parametrize(
    ("height", "channels", "filters"),
    [
        pytest.param(1, 17, 25, marks=pytest.mark.slow),
        (2, 3, 17),
        pytest.param(7, 16, 63, marks=pytest.mark.slow),
        (8, 48, 32),
    ],
)
def test_convolutions_of_every_width_have_the_numbers_of_numpy(height: int, channels: int, filters: int) -> None:
    program = net(height, channels, filters)
    for batch in (1, 3):
        for width in WIDTHS:
            x = np.random.default_rng(width).standard_normal((batch, height, width, channels)).astype(np.float32)
            np.testing.assert_allclose(program.inference(x=x)["y"], expected(program, x), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("width", WIDTHS)
def test_strided_convolutions_have_the_numbers_of_numpy(width: int) -> None:
    program = net(4, 16, 17, 2)
    x = np.random.default_rng(width).standard_normal((2, 4, width, 16)).astype(np.float32)
    np.testing.assert_allclose(program.inference(x=x)["y"], expected(program, x, 2), rtol=2e-4, atol=2e-5)


def test_rows_alone_and_several_threads_have_the_same_bits() -> None:
    program = net(8, 48, 32)
    x = np.random.default_rng(0).standard_normal((5, 8, 25, 48)).astype(np.float32)
    together = program.inference(x=x)["y"]
    for row in range(5):
        np.testing.assert_array_equal(program.inference(x=x[row : row + 1])["y"][0], together[row])
    np.testing.assert_array_equal(net(8, 48, 32, threads=2).inference(x=x)["y"], together)


def test_a_convolution_is_one_kernel_that_reads_padded_rows_in_place() -> None:
    program = net(8, 48, 32)
    program.inference(x=np.zeros((1, 8, 100, 48), np.float32))
    _, of_a_call = str(program.inference.show("plan")).split(": once\n", 1)
    assert of_a_call.count("9 products") == 2
    assert "copy" not in of_a_call
    loops = str(program.inference.show("loops"))
    conditions = re.findall(r"when (\d+) <= \w+ < (\d+)$", loops, re.MULTILINE)
    assert conditions, "rows of padding are multiplied"


@pytest.mark.filterwarnings("ignore:.*the loss does not depend on:UserWarning")
def test_gradients_of_convolutions_are_differences_of_the_loss() -> None:
    program = net(2, 3, 17)
    x = np.random.default_rng(1).standard_normal((2, 2, 7, 3)).astype(np.float32)
    _, gradients = program.training.gradients(x=x)

    def loss() -> float:
        return float(np.mean(np.square(expected(program, x))))

    for name in ("first/kernel", "second/kernel"):
        value = np.array(program.parameters[name])
        direction = np.random.default_rng(2).standard_normal(value.shape).astype(np.float32)
        values = []
        for sign in (1, -1):
            program.parameters[name] = value + np.float32(sign * 1e-3) * direction
            values.append(loss())
        program.parameters[name] = value
        slope = (values[0] - values[1]) / 2e-3
        np.testing.assert_allclose(np.sum(gradients[name].astype(float) * direction), slope, rtol=2e-2, atol=1e-4)
