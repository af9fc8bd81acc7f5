"""Functions for ``Dataset.apply``: ``tf.data.experimental`` and ``tf.contrib.data``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...declare.nest import flatten, pack
from ...support.api_guard import api
from ...support.errors import ArgumentError
from ..core.errors import InvalidArgumentError
from .batches import Stream, by_length, padded, padded_component, stacked
from .dataset import Dataset
from .functions import ElementFunction
from .reading import Reading
from .shapes import shapes_in

Transformation = Callable[[Dataset], Dataset]
AUTOTUNE = -1


@api
def shuffle_and_repeat(buffer_size: Any, count: Any = None, seed: Any = None) -> Transformation:
    """Return a function that shuffles and repeats a dataset."""
    return lambda dataset: dataset.shuffle(buffer_size, seed).repeat(count)


@api
def map_and_batch(
    map_func: Callable[..., Any],
    batch_size: Any,
    num_parallel_batches: Any = None,
    drop_remainder: Any = False,
    num_parallel_calls: Any = None,
) -> Transformation:
    """Return a function that maps the elements of a dataset and batches them.

    ``num_parallel_batches`` and ``num_parallel_calls`` have no effect.
    """
    return lambda dataset: dataset.map(map_func).batch(batch_size, drop_remainder)


@api
def batch_and_drop_remainder(batch_size: Any) -> Transformation:
    """Return a function that batches the elements of a dataset, and drops a smaller last batch."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


@api
def padded_batch_and_drop_remainder(batch_size: Any, padded_shapes: Any, padding_values: Any = None) -> Transformation:
    """Return a function that makes padded batches of the elements of a dataset, and drops a smaller last batch."""
    return lambda dataset: dataset.padded_batch(batch_size, padded_shapes, padding_values, drop_remainder=True)


@api
def unbatch() -> Transformation:
    """Return a function that splits batches into elements."""
    return Dataset.unbatch


@api
def prefetch_to_device(device: Any, buffer_size: Any = None) -> Transformation:
    """Return the identity function: there is one device."""
    return lambda dataset: dataset


@api
def ignore_errors() -> Transformation:
    """Return the identity function: errors are not ignored."""
    return lambda dataset: dataset


@api
def bucket_by_sequence_length(
    element_length_func: Callable[..., Any],
    bucket_boundaries: Sequence[int],
    bucket_batch_sizes: Sequence[int],
    padded_shapes: Any = None,
    padding_values: Any = None,
    pad_to_bucket_boundary: bool = False,
    no_padding: bool = False,
    drop_remainder: bool = False,
) -> Transformation:
    """Return a function that makes padded batches of elements of similar length.

    Args:
        element_length_func: Function of the components of an element that returns the element's length.
        bucket_boundaries: Ascending lengths at which the second and later buckets begin.
        bucket_batch_sizes: Number of elements of a batch, for each bucket.
        padded_shapes: As for ``Dataset.padded_batch``; by default the shapes of the elements.
        padding_values: As for ``Dataset.padded_batch``.
        pad_to_bucket_boundary: Pad to the greatest length of the bucket rather than of the batch. An element of the
            last bucket, which has no greatest length, is then an error.
        no_padding: Do not pad: the elements of a batch must have one shape.
        drop_remainder: Drop smaller last batches of the buckets.
    """
    boundaries, sizes = list(bucket_boundaries), list(bucket_batch_sizes)
    if len(sizes) != len(boundaries) + 1:
        need = len(boundaries) + 1
        raise ArgumentError(f"{need - 1} bucket_boundaries need {need} entries in bucket_batch_sizes, not {len(sizes)}")
    padding = None if no_padding else _Padding(padded_shapes, boundaries, pad_to_bucket_boundary)

    def bucketed(dataset: Dataset) -> Dataset:
        length = ElementFunction("element_length_func", element_length_func, dataset.structure)
        components = flatten(dataset.structure)
        shapes = padding.shapes(dataset.structure) if padding else [item.shape or () for item in components]
        fillers = dataset.fillers(padding_values)

        def elements(reading: Reading) -> Stream:
            values = [reading.value(item) for item in fillers]
            read = dataset.elements(reading)
            for place, chosen in by_length(read, lambda item: int(length(item)[0]), boundaries, sizes):
                if drop_remainder and len(chosen) < sizes[place]:
                    continue
                yield padded(chosen, padding.in_bucket(place, shapes), values) if padding else stacked(chosen)

        batched = [padded_component(item, shape) for item, shape in zip(components, shapes, strict=True)]
        return dataset.derive(pack(dataset.structure, batched), elements, *fillers)

    return bucketed


@dataclass(frozen=True)
class _Padding:
    """Padding of batches of elements of similar length. Attributes are arguments of ``bucket_by_sequence_length``."""

    padded_shapes: Any
    boundaries: Sequence[int]
    to_boundary: bool

    def shapes(self, structure: Any) -> list[Any]:
        """Return the shape to which each component is padded; a size of None is the largest size in the batch."""
        if self.padded_shapes is None:
            return [item.shape or () for item in flatten(structure)]
        return shapes_in(self.padded_shapes, structure)

    def in_bucket(self, place: int, shapes: Sequence[Any]) -> Sequence[Any]:
        """Return the shapes to which bucket ``place`` pads, with its greatest length for None if ``to_boundary``."""
        if not self.to_boundary:
            return shapes
        if place == len(self.boundaries):
            raise InvalidArgumentError(
                f"with pad_to_bucket_boundary=True, elements must be shorter than {self.boundaries[-1]}, the last of "
                "bucket_boundaries; enlarge it"
            )
        return [[self.boundaries[place] - 1 if size is None else size for size in shape] for shape in shapes]
