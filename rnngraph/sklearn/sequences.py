"""Reads X: arrays [examples, time, features], lists of sequences, or arrays [examples, time]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ..support.arguments import array_of
from ..support.errors import ArgumentError, DtypeError, ShapeError, Where, shown
from .checks import REMEDY, check_array

TOGETHER = 1024
"""Examples per partial sum of an array's mean and variance."""
FORMS = "an array [examples, time, features], an array [examples, time], or a list of arrays [time, features]"


@dataclass(frozen=True)
class Sequences:
    """Examples: an array [examples, time, width], or a list of arrays [time, width], float32."""

    values: np.ndarray | list[np.ndarray]
    width: int

    def __len__(self) -> int:
        return len(self.values)

    def select(self, rows: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """Return the examples at these indices."""
        return self.values[rows] if isinstance(self.values, np.ndarray) else [self.values[row] for row in rows]

    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and scale of each feature over all steps of all examples.

        The scale of a constant feature is 1.
        """
        count = sum(len(part) for part in self._parts())
        mean = np.asarray(sum(part.sum(axis=0, dtype=np.float64) for part in self._parts())) / count
        variance = np.asarray(sum(np.square(part - mean).sum(axis=0) for part in self._parts())) / count
        return as_float32(mean), as_float32(scale_of(variance, mean))

    def _parts(self) -> Iterator[np.ndarray]:
        """Yield the steps of a few examples at a time, [steps, width], because float64 copies of all would be large."""
        if not isinstance(self.values, np.ndarray):
            yield from self.values
            return
        for start in range(0, len(self.values), TOGETHER):
            yield self.values[start : start + TOGETHER].reshape(-1, self.width)


def scale_of(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the standard deviation of features; 1 for those whose variance is only rounding error."""
    scale = np.sqrt(variance)
    return np.where(scale > 1e-7 * np.abs(mean), scale, 1.0)


def as_float32(array: Any) -> np.ndarray:
    return np.asarray(array, np.float32)


def targets_of(y: Any) -> np.ndarray:
    """Return targets as float64 [examples] or [examples, outputs]. Raises as scikit-learn does."""
    numbers: np.ndarray = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    if numbers.ndim not in (1, 2) or 0 in numbers.shape:
        raise ShapeError(f"y has shape {numbers.shape}; give [examples] or [examples, outputs]")
    return numbers


def weights_of(sample_weight: Any, count: int, where: Where | None) -> np.ndarray:
    """Return a float64 weight for each of ``count`` examples. Raise an ``RnnGraphError`` for invalid ones."""
    weights = array_of(sample_weight, "sample_weight is not an array")
    if weights.dtype.kind not in "fiub":
        raise DtypeError(f"sample_weight has dtype {weights.dtype}; give a number for each example", where)
    if weights.shape != (count,):
        raise ShapeError(f"sample_weight has shape {weights.shape}, not ({count},); give one for each example", where)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ArgumentError("sample_weight must be numbers of 0 or more, not all of them 0", where)
    return weights.astype(np.float64)


def without_index(X: Any) -> Any:
    """Return a Series of sequences as a list; anything else unchanged."""
    return list(X) if not isinstance(X, np.ndarray) and _rank(X) == 1 and X.dtype == np.dtype(object) else X


def refuse_text(X: Any, where: Where | None) -> None:
    """Raise ``DtypeError`` for an array of texts or dates, some of which NumPy would convert to numbers."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "USMmV":
        raise DtypeError(f"X has dtype {X.dtype}, not numbers{REMEDY}", where)


def is_table(X: Any) -> bool:
    """True if scikit-learn can check X as a table with a row for each example and a column for each step."""
    if isinstance(X, list | tuple):
        return not _is_ragged(X)
    return not (isinstance(X, np.ndarray) and (X.ndim > 2 or _is_ragged(X)))


def _is_ragged(X: Any) -> bool:
    """True if X holds separate sequences rather than rows of a table.

    Such sequences have more than one axis, or they are vectors of different lengths, each with a single feature.
    """
    if isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1):
        return False
    items = [item for item in X if isinstance(item, list | tuple) or _rank(item)]
    ranks = {1 + _holds_lists(item) if isinstance(item, list | tuple) else _rank(item) for item in items}
    return bool(items) and (ranks != {1} or len({len(item) for item in items}) > 1)


def _holds_lists(items: Sequence[Any]) -> bool:
    return any(isinstance(item, list | tuple) or _rank(item) for item in items)


def _rank(item: Any) -> int:
    """Return the number of axes of an array-like object such as a DataFrame; 0 for anything else."""
    return getattr(item, "ndim", 0) if hasattr(item, "__array__") else 0


def of_table(table: np.ndarray) -> Sequences:
    """Return a checked array [examples, time] as sequences of one feature."""
    return Sequences(as_float32(table)[:, :, None], 1)


def of_sequences(X: Any, where: Where | None) -> Sequences:
    """Return an array [examples, time, features], or separate sequences, checked.

    Raises:
        ShapeError: The shape is another one. Numbers that are not finite raise scikit-learn's error.
    """
    if isinstance(X, np.ndarray) and X.dtype != object:
        if X.ndim != 3:
            raise ShapeError(f"X has shape {X.shape}; give {FORMS}", where)
        values = check_array(X, dtype=np.float32, allow_nd=True, input_name="X")
        return Sequences(values, _width(values.shape, where))
    return _listed(list(X), where)


def _listed(items: Sequence[Any], where: Where | None) -> Sequences:
    arrays = [array_of(item, f"X[{number}] is not a sequence") for number, item in enumerate(items)]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    arrays = [_numbers(array, f"X[{number}]", where) for number, array in enumerate(arrays)]
    for number, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[1]:
            raise ShapeError(
                f"X[{number}] has shape {array.shape}, and X[0] {arrays[0].shape}; sequences are arrays [time, "
                "features], all with the same number of features",
                where,
            )
        if not len(array):
            raise ShapeError(f"X[{number}] has no step; leave it out", where)
    if not arrays:
        raise ArgumentError(f"X={shown(items)} holds no example; give {FORMS}", where)
    values = [check_array(array, dtype=np.float32, input_name="X") for array in arrays]
    return Sequences(values, _width(values[0].shape, where))


def _numbers(array: np.ndarray, what: str, where: Where | None) -> np.ndarray:
    """Return an array of numbers, also from Python objects. Raise ``DtypeError`` for anything else."""
    if array.dtype.kind in "fiub":
        return array
    others = [item for item in array.flat if not isinstance(item, Real | np.bool_)] if array.dtype == object else []
    if array.dtype == object and not others:
        return array.astype(np.float64)
    problem = f"holds {shown(others[0])}, which is not a number" if others else f"has dtype {array.dtype}, not numbers"
    raise DtypeError(f"{what} {problem}{REMEDY}", where)


def _width(shape: tuple[int, ...], where: Where | None) -> int:
    if 0 in shape:
        raise ShapeError(f"X has shape {shape}; give at least one step and one feature", where)
    return shape[-1]
