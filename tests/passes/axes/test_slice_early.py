"""Steps that nothing reads are not computed, and the others keep their bits."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

UNITS, CLASSES = 40, 120


def net(weights: str, last: bool) -> rg.Program:
    """Return a layer, a norm and a projection for all steps, of which all or the last are the output."""
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    gamma, beta = rg.parameter("gamma", (UNITS,), "ones"), rg.parameter("beta", (UNITS,), "zeros")
    logits = rg.relu(rg.dense(rg.layer_norm(outputs, gamma, beta), CLASSES))
    return rg.compile(logits[:, -1] if last else logits, seed=2, cache=False, weights=weights)


@pytest.mark.parametrize("weights", ["float32", "int8", "int4"])
def test_the_last_step_alone_has_the_bits_of_all_steps(weights: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 9, 5)).astype(np.float32)
    whole, last = net(weights, False).inference(x=x), net(weights, True).inference(x=x)
    np.testing.assert_array_equal(last, whole[:, -1])


def test_a_projection_is_computed_for_the_last_step_alone() -> None:
    def shapes(last: bool) -> set[str]:
        text = str(net("float32", last).inference.show("fuse_multiply_add"))
        lines = [line for line in text.splitlines() if "= matmul" in line or "= exp" in line]
        return {line.rpartition(" : ")[2] for line in lines if f",{CLASSES}]" in line}

    assert shapes(True) == {f"f32[1,B,{CLASSES}]"}
    assert shapes(False) == {f"f32[T,B,{CLASSES}]"}
