"""An update of a parameter is one pass over its gradient, once the norm of all gradients is known."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen import compile as compiling
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry


@pytest.mark.parametrize("optimizer", [rg.SGD(0.1), rg.Adam(0.01), rg.RMSProp(0.01), rg.Adagrad(0.1)], ids=repr)
def test_no_step_of_an_update_is_in_memory(optimizer: rg.Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[ScheduledEntry] = []
    planned = compiling.planned

    def noting(*arguments: object, **options: object) -> ScheduledEntry:
        plans.append(planned(*arguments, **options))
        return plans[-1]

    monkeypatch.setattr(compiling, "planned", noting)
    x = rg.placeholder("x", (None, 100))
    y = rg.dense(rg.relu(rg.dense(x, 70)), 300, use_bias=False)
    program = rg.compile(y, rg.reduce_mean(rg.square(y)), cache=False)
    rg.Trainer(program, optimizer).step(x=np.ones((7, 100), np.float32))
    (plan,) = plans
    weights = {70 * 300 * 4, 100 * 70 * 4}
    large = [buffer.name for buffer, count in plan.arena.sizes.items() if int(str(count)) >= min(weights)]
    assert [name for name in large if not name.startswith("right_")] == [], "beside packed operands of products"


def test_updates_are_those_of_float64() -> None:
    """Adam with a clipped norm equals NumPy's float64."""
    x = rg.placeholder("x", (None, 17))
    y = rg.dense(x, 25, use_bias=False)
    program = rg.compile(y, rg.reduce_mean(rg.square(y)), cache=False, seed=5)
    (name,) = program.parameters
    trainer, data = rg.Trainer(program, rg.Adam(0.01), clip_norm=0.5), np.random.default_rng(3).normal(size=(4, 7, 17))
    w, m, v = program.parameters[name].astype(np.float64), 0.0, 0.0
    for step, rows in enumerate(data, 1):
        gradient = rows.T @ (rows @ w) * 2 / (7 * 25)
        gradient *= 0.5 / max(0.5, np.linalg.norm(gradient))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w - 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / (np.sqrt(v) + 1e-8 * np.sqrt(1 - 0.999**step))
        trainer.step(x=rows.astype(np.float32))
    np.testing.assert_allclose(program.parameters[name], w, rtol=2e-5, atol=2e-6)
