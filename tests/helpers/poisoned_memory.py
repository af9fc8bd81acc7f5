"""Entries that overwrite each temporary with NaN before its first use and after its last use.

Results then reveal reads of uninitialised memory, and reads after the last use that the compiler assumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from rnngraph.codegen import compile as code
from rnngraph.codegen.buffers.arena import lifetimes
from rnngraph.codegen.loop_ir.effects import has_barrier
from rnngraph.codegen.loop_ir.functions import nested
from rnngraph.codegen.loop_ir.nodes import Buffer, For, LetIndex, Literal, Pipeline, Statement, Store
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.ir.types import ITEM_BYTES, size

POISON = {
    "float32": np.nan,
    "float64": np.nan,
    "int64": -(1 << 40) - 3,
    "int32": -(1 << 30) - 3,
    "int8": -77,
    "uint8": 177,
    "bool": True,
    "bfloat16": np.nan,
}


def poisoned(plan: ScheduledEntry) -> ScheduledEntry:
    """Return the plan with a poisoned entry. Entries for several workers are not changed."""
    main = plan.main
    if has_barrier(main.function.body):
        return plan
    body = tuple(_Poisoner(plan).walk(main.function.body))
    return replace(plan, main=replace(main, function=replace(main.function, body=body)))


@contextmanager
def poisoned_entries() -> Iterator[None]:
    """Context manager within which all compiled entries are poisoned."""
    original = code.planned

    def planned(*arguments: Any) -> ScheduledEntry:
        return poisoned(original(*arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "planned", planned)
        yield


class _Poisoner:
    def __init__(self, plan: ScheduledEntry) -> None:
        self.bytes = plan.arena.sizes
        spans = lifetimes(plan.main.function.body)
        self.spans = {buffer: span for buffer, span in spans.items() if buffer in self.bytes}
        self.count, self.numbers = 0, count()

    def walk(self, statements: Sequence[Statement], inside: tuple[int, int] = (0, 1 << 60)) -> Iterator[Statement]:
        for statement in statements:
            first = self.count
            inner: list[tuple[Statement, ...]] = []
            for body in statement.uses().bodies:
                span = (first, self._after(body.statements) - 1) if statement.repeats else inside
                inner.append(tuple(self.walk(body.statements, span)))
            if not statement.uses().bodies:
                self.count += 1
            last = max(first, self.count - 1)
            here = {
                buffer: span for buffer, span in self.spans.items() if inside[0] <= span[0] and span[1] <= inside[1]
            }
            if statement.uses().bodies:  # the body of a loop fills buffers that live only inside of the loop
                here = {buffer: span for buffer, span in here.items() if not (first <= span[0] and span[1] <= last)}
            for buffer, span in here.items():
                if span[0] == first:
                    yield from self._fill(buffer)
            yield with_bodies(statement, inner)
            for buffer, span in here.items():
                if span[1] == last:
                    yield from self._fill(buffer)

    def _after(self, statements: Sequence[Statement]) -> int:
        """Return the index of the statement after ``statements``."""
        return self.count + leaves(statements)

    def _fill(self, buffer: Buffer) -> Iterator[Statement]:
        number = next(self.numbers)
        elements, place = f"poisoned{number}", f"poison{number}"
        yield LetIndex(elements, "divide", self.bytes[buffer], ITEM_BYTES[buffer.dtype])
        store = Store(Literal(POISON[buffer.dtype], buffer.dtype, 1), buffer, size(place))
        yield For(place, 0, size(elements), 1, (store,), f"poisons {buffer.name}")


def _within(span: tuple[int, int], outer: tuple[int, int]) -> bool:
    return outer[0] <= span[0] and span[1] <= outer[1]


def leaves(statements: Sequence[Statement]) -> int:
    """Return the number of statements that contain no statements."""
    return sum(not item.uses().bodies for item in nested(statements))


def with_bodies(statement: Statement, bodies: Sequence[tuple[Statement, ...]]) -> Statement:
    """Return the statement with other bodies."""
    if not bodies:
        return statement
    assert not isinstance(statement, Pipeline)
    (body,) = bodies
    return replace(statement, body=body)  # type: ignore[call-arg]
