"""Cells that join the gates of several heads in one row, as modules of torch do: values, bits, gradients and plans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_gradients import check_differences

import rnngraph as rg
from rnngraph.ir.interpreter import interpret


class JoinedGates(rg.Cell):
    """Cell with two flat states, and two gates of all heads in one row."""

    def __init__(self, heads: int, units: int) -> None:
        self.heads, self.units = heads, units

    def state(self) -> Any:
        return {"h": self.heads * self.units, "c": self.heads * self.units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        heads, units = self.heads, self.units
        kernel = p.kernel("kernel", (heads, units, 2 * units))
        recurrent = rg.reshape(state["h"], (None, heads, 1, units)) @ kernel
        by_gate = rg.transpose(rg.reshape(recurrent, (None, heads, 2, units)), (0, 2, 1, 3))
        raw = x + rg.reshape(by_gate, (None, 2 * heads * units)) + p.bias("bias", (2 * heads * units,))
        gates = rg.reshape(raw, (None, 2, heads * units))
        gate = rg.sigmoid(gates[:, 0])
        starts = rg.reduce_all(rg.equal(state["c"], 0.0))
        c = gate * state["c"] + (1 - gate) * rg.tanh(gates[:, 1])
        h = rg.where(starts, c, rg.minimum(c, 0.5))
        return h, {"h": h, "c": c}


def outputs(heads: int, units: int, dtype: str = "float32") -> rg.Tensor:
    """Return the outputs of a cell whose gates are concatenated before the loop."""
    x = rg.placeholder("x", (None, None, heads, units), dtype)
    gates = [rg.einsum("bthd,hde->bthe", x, rg.parameter(name, (heads, units, units), dtype=dtype)) for name in "if"]
    joined = rg.concat([rg.reshape(gate, (None, None, heads * units)) for gate in gates], 2)
    return rg.dynamic_rnn(JoinedGates(heads, units), joined)[0]


@pytest.mark.parametrize(("heads", "units"), [(3, 7), (2, 17), (1, 25), (4, 16)])
def test_values_and_bits(heads: int, units: int) -> None:
    """Values are those that the graph defines; streams, rows alone and threads have the same bits."""
    program, shared = (rg.compile(outputs(heads, units), seed=1, threads=threads) for threads in (1, 2))
    fed = np.random.default_rng(0).normal(size=(3, 9, heads, units)).astype("f4")
    actual = program.inference(x=fed)
    (meant,) = interpret(program.inference.graph, {"x": fed, **program.parameters}).values()
    np.testing.assert_allclose(actual, meant, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(shared.inference(x=fed), actual)
    for row in range(3):
        np.testing.assert_array_equal(program.inference(x=fed[row : row + 1]), actual[row : row + 1])
    stream = program.inference.stream(batch=3)
    np.testing.assert_array_equal(np.stack([np.array(stream.step(x=fed[:, t])) for t in range(9)], 1), actual)


def test_gradients() -> None:
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 4, 3, 5))}
    check_differences(rg.reduce_sum(rg.square(outputs(3, 5, "float64"))), feeds, ["x"])


def test_steps_copy_no_gate() -> None:
    """Each gate is a sequence of its own, in the shape in which steps multiply."""
    program = rg.compile(outputs(4, 16), seed=1)
    program.inference(x=np.zeros((8, 9, 4, 16), "f4"))
    plan = program.inference.show("plan")
    assert "concat" not in plan
    assert "carries c : f32[8,4,16]" in plan
    assert plan.count("copy ") == 1, plan  # the state, for the reduction over all of its entries


@pytest.mark.parametrize("columns", [(3, 5, 7), (1, 3, 5, 7)])
def test_rows_share_matrices(columns: tuple[int, ...]) -> None:
    """Rows [B, heads, 1, K] times the matrices of heads are one product for each head, and its derivative."""
    generator = np.random.default_rng(0)
    feeds = {"a": generator.normal(size=(4, 3, 1, 5)), "b": generator.normal(size=columns)}
    a, b = rg.placeholder("a", (None, 3, 1, 5), "float64"), rg.placeholder("b", columns, "float64")
    program = check_differences(rg.reduce_sum(rg.sin(a @ b)), feeds, ["a", "b"])
    np.testing.assert_allclose(rg.compile(a @ b).inference(feeds), feeds["a"] @ feeds["b"], rtol=1e-12)
    assert "[B,3,5,7]" not in str(program.training.show("fission")).replace("a,", "B,")
