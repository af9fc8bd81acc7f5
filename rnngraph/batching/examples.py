"""Examples of one placeholder: read and checked once, then sliced into padded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from ..ir.types import Dim, Shape, TensorType, dim_text
from ..runtime.calls.feeds import cast, convert
from ..support.allocation import zeros
from ..support.arguments import refuse_mask
from ..support.errors import RnnGraphError, ShapeError, Where
from ..support.records import dataclass


@dataclass(frozen=True)
class Layout:
    """Batch axes and time axes of a graph's placeholders.

    Attributes:
        types: Types by placeholder.
        batch_axis: Batch axis by placeholder; None without one.
        time_axis: Time axis by placeholder; None without one.
        defaults: Placeholders that need not be fed.
        counts: Symbolic number of steps that bounds the values of each placeholder of row lengths, by name.
        graph: Kind of the graph, for messages.
        only_run: True for inference, in which there may be no examples, or examples without steps. Examples of a batch
            then have equal lengths, unless lengths are fed.
    """

    types: Mapping[str, TensorType]
    batch_axis: Mapping[str, int | None]
    time_axis: Mapping[str, int | None]
    defaults: frozenset[str] = frozenset()
    counts: Mapping[str, Dim] = field(default_factory=dict)
    graph: str = "training"
    only_run: bool = False


@dataclass(frozen=True)
class ExampleSpec:
    """Placeholder with its batch axis and time axis."""

    name: str
    type: TensorType
    batch_axis: int | None
    time_axis: int | None
    only_run: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.type.dtype)

    @property
    def steps(self) -> Dim | None:
        """Declared size of the time axis; None without one."""
        return None if self.time_axis is None else self.type.shape[self.time_axis]

    @property
    def example_shape(self) -> Shape:
        """Shape of one example, without the batch axis."""
        return tuple(dim for axis, dim in enumerate(self.type.shape) if axis != self.batch_axis)

    @property
    def example_time_axis(self) -> int | None:
        if self.time_axis is None or self.batch_axis is None:
            return self.time_axis
        return self.time_axis - (self.batch_axis < self.time_axis)

    @property
    def example_text(self) -> str:
        return f"[{','.join(map(dim_text, self.example_shape))}]"

    @property
    def examples_text(self) -> str:
        return f"[{','.join(('examples', *map(dim_text, self.example_shape)))}]"

    def put_batch(self, block: np.ndarray) -> np.ndarray:
        """Move the row axis of ``block`` [rows, example...] to the placeholder's batch axis."""
        return np.ascontiguousarray(np.moveaxis(block, 0, self.batch_axis) if self.batch_axis else block)


class Whole:
    """Array of a placeholder without a batch axis, which every batch is fed."""

    def __init__(self, spec: ExampleSpec, value: Any, where: Where | None) -> None:
        self.spec = spec
        self._array = convert(spec.name, value, spec.type, where)
        self.longest = None if spec.time_axis is None else self._array.shape[spec.time_axis]

    def take(self, rows: np.ndarray, steps: int | None) -> np.ndarray:
        """Return the array, truncated to the batch's ``steps`` if it has more. ``rows`` has no effect."""
        return self._array if steps is None else _first(self._array, self.spec.time_axis, steps)


def _axis_remedy(spec: ExampleSpec, array: np.ndarray) -> str:
    """Return the end of an error's text, what to write, for an array with one axis too many or too few; else ""."""
    wanted = len(spec.example_shape) + 1
    if array.ndim == wanted + 1 and array.shape[-1] == 1:
        return f", as array[{', '.join([':'] * wanted)}, 0]"
    if array.ndim == wanted - 1 and spec.time_axis is not None:
        return "; a single example is a list of one, [example]"
    return ""


