"""Builds Python syntax trees for scripts: names, literals, indexed values, and assignments."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..declare.placeholders import RESERVED
from .own_source import is_own

_RESERVED = ("rg", "program", "Path", "float", "range")
"""Names that generated scripts already use, so that no variable may have them."""
MAX_WIDTH = 100
"""Maximum characters of a line in a script. A longer call is written with one argument a line."""


@dataclass(frozen=True)
class Applied:
    """Argument that is a function of one Tensor: ``lambda x: function(inner(x), *arguments)``."""

    function: Callable[..., Any]
    arguments: tuple[object, ...] = ()
    inner: Applied | None = None

    def __call__(self, x: object) -> object:
        return self.function(x if self.inner is None else self.inner(x), *self.arguments)

    def of(self, x: ast.expr) -> ast.expr:
        """Return the syntax tree of the lambda's body for the argument ``x``."""
        inside = x if self.inner is None else self.inner.of(x)
        return ast.Call(attribute(name_of(self.function)), [inside, *map(literal, self.arguments)], [])


def input_name(name: str) -> str:
    """Return the name of a placeholder. A name that calls reserve for an option gets a trailing underscore."""
    return f"{name}_" if name in RESERVED else name


def identifier(text: str) -> str:
    """Convert a string to a valid variable name."""
    plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"x_{plain}" if plain else "x"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in _RESERVED else plain


def name_of(function: Any) -> str:
    """Return the name of a function or class in scripts."""
    return function.__name__ if is_own(function) else f"rg.{function.__name__}"


def attribute(name: str) -> ast.expr:
    """Return the syntax tree of a dotted name."""
    first, *others = name.split(".")
    tree: ast.expr = ast.Name(first, ast.Load())
    for other in others:
        tree = ast.Attribute(tree, other, ast.Load())
    return tree


def literal(value: Any) -> ast.expr:
    """Return the syntax tree of a constant, slice, function or ``Applied``, or of a list, tuple or dict of them."""
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
    """Return the syntax tree that selects a part of ``whole`` by indices (ints) and attributes (strings) in turn."""
    for key in path:
        if isinstance(key, str):
            whole = ast.Attribute(whole, key, ast.Load())
        else:
            whole = ast.Subscript(whole, ast.Constant(key), ast.Load())
    return whole


def statement(target: str, expression: ast.expr) -> str:
    """Return ``target = expression``. A call that exceeds ``MAX_WIDTH`` is written with one argument a line."""
    line = f"{target} = {ast.unparse(expression)}"
    if len(line) <= MAX_WIDTH or not isinstance(expression, ast.Call):
        return line
    parts = [*expression.args, *expression.keywords]
    inner = "".join(f"    {ast.unparse(part)},\n" for part in parts)
    return f"{target} = {ast.unparse(expression.func)}(\n{inner})"
