"""Queues that fill themselves, such as ``tf.train.range_input_producer`` and ``tf.train.batch``.

The arguments ``num_threads``, ``capacity``, ``shapes``, ``element_shape``, ``shared_name``, ``summary_name`` and
``cancel_op`` have no effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...declare.tensor import Tensor, as_tensor
from ...ir.graph import Node
from ...support.api_guard import api
from ...support.errors import ArgumentError, StructureError, shown
from ..core.errors import OutOfRangeError
from ..core.graph import get_default_graph
from ..ops.functions import gather
from .batches import padded, stacked
from .queues import FIFOQueue
from .sources import Component, Source, array_in, at_end


class _Producer(FIFOQueue):
    """Queue of one component that yields the entries of an array, epoch by epoch.

    After the last epoch, runs raise ``OutOfRangeError``.

    Args:
        begin: Function from a session to the array.
        component: Dtype and shape of an entry.
        epochs: Number of epochs; None for no limit.
        shuffle: Draw a new order in each epoch.
        seed: Seed of the orders.
        name: Name of the queue.
    """

    def __init__(
        self,
        begin: Callable[[Any], np.ndarray],
        component: Component,
        epochs: int | None,
        shuffle: bool,
        seed: int | None,
        name: str,
    ) -> None:
        super().__init__(0, [component.dtype], [component.shape], name=name)
        self._begin, self._epochs, self._shuffle = begin, epochs, shuffle
        graph = get_default_graph()
        graph.draws += 1
        self._seeds = [abs(graph.seed or 0), abs(seed or 0) or graph.draws]
        self._running: WeakKeyDictionary[Any, Iterator[np.ndarray]] = WeakKeyDictionary()

    def take(self, session: Any, count: int, may_be_fewer: bool = False) -> list[Sequence[np.ndarray]]:
        """Return the next ``count`` entries; at the end fewer if ``may_be_fewer``, else raise ``OutOfRangeError``."""
        if session not in self._running:
            self._running[session] = self._entries(session)
        elements: list[Sequence[np.ndarray]] = []
        for entry in self._running[session]:
            elements.append([entry])
            if len(elements) == count:
                return elements
        if elements and may_be_fewer:
            return elements
        raise at_end(f"the queue {self.name}")

    def _entries(self, session: Any) -> Iterator[np.ndarray]:
        """Yield the entries of the array, epoch by epoch."""
        entries, draw, epoch = self._begin(session), np.random.default_rng(self._seeds), 0
        while len(entries) and (self._epochs is None or epoch < self._epochs):
            yield from draw.permutation(entries) if self._shuffle else entries
            epoch += 1


def _values(tensor: Tensor) -> Callable[[Any], np.ndarray]:
    """Return a function from a session to the value of a Tensor."""
    if tensor.node.op == "constant":
        return lambda session: np.asarray(tensor.node["value"])
    return lambda session: np.asarray(session.compute([tensor.node], {}, session._seed())[0])


@api
def range_input_producer(
    limit: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> FIFOQueue:
    """Return a queue of the ints from 0 to ``limit`` - 1, epoch by epoch, by default in a new random order."""
    count = as_tensor(limit) if isinstance(limit, Tensor) else as_tensor(np.asarray(limit, "int32"))
    value = _values(count)
    return _Producer(
        lambda session: np.arange(int(value(session)), dtype=count.type.dtype),
        Component(count.type.dtype, ()),
        num_epochs,
        shuffle,
        seed,
        name or "input_producer",
    )


@api
def input_producer(
    input_tensor: Any,
    element_shape: Any = None,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    summary_name: str | None = None,
    name: str | None = None,
    cancel_op: Any = None,
) -> FIFOQueue:
    """Return a queue of an array's entries along the first axis, epoch by epoch, by default in a new random order."""
    rows = input_tensor if isinstance(input_tensor, Tensor) else as_tensor(array_in(input_tensor))
    shape = tuple(size if isinstance(size, int) else None for size in rows.type.shape[1:])
    component = Component(str(rows.type.dtype), shape)
    return _Producer(_values(rows), component, num_epochs, shuffle, seed, name or "input_producer")


@api
def slice_input_producer(
    tensor_list: Any,
    num_epochs: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    capacity: int = 32,
    shared_name: str | None = None,
    name: str | None = None,
) -> list[Tensor]:
    """Return the entries of arrays at one index of their first axes. Each run takes the index from a queue."""
    rows = [item if isinstance(item, Tensor) else as_tensor(array_in(item)) for item in tensor_list]
    if not rows or not all(item.rank for item in rows):
        raise StructureError(
            f"slice_input_producer needs a list of arrays with first axes of one size, not {shown(tensor_list)}"
        )
    counts = [size for item in rows if isinstance(size := item.type.shape[0], int)]
    if not counts:
        raise ArgumentError("slice_input_producer needs an array whose first axis has a fixed size")
    place = range_input_producer(counts[0], num_epochs, shuffle, seed, name=name or "input_producer").dequeue()
    return [gather(item, place) for item in rows]


# Batches of single elements -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Batching:
    """Options of batches.

    Attributes:
        size: Elements of a batch.
        is_many: True if the Tensors contain many elements along a first axis, rather than one element.
        pads: True if the elements of a batch are padded to the longest one.
        allows_smaller: True if the last batch may be smaller; False discards it.
        min_left: Elements are drawn at random from a buffer in which this many stay while elements follow. None keeps
            their order.
        seed: Seed of the random order.
    """

    size: int
    is_many: bool
    pads: bool = False
    allows_smaller: bool = False
    min_left: int | None = None
    seed: int | None = None


