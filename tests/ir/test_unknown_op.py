"""A new op does not load without an axis column. With a correct column, every analysis knows the op's axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.batching.padding_safety import shows_padding
from rnngraph.batching.row_mixing import mixes_rows
from rnngraph.codegen.analysis.kernel_fusion import Kernel
from rnngraph.codegen.analysis.row_independence import Rowwise
from rnngraph.declare.tensor import build
from rnngraph.ir import ops
from rnngraph.ir.axis_maps import MIXED, Kept
from rnngraph.ir.axis_rules import UNKNOWN, never
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.node import OPS, AxisColumn, Op
from rnngraph.ir.types import TensorType, size
from rnngraph.passes.loops.lifting import lift
from rnngraph.passes.shards.kinds import Sharded, kind_of
from rnngraph.runtime.streams.independent_rows import rows_are_independent

BATCH, TIME = size("B"), size("T")
SUMS_LAST = AxisColumn(
    lambda node, number, axis: MIXED if axis == node.tensor.rank - 1 else Kept(axis), lambda node: frozenset(), never
)
Load = Callable[[AxisColumn], None]


@pytest.fixture(params=["contraction", "movement"])
def load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that adds ``running_sum`` to the table: cumulative sums along the last axis."""

    def add(column: AxisColumn) -> None:
        row = Op(
            "running_sum",
            request.param,
            (1, 1),
            lambda types, attributes, unify: types[0],
            lambda arrays, attributes: np.cumsum(arrays[0], -1, arrays[0].dtype),
            lambda node, g: (None,),
            column,
        )
        monkeypatch.setitem(OPS, "running_sum", row)

    return add


def summed(*shape: object) -> tuple[Node, Graph]:
    x = make("input", label="x", name="x", type=TensorType("float32", shape))
    node = make("running_sum", x)
    return node, Graph.of("summed", [("summed", node)])


@pytest.mark.parametrize("column", [None, lambda arrays, attributes: arrays[0]])
def test_a_row_without_axes_does_not_load(column: object) -> None:
    """If the column is omitted, the next argument takes its place."""
    with pytest.raises(TypeError, match="the row of running_sum does not say what the op does to the axes"):
        ops.row("running_sum", "movement", 1, lambda types, attributes, unify: types[0], column)  # type: ignore[arg-type]
    assert "running_sum" not in OPS


@pytest.mark.parametrize("column", [UNKNOWN, SUMS_LAST], ids=["unknown", "honest"])
def test_it_mixes_rows_along_its_axis(load: Load, column: AxisColumn) -> None:
    load(column)
    node, graph = summed(3, BATCH)
    assert mixes_rows(graph, {"B"})
    assert not rows_are_independent(graph, {"B"})
    assert not mixes_rows(summed(3, 4)[1], {"B"})
    with pytest.raises(rg.GraphError, match="running_sum mixes the rows"):
        kind_of(node, [Sharded(1, (BATCH,))], {"B"})
    with_rows, _ = summed(4, 3)
    assert not Rowwise(4, lambda item: False).kernel(Kernel("running_sum", (), (with_rows,)))


@pytest.mark.parametrize("column", [UNKNOWN, SUMS_LAST], ids=["unknown", "honest"])
def test_it_needs_all_steps_along_its_axis(load: Load, column: AxisColumn) -> None:
    load(column)
    node, graph = summed(3, TIME)
    assert shows_padding(graph, ["summed"], "T", {})
    assert lift(node, [(node.operands[0], True)], TIME) is None
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x)
    over_time = rg.transpose(build("running_sum", rg.transpose(outputs, (0, 2, 1))), (0, 2, 1))
    with pytest.raises(rg.GraphError, match="running_sum runs over time"):
        rg.compile(over_time).inference.stream()


@pytest.mark.parametrize("column", [UNKNOWN, SUMS_LAST], ids=["unknown", "honest"])
def test_only_its_row_declares_the_axes_that_it_keeps_separate(load: Load, column: AxisColumn) -> None:
    """No other file needs to know the op."""
    load(column)
    is_known = column is SUMS_LAST
    node, graph = summed(BATCH, 3)
    assert mixes_rows(graph, {"B"}) != is_known
    assert rows_are_independent(graph, {"B"}) == is_known
    assert shows_padding(summed(TIME, 3)[1], ["summed"], "T", {}) != is_known
    if is_known:
        assert kind_of(node, [Sharded(0, (BATCH,))], {"B"}) == Sharded(0, (BATCH,))
