"""Sizes from their text, which is Python's syntax."""

from __future__ import annotations

import ast

from ...support.forks import Order, fork_lock
from .polynomial import Dim, floor_divide, size, terms_of

TRIES = 9
_PARSING = fork_lock(Order.LAST)
"""CPython counts the depth of a tree for all threads together, and refuses a tree when another thread came between."""


def syntax_of(text: str) -> ast.expr:
    """The Python syntax of an expression, for any thread."""
    with _PARSING:
        for _ in range(TRIES):
            try:
                return ast.parse(text, mode="eval").body
            except SystemError:  # some other code's threads parse, too
                continue
        return ast.parse(text, mode="eval").body


def parse_dim(text: str) -> Dim:
    return dim_of_syntax(syntax_of(text))


def dim_of_syntax(node: ast.expr) -> Dim:
    """A size from Python syntax made of integers, names, ``+``, ``-``, ``*``, and ``//`` by a number."""
    rest: list[ast.BinOp] = []
    first = node
    while isinstance(first, ast.BinOp):  # a sum of many terms is as deep to the left
        rest.append(first)
        first = first.left
    match first:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            found: Dim = value
        case ast.Name(id=name):
            found = size(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = dim_of_syntax(operand) * -1
        case _:
            raise ValueError(f"not a size: {ast.dump(first)}")
    for term in reversed(rest):
        other = dim_of_syntax(term.right)
        match term.op:
            case ast.Add():
                found = found + other
            case ast.Sub():
                found = found - other
            case ast.Mult() if min(len(terms_of(found)), len(terms_of(other))) < 2:  # as sizes are printed
                found = found * other
            case ast.FloorDiv() if isinstance(other, int) and other > 0:
                found = floor_divide(found, other)
            case _:
                raise ValueError(f"not a size: {ast.dump(term)}")
    return found
