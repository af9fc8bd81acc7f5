"""What estimators take as X: arrays [examples, time, features], lists of sequences, arrays [examples, time]."""

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
"""Examples of an array that are looked at together."""
FORMS = "an array [examples, time, features], an array [examples, time], or a list of arrays [time, features]"


@dataclass(frozen=True)
class Sequences:
    """Examples. values: an array [examples, time, width], or a list of arrays [time, width]; float32."""

    values: np.ndarray | list[np.ndarray]
    width: int

    def __len__(self) -> int:
        return len(self.values)

    def some(self, rows: np.ndarray) -> np.ndarray | list[np.ndarray]:
        """The examples of these numbers."""
        return self.values[rows] if isinstance(self.values, np.ndarray) else [self.values[row] for row in rows]

    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each feature over all steps of all examples; the scale of one that never changes is 1."""
        count = sum(len(part) for part in self._parts())
        mean = np.asarray(sum(part.sum(axis=0, dtype=np.float64) for part in self._parts())) / count
        variance = np.asarray(sum(np.square(part - mean).sum(axis=0) for part in self._parts())) / count
        return as_float32(mean), as_float32(scale_of(variance, mean))

    def _parts(self) -> Iterator[np.ndarray]:
        """All steps [steps, width], some examples after the other, so that float64 takes little memory."""
        if not isinstance(self.values, np.ndarray):
            yield from self.values
            return
        for start in range(0, len(self.values), TOGETHER):
            yield self.values[start : start + TOGETHER].reshape(-1, self.width)


def scale_of(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The square root; 1 where there is nothing but rounding."""
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


def weights_of(given: Any, count: int, where: Where | None) -> np.ndarray:
    """A weight for each of so many examples, float64. Raises ``ArgumentError``, ``DtypeError`` or ``ShapeError``."""
    weights = array_of(given, "sample_weight is no array")
    if weights.dtype.kind not in "fiub":
        raise DtypeError(f"sample_weight is of {weights.dtype}, not of numbers; give one for each example", where)
    if weights.shape != (count,):
        raise ShapeError(f"sample_weight has shape {weights.shape}, not ({count},); give one for each example", where)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ArgumentError("sample_weight must hold numbers of 0 or more, and is not zero for all examples", where)
    return weights.astype(np.float64)


def without_index(X: Any) -> Any:
    """A Series of sequences as a list of them; all else as it is."""
    return list(X) if not isinstance(X, np.ndarray) and _rank(X) == 1 and X.dtype == np.dtype(object) else X


def refuse_text(X: Any, where: Where | None) -> None:
    """Raise ``DtypeError`` for an array of texts or dates, some of which NumPy would convert to numbers."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "USMmV":
        raise DtypeError(f"X is of {X.dtype}, not of numbers{REMEDY}", where)


def is_table(X: Any) -> bool:
    """Whether X has one row an example and one column a step, so that scikit-learn checks it."""
    if isinstance(X, list | tuple):
        return not _is_ragged(X)
    return not (isinstance(X, np.ndarray) and (X.ndim > 2 or _is_ragged(X)))


def _is_ragged(X: Any) -> bool:
    """Whether X holds sequences by themselves: arrays of several lengths, of one feature each if they have one axis."""
    if isinstance(X, np.ndarray) and (X.dtype != object or X.ndim != 1):
        return False
    items = [item for item in X if isinstance(item, list | tuple) or _rank(item)]
    ranks = {1 + _holds_lists(item) if isinstance(item, list | tuple) else _rank(item) for item in items}
    return bool(items) and (ranks != {1} or len({len(item) for item in items}) > 1)


def _holds_lists(items: Sequence[Any]) -> bool:
    return any(isinstance(item, list | tuple) or _rank(item) for item in items)


def _rank(item: Any) -> int:
    """Axes of what is an array to NumPy, such as a DataFrame; 0 of all else."""
    return getattr(item, "ndim", 0) if hasattr(item, "__array__") else 0


def of_table(table: np.ndarray) -> Sequences:
    """An array [examples, time], checked, as sequences of one feature."""
    return Sequences(as_float32(table)[:, :, None], 1)


def of_sequences(X: Any, where: Where | None) -> Sequences:
    """An array [examples, time, features], or sequences that stand by themselves.

    Raises ``ShapeError`` for other shapes, and as scikit-learn does for what is not finite.
    """
    if isinstance(X, np.ndarray) and X.dtype != object:
        if X.ndim != 3:
            raise ShapeError(f"X has shape {X.shape}; give {FORMS}", where)
        values = check_array(X, dtype=np.float32, allow_nd=True, input_name="X")
        return Sequences(values, _width(values.shape, where))
    return _listed(list(X), where)


def _listed(items: Sequence[Any], where: Where | None) -> Sequences:
    arrays = [array_of(item, f"X[{number}] is no sequence") for number, item in enumerate(items)]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    arrays = [_numbers(array, f"X[{number}]", where) for number, array in enumerate(arrays)]
    for number, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[1]:
            raise ShapeError(
                f"X[{number}] has shape {array.shape}, and X[0] {arrays[0].shape}; sequences are arrays [time, "
                "features], all of as many features",
                where,
            )
        if not len(array):
            raise ShapeError(f"X[{number}] has no step; leave it out", where)
    if not arrays:
        raise ArgumentError(f"X={shown(items)} holds no example; give {FORMS}", where)
    values = [check_array(array, dtype=np.float32, input_name="X") for array in arrays]
    return Sequences(values, _width(values[0].shape, where))


def _numbers(array: np.ndarray, what: str, where: Where | None) -> np.ndarray:
    """Return an array of numbers, also where Python's objects hold them. Raise ``DtypeError`` for all else."""
    if array.dtype.kind in "fiub":
        return array
    others = [item for item in array.flat if not isinstance(item, Real | np.bool_)] if array.dtype == object else []
    if array.dtype == object and not others:
        return array.astype(np.float64)
    held = f"holds {shown(others[0])}, which is no number" if others else f"is of {array.dtype}, not of numbers"
    raise DtypeError(f"{what} {held}{REMEDY}", where)


def _width(shape: tuple[int, ...], where: Where | None) -> int:
    if 0 in shape:
        raise ShapeError(f"X has shape {shape}: there must be a step and a feature", where)
    return shape[-1]
