"""Conversion of feeds to arrays for native code, and solving of named sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.sizes.table import SizeTable
from ...ir.types import Size, TensorType, dim_text, symbols_of
from ...support.allocation import LARGE, bytes_of, reserve
from ...support.arguments import refuse_mask
from ...support.errors import DtypeError, RnnGraphError, ShapeError, StructureError, Where, shown
from .signatures import lies_in_rows

Sizes = dict[str, int]


def convert(name: str, value: Any, kind: TensorType, where: Where | None) -> np.ndarray:
    """Return ``value`` as an array of ``kind.dtype`` whose last axis is contiguous.

    Bools, ints and floats convert to floats. Bools, and ints that are in range, convert to ints. A value that needs no
    conversion is not copied. Sizes of axes are not checked.

    Raises:
        ArgumentError: The value is a masked array.
        DtypeError: The dtype does not convert.
        ShapeError: The value is not array-like, or its rank does not match.
        StructureError: The value is a mapping.
    """
    refuse_mask(value, f"feed {name}", where)
    try:
        array = np.asarray(value)
    except RnnGraphError as error:  # raised by a symbolic Tensor, with a remedy
        raise DtypeError(f"feed {name} is {shown(value)}: {error.what}", where) from None
    except (ValueError, TypeError, RuntimeError) as error:  # torch raises RuntimeError, with a remedy
        shapes = _shapes_of_rows(value)
        if len(shapes) > 1:
            raise ShapeError(
                f"rows of feed {name} have shapes {shapes[0]} and {shapes[1]}; pad them and feed lengths, "
                "or give the list to program.predict, trainer.fit or trainer.evaluate, which pad",
                where,
            ) from None
        raise ShapeError(
            f"feed {name} is not an array ({error}); pass numbers in rows of equal length", where
        ) from None
    wanted = np.dtype(kind.dtype)
    have = array.dtype
    if array.ndim != len(kind.shape):
        if isinstance(value, Mapping):
            entries = ", ".join(shown(key) for key in value)
            raise StructureError(f"feed {name} is one array, not a mapping of {entries}; give the array alone", where)
        raise ShapeError(
            f"feed {name} has shape {array.shape} of rank {array.ndim}; "
            f"it is declared {kind} of rank {len(kind.shape)}; reshape it to {len(kind.shape)} axes",
            where,
        )
    if have != wanted:  # the name is formatted only for an error
        array = cast(f"feed {name}", array, wanted, where)
    if not lies_in_rows(array):
        if array.nbytes >= LARGE:
            reserve(array.nbytes, f"a copy of feed {name}", where)
        array = np.array(array, order="C")
    return array


def _shapes_of_rows(value: Any) -> list[tuple[int, ...]]:
    """Return the distinct shapes of a list's rows; empty if ``value`` is not a list, or a row is not array-like."""
    try:
        return [*dict.fromkeys(map(np.shape, value))] if isinstance(value, list | tuple) else []
    except (ValueError, TypeError, RuntimeError):
        return []


def rank_of(value: Any) -> int:
    """Return the rank of a feed; -1 if it is not array-like, for which ``convert`` raises."""
    try:
        return np.ndim(value)
    except (ValueError, TypeError, RuntimeError):
        return -1


def cast(what: str, array: np.ndarray, wanted: np.dtype[Any], where: Where | None) -> np.ndarray:
    """Return ``array`` in the dtype ``wanted``, by the rules of ``convert``. ``what`` is its name in errors."""
    have = array.dtype
    if have == wanted:
        return array
    allowed = {"f": "fiub", "i": "iub", "b": "b"}[wanted.kind]
    if have.kind not in allowed:
        raise DtypeError(f"{what} is {have} and is declared {wanted}; {_conversion(have, wanted)}", where)
    if wanted.kind == "i" and have.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise DtypeError(
                f"{what} is {have}, with numbers outside of {wanted}; give numbers from {limits.min} to {limits.max}",
                where,
            )
    if array.nbytes >= LARGE:
        reserve(bytes_of(array.shape, wanted), f"a copy of {what}", where)
    return array.astype(wanted)


def _conversion(have: np.dtype[Any], wanted: np.dtype[Any]) -> str:
    """Return the remedy for an array whose dtype does not match the declared one."""
    if wanted.kind == "b" and have.kind in "iuf":
        return "numbers are not converted to bools: feed array != 0, or array.astype(bool)"
    if have.kind in "fc":
        return "cast it yourself"
    if wanted.kind == "i" and have.kind in "UO":
        return "give numbers: names, numbers = np.unique(labels, return_inverse=True)"
    return "give True and False" if wanted.kind == "b" else "give numbers"


def solve_sizes(arrays: Mapping[str, np.ndarray], kinds: Mapping[str, TensorType], where: Where | None) -> Sizes:
    """Return the value of every named size that the shapes of arrays determine.

    Raise ``ShapeError`` for a contradiction or a negative size.
    """
    table = SizeTable()
    axes = [(name, axis) for name, array in arrays.items() for axis in range(array.ndim)]
    pairs = [(kinds[name].shape[axis], arrays[name].shape[axis]) for name, axis in axes]
    wrong = table.unify_all(pairs, measured=True)
    if wrong is not None:
        (name, axis), (dim, actual) = axes[wrong], pairs[wrong]
        known, symbols = table.resolve(dim), symbols_of(dim)
        because = ""
        if isinstance(known, Size):
            because = ", which is not known from what is fed"
        elif symbols:
            first = next((other for other in arrays if other != name and kinds[other].symbols & symbols), name)
            because = f" = {known}, as in feed {first} {arrays[first].shape}"
        raise ShapeError(
            f"feed {name} has shape {arrays[name].shape}; axis {axis} must be {dim_text(dim)}{because}, not {actual}",
            where,
        )
    sizes = {name: value for name in table.known if isinstance(value := table.resolve(table.known[name]), int)}
    for name, value in sizes.items():
        if value < 0:
            first = next(other for other in arrays if name in kinds[other].symbols)
            raise ShapeError(
                f"feed {first} {arrays[first].shape} is too small: the size {name} would be {value}; "
                "feed a larger array",
                where,
            )
    return sizes
