"""Sizes out of bounds are refused, with the line; empty axes within the bounds work."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.attributes import dim as dim_rule
from rnngraph.ir.axes.by_size import lengths_of
from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.sizes.polynomial import CLAMPED, Dim, floor_divide
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import TensorType, size
from rnngraph.passes.unroll import Unroll
from rnngraph.runtime.native.compile_options import CompileOptions
from rnngraph.runtime.native.compiled_graph import CompiledGraph
from rnngraph.runtime.native.optimized_graph import open_sizes
from rnngraph.runtime.native.size_bounds import MAX_OVER_STEPS, bounds_of
from rnngraph.support.errors import Where


def table_of_steps(computed: bool = True) -> tuple[rg.Program, dict[str, np.ndarray]]:
    """Return a program whose table has a row for each step of a driver, and is read at computed indices."""
    x, table = rg.placeholder("x", ("T", 3, 5)), rg.placeholder("table", ("T", 7))
    ids = rg.placeholder("ids", (4,), "float32" if computed else "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, time_major=True)
    picked = rg.gather(table, rg.cast(ids, "int64"))
    program = rg.compile({"outputs": outputs, "picked": picked}, loss=rg.reduce_sum(picked) + rg.reduce_sum(outputs))
    feeds = {"x": np.zeros((0, 3, 5)), "table": np.zeros((0, 7)), "ids": np.arange(4)}
    return program, feeds


@pytest.mark.parametrize("computed", [True, False])
def test_a_lookup_in_a_table_without_rows_is_an_error(computed: bool) -> None:
    program, feeds = table_of_steps(computed)
    here = r"test_size_bounds.py:\d+"
    wanted = rf"{here}: a table \(declared at .*{here}\) has no rows = T at T = 0, but there are 4 indices"
    for call in (
        lambda: program.inference(feeds),
        lambda: program.training(feeds, seed=1),
        lambda: program.training.gradients(feeds, wrt=["table"]),
        lambda: program.training.gradients(feeds, wrt=["table"], seed=1),
        lambda: program.inference.check(feeds),
        lambda: rg.Trainer(program, rg.SGD(0.1)).step(feeds),
    ):
        with pytest.raises(rg.ShapeError, match=wanted):
            call()
    inputs = {"x": np.ones((2, 3, 5)), "table": np.arange(14).reshape(2, 7), "ids": np.array([-7, 1, 0, 1])}
    if computed:  # clamped to the table's rows
        np.testing.assert_array_equal(program.inference(inputs)["picked"], inputs["table"][[0, 1, 0, 1]])


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
def test_no_row_of_a_table_without_rows() -> None:
    """A table without rows is valid if no index is read."""
    x, table = rg.placeholder("x", ("T", 3, 5)), rg.placeholder("table", ("T", 7))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, time_major=True)
    picked = rg.gather(table, rg.cast(outputs[:, 0, 0], "int64"))
    program = rg.compile({"picked": picked}, loss=rg.reduce_sum(picked))
    feeds = {"x": np.zeros((0, 3, 5)), "table": np.zeros((0, 7))}
    assert program.inference(feeds)["picked"].shape == (0, 7)
    _, gradients = program.training.gradients(feeds, wrt=["table"])
    assert gradients["table"].shape == (0, 7)


@pytest.mark.parametrize("unroll", [None, "full"])
def test_argmax_over_an_empty_axis(unroll: str | None) -> None:
    """A call with an empty axis under argmax raises an error, however the loop is unrolled."""
    x, table = rg.placeholder("x", ("N", "T")), rg.parameter("table", (5, 1))
    picked = rg.gather(table, rg.argmax(rg.transpose(x[:, 3:], (1, 0)), axis=0))
    program = rg.compile({"picked": picked}, loss=rg.reduce_sum(picked), unroll=unroll)
    wanted = r"bounds.py:\d+: a maximum or minimum \(declared at .*bounds.py:\d+\) has no entries to compare = T-3 at T"
    nothing = {"x": np.zeros((2, 3))}
    calls: list[Callable[[], object]] = [
        lambda: program.inference(nothing),
        lambda: program.evaluate(nothing),
        lambda: program.training(nothing, seed=1),
        lambda: program.training.gradients(nothing),
        lambda: program.inference.check(nothing),
        lambda: rg.Trainer(program, rg.SGD(0.1)).step(nothing),
    ]
    for call in calls:
        with pytest.raises(rg.ShapeError, match=wanted):
            call()
    feeds = {"x": np.array([[0, 9, 0, 1, 2, 1], [5, 5, 5, 3, 2, 1.0]])}
    indices = feeds["x"][:, 3:].argmax(1)
    np.testing.assert_array_equal(program.inference(feeds)["picked"], program.parameters["table"][indices])
    with pytest.raises(ValueError, match="no entries along"):
        interpret(program.inference.graph, {**nothing, **program.parameters}, sizes={"N": 2, "T": 3})


def test_argmax_over_an_empty_axis_in_a_file() -> None:
    text = "graph g\n  x = input : f32[2,0]\n  y = reduce_min x {axes=(1,), keepdims=False, nonempty=True} : f32[2]\n"
    with pytest.raises(ValueError, match="no entries along"):
        parse(text + "  output 'y' = y\n")


def test_argmax_over_an_axis_declared_as_empty() -> None:
    nothing = rg.constant(np.zeros((3, 0), np.float32))
    with pytest.raises(rg.ShapeError, match=r"argmax: axis 1 of .*no entries"):
        rg.argmax(nothing)
    with pytest.raises(rg.ShapeError, match="no entries"):
        rg.argmax(rg.placeholder("x", (None, 4))[:, 2:2])
    assert rg.compile(rg.argmax(nothing, 0)).inference().shape == (0,)
    largest, smallest = rg.reduce_max(nothing, 1), rg.reduce_min(nothing, 1)
    actual = rg.compile({"largest": largest, "smallest": smallest}).inference()
    np.testing.assert_array_equal(actual["largest"], np.full(3, -np.inf))
    np.testing.assert_array_equal(actual["smallest"], np.full(3, np.inf))


def check(text: str, message: str, **sizes: int) -> None:
    with pytest.raises(rg.ShapeError, match=message):
        bounds_of(parse(text)).check(sizes, Where("call.py", 1))


def test_a_product_of_sizes_that_wraps() -> None:
    """A product of sizes that overflows is refused: 2^64 elements would be 0 in a 64-bit index."""
    t = size("T")
    x = make("input", label="x", type=TensorType("float32", (t,)))
    wide = make("broadcast", x, shape=(t,) * 8, where=Where("graph.py", 3))
    bounds = bounds_of(Graph.of("g", [("y", make("reduce_sum", wide, axes=tuple(range(8)), keepdims=False))]))
    bounds.check({"T": 32}, None)
    bounds.check({"T": 0}, None)
    wanted = rf"call.py:1: elements of f32\[T,.*\(declared at graph.py:3\) would be {1 << 64} = T · T .* at T = 256"
    with pytest.raises(rg.ShapeError, match=wanted):
        bounds.check({"T": 256}, Where("call.py", 1))


LOOPS = """graph g
  x = input : f32[T,3]
  y = scan {length=T, reverse=False} : (f32[T,3])
    carry h = x : f32[T,3]
    z = broadcast h {shape=(T, T, 3)} : f32[T,T,3]
    s = reduce_sum z {axes=(0,), keepdims=False} : f32[T,3]
    next h = s
  r = get y {index=0} : f32[T,3]
  output 'r' = r
