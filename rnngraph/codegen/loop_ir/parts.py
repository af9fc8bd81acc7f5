"""Division of a list of statements into parts that share no computed value."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...support.connected import connected
from .nodes import LetIndex, Statement, Value
from .renaming import free


def independent_parts(statements: Sequence[Statement], computed: Collection[str]) -> list[list[Statement]]:
    """Return statements in groups that share no computed buffer and no name, each in the original order.

    Args:
        statements: Statements to divide.
        computed: Names of the buffers with computed values. Groups may share other buffers.
    """
    keys: list[list[str]] = []
    for statement in statements:
        buffers, names = free((statement,))
        bound = [statement.name] if isinstance(statement, LetIndex) else []
        values = [item.name for item in vars(statement).values() if isinstance(item, Value)]
        keys.append([*(buffer.name for buffer in buffers if buffer.name in computed), *names, *bound, *values])
    return [[statements[number] for number in part] for part in connected(keys)]
