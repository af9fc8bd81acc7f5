"""Reshapes in a step between shapes whose rows are padded on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.buffers.views import common_refinement


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((3, 30), (15, 6), (3, 5, 6)),
        ((15, 6), (3, 30), (3, 5, 6)),
        ((4, 1, 6), (4, 6), (4, 6)),
        ((24,), (2, 3, 4), (2, 3, 4)),
        ((4, 6), (3, 8), None),
        ((2, 3), (2, 3, 2), None),
    ],
)
def test_common_refinement(left: Any, right: Any, expected: Any) -> None:
    assert common_refinement(left, right) == expected


def test_states_become_rows_of_nodes() -> None:
    """A GRU over a graph: the state [batch, nodes * units] becomes [batch * nodes, units], and back."""
    batch, steps, nodes, units = 3, 2, 5, 6
    draw = np.random.default_rng(0)
    edges = draw.random((nodes, nodes)).astype(np.float32)

    class GraphCell(rg.Cell):
        def state(self) -> Any:
            return nodes * units

        def step(self, p: Any, x: Any, h: Any) -> Any:
            joined = rg.concat([rg.expand_dims(x, 2), rg.reshape(h, (-1, nodes, units))], 2)
            columns = rg.reshape(rg.transpose(joined, (1, 2, 0)), (nodes, -1))
            mixed = rg.reshape(rg.matmul(rg.constant(edges), columns), (nodes, 1 + units, -1))
            rows = rg.reshape(rg.transpose(mixed, (2, 0, 1)), (-1, 1 + units))
            new = rg.tanh(rg.reshape(rg.matmul(rows, p.kernel("w", (1 + units, units))), (-1, nodes * units)))
            return new, new * 0.5 + h * 0.5

    x = rg.placeholder("x", (None, steps, nodes))
    outputs, _ = rg.dynamic_rnn(GraphCell(), x)
    program = rg.compile({"y": outputs}, loss=rg.reduce_mean(rg.square(rg.reshape(outputs[:, -1], (-1, units)))))
    (kernel,) = (np.asarray(value) for value in program.parameters.values())
    data = draw.random((batch, steps, nodes)).astype(np.float32)
    h = np.zeros((batch, nodes * units))
    for step in range(steps):
        joined = np.concatenate([data[:, step, :, None], h.reshape(batch, nodes, units)], 2)
        mixed = edges @ joined.transpose(1, 2, 0).reshape(nodes, -1)
        rows = mixed.reshape(nodes, 1 + units, batch).transpose(2, 0, 1)
        y = np.tanh((rows @ kernel).reshape(batch, -1))
        h = 0.5 * (y + h)
    np.testing.assert_allclose(program.inference(x=data)["y"][:, -1], y, rtol=1e-4, atol=1e-5)
    rg.Trainer(program, rg.SGD(0.1)).step({x: data})