"""


def test_values_of_a_loop_count_at_every_step() -> None:
    maximum = round((MAX_OVER_STEPS / 3) ** (1 / 3))
    bounds_of(parse(LOOPS)).check({"T": maximum - 1}, None)
    check(LOOPS, rf"elements of f32\[T,T,3\].* would be {3 * (maximum + 1) ** 3}", T=maximum + 1)


def test_loops_with_many_steps_end() -> None:
    text = LOOPS.replace("length=T", "length=N")
    check(text, r"steps of y \(declared at None\) would be 2147483648 = N at N = 2147483648; at most", T=1, N=1 << 31)


def test_a_number_of_sizes_that_wraps() -> None:
    text = "graph g\n  x = input : f32[T]\n  n = dimension {size=T*T*T} : i64[]\n  output 'n' = n\n"
    check(text, "a number computed from sizes .* would be", T=1 << 20)


def test_a_size_that_would_be_negative() -> None:
    """A size that is computed from a feed's shape, and would be negative, is refused."""
    x = make("input", label="x", name="x", type=TensorType("float32", (size("T") + 5,)))
    program = _program(Graph.of("g", [("n", make("dimension", size=size("T") * size("T"))), ("x", x)]))
    with pytest.raises(rg.ShapeError, match=r"feed x \(3,\) is too small: the size T would be -2"):
        _sizes(program, {"x": np.zeros(3, np.float32)})


