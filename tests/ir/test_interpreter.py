"""The interpreter against handwritten NumPy, and every op of the table against its own type rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.ops import OPS
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import TensorType

GENERATOR = np.random.default_rng(5)
FLOATS = GENERATOR.normal(size=(2, 3)).astype(np.float32)
POSITIVE = np.abs(FLOATS) + np.float32(0.5)
INTEGERS = GENERATOR.integers(-4, 5, (2, 3))
BOOLS = np.array([[True, False, True], [False, False, True]])
OPERANDS: dict[str, list[np.ndarray]] = {
    **{op: [FLOATS, POSITIVE] for op in ("add", "sub", "mul", "div", "maximum", "minimum", "less", "less_equal")},
    **{op: [FLOATS, POSITIVE] for op in ("fmod", "power", "copysign", "straight_through")},
    **{op: [FLOATS, POSITIVE] for op in ("equal", "not_equal")},
    **{op: [FLOATS] for op in ("neg", "abs", "sign", "exp", "expm1", "tanh", "sigmoid", "cast")},
    **{op: [FLOATS] for op in ("sin", "cos", "atan", "erf")},
    **{op: [FLOATS] for op in ("reduce_sum", "reduce_max", "reduce_min", "slice", "reverse", "transpose", "reshape")},
    **{op: [POSITIVE] for op in ("log", "log1p", "sqrt", "stop_gradient")},
    **{op: [BOOLS, ~BOOLS] for op in ("and", "or")},
    "round": [FLOATS],
    "not": [BOOLS],
    "fma": [FLOATS, POSITIVE, FLOATS],
    "select": [BOOLS, FLOATS, POSITIVE],
    "random_key": [np.asarray(7), np.arange(2)[:, None], np.arange(3)],
    **{op: [INTEGERS, np.arange(3)] for op in ("random_uniform", "sample_uniform")},
    "sample_key": [np.arange(2)[:, None], np.arange(3)],
    "matmul": [FLOATS, FLOATS.T.copy(), POSITIVE[:, :2]],
    "block_matmul": [
        np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
        np.arange(8, dtype=np.uint8).reshape(4, 2),
        np.ones((3, 2), np.float32),
        np.ones((2, 2), np.float16),
        np.ones((3, 2), np.int32),
    ],
    "outer_sum": [FLOATS, POSITIVE],
    "broadcast": [FLOATS],
    "ensure_shape": [FLOATS],
    "concat": [FLOATS, POSITIVE],
    "gather": [FLOATS, np.array([[1, 0], [5, -3]])],
    "scatter_add": [np.array([1, 1]), FLOATS],
    "windows": [FLOATS],
    "overlap_add": [np.arange(12.0).reshape(2, 3, 2)],
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    **{op: {"axes": (1,), "keepdims": False} for op in ("reduce_sum", "reduce_max", "reduce_min")},
    "cast": {"dtype": "int32"},
    **{op: {"site": "rnn/input", "salt": 3} for op in ("random_key", "sample_key")},
    "slice": {"start": (1, 0), "stop": (2, 3), "step": (1, 2)},
    "reverse": {"axis": 1},
    "transpose": {"order": (1, 0)},
    "reshape": {"shape": (3, 1, 2)},
    "broadcast": {"shape": (4, 2, 3)},
    "ensure_shape": {"shape": (2, 3)},
    "block_matmul": {"block": 2, "zero": 3, "bits": 8},
    "concat": {"axis": 0},
    "scatter_add": {"rows": 3},
    "windows": {"axis": 1, "size": 2, "step": 2, "apart": 1},
    "overlap_add": {"axis": 1, "size": 6, "step": 2, "apart": 1},
}


def input_of(array: np.ndarray, number: int) -> Node:
    kind = TensorType(str(array.dtype), array.shape)
    return make("input", label=f"x{number}", type=kind)


@pytest.mark.parametrize("op", [op for op, row in OPS.items() if row.kind not in ("leaf", "structured")])
def test_values_have_the_type_that_is_inferred(op: str) -> None:
    """Types agree in the graph's own precision and in float64."""
    inputs = [input_of(array, number) for number, array in enumerate(OPERANDS[op])]
    node = make(op, *inputs, **ATTRIBUTES.get(op, {}))
    graph = Graph.of("g", [("y", node)], inputs)
    feeds = {f"x{number}": array for number, array in enumerate(OPERANDS[op])}
    narrow, wide = interpret(graph, feeds)["y"], interpret(graph, feeds, wide=True)["y"]
    assert narrow.shape == wide.shape == node.shape
    assert str(narrow.dtype) == node.dtype
    assert str(wide.dtype) == ("float64" if node.dtype == "float32" else node.dtype)
    np.testing.assert_allclose(narrow, wide, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_is_right_far_out(dtype: str) -> None:
    x = np.array([-np.inf, -1e4, -100.0, 0.0, 100.0, np.inf, np.nan], dtype)
    node = input_of(x, 0)
    result = interpret(Graph.of("g", [("y", make("sigmoid", node))], [node]), {"x0": x})["y"]
    np.testing.assert_array_equal(result, np.array([0, 0, np.exp(x[2]), 0.5, 1, 1, np.nan], dtype))


def test_gather_takes_the_nearest_row() -> None:
    """Computed indices are clamped; fed ones are validated before a call."""
    graph = Graph.of("g", [("y", make("gather", *map(input_of, (FLOATS, np.array([5, -3])), (0, 1))))])
    result = interpret(graph, {"x0": FLOATS, "x1": np.array([5, -3])})["y"]
    np.testing.assert_array_equal(result, FLOATS[[1, 0]])


SCAN = """graph running_sums
  x = input : f32[T,B]
  start = input : f32[B]
  scale = input : f32[]
  full = broadcast f32(1.0) {shape=(2,)} : f32[2]
  loop = scan {length=T, reverse=False} : (f32[B], f32[T,B], f32[T,B])
    carry total = start : f32[B]
    over x_t = x : f32[B]
    with factor = scale : f32[]
    scaled = mul x_t, factor : f32[B]
    new = add total, scaled : f32[B]
    next total = new
    emit sums = new
    emit before = total
  total = get loop {index=0} : f32[B]
  sums = get loop {index=1} : f32[T,B]
  before = get loop {index=2} : f32[T,B]
  output 'total' = total
  output 'sums' = sums
  output 'before' = before
"""


def test_scan_forward() -> None:
    x, start = np.arange(6, dtype=np.float32).reshape(3, 2), np.float32([10, 20])
    result = interpret(parse(SCAN), {"x": x, "start": start, "scale": np.float32(2)})
    sums = start + np.cumsum(2 * x, axis=0)
    np.testing.assert_array_equal(result["sums"], sums)
    np.testing.assert_array_equal(result["before"], np.concatenate([start[None], sums[:-1]]))
    np.testing.assert_array_equal(result["total"], sums[-1])
    assert {str(array.dtype) for array in result.values()} == {"float32"}


def test_scan_backward_keeps_places() -> None:
    """Steps run from the last to the first, and each output has the position of its input."""
    x, start = np.arange(6, dtype=np.float32).reshape(3, 2), np.float32([10, 20])
    graph = parse(SCAN.replace("reverse=False", "reverse=True"))
    result = interpret(graph, {"x": x, "start": start, "scale": np.float32(1)})
    np.testing.assert_array_equal(result["sums"], start + np.cumsum(x[::-1], axis=0)[::-1])
    np.testing.assert_array_equal(result["total"], start + x.sum(axis=0))


@pytest.mark.parametrize("wide", [False, True])
def test_scan_of_no_steps(wide: bool) -> None:
    start = np.float32([10, 20])
    result = interpret(parse(SCAN), {"x": np.zeros((0, 2), np.float32), "start": start, "scale": np.float32(1)}, wide)
    np.testing.assert_array_equal(result["total"], start)
    assert result["sums"].shape == (0, 2)
    assert result["sums"].dtype == (np.float64 if wide else np.float32)


def test_wide_values_are_those_of_float64() -> None:
    generator = np.random.default_rng(0)
    x, start = generator.normal(size=(50, 2)).astype(np.float32), np.zeros(2, np.float32)
    result = interpret(parse(SCAN), {"x": x, "start": start, "scale": np.float32(0.1)}, wide=True)
    np.testing.assert_allclose(result["total"], (x.astype(np.float64) * np.float64(np.float32(0.1))).sum(0), rtol=1e-13)


def test_sizes_are_taken_from_the_arrays() -> None:
    text = """graph sizes
  x = input : f32[T,B]
  count = dimension {size=B*T} : i64[]
  steps = iota {size=T} : i64[T]
  rest = slice x[1:, :] : f32[T-1,B]
  wide = broadcast f32(2.0) {shape=(B, T)} : f32[B,T]
  output 'count' = count
  output 'steps' = steps
  output 'rest' = rest
  output 'wide' = wide
"""
    result = interpret(parse(text), {"x": np.zeros((3, 2), np.float32)})
    assert result["count"] == 6
    assert result["steps"].tolist() == [0, 1, 2]
    assert result["rest"].shape == (2, 2)
    assert result["wide"].shape == (2, 3)
    with pytest.raises(ValueError, match="shape"):
        interpret(parse(text), {"x": np.zeros(3, np.float32)})


def test_dropout_has_no_value_before_the_split() -> None:
    x = input_of(FLOATS, 0)
    dropped = make("dropout", x, make("constant", value=np.float32(0.5)), site="s", salt=0)
    with pytest.raises(ValueError, match="dropout has no value of its own"):
        interpret(Graph.of("g", [("y", dropped)], [x]), {"x0": FLOATS})


COUNTDOWN = """graph g
  start = input : f32[]
  x = input : f32[T,2]
  go = input : bool[T]
  full = broadcast f32(1.0) {shape=(2,)} : f32[2]
  loop = scan {length=T, reverse=REVERSE, when=WHEN} : (f32[2], bool[], f32[T,2], f32[T])
    carry total = full : f32[2]
    carry runs = bool(True) : bool[]
    over x_1 = x : f32[2]
    over go_1 = go : bool[]
    with limit = start : f32[]
    sum = add total, x_1 : f32[2]
    most = reduce_max sum {axes=(0,), keepdims=False} : f32[]
    more = less most, limit : bool[]
    next total = sum
    next runs = more
    emit before = total
    emit most = most
  total_1 = get loop {index=0} : f32[2]
  before_1 = get loop {index=2} : f32[T,2]
  most_1 = get loop {index=3} : f32[T]
  output 'total' = total_1
  output 'before' = before_1
  output 'most' = most_1
"""


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_a_step_runs_only_where_its_condition_holds(carried: bool, reverse: bool) -> None:
    text = COUNTDOWN.replace("REVERSE", str(reverse)).replace("WHEN", "1" if carried else "3")
    x, go = GENERATOR.normal(size=(6, 2)).astype(np.float32) ** 2, np.array([True, False, True, True, False, True])
    result = interpret(parse(text), {"start": np.float32(3), "x": x, "go": go})
    total, runs = np.ones(2, np.float32), True
    before, largest = np.zeros((6, 2), np.float32), np.zeros(6, np.float32)
    for step in reversed(range(6)) if reverse else range(6):
        if runs if carried else go[step]:
            before[step], total = total, total + x[step]
            largest[step] = total.max()
            runs = bool(total.max() < 3)
    assert not carried or not runs
    np.testing.assert_array_equal(result["total"], total)
    np.testing.assert_array_equal(result["before"], before)
    np.testing.assert_array_equal(result["most"], largest)


def test_a_condition_is_one_truth_value_of_the_step() -> None:
    with pytest.raises(ValueError, match="it must be a bool scalar"):
        parse(COUNTDOWN.replace("REVERSE", "False").replace("WHEN", "2"))
