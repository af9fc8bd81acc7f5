"""States of a driver: their names, their initial values, and checks of a step's next values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.types import Dim, TensorType, unify_declared
from ...support.errors import DtypeError, ShapeError, Where
from ..cell import Cell, InnerCell
from ..nest import matched, paths
from ..public_types import public_type
from ..state import named, public, specification_of
from ..tensor import Tensor, build, constant
from ..trace import tracing


def state_names(cell: Cell) -> list[str]:
    """Return a name for each state of a cell, such as ``c`` or ``state_0``."""
    named_states, specification = list(paths(public(cell))), specification_of(cell)
    if len(named_states) == 1 and not named_states[0][0]:
        return list(specification) if isinstance(specification, dict) else ["h"]
    return [
        f"state_{path.replace('/', '_')}" if path[-1:].isdigit() else path.rpartition("/")[2]
        for path, _ in named_states
    ]


def check_step(cell: Cell, new: Sequence[Tensor], kinds: Sequence[TensorType], where: Where | None) -> None:
    """Raise ``ShapeError`` if a state that a step returns differs in rank or dtype from the declared one."""
    for item, kind in zip(new, kinds, strict=True):
        if item.rank != kind.rank or item.dtype != kind.dtype:
            line = "" if item.node.where is None else f", made at {item.node.where}"
            raise ShapeError(
                f"{cell!r}.step turns a state {public_type(kind)} into {item!r}{line}; return states of the rank and "
                "dtype that state() declares",
                where,
            )


def initial_leaves(
    cell: Cell, inner: InnerCell, initial_state: Any, kinds: Sequence[TensorType], where: Where | None
) -> list[Tensor]:
    """Return the initial states of a run, broadcast to the batch: the caller's, or else the cell's own."""
    leaves: list[Any]
    if initial_state is None:
        with tracing(cell):
            leaves = inner.initial_state()
    else:
        leaves = matched(named(cell), initial_state, f"{cell!r}: initial_state", where)
    return [_initial(cell, leaf, kind, where) for leaf, kind in zip(leaves, kinds, strict=True)]


def _initial(cell: Cell, leaf: Any, kind: TensorType, where: Where | None) -> Tensor:
    """Return one initial state as a Tensor of type ``kind``. None stands for zeros."""
    batch, *row = kind.shape
    if leaf is None:
        return build("broadcast", constant(0, kind.dtype), shape=kind.shape, where=where)
    if not isinstance(leaf, Tensor):
        leaf = constant(leaf)
    if leaf.dtype != kind.dtype:
        raise DtypeError(
            f"{cell!r} computes in {kind.dtype}, but its initial_state is {leaf.dtype}; write "
            f'rg.cast(initial_state, "{kind.dtype}")',
            where,
        )
    if leaf.rank - len(row) not in (0, 1) or list(leaf.type.shape[leaf.rank - len(row) :]) != row:
        raise _misfit(cell, leaf, row, where)
    if leaf.rank == len(row) or leaf.type.shape[0] == 1:
        return build("broadcast", leaf, shape=kind.shape, where=where)
    try:
        unify_declared(leaf.type.shape[0], batch)
    except ValueError:
        raise ShapeError(
            f"{cell!r} runs on a batch of {batch}, but its initial_state has {leaf.type.shape[0]} rows; give one row "
            "for each of the batch, or one for all",
            where,
        ) from None
    return leaf


def _misfit(cell: Cell, leaf: Tensor, row: Sequence[Dim], where: Where | None) -> ShapeError:
    """Return the error for an initial state whose shape is not that of the cell's state."""
    if len(row) != 1:
        wanted = ", ".join(map(str, row))
        return ShapeError(
            f"{cell!r} carries a state [batch, {wanted}], but its initial_state is {leaf!r}; give [batch, {wanted}] or "
            f"[{wanted}]",
            where,
        )
    have = leaf.type.shape[-1] if leaf.rank else "no axis"
    return ShapeError(
        f"{cell!r} carries a state of width {row[0]}, but its initial_state has width {have}; "
        f"give initial_state a width of {row[0]}",
        where,
    )
