"""Sequences of different lengths as one array, and classes as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.arguments import array_of, one_of, whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown

_MOST = 1 << 31
"""Numbers that vectors of classes may have."""


@api
def pad_sequences(
    sequences: Any, maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre", truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:  # fmt: skip
    """Sequences as one array [sequences, maxlen, …]: short ones filled up, long ones cut, at the front by default."""
    if not isinstance(sequences, list | tuple | np.ndarray):
        raise DtypeError(f"pad_sequences takes a list of sequences, not {shown(sequences)}")
    one_of(padding, "padding", ("pre", "post"))
    one_of(truncating, "truncating", ("pre", "post"))
    rows = [array_of(item, "a sequence") for item in sequences]
    if any(not row.ndim for row in rows):
        raise DtypeError("pad_sequences takes a list of sequences, and one of them is a number")
    longest = max((len(row) for row in rows), default=0) if maxlen is None else whole_number(maxlen, "maxlen", 0)
    inner = next((row.shape[1:] for row in rows if len(row)), ())
    try:
        made = np.full((len(rows), longest, *inner), value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DtypeError(f"pad_sequences: {error}") from None
    for place, row in enumerate(rows):
        if not len(row) or not longest:
            continue
        if row.shape[1:] != inner:
            raise ShapeError(f"pad_sequences: entries have the shapes {inner} and {row.shape[1:]}")
        kept = row[-longest:] if truncating == "pre" else row[:longest]
        if padding == "pre":
            made[place, longest - len(kept) :] = kept
        else:
            made[place, : len(kept)] = kept
    return made


@api
def to_categorical(y: Any, num_classes: int | None = None, dtype: Any = "float32") -> np.ndarray:
    """Classes as vectors of a 1 and zeros, along a new last axis; an axis of 1 at the end is no axis of rows."""
    numbers = array_of(y, "classes")
    if numbers.dtype.kind not in "iub" and not (
        numbers.dtype.kind == "f" and np.array_equal(numbers, np.floor(numbers))
    ):
        raise ArgumentError("to_categorical takes classes as whole numbers")
    classes = numbers.astype(np.int64)
    shape = classes.shape[:-1] if classes.ndim > 1 and classes.shape[-1] == 1 else classes.shape
    flat = classes.reshape(-1)
    count = int(flat.max(initial=-1)) + 1 if num_classes is None else whole_number(num_classes, "num_classes", 1)
    if flat.size and (flat.min() < -count or flat.max() >= count):
        raise ArgumentError(f"a class of {flat.max() if flat.max() >= count else flat.min()} is none of {count}")
    if flat.size * max(count, 1) > _MOST:
        raise ArgumentError(f"{flat.size} vectors of {count} numbers are too many; use sparse labels")
    try:
        made = np.zeros((flat.size, count), dtype)
    except TypeError:
        raise DtypeError(f"vectors of classes are of a dtype of NumPy's, not of {shown(dtype)}") from None
    made[np.arange(flat.size), flat] = 1
    return made.reshape(*shape, count)
