"""``tf.keras.preprocessing.sequence``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....arguments import array_of, one_of, whole_number
from ....errors import DtypeError, ShapeError, shown
from ....public import api
from ...core.names import missing as _missing


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
    except (TypeError, ValueError) as error:
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


def __getattr__(name: str) -> Any:
    raise _missing("keras.preprocessing.sequence", name)
