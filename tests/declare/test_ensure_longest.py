"""``rg.ensure_longest``: values past rows' ends, and the check that the longest row has all steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

X = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)


def declared(axis: int = 1, padding: float = 0.0, dtype: str = "int64", reason: str = "") -> Any:
    x = rg.placeholder("x", ("B", "T", 3) if axis else ("T", "B", 3))
    lengths = rg.placeholder("lengths", ("B",), dtype)
    return rg.ensure_longest(x, lengths, padding, axis, reason)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_values_and_errors(axis: int, dtype: str) -> None:
    program = rg.compile(declared(axis, -1.0, dtype, "why this is so"))
    wanted = np.where(np.arange(4)[None, :, None] < np.array([1, 4])[:, None, None], X, -1.0)
    turned = [array if axis else np.swapaxes(array, 0, 1) for array in (X, wanted)]
    for _ in range(3):
        np.testing.assert_array_equal(program.inference(x=turned[0], lengths=[1, 4]), turned[1])
    for _ in range(3):
        with pytest.raises(
            rg.ShapeError, match=r"longest row has 3 steps by feed lengths, but 4 .*why this is so; feed 3"
        ):
            program.inference(x=turned[0], lengths=[1, 3])
    with pytest.raises(rg.ShapeError, match=r"holds 5; lengths .* must be in 0\.\.4"):
        program.inference(x=turned[0], lengths=[1, 5])
    assert program.inference(x=turned[0][:0, :0], lengths=np.zeros(0, dtype)).size == 0


def test_training_saving_and_streams(tmp_path: Path) -> None:
    hidden = rg.dense(declared(), 1)
    program = rg.compile(hidden, loss=rg.reduce_mean(hidden), seed=0)
    value, _ = program.training.gradients(x=X, lengths=[4, 1])
    assert np.isfinite(value)
    trainer = rg.Trainer(program, rg.SGD(0.1))
    with pytest.raises(rg.ShapeError, match="longest row has 2 steps"):
        trainer.step(x=X, lengths=[2, 1])
    with pytest.raises(rg.GraphError, match="can't be streamed"):
        program.inference.stream(batch=2)
    reloaded = rg.loads(rg.dumps(program))
    with pytest.raises(rg.ShapeError, match="longest row has 2 steps"):
        reloaded.inference(x=X, lengths=[2, 1])


def test_lengths_that_can_not_be_checked_are_rejected() -> None:
    x, lengths = rg.placeholder("x", ("B", "T", 3)), rg.placeholder("lengths", ("B",), "int64")
    with pytest.raises(rg.GraphError, match="lengths that are fed"):
        rg.ensure_longest(x, lengths + 1)
    with pytest.raises(rg.ShapeError, match="axis 2"):
        rg.ensure_longest(x, lengths, axis=2)
    with pytest.raises(rg.ShapeError, match="batch, time"):
        rg.ensure_longest(rg.placeholder("v", ("B",)), lengths)


def test_a_last_step_among_other_entries_is_no_mask() -> None:
    """A comparison with positions of an axis other than time is no mask over time."""
    from rnngraph.batching.padding_safety import unproven
    from rnngraph.ir.types import size

    x, lengths = rg.placeholder("x", ("B", "T", 3)), rg.placeholder("lengths", ("B",), "int64")
    last = rg.expand_dims(lengths - 1, -1)
    of_time = rg.expand_dims(rg.equal(last, rg.positions(x, 1)), -1)
    of_three = rg.expand_dims(rg.cast(rg.equal(last, rg.constant(np.arange(3))), "float32"), 1)
    outputs = {
        "last": rg.reduce_sum(rg.where(of_time, x, 0), 1),
        "all": rg.reduce_sum(x * of_three, 1),
        "flat": rg.reshape(x, (-1, 3)),
        "each": rg.reshape(rg.tanh(rg.reshape(x, (-1, 3))), (-1, "T", 3)),
    }
    graph = rg.compile(outputs).inference.compiled.graph
    proven = [name for name in outputs if not unproven(graph, [name], "T", {"lengths": size("T")}, nonempty=True)]
    assert proven == ["last", "each"]
    assert unproven(graph, ["last"], "T", {"lengths": size("T")})  # rows may have no steps, and then no last step
