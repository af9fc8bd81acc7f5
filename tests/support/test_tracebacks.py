"""Tracebacks show the user's lines and the called functions, but no frames of the guard around them."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import numpy as np
import pytest

import rnngraph as rg


def failing() -> dict[str, Callable[[], object]]:
    x = rg.placeholder("x", (None, None, 3))
    program = rg.compile(rg.dense(rg.dynamic_rnn(rg.GRUCell(4), x)[1], 2))

    def own_cell() -> object:
        class Own(rg.Cell):
            def state(self) -> int:
                return 2

            def step(self, p: rg.Scope, x: rg.Tensor, state: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
                return rg.dense(x, 2, units=3), state  # type: ignore[misc]

        return rg.dynamic_rnn(Own(), x)

    return {
        "a value": lambda: rg.dense(x, -3),
        "a keyword": lambda: rg.dense(x, units=2, nothing=3),  # type: ignore[call-arg]
        "a method": lambda: program.inference.stream(batch="two"),  # type: ignore[arg-type]
        "a class": lambda: rg.Adam(learning_rate="fast"),
        "a shape": lambda: rg.concat([x, rg.reshape(x, (3, -1))], axis=1),
        "a load": lambda: rg.load("no such folder"),
        "a cell": own_cell,
        "predict": lambda: program.predict(np.zeros((2, 5, 7))),
    }


@pytest.mark.parametrize(
    "name", ["a value", "a keyword", "a method", "a class", "a shape", "a load", "a cell", "predict"]
)
def test_no_frame_is_one_of_a_guard(name: str) -> None:
    with pytest.raises(rg.RnnGraphError) as error:
        failing()[name]()
    frames = traceback.extract_tb(error.value.__traceback__)
    assert not [frame for frame in frames if frame.filename.endswith("api_guard.py")]
    assert "function(*arguments" not in "".join(traceback.format_exception(error.value))
    assert [frame.lineno for frame in frames if frame.filename == __file__]


def test_functions_have_their_own_names_in_tracebacks() -> None:
    with pytest.raises(rg.DtypeError) as error:
        rg.dense(rg.placeholder("x", (None, 3)), "many")  # type: ignore[arg-type]
    ours = [frame for frame in traceback.extract_tb(error.value.__traceback__) if frame.filename != __file__]
    assert ours[0].name == "dense"
    assert ours[0].filename.endswith("layers.py")
