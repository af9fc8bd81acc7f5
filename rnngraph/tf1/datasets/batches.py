"""Transformations of datasets, as functions of Python iterators. An element is a list of arrays, its components."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...support.errors import ShapeError
from ..core.errors import InvalidArgumentError
from .sources import Component

Element = Sequence[np.ndarray]
Stream = Iterator[Element]


def in_batches(elements: Iterable[Element], size: int, drop_remainder: bool) -> Iterator[list[Element]]:
    """Yield lists of ``size`` elements, and a shorter last list unless ``drop_remainder``."""
    remaining = iter(elements)
    while chosen := [*itertools.islice(remaining, size)]:
        if len(chosen) == size or not drop_remainder:
            yield chosen


def stacked(elements: Sequence[Element]) -> list[np.ndarray]:
    """Return a batch: each component of the elements, stacked along a new first axis. The shapes must be equal."""
    batch = []
    for parts in zip(*elements, strict=True):
        shapes = {np.shape(part) for part in parts}
        if len(shapes) > 1:
            raise InvalidArgumentError(
                f"a batch has elements of different shapes, {', '.join(map(str, sorted(shapes)))}; use padded_batch"
            )
        batch.append(np.stack(parts))
    return batch


def padded(
    elements: Sequence[Element], shapes: Sequence[Sequence[int | None]], fillers: Sequence[Any]
) -> list[np.ndarray]:
    """Return a batch of elements, padded at the end of each axis.

    Args:
        elements: Elements of the batch.
        shapes: Shape to pad to, for each component. A size of None is the largest size in the batch.
        fillers: Padding value of each component.
    """
    batch = []
    for parts, shape, filler in zip(zip(*elements, strict=True), shapes, fillers, strict=True):
        first = np.asarray(parts[0])
        if any(np.ndim(part) != len(shape) for part in parts):
            raise ShapeError(
                f"padded_shapes has {len(shape)} sizes for a component of rank {first.ndim}; give one for each axis"
            )
        sizes = [
            max(np.shape(part)[axis] for part in parts) if size is None else size for axis, size in enumerate(shape)
        ]
        rows = np.full((len(parts), *sizes), filler, first.dtype)
        for row, part in enumerate(parts):
            if any(have > size for have, size in zip(np.shape(part), sizes, strict=True)):
                raise InvalidArgumentError(
                    f"an element of shape {np.shape(part)} exceeds padded_shapes, {sizes}; enlarge padded_shapes"
                )
            index: tuple[Any, ...] = (row, *(slice(0, size) for size in np.shape(part)))
            rows[index] = part
        batch.append(rows)
    return batch


def shuffled(elements: Iterable[Element], buffer_size: int, draw: np.random.Generator) -> Stream:
    """Yield elements in a random order. Each is drawn from a buffer of the next ``buffer_size`` elements."""
    remaining = iter(elements)
    buffer = [*itertools.islice(remaining, buffer_size)]
    for element in remaining:
        place = int(draw.integers(len(buffer)))
        chosen, buffer[place] = buffer[place], element
        yield chosen
    while buffer:
        yield buffer.pop(int(draw.integers(len(buffer))))


def repeated(begin: Callable[[], Stream], count: int | None) -> Stream:
    """Yield all elements ``count`` times. With None or -1, repeat forever, unless there are no elements.

    Args:
        begin: Function that returns a new iterator over the elements.
        count: Number of repetitions.
    """
    rounds = itertools.count() if count is None or count < 0 else range(count)
    for _ in rounds:
        is_empty = True
        for element in begin():
            is_empty = False
            yield element
        if is_empty:
            return


def interleaved(
    elements: Iterable[Element], begin: Callable[[Element], Stream], cycle_length: int, block_length: int
) -> Stream:
    """Yield the elements of several datasets in turn: of those that ``begin`` returns for ``elements``.

    ``cycle_length`` datasets are open at a time. Each yields ``block_length`` elements in turn.
    """
    remaining = iter(elements)
    cycle: list[Stream | None] = [None] * cycle_length
    is_over = False
    while True:
        progressed = False
        for place in range(cycle_length):
            if cycle[place] is None and not is_over:
                element = next(remaining, None)
                is_over = element is None
                cycle[place] = None if element is None else begin(element)
            current = cycle[place]
            if current is None:
                continue
            progressed = True
            block = [*itertools.islice(current, block_length)]
            yield from block
            if len(block) < block_length:
                cycle[place] = None
        if not progressed:
            return


def by_length(
    elements: Iterable[Element],
    length_of: Callable[[Element], int],
    boundaries: Sequence[int],
    batch_sizes: Sequence[int],
) -> Iterator[tuple[int, list[Element]]]:
    """Yield batches of elements of similar length, as (index of the length bucket, elements).

    The boundaries [10, 20] define three buckets: lengths below 10, from 10 to 19, and from 20 on.

    Args:
        elements: The elements.
        length_of: Function that returns an element's length.
        boundaries: Ascending lengths between buckets.
        batch_sizes: Elements of a batch, for each bucket. The last batch of a bucket may be smaller.
    """
    buckets: list[list[Element]] = [[] for _ in batch_sizes]
    for element in elements:
        length = length_of(element)
        place = sum(length >= bound for bound in boundaries)
        buckets[place].append(element)
        if len(buckets[place]) == batch_sizes[place]:
            yield place, buckets[place]
            buckets[place] = []
    for place, left in enumerate(buckets):
        if left:
            yield place, left


def padded_component(component: Component, shape: Sequence[int | None]) -> Component:
    """Return the dtype and shape of a batch whose elements are padded to ``shape``."""
    return Component(component.dtype, tuple(shape)).batched(None)
