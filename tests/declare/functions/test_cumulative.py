"""Cumulative products, extremes and log-sum-exp: NumPy's values, torch's ties, equal results in steps."""

from collections.abc import Callable

import numpy as np
import pytest

import rnngraph as rg

NAN, INF = np.nan, np.inf
HARD = {
    "nan": [1.0, NAN, 2.0, -3.0],
    "nans": [NAN, 1.0, NAN, 0.0],
    "ties": [2.0, 2.0, 1.0, 2.0],
    "inf": [-INF, INF, 1.0, 0.0],
    "none": [-INF, -INF, -INF, -INF],
    "late": [-INF, 1.0, -INF, 2.0],
    "large": [1e30, -1e30, 88.0, 1e30],
    "zeros": [0.0, 2.0, 0.0, -3.0],
}
FUNCTIONS: dict[str, tuple[Callable[..., rg.Tensor], Callable[..., np.ndarray]]] = {
    "cumprod": (rg.cumprod, np.cumprod),
    "cummax": (rg.cummax, np.maximum.accumulate),
    "cummin": (rg.cummin, np.minimum.accumulate),
    "logcumsumexp": (rg.logcumsumexp, np.logaddexp.accumulate),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [4, None])
def test_hard_points(size: int | None, dtype: str) -> None:
    x = rg.placeholder("x", (None, size), dtype)
    array = np.array([*HARD.values()], dtype)
    result = rg.compile({name: ours(x, 1) for name, (ours, _) in FUNCTIONS.items()}).inference(x=array)
    for name, (_, theirs) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            wanted = theirs(array.astype("float64"), 1).astype(dtype)
        np.testing.assert_allclose(result[name], wanted, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("shape", [(9,), (None,), (None, 3), (2, None, 9, None), (2, 3, None, 4)])
def test_every_axis(shape: tuple[int | None, ...]) -> None:
    x = rg.placeholder("x", shape, "float64")
    array = np.random.default_rng(0).normal(size=[dim or 7 for dim in shape])
    axes = range(-1, len(shape))
    outputs = {f"{name} {axis}": ours(x, axis) for name, (ours, _) in FUNCTIONS.items() for axis in axes}
    outputs |= {f"from the end {axis}": rg.cumprod(x, axis, reverse=True) for axis in axes}
    outputs |= {f"without {axis}": rg.cumprod(x, axis, exclusive=True) for axis in axes}
    result = rg.compile(outputs).inference(x=array)
    for axis in axes:
        for name, (_, theirs) in FUNCTIONS.items():
            np.testing.assert_allclose(result[f"{name} {axis}"], theirs(array, axis), rtol=1e-12, atol=1e-14)
        turned = np.flip(np.cumprod(np.flip(array, axis), axis), axis)
        np.testing.assert_allclose(result[f"from the end {axis}"], turned, rtol=1e-12)
        np.testing.assert_allclose(result[f"without {axis}"] * array, np.cumprod(array, axis), rtol=1e-12)


@pytest.mark.parametrize("size", [300, None])
def test_logarithms_of_sums_do_not_underflow(size: int | None) -> None:
    line = np.linspace(0, 300, 300, dtype="float32")
    result = rg.compile(rg.logcumsumexp(rg.placeholder("x", (size,)))).inference(x=line)
    np.testing.assert_allclose(result, np.logaddexp.accumulate(line.astype("float64")), rtol=3e-7)


def test_steps_of_a_stream_are_the_whole_bit_by_bit() -> None:
    x = rg.placeholder("x", (None, None, 3))
    program = rg.compile({name: ours(rg.tanh(x) * 40, 1) for name, (ours, _) in FUNCTIONS.items()})
    array = np.random.default_rng(1).normal(size=(2, 12, 3)).astype("float32")
    array[0, 5, 1], array[1, :4, 0] = np.nan, -np.inf
    whole, stream = program.inference(x=array), program.inference.stream(batch=2)
    parts = [stream.step(x=array[:, step]) for step in range(5)]
    rest = stream.process(x=array[:, 5:])
    for name, wanted in whole.items():
        steps = np.stack([part[name] for part in parts], 1)
        np.testing.assert_array_equal(np.concatenate([steps, rest[name]], 1), wanted, err_msg=name)


@pytest.mark.parametrize("size", [4, None])
@pytest.mark.parametrize(
    ("function", "entries", "gradient"),
    [
        (rg.cummax, [2.0, 2.0, 1.0, 2.0], [1, 2, 0, 1]),
        (rg.cummin, [2.0, 2.0, 1.0, 1.0], [1, 1, 1, 1]),
        (rg.cummax, [1.0, NAN, 2.0, NAN], [1, 2, 0, 1]),
        (rg.cumprod, [0.0, 2.0, 3.0, 0.0], [9, 0, 0, 0]),
        (rg.logcumsumexp, [0.0, 0.0, -INF, -INF], [2.5, 1.5, 0, 0]),
    ],
)
def test_gradients_are_torchs_at_ties(
    function: Callable[..., rg.Tensor], entries: list[float], gradient: list[float], size: int | None
) -> None:
    x = rg.placeholder("x", (size,))
    program = rg.compile(x, loss=rg.reduce_sum(function(x)))
    _, gradients = program.training.gradients(x=entries, wrt=["x"])
    np.testing.assert_allclose(gradients["x"], gradient, rtol=1e-6)


def test_integers_and_rejected_arguments() -> None:
    x = rg.placeholder("x", (None, 3), "int32")
    program = rg.compile({"max": rg.cummax(x, 1), "min": rg.cummin(x, 1), "product": rg.cumprod(x, 1)})
    result = program.inference(x=[[-(2**31), 5, 2**31 - 1], [3, -1, 2]])
    assert result["max"].tolist() == [[-(2**31), 5, 2**31 - 1], [3, 3, 3]]
    assert result["min"].tolist() == [[-(2**31)] * 3, [3, -1, -1]]
    assert result["product"].tolist()[1] == [3, -3, -6]
    with pytest.raises(rg.DtypeError, match=r"cumprod along an axis of symbolic size needs floats.*rg\.cast"):
        rg.cumprod(x, 0)
    with pytest.raises(rg.DtypeError, match="logcumsumexp needs floats"):
        rg.logcumsumexp(x, 1)
