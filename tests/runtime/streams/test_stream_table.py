"""Prepared calls of a pool for the same streams, and all changes between calls that affect them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.runtime.streams.stream_table import arrange

WIDTH, UNITS = 3, 4


def program() -> rg.Program:
    x = rg.placeholder("x", (None, None, WIDTH))
    gain = rg.placeholder("gain", (None, UNITS))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    return rg.compile({"y": outputs * rg.expand_dims(gain, 1), "turned": rg.transpose(outputs, (1, 2, 0))}, seed=0)


class Beside:
    """Pool and separate streams, whose bits must agree."""

    def __init__(self, count: int) -> None:
        self.program = program()
        self.pool = self.program.inference.streams(count)
        self.draw = np.random.default_rng(count)
        self.streams: dict[Any, Any] = {}
        self.handles = [self.open() for _ in range(count)]

    def open(self) -> Any:
        gain = self.draw.normal(size=(1, UNITS)).astype(np.float32)
        handle = self.pool.open(gain=gain)
        self.streams[handle] = self.program.inference.stream()
        self.streams[handle].step(x=np.zeros((1, WIDTH), np.float32), gain=gain)
        self.streams[handle].reset()
        return handle

    def step(self, handles: list[Any], **options: Any) -> Any:
        x = self.draw.normal(size=(len(handles), WIDTH)).astype(options.pop("dtype", np.float32))
        actual = self.pool.step_rows(handles, x=x, **options)
        for row, handle in enumerate(handles):
            held_feeds = {name: value[row : row + 1] for name, value in options.items()}
            alone = self.streams[handle].step(x=x[row : row + 1], **held_feeds)
            assert_array_equal(actual["y"][row], alone["y"][0])
            assert_array_equal(actual["turned"][:, row], alone["turned"][:, 0])
        return actual


def test_the_same_streams_have_their_bits_after_any_steps_of_others() -> None:
    beside = Beside(7)
    three = beside.handles[:3]
    kept = [beside.step(three) for _ in range(4)]
    copies = [np.array(result["y"]) for result in kept]
    beside.step(beside.handles[2:6])
    beside.step(three)
    beside.step(three, dtype=np.float64)  # needs a conversion
    beside.step(three)
    beside.pool.step({three[1]: {"x": np.zeros(WIDTH)}})
    beside.streams[three[1]].step(x=np.zeros((1, WIDTH), np.float32))
    beside.step(three)
    beside.step(three, gain=beside.draw.normal(size=(3, UNITS)).astype(np.float32))
    for _ in range(3):
        beside.step(three)
    beside.handles += [beside.open() for _ in range(25)]  # tables grow, and memory of calls with them
    beside.step(beside.handles)
    for _ in range(3):
        beside.step(three)
    name = next(iter(beside.program.parameters))
    beside.program.parameters[name] = 2 * beside.program.parameters[name]
    beside.step(three)
    beside.pool.reset(three[0])
    beside.streams[three[0]].reset()
    beside.step(three)
    beside.pool.close(three[2])
    three[2] = beside.open()  # the same list with another stream
    for _ in range(3):
        beside.step(three)
    for before, result in zip(copies, kept, strict=True):
        assert_array_equal(before, result["y"])


def test_a_list_that_changes_names_other_streams() -> None:
    beside = Beside(4)
    handles = beside.handles[:2]
    for _ in range(3):
        beside.step(handles)
    handles.reverse()
    beside.step(handles)
    handles.append(beside.handles[3])
    for _ in range(3):
        beside.step(handles)


def test_mappings_by_placeholder_and_by_name() -> None:
    x = {"one": rg.placeholder("x.one", (None, None, 2)), "other": rg.placeholder("x.other", (None, None, 2))}
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), rg.concat(list(x.values()), -1))
    program = rg.compile({"y": outputs}, seed=0)
    pool, other = program.inference.streams(3), program.inference.streams(3)
    handles, other_handles = [pool.open() for _ in range(3)], [other.open() for _ in range(3)]
    draw = np.random.default_rng(0)
    for turn in range(8):
        fed = {name: draw.normal(size=(3, 2)).astype(np.float32) for name in x}
        named = {f"x.{name}": array for name, array in fed.items()}
        forms: list[Any] = [{x[name]: array for name, array in fed.items()}, {"x": fed}, named]
        actual = pool.step_rows(handles, forms[turn % 3])["y"]
        assert_array_equal(actual, other.step_rows(other_handles, named)["y"])


def test_states_of_adjacent_rows_stay_where_they_are() -> None:
    """Steps of all streams exchange two tables, and steps of some copy rows. All have the bits of streams alone."""
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))
    program, draw = rg.compile({"y": outputs}, seed=0), np.random.default_rng(0)
    pool = program.inference.streams(4)
    alone: dict[Any, Any] = {}

    def opened(count: int) -> list[Any]:
        handles = [pool.open() for _ in range(count)]
        alone.update((handle, program.inference.stream()) for handle in handles)
        return handles

    def step(handles: list[Any]) -> None:
        x = draw.normal(size=(len(handles), WIDTH)).astype(np.float32)
        y = pool.step_rows(handles, x=x)["y"]
        for row, handle in enumerate(handles):
            assert_array_equal(y[row], alone[handle].step(x=x[row : row + 1])["y"][0])
            assert_array_equal(pool.state(handle), alone[handle].state)

    def step_all(handles: list[Any]) -> list[Any]:
        ordered = [handles[place] for place in arrange(handles)]
        rows = [handle._row for handle in ordered]
        assert rows == [*range(len(handles))]
        tables = dict(ordered[0]._table._tables)
        step(ordered)
        assert all(array is not tables[name] for name, array in ordered[0]._table._tables.items())
        return ordered

    handles = step_all(opened(6))
    for _ in range(3):
        step_all(handles)
    step(handles[1:4])
    step(handles[::-1])
    step_all(handles)
    for place in (5, 1, 2):  # leaves holes
        pool.close(handles.pop(place))
    step(handles)
    handles = step_all(handles)
    pool.reset(handles[0])
    alone[handles[0]].reset()
    handles = step_all([*handles, *opened(9)])  # tables grow
    name = next(iter(program.parameters))
    program.parameters[name] = 2 * program.parameters[name]
    handles = step_all(handles)
    pool.close(handles.pop(3))
    step_all(handles)
