"""Parser of printed sizes, which are Python expressions."""

from __future__ import annotations

import ast
from functools import lru_cache

from ...support.forks import LockLevel, fork_lock
from .polynomial import Dim, floor_divide, size, terms_of

TRIES = 9
MAX_REPEATED = 200
"""Maximum length of an expression whose syntax tree is cached."""
_PARSING = fork_lock(LockLevel.LAST)
"""Lock of ``ast.parse``. CPython's threads share the recursion counter of parses, and concurrent parses may fail."""


def syntax_of(text: str) -> ast.expr:
    """Return the syntax tree of a Python expression, which must not be changed. Thread-safe."""
    return _repeated(text) if len(text) <= MAX_REPEATED else _parsed(text)


def _parsed(text: str) -> ast.expr:
    """Return the syntax tree of a Python expression, parsed by one thread at a time."""
    with _PARSING:
        for _ in range(TRIES):
            try:
                return ast.parse(text, mode="eval").body
            except SystemError:  # threads of other libraries may parse without the lock
                continue
        return ast.parse(text, mode="eval").body


_repeated = lru_cache(maxsize=4096)(_parsed)  # equal layers have equal attributes


def parse_dim(text: str) -> Dim:
    """Parse the printed form of a size. Raise ``ValueError`` or ``SyntaxError`` for any other text."""
    return dim_of_syntax(syntax_of(text))


def dim_of_syntax(node: ast.expr) -> Dim:
    """Return the size that a Python syntax tree of ints, names, ``+``, ``-``, ``*`` and ``//`` by an int spells.

    Raises:
        ValueError: The syntax tree is not that of a printed size.
    """
    rest: list[ast.BinOp] = []
    first = node
    while isinstance(first, ast.BinOp):  # a sum of many terms is a deep tree on the left; avoid recursion
        rest.append(first)
        first = first.left
    match first:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            result: Dim = value
        case ast.Name(id=name):
            result = size(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            result = dim_of_syntax(operand) * -1
        case _:
            raise ValueError(f"not a size: {ast.dump(first)}")
    for term in reversed(rest):
        other = dim_of_syntax(term.right)
        match term.op:
            case ast.Add():
                result = result + other
            case ast.Sub():
                result = result - other
            case ast.Mult() if min(len(terms_of(result)), len(terms_of(other))) < 2:  # no product of sums is printed
                result = result * other
            case ast.FloorDiv() if isinstance(other, int) and other > 0:
                result = floor_divide(result, other)
            case _:
                raise ValueError(f"not a size: {ast.dump(term)}")
    return result
