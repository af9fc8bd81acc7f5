"""Static shapes: ``tf.TensorShape`` and ``tf.Dimension``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.errors import DtypeError, ShapeError, shown


class Dimension(int):
    """``tf.Dimension`` of a known size."""

    @property
    def value(self) -> int:
        """The size."""
        return int(self)

    def merge_with(self, other: Any) -> Any:
        """Return this size. Raise ``ShapeError`` if ``other`` is a different known size."""
        return TensorShape([self]).merge_with([other])[0]


class OpenDimension:
    """``tf.Dimension`` of a symbolic size, which only a run knows. Its ``value`` is None."""

    value = None

    def merge_with(self, other: Any) -> Any:
        """Return the other size."""
        return dimension(other)

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, OpenDimension)

    def __hash__(self) -> int:
        return hash(None)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"

    def __str__(self) -> str:
        return "?"

    def __int__(self) -> int:
        raise ShapeError("this size is symbolic; use tf.shape(x)[axis], or declare it as an int")

    __index__ = __int__


class TensorShape(tuple[Any, ...]):
    """``tf.TensorShape``: the sizes of a Tensor's axes. A symbolic size is None or ``Dimension(None)``."""

    __slots__ = ()

    @api
    def __new__(cls, dims: Any = ()) -> TensorShape:
        sizes = [dims] if isinstance(dims, int | np.integer) else dims
        if sizes is not None and not isinstance(sizes, list | tuple):
            raise DtypeError(f"a shape must be a list of ints and None, not {shown(dims)}")
        sizes = sizes or ()
        return tuple.__new__(cls, [size if isinstance(size, str) else dimension(size) for size in sizes])

    def as_list(self) -> list[int | None]:
        """Return the sizes as ints and None."""
        return [getattr(size, "value", None) for size in self]

    @property
    def ndims(self) -> int:
        """Number of axes."""
        return len(self)

    rank = ndims

    @property
    def dims(self) -> list[Any]:
        """Sizes of the axes, as a list."""
        return list(self)

    def is_fully_defined(self) -> bool:
        """True if all sizes are ints."""
        return None not in self.as_list()

    def num_elements(self) -> int | None:
        """Return the number of elements; None if a size is symbolic."""
        sizes = [size for size in self.as_list() if size is not None]
        return int(np.prod(sizes, dtype=np.int64)) if len(sizes) == len(self) else None

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise ``ShapeError`` if ranks or known sizes differ."""
        if not self.is_compatible_with(other):
            raise ShapeError(f"the shapes {self} and {shown(TensorShape(other).as_list())} are not compatible")

    def with_rank(self, rank: int) -> TensorShape:
        """Return the shape itself. Raise ``ShapeError`` if its rank differs."""
        if len(self) != rank:
            raise ShapeError(f"the shape {self} has {len(self)} axes, not {rank}")
        return self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """Return the shape itself. Raise ``ShapeError`` if it has fewer axes."""
        if len(self) < rank:
            raise ShapeError(f"the shape {self} has {len(self)} axes, not {rank} or more")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """Return the shape itself. Raise ``ShapeError`` if it has more axes."""
        if len(self) > rank:
            raise ShapeError(f"the shape {self} has {len(self)} axes, not {rank} or fewer")
        return self

    assert_has_rank = with_rank

    def is_compatible_with(self, other: Any) -> bool:
        """True if ranks are equal and no known sizes differ."""
        sizes = TensorShape(other).as_list()
        pairs = zip(self.as_list(), sizes, strict=False)
        return len(sizes) == len(self) and all(a == b or None in (a, b) for a, b in pairs)

    def merge_with(self, other: Any) -> TensorShape:
        """Return the shape with the known sizes of both shapes. Raise ``ShapeError`` if known sizes differ."""
        self.assert_is_compatible_with(other)
        sizes = zip(self.as_list(), TensorShape(other).as_list(), strict=True)
        return TensorShape([b if a is None else a for a, b in sizes])

    def concatenate(self, other: Any) -> TensorShape:
        """Return the concatenation of two shapes."""
        return TensorShape([*self.as_list(), *TensorShape(other).as_list()])

    def __getitem__(self, key: Any) -> Any:
        item = tuple.__getitem__(self, key)
        return TensorShape(item) if isinstance(key, slice) else item

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))}{',' if len(self) == 1 else ''})"


@api
def dimension(value: Any = None) -> Any:
    """Return the ``tf.Dimension`` of an int, of None, or of a size of a Tensor."""
    value = getattr(value, "value", value)
    return Dimension(value) if isinstance(value, int | np.integer) else OpenDimension()


def filled_shape(array: np.ndarray, shape: tuple[int, ...], verifies: bool) -> np.ndarray:
    """Return an array reshaped to ``shape``, with the last entry repeated if there are too few entries.

    An empty shape accepts one entry or none.

    Raises:
        ShapeError: The array has too many entries, or none for a shape that is not empty. With ``verifies``, also if
            the array has another shape.
    """
    count = math.prod(shape)
    if verifies and array.shape != shape:
        raise ShapeError(
            f"a constant of shape {array.shape} must have shape {shape}; reshape it, or leave out verify_shape=True"
        )
    if count == 0 and array.size <= 1:
        return np.zeros(shape, array.dtype)
    if not 0 < array.size <= count:
        needed = f"1 to {count} values" if count else "at most 1 value"
        raise ShapeError(f"a constant of shape {shape} needs {needed}, not {array.size}")
    entries = np.full(count, array.flat[-1])
    entries[: array.size] = array.ravel()
    return entries.reshape(shape)
