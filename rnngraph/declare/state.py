"""Specifications of a cell's state: a nest whose leaves are columns of a row, some of them memory."""

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
    """A leaf of a state: concatenated parts of (width, is memory). Dropout never applies to memory."""

    parts: tuple[tuple[int, bool], ...]

    @property
    def width(self) -> int:
        return sum(width for width, _ in self.parts)


@api
def memory(width: int) -> Columns:
    """Declare a state of ``width`` units that is exempt from dropout, such as an LSTM's c."""
    return Columns(((_width(width), True),))


@api
def joined(*leaves: Any) -> Columns:
    """Declare one state that concatenates several. Memory stays exempt from dropout."""
    return Columns(tuple(part for leaf in leaves for part in columns_of(leaf).parts))


def _width(value: Any) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 < value <= MOST_UNITS:
        raise DtypeError(f"a state's width must be a positive int, not {shown(value)}")
    return int(value)


def columns_of(leaf: Any) -> Columns:
    return leaf if isinstance(leaf, Columns) else Columns(((_width(leaf), False),))


def resolve(specification: Any) -> Any:
    """Convert the result of ``state()`` (ints, memory, nests and cells) to a nest of ``Columns``."""
    return fold(specification, columns_of, _as_drivers_give, _entries)


def named(specification: Any) -> Any:
    """Return ``resolve`` with a name for every state of a cell, even if it is the cell's only state.

    States from users are matched with this nest. Its leaves are in the order of ``public`` and ``resolve``.
    """
    return fold(specification, columns_of, _joined, _entries)


def _entries(item: Any) -> list[tuple[str, Any]] | None:
    return [("state", stated(item))] if _is_cell(item) else children(item)


def _joined(item: Any, values: list[Any]) -> Any:
    return values[0] if _is_cell(item) else rebuild(item, values)


def _is_cell(specification: Any) -> bool:
    return hasattr(specification, "state") and hasattr(specification, "step")


def specification_of(cell: Any) -> Any:
    """Return the result of ``cell.state()`` unchanged."""
    try:
        return type(cell).state(cell)  # an attribute of the instance may be called "state"
    except RecursionError:
        raise StructureError(
            f"{cell!r}.state() asks for its own answer, or through more cells than Python's stack holds; "
            "let it name widths, or cells that don't ask back"
        ) from None
    except TypeError:
        taking(cell.state, f"{cell!r}.state")
        raise


def stated(cell: Any) -> Any:
    """Return ``cell.state()``, with names in the order of the fields of its ``state_type``, if any."""
    specification = specification_of(cell)
    if not isinstance(specification, dict) or len(specification) == 1:  # the fast path
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
    """Return the structure of the state that drivers return for a cell, with ``Columns`` as leaves.

    A single state is a leaf. Several states are a namedtuple in the order of ``state()``, or the class's
    ``state_type``. A
    ``state()`` that is a tuple stays a tuple.
    """
    return resolve(cell)


def _as_drivers_give(item: Any, values: list[Any]) -> Any:
    """Rebuild a nest from its converted entries. A cell becomes its public structure."""
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
