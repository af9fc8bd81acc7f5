"""Placeholders: inputs that are fed at run time."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..ir.attributes import MAX_AXES
from ..ir.graph import Node, make
from ..ir.node import Namer
from ..ir.sizes.table import open_size
from ..ir.types import DTYPES, FLOATS, Dim, TensorType, size
from ..support.api_guard import api
from ..support.arguments import MAX_CHARACTERS, checked_name, entries
from ..support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from .cell import Cell, check_cell
from .nest import pack, paths
from .public_types import check_dtype, dtype_word
from .state import public
from .tensor import Tensor, declared

RESERVED = ("seed", "first_row", "first_step", "out", "wrt", "samples", "rows", "carry", "output_gradients", "fetch")
"""Names of keyword arguments of calls, which placeholders cannot have."""


@api
def placeholder(name: str, shape: Sequence[int | str | None], dtype: Any = None) -> Tensor:
    """Declare an input that is fed at run time by name.

    Args:
        name: Name of the input: the keyword argument of calls.
        shape: Size of each axis: an int (fixed), None (any size), or a str (a named size, which is equal wherever the
            name occurs). Sizes that an op requires to be equal are unified, and checked at each call.
        dtype: float32, float64, int32, int64 or bool, as a name or a NumPy dtype. Default: float32.

    Returns:
        Tensor of the input.

    Raises:
        ArgumentError: The name is reserved.
        DtypeError: The dtype is not supported, or stands in place of the name, as in TensorFlow 1.
        ShapeError: An entry of ``shape`` is not a size, or there are too many axes.
    """
    _check_order(name, shape, dtype)
    _check_name(name)
    return fed(name, shape, "float32" if dtype is None else dtype)


def _check_order(name: Any, shape: Any, dtype: Any) -> None:
    """Raise ``DtypeError`` if the dtype comes first, as in TensorFlow 1."""
    word = dtype_word(name)
    if word is None or (isinstance(name, str) and dtype is not None and dtype_word(dtype) is not None):
        return
    meant = word if word in DTYPES else "int64" if "int" in word else "float32"
    named = '; if that is its name, give a dtype as well, as in dtype="float32"' if isinstance(name, str) else ""
    raise DtypeError(
        f"{word} is a dtype, and a placeholder takes its name first; write "
        f'rg.placeholder("x", {shown(shape)}, "{meant}"){named}'
    )


def _check_name(name: Any) -> None:
    checked_name(name, "a placeholder")
    if name in RESERVED:
        raise ArgumentError(f"a placeholder can't be named {name}, which is reserved; rename it")


@api
def state_placeholder(name: str, cell: Cell, dtype: Any = "float32") -> Any:
    """Declare placeholders for a cell's state, which are fed together under one name.

    ``initial_state=rg.state_placeholder("state0", cell)`` is fed as ``state0=nest``, such as the state that another
    call returned. The nest has the structure of the state, or is made of plain tuples. Each leaf has a name of its own,
    too: ``state0.c``, or ``state0.1.h`` in a stack. The only state of a cell is ``state0`` itself.

    Args:
        name: Name of the state.
        cell: Cell that has the state.
        dtype: Dtype of the driver's inputs: float32 or float64.

    Returns:
        Nest like ``cell.state_size`` of Tensors [batch, width].
    """
    check_cell(cell, "state_placeholder")
    _check_name(name)
    if check_dtype(dtype) not in FLOATS:
        raise DtypeError(f"a state needs a float dtype, not {dtype}; give dtype='float32' or 'float64'")
    structure = public(cell)
    kinds = [(path, leaf.type(1, check_dtype(dtype))) for path, leaf in paths(structure)]
    leaves = [
        fed(".".join([name, *filter(None, path.split("/"))]), (None, *kind.shape[1:]), kind.dtype)
        for path, kind in kinds
    ]
    return pack(structure, leaves)


def fed(name: str, shape: Sequence[int | str | None], dtype: Any, **attributes: Any) -> Tensor:
    """Declare a placeholder with further attributes.

    Args:
        name: Name of the input, or the base of its name with ``unnamed``.
        shape: As for ``placeholder``.
        dtype: As for ``placeholder``.
        **attributes: ``unnamed=True`` makes the name unique at compile time. ``default`` is an array to use if the
            input is not fed.
    """
    where = user_line()
    dims: list[Dim] = []
    try:
        sizes = entries(shape, "shape")
    except DtypeError as error:
        raise ShapeError(f"placeholder {name}: {error.what}", where) from None
    if len(sizes) > MAX_AXES:
        raise ShapeError(f"placeholder {name} has {len(sizes)} axes, and a Tensor has {MAX_AXES} at most", where)
    serial = next(declared)
    for axis, entry in enumerate(sizes):
        if entry is None:
            dims.append(open_size(serial, axis))
        elif isinstance(entry, str) and can_name_size(entry):
            dims.append(size(entry))
        elif isinstance(entry, int | np.integer) and not isinstance(entry, bool) and entry >= 0:
            dims.append(int(entry))
        else:
            which = "a name that is an identifier"
            if isinstance(entry, str):
                which += f" of at most {MAX_CHARACTERS} characters a-z, A-Z, 0-9 and _, and not a keyword of Python"
            raise ShapeError(
                f"placeholder {name}: {shown(entry)} is not a size; use an int, None or {which}",
                where,
            )
    kind = TensorType(check_dtype(dtype), tuple(dims))
    return Tensor(make("input", where=where, name=name, type=kind, label=name, serial=serial, **attributes))


def can_name_size(word: str) -> bool:
    """True if ``word`` can name a size: an ASCII identifier that is not a keyword of Python and has no leading "_".

    Printed sizes are parsed as Python expressions.
    """
    plain = word.isidentifier() and word.isascii() and len(word) <= MAX_CHARACTERS
    return plain and not keyword.iskeyword(word) and not word.startswith("_")


def placeholder_names(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return the names of placeholders, by node.

    Unnamed placeholders are called by their base, then ``base_1`` and so on, in the order of declaration.
    """
    places = sorted(
        (node for node in nodes if node.op == "input" and not node.get("body")), key=lambda node: node["serial"]
    )
    names = {node: str(node["label"]) for node in places if not node.get("unnamed")}
    namer = Namer({*names.values()})
    for node in places:
        if node not in names:
            names[node] = namer(str(node["label"]))
    return names
