"""Selection of rows of a batch by an index, a list, a slice or a mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...support.errors import ShapeError, Where, shown


def row_mask(rows: Any, batch: int, where: Where | None) -> np.ndarray:
    """Return a mask [batch] of the rows that an index, a list, a slice or a mask selects.

    Raises:
        ShapeError: ``rows`` is not a valid index for the batch.
    """
    mask = np.zeros(batch, bool)
    try:
        mask[rows if isinstance(rows, slice) else _as_index(rows)] = True
    except (IndexError, ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"rows={shown(rows)} does not index a batch of {batch}: {error}", where) from None
    return mask


def _as_index(rows: Any) -> np.ndarray:
    """Return ``rows`` as an integer or boolean index array."""
    index = np.asarray(rows)
    if index.ndim > 1 or (not index.ndim and index.dtype == bool):
        raise IndexError("give the index of a row, a list of indices, a slice or a mask")
    return index if index.size else index.astype(np.intp)
