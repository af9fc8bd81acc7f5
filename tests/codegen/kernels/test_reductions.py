"""Reductions of every width, alone and fused with their operands."""

from __future__ import annotations

import numpy as np
import pytest
from native_calls import call_native
from numpy.testing import assert_allclose, assert_array_equal
from systems import needs

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine.target import host, target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import Dim, TensorType, size
from rnngraph.runtime.native.entry import NativeEntry


def given(dtype: str, *shape: Dim) -> Node:
    return make("input", label="x", name="x", type=TensorType(dtype, shape))


def squares(x: Node) -> Node:
    return make("add", make("mul", x, x), x)


@pytest.mark.parametrize("width", [1, 2, 5, 8, 16, 17, 31, 48, 64, 65, 100, 144, 256, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_width(width: int, dtype: str) -> None:
    x = given(dtype, 3, 4, width)
    outputs = []
    for axes in ((2,), (0,), (1, 2), (0, 2), (0, 1, 2)):
        for op in ("reduce_sum", "reduce_max", "reduce_min"):
            name = f"{op}_{''.join(map(str, axes))}"
            outputs.append((name, make(op, squares(x), axes=axes, keepdims=False)))
    graph = Graph.of("reductions", outputs)
    feed = np.random.default_rng(width).normal(size=(3, 4, width)).astype(dtype)
    entry = NativeEntry(compile_graph(graph, host(), "reductions"), host())
    expected = interpret(graph, {"x": feed})
    for name, found in call_native(entry, {}, {"x": feed}, {}).items():
        assert_allclose(found, expected[name], rtol=1e-5 if dtype == "float32" else 1e-13, err_msg=name)


@pytest.mark.parametrize(
    "target", ["host", pytest.param("x86-64-v2", marks=[needs("x86-64-v2"), pytest.mark.exhaustive])]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_width_that_a_call_tells(dtype: str, target: str) -> None:
    """One program handles any width: lanes of the last vector that are beyond the width are masked."""
    x = given(dtype, 3, 2, size("n"))
    outputs = [
        (f"{op}_{''.join(map(str, axes))}_{keep}", make(op, squares(x), axes=axes, keepdims=keep))
        for op in ("reduce_sum", "reduce_max", "reduce_min")
        for axes, keep in (((2,), False), ((2,), True), ((0, 2), False), ((1,), False))
    ]
    graph = Graph.of("reductions", [*outputs, ("squares", squares(x))])
    entry = NativeEntry(compile_graph(graph, target_of(target), "reductions"), target_of(target))
    for width in (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 65, 100, 130):
        feed = (np.random.default_rng(width).normal(size=(3, 2, width)) * 9).astype(dtype)
        expected = interpret(graph, {"x": feed})
        for name, found in call_native(entry, {}, {"x": feed}, {"n": width}).items():
            assert_allclose(found, expected[name], rtol=1e-5 if dtype == "float32" else 1e-12, err_msg=name)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", [7, 40, 64])
def test_rows_side_by_side_are_each_summed_in_order(width: int, threads: int) -> None:
    """Rows of a depthwise convolution share a kernel. In the kernel's gradient, sums share a row."""
    x, scale = rg.placeholder("x", (None, None, width)), rg.placeholder("scale", (None, None, width))
    y = rg.conv1d(x, width, 5, "valid", groups=width, use_bias=False)
    program = rg.compile({"y": y}, loss=rg.reduce_sum(y * scale), threads=threads)
    kernel = np.array(program.parameters["conv1d/kernel"]).reshape(5, width)
    for rows, steps in ((1, 5), (2, 6), (3, 7), (4, 12), (5, 29), (6, 40)):  # the last ones run code for symbolic sizes
        feed = np.random.default_rng(steps).normal(size=(rows, steps, width)).astype(np.float32)
        weights = np.random.default_rng(width).normal(size=(rows, steps - 4, width)).astype(np.float32)
        expected, gradient = np.zeros((rows, steps - 4, width), np.float32), np.zeros((5, width), np.float32)
        for tap in range(5):
            expected += feed[:, tap : tap + steps - 4] * kernel[tap]
            for row, step in np.ndindex(rows, steps - 4):
                gradient[tap] += weights[row, step] * feed[row, step + tap]
        assert_allclose(program.inference(x=feed)["y"], expected, rtol=1e-5, atol=1e-6)  # products round with sums
        _, found = program.training.gradients(x=feed, scale=weights)
        assert_array_equal(found["conv1d/kernel"].reshape(5, width), gradient)


@pytest.mark.parametrize("width", [7, 33, 128, 129, 263])
def test_units_side_by_side_are_each_summed_in_order(width: int) -> None:
    x = given("float32", 25, width)
    graph = Graph.of("sums", [("total", make("reduce_sum", x, axes=(0,), keepdims=False))])
    feed = np.random.default_rng(width).normal(size=(25, width)).astype(np.float32)
    entry = NativeEntry(compile_graph(graph, host(), "sums"), host())
    (found,) = call_native(entry, {}, {"x": feed}, {}).values()
    expected = np.zeros(width, np.float32)
    for row in feed:
        expected += row
    assert_array_equal(found, expected)


def test_transposed_operands_of_a_loop_are_copied_before_it() -> None:
    """Without the copy, each step would gather."""
    x, memory = rg.placeholder("x", (None, None, 16)), rg.placeholder("memory", (None, 33, 16))
    cell = rg.AttentionWrapper(rg.GRUCell(16), rg.LuongAttention(16, memory))
    program = rg.compile(rg.dynamic_rnn(cell, x)[0], cache=False, target="x86-64-v3")
    loops = program.inference.show("loops")
    (scan,) = (part for part in loops.split("function ") if part.startswith("scan"))
    assert "load" in scan
    assert not [line for line in scan.splitlines() if "load" in line and " by " in line]


def test_values_that_only_a_sum_reads_are_not_stored() -> None:
    x = given("float32", 3, 40)
    total = make("reduce_sum", squares(x), axes=(0, 1), keepdims=False)
    alone = schedule(Graph.of("alone", [("total", total)]), target_of("x86-64-v3"), "entry")
    assert len(alone.functions) == 1
    assert alone.arena_bytes == 0
    value = squares(x)
    total = make("reduce_sum", value, axes=(0, 1), keepdims=False)
    shown = schedule(Graph.of("shown", [("total", total), ("value", value)]), target_of("x86-64-v3"), "entry")
    assert len(shown.functions) == 2


def test_a_sum_of_two_products_keeps_their_kernel() -> None:
    """If the difference were fused into the reduction, both products would have to be in memory."""
    x = given("float32", 6, 40)
    w, u = (make("input", label=name, name=name, type=TensorType("float32", (40, 24))) for name in "wu")
    difference = make("sub", make("matmul", x, w), make("matmul", x, u))
    total = make("reduce_sum", difference, axes=(0, 1), keepdims=False)
    plan = schedule(Graph.of("two", [("total", total)]), target_of("x86-64-v3"), "entry")
    assert int(str(plan.arena_bytes)) == 6 * 32 * 4


def test_a_reduction_of_a_concatenation_that_is_read_piece_by_piece() -> None:
    x = given("float32", 3, 25, 5)
    kernel = make("input", label="kernel", name="kernel", type=TensorType("float32", (5, 5)))
    pieces = make("concat", make("tanh", x), make("maximum", x, make("matmul", x, kernel)), axis=2)
    graph = Graph.of("pieces", [("y", make("reduce_max", pieces, axes=(1,), keepdims=False))])
    random = np.random.default_rng(0)
    feeds = {"x": random.normal(size=(3, 25, 5)).astype("f4"), "kernel": random.normal(size=(5, 5)).astype("f4")}
    entry = NativeEntry(compile_graph(graph, host(), "pieces"), host())
    assert_allclose(call_native(entry, {}, feeds, {})["y"], interpret(graph, feeds)["y"], rtol=1e-6)
