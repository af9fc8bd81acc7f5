"""Free names of statements, their replacement, and comparison of functions independent of names of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from ...ir.types import Size, rename, substitute
from .functions import Function
from .nodes import Buffer, Index, LetIndex, Literal, Renaming, Statement, Value


def free(statements: Sequence[Statement]) -> tuple[tuple[Buffer, ...], tuple[str, ...]]:
    """Return the buffers and size names that statements use without binding them, in order of appearance."""
    buffers: dict[Buffer, None] = {}
    names: dict[str, None] = {}

    def walk(inner: Sequence[Statement], bound: frozenset[str]) -> None:
        for statement in inner:
            uses = statement.uses()
            for buffer in (*uses.reads, *uses.writes, *uses.prefetches):
                buffers[buffer] = None
            for index in uses.indices:
                if not isinstance(index, int):
                    for name in sorted(index.symbols):
                        if name not in bound:
                            names[name] = None
            for body in uses.bodies:
                walk(body.statements, bound | {body.var})
            if isinstance(statement, LetIndex):
                bound = bound | {statement.name}

    walk(statements, frozenset())
    return tuple(buffers), tuple(names)


def renamed(
    statements: Sequence[Statement], buffers: Mapping[Buffer, Buffer] | None, names: Mapping[str, Index]
) -> tuple[Statement, ...]:
    """Return statements with sizes replaced as in ``names``, and buffers as in ``buffers``.

    ``buffers`` must have all buffers of the statements. If it is None, no buffer is replaced.
    """
    known: dict[Index, Index] = {}
    symbols = {old: new.symbol for old, new in names.items() if isinstance(new, Size) and new.symbol is not None}
    injective = len(set(symbols.values())) == len(names)

    def index(value: Index) -> Index:
        if isinstance(value, int):
            return value
        replacement = known.get(value)
        if replacement is None:
            replacement = known[value] = rename(value, symbols) if injective else substitute(value, names)
        return replacement

    def rename_all(inner: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple([statement.renamed(by) for statement in inner])

    by = Renaming(_unchanged if buffers is None else buffers.__getitem__, index, rename_all)
    return rename_all(statements)


def _unchanged(buffer: Buffer) -> Buffer:
    """Return the buffer itself, in place of a replacement."""
    return buffer


_NO_WORK = ("comment", "origin", "columns")


def work_of(function: Function) -> tuple[Any, ...]:
    """Return a key that is equal for two functions if they differ only in comments, origins and names of values."""
    numbers: dict[str, int] = {}
    plain = {str, int, Size, Buffer, type(None)}

    def key(item: Any) -> Any:
        kind = type(item)
        if kind in plain:
            return item
        if kind is tuple:
            return tuple([part if type(part) in plain else key(part) for part in item])
        if kind is Value:
            return numbers.setdefault(item.name, len(numbers)), item.dtype, item.lanes
        if kind is Literal or not is_dataclass(item):
            return repr(item)  # as text, in which 0.0 and -0.0 differ
        return kind, *[key(part) for name, part in vars(item).items() if name not in _NO_WORK]

    return function.buffers, function.sizes, key(function.body)
