"""Matrix states are read only within the loops that compute them, also if other loops depend on these loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

WIDTH = 8


def column(x: rg.Tensor) -> rg.Tensor:
    return rg.reshape(x, (None, WIDTH, 1))


class Delayed(rg.Cell):
    """Cell whose matrix state is read with the mean of the current and the previous input."""

    output_size = WIDTH

    def state(self) -> Any:
        return {"S": rg.state((WIDTH, WIDTH)), "before": rg.state((WIDTH,))}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        S = state["S"] * 0.9 + column(x) * rg.reshape(x, (None, 1, WIDTH))
        return rg.reduce_sum(S * column((x + state["before"]) * 0.5), 1), {"S": S, "before": x}


class EachOther(rg.Cell):
    """Cell with two matrix states. Reading either needs a value of the other's loop."""

    output_size = WIDTH

    def state(self) -> Any:
        return {"S": rg.state((WIDTH, WIDTH)), "R": rg.state((WIDTH, WIDTH)), "b": rg.state((WIDTH,))}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        S = state["S"] * 0.9 + column(x) * rg.reshape(x, (None, 1, WIDTH))
        b = rg.tanh(state["b"] + rg.reduce_sum(state["R"], 2))
        R = state["R"] * rg.reshape(b, (None, 1, WIDTH)) * 0.5 + rg.reshape(x, (None, 1, WIDTH))
        with_x, with_b = (rg.reduce_sum(S * column(vector), 1) for vector in (x, b))
        return with_b + rg.reduce_sum(R * column(with_x), 1), {"S": S, "R": R, "b": b}


def program_of(cell: rg.Cell, width: int = WIDTH) -> rg.Program:
    x = rg.placeholder("x", (None, None, width))
    y, _ = rg.dynamic_rnn(cell, x)
    return rg.compile(y, rg.reduce_mean(rg.square(y)), cache=False)


def sequences_of_matrices(program: rg.Program, elements: int) -> list[str]:
    """Return the types of values of the inference graph with at least ``elements`` elements for each step and row."""
    graph = program.inference.compiled.optimized(tuple(name for name, _ in program.inference.graph.outputs))
    kinds = [node.tensor for node in graph.nodes if node.op != "scan"]
    sequences = [kind for kind in kinds if kind.rank and str(kind.shape[0]) == "T"]
    return [str(kind) for kind in sequences if kind.bytes_at(1) >= 4 * elements]


@pytest.mark.parametrize(
    ("cell", "width", "state"), [(Delayed(), WIDTH, 8 * 8), (rg.RWKV7Cell(2, 16), 32, 2 * 16 * 16)]
)
def test_readers_of_a_state_may_depend_on_another_loop(cell: rg.Cell, width: int, state: int) -> None:
    program = program_of(cell, width)
    assert sequences_of_matrices(program, state) == []
    few, many = (program.inference.memory(batch=1, time=time).arena for time in (2048, 4096))
    assert few == many
    kept = program.training.memory(batch=1, time=512)
    assert kept.arena < 512 * width * 400, "as many as vectors, not as matrices"


@pytest.mark.parametrize("cell", [Delayed(), EachOther()])
def test_steps_and_derivatives_are_those_of_the_cell(cell: rg.Cell) -> None:
    program = program_of(cell)
    x = np.random.default_rng(0).normal(size=(3, 25, WIDTH)).astype(np.float32) * 0.3
    stream = program.inference.stream(batch=3)
    whole = program.inference(x=x)
    assert_array_equal(np.stack([stream.step(x=x[:, step]) for step in range(25)], 1), whole)
    assert_array_equal(program.inference(x=x[1:2])[0], whole[1])
    program.training.check(x=x)
