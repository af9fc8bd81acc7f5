"""Checks of a cell's inputs and results: outputs, states and zero states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.node import Node
from ..ir.sizes.table import open_size
from ..ir.types import FLOATS, Dim, TensorType
from ..support.allocation import zeros
from ..support.arguments import MAX_UNITS
from ..support.errors import DtypeError, ShapeError, StructureError, Where, shown
from .nest import flatten, map_leaves, matched, pack, paths
from .public_types import check_dtype
from .state import NARROW_STATES, Columns, named, public
from .tensor import Tensor, build, constant, declared


def with_rows(value: Tensor, batch: Dim) -> Tensor:
    """Repeat a value [1, …], one row for the whole batch, to [batch, …]. Other values are returned unchanged."""
    if not value.rank or value.type.shape[0] != 1 or batch == 1:
        return value
    return build("broadcast", value, shape=(batch, *value.type.shape[1:]))


def with_batch(cell: Any, output: Any, batch: Dim, where: Where | None) -> Any:
    """Return a step's output with every leaf broadcast to the rows of the batch.

    Raises:
        DtypeError: A leaf is no Tensor.
        StructureError: The nest has no leaves.
    """
    if isinstance(output, Tensor):  # the fast path
        return with_rows(output, batch)
    if not flatten(output):
        raise StructureError(f"{cell!r}.step returns no output; return at least one Tensor", where)
    for path, leaf in paths(output):
        if not isinstance(leaf, Tensor):
            at = f" at {path}" if path else ""
            raise DtypeError(f"{cell!r}.step must return (output, state); its output{at} is {shown(leaf)}", where)
    return map_leaves(lambda leaf: with_rows(leaf, batch), output)


def batch_of(x: Any) -> Dim:
    """Return the number of rows of a step's input."""
    first: Tensor = flatten(x)[0]
    return first.type.shape[0]


def types_of(x: Any) -> tuple[TensorType, ...]:
    """Return the type of each leaf of a step's input."""
    return (x.type,) if isinstance(x, Tensor) else tuple(leaf.type for leaf in flatten(x))


def check_outputs(cell: Any, output: Any, where: Where | None) -> list[Tensor]:
    """Return the leaves of a step's output.

    Raises:
        ShapeError: A leaf has no batch axis, or a symbolic size after the batch.
    """
    for path, leaf in paths(output):
        if not leaf.rank or not all(isinstance(dim, int) for dim in leaf.type.shape[1:]):
            at = f" {path}" if path else ""
            line = "" if leaf.node.where is None else f", made at {leaf.node.where}"
            raise ShapeError(
                f"{cell!r}.step returns the output{at} {leaf!r}{line}; it must be [batch, …], with fixed sizes after "
                "the batch",
                where,
            )
    leaves: list[Tensor] = flatten(output)
    return leaves


def columns_of_output(leaf: Tensor) -> Columns:
    """Return the specification of a state that can hold ``leaf``, an output [batch, …] of a step."""
    axes = tuple(int(str(dim)) for dim in leaf.type.shape[1:])
    is_plain = leaf.dtype in FLOATS and len(axes) == 1
    return Columns(((math.prod(axes), True),), None if len(axes) == 1 else axes, None if is_plain else leaf.dtype)


# States -------------------------------------------------------------------------------------------


def stored(value: Tensor, columns: Columns) -> Tensor:
    """Return the value of a state as it is carried: rounded to the state's dtype if this is narrower than float32."""
    if not columns.is_narrow or _is_rounded(value, columns.dtype):
        return value
    return build("cast", build("cast", value, dtype=columns.dtype), dtype=value.dtype)


def unrounded(node: Node) -> Node:
    """Return the value before rounding if ``node`` is a result of ``stored``; else ``node`` itself."""
    rounded = node.operands[0] if node.op == "cast" else node
    return rounded.operands[0] if rounded.op == "cast" and rounded.dtype in NARROW_STATES else node


def _is_rounded(value: Tensor, dtype: str | None) -> bool:
    """True if a value has been rounded to ``dtype`` already."""
    return value.node.op == "cast" and value.node.operands[0].dtype == dtype


def state_leaves(cell: Any, state: Any, what: str, where: Where | None) -> list[Tensor]:
    """Return the leaves of a state in the order of the cell's specification, after a check of shapes and dtypes.

    ``what`` names the state in errors.
    """
    carried = named(cell)
    leaves = matched(carried, state, what, where)
    expected: list[tuple[str, Columns]] = paths(carried)
    for leaf, (path, columns) in zip(leaves, expected, strict=True):
        if not isinstance(leaf, Tensor):
            raise DtypeError(
                f"{cell!r}: the state{' ' * bool(path)}{path} must be a Tensor [batch, …], not {shown(leaf)}; compute "
                "it from the inputs and states, such as 0 * state + value",
                where,
            )
        if columns.axes is None and (leaf.rank < 1 or leaf.type.shape[-1] != columns.width):
            raise ShapeError(
                f"{cell!r} carries a state of width {columns.width}, not {shown(leaf)}{_at(leaf)}; give a state of "
                f"width {columns.width}, or change what state() returns",
                where,
            )
        if columns.axes is not None and leaf.type.shape[1:] != columns.axes:
            raise ShapeError(
                f"{cell!r} carries a state {path} [{', '.join(map(str, ('batch', *columns.axes)))}], not "
                f"{shown(leaf)}{_at(leaf)}; give a state of that shape, or change what state() returns",
                where,
            )
        wanted = columns.type(1, leaf.dtype).dtype
        if leaf.dtype != wanted:
            raise DtypeError(
                f"{cell!r} carries a state {path} of {wanted}, not {shown(leaf)}{_at(leaf)}; convert with rg.cast",
                where,
            )
    return leaves


def _at(leaf: Tensor) -> str:
    """Return the line that computed a leaf, as text for errors; "" if there is none."""
    return "" if leaf.node.where is None else f", made at {leaf.node.where}"


def zeros_of(cell: Any, batch_size: Any, dtype: Any) -> Any:
    """Return zeros in the structure of a cell's state, as ``Cell.zero_state`` documents.

    If ``batch_size`` is a Tensor of a subclass that defines ``zero_state``, its function returns the zeros.
    """
    leaves: list[Columns] = flatten(public(cell))
    if isinstance(batch_size, Tensor) and (own := batch_size._of_cells.get("zero_state")):
        return own(cell, batch_size, dtype)
    if isinstance(batch_size, Tensor) and not batch_size.rank and batch_size.node.op != "constant":
        rows, kinds = open_size(next(declared)), [leaf.type(1, check_dtype(dtype)) for leaf in leaves]
        zeros_ = [batch_size._results(constant(0, kind.dtype).node) for kind in kinds]
        pairs = zip(zeros_, kinds, strict=True)
        return pack(public(cell), [build("broadcast", zero, shape=(rows, *kind.shape[1:])) for zero, kind in pairs])
    if isinstance(batch_size, Tensor) and batch_size.node.op == "constant":
        batch_size = int(batch_size.node["value"])
    is_int = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if isinstance(batch_size, Tensor) or not is_int or not 0 < batch_size <= MAX_UNITS:
        raise DtypeError(
            f"zero_state needs a positive int as batch size, not {shown(batch_size)}; "
            "to start from zeros for any batch size, leave out the driver's initial_state"
        )
    kind = check_dtype(dtype)
    rows_of = [((int(batch_size), *leaf.row), leaf.type(1, kind).dtype) for leaf in leaves]
    return pack(public(cell), [constant(zeros(shape, own, "a zero state")) for shape, own in rows_of])
