"""What a new op is taken for by those who were told nothing of it: one that needs all rows and all steps at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.batching.padding_safety import shows_padding
from rnngraph.batching.row_mixing import mixes_rows
from rnngraph.codegen.analysis.kernel_fusion import Kernel
from rnngraph.codegen.analysis.row_independence import Rowwise
from rnngraph.declare.tensor import build
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.node import OPS, Op
from rnngraph.ir.types import TensorType, size
from rnngraph.passes.loops.lifting import lift
from rnngraph.passes.shards.kinds import Rows, kind_of
from rnngraph.runtime.streams.independent_rows import rows_are_independent

BATCH, TIME = size("B"), size("T")


@pytest.fixture(params=["contraction", "movement"], autouse=True)
def new_op(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``running_sum``: along the last axis, the sum of an entry and of all before it."""
    row = Op(
        "running_sum", request.param, (1, 1), lambda types, attributes, meet: types[0],
        lambda arrays, attributes: np.cumsum(arrays[0], -1, arrays[0].dtype), lambda node, g: (None,),
    )  # fmt: skip
    monkeypatch.setitem(OPS, "running_sum", row)
    return iter((None,))


def summed(*shape: object) -> tuple[Node, Graph]:
    x = make("input", label="x", name="x", type=TensorType("float32", shape))
    node = make("running_sum", x)
    return node, Graph.of("summed", [("summed", node)])


def test_it_mixes_rows() -> None:
    node, graph = summed(3, BATCH)
    assert mixes_rows(graph, {"B"})
    assert not rows_are_independent(graph, {"B"})
    assert not mixes_rows(summed(3, 4)[1], {"B"})
    with pytest.raises(rg.GraphError, match="running_sum mixes the rows"):
        kind_of(node, [Rows(1, (BATCH,))], {"B"})
    with_rows, _ = summed(4, 3)
    assert not Rowwise(4, lambda item: False).kernel(Kernel("running_sum", (), (with_rows,)))


def test_it_needs_all_steps() -> None:
    node, graph = summed(3, TIME)
    assert shows_padding(graph, ["summed"], "T", {})
    assert lift(node, [(node.operands[0], True)], TIME) is None
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x)
    over_time = rg.transpose(build("running_sum", rg.transpose(outputs, (0, 2, 1))), (0, 2, 1))
    with pytest.raises(rg.GraphError, match="running_sum runs over time"):
        rg.compile(over_time).inference.stream()
