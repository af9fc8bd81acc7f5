"""Feeds without a time axis, which a pool keeps between steps, separately for each stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ir.types import TensorType
from ...support.errors import NameLookupError, ShapeError, Where, shown
from ..calls.feed_names import unknown_input
from ..calls.feeds import convert, rank_of, solve_sizes
from ..error_flags import takes_number
from .independent_rows import row_axis
from .step_graph import StepGraph

Arrays = dict[str, np.ndarray]


class HeldFeeds:
    """Checks and conversions of the feeds that streams keep between steps.

    Attributes:
        defaults: Values of feeds that may be omitted.
        sizes_are_known: True if the sizes of all held feeds are known before they are fed.
    """

    def __init__(self, graph: StepGraph) -> None:
        self._graph, self.defaults = graph, dict(graph.held_feeds)
        rows = graph.rows
        self._needed = [name for name in rows.compiled.needed(graph.outputs) if self._is_held(name)]
        first = tuple(name for name, _ in graph.initial.graph.outputs)
        begins = graph.initial.needed(first) if first else ()
        self._begins = [name for name in begins if name not in self._needed]
        self._own = [
            name for name in rows.compiled.pruned(graph.outputs).symbols if name not in rows.names | rows.lengths
        ]
        self.sizes_are_known = not self._own

    def _is_held(self, name: str) -> bool:
        """True for a feed without a time axis."""
        return name in self._graph.types and name not in self._graph.per_step_feeds

    def _row_axis(self, name: str) -> int | None:
        """Return the row axis of a feed; None if it has none."""
        return row_axis(self._graph.types[name].shape, self._graph.rows.names)

    def missing(self, feeds: Mapping[str, Any], begins: bool = True) -> list[str]:
        """Return the names of required feeds that are missing.

        With ``begins``, feeds that only the initial state reads are required, too.
        """
        names = [*self._needed, *(self._begins if begins else ())]
        return [name for name in names if name not in feeds and name not in self.defaults]

    def require(self, arrays: Mapping[str, Any], begins: bool, where: Where | None) -> None:
        """Raise ``NameLookupError`` if ``arrays`` lacks a required feed. ``begins`` is as in ``missing``."""
        if missing := self.missing(arrays, begins):
            raise NameLookupError(f"a stream needs {', '.join(missing)}; give it to open by name", where)

    def require_known(self, feeds: Mapping[str, Any], where: Callable[[], Where | None]) -> None:
        """Raise ``NameLookupError`` for a feed that no stream holds."""
        for name in feeds:
            if not self._is_held(name):
                types = self._graph.types
                if name in types:
                    raise NameLookupError(f"{name} has a time axis; feed it to step, not to open", where())
                raise unknown_input("a stream", name, types, where())

    def converted(self, feeds: Mapping[str, Any], where: Where | None) -> Arrays:
        """Return copies of the feeds that one stream holds, converted to their declared types.

        A ``number`` is left out if the graph draws nothing. Arrays have their row axis with size 1, even if the caller
        omitted it.

        Raises:
            NameLookupError: A feed is unknown, or has a time axis.
            ShapeError: A feed has several rows.
        """
        graph, types = self._graph.compiled.graph, self._graph.types
        feeds = {name: value for name, value in feeds.items() if name in types or not takes_number(graph, name)}
        self.require_known(feeds, lambda: where)
        copies = {}
        for name, value in feeds.items():
            kind, axis = self._graph.types[name], self._row_axis(name)
            array = _with_one_row(name, value, kind, axis, where)
            if axis is not None and array.shape[axis] != 1:
                raise ShapeError(
                    f"feed {name} has shape {array.shape}, but a stream takes one row; feed this stream's row",
                    where,
                )
            copies[name] = np.array(array, order="C")
        return copies

    def of_rows(self, feeds: Mapping[str, Any], count: int, where: Where | None) -> list[Arrays]:
        """Split feeds without a time axis by stream: each gets its row, and all get the arrays without rows."""
        each: list[Arrays] = [{} for _ in range(count)]
        for name, value in feeds.items():
            axis = self._row_axis(name)
            array = np.array(convert(name, value, self._graph.types[name], where), order="C")
            if axis is not None and array.shape[axis] != count:
                raise ShapeError(
                    f"feed {name} has shape {array.shape}, but {count} streams need {count} rows; give a row for each",
                    where,
                )
            for number, row_feeds in enumerate(each):
                row = slice(number, number + 1)
                row_feeds[name] = array if axis is None else array[(*[slice(None)] * axis, row)].copy()
        return each

    def remaining(self, feeds: Mapping[str, Any], where: Where | None) -> tuple[Arrays, bool]:
        """Return the remaining entries of one stream's sequences, with a row axis of size 1.

        Also return True if some of the caller's arrays had this axis. Raise ``NameLookupError`` for a feed without
        time axis.
        """
        arrays, whole = {}, False
        for name, value in feeds.items():
            if self._graph.axes.feeds.get(name) is None:
                raise NameLookupError(
                    f"flush takes remaining entries of sequences, but {shown(name)} is not a sequence; leave it out",
                    where,
                )
            kind, axis = self._graph.types[name], self._row_axis(name)
            whole = whole or rank_of(value) == len(kind.shape)
            arrays[name] = _with_one_row(name, value, kind, axis, where)
        return arrays, whole

    def without_rows(self, name: str, array: np.ndarray, whole: bool) -> np.ndarray:
        """Return an output of one stream, without the row axis unless ``whole``."""
        shape = dict(self._graph.compiled.graph.outputs)[name].shape
        axis = row_axis(shape, self._graph.rows.names)
        return array if whole or axis is None else np.squeeze(array, axis)

    def shared_values(
        self, held_feeds: Mapping[str, np.ndarray], where: Where | None
    ) -> tuple[Any, dict[str, int], Arrays]:
        """Return the key, sizes and feeds without row axis that streams must have in common to step as one batch.

        Returns:
            (key that is equal for such streams, their sizes other than rows, their held feeds without row axis).

        Raises:
            ShapeError: A size is known only from a step's feeds.
        """
        graph, rows = self._graph, self._graph.rows
        used = {name: held_feeds[name] for name in self._needed}
        sizes = solve_sizes(used, graph.types, where)
        others = {name: size for name, size in sizes.items() if name not in rows.names}
        unknown = [name for name in self._own if name not in others]
        if unknown:
            raise ShapeError(
                f"the size {', '.join(unknown)} is known only from a step's feeds; declare it as an int for streams "
                "that step together",
                where,
            )
        rows.compiled.check(graph.outputs, used, rows.sizes(others, 1), where)
        shared = {name: array for name, array in used.items() if self._row_axis(name) is None}
        values = tuple((name, array.shape, array.tobytes()) for name, array in shared.items())
        return (tuple(sorted(others.items())), values), others, shared


def _with_one_row(name: str, value: Any, kind: TensorType, axis: int | None, where: Where | None) -> np.ndarray:
    """Convert a feed of one stream to its declared type. The caller may omit the axis of rows."""
    if axis is None or rank_of(value) != len(kind.shape) - 1:
        return convert(name, value, kind, where)
    without = (*kind.shape[:axis], *kind.shape[axis + 1 :])
    return np.expand_dims(convert(name, value, kind.with_shape(without), where), axis)
