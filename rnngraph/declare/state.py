"""What one row of a cell carries: leaves of a nest, each a run of columns, some of them memory."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from functools import cache
from keyword import iskeyword
from typing import Any

import numpy as np

from ..support.api_guard import api, taking
from ..support.arguments import MOST_UNITS, checked_name
from ..support.attribute_hints import telling
from ..support.errors import DtypeError, StructureError, shown
from .nest import children, flatten, fold, pack, rebuild


@dataclass(frozen=True)
class Columns:
    """A leaf: parts of (width, is memory), side by side. Memory is never dropped."""

    parts: tuple[tuple[int, bool], ...]

    @property
    def width(self) -> int:
        return sum(width for width, _ in self.parts)


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
    return fold(specification, columns_of, _as_drivers_give, _entries)


def named(specification: Any) -> Any:
    """As ``resolve``, but every state of a cell stands under its name, also where the cell has no other.

    Leaves come in the order of ``public`` and of ``resolve``: this is what a nest that users give is matched with.
    """
    return fold(specification, columns_of, _joined, _entries)


def _entries(item: Any) -> list[tuple[str, Any]] | None:
    return [("state", stated(item))] if _is_cell(item) else children(item)


def _joined(item: Any, values: list[Any]) -> Any:
    return values[0] if _is_cell(item) else rebuild(item, values)


def _is_cell(specification: Any) -> bool:
    return hasattr(specification, "state") and hasattr(specification, "step")


def specification_of(cell: Any) -> Any:
    """What ``cell.state()`` gives, as it is."""
    try:
        return type(cell).state(cell)  # a cell's own attributes may have any names
    except RecursionError:
        raise StructureError(
            f"{cell!r}.state() asks for its own answer, or through more cells than Python's stack holds; "
            "let it name widths, or cells that don't ask back"
        ) from None
    except TypeError:
        taking(cell.state, f"{cell!r}.state")
        raise


def stated(cell: Any) -> Any:
    """What ``cell.state()`` gives; names in the order of the fields of its ``state_type``, if it has one."""
    specification = specification_of(cell)
    if not isinstance(specification, dict) or len(specification) == 1:  # what asks no more than this is asked often
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
    return telling(namedtuple(name, fields))


def public(cell: Any) -> Any:
    """The nest that a driver gives for this cell's state, with ``Columns`` as leaves.

    One state is a bare leaf; several are a namedtuple in the order of ``state()``, or the class's
    ``state_type``. A ``state()`` that is a tuple is given as it is.
    """
    return resolve(cell)


def _as_drivers_give(item: Any, values: list[Any]) -> Any:
    """A nest of what its entries became; of a cell what ``public`` gives of it."""
    if not _is_cell(item):
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
            raise StructureError(f"{item!r} carries several states, and {shown(wrong[0])} is no name for one of them")
        kind = tuple_type(f"{type(item).__name__}State", names)
    return kind(*leaves)


def widths(nest: Any) -> Any:
    return pack(nest, [leaf.width for leaf in flatten(nest)])
