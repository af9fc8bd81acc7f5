"""Declares cells that a script defines, and steps of their inner cells."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ...declare.cell import Cell, Scope
from ..script import Script
from ..steps import Step, Value


def cell_name(number: int, count: int) -> str:
    return "cell" if count == 1 else f"cell_{number}"


def inner_step(script: Script, p: Scope, name: str, cell: Value, x: Value, state: Value | tuple[Value, ...]) -> Value:
    """Declare a step of a cell within a cell, and return (output, new state): ``p.cell(name, cell)(x, state)``."""

    def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
        place = ast.Attribute(ast.Name("p", ast.Load()), "cell", ast.Load())
        return ast.Call(ast.Call(place, [ast.Constant(name), of[0]], []), of[1:], [])

    nest = tuple(leaf.result for leaf in state) if isinstance(state, tuple) else state.result
    result = p.cell(name, cell.result)(x.result, nest)
    hint = ("output", ("c", "h") if isinstance(state, tuple) else "h")
    return script.add(Step(result, (cell, x, state), {}, written, hint, True))


def declare_cell(script: Script, kind: type[Cell], arguments: Sequence[Value]) -> Value:
    """Declare a cell of the class ``kind``, whose source the script gets once a driver has traced the cell."""

    def written(operands: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        return ast.Call(ast.Name(kind.__name__, ast.Load()), operands, keywords)

    cell = kind(*(value.result for value in arguments))
    return script.add(Step(cell, arguments, {}, written, "cell", True, kind, kind))
