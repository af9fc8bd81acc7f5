"""The option ``chunked``, and what a program says of its recurrences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..ir.graph import Graph
from ..passes.affine.chunk import steps_of
from ..passes.affine.recurrences import Recurrence, recurrences_in
from ..passes.pipeline import SPLIT, forbidden, run
from ..support.arguments import whole_number
from ..support.errors import GraphError, Where

MIN_STEPS = 2


def checked_chunked(value: Any, lowered: Graph, where: Where | None) -> int | None:
    """Return a checked ``chunked``. Raises ``GraphError`` where no recurrence is affine."""
    if value is None:
        return None
    steps = whole_number(value, "chunked", MIN_STEPS)
    recurrences = declared_recurrences(lowered)
    if not any(found.is_affine for found in recurrences):
        reasons = "; ".join(map(str, recurrences)) or "there is no recurrence"
        raise GraphError(f"chunked={steps} needs an affine recurrence, and the net has none: {reasons}", where)
    return steps


def declared_recurrences(lowered: Graph) -> list[Recurrence]:
    """Return what training carries from step to step, before any pass changes how."""
    return [*recurrences_in(run(lowered, SPLIT["training"], forbidden("training")))]


def recurrence_lines(lowered: Graph, chunked: int | None) -> Iterator[str]:
    """Yield a line for each affine recurrence; with ``chunked``, for each recurrence, how training runs it."""
    for found in declared_recurrences(lowered):
        if chunked is None:
            if found.is_affine:
                yield str(found)
        elif found.plan is not None:
            yield f"{found}; training runs chunks of {steps_of(found.plan, chunked)} steps"
        else:
            yield f"{found}; training runs it by steps" + (f": {found.reason}" if found.is_affine else "")
