"""The analysis of row mixing finds ops that permute rows or combine several."""

from __future__ import annotations

from typing import Any

import pytest

from rnngraph.batching.row_mixing import mixes_rows
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.types import TensorType, size

B, T = size("B"), size("T")
X = make("input", label="x", name="x", type=TensorType("float32", (B, T, 3)))
FLAT = make("reshape", X, shape=(B * T, 3))
ROW = make("input", label="row", name="row", type=TensorType("int64", (B,)))


def part(axis: int, stop: Any) -> Node:
    """Return the first entries of an axis."""
    ends = tuple(stop if number == axis else dim for number, dim in enumerate(X.shape))
    return make("slice", X, start=(0, 0, 0), stop=ends, step=(1, 1, 1))


APART = {
    "elementwise": make("mul", X, X),
    "over time": make("reduce_sum", X, axes=(1,), keepdims=False),
    "some steps": part(1, 1),
    "back to front": make("reverse", X, axis=1),
    "steps first": make("transpose", X, order=(1, 0, 2)),
    "rows and steps joined": FLAT,
    "and apart again": make("reshape", FLAT, shape=(B, T, 3)),
    "one row more axes": make("reshape", X, shape=(B, 3, T)),
    "by the number of a row's step": make("gather", FLAT, ROW),
    "side by side": make("concat", X, X, axis=2),
}
MIXED = {
    "over rows": make("reduce_max", X, axes=(0,), keepdims=True),
    "some rows": part(0, 1),
    "rows back to front": make("reverse", X, axis=0),
    "windows of rows": make("windows", X, axis=0, size=2, step=1, apart=1),
    "rows below rows": make("concat", X, X, axis=0),
    "looked up": make("gather", X, ROW),
    "in another order": make("reshape", X, shape=(T, B, 3)),
    "products of rows": make("matmul", make("transpose", X, order=(1, 2, 0)), make("transpose", X, order=(1, 0, 2))),
    "rows by rows": make("mul", make("reshape", ROW, shape=(B, 1)), ROW),
    "outer products": make("outer_sum", X, X),
}


@pytest.mark.parametrize("node", APART.values(), ids=APART)
def test_rows_stay_where_they_are(node: Node) -> None:
    assert not mixes_rows(Graph.of("apart", [("y", node)]), {"B"})


@pytest.mark.parametrize("node", MIXED.values(), ids=MIXED)
def test_rows_meet_or_move(node: Node) -> None:
    assert mixes_rows(Graph.of("mixed", [("y", node)]), {"B"})
