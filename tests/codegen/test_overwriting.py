"""What a loop over steps writes over other values: only what nobody reads any more."""

from __future__ import annotations

import numpy as np
import own_cells
import pytest

import rnngraph as rg
from rnngraph.ir.interpreter import interpret


@pytest.mark.parametrize("units", [1, 16, 20, 33])
def test_a_state_that_is_read_beside_its_next_value(units: int) -> None:
    """Tiles store values one after the other: this state has two places in turn."""
    x = rg.placeholder("x", (3, None, 9))
    outputs, _ = rg.dynamic_rnn(own_cells.LateReadCell(units), x)
    program = rg.compile({"outputs": outputs}, seed=1)
    feed = np.random.default_rng(2).normal(size=(3, 7, 9)).astype(np.float32)
    expected = interpret(program.inference.graph, {"x": feed, **program.parameters}, wide=True)["outputs"]
    np.testing.assert_allclose(program.inference(x=feed)["outputs"], expected, rtol=1e-5, atol=1e-6)
