"""Cells that a reader makes of a loop in a file: a class of the script's own, whose step is declared as a script is.

While a driver traces the cell, its step runs a function of the reader's, which declares in a ``StepScript``. What that
reads of the script around it becomes an argument of the class.
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
"""Names in a step that no variable may have."""

StepValues = tuple[Value, dict[str, Value]]
"""What a step gives: its output, and the new state by name."""


class StepScript(Script):
    """The declaration of one step."""

    def __init__(self, outer: Script, x: Tensor, state: Mapping[str, Tensor]) -> None:
        super().__init__(outer.title)
        self.parameters, self._scopes = outer.parameters, outer._scopes  # names are of the whole net
        self.x = named_value(x, "x")
        self.state = {name: named_value(tensor, f"state[{name!r}]") for name, tensor in state.items()}

    def captured(self, result: StepValues) -> list[Value]:
        """Values of the script around it that the step needs, each once."""
        output, state = result
        read = [value for step in self.needed(result) for value in values_read(step)]
        places = {(value.step, value.path): value for value in (*read, output, *state.values())}
        known = {*self._steps, self.x.step, *(value.step for value in self.state.values())}
        return [value for place, value in places.items() if place[0] not in known]

    def needed(self, result: StepValues) -> list[Step]:
        """The steps that lead to what the step gives."""
        output, state = result
        wanted = wanted_steps(self._steps, {"output": output, **state})
        return [step for step in self._steps if step in wanted]

    def class_text(self, name: str, about: str, result: StepValues, captured: Mapping[str, Value]) -> str:
        """The class. captured: by the names of its arguments."""
        output, state = result
        given = {
            (value.step, value.path): ast.Attribute(ast.Name("self", ast.Load()), argument, ast.Load())
            for argument, value in captured.items()
        }
        lines = self.body(result, RESERVED, given)
        widths = {key: value.tensor.width for key, value in state.items()}
        return class_text(name, about, [*captured], widths, output.tensor.width, lines)


class ReadCell(Cell):
    """A cell whose step is what a reader declares. declared: of (script of the step) what it gives."""

    def __init__(
        self, outer: Script, widths: Mapping[str, int], output_width: Callable[[], int],
        declare: Callable[[StepScript], StepValues],
    ) -> None:  # fmt: skip
        """outer: the script around it."""
        self.outer, self.widths, self._output_width, self._declare = outer, dict(widths), output_width, declare
        self.made: tuple[StepScript, StepValues] | None = None

    def state(self) -> Any:
        return dict(self.widths)

    @property
    def output_size(self) -> int:
        return self._output_width()

    def step(self, p: ParameterScope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        script = StepScript(self.outer, x, {name: state[name] for name in self.widths})
        output, new = self._declare(script)
        self.made = script, (output, new)
        return output.tensor, {name: value.tensor for name, value in new.items()}


def declare_cell(script: Script, cell: ReadCell, base: str, about: str, drive: Callable[[Value], Value]) -> Value:
    """What a driver of the cell gives; ``drive`` calls it. base: of the class's name. about: its docstring."""
    step = Step(cell, [], {}, lambda operands, keywords: ast.Constant(None), "cell")
    found = drive(Value(cell, step))
    assert cell.made is not None
    inner, result = cell.made
    namer = Namer()
    for word in RESERVED:
        namer(word)
    captured = {namer(_hint(value)): value for value in inner.captured(result)}
    name = script.scope(base)
    step.operands = list(captured.values())
    step.written = lambda operands, keywords: ast.Call(ast.Name(name, ast.Load()), operands, [])
    step.defines = inner.class_text(name, about, result, captured)
    step.inner = inner.needed(result)
    script.put_before_last(step)
    return found


def _hint(value: Value) -> str:
    hint = value.step.hint
    for key in value.path:
        hint = hint[key] if isinstance(hint, tuple) and isinstance(key, int) else hint
    return hint if isinstance(hint, str) else "value"
