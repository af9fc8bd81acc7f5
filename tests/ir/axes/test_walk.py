"""Rows that are reported as independent do not influence each other, in random graphs with loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hostile_graphs import draw

from rnngraph.ir.axes.by_size import counts
from rnngraph.ir.axes.walk import walk_axes
from rnngraph.ir.axis_maps import Bound, Kept
from rnngraph.ir.graph import Graph, Node
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.ops import OPS
from rnngraph.runtime.streams.independent_rows import row_axis, rows_are_independent

ROWS, SIZES = {"B"}, {"B": 3, "T": 2, "S": 4}
CHANGED = 1
"""Row whose feeds change."""


def fed(node: Node, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(SIZES.get(str(dim), dim) for dim in node.shape)
    numbers = rng.normal(size=shape) if node.dtype.startswith("float") else rng.integers(0, 2, shape)
    return np.asarray(numbers, node.dtype)


def check_rows(part: Graph, rng: np.random.Generator) -> None:
    """Check that other rows of the value keep their bits when one row of all feeds changes."""
    feeds = {str(item["label"]): fed(item, rng) for item in part.inputs}
    others = {label: array.copy() for label, array in feeds.items()}
    for item in part.inputs:
        axis = row_axis(item.shape, ROWS)
        if axis is not None:
            np.moveaxis(others[str(item["label"])], axis, 0)[CHANGED] = np.moveaxis(fed(item, rng), axis, 0)[CHANGED]
    before, after = (interpret(part, arrays, sizes=SIZES)["value"] for arrays in (feeds, others))
    axis = row_axis(part.output("value").shape, ROWS)
    if axis is not None:
        before, after = (np.delete(array, CHANGED, axis) for array in (before, after))
    np.testing.assert_array_equal(before, after)


def can_run(part: Graph) -> bool:
    """Return True if all input sizes are numbers or known names, and every op has a value."""
    dims = [dim for item in part.inputs for dim in item.shape]
    is_plain = all(isinstance(dim, int) or str(dim) in SIZES for dim in dims)
    structured = [node for node in part.walk() if OPS[node.op].kind == "structured" and node.op not in ("scan", "get")]
    return is_plain and not structured and "B" in map(str, dims)


def test_independent_rows_do_not_change_with_other_rows() -> None:
    """Each value of a random graph is tested as a graph of its own, so that many are independent or contain a loop."""
    seen = Counter[bool]()
    for seed in range(250):
        rng = np.random.default_rng(seed)
        for node in draw(seed).graph.nodes:
            part = Graph.of("part", [("value", node)])
            if node.op == "scan" or not node.operands or not can_run(part) or not rows_are_independent(part, ROWS):
                continue
            try:
                check_rows(part, rng)
            except ValueError:  # the interpreter refuses these sizes
                continue
            seen[any(item.op == "scan" for item in part.nodes)] += 1
    assert seen[False] > 100
    assert seen[True] > 5


def test_a_walk_enters_loops() -> None:
    for seed in range(30):
        graph = draw(seed).graph
        walked = dict(walk_axes(graph, ROWS))
        assert walked.keys() == {*graph.walk()}
        for node, uses in walked.items():
            for use in uses:
                assert counts(node.operands[use.number].shape[use.axis], ROWS)
                assert node.op == "scan" or not isinstance(use.fate, Bound)
                if isinstance(use.fate, Kept):
                    assert counts(node.shape[use.fate.axis], ROWS) or node.op == "ensure_shape"
