"""Sums of outer products, for any shape, layout and concatenation of operands. Terms are always in the same order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_calls import call_native

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.kernels.kernel_plan import MAX_PACKED, MIN_PACKED, rows_of_a_block
from rnngraph.codegen.machine.target import host, target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.types import TensorType
from rnngraph.runtime.native.entry import NativeEntry

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def operand(label: str, leading: Sequence[int], widths: Sequence[int], dtype: str) -> tuple[list[Node], Node]:
    """Return inputs, and their concatenation."""
    parts = [
        make("input", label=f"{label}{number}", name=label, type=TensorType(dtype, (*leading, width)))
        for number, width in enumerate(widths)
    ]
    return parts, parts[0] if len(parts) == 1 else make("concat", *parts, axis=len(leading))


def summed(
    leading: Sequence[int], left: Sequence[int], right: Sequence[int], dtype: str = "float32", moved: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return (native sum, NumPy's sum in float64). ``moved`` feeds arrays with transposed leading axes."""
    lefts, joined_left = operand("a", leading, left, dtype)
    rights, joined_right = operand("b", leading, right, dtype)
    graph = Graph.of("sum", [("sum", make("outer_sum", joined_left, joined_right))], [*lefts, *rights])
    generator = np.random.default_rng(1)
    feeds = {}
    for node in graph.inputs:
        array = generator.normal(size=node.shape).astype(dtype)
        if moved:
            array = np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 0, -2)), -2, 0)
        feeds[str(node["label"])] = array
    found = call_native(NativeEntry(compile_graph(graph, host(), "sum"), host()), {}, feeds, {})["sum"]
    whole = [np.concatenate([feeds[str(node["label"])] for node in part], -1) for part in (lefts, rights)]
    flat = [part.reshape(-1, part.shape[-1]).astype(np.float64) for part in whole]
    return found, flat[0].T @ flat[1]


widths = st.lists(st.sampled_from([1, 3, 13, 14, 16, 17, 32, 40]), min_size=1, max_size=3)


@settings(max_examples=25)
@given(
    st.sampled_from([(1,), (7,), (MAX_PACKED + 3,), (3, 5), (2, MAX_PACKED + 1), (2, 3, 4)]),
    widths,
    widths,
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
)
def test_any_shape(leading: tuple[int, ...], left: list[int], right: list[int], dtype: str, moved: bool) -> None:
    found, expected = summed(leading, left, right, dtype, moved)
    np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == "float32" else 1e-11, atol=1e-3)


@pytest.mark.parametrize("left", [(30, 20), (16, 34), (50,)])
def test_neither_joins_nor_strides_change_a_bit(left: tuple[int, ...]) -> None:
    first, _ = summed((9, 6), left, (32, 17))
    second, _ = summed((9, 6), left, (32, 17), moved=True)
    assert np.array_equal(first, second)


def test_terms_are_added_in_order() -> None:
    """Terms beyond a block of k are added to the sum of the block."""
    big, small = np.float32(2**24), np.float32(1)
    rows = MAX_PACKED * 2
    a = make("input", label="a", type=TensorType("float32", (rows, 1)))
    b = make("input", label="b", type=TensorType("float32", (rows, 1)))
    graph = Graph.of("sum", [("sum", make("outer_sum", a, b))], [a, b])
    ones, values = np.ones((rows, 1), np.float32), np.full((rows, 1), small)
    entry = NativeEntry(compile_graph(graph, host(), "sum"), host())
    values[0] = big
    assert call_native(entry, {}, {"a": ones, "b": values}, {})["sum"].item() == big
    values[0], values[-1] = small, big
    assert call_native(entry, {}, {"a": ones, "b": values}, {})["sum"].item() == big + (rows - 1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("width", [1, 100, 512, 100_000])
def test_blocks_of_rows(level: str, width: int) -> None:
    assert MIN_PACKED <= rows_of_a_block(target_of(level), width, "float32") <= MAX_PACKED


@pytest.mark.parametrize(("rows", "width", "is_packed"), [(1, 32, False), (2, 32, True), (1, 1, True)])
def test_one_row_for_each_step_is_read_in_place(rows: int, width: int, is_packed: bool) -> None:
    """Operands that fill no tile are packed. So are several rows, because their strides are known only at run time."""
    x = rg.placeholder("x", (None, None, width))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(32), x)
    program = rg.compile(outputs, loss=rg.reduce_sum(outputs))
    compiled = program.training.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs if name.startswith("gradient/"))
    plan = schedule(compiled.sized(names, {"B": rows, "T": 100}), target_of("x86-64-v3"), "entry")
    panels = {buffer.name.partition("_")[0] for buffer in plan.arena.places}
    assert "right" in panels
    assert ("left" in panels) == is_packed
