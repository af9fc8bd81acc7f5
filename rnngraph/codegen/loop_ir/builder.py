"""A block of statements in the making, to which kernels and entries add theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ir.types import Dim, size
from .nodes import Buffer, Index, Let, LetIndex, Load, Operand, Statement, Valid, Value


@dataclass
class Block:
    """Statements in the making, and how often each name was given, so that names are fresh."""

    statements: list[Statement] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}.{count}"

    def fresh_index(self, name: str) -> str:
        """A fresh name for a loop variable or a size; index arithmetic has no dots in names."""
        return self.fresh(name).replace(".", "")

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)

    def nested(self) -> Block:
        """A block inside this one: it shares the names, not the statements."""
        return Block([], self.counts)

    def load(
        self,
        name: str,
        buffer: Buffer,
        index: Index,
        lanes: int,
        valid: Valid = None,
        stride: Index = 1,
    ) -> Value:
        value = Value(self.fresh(name), buffer.dtype, lanes)
        self.add(Load(value, buffer, index, None if isinstance(valid, int) and valid >= lanes else valid, stride))
        return value

    def let(
        self,
        op: str,
        operands: Sequence[Operand],
        dtype: str,
        lanes: int,
        comment: str = "",
        **attributes: Any,
    ) -> Value:
        value = Value(self.fresh(op), dtype, lanes)
        self.add(Let(value, op, tuple(operands), tuple(attributes.items()), comment))
        return value

    def let_index(self, name: str, op: str, base: Index, factor: Index) -> Index:
        """``op(base, factor)`` in index arithmetic, under a fresh name."""
        fresh = self.fresh_index(name)
        self.add(LetIndex(fresh, op, base, factor))
        return size(fresh)

    def bounded_index(self, name: str, below: Dim, value: Operand) -> Index:
        """A number that was computed or loaded, as a size from 0 to less than ``below``, under a fresh name."""
        fresh = self.fresh_index(name)
        self.add(LetIndex(fresh, "of", 0, below, value))
        return size(fresh)
