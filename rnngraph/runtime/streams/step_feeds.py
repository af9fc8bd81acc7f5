"""What streams of a pool are fed for a step: all that has a time axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...support.errors import NameLookupError, ShapeError, user_line
from ..calls.feeds import convert, rank_of
from .row_graph import RowPort
from .row_steps import RowSteps
from .step_graph import StepGraph
from .stream_table import StreamTable

Rows = dict[str, np.ndarray]


@dataclass(slots=True, eq=False)
class Fed:
    """What one stream is fed for a step.

    rows: by name, without an axis of rows, as streams of ``table`` take them. whole: whether it was given, and is
    answered, with an axis of one row. held: what it holds anew from this step on.
    """

    rows: Rows
    whole: bool
    held: Rows
    table: StreamTable


class StepFeeds:
    """Brings a step's feeds into form: rows first, or of one row without an axis of rows. names: of what is fed."""

    def __init__(self, graph: StepGraph) -> None:
        self._graph, rows = graph, graph.rows
        needed = rows.compiled.needed(graph.outputs)
        self.names = [name for name in needed if name in graph.moving]

    def require(self, given: Mapping[str, Any]) -> None:
        """Raises ``NameLookupError`` where a sequence is not fed."""
        if len(given) < len(self.names):
            missing = ", ".join(name for name in self.names if name not in given)
            raise NameLookupError(f"a step of this stream needs {missing}; feed all that has a time axis", user_line())

    def of_rows(self, port: RowPort, value: Any, count: int) -> np.ndarray:
        """What is fed for many streams, rows first."""
        wanted = port.rows(count)
        if type(value) is not np.ndarray or value.dtype != port.dtype or value.shape != wanted:
            where = user_line()
            kind = self._graph.types[port.name].with_shape(wanted)
            value = convert(port.name, value, kind, where)
            if value.shape != wanted:
                raise ShapeError(
                    f"feed {port.name} has shape {value.shape}; a step of {count} streams takes {wanted}", where
                )
        return port.rows_first(value)

    def plain(self, steps: RowSteps, given: Any) -> Rows | None:
        """What is fed where nothing is to be converted or checked, and nothing held changes; else None."""
        if steps.has_checks or type(given) is not dict or len(given) != len(self.names):
            return None
        for name, port in steps.inputs.items():
            value = given.get(name)
            if type(value) is not np.ndarray or value.shape != port.shape or value.dtype != port.dtype:
                return None
        return given

    def of_stream(self, steps: RowSteps, given: Mapping[str, Any]) -> tuple[Rows, bool]:
        """What is fed for one stream after all checks, without an axis of rows, and whether it was given with one."""
        rows: Rows = {}
        forms = set[bool]()
        for name, value in given.items():
            port = steps.inputs[name]
            rows[name], whole = self._of_one(port, value)
            forms.update([] if port.axis is None else [whole])
        if len(forms) > 1:
            what = "of feeds of a stream some have an axis of one row, and some none; give all alike"
            raise ShapeError(what, user_line())
        steps.check({name: array[None] for name, array in rows.items()}, 1)
        return rows, True in forms

    def _of_one(self, port: RowPort, value: Any) -> tuple[np.ndarray, bool]:
        """One array of it."""
        if type(value) is np.ndarray and value.dtype == port.dtype and value.shape == port.shape:
            return value, False
        where, kind = user_line(), self._graph.types[port.name]
        whole = port.axis is not None and rank_of(value) == len(port.shape) + 1
        wanted = port.rows(1) if whole else port.shape
        array = convert(port.name, value, kind.with_shape(wanted), where)
        if array.shape != wanted:
            also = "" if port.axis is None else f" or {port.rows(1)}"
            raise ShapeError(
                f"feed {port.name} has shape {array.shape}; a step of one stream takes {port.shape}{also}", where
            )
        return (port.rows_first(array)[0] if whole else array), whole
