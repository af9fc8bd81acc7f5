"""Functions for ``Dataset.apply``: ``tf.data.experimental`` and ``tf.contrib.data``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...support.api_guard import api
from .dataset import Dataset

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
    """Return a function that maps the elements of a dataset and batches them."""
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
    """Return the identity function: errors are raised."""
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
        bucket_boundaries: Lengths at which buckets begin, except for the first bucket.
        bucket_batch_sizes: Number of elements of a batch, for each bucket.
        padded_shapes: As for ``Dataset.padded_batch``; by default the shapes of the elements.
        padding_values: As for ``Dataset.padded_batch``.
        pad_to_bucket_boundary: Pad to the greatest length of the bucket rather than of the batch.
    """
    return lambda dataset: dataset.by_length(
        element_length_func,
        bucket_boundaries,
        bucket_batch_sizes,
        padded_shapes,
        padding_values,
        pad_to_bucket_boundary,
    )