class Stacked:
    """Examples in one array [examples, example...], which is sliced into batches."""

    def __init__(self, spec: ExampleSpec, array: np.ndarray, where: Where | None) -> None:
        self.spec = spec
        if array.ndim != len(spec.example_shape) + 1:
            raise ShapeError(
                f"examples of {spec.name} have shape {array.shape}; it is declared {spec.type}, so give "
                f"{spec.examples_text}{_axis_remedy(spec, array)}",
                where,
            )
        _check_shape(spec, f"examples of {spec.name} have shape {array.shape}", array.shape[1:], None, where)
        self._array = cast(f"the array of examples of {spec.name}", array, spec.dtype, where)
        self._axis = None if spec.example_time_axis is None else spec.example_time_axis + 1
        self.count = array.shape[0]
        self.ragged = False

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each example, which is the same for all."""
        assert self._axis is not None
        return np.broadcast_to(np.int64(self._array.shape[self._axis]), (self.count,))

    @property
    def values(self) -> np.ndarray:
        return self._array

    def take(self, rows: np.ndarray, steps: int | None) -> np.ndarray:
        """Return the examples ``rows`` as one array, truncated to ``steps`` if it has more. It is never padded."""
        array = self._array if steps is None else _first(self._array, self._axis, steps)
        return self.spec.put_batch(np.asarray(array[rows]))


class Listed:
    """Examples in an array each, whose lengths may differ."""

    def __init__(self, spec: ExampleSpec, values: Sequence[Any], where: Where | None) -> None:
        self.spec = spec
        axis, rank = spec.example_time_axis, len(spec.example_shape)
        assert axis is not None
        self._arrays: list[np.ndarray] = []
        expected: tuple[int, ...] | None = None
        for index, value in enumerate(values):
            array = _example(spec, index, value, where)
            if array.ndim != rank:
                raise ShapeError(
                    f"example {index} of {spec.name} has shape {array.shape}; it is declared {spec.type}, so give "
                    f"{spec.example_text}",
                    where,
                )
            features = array.shape[:axis] + array.shape[axis + 1 :]
            if features != expected or not array.shape[axis]:
                _check_shape(spec, f"example {index} of {spec.name} has shape {array.shape}", array.shape, axis, where)
                if expected is not None and features != expected:
                    raise ShapeError(
                        f"example {index} of {spec.name} has shape {array.shape} and example 0 has "
                        f"{np.shape(values[0])}; examples may differ in time only, which is axis {axis}",
                        where,
                    )
                expected = features
            if array.dtype != spec.dtype:
                array = cast(f"example {index} of {spec.name}", array, spec.dtype, where)
            self._arrays.append(np.moveaxis(array, axis, 0) if axis else array)
        self.count = len(self._arrays)
        self.lengths = np.fromiter(map(len, self._arrays), np.int64, self.count)
        self.ragged = self.count > 0 and bool((self.lengths != self.lengths[0]).any())
        if isinstance(spec.steps, int) and self.count and self.lengths.max() > spec.steps:
            index = int(self.lengths.argmax())
            raise ShapeError(
                f"example {index} of {spec.name} has {self.lengths[index]} steps; it is declared {spec.type}, "
                f"with {spec.steps}: cut it, or declare the time axis as None",
                where,
            )
        self._features = expected or ()

    def take(self, rows: np.ndarray, steps: int | None) -> np.ndarray:
        """Return the examples ``rows`` as one array, each zero-padded or truncated to ``steps``."""
        spec, axis = self.spec, self.spec.example_time_axis
        assert steps is not None
        assert axis is not None
        shape = (len(rows), *self._features[:axis], steps, *self._features[axis:])
        block = zeros(shape, spec.dtype, f"a batch of {spec.name}")
        for row, example in zip(np.moveaxis(block, axis + 1, 1), rows, strict=True):
            array = self._arrays[example][:steps]
            row[: len(array)] = array
        return spec.put_batch(block)


Examples = Stacked | Listed


def read_examples(spec: ExampleSpec, value: Any, where: Where | None) -> Examples:
    """Return a user's examples of a placeholder, one array or a list of arrays, as ``Stacked`` or ``Listed``.

    Args:
        spec: The placeholder.
        value: An array [examples, example...], or a list or tuple of examples.
        where: The user's line, for errors.

    Raises:
        ShapeError, DtypeError: The examples do not match the placeholder. The message names the example.
    """
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim:
        value = list(value)
    if not isinstance(value, list | tuple):
        return Stacked(spec, as_array(f"the value for {spec.name}", value, where), where)
    for index, item in enumerate(value):
        refuse_mask(item, f"example {index} of {spec.name}", where)
    if not value and not spec.only_run:
        raise ShapeError(f"there are no examples of {spec.name}; give at least one", where)
    if not value and spec.time_axis is None:
        none = (0, *(dim if isinstance(dim, int) else 1 for dim in spec.example_shape))
        return Stacked(spec, np.empty(none, spec.dtype), where)
    if spec.time_axis is not None:
        return Listed(spec, value, where)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        raise ShapeError(_shape_difference(spec, value, where), where) from None
    return Stacked(spec, array, where)


def _shape_difference(spec: ExampleSpec, values: Sequence[Any], where: Where | None) -> str:
    """Return an error's text about the first example whose shape differs from that of example 0."""
    first = _example(spec, 0, values[0], where).shape
    for index, value in enumerate(values):
        shape = _example(spec, index, value, where).shape
        if shape != first:
            return f"example {index} of {spec.name} has shape {shape} and example 0 has {first}; give equal shapes"
    return f"the examples of {spec.name} make no array; give one array"


def _example(spec: ExampleSpec, index: int, value: Any, where: Where | None) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    return as_array(f"example {index} of {spec.name}", value, where)


def as_array(what: str, value: Any, where: Where | None) -> np.ndarray:
    """Return ``value`` as a NumPy array. ``what`` names it in errors."""
    refuse_mask(value, what, where)
    try:
        return np.asarray(value)
    except RnnGraphError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:  # torch raises RuntimeError
        raise ShapeError(f"{what} is not an array: {error}; give numbers in rows of equal lengths", where) from None


def _check_shape(spec: ExampleSpec, what: str, shape: tuple[int, ...], padded: int | None, where: Where | None) -> None:
    """Raise ``ShapeError`` if an example does not have the declared shape."""
    for axis, (dim, actual) in enumerate(zip(spec.example_shape, shape, strict=True)):
        if actual == 0 and not (spec.only_run and axis == spec.example_time_axis):
            raise ShapeError(
                f"{what}: axis {axis} of an example is empty, so there is nothing to learn; leave such examples out",
                where,
            )
        if isinstance(dim, int) and dim != actual and axis != padded:
            raise ShapeError(
                f"{what}: axis {axis} of an example must be {dim}, as {spec.name} is declared {spec.type}", where
            )


def _first(array: np.ndarray, axis: int | None, steps: int) -> np.ndarray:
    if axis is None or array.shape[axis] <= steps:
        return array
    return array[(slice(None),) * axis + (slice(0, steps),)]
