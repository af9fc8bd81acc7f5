"""History of a fit: a row of measurements for each epoch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...storage.atomic_file import as_path, replace_file
from ...support.api_guard import api
from ...support.arguments import one_of, whole_number
from ...support.attribute_hints import OF_HISTORIES, Named, Telling
from ...support.display.charts import Line, panels
from ...support.display.html import headed, table
from ...support.errors import ArgumentError, MissingExtraError, NameLookupError, did_you_mean, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES = ("min", "max")
VALIDATION = "validation_"
"""Prefix of the columns that are measured on validation examples."""
NOT_DRAWN = ("epoch", "learning_rate", "seconds", "rows_per_second", "steps")
"""Columns that have no curve in plots."""
ROWS_SHOWN = 12
"""Maximum epochs that a printed history shows. Of more epochs it shows the first and last ones."""
COLOURS = ("#0072B2", "#D55E00")
"""Colours of curves of training and validation, in all panels."""


class Row(Named):
    """Measurements of an epoch, by column."""

    __slots__ = ()
    _title = "the epoch"


def default_monitor(columns: Collection[str]) -> str:
    """Return the column to monitor by default: the loss, on validation examples if there are any."""
    return VALIDATION + "loss" if VALIDATION + "loss" in columns else "loss"


@api
class History(Telling, Mapping[str, np.ndarray]):
    """Measurements of a fit: a mapping from the name of a column to a float64 array [epochs].

    Columns are ``"epoch"``, ``"loss"``, ``"validation_loss"``, metrics and others. ``stopped`` is the reason why the
    fit ended, ``""`` until then.
    """

    _instead = OF_HISTORIES

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self._rows = 0
        self.stopped = ""

    def append(self, row: Mapping[str, float]) -> None:
        """Add the measurements of an epoch. A column without a value in an epoch has NaN there.

        Args:
            row: Values by column.
        """
        values = {name: float(value) for name, value in row.items()}
        for name in values:
            self._columns.setdefault(name, [math.nan] * self._rows)
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))
        self._rows += 1

    def __getitem__(self, name: str) -> np.ndarray:
        if not isinstance(name, str) or name not in self._columns:
            full = VALIDATION + str(name).removeprefix("val_")  # Keras' names of columns
            hint = f"; write history[{full!r}]" if full in self._columns else did_you_mean(name, self._columns)
            hint = hint or f"; it has {', '.join(self._columns) or 'none'}"
            raise NameLookupError(f"the history has no column {shown(name)}{hint}")
        return np.array(self._columns[name], np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def epochs(self) -> int:
        """Number of measured epochs."""
        return self._rows

    @api
    def row(self, epoch: int) -> dict[str, float]:
        """Return one epoch's values by column.

        Args:
            epoch: Value in the column ``"epoch"``; or a negative number, counted from the end: -1 for the last epoch.

        Raises:
            ArgumentError: There is no such epoch.
        """
        number = whole_number(epoch, "an epoch")
        known = self._epochs()
        if number < 0 and -number <= self._rows:
            place = self._rows + number
        elif number in known:
            place = known.index(number)
        else:
            raise ArgumentError(f"the history has no epoch {number}; {self._epochs_text()}")
        return Row({name: column[place] for name, column in self._columns.items()})

    @api
    def best(self, column: str = "validation_loss", mode: str = "min") -> int:
        """Return the number of the epoch with the best value in a column. Of equal values, the first is the best.

        Args:
            column: Name of the column. NaN is never the best.
            mode: ``min`` or ``max``.

        Returns:
            The value in the column ``"epoch"``, which ``row`` takes.

        Raises:
            ArgumentError: The column has only NaN.
            NameLookupError: There is no such column, as without validation.
        """
        one_of(mode, "mode", MODES)
        values = self[column]
        if np.isnan(values).all():
            raise ArgumentError(
                f"the history's column {column} has only NaN, so no epoch is the best; give another column"
            )
        return self._epochs()[int(np.nanargmin(values) if mode == "min" else np.nanargmax(values))]

    def _epochs(self) -> list[int]:
        """Return the epoch number of each row. A row without one has its position, counted from 1."""
        named = self._columns.get("epoch", [math.nan] * self._rows)
        return [place if math.isnan(value) else int(value) for place, value in enumerate(named, 1)]

    def _best_epoch(self) -> int | None:
        """Return the epoch with the smallest validation loss or, without validation, loss. None if none is finite."""
        monitor = default_monitor(self)
        return self.best(monitor) if np.isfinite(self._columns.get(monitor, ())).any() else None

    def _epochs_text(self) -> str:
        known = self._epochs()
        return f"it has epochs {known[0]} to {known[-1]}" if known else "it is empty"

    # Text ----------------------------------------------------------------------------------------

    @api
    def to_text(self) -> str:
        """Return the history as JSON, from which ``from_text`` restores it exactly.

        NaN and infinities, which JSON lacks, are strings.
        """
        columns = {
            name: [value if math.isfinite(value) else str(value) for value in column]
            for name, column in self._columns.items()
        }
        return json.dumps({"stopped": self.stopped, "epochs": self._rows, "columns": columns}, allow_nan=False)

    @classmethod
    @api
    def from_text(cls, text: str) -> History:
        """Return the history that ``to_text`` wrote.

        Args:
            text: Result of ``to_text``.

        Raises:
            ArgumentError: ``text`` is damaged.
        """
        history = cls()
        try:
            parts = json.loads(text)
            history.stopped = str(parts["stopped"])
            history._rows = int(parts["epochs"])
            history._columns = {name: list(map(float, column)) for name, column in parts["columns"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArgumentError(
                f"the text is not a history ({error!r}); give the text that History.to_text returned"
            ) from None
        if any(len(column) != history._rows for column in history._columns.values()):
            raise ArgumentError(
                f"the text is not a history (a column does not have {history._rows} rows); give the text that "
                "History.to_text returned"
            )
        return history

    def __repr__(self) -> str:
        shown = list(range(self._rows))
        if len(shown) > ROWS_SHOWN:
            half = ROWS_SHOWN // 2
            shown = [*shown[:half], -1, *shown[-half:]]
        columns = [
            [name, *("…" if row < 0 else f"{column[row]:.6g}" for row in shown)]
            for name, column in self._columns.items()
        ]
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
            for cells in zip(*columns, strict=True)
        ]
        stopped = f", stopped: {self.stopped}" if self.stopped else ""
        return "\n".join([f"History of {self._rows} epoch{'s' * (self._rows != 1)}{stopped}", *lines])

    # Picture -------------------------------------------------------------------------------------

    @api
    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the loss and each metric over epochs, with training and validation in one panel.

        Args:
            path: File to write (``.png``, ``.svg``, ``.pdf``), for which no display is needed. None: write no file.

        Returns:
            The figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
            ArgumentError: The history is empty, or matplotlib has no format of this suffix.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise MissingExtraError("plot needs matplotlib; pip install matplotlib") from None
        panels = self._panels()
        if not panels:
            raise ArgumentError("the history is empty; fit before plotting")
        figure = Figure(figsize=(6.4, 1.2 + 2.4 * len(panels)), layout="constrained")
        if path is not None:
            _check_format(as_path(path), figure)
        epochs, best = np.array(self._epochs(), np.float64), self._best_epoch()
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (title, names) in zip(axes, panels.items(), strict=True):
            for name in names:
                is_validation = name.startswith(VALIDATION)
                label, style = ("validation", "--") if is_validation else ("training", "-")
                dot = "." if self._rows < 40 else ""
                panel.plot(epochs, self[name], style, color=COLOURS[is_validation], marker=dot, label=label)
            if best is not None:
                panel.axvline(best, color="0.4", linewidth=1, linestyle=":", label=f"best epoch, {best}")
            panel.set_ylabel(title)
            panel.grid(alpha=0.3)
            panel.legend()
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        if path is not None:
            path = as_path(path)
            with replace_file(path) as file:
                figure.savefig(file, format=path.suffix[1:], dpi=150)
        return figure

    def _repr_html_(self) -> str:
        epochs = np.array(self._epochs(), np.float64)
        drawn = {
            title: [Line("validation" if name.startswith(VALIDATION) else "training", self[name]) for name in names]
            for title, names in self._panels().items()
        }
        rows = [[f"{column[at]:.5g}" for column in self._columns.values()] for at in range(self._rows)]
        skipped = len(rows) - ROWS_SHOWN
        if skipped > 0:
            rows = [*rows[: ROWS_SHOWN // 2], ["…"] * len(self), *rows[-ROWS_SHOWN // 2 :]]
        note = f"{self._rows} epochs{f'; {self.stopped}' if self.stopped else ''}"
        parts = [panels("epoch", epochs, drawn, self._best_epoch()), table([*self], rows)] if self._rows else []
        return headed("History", note, *parts)

    def _panels(self) -> dict[str, list[str]]:
        """Return {measured quantity: its columns} for the panels of a plot, the loss first.

        For example, ``accuracy`` has the columns ``accuracy`` and ``validation_accuracy``.
        """
        panels: dict[str, list[str]] = {}
        for name in self._columns:
            measure = name.removeprefix(VALIDATION)
            if measure not in NOT_DRAWN:
                panels.setdefault(measure, []).append(name)
        return dict(sorted(panels.items(), key=lambda panel: panel[0] != "loss"))


def _check_format(path: Path, figure: Any) -> None:
    offered = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in offered:
        raise ArgumentError(f"can't plot {path.suffix or 'a file without suffix'}; use {', '.join(sorted(offered))}")
