"""Checks of a step's states against the cell's specification, and zero states."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.sizes.table import open_size
from ..ir.types import Dim
from ..support.allocation import zeros
from ..support.arguments import MOST_UNITS
from ..support.errors import DtypeError, ShapeError, Where, shown
from .nest import flatten, matched, pack
from .public_types import check_dtype
from .state import Columns, named, public
from .tensor import Tensor, build, constant, declared


def with_rows(value: Tensor, batch: Dim) -> Tensor:
    """Broadcast a value [1, width] that no row affects to [batch, width], so that outer cells can concatenate it."""
    if value.rank != 2 or value.type.shape[0] != 1 or batch == 1:
        return value
    return build("broadcast", value, shape=(batch, value.type.shape[1]))


def state_leaves(cell: Any, state: Any, what: str, where: Where | None) -> list[Tensor]:
    """Return the leaves of a state, matched with the cell's specification. ``what`` names the state in errors."""
    carried = named(cell)
    leaves = matched(carried, state, what, where)
    expected: list[Columns] = flatten(carried)
    for leaf, columns in zip(leaves, expected, strict=True):
        if not isinstance(leaf, Tensor):
            raise DtypeError(f"{cell!r}: a state must be a Tensor, not {shown(leaf)}", where)
        if leaf.rank < 1 or leaf.type.shape[-1] != columns.width:
            raise ShapeError(f"{cell!r} carries a state of width {columns.width} and is given {shown(leaf)}", where)
    return leaves


def zeros_of(cell: Any, batch_size: Any, dtype: Any) -> Any:
    """Return ``cell.zero_state(batch_size, dtype)``. The class of a Tensor ``batch_size`` may override it."""
    leaf_widths = [leaf.width for leaf in flatten(public(cell))]
    if isinstance(batch_size, Tensor) and (own := batch_size._of_cells.get("zero_state")):
        return own(cell, batch_size, dtype)
    if isinstance(batch_size, Tensor) and not batch_size.rank and batch_size.node.op != "constant":
        rows, zero = open_size(next(declared)), batch_size._results(constant(0.0, check_dtype(dtype)).node)
        return pack(public(cell), [build("broadcast", zero, shape=(rows, width)) for width in leaf_widths])
    if isinstance(batch_size, Tensor) and batch_size.node.op == "constant":
        batch_size = int(batch_size.node["value"])
    is_int = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if isinstance(batch_size, Tensor) or not is_int or not 0 < batch_size <= MOST_UNITS:
        raise DtypeError(
            f"zero_state needs a positive int as batch size, not {shown(batch_size)}; "
            "a driver without initial_state starts from zeros of any batch"
        )
    kind = check_dtype(dtype)
    return pack(public(cell), [constant(zeros((batch_size, width), kind, "a zero state")) for width in leaf_widths])