def _program(graph: Graph) -> CompiledGraph:
    from rnngraph.codegen.machine.target import target_of

    return CompiledGraph(graph, "inference", CompileOptions(target_of(None)))


def _sizes(compiled: CompiledGraph, feeds: dict[str, np.ndarray]) -> dict[str, int]:
    from rnngraph.runtime.calls.feeds import solve_sizes

    return solve_sizes(feeds, compiled.input_types(), Where("call.py", 1))


def test_sizes_follow_from_products_in_any_order() -> None:
    kinds = {"x": TensorType("float32", (size("B") * size("T"),)), "y": TensorType("float32", (size("B"), 2))}
    graph = Graph.of("g", [(name, make("input", label=name, type=kind)) for name, kind in kinds.items()])
    feeds = {"x": np.zeros(12, np.float32), "y": np.zeros((4, 2), np.float32)}
    assert _sizes(_program(graph), feeds) == {"B": 4, "T": 3}
    with pytest.raises(rg.ShapeError, match=r"axis 0 must be B\*T"):
        _sizes(_program(graph), feeds | {"x": np.zeros(13, np.float32)})
    z = make("input", label="z", type=TensorType("float32", (size("T"),)))
    longer = Graph.of("g", [*graph.outputs, ("z", z)])
    assert _sizes(_program(longer), feeds | {"z": np.zeros(3, np.float32)}) == {"B": 4, "T": 3}
    with pytest.raises(rg.ShapeError, match=r"axis 0 must be B\*T = 8, as in feed y \(4, 2\), not 12"):
        _sizes(_program(longer), feeds | {"z": np.zeros(2, np.float32)})


def test_columns_of_a_product_are_open() -> None:
    """Columns of a product may be a driver's steps, whose gradient is a sum of outer products with tiled columns."""
    x, y = rg.placeholder("x", ("T", 3, 5)), rg.placeholder("y", (2, "T"))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, time_major=True)
    scores = rg.placeholder("z", (6, 2)) @ y
    program = rg.compile({"outputs": outputs, "scores": scores}, loss=rg.reduce_sum(scores) + rg.reduce_sum(outputs))
    assert lengths_of(program.inference.graph) == {"T"}
    assert open_sizes(program.inference.graph) == {"T"}
    generator = np.random.default_rng(0)
    for steps in (3, 0, 9):
        feeds: dict[str, Any] = {
            "x": generator.normal(size=(steps, 3, 5)),
            "y": generator.normal(size=(2, steps)),
            "z": generator.normal(size=(6, 2)),
        }
        actual = program.inference(feeds)["scores"]
        np.testing.assert_allclose(actual, feeds["z"] @ feeds["y"], rtol=1e-5, atol=1e-5)
        _, gradients = program.training.gradients(feeds, wrt=["y"])
        expected = np.broadcast_to(feeds["z"].sum(0)[:, None], (2, steps))
        np.testing.assert_allclose(gradients["y"], expected, rtol=1e-5, atol=1e-5)


