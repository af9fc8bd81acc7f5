"""``rg.ensure_size``: a check of an axis at each call, which streams leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg


def program() -> rg.Program:
    x = rg.placeholder("x", shape=(None, "T", 2))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), rg.ensure_size(x, 1, at_least=2, at_most=4))
    return rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs)), seed=0)


def test_a_call_checks_the_size(tmp_path: Path) -> None:
    checked = program()
    assert checked.inference(x=np.zeros((1, 4, 2))).shape == (1, 4, 3)
    checked.save(tmp_path / "net")
    for steps in (1, 5):
        for call in (checked.inference, rg.load(tmp_path / "net").inference, checked.training.gradients):
            with pytest.raises(rg.ShapeError, match=rf"a size of 2 to 4 .*test_ensure_size.py.* not fit T = {steps}"):
                call(x=np.zeros((1, steps, 2)))
    stream = checked.inference.stream()
    for _ in range(6):
        stream.step(x=np.zeros((1, 2)))


@pytest.mark.parametrize(("limits", "text"), [({"at_most": 4}, "at most 4"), ({"at_least": 3}, "at least 3")])
def test_one_limit(limits: dict[str, int], text: str) -> None:
    x = rg.placeholder("x", shape=(None, 2))
    checked = rg.compile(rg.ensure_size(x, 0, **limits) * 2)
    np.testing.assert_array_equal(checked.inference(x=np.ones((3, 2))), np.full((3, 2), 2, np.float32))
    with pytest.raises(rg.ShapeError, match=f"a size of {text} "):
        checked.inference(x=np.ones((2 if "at_least" in limits else 5, 2)))


def test_declared_sizes_and_wrong_limits() -> None:
    x = rg.placeholder("x", shape=(None, 3))
    assert rg.ensure_size(x, 1, at_most=3) is x
    with pytest.raises(rg.ShapeError, match=r"axis 1 of .* must have 0 to 2 entries"):
        rg.ensure_size(x, 1, at_most=2)
    with pytest.raises(rg.ArgumentError, match="at_most must be at least 2, not 1"):
        rg.ensure_size(x, 0, at_least=2, at_most=1)
