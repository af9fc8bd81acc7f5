"""Converts a loop in a file to a cell, whose class the net's script will contain.

A driver traces the cell, which runs the loop's body once. A ``StepScript`` records the body as the class's method
``step``. Values from outside of the loop that the body reads become arguments of the class.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from ..declare.cell import Cell
from ..declare.cell import Scope as ParameterScope
from ..declare.tensor import Tensor
from ..ir.node import Namer
from .cell_class import ARGUMENTS, class_text
from .script import Script
from .steps import Step, Value, named_value, values_read, wanted_steps

RESERVED = (*ARGUMENTS, "rg")
"""Names that no variable in the method ``step`` may have."""

StepValues = tuple[Value, dict[str, Value]]
"""Results of a step: the output, and the new state by name."""


class StepScript(Script):
    """Record of a cell's method ``step`` as a script.

    Attributes:
        x: The step's input.
        state: The step's states, by name.
    """

    def __init__(self, outer: Script, x: Tensor, state: Mapping[str, Tensor]) -> None:
        super().__init__(outer.title)
        # Names of parameters and scopes must be unique in the whole net, so both scripts share them.
        self.parameters, self._scopes = outer.parameters, outer._scopes
        self.x = named_value(x, "x")
        self.state = {name: named_value(tensor, f"state[{name!r}]") for name, tensor in state.items()}

    def captured(self, result: StepValues) -> list[Value]:
        """Return the values of the enclosing script on which the step's results depend directly, each once."""
        output, state = result
        read = [value for step in self.needed(result) for value in values_read(step)]
        places = {(value.step, value.path): value for value in (*read, output, *state.values())}
        known = {*self._steps, self.x.step, *(value.step for value in self.state.values())}
        return [value for place, value in places.items() if place[0] not in known]

    def needed(self, result: StepValues) -> list[Step]:
        """Return the recorded expressions on which the step's results depend, in order."""
        output, state = result
        wanted = wanted_steps(self._steps, {"output": output, **state})
        return [step for step in self._steps if step in wanted]

    def class_text(self, name: str, about: str, result: StepValues, captured: Mapping[str, Value]) -> str:
        """Return the source of the cell's class.

        Args:
            name: Name of the class.
            about: Docstring of the class.
            result: Output and new state of the step.
            captured: Values of the enclosing script, by the names of the class's arguments that replace them.
        """
        output, state = result
        attributes = {
            (value.step, value.path): ast.Attribute(ast.Name("self", ast.Load()), argument, ast.Load())
            for argument, value in captured.items()
        }
        lines = self.body(result, RESERVED, attributes)
        widths = {key: value.tensor.width for key, value in state.items()}
        return class_text(name, about, [*captured], widths, output.tensor.width, lines)


class ReadCell(Cell):
    """Cell whose step a reader's function declares, as the body of a loop in a file."""

    def __init__(
        self,
        outer: Script,
        widths: Mapping[str, int],
        output_width: Callable[[], int],
        declare: Callable[[StepScript], StepValues],
    ) -> None:
        """Create a cell.

        Args:
            outer: The enclosing script.
            widths: Widths of the states, by name.
            output_width: Function that returns the width of the output.
            declare: Function that declares a step in a script, and returns the results.
        """
        self.outer, self.widths, self._output_width, self._declare = outer, dict(widths), output_width, declare
        self.traced: tuple[StepScript, StepValues] | None = None
        """(Record of the step, its results), once a driver has traced the cell; None before."""

    def state(self) -> Any:
        return dict(self.widths)

    @property
    def output_size(self) -> int:
        return self._output_width()

    def step(self, p: ParameterScope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        script = StepScript(self.outer, x, {name: state[name] for name in self.widths})
        output, new = self._declare(script)
        self.traced = script, (output, new)
        return output.tensor, {name: value.tensor for name, value in new.items()}


def declare_cell(script: Script, cell: ReadCell, base: str, about: str, drive: Callable[[Value], Value]) -> Value:
    """Declare a cell for a loop, and its driver. Return the driver's result.

    Args:
        script: The enclosing script.
        cell: The cell.
        base: Prefix of the class's name.
        about: Docstring of the class.
        drive: Function that declares the driver of a cell as the script's last step, and returns its result.
    """
    step = Step(cell, [], {}, lambda operands, keywords: ast.Constant(None), "cell")
    driven = drive(Value(cell, step))
    assert cell.traced is not None
    inner, result = cell.traced
    namer = Namer()
    for word in RESERVED:
        namer(word)
    captured = {namer(_hint(value)): value for value in inner.captured(result)}
    name = script.scope(base)
    step.operands, step.leaves = list(captured.values()), None
    step.written = lambda operands, keywords: ast.Call(ast.Name(name, ast.Load()), operands, [])
    step.defines = inner.class_text(name, about, result, captured)
    step.inner = inner.needed(result)
    script.put_before_last(step)
    return driven


def _hint(value: Value) -> str:
    """Return the variable name that a value's step suggests for it."""
    hint = value.step.hint
    for key in value.path:
        hint = hint[key] if isinstance(hint, tuple) and isinstance(key, int) else hint
    return hint if isinstance(hint, str) else "value"
