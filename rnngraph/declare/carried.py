"""What steps are given of a state and what they return, held to what the cell carries."""

from __future__ import annotations

from typing import Any

from ..ir.types import Dim
from ..support.errors import DtypeError, ShapeError, Where, shown
from .nest import flatten, matched
from .state import Columns, named
from .tensor import Tensor, build


def with_rows(value: Tensor, batch: Dim) -> Tensor:
    """A value that depends on no row, [1, width], as [batch, width], so that cells around this one may join it."""
    if value.rank != 2 or value.type.shape[0] != 1 or batch == 1:
        return value
    return build("broadcast", value, shape=(batch, value.type.shape[1]))


def state_leaves(cell: Any, state: Any, what: str, where: Where | None) -> list[Tensor]:
    """The leaves of a state, matched with what the cell carries. what: names the state in an error."""
    carried = named(cell)
    leaves = matched(carried, state, what, where)
    expected: list[Columns] = flatten(carried)
    for leaf, columns in zip(leaves, expected, strict=True):
        if not isinstance(leaf, Tensor):
            raise DtypeError(f"{cell!r}: a state must be a Tensor, not {shown(leaf)}", where)
        if leaf.rank < 1 or leaf.type.shape[-1] != columns.width:
            raise ShapeError(f"{cell!r} carries a state of width {columns.width} and is given {shown(leaf)}", where)
    return leaves
