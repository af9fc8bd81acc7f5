"""Unrolled steps in a script are rolled up: equal results, and any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.declare.cell import shared
from rnngraph.declare.cells.basic import BasicLSTMCell, GRUCell
from rnngraph.declare.functions.basic import concat, stack, tanh
from rnngraph.declare.running.drivers import static_rnn
from rnngraph.formats.layers import declare_parameter
from rnngraph.formats.rolling.scripts import rolled_up, steps_left
from rnngraph.formats.script import Script
from rnngraph.formats.steps import Value

STEPS = 6
Net = Callable[[Script, Value, int], Value]


def lstm(script: Script, x: Value, steps: int) -> Value:
    """Write an LSTM cell step by step, from zeros."""
    cell = script.call(shared, script.call(BasicLSTMCell, 4, forget_bias=0.0))
    outputs, options = [], dict[str, Any]()
    for step in range(steps):
        item = script.item(x, slice(None), step)
        _, state = script.call(static_rnn, cell, [item], **options, scope=script.scope("rnn"))
        c, h = state
        options = {"initial_state": (c, h)}
        outputs.append(h)
    return script.call(stack, outputs, 1)


def dense(script: Script, x: Value, steps: int) -> Value:
    """Write a dense recurrence whose first step reads the input only."""
    w = declare_parameter(script, "w", np.full((3, 5), 0.1, np.float32), "w")
    u = declare_parameter(script, "u", np.full((5, 5), 0.2, np.float32), "u")
    h = script.call(tanh, script.operation("@", script.item(x, slice(None), 0), w))
    outputs = [h]
    for step in range(1, steps):
        read = script.operation("@", script.item(x, slice(None), step), w)
        h = script.call(tanh, script.operation("+", read, script.operation("@", h, u)))
        outputs.append(h)
    return script.call(stack, outputs, 1)


def around_a_cell(script: Script, x: Value, steps: int) -> Value:
    """Write a cell that reads a projection of its last output."""
    cell = script.call(shared, script.call(GRUCell, 4, reset_after=True))
    w = declare_parameter(script, "w", np.full((4, 3), 0.3, np.float32), "w")
    h, outputs = None, []
    for step in range(steps):
        read = script.item(x, slice(None), steps - 1 - step)
        if h is None:
            first = script.item(x, slice(None), 0)
            h = script.call(concat, [first, script.item(first, ..., slice(0, 1))], -1)
        both = script.operation("+", read, script.operation("@", h, w))
        _, state = script.call(static_rnn, cell, [both], initial_state=h, scope=script.scope("rnn"))
        h = state
        outputs.append(h)
    return script.call(stack, outputs, 0)


def script_of(net: Net, steps: int) -> Script:
    script = Script("A test.")
    x = script.input("x", ("B", "T", 3))
    script.outputs["y"] = net(script, x, steps)
    return script


def compiled(script: Script) -> Any:
    """Return the program, with parameters that depend on their shapes only."""
    program = rg.compile({"y": script.outputs["y"].tensor}, seed=0)
    for name in program.parameters:
        shape = program.parameters[name].shape
        program.parameters[name] = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    return program


@pytest.mark.parametrize("net", [lstm, dense, around_a_cell])
def test_numbers_stay_and_lengths_are_free(net: Net) -> None:
    generator = np.random.default_rng(0)
    long = rolled_up(script_of(net, STEPS), lambda dim: STEPS if str(dim) == "T" else 2)
    assert "dynamic_rnn" in long.text()
    assert "static_rnn" not in long.text()
    assert steps_left(long) == []
    program = compiled(long)
    for rows, steps in ((2, STEPS), (3, 4), (1, 9)):
        x = generator.normal(size=(rows, steps, 3)).astype(np.float32)
        written_out = compiled(script_of(net, steps)).inference(x=x)["y"]
        np.testing.assert_allclose(program.inference(x=x)["y"], written_out, atol=1e-6)
    names: dict[str, Any] = {}
    text = "\n".join(line for line in long.text().split("\n") if "weights.safetensors" not in line)
    exec(compile(text, "net.py", "exec"), names)
    assert names["program"].parameters.keys() == program.parameters.keys()


def test_a_fixed_number_of_steps_stays_one() -> None:
    script = rolled_up(script_of(lstm, STEPS), lambda dim: 17)
    assert f"x[:, :{STEPS}]" in script.text()


def test_scripts_without_a_loop_are_returned_unchanged() -> None:
    script = Script("A test.")
    x = script.input("x", ("B", 3))
    for _ in range(5):
        x = script.call(tanh, x)
        x = script.operation("*", x, 2.0 + len(script.steps))
    script.outputs["y"] = x
    assert rolled_up(script) is script


def test_steps_that_differ_are_counted() -> None:
    script = Script("A test.")
    x = script.input("x", ("B", "T", 4))
    cell = script.call(shared, script.call(GRUCell, 4))
    h = script.item(x, slice(None), 0)
    for step in (0, 1, 3, 7, 2, 9):
        item = script.item(x, slice(None), step)
        _, h = script.call(
            static_rnn, cell, [script.operation("*", item, step + 1.0)], initial_state=h, scope=script.scope("rnn")
        )
    script.outputs["y"] = h
    ((unrolled_cell, count, _),) = steps_left(rolled_up(script))
    assert (type(unrolled_cell), count) == (shared, 6)
