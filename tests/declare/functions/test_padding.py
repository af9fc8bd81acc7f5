"""``pad`` equals ``numpy.pad``."""

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
