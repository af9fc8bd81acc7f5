"""``pad`` equals ``numpy.pad``, and ``pad_to_multiple`` pads ends."""

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

SHAPE = (3, 5, 4)
PADDINGS: list[Any] = [
    0,
    2,
    (1, 2),
    [(0, 2)],
    ((0, 0), (3, 1), (0, 2)),
    [[1], [0], [3]],
    np.array([[2, 0], [0, 0], [1, 1]]),
]


@pytest.mark.filterwarnings("ignore:.*pads all 3 axes")
@pytest.mark.parametrize("shape", [SHAPE, (None, None, 4), (None, None, None)])
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_every_mode(mode: str, shape: tuple[int | None, ...]) -> None:
    x = rg.placeholder("x", shape, "float64")
    array = np.random.default_rng(0).normal(size=SHAPE)
    fits = [paddings for paddings in PADDINGS if mode != "reflect" or np.max(paddings) < 3]
    program = rg.compile({str(number): rg.pad(x, paddings, mode) for number, paddings in enumerate(fits)})
    for name, actual in program.inference(x=array).items():
        np.testing.assert_array_equal(actual, np.pad(array, fits[int(name)], mode=mode))


def test_numbers_around_and_axes_by_number() -> None:
    x, ids = rg.placeholder("x", (None, 4)), rg.placeholder("ids", (None, None), "int32")
    outputs = {
        "last": rg.pad(x, {-1: (1, 2), 0: 1}, value=-np.inf),
        "ids": rg.pad(ids, {1: (0, 3)}, value=7),
        "truths": rg.pad(ids > 2, [(0, 1)], value=True),
    }
    a, b = np.ones((2, 4), "f"), np.arange(6, dtype="int32").reshape(2, 3)
    result = rg.compile(outputs).inference(x=a, ids=b)
    np.testing.assert_array_equal(result["last"], np.pad(a, ((1, 1), (1, 2)), constant_values=-np.inf))
    np.testing.assert_array_equal(result["ids"], np.pad(b, ((0, 0), (0, 3)), constant_values=7))
    np.testing.assert_array_equal(result["truths"], np.pad(b > 2, (0, 1), constant_values=True))


def test_padding_to_multiples() -> None:
    x = rg.placeholder("x", (None, None, 3))
    y = rg.pad_to_multiple(x, 4)
    outputs = {"time": y, "units": rg.pad_to_multiple(x, 2, -1, value=7.0), "none": rg.pad_to_multiple(x, 1)}
    blocks, _ = rg.dynamic_rnn(rg.GRUCell(2), rg.reshape(y, (None, -1, 12)))
    program = rg.compile({**outputs, "blocks": blocks}, loss=rg.reduce_sum(rg.square(y - 1)), seed=0)
    for steps in (1, 3, 4, 5, 8):
        array = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype(np.float32)
        result = program.inference(x=array)
        wanted = np.pad(array, ((0, 0), (0, -steps % 4), (0, 0)))
        np.testing.assert_array_equal(result["time"], wanted)
        np.testing.assert_array_equal(result["units"], np.pad(array, ((0, 0), (0, 0), (0, 1)), constant_values=7))
        np.testing.assert_array_equal(result["none"], array)
        value, gradients = program.training.gradients(x=array, wrt=["x"])
        np.testing.assert_allclose(value, ((wanted - 1) ** 2).sum(), rtol=1e-5)
        np.testing.assert_allclose(gradients["x"], 2 * (array - 1), rtol=1e-6)
    only = rg.compile(blocks, seed=0).inference
    whole, stream = only(x=array), only.stream(batch=2)
    np.testing.assert_array_equal(stream.process(x=array), whole)
    with pytest.raises(rg.ArgumentError, match="multiple"):
        rg.pad_to_multiple(x, 0)


@pytest.mark.parametrize(
    ("paddings", "mode", "error", "message"),
    [
        (1, "symmetric", rg.ArgumentError, "use one of constant, reflect, edge"),
        (-1, "constant", rg.ArgumentError, "must be ints of 0 or more"),
        (1.5, "constant", rg.ArgumentError, "must be ints of 0 or more"),
        ((1, 2, 3), "constant", rg.ArgumentError, "must be ints of 0 or more"),
        ("same", "constant", rg.ArgumentError, "must be ints of 0 or more"),
        ({5: 1}, "constant", rg.ShapeError, "axis 5"),
        ({1: 5}, "reflect", rg.ShapeError, "reflect padding of 5 needs 6 entries or more along axis 1"),
    ],
)
def test_mistakes(paddings: Any, mode: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"test_padding\.py:\d+: .*{message}"):
        rg.pad(rg.placeholder("x", SHAPE), paddings, mode)


def test_too_few_entries_to_reflect_at_a_call() -> None:
    program = rg.compile(rg.pad(rg.placeholder("x", (None, "T")), ((0, 0), (0, 3)), "reflect"))
    program.inference(x=np.zeros((2, 4)))
    with pytest.raises(rg.ShapeError, match=r"of an axis of T .*test_padding\.py:\d+\) does not fit T = 3"):
        program.inference(x=np.zeros((2, 3)))
