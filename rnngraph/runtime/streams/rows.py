"""Rows of a stream: which ones a call is for, and how the others stay as they were."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...support.errors import ShapeError, Where, shown


def row_mask(rows: Any, batch: int, where: Where | None) -> np.ndarray:
    """bool [batch] of a row, a list of rows, a slice or a mask. Raises ``ShapeError``."""
    chosen = np.zeros(batch, bool)
    try:
        chosen[rows if isinstance(rows, slice) else _as_index(rows)] = True
    except (IndexError, ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"rows={shown(rows)} does not index a batch of {batch}: {error}", where) from None
    return chosen


def _as_index(rows: Any) -> np.ndarray:
    """The index of a row, of rows, or a mask."""
    index = np.asarray(rows)
    if index.ndim > 1 or (not index.ndim and index.dtype == bool):
        raise IndexError("give a row, a list of rows or a mask of them")
    return index if index.size else index.astype(np.intp)