def test_reductions_over_empty_axes() -> None:
    """Sums of no entries are 0, and a maximum is its neutral element. The interpreter agrees."""
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    reduced = {
        name: function(outputs, 1)
        for name, function in (("sum", rg.reduce_sum), ("max", rg.reduce_max), ("min", rg.reduce_min))
    }
    program = rg.compile(reduced | {"outputs": outputs})
    actual = program.inference(x=np.zeros((2, 0, 3)))
    for name, value in (("sum", 0), ("max", -np.inf), ("min", np.inf)):
        np.testing.assert_array_equal(actual[name], np.full((2, 4), value, np.float32))
    finding = program.inference.check(x=np.zeros((2, 0, 3)))
    assert finding is None or "inf" in str(finding)


def test_gradient_of_a_slice_with_a_step_that_ends_where_the_axis_does() -> None:
    x = rg.placeholder("x", ("T", 2))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(2), rg.reshape(x, ("T", 1, 2)), time_major=True)
    loss = rg.reduce_sum(rg.square(x[0:5:2])) + rg.reduce_sum(outputs) * 0
    program = rg.compile({"loss_of": loss}, loss=loss)
    for steps in (5, 6, 9):
        feed = np.arange(2 * steps, dtype=np.float32).reshape(steps, 2)
        _, gradients = program.training.gradients(x=feed, wrt=["x"])
        expected = np.zeros_like(feed)
        expected[0:5:2] = 2 * feed[0:5:2]
        np.testing.assert_array_equal(gradients["x"], expected)


def test_a_message_of_a_bound_is_short() -> None:
    program, feeds = table_of_steps()
    with pytest.raises(rg.ShapeError) as caught:
        program.inference(feeds)
    assert len(re.findall(r"test_size_bounds.py:\d+", str(caught.value))) == 2  # the call's line and the declaration's
    assert len(str(caught.value)) < 300


def test_steps_that_are_written_out_are_bounded() -> None:
    graph = parse(LOOPS.replace("length=T", f"length={1 << 20}"))
    with pytest.raises(
        rg.GraphError, match=r'unroll="full" of 1048576 steps would be 3145728 ops, and at most 1048576'
    ):
        Unroll("full")(graph)
    assert not any(node.op == "scan" for node in Unroll("full")(parse(LOOPS.replace("length=T", "length=9"))).nodes)


def test_a_size_that_is_divided_fits_whole() -> None:
    """The dividend of a size must fit 64 bits, even if the quotient is small."""
    shape, number = (0, floor_divide(5 * size("T") * size("B") + 1, 7)), make("constant", value=np.zeros(()))
    node = make("broadcast", number, where=Where("script.py", 3), shape=shape)
    bounds = bounds_of(Graph.of("divided", [("y", node)]))
    bounds.check({"B": 1 << 10, "T": 1 << 20}, None)
    with pytest.raises(rg.ShapeError, match=r"a size that is divided \(declared at script\.py:3\) would be"):
        bounds.check({"B": 1 << 30, "T": 1 << 31}, None)


@pytest.mark.parametrize(
    ("dim", "fits"),
    [
        (floor_divide(size("T"), CLAMPED), True),
        (floor_divide(size("T"), CLAMPED + 1), False),
        (floor_divide(floor_divide(size("T"), 3) + size("B"), 2 * CLAMPED), False),
        (floor_divide(size("T"), 3) * (1 << 41), False),
    ],
)
def test_numbers_in_a_size_of_a_file(dim: Dim, fits: bool) -> None:
    assert dim_rule(dim, make("iota", size=3)) is fits
