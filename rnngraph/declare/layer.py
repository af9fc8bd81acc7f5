"""The layer that is being declared: tensors know it from the start, and lowering gives it its whole name.

Until names are settled a layer begins with the number of its scope: ``@12/multi_rnn_cell/cell_0/lstm_cell``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from ..errors import Where

Result = TypeVar("Result")

_layer: ContextVar[str] = ContextVar("layer", default="")


def joined(*parts: str) -> str:
    """A path of names, without those that are empty."""
    return "/".join(part for part in parts if part)


@contextmanager
def within(layer: str) -> Iterator[None]:
    """What is declared here belongs to ``layer``."""
    token = _layer.set(layer)
    try:
        yield
    finally:
        _layer.reset(token)


def resumed_within(layer: str, steps: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
    """A generator that declares within ``layer`` whenever it runs, and not while it waits for an answer."""
    answer: Any = None
    while True:
        with within(layer):
            try:
                asked = steps.send(answer)
            except StopIteration as stop:
                result: Result = stop.value
                return result
        answer = yield asked


def in_layer(where: Where | None) -> Where | None:
    """A line, of the layer that is being declared unless it has one already."""
    layer = _layer.get()
    return where.of(layer) if where is not None and layer and not where.layer else where