class _Batched(Source):
    """Stream of batches. Each element, or group of elements, is computed anew from Tensors.

    Args:
        tensors: Tensors to compute.
        options: Options of the batches.
        keep: Scalar bool that is True for elements to keep, or a bool for each element of a group. None keeps all.
    """

    def __init__(self, tensors: Sequence[Tensor], options: _Batching, keep: Tensor | None) -> None:
        super().__init__("the batches")
        self.inputs, self.options, self.keep = tensors, options, keep
        self._draw = np.random.default_rng(abs(options.seed or 0))
        self._running: WeakKeyDictionary[Any, Iterator[Sequence[np.ndarray]]] = WeakKeyDictionary()
        self._buffers: WeakKeyDictionary[Any, list[Sequence[np.ndarray]]] = WeakKeyDictionary()

    def _elements(self, session: Any) -> Iterator[Sequence[np.ndarray]]:
        """Yield the elements of batches in order, each computed by a run, until the inputs end."""
        nodes = [item.node for item in self.inputs] + ([] if self.keep is None else [self.keep.node])
        while True:
            try:
                values = session.compute(nodes, {}, session._seed())
            except OutOfRangeError:
                return
            arrays = [np.array(value) for value in values]
            is_kept = np.True_ if self.keep is None else arrays.pop()
            if self.options.is_many:
                yield from itertools.compress(zip(*arrays, strict=True), np.broadcast_to(is_kept, len(arrays[0])))
            elif not is_kept:
                continue
            else:
                yield arrays

    def _shuffled(self, session: Any) -> Iterator[Sequence[np.ndarray]]:
        """Yield the elements of batches, drawn at random from a buffer."""
        waiting = self._buffers.setdefault(session, [])
        for element in self._elements(session):
            waiting.append(element)
            if len(waiting) > (self.options.min_left or 0):
                yield waiting.pop(int(self._draw.integers(len(waiting))))
        while waiting:
            yield waiting.pop(int(self._draw.integers(len(waiting))))

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        """Return the next batch, stacked or padded. Raise ``OutOfRangeError`` at the end."""
        if session not in self._running:
            in_order = self.options.min_left is None
            self._running[session] = self._elements(session) if in_order else self._shuffled(session)
        chosen: list[Sequence[np.ndarray]] = []
        for element in self._running[session]:
            chosen.append(element)
            if len(chosen) == self.options.size:
                break
        if len(chosen) < self.options.size and not (self.options.allows_smaller and chosen):
            raise at_end(self.what)
        if not self.options.pads:
            return stacked(chosen)
        return padded(chosen, [(None,) * part.ndim for part in map(np.asarray, chosen[0])], [0] * len(self.inputs))


def _batches(tensors: Any, options: _Batching, name: str, keep: Any = None) -> Any:
    """Return Tensors for the next batch, in the structure of ``tensors``: one Tensor, a list or a dict.

    For a list of one Tensor, return the Tensor of the batch.
    """
    names = sorted(tensors) if isinstance(tensors, dict) else None
    listed = [tensors[key] for key in names] if names is not None else tensors
    items = [as_tensor(item) for item in (listed if isinstance(listed, list | tuple) else [listed])]
    source = _Batched(items, options, None if keep is None else as_tensor(keep))
    size = None if options.allows_smaller else options.size
    known = [item.type.shape[1:] if options.is_many else item.type.shape for item in items]
    components = [
        Component(str(item.type.dtype), (size, *(dim if isinstance(dim, int) else None for dim in dims)))
        for item, dims in zip(items, known, strict=True)
    ]
    results = source.tensors(components, [name] * len(items))
    if names is not None:
        return dict(zip(names, results, strict=True))
    return results if isinstance(tensors, list | tuple) and len(results) > 1 else results[0]


@api
def batch(
    tensors: Any,
    batch_size: Any,
    num_threads: int = 1,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """Return batches. A run computes ``tensors`` once for each element; with ``enqueue_many``, for a group of them."""
    options = _Batching(int(batch_size), enqueue_many, dynamic_pad, allow_smaller_final_batch)
    return _batches(tensors, options, name or "batch")


@api
def maybe_batch(
    tensors: Any,
    keep_input: Any,
    batch_size: Any,
    num_threads: int = 1,
    capacity: int = 32,
    enqueue_many: bool = False,
    shapes: Any = None,
    dynamic_pad: bool = False,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """Return batches of the elements for which ``keep_input`` is True.

    With ``enqueue_many``, ``keep_input`` may be a vector with a bool for each element.
    """
    options = _Batching(int(batch_size), enqueue_many, dynamic_pad, allow_smaller_final_batch)
    return _batches(tensors, options, name or "batch", keep_input)


@api
def shuffle_batch(
    tensors: Any,
    batch_size: Any,
    capacity: int,
    min_after_dequeue: int,
    num_threads: int = 1,
    seed: int | None = None,
    enqueue_many: bool = False,
    shapes: Any = None,
    allow_smaller_final_batch: bool = False,
    shared_name: str | None = None,
    name: str | None = None,
) -> Any:
    """Return batches of elements in random order, drawn from more than ``min_after_dequeue`` elements."""
    options = _Batching(int(batch_size), enqueue_many, False, allow_smaller_final_batch, int(min_after_dequeue), seed)
    return _batches(tensors, options, name or "shuffle_batch")
