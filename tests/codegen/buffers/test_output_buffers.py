"""Outputs that overwrite inputs, or values from which they are computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from native_calls import call_native
from numpy.testing import assert_allclose

from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.loop_ir.printer import function_text
from rnngraph.codegen.machine.target import host, target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import TensorType
from rnngraph.runtime.native.entry import NativeEntry

Arrays = dict[str, np.ndarray]


def replaced(name: str, *shape: int) -> Node:
    return make("input", label=name, name=name, type=TensorType("float32", shape), becomes=name)


def given(name: str, *shape: int) -> Node:
    return make("input", label=name, name=name, type=TensorType("float32", shape))


def over_itself() -> Graph:
    a, x = replaced("a", 5, 21), given("x", 5, 21)
    decayed = make("add", make("mul", a, x), x)
    return Graph.of("itself", [("a", decayed), ("y", make("tanh", decayed))])


def with_norm() -> Graph:
    """Return a graph in which a sum reads all of an input before an elementwise op replaces it."""
    a = replaced("a", 5, 21)
    norm = make("sqrt", make("reduce_sum", make("mul", a, a), axes=(0, 1), keepdims=False))
    return Graph.of("norm", [("a", make("div", a, norm))])


def crossed() -> Graph:
    a, b = replaced("a", 5, 21), replaced("b", 5, 21)
    return Graph.of("crossed", [("a", make("tanh", b)), ("b", make("neg", a))])


def shifted() -> Graph:
    """Return a graph that replaces an input, and returns the sum of the input's old value and another input."""
    a, b, x = replaced("a", 5, 21), replaced("b", 5, 21), given("x", 5, 21)
    return Graph.of("shifted", [("a", make("tanh", x)), ("b", make("add", a, b)), ("seen", a)])


def multiplied() -> Graph:
    a, x = replaced("a", 21, 21), given("x", 21, 21)
    return Graph.of("multiplied", [("a", make("tanh", make("matmul", x, a)))])


def turned() -> Graph:
    a = replaced("a", 21, 21)
    return Graph.of("turned", [("a", make("add", a, make("transpose", a, order=(1, 0))))])


def gathered() -> Graph:
    a = replaced("a", 21, 21)
    rows = make("constant", value=np.arange(21)[::-1].copy())
    return Graph.of("gathered", [("a", make("add", a, make("gather", a, rows)))])


def narrow() -> Graph:
    a, x = replaced("a", 21, 1), given("x", 21, 9)
    after = make("mul", a, a)
    return Graph.of("narrow", [("a", after), ("y", make("mul", x, after))])


def single() -> Graph:
    a = replaced("a")
    after = make("add", a, a)
    return Graph.of("single", [("a", after), ("y", make("mul", given("x", 9), after))])


def with_merged_axes(value: Node) -> Node:
    """Transpose [6, 5, 3, 7] to [5, 6, 3, 7], and merge the last two axes."""
    return make("reshape", make("transpose", value, order=(1, 0, 2, 3)), shape=(5, 6, 21))


def joined() -> Graph:
    x = given("x", 6, 5, 3, 7)
    pieces = [with_merged_axes(make(op, x)) for op in ("tanh", "neg")]
    return Graph.of("joined", [("y", make("concat", *pieces, axis=2))])


def joined_and_read() -> Graph:
    """Return a graph with a piece that occurs twice, a piece that is an input, and a reader of a piece."""
    x, z = given("x", 6, 5, 3, 7), given("z", 5, 6, 2)
    value = make("tanh", x)
    piece = with_merged_axes(value)
    inner = make("concat", piece, make("neg", z), axis=2)
    square = make("mul", piece, piece)
    return Graph.of("read", [("y", make("concat", piece, z, inner, axis=2)), ("square", square), ("tanh", value)])


def reshaped() -> Graph:
    """Return a graph with sums of a reshaped temporary, of which one is replaced."""
    a, x = replaced("a", 15, 32), given("x", 3, 5, 32)
    sums = make("reduce_sum", make("reshape", make("outer_sum", x, x), shape=(32, 32)), axes=(0,), keepdims=True)
    flat = make("reshape", make("mul", x, sums), shape=(15, 32))
    total = make("reduce_sum", flat, axes=(0,), keepdims=True)
    return Graph.of("reshaped", [("a", make("sub", a, total)), ("flat", make("div", flat, total))])


GRAPHS = (
    *(over_itself, with_norm, crossed, shifted, multiplied, turned, gathered, narrow, single),
    *(joined, joined_and_read, reshaped),
)


def run_in_place(graph: Graph, feeds: Mapping[str, np.ndarray]) -> Arrays:
    """Run a graph and return its outputs. Outputs that replace an input are written to its memory."""
    entry = NativeEntry(compile_graph(graph, host(), graph.name), host())
    sized = entry.sized({})
    arrays = {name: array.copy() for name, array in feeds.items()}
    becomes = {str(node["becomes"]): str(node["label"]) for node in graph.inputs if "becomes" in dict(node.attributes)}
    results = []
    for item, shape in zip(entry.outputs, sized.shapes, strict=True):
        name = becomes.get(item.name)
        results.append(np.empty(shape, item.dtype) if name is None else arrays[name])
    return call_native(entry, {}, arrays, {}, results)


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_results_in_the_memory_of_inputs(build: object) -> None:
    graph = build()  # type: ignore[operator]
    generator = np.random.default_rng(3)
    feeds = {
        str(node["label"]): generator.normal(size=node.shape).astype(np.float32)
        for node in graph.inputs
        if node.op == "input"
    }
    expected, found = interpret(graph, feeds), run_in_place(graph, feeds)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert_allclose(found[name], array, rtol=2e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("build", "copies"), [(over_itself, 0), (with_norm, 0), (crossed, 2), (multiplied, 1)])
def test_copies_are_made_only_if_necessary(build: object, copies: int) -> None:
    plan = schedule(build(), target_of("x86-64-v3"), "entry")  # type: ignore[operator]
    assert function_text(plan.main.function).count("# copy of ") == copies


def test_parts_of_a_concatenation_are_written_directly() -> None:
    plan = schedule(joined(), target_of("x86-64-v3"), "entry")
    assert plan.arena_bytes == 0


def test_a_reshaped_temporary_is_not_copied() -> None:
    x = given("x", 3, 5, 2, 16)
    rows = make("reduce_sum", x, axes=(3,), keepdims=True)
    scaled = make("div", x, rows)
    total = make("reduce_sum", make("reshape", scaled, shape=(15, 32)), axes=(0,), keepdims=False)
    plan = schedule(Graph.of("reshaped", [("y", total)]), target_of("x86-64-v3"), "entry")
    assert int(str(plan.arena_bytes)) < 2 * x.tensor.bytes_at(1)


def test_a_sum_shares_the_memory_of_its_result() -> None:
    x, d, w = given("x", 6, 21), given("d", 6, 32), given("w", 21, 32)
    total = make("outer_sum", x, d)
    moved = make("sub", w, make("mul", total, total))
    alone = schedule(Graph.of("moved", [("w", moved)]), target_of("x86-64-v3"), "entry")
    shown = schedule(Graph.of("both", [("w", moved), ("sum", total)]), target_of("x86-64-v3"), "entry")
    needed = schedule(Graph.of("late", [("w", moved), ("y", make("tanh", total))]), target_of("x86-64-v3"), "entry")
    assert int(str(alone.arena_bytes)) == int(str(shown.arena_bytes)) < int(str(needed.arena_bytes))
