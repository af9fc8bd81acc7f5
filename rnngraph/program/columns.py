"""Calls with tables of columns, as data engines pass them to functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from ..runtime.calls.results import Result, ResultT
from ..runtime.class_names import BARE
from ..support.errors import DtypeError, NameLookupError, did_you_mean, shown, user_line
from .parts import ProgramParts, Reduced


class ColumnCall(Generic[ResultT]):
    """The inference graph as a function of a table: a mapping from column to array.

    The table may have other columns. The function can be pickled.

    Attributes:
        columns: Column that is fed to each input.
        keep: Columns that are copied to the result.
    """

    def __init__(
        self,
        run: Callable[..., ResultT],
        parts: ProgramParts,
        part: str,
        columns: Mapping[str, str],
        keep: Sequence[str],
    ) -> None:
        self._run, self._parts, self._part = run, parts, part
        self.columns, self.keep = dict(columns), tuple(keep)

    def __call__(self, table: Mapping[str, Any]) -> ResultT:
        """Run the graph on columns of a table. Return the results, with the columns to keep.

        With such columns, a bare array is named ``output``.

        Args:
            table: Mapping from column to array.

        Raises:
            NameLookupError: The table lacks a column.
            DtypeError: The table is not a mapping.
        """
        if not isinstance(table, Mapping):
            raise DtypeError(
                f"a table must be a mapping from column to array, not {shown(table)}; Ray passes one with "
                'batch_format="numpy"'
            )
        result = self._run({name: self._column(table, column) for name, column in self.columns.items()})
        if not self.keep:
            return result
        together: Any = Result(result if isinstance(result, dict) else {BARE: result})
        together.update({column: self._column(table, column) for column in self.keep})
        return together

    def _column(self, table: Mapping[str, Any], column: str) -> Any:
        try:
            return table[column]
        except KeyError:
            known = ", ".join(map(str, table)) or "none"
            hint = did_you_mean(column, map(str, table)) or f"; its columns are {known}"
            raise NameLookupError(f"the table has no column {shown(column)}{hint}", user_line()) from None

    def __reduce__(self) -> Reduced:
        return self._parts.reduced(self._part, {"columns": self.columns, "keep": list(self.keep)})
