"""Inputs of drivers: a Tensor [batch, time, …], or a tuple or dict of such Tensors."""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS, Dim, TensorType, unify_declared
from ...support.errors import DtypeError, ShapeError, StructureError, Where, shown
from ...support.records import dataclass
from ..nest import paths
from ..public_types import check_dtype
from ..tensor import Tensor, build


@dataclass(frozen=True)
class Sequences:
    """Inputs of a driver with time as their first axis.

    Attributes:
        nest: The caller's inputs, in their own structure and layout.
        tensors: Leaves of ``nest``, [time, batch, …].
        names: Name of each leaf in a step.
        time: Number of steps.
        batch: Number of rows.
        dtype: Dtype of parameters, and of states without a dtype of their own.
    """

    nest: Any
    tensors: tuple[Tensor, ...]
    names: tuple[str, ...]
    time: Dim
    batch: Dim
    dtype: str

    @property
    def kinds(self) -> list[TensorType]:
        """Types of the leaves in a step."""
        return [item.type.with_shape((self.batch, *item.type.shape[2:])) for item in self.tensors]


def sequences_of(cell: Any, inputs: Any, dtype: Any, time_major: bool, where: Where | None) -> Sequences:
    """Validate the inputs of a driver, and return them with time as their first axis."""
    leaves = _input_leaves(inputs, where)
    dims: list[tuple[Dim, Dim]] = []
    for path, leaf in leaves:
        time, batch = leaf.type.shape[:2] if time_major else (leaf.type.shape[1], leaf.type.shape[0])
        dims.append((time, batch))
        if not all(isinstance(dim, int) for dim in leaf.type.shape[2:]):
            what = "a fixed width" if leaf.rank == 3 else "fixed sizes after batch and time"
            raise ShapeError(
                f"{cell!r} needs inputs of {what}; declare the last size of {path or leaf.name} as an int", where
            )
    time, batch = (_common(leaves, [pair[axis] for pair in dims], axis, where) for axis in (0, 1))
    tensors = [leaf if time_major else time_first(leaf, where) for _, leaf in leaves]
    names = [f"x_{path.replace('/', '_')}" if path else "x" for path, _ in leaves]
    own = _dtype(cell, [leaf for _, leaf in leaves], dtype, where)
    return Sequences(inputs, tuple(tensors), tuple(names), time, batch, own)


def time_first(x: Tensor, where: Where | None) -> Tensor:
    """Swap the first two axes of x, batch and time."""
    return build("transpose", x, order=(1, 0, *range(2, x.rank)), where=where)


def _input_leaves(inputs: Any, where: Where | None) -> list[tuple[str, Tensor]]:
    """Return the path and the Tensor of each leaf of a driver's inputs."""
    if isinstance(inputs, list):
        raise DtypeError(
            "a driver's inputs must be a Tensor, or a tuple or dict of Tensors [batch, time, …], not a list; "
            "rg.static_rnn takes a list with one entry for each step",
            where,
        )
    leaves = paths(inputs)
    if not leaves:
        raise StructureError(f"a driver needs one input at least, not {shown(inputs)}", where)
    for path, leaf in leaves:
        if not isinstance(leaf, Tensor):
            which = f"the input {path}" if path else "a driver's inputs"
            raise DtypeError(
                f"{which} must be a Tensor{'' if path else ', or a tuple or dict of them'}, not {type(leaf).__name__}",
                where,
            )
        if leaf.rank < 2:
            raise ShapeError(
                f"a driver needs inputs [batch, time, features], not {leaf!r} of rank {leaf.rank}; "
                "reshape, or add an axis with rg.expand_dims",
                where,
            )
    return leaves


def _common(leaves: list[tuple[str, Tensor]], dims: list[Dim], axis: int, where: Where | None) -> Dim:
    """Return the number of steps (axis 0) or rows (axis 1) that all leaves have. ``dims`` has it for each leaf."""
    common = dims[0]
    for (path, leaf), dim in zip(leaves, dims, strict=True):
        try:
            common = unify_declared(common, dim)
        except ValueError:
            what = "rows" if axis else "steps"
            raise ShapeError(
                f"the input {path} {leaf!r} has {dim} {what}, but {leaves[0][0]} {leaves[0][1]!r} has {common}; "
                "give all inputs of a driver the same batch and time",
                where,
            ) from None
    return common


def _dtype(cell: Any, leaves: list[Tensor], dtype: Any, where: Where | None) -> str:
    """Return the float dtype in which a driver computes, from its inputs or the argument ``dtype``."""
    floats = [leaf.dtype for leaf in leaves if leaf.dtype in FLOATS]
    if not floats and (dtype is None or len(leaves) == 1):
        remedy = "convert with rg.cast" if len(leaves) == 1 else "convert one with rg.cast, or give dtype="
        raise DtypeError(f"{cell!r} needs float inputs, not {leaves[0].dtype}; {remedy}", where)
    wanted = floats[0] if dtype is None else check_dtype(dtype)
    if wanted not in FLOATS:
        raise DtypeError(f"dtype={dtype} is not a float dtype; give float32 or float64", where)
    if floats and wanted != floats[0]:
        raise DtypeError(f"dtype={dtype} but the inputs are {floats[0]}; convert them with rg.cast", where)
    return wanted
