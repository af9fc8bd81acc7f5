"""What one row of a cell carries: leaves of a nest, each a run of columns, some of them memory."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from functools import cache
from keyword import iskeyword
from typing import Any

import numpy as np

from ..errors import DtypeError, StructureError, shown
from ..public import api
from .arguments import MOST_UNITS, checked_name
from .nest import children, flatten, pack, rebuild


@dataclass(frozen=True)
class Columns:
    """A leaf: parts of (width, is memory), side by side. Memory is never dropped."""

    parts: tuple[tuple[int, bool], ...]

    @property
    def width(self) -> int:
        return sum(width for width, _ in self.parts)

    @property
    def all_memory(self) -> bool:
        return all(is_memory for _, is_memory in self.parts)

    @property
    def no_memory(self) -> bool:
        return not any(is_memory for _, is_memory in self.parts)


@api
def memory(width: int) -> Columns:
    """A state of ``width`` that dropout leaves alone, such as an LSTM's c."""
    return Columns(((_width(width), True),))


@api
def joined(*leaves: Any) -> Columns:
    """One state made of several side by side: memory stays memory."""
    return Columns(tuple(part for leaf in leaves for part in columns_of(leaf).parts))


def _width(value: Any) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 < value <= MOST_UNITS:
        raise DtypeError(f"a state's width must be a positive int, not {shown(value)}")
    return int(value)


def columns_of(leaf: Any) -> Columns:
    return leaf if isinstance(leaf, Columns) else Columns(((_width(leaf), False),))


def resolve(specification: Any) -> Any:
    """A nest of ``Columns`` from what ``state()`` gave: ints, memory, nests and cells."""
    if hasattr(specification, "state") and hasattr(specification, "step"):
        return public(specification)
    entries = children(specification)
    if entries is None:
        return columns_of(specification)
    return rebuild(specification, [resolve(value) for _, value in entries])


@cache
def tuple_type(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)


def public(cell: Any) -> Any:
    """The nest that a driver gives for this cell's state, with ``Columns`` as leaves.

    One state is a bare leaf; several are a namedtuple in the order of ``state()``, or the class's
    ``state_type``. A ``state()`` that is a tuple is given as it is.
    """
    specification = resolve(cell.state())
    if not isinstance(specification, dict):
        return specification
    for name in specification:
        checked_name(name, "a state")
    values = list(specification.values())
    if len(values) == 1:
        return values[0]
    kind = getattr(cell, "state_type", None)
    if kind is None:
        names = tuple(specification)
        if wrong := [name for name in names if not name.isidentifier() or iskeyword(name) or name[0] == "_"]:
            raise StructureError(f"{cell!r} carries several states, and {shown(wrong[0])} is no name for one of them")
        kind = tuple_type(f"{type(cell).__name__}State", names)
    return kind(*values)


def widths(nest: Any) -> Any:
    return pack(nest, [leaf.width for leaf in flatten(nest)])
