"""The check for independent rows accepts exactly the graphs in which no row of a batch depends on other rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rnngraph as rg
from rnngraph.ir.types import size
from rnngraph.runtime.streams.independent_rows import row_axis, rows_are_independent

WIDTH = 6


def looped(x: rg.Tensor) -> Any:
    return rg.dynamic_rnn(rg.MultiRNNCell([rg.LSTMCell(4), rg.GRUCell(3, reset_after=True)]), x)


class Centred(rg.Cell):
    """Cell that subtracts the mean over rows from its state."""

    def state(self) -> Any:
        return {"h": WIDTH}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        h = rg.tanh(x + state["h"] - rg.reduce_mean(state["h"], axis=0, keepdims=True))
        return h, {"h": h}


APART: dict[str, Callable[[rg.Tensor], Any]] = {
    "elementwise": lambda x: rg.tanh(x) * 2 + rg.cumsum(x, 1),
    "products": lambda x: rg.dense(x, 3) @ rg.constant([[1.0], [2.0], [3.0]]),
    "matrix by matrix": lambda x: x @ rg.transpose(x, (0, 2, 1)),
    "a loop": looped,
    "both directions": lambda x: rg.bidirectional_dynamic_rnn(rg.GRUCell(2), rg.GRUCell(3), x),
    "reductions": lambda x: rg.reduce_sum(x, 1) + rg.reduce_max(x, [1, 2], keepdims=True)[:, 0],
    "rows moved": lambda x: rg.transpose(x, (2, 0, 1))[::-1],
    "other axes": lambda x: rg.concat([x[:, 1:, ::2], rg.pad(x, ((0, 0), (0, 0), (1, 2)))[:, 1:]], 2),
    "windows": lambda x: rg.conv1d(x, 3, 3, padding="same", strides=2),
    "shapes": lambda x: rg.reshape(x, (-1, 2, 3, x.shape[1])) if isinstance(x.shape[1], int) else rg.expand_dims(x, 1),
    "a table": lambda x: rg.gather(rg.parameter("table", (5, 2)), rg.argmax(x, 2)),
    "softmax": lambda x: rg.softmax(x, 1),
}
MIXED: dict[str, Callable[[rg.Tensor], Any]] = {
    "a mean": lambda x: x - rg.reduce_mean(x, axis=0, keepdims=True),
    "a number of all": lambda x: rg.reduce_max(x),
    "turned": lambda x: x[::-1],
    "one row": lambda x: x + x[:1],
    "all but one": lambda x: x[1:],
    "rows of a table": lambda x: rg.gather(x, rg.constant([0])),
    "products of rows": lambda x: rg.transpose(x[:, 0]) @ x[:, 0],
    "rows by rows": lambda x: x[:, 0] @ rg.transpose(x[:, 0]),
    "joined": lambda x: rg.concat([x, x], 0),
    "rows as steps": lambda x: rg.dynamic_rnn(rg.GRUCell(2), x, time_major=True)[0],
    "in a loop": lambda x: rg.dynamic_rnn(Centred(), x)[0],
    "made one axis": lambda x: rg.reshape(x, (-1, WIDTH)),
}


def graph_of(make: Callable[[rg.Tensor], Any]) -> Any:
    return rg.compile({"y": make(rg.placeholder("x", ("B", "T", WIDTH)))}).inference.graph


@pytest.mark.parametrize("case", APART)
def test_rows_that_stay_independent(case: str) -> None:
    assert rows_are_independent(graph_of(APART[case]), {"B"})


@pytest.mark.parametrize("case", MIXED)
def test_rows_that_are_mixed(case: str) -> None:
    assert not rows_are_independent(graph_of(MIXED[case]), {"B"})


def test_the_axis_of_rows() -> None:
    batch = size("B")
    shapes: list[tuple[Any, int | None]] = [
        ((batch, 3), 0),
        ((2, batch, 3), 1),
        ((2, 3), None),
        ((batch, batch), None),
        ((batch + 1, 3), None),
        ((2 * batch, batch), None),
        ((), None),
    ]
    for shape, axis in shapes:
        assert row_axis(shape, {"B"}) == axis
