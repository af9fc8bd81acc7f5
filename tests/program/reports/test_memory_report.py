"""The memory report against the sizes of stored values and of calls."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.runtime.native import entry as native


def program_of(cell: rg.Cell, width: int = 25) -> rg.Program:
    x = rg.placeholder("x", (None, None, width))
    outputs, _ = rg.dynamic_rnn(cell, x)
    return rg.compile({"outputs": outputs}, loss=rg.reduce_mean(rg.square(outputs)), seed=0)


def test_training_stores_little_more_than_the_derivative_needs() -> None:
    program = program_of(rg.BasicRNNCell(63))
    memory = program.training.memory(batch=17, time=1000)
    row = 64 * 4  # bytes of 63 units, padded to a cache line
    assert memory.residuals >= 1000 * 17 * row  # the outputs, which tanh's derivative reads
    assert memory.residuals <= 1000 * 17 * row * 1.01 + 17 * row
    assert memory.arena <= 1.2 * memory.residuals
    assert memory.parameters == (25 + 63 + 1) * 63 * 4
    assert memory.feeds == 1000 * 17 * 25 * 4
    assert memory.total == memory.arena + memory.panels + memory.parameters + memory.feeds + memory.results


@pytest.mark.parametrize(
    "cell", [rg.BasicLSTMCell(128), rg.GRUCell(128, reset_after=True), rg.LSTMCell(128, use_peepholes=True)]
)
def test_a_long_row_needs_little_more_than_the_stored_values(cell: rg.Cell) -> None:
    """Gradients of one long row need little more memory than the residuals, which intermediate gradients reuse."""
    memory = program_of(cell, width=128).training.memory(batch=1, time=1000)
    assert memory.arena <= 1.2 * memory.residuals


def test_inference_does_not_grow_with_time() -> None:
    program = program_of(rg.GRUCell(33))
    short, long = (program.inference.memory(batch=3, time=time) for time in (1000, 100_000))
    assert short.arena == long.arena
    assert short.residuals == long.residuals == 0
    assert long.results == 100 * short.results


def test_a_call_uses_the_reported_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of(rg.BasicLSTMCell(7))
    arenas: list[int] = []
    original = native.NativeEntry.take

    def take(entry: native.NativeEntry, count: int) -> np.ndarray:
        arenas.append(count)
        return original(entry, count)

    monkeypatch.setattr(native.NativeEntry, "take", take)
    program.training.gradients(x=np.ones((3, 41, 25)))
    assert arenas == [program.training.memory(batch=3, time=41).arena]


def test_text_and_mistakes() -> None:
    program = program_of(rg.BasicRNNCell(3))
    text = str(program.training.memory(batch=2, time=5))
    assert text.splitlines()[0].startswith("arena")
    assert "of them residuals" in text.splitlines()[1]
    assert text.splitlines()[-1].endswith("bytes")
    with pytest.raises(rg.ArgumentError, match="batch must be at least 1, not 0"):
        program.training.memory(batch=0, time=5)
    with pytest.raises(rg.NameLookupError, match="no size is named rows"):
        program.training.memory(rows=5)
    for name in ("nothing", "tap:nothing"):
        with pytest.raises(rg.ArgumentError, match=f"wrt='{name}' is not a float"):
            program.training.memory(wrt=[name])
    without_loss = rg.compile(2 * rg.placeholder("x", (None, 3)))
    with pytest.raises(rg.GraphError, match="wrt= need the loss"):
        without_loss.training.memory(wrt=["x"])
