"""Gradient of a gather's table: the rows of all uses, added in one order for any chunk length and target."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_gradients import check_differences

import rnngraph as rg
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import TensorType

ROWS, WIDTH = 1000, 17


def node(rows: int, *shapes: tuple[int, ...], dtypes: tuple[str, str] = ("int32", "float32")) -> Node:
    operands = [
        make("input", label=f"x{number}", type=TensorType(dtype, shape))
        for number, (dtype, shape) in enumerate(zip(dtypes, shapes, strict=True))
    ]
    return make("scatter_add", *operands, rows=rows)


def test_value() -> None:
    """``scatter_add`` adds the rows of repeated indices, and clamps an index out of range, as ``gather`` does."""
    graph = Graph.of("g", [("y", node(4, (3, 2), (3, 2)))])
    indices, updates = np.array([[1, 1], [9, 0], [-5, 1]], np.int32), np.array([[1, 2], [4, 8], [16, 32]], np.float32)
    actual = interpret(graph, {"x0": indices, "x1": updates})["y"]
    np.testing.assert_array_equal(actual, np.array([24, 35, 0, 4], np.float32))
    assert str(parse(str(graph))) == str(graph)


def test_type() -> None:
    assert node(4, (3, 2), (3, 2, 5, 6)).shape == (4, 5, 6)
    assert node(4, (), (5,)).shape == (4, 5)
    with pytest.raises(ValueError, match="one row for each index"):
        node(4, (3, 2), (3,))
    with pytest.raises(ValueError, match="3"):
        node(4, (3, 2), (2, 3))
    with pytest.raises(TypeError, match="int32"):
        node(4, (3,), (3,), dtypes=("float32", "float32"))
    with pytest.raises(TypeError, match="float32"):
        node(4, (3,), (3,), dtypes=("int32", "int64"))


class Lookup(rg.Cell):
    """Cell that reads rows of an outer table in every step: at fed ids, at computed ids, and at a constant id."""

    def __init__(self, table: rg.Tensor, bias: rg.Tensor) -> None:
        self.table, self.bias = table, bias

    def state(self) -> Any:
        return self.table.width

    def step(self, p: Any, x: Any, h: Any) -> Any:
        word = rg.cast(x[:, 0], "int32")
        own = rg.argmax(rg.stop_gradient(h), -1)
        fixed = rg.gather(self.table, 2)
        read = rg.gather(self.table, word) * x[:, 1:2] + rg.gather(self.table, own) + fixed
        h = rg.tanh(read + 0.5 * h + rg.expand_dims(rg.gather(self.bias, word), -1))
        return h * 2.0, h


def by_hand(ids: rg.Tensor) -> rg.Tensor:
    table, h = rg.parameter("t", (7, 5), dtype="float64"), rg.parameter("h", (5,), dtype="float64")
    for step in range(4):
        h = rg.tanh(rg.gather(table, ids[:, step]) + h)
    return h * rg.reduce_sum(table, axis=0)


TABLES: dict[str, Callable[[rg.Tensor], rg.Tensor]] = {
    "numbers": lambda ids: rg.gather(rg.parameter("t", (7,), dtype="float64"), ids),
    "rows": lambda ids: rg.gather(rg.parameter("t", (7, 5), dtype="float64"), ids),
    "matrices": lambda ids: rg.gather(rg.parameter("t", (7, 2, 3), dtype="float64"), ids),
    "one row": lambda ids: rg.gather(rg.parameter("t", (7, 5), dtype="float64"), 3) * rg.cast(ids, "float64")[:, :1],
    "rows in another order": lambda ids: rg.transpose(
        rg.gather(rg.parameter("t", (7, 5), dtype="float64"), ids), (1, 0, 2)
    ),
    "a computed table": lambda ids: rg.gather(rg.tanh(rg.parameter("t", (7, 5), dtype="float64")), ids),
    "one table, twice": lambda ids: (
        lambda t: rg.gather(t, ids) * rg.gather(t, ids[:, ::-1]) + rg.reduce_sum(t, axis=0)
    )(rg.parameter("t", (7, 5), dtype="float64")),
    "steps one by one": by_hand,
    "numbers of rows of numbers": lambda ids: rg.gather(
        rg.gather(rg.parameter("t", (9, 5), dtype="float64"), rg.constant([1, 8, 8, 0, 1, 2, 3])), ids
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_against_central_differences(name: str) -> None:
    ids = rg.placeholder("ids", (None, None), "int32")
    value = TABLES[name](ids)
    feeds: dict[str, Any] = {"ids": np.array([[0, 6, 6, 1], [6, 6, 2, 0], [1, 1, 1, 1]], np.int32)}
    check_differences(rg.reduce_sum(rg.square(value) * rg.sin(value)), feeds, [])


def test_steps_one_by_one_share_one_table() -> None:
    ids = rg.placeholder("ids", (None, None), "int32")
    value = by_hand(ids)
    program = rg.compile(value, loss=rg.reduce_sum(value))
    program.training.gradients(ids=np.zeros((3, 4), np.int32))
    assert program.training.show("autodiff").count("= scatter_add ") == 1


@pytest.mark.parametrize("steps", [None, 6], ids=["any length", "six steps"])
def test_lookups_in_a_cell_against_central_differences(steps: int | None) -> None:
    generator = np.random.default_rng(2)
    x = rg.placeholder("x", (None, steps, 2), "float64")
    table, bias = rg.parameter("table", (4, 5), dtype="float64"), rg.parameter("bias", (4,), dtype="float64")
    outputs, state = rg.dynamic_rnn(Lookup(table, bias), x)
    fed = np.stack([generator.integers(0, 4, (3, 6)), generator.normal(size=(3, 6))], -1).astype(np.float64)
    check_differences(rg.reduce_sum(rg.square(outputs)) + rg.reduce_sum(state), {"x": fed}, [])


def net(backward: bool, steps: int | None, target: str) -> rg.Program:
    """Return an embedding below a recurrent layer. ``shift`` is 0, and its gradient is each step's gradient of the
    table.
    """
    ids = rg.placeholder("ids", (None, steps), "int32")
    shift = rg.placeholder("shift", (None, steps, WIDTH))
    x = rg.embedding(ids, ROWS, WIDTH) + shift
    (forward, reversed_), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(8), rg.GRUCell(8), x)
    outputs = reversed_ if backward else forward
    return rg.compile(outputs, loss=rg.reduce_sum(rg.square(outputs)), target=target, seed=1)


def longest_chunk(program: rg.Program) -> int:
    """Return the longest time chunk in the gradients' loops."""
    feeds = {"ids": np.zeros((4, 3), np.int32), "shift": np.zeros((4, 3, WIDTH), np.float32)}
    program.training.gradients(feeds, wrt=["shift"])
    matches = re.findall(r"(\d+) steps at a time", program.training.show("loops"))
    return max(map(int, matches))


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("steps", [1, 3, None], ids=["one step", "three steps", "several chunks"])
def test_rows_are_added_in_one_order(steps: int | None, backward: bool, target: str) -> None:
    """The order is fixed: steps opposite to the layer's direction, and then rows of the batch."""
    generator = np.random.default_rng(3)
    program = net(backward, steps, target)
    time = steps or 2 * longest_chunk(program) + 31
    ids = generator.integers(0, 40, (4, time)).astype(np.int32)
    ids[:, 0] = ROWS - 1
    shift = np.zeros((4, time, WIDTH), np.float32)
    _, actual = program.training.gradients(ids=ids, shift=shift, wrt=["shift"])
    expected = np.zeros((ROWS, WIDTH), np.float32)
    order = slice(None) if backward else slice(None, None, -1)
    np.add.at(expected, ids.T[order], actual["shift"].transpose(1, 0, 2)[order])
    assert expected[ROWS - 1].any()
    np.testing.assert_array_equal(actual["embedding/table"], expected)


def test_ids_out_of_range_are_an_error() -> None:
    """An id out of range raises, even if a linear loss's gradient reads no row of the table."""
    ids = rg.placeholder("ids", (None,), "int32")
    loss = rg.reduce_sum(rg.gather(rg.parameter("t", (5, 2)), ids))
    program = rg.compile(loss, loss=loss)
    with pytest.raises(rg.ShapeError, match=r"feed ids holds 5; rows of a table .* must be in 0..4"):
        program.training.gradients(ids=np.array([1, 5], np.int32))
