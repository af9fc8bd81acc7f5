"""Specifications of a cell's state: a nest whose leaves give the shape and dtype of one row."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Sequence
from functools import cache
from keyword import iskeyword
from typing import Any

import numpy as np

from ..ir.attributes import MAX_AXES
from ..ir.types import DTYPES, FLOATS, Dim, TensorType
from ..support.api_guard import api, taking
from ..support.arguments import MAX_UNITS, checked_name
from ..support.attribute_hints import telling
from ..support.errors import DtypeError, ShapeError, StructureError, shown
from ..support.records import dataclass
from .nest import children, flatten, fold, pack, rebuild

NARROW_STATES = {"bfloat16": "float32"}
"""Dtypes to which states can be rounded after each step; for each, the dtype in which steps compute."""


@dataclass(frozen=True)
class Columns:
    """Specification of one state tensor, whose units are those of its parts, concatenated.

    Attributes:
        parts: For each part, the number of units, and True if the part is memory, which is exempt from dropout.
        axes: Shape of one row. None: one axis of all units.
        dtype: Dtype of the state. None: the dtype of the driver's inputs.
    """

    parts: tuple[tuple[int, bool], ...]
    axes: tuple[int, ...] | None = None
    dtype: str | None = None

    @property
    def width(self) -> int:
        """Number of units."""
        return sum(width for width, _ in self.parts)

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.width,) if self.axes is None else self.axes

    @property
    def is_plain(self) -> bool:
        """True for one axis of units in the dtype of the driver's inputs."""
        return self.axes is None and self.dtype is None

    @property
    def is_narrow(self) -> bool:
        return self.dtype in NARROW_STATES

    def type(self, batch: Dim, dtype: str) -> TensorType:
        """Return the type that steps compute with. ``dtype`` is that of the driver's inputs."""
        own = dtype if self.dtype is None else NARROW_STATES.get(self.dtype, self.dtype)
        return TensorType(own, (batch, *self.row))

    def __repr__(self) -> str:
        if len(self.parts) > 1:
            return f"joined({', '.join(f'memory({width})' if still else str(width) for width, still in self.parts)})"
        is_memory = self.parts[0][1] and (self.dtype is None or NARROW_STATES.get(self.dtype, self.dtype) in FLOATS)
        shape = self.width if self.axes is None else self.axes
        dtype = "" if self.dtype is None else f", dtype={self.dtype!r}"
        return f"{'memory' if is_memory else 'state'}({shape}{dtype})"


@api
def state(shape: int | Sequence[int], dtype: Any = None) -> Columns:
    """Declare a state of any shape and dtype in a cell's ``state()``.

    ``{"S": rg.state((4, 64, 64)), "count": rg.state((), dtype="int64")}`` are Tensors [batch, 4, 64, 64] and [batch] in
    ``step``. A tuple alone, ``(4, 64, 64)``, is three states, as in TensorFlow.

    Args:
        shape: Shape of one row, without the batch. An int is a width.
        dtype: ``float32``, ``float64``, ``int32``, ``int64``, ``bool`` or ``bfloat16``. By default, the dtype of the
            driver's inputs. A ``bfloat16`` state is float32 in ``step`` and for callers. Its new value is rounded after
            each step, so that loops, streams and files store 16 bits. Dropout never applies to states that are not
            floats.
    """
    return _leaf(shape, dtype, False)


@api
def memory(width: int | Sequence[int], dtype: Any = None) -> Columns:
    """Declare a state that is exempt from dropout, such as an LSTM's c.

    Args:
        width: Number of units, or the shape of one row, such as ``(4, 64, 64)``.
        dtype: As for ``rg.state``.
    """
    return _leaf(width, dtype, True)


@api
def joined(*leaves: Any) -> Columns:
    """Declare one state that concatenates several states along their width. Memory stays exempt from dropout."""
    columns = [columns_of(leaf) for leaf in leaves]
    for item in columns:
        if not item.is_plain:
            raise StructureError(
                f"joined concatenates widths, but {item!r} has its own shape or dtype; declare it as a separate state"
            )
    return Columns(tuple(part for item in columns for part in item.parts))


def _leaf(shape: Any, dtype: Any, is_memory: bool) -> Columns:
    """Return the specification of a state from the arguments of ``state`` or ``memory``."""
    own = None if dtype is None else _state_dtype(dtype)
    is_memory = is_memory or (own is not None and NARROW_STATES.get(own, own) not in FLOATS)
    if not isinstance(shape, tuple | list):
        return Columns(((_width(shape), is_memory),), None, own)
    axes = tuple(map(_width, shape))
    if len(axes) >= MAX_AXES:
        raise ShapeError(f"a state can have at most {MAX_AXES - 1} axes after the batch, not {len(axes)}")
    return Columns(((_width(math.prod(axes)), is_memory),), None if len(axes) == 1 else axes, own)


