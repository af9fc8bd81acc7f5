"""Chains of views and cheap ops, computed by their readers, have the interpreter's bits for any vector axis."""

from __future__ import annotations

import numpy as np
import pytest
from native_calls import call_native
from numpy.testing import assert_array_equal

from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine.target import host
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import TensorType
from rnngraph.runtime.native.entry import NativeEntry


def viewed(draw: np.random.Generator, value: Node) -> Node:
    """Apply one more view: transpose, reverse, slice, windows, or a reshape that inserts or removes an axis of length
    1.
    """
    shape = value.shape
    sizes = [dim for dim in shape if isinstance(dim, int)]
    axis = int(draw.integers(len(shape)))
    match draw.integers(6):
        case 0:
            return make("transpose", value, order=tuple(map(int, draw.permutation(len(shape)))))
        case 1:
            return make("reverse", value, axis=axis)
        case 2 if len(shape) < 5 and sizes[axis] > 2:
            return make("windows", value, axis=axis, size=2, step=int(draw.integers(1, 3)), apart=1)
        case 3 if 1 in shape and len(shape) > 1:
            kept = list(shape)
            kept.remove(1)
            return make("reshape", value, shape=tuple(kept))
        case 4 if len(shape) < 5:
            return make("reshape", value, shape=(*shape[:axis], 1, *shape[axis:]))
    start, step = int(draw.integers(sizes[axis])), int(draw.integers(1, 4))
    return make(
        "slice",
        value,
        start=tuple(start if a == axis else 0 for a in range(len(shape))),
        stop=shape,
        step=tuple(step if a == axis else 1 for a in range(len(shape))),
    )


def drawn(seed: int) -> tuple[Graph, np.ndarray]:
    """Draw a graph on an input of width 1 or on indices, so that each reader recomputes its values."""
    draw = np.random.default_rng(seed)
    shape = tuple(int(draw.choice([1, 2, 5, 17])) for _ in range(draw.integers(1, 4)))
    x = make("input", label="x", name="x", type=TensorType("float32", (*shape, 1)))
    value = make("cast", make("iota", size=shape[0]), dtype="float32") if draw.random() < 0.2 else x
    for _ in range(draw.integers(3, 9)):
        if draw.random() < 0.4:
            value = make(str(draw.choice(["neg", "abs", "round"])), value)
        value = viewed(draw, value)
    value = make("mul", value, make("abs", value))
    joined = make("concat", value, make("neg", value), axis=int(draw.integers(value.tensor.rank)))
    outputs = [("value", value), ("joined", joined), ("sum", make("reduce_max", value, axes=(0,), keepdims=False))]
    return Graph.of("views", outputs), draw.normal(size=x.shape).astype(np.float32)


@pytest.mark.parametrize(
    "first", [*range(0, 60, 20), *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(60, 3000, 20))]
)
def test_chains_of_views(first: int) -> None:
    for seed in range(first, first + 20):
        graph, fed = drawn(seed)
        feeds = {"x": fed} if graph.inputs else {}
        entry = NativeEntry(compile_graph(graph, host(), "views"), host())
        found = call_native(entry, {}, feeds, {})
        for name, expected in interpret(graph, feeds).items():
            assert_array_equal(found[name], expected, f"{name} of seed {seed}\n{graph}")
