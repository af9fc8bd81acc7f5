"""Declares cells that a script defines, and steps of their inner cells."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from ...declare.cell import Cell, Scope
from ..script import Script
from ..steps import Step, Value
from .loop import Place
from .parts import NotRolledError


def cell_name(number: int, count: int) -> str:
    """Return the argument name of an inner cell: ``cell``, or ``cell_NUMBER`` if there are several."""
    return "cell" if count == 1 else f"cell_{number}"


def inner_step(script: Script, p: Scope, name: str, cell: Value, x: Value, state: Value | tuple[Value, ...]) -> Value:
    """Declare ``p.cell(name, cell)(x, state)``, an inner cell's step in an outer cell. Return (output, new state)."""

    def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
        place = ast.Attribute(ast.Name("p", ast.Load()), "cell", ast.Load())
        return ast.Call(ast.Call(place, [ast.Constant(name), of[0]], []), of[1:], [])

    nest = tuple(leaf.result for leaf in state) if isinstance(state, tuple) else state.result
    result = p.cell(name, cell.result)(x.result, nest)
    hint = ("output", ("c", "h") if isinstance(state, tuple) else "h")
    return script.add(Step(result, (cell, x, state), {}, written, hint, True))


def declare_cell(script: Script, kind: type[Cell], arguments: Sequence[Value]) -> Value:
    """Declare an object of the cell class ``kind``. The script gets the source of the class later."""

    def written(operands: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        return ast.Call(ast.Name(kind.__name__, ast.Load()), operands, keywords)

    cell = kind(*(value.result for value in arguments))
    return script.add(Step(cell, arguments, {}, written, "cell", True, kind, kind))


def cell_step(
    script: Script, p: Scope, place: int, step: Step, operands: Sequence[Any], name: str
) -> dict[Place, Value]:
    """Declare a loop's step of a cell again, as an inner cell's. Return its results by (index of the step, path).

    Raises ``NotRolledError`` if a part of the state is None.
    """
    cell, x, *state = operands
    leaves = []
    for leaf in state:
        if leaf is None:
            raise NotRolledError
        leaves.append(leaf)
    nest = tuple(leaves) if len(leaves) > 1 else leaves[0]
    output, new = inner_step(script, p, name, cell, x, nest)
    results: dict[Place, Value] = {(place, (0, 0)): output}
    old = step.result[1]
    fields = getattr(old, "_fields", None) if isinstance(old, tuple) else None
    for number, part in enumerate(new.leaves):
        path: tuple[int | str, ...] = (1,)
        if isinstance(old, tuple):
            path = (1, fields[number] if fields else number)
        results[place, path] = part
    return results
