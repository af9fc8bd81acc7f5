"""reduced_weights: results of each form in the interpreter against NumPy in float64, and the conditions for its use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.numbers.narrow import rounded_to_bfloat16
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import TensorType
from rnngraph.passes.quantization.narrow_products import Builder, Bytes
from rnngraph.passes.quantization.reduced_weights import MAX_DEPTH, NarrowKind, ReducedWeights

DIRECTORY = Path(__file__).parents[1] / "golden"


def int8(matrix: np.ndarray) -> np.ndarray:
    scale = np.abs(matrix).max(0) / 127
    return np.rint(matrix / scale) * scale


ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {"int8": int8, "bfloat16": rounded_to_bfloat16}


def reduced(form: str, dots: bool = True) -> ReducedWeights:
    return ReducedWeights(NarrowKind(form, dots, min_depth=1, min_weights=1))


def in_a_scan() -> Graph:
    return parse((DIRECTORY / "reduced_weights_int8/in_a_scan.in.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("form", "dots"), [("int8", True), ("int8", False), ("bfloat16", False)])
def test_values_are_those_of_rounded_weights(form: str, dots: bool) -> None:
    graph, generator = in_a_scan(), np.random.default_rng(1)
    shapes = {"x": (4, 3, 2), "K": (5, 6), "b": (6,)}
    feeds = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    rounded = ROUNDED[form]
    kernel = np.concatenate([rounded(feeds["K"][:2]), rounded(feeds["K"][2:])])
    expected = interpret(graph, feeds | {"K": kernel}, wide=True)["output"]
    found = interpret(reduced(form, dots)(graph), feeds)["output"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4)
    assert np.abs(expected - interpret(graph, feeds)["output"]).max() > 1e-3


def whole_rows(x: np.ndarray, dtype: str) -> list[np.ndarray]:
    """Return the quantized rows of ``Bytes``, their negated zero points, and their scales."""
    node = make("input", label="x", name="x", type=TensorType("float32", x.shape))
    names = ("whole", "zero", "step")
    rows = Bytes(dtype).row(Builder(node), node)
    whole = make("cast", rows[0], dtype="int32")  # outputs need a dtype that graphs can return
    graph = Graph.of("rows", list(zip(names, (whole, *rows[1:]), strict=True)), [node])
    values = interpret(graph, {"x": x})
    return [values[name] for name in names]


@pytest.mark.parametrize(("dtype", "offset"), [("int8", 0), ("uint8", 128)])
def test_rows_of_bytes(dtype: str, offset: int) -> None:
    """No value saturates, errors are at most half a step, 0 is exact, and rows are rounded independently."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(4000, 7)).astype(np.float32)
    x[:1000] = np.abs(x[:1000])
    x[1000:2000] -= 3
    x[2000:3000, 2:] = 0
    steps = generator.integers(0, 507, (1000, 1)) / 2  # the minimum and the maximum are ties in rounding
    x[3000:, :2] = np.concatenate([-steps, 253 - steps], 1) / 253
    x[3000:, 2:] = 0
    x[7] = 0
    x[8] *= 1e38
    x[9] *= 1e-36
    whole, zero, step = whole_rows(x, dtype)
    assert np.abs(whole - offset).max() == 127
    back = (whole + zero) * step.astype(np.float64)
    assert np.abs((back - x) / step).max() < 0.5001
    np.testing.assert_array_equal(back[x == 0], 0)
    assert step[0] == pytest.approx(x[0].max() / 253, rel=1e-6)
    alone = whole_rows(x[11:12], dtype)
    for found, among in zip(alone, (whole, zero, step), strict=True):
        np.testing.assert_array_equal(found[0], among[11])


def test_activations_of_8_bits_on_all_targets() -> None:
    """Integers and scales are the same on processors with products of signed or unsigned bytes, or none."""
    graph, generator = in_a_scan(), np.random.default_rng(1)
    shapes = {"x": (4, 3, 2), "K": (5, 6), "b": (6,)}
    feeds = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ways = [("uint8", True), ("int8", True), ("", False)]
    forms = [ReducedWeights(NarrowKind("int8", dots, False, of, min_depth=1, min_weights=1)) for of, dots in ways]
    first, second, third = (interpret(form(graph), feeds)["output"] for form in forms)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, third, rtol=0, atol=1e-6)
    rounded = np.concatenate([int8(feeds["K"][:2]), int8(feeds["K"][2:])])
    x = feeds["x"].reshape(-1, 2)  # each row is rounded here by another method
    least, largest = np.minimum(x.min(1, keepdims=True), 0), np.maximum(x.max(1, keepdims=True), 0)
    step = (largest - least).astype(np.float64) / 253
    zero = np.rint(-126.5 - least / step)
    given = feeds | {"x": ((np.rint(x / step + zero) - zero) * step).reshape(feeds["x"].shape), "K": rounded}
    expected = interpret(graph, given, wide=True)["output"]
    assert np.abs(first - expected).max() < 0.02  # the state h is not rounded here
    np.testing.assert_allclose(first[0], expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("worst", [0.0, 0.4])
def test_weights_of_one_scale_stay_as_they_are(worst: float) -> None:
    """A quantized file has one scale. If one value is not on its grid, each column gets its own scale."""
    graph, generator = product("B,", 64, 64), np.random.default_rng(2)
    whole = generator.integers(-90, 91, (64, 64)).astype(np.float32)
    whole[5, 5], whole[7, 7] = 127, whole[7, 7] + worst
    feeds = {"x": np.eye(64, dtype=np.float32), "W": (whole * np.float32(0.0123)).astype(np.float32)}
    for of, dots in (("uint8", True), ("int8", True), ("", False)):
        found = interpret(ReducedWeights(NarrowKind("int8", dots, False, of))(graph), feeds)["y"]
        off = np.abs(found - feeds["W"]) / (np.abs(feeds["W"]).max(0) / 127)  # in steps of each column
        assert (off.max() < 1e-4) if worst == 0 else (0.4 < off.max() < 0.501)


def product(shape: str, depth: int, width: int, first: int = 0) -> Graph:
    """Return the graph of the product of x and the columns of a weight from ``first`` on."""
    text = f"""graph g
  x = input : f32[{shape}{depth}]
  W = parameter {{label='W'}} : f32[{depth},{width}]
  part = slice W[:, {first}:] : f32[{depth},{width - first}]
  y = matmul x, part : f32[{shape}{width - first}]
  output 'y' = y
"""
    return parse(text)


def changes(graph: Graph) -> bool:
    return ReducedWeights(NarrowKind("int8", True))(graph) is not graph


def test_small_and_endless_weights_stay() -> None:
    """The rule depends on shapes alone. For gates, it uses the shape of the whole weight."""
    assert changes(product("B,", 64, 64))
    assert not changes(product("B,", 64, 63))
    assert not changes(product("B,", 31, 4096))
    assert changes(product("B,", 32, 128))
    assert changes(product("B,", 64, 64, 60))
    assert changes(product("B,", MAX_DEPTH, 2))
    assert not changes(product("B,", MAX_DEPTH + 1, 2))


@pytest.mark.parametrize("shape", ["", "B,", "T,B,"])
def test_rows_of_any_rank(shape: str) -> None:
    graph = product(shape, 64, 64)
    feeds = {"x": np.ones((2, 3, 64), np.float32)[(0,) * (2 - shape.count(","))], "W": np.eye(64, dtype=np.float32)}
    found = interpret(ReducedWeights(NarrowKind("int8", True))(graph), feeds)["y"]
    np.testing.assert_allclose(found, feeds["x"], rtol=1e-4)
