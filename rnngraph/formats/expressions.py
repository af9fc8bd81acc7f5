"""Expressions of Python for what a script says: names, literals, parts of values, and assignments."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..declare.placeholders import RESERVED
from .own_source import is_own

_OURS = ("rg", "program", "Path", "float", "range")
"""Names of a script that variables can't have."""
WIDEST = 100
"""Characters of a line, from which on a call has one argument a line."""


@dataclass(frozen=True)
class Applied:
    """A function of one Tensor, ``lambda x: function(inner(x), *arguments)``, as an argument of a call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    inner: Applied | None = None

    def __call__(self, x: Any) -> Any:
        return self.function(x if self.inner is None else self.inner(x), *self.arguments)

    def of(self, x: ast.expr) -> ast.expr:
        """Its body as an expression."""
        inside = x if self.inner is None else self.inner.of(x)
        return ast.Call(attribute(name_of(self.function)), [inside, *map(literal, self.arguments)], [])


def input_name(name: str) -> str:
    """What an input is called here: as in the file or module, with an underscore where calls take that word."""
    return f"{name}_" if name in RESERVED else name


def identifier(text: str) -> str:
    """A variable's name that is made of ``text``."""
    plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"x_{plain}" if plain else "x"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in _OURS else plain


def name_of(function: Any) -> str:
    """What scripts call a function or class."""
    return function.__name__ if is_own(function) else f"rg.{function.__name__}"


def attribute(name: str) -> ast.expr:
    first, *others = name.split(".")
    found: ast.expr = ast.Name(first, ast.Load())
    for other in others:
        found = ast.Attribute(found, other, ast.Load())
    return found


def literal(value: Any) -> ast.expr:
    """A number, text, slice, function of ``rg``, or a list or dict of such, as an expression."""
    if isinstance(value, dict):
        return ast.Dict([literal(key) for key in value], [literal(item) for item in value.values()])
    if isinstance(value, slice):
        return ast.Slice(*(None if part is None else literal(part) for part in (value.start, value.stop, value.step)))
    if type(value) in (list, tuple):
        kind = ast.List if isinstance(value, list) else ast.Tuple
        return kind([literal(item) for item in value], ast.Load())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, Applied):
        x = ast.arg("x")
        return ast.Lambda(ast.arguments([], [x], None, [], [], None, []), value.of(ast.Name("x", ast.Load())))
    if value is None or value is ... or isinstance(value, bool | str):
        return ast.Constant(value)
    return attribute(name_of(value))


def _number(value: float) -> ast.expr:
    if value != value or value in (float("inf"), float("-inf")):
        return ast.Call(ast.Name("float", ast.Load()), [ast.Constant(str(value))], [])
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def part(whole: ast.expr, path: Sequence[int | str]) -> ast.expr:
    for key in path:
        if isinstance(key, str):
            whole = ast.Attribute(whole, key, ast.Load())
        else:
            whole = ast.Subscript(whole, ast.Constant(key), ast.Load())
    return whole


def statement(target: str, expression: ast.expr) -> str:
    """``target = expression``; where that is too long for a line, with an argument a line."""
    line = f"{target} = {ast.unparse(expression)}"
    if len(line) <= WIDEST or not isinstance(expression, ast.Call):
        return line
    parts = [*expression.args, *expression.keywords]
    inner = "".join(f"    {ast.unparse(part)},\n" for part in parts)
    return f"{target} = {ast.unparse(expression.func)}(\n{inner})"