def _state_dtype(dtype: Any) -> str:
    text = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype
    if text not in (*DTYPES, *NARROW_STATES):
        raise DtypeError(f"a state can't be {shown(dtype)}; use one of {', '.join((*DTYPES, *NARROW_STATES))}")
    return str(text)


def _width(value: Any) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 < value <= MAX_UNITS:
        raise DtypeError(f"a state's width must be a positive int, not {shown(value)}")
    return int(value)


def columns_of(leaf: Any) -> Columns:
    """Return a leaf of ``state()`` as ``Columns``. An int is a width."""
    return leaf if isinstance(leaf, Columns) else Columns(((_width(leaf), False),))


def resolve(specification: Any) -> Any:
    """Convert the result of ``state()`` (ints, memory, nests and cells) to a nest of ``Columns``."""
    return fold(specification, columns_of, _public_form, _entries)


def named(specification: Any) -> Any:
    """Return a nest of ``Columns`` that has a name for every state of a cell, even for a single one.

    States from users are matched with this nest. Its leaves are in the order of ``public`` and ``resolve``.
    """
    return fold(specification, columns_of, _joined, _entries)


def _entries(item: Any) -> list[tuple[str, Any]] | None:
    return [("state", stated(item))] if is_cell(item) else children(item)


def _joined(item: Any, values: list[Any]) -> Any:
    return values[0] if is_cell(item) else rebuild(item, values)


def is_cell(specification: Any) -> bool:
    """True for cells, and for classes of cells."""
    return hasattr(specification, "state") and hasattr(specification, "step")


def specification_of(cell: Any) -> Any:
    """Return the result of ``cell.state()`` unchanged."""
    try:
        return type(cell).state(cell)  # an attribute of the instance may be called "state"
    except RecursionError:
        raise StructureError(
            f"{cell!r}.state() calls itself, or nests deeper than Python's stack; "
            "return widths, or cells whose state() does not call this one"
        ) from None
    except TypeError:
        taking(cell.state, f"{cell!r}.state")
        raise


def stated(cell: Any) -> Any:
    """Return ``cell.state()``, ordered like the fields of the cell's ``state_type``, if there is one."""
    specification = specification_of(cell)
    if not isinstance(specification, dict) or len(specification) == 1:  # nothing to order
        return specification
    kind = getattr(cell, "state_type", None)
    if kind is None:
        return specification
    if {*kind._fields} != {*specification}:
        raise StructureError(
            f"{cell!r}.state_type has the fields {', '.join(kind._fields)}, and state() the names "
            f"{', '.join(specification)}; give both the same"
        )
    return {name: specification[name] for name in kind._fields}


@cache
def tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    """Return a namedtuple class for a state, whose errors suggest similar names. It is cached by its arguments."""
    return telling(namedtuple(name, fields))


def public(cell: Any) -> Any:
    """Return the structure of a cell's state as drivers return it, with ``Columns`` as leaves.

    A single state is a leaf. Several states are a namedtuple in the order of ``state()``, or the class's
    ``state_type``. A ``state()`` that is a tuple stays a tuple.
    """
    return resolve(cell)


def _public_form(item: Any, values: list[Any]) -> Any:
    """Return the structure in which drivers return the state of ``item``, a cell or a container.

    ``values`` are the structures of its entries. For a cell, that is the structure of the result of ``state()``.
    """
    if not is_cell(item):
        return rebuild(item, values)
    (specification,) = values
    if not isinstance(specification, dict):
        return specification
    for name in specification:
        checked_name(name, "a state")
    leaves = list(specification.values())
    if len(leaves) == 1:
        return leaves[0]
    kind = getattr(item, "state_type", None)
    if kind is None:
        names = tuple(specification)
        if wrong := [name for name in names if not name.isidentifier() or iskeyword(name) or name[0] == "_"]:
            raise StructureError(
                f"{item!r} carries several states, and {shown(wrong[0])} cannot name one of them; use letters, digits "
                "and underscores, beginning with a letter"
            )
        kind = tuple_type(f"{type(item).__name__}State", names)
    return kind(*leaves)


def widths(nest: Any) -> Any:
    """Return a nest of ``Columns`` with plain leaves replaced by their widths."""
    return pack(nest, [leaf.width if leaf.is_plain else leaf for leaf in flatten(nest)])
