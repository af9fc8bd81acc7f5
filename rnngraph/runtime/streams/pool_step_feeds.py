"""Feeds with a time axis, for one step of a pool's streams."""

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
    """Checked feeds of one stream for one step.

    Attributes:
        rows: Feeds by name, without a row axis.
        whole: True if the feeds had a row axis of length 1, which the results then have, too.
        held_feeds: Held feeds that change with this step.
        table: Table in which the stream steps.
    """

    rows: Rows
    whole: bool
    held_feeds: Rows
    table: StreamTable


class StepFeeds:
    """Conversion of a step's feeds to arrays.

    Attributes:
        names: Names of the feeds that each step needs.
    """

    def __init__(self, graph: StepGraph) -> None:
        self._graph, rows = graph, graph.rows
        needed = rows.compiled.needed(graph.outputs)
        self.names = [name for name in needed if name in graph.per_step_feeds]

    def require(self, feeds: Mapping[str, Any]) -> None:
        """Raise ``NameLookupError`` if a sequence is not fed."""
        if len(feeds) < len(self.names):
            missing = ", ".join(name for name in self.names if name not in feeds)
            raise NameLookupError(
                f"a step of this stream needs {missing}; feed all inputs with a time axis", user_line()
            )

    def of_rows(self, port: RowPort, value: Any, count: int) -> np.ndarray:
        """Return the feed of ``count`` streams as an array with the row axis first."""
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

    def plain(self, steps: RowSteps, feeds: Any) -> Rows | None:
        """Return the feeds of a stream's step if they need no conversion and no check; else None."""
        if steps.has_checks or type(feeds) is not dict or len(feeds) != len(self.names):
            return None
        for name, port in steps.inputs.items():
            value = feeds.get(name)
            if type(value) is not np.ndarray or value.shape != port.shape or value.dtype != port.dtype:
                return None
        return feeds

    def of_stream(self, steps: RowSteps, feeds: Mapping[str, Any]) -> tuple[Rows, bool]:
        """Convert and check one stream's feeds. Return them without a row axis, and True if they had one."""
        rows: Rows = {}
        forms = set[bool]()
        for name, value in feeds.items():
            port = steps.inputs[name]
            rows[name], whole = self._of_one(port, value)
            forms.update([] if port.axis is None else [whole])
        if len(forms) > 1:
            what = "some feeds of the stream have a row axis of length 1, and others none; use one form for all"
            raise ShapeError(what, user_line())
        steps.check({name: array[None] for name, array in rows.items()}, 1)
        return rows, True in forms

    def _of_one(self, port: RowPort, value: Any) -> tuple[np.ndarray, bool]:
        """Convert one array. Return it without a row axis, and True if it had one."""
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
