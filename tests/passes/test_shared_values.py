"""The compiler visits a value once, however many paths lead to it. Chains of ops may exceed Python's recursion."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.node import Node
from rnngraph.ir.sizes.polynomial import size
from rnngraph.ir.types import TensorType
from rnngraph.passes.chunks.pads_outward import pads_outward
from rnngraph.passes.windows.transpose_pairs import without_pairs
from rnngraph.runtime.native.preconditions import range_of

MAX_CALLS = 3_000_000


@contextmanager
def few_calls() -> Iterator[None]:
    """Fail if the block calls more than ``MAX_CALLS`` functions, as it would if it followed every path."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"
        assert calls < MAX_CALLS

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


def gated(x: Node, count: int) -> Node:
    """Return x after ``count`` ops ``x * tanh(x)``, to which 2 ** count paths lead."""
    for _ in range(count):
        x = make("mul", x, make("tanh", x))
    return x


@pytest.mark.parametrize("count", [30, 700])
def test_transposes_around_gates_are_removed(count: int) -> None:
    x = make("input", label="x", type=TensorType("float32", (2, 3, 4)))
    inner = gated(make("transpose", x, order=(0, 2, 1)), count)
    graph = Graph.of("gates", [("y", make("transpose", inner, order=(0, 2, 1)))], [x])
    with few_calls():
        after = without_pairs(graph)
    assert not any(node.op == "transpose" for node in after.nodes)
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)}
    assert interpret(after, feeds)["y"].tobytes() == interpret(graph, feeds)["y"].tobytes()


@pytest.mark.parametrize("count", [30, 700])
def test_padding_stays_in_front_of_a_sum_with_gates(count: int) -> None:
    steps = make("input", label="x", type=TensorType("float32", (size("T"), 4)))
    other = make("input", label="y", type=TensorType("float32", (4,)))
    zeros = make("broadcast", make("constant", value=np.zeros((), np.float32)), shape=(2, 4))
    total = make("add", make("concat", zeros, steps, axis=0), gated(other, count))
    graph = Graph.of("gates", [("y", total)], [steps, other])
    with few_calls():
        assert pads_outward(graph, {"T"}) is graph


class Memory(rg.Cell):
    """Cell with a matrix state, to which it adds an outer product of gated vectors.

    Args:
        kind: ``matrix``: the outer product is gated. ``transposed``: and then transposed. ``vectors``: two keys and two
            values are multiplied as matrices.
    """

    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.count = kind, count

    def state(self) -> Any:
        return {"S": rg.state((8, 8))}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        if self.kind == "vectors":
            keys, values = (rg.reshape(x[:, first : first + 16], (None, 2, 8)) for first in (0, 16))
            for _ in range(self.count):
                keys = keys * rg.tanh(keys)
            update = rg.matmul(rg.transpose(keys, (0, 2, 1)), values)
        else:
            update = x[:, 0:8, None] * x[:, None, 8:16]
            for _ in range(self.count):
                update = update + update * rg.tanh(x[:, 16:17, None])
            update = rg.transpose(update, (0, 2, 1)) if self.kind == "transposed" else update
        matrix = state["S"] + update
        return rg.reduce_sum(matrix * x[:, 24:32, None], 1), {"S": matrix}


@pytest.mark.parametrize("kind", ["matrix", "transposed", "vectors"])
def test_matrix_states_with_gates_are_optimized_and_classified(kind: str) -> None:
    x = rg.placeholder("x", [None, None, 32])
    program = rg.compile(rg.dynamic_rnn(Memory(kind, 25), x)[0], cache=False)
    with few_calls():
        program.inference.show("unroll")
        assert "S" in str(program.summary())


def test_the_range_of_an_index_is_computed_once_for_each_operand() -> None:
    index = make("iota", size=size("T"))
    for _ in range(30):
        index = make("sub", make("add", index, index), index)
    with few_calls():
        assert range_of(index) is None


def test_bytes_of_gated_weights_are_counted() -> None:
    weight = rg.parameter("w", [64, 128])
    for _ in range(30):
        weight = weight * rg.tanh(weight)
    net = rg.matmul(rg.placeholder("x", [None, 64]), weight)
    program = rg.compile(net, weights="int8_blocks", cache=False)
    with few_calls():
        assert "int8_blocks" in str(program.summary())


def test_gates_before_a_sum_are_merged_into_its_kernel() -> None:
    y = rg.placeholder("x", [None, 16])
    for _ in range(30):
        y = y * rg.tanh(y)
    program = rg.compile(rg.reduce_sum(y, -1), cache=False)
    with few_calls():
        assert program.inference.show("plan")
