"""``tf.keras.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arguments import array_of, whole_number
from ...errors import ArgumentError
from ...public import api
from ..core.names import missing as _missing

_MOST = 1 << 31


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
    made = np.zeros((flat.size, count), dtype)
    made[np.arange(flat.size), flat] = 1
    return made.reshape(*shape, count)


def __getattr__(name: str) -> Any:
    raise _missing("keras.utils", name)
