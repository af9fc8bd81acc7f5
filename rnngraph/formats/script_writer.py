"""Writes the steps of a script, which are recorded expressions, as statements of Python."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..declare.cell import Cell
from .expressions import Applied, attribute, literal, part, statement
from .own_source import OwnSource
from .steps import Place, Step, Value, unwrap, values_read, wanted_steps, with_inner

WEIGHTS = "weights.safetensors"
"""Name of the file with a script's parameters, in the script's folder."""
MAX_INLINE = 60
"""Maximum characters of an inlined expression."""


class Writer:
    """Writes steps as statements.

    Short expressions that are used once are inlined. Other values get a variable, whose name is reused after the
    value's last use.
    """

    def __init__(
        self, steps: Sequence[Step], outputs: Mapping[str, Value], known: Mapping[Place, ast.expr] | None = None
    ) -> None:
        """Create a writer of those steps that the outputs need.

        Args:
            steps: Steps of the script, in order.
            outputs: Values that the script must compute, by name.
            known: Expressions for values that steps outside of ``steps`` compute.
        """
        self._outputs = outputs
        self._known = known or {}
        wanted = wanted_steps(steps, outputs)
        self._steps = [step for step in steps if step in wanted]
        self._reads: dict[Step, list[tuple[int | str, ...]]] = {step: [] for step in self._steps}
        self._last: dict[Step, int] = {}
        """Index of the last step that reads a step's result; the number of steps if an output reads it."""
        for number, step in enumerate(self._steps):
            for value in values_read(step):
                self._reads.setdefault(value.step, []).append(value.path)
                self._last[value.step] = number
        for value in outputs.values():
            self._reads.setdefault(value.step, []).append(value.path)
            self._last[value.step] = len(self._steps)
        self._inline: dict[Step, ast.expr] = {}
        self._variables: dict[Place, str] = {}
        self._owners: dict[str, Step] = {}

    def keep_names(self, names: Iterable[str]) -> None:
        """Reserve names, so that no variable gets them."""
        for name in names:
            self._owners[name] = step = Step(None, (), {}, _nothing_written)
            self._last[step] = len(self._steps)

    def text(self, title: str, has_parameters: bool, options: Mapping[str, object]) -> str:
        """Return the source of a script that declares the net and compiles it as ``program``.

        Args:
            title: Docstring of the script.
            has_parameters: True if the script must load the file ``WEIGHTS``.
            options: Options of ``rg.compile``.
        """
        lines = self.statements()
        keywords = [ast.keyword(name, literal(value)) for name, value in options.items()]
        compiled = ast.Call(attribute("rg.compile"), [self.expression(dict(self._outputs))], keywords)
        lines += ["", statement("program", compiled)]
        all_steps = list(with_inner(self._steps))
        own_modules = sorted({step.imports() for step in all_steps if step.imports is not None})
        imports = ["import rnngraph as rg", ""]
        imports += [*(f"from {module} import {name}" for module, name in own_modules), *[""] * bool(own_modules)]
        called = [item for step in all_steps if not step.defines for item in (step.key, *_functions(step))]
        own, texts = OwnSource(called), [step.defines for step in self._steps if step.defines]
        defined = [line for text in texts for line in ("", text, "")]
        if has_parameters:
            imports = ["from pathlib import Path", "", *imports]
            lines.append(f"program.parameters.load(Path(__file__).with_name({WEIGHTS!r}))")
        return "\n".join([f'"""{title}"""', "", *imports, *own.text(), *defined, *lines, ""])

    def statements(self) -> list[str]:
        """Return one assignment for each step that is not inlined, in order."""
        lines = []
        for number, step in enumerate(self._steps):
            expression = step.written(
                [self.expression(item) for item in step.operands],
                [ast.keyword(name, self.expression(item)) for name, item in step.keywords.items()],
            )
            if self._is_inlined(step, expression):
                self._inline[step] = expression
                self._extend(step, self._last[step])
                continue
            self._owners = {name: holder for name, holder in self._owners.items() if self._last[holder] > number}
            lines.append(statement(self._target(step, (), step.hint), expression))
        return lines

    def _is_inlined(self, step: Step, expression: ast.expr) -> bool:
        """True if a step's expression replaces its only use: a short operator or index, or a cell."""
        if len(self._reads[step]) != 1 or (step.is_call and not isinstance(step.result, Cell)):
            return False
        return len(ast.unparse(expression)) <= MAX_INLINE

    def _extend(self, step: Step, last: int) -> None:
        """Keep all variables that an inlined step reads until the step with index ``last``."""
        for value in values_read(step):
            self._last[value.step] = max(self._last[value.step], last)
            if value.step in self._inline:
                self._extend(value.step, last)

    def expression(self, operand: object) -> ast.expr:
        """Return the expression of an operand: a value, a literal, or a nest of operands."""
        if isinstance(operand, Value):
            return self._reference(operand)
        if isinstance(operand, dict):
            return ast.Dict([literal(key) for key in operand], [self.expression(item) for item in operand.values()])
        if type(operand) is tuple:
            return ast.Tuple([self.expression(item) for item in operand], ast.Load())
        if type(operand) is list:
            items = [self.expression(item) for item in operand]
            alike = len(items) > 1 and len({ast.unparse(item) for item in items}) == 1
            if alike and isinstance(items[0], ast.Call) and all(isinstance(unwrap(item), Cell) for item in operand):
                count = ast.Call(ast.Name("range", ast.Load()), [ast.Constant(len(items))], [])
                return ast.ListComp(items[0], [ast.comprehension(ast.Name("_", ast.Store()), count, [], 0)])
            return ast.List(items, ast.Load())
        return literal(operand)

    def _reference(self, value: Value) -> ast.expr:
        """Return an expression for a value: its variable, a part of a variable, or an inlined expression."""
        for cut in range(len(value.path), -1, -1):
            place = value.step, value.path[:cut]
            name = self._variables.get(place)
            if name is not None or place in self._known:
                return part(self._known[place] if name is None else ast.Name(name, ast.Load()), value.path[cut:])
        if value.step not in self._inline:  # No step of the script computes it, as an argument of a method.
            return part(value.step.written([], []), value.path)
        return part(self._inline[value.step], value.path)

    def _target(self, step: Step, path: tuple[int | str, ...], hint: Any) -> str:
        """Return the left side of an assignment, and record its variables.

        New names have the structure of ``hint``: ``("y", ("c", "h"))`` → ``y, (c, h)``. Unused results are ``_``.
        """
        if not isinstance(hint, str):
            text = ", ".join(self._target(step, (*path, place), item) for place, item in enumerate(hint))
            return f"({text})" if path else text
        if not any(read[: len(path)] == path[: len(read)] for read in self._reads[step]):
            return "_"
        name, count = hint, 0
        while name in self._owners:
            count += 1
            name = f"{hint}_{count}"
        self._owners[name] = step
        self._variables[step, path] = name
        return name


def _nothing_written(operands: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
    raise AssertionError("a step that only reserves a name was written as an expression; this is a bug of rnngraph")


def _functions(step: Step) -> Iterator[object]:
    """Yield the functions among a step's arguments."""
    for operand in (*step.operands, *step.keywords.values()):
        while isinstance(operand, Applied):
            yield operand.function
            operand = operand.inner
        if callable(operand):
            yield operand
