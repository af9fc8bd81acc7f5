"""Queues: operations add elements, and runs remove elements.

A queue with a ``QueueRunner`` fills itself when a run needs more elements than it has.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...declare.tensor import Tensor, as_tensor
from ...ir.graph import Node
from ...support.api_guard import api
from ...support.errors import ArgumentError, StructureError, shown, user_line
from ..core.errors import FailedPreconditionError, OutOfRangeError
from ..core.graph import get_default_graph
from ..core.operations import Operation
from .batches import padded, stacked
from .sources import Component, Source, at_end, component_dtype, pulled_tensor

QUEUE_RUNNERS = "queue_runners"
_WAIT_S = 0.001
"""Polling interval of a run, in seconds, while another thread of the program fills a queue."""


class _Content:
    """Elements of a queue in a session."""

    def __init__(self) -> None:
        self.elements: deque[Sequence[np.ndarray]] = deque()
        self.is_closed = False


class QueueBase:
    """``tf.QueueBase``: elements of several components. ``capacity`` is ignored, because nothing waits for space.

    Attributes:
        fill: Operations that add elements. A run that needs more elements runs these operations first.
    """

    is_padding = False

    @api
    def __init__(
        self,
        capacity: Any,
        dtypes: Any,
        shapes: Any = None,
        names: Any = None,
        shared_name: str | None = None,
        name: str = "queue",
    ) -> None:
        listed = list(dtypes) if isinstance(dtypes, list | tuple) else [dtypes]
        self.dtypes = [component_dtype(item) for item in listed]
        sizes = [None] * len(listed) if shapes is None else _one_for_each(shapes, len(listed))
        self.components = [Component(*pair) for pair in zip(self.dtypes, sizes, strict=True)]
        self.names, self.name = names, name
        self.fill: list[Operation] = []
        self._contents: WeakKeyDictionary[Any, _Content] = WeakKeyDictionary()

    def content(self, session: Any) -> _Content:
        """Return the elements that the queue holds in a session."""
        return self._contents.setdefault(session, _Content())

    # Operations -----------------------------------------------------------------------------------

    @api
    def enqueue(self, vals: Any, name: str | None = None) -> Operation:
        """Return an operation that adds an element."""
        return _Enqueue(self, self._values(vals), False, name or f"{self.name}_enqueue")

    @api
    def enqueue_many(self, vals: Any, name: str | None = None) -> Operation:
        """Return an operation that adds one element for each entry of arrays along the first axis."""
        return _Enqueue(self, self._values(vals), True, name or f"{self.name}_EnqueueMany")

    def _values(self, values: Any) -> list[Tensor]:
        """Return the components of an element to enqueue as Tensors: from one value, a list, or a dict by names."""
        listed = [values[key] for key in self.names] if isinstance(values, dict) else values
        listed = list(listed) if isinstance(listed, list | tuple) and len(self.dtypes) > 1 else listed
        items = listed if isinstance(listed, list | tuple) else [listed]
        if len(self.dtypes) == 1 and len(items) != 1:
            items = [values]
        if len(items) != len(self.dtypes):
            raise StructureError(f"an element of {self.name} needs {len(self.dtypes)} components, not {len(items)}")
        return [
            item if isinstance(item, Tensor) else as_tensor(np.asarray(item, dtype))
            for item, dtype in zip(items, self.dtypes, strict=True)
        ]

    @api
    def dequeue(self, name: str | None = None) -> Any:
        """Return the components of the next element, which each run removes from the queue."""
        return self._tensors(_Dequeue(self, None), self.components, name or f"{self.name}_Dequeue")

    @api
    def dequeue_many(self, n: int, name: str | None = None) -> Any:
        """Return ``n`` elements stacked along a first axis. Each run removes them from the queue."""
        return self._tensors(
            _Dequeue(self, int(n)),
            [item.batched(int(n)) for item in self.components],
            name or f"{self.name}_DequeueMany",
        )

    @api
    def dequeue_up_to(self, n: int, name: str | None = None) -> Any:
        """Return ``n`` elements as ``dequeue_many`` does; fewer, but at least one, if the queue is closed."""
        return self._tensors(
            _Dequeue(self, int(n), True),
            [item.batched(None) for item in self.components],
            name or f"{self.name}_DequeueUpTo",
        )

    def _tensors(self, source: Source, components: Sequence[Component], name: str) -> Any:
        """Return Tensors of a source: a dict if the queue has names, one Tensor, or a list."""
        tensors = source.tensors(components, [name] * len(components))
        if self.names:
            return dict(zip(self.names, tensors, strict=True))
        return tensors[0] if len(tensors) == 1 else tensors

    @api
    def size(self, name: str | None = None) -> Tensor:
        """Return a Tensor of the number of elements in the queue."""
        return pulled_tensor(Component("int32", ()), name or f"{self.name}_Size", _Size(self))

    @api
    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """Return an operation that closes the queue: no more elements can be added."""
        return _Close(self, name or f"{self.name}_Close")

    # Elements -------------------------------------------------------------------------------------

    def pop_element(self, waiting: deque[Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
        """Remove and return one of the waiting elements."""
        return waiting.popleft()

    @property
    def min_left(self) -> int:
        """Minimum number of elements that stay in an open queue."""
        return 0

    def joined(self, elements: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Stack elements along a first axis. A padding queue first pads them to one shape."""
        if not self.is_padding:
            return stacked(elements)
        shapes = [item.shape if item.shape is not None else () for item in self.components]
        return padded(elements, shapes, [0] * len(shapes))

    def take(self, session: Any, count: int, may_be_fewer: bool = False) -> list[Sequence[np.ndarray]]:
        """Remove ``count`` elements from the queue and return them, after filling the queue if it has too few.

        If there are too few, first run the operations that fill the queue, or wait for the program's other threads.

        Args:
            session: Session of the run.
            count: Number of elements.
            may_be_fewer: Return the remaining elements of a closed queue rather than raise ``OutOfRangeError``.
        """
        content = self.content(session)
        while len(content.elements) < count + self.min_left and not content.is_closed:
            if self.fill:
                self._refill(session, content)
            elif _may_be_filled_by_threads():
                time.sleep(_WAIT_S)
            else:
                raise FailedPreconditionError(
                    f"the queue {self.name} has {len(content.elements)} elements, but the run needs {count}, and "
                    "nothing fills the queue; run its enqueue operation first",
                    user_line(),
                )
        if len(content.elements) < count and not (may_be_fewer and content.elements):
            raise at_end(f"the queue {self.name}, which is closed and has {len(content.elements)} of {count} elements,")
        return [self.pop_element(content.elements) for _ in range(min(count, len(content.elements)))]

    def _refill(self, session: Any, content: _Content) -> None:
        """Run the operations that fill the queue. At the end of their inputs, close the queue."""
        try:
            session.run(self.fill)
        except OutOfRangeError:
            content.is_closed = True


def _may_be_filled_by_threads() -> bool:
    """True if the process has other threads than rnngraph's, which may add elements to queues."""
    own = threading.current_thread()
    return any(thread is not own and not thread.name.startswith("rnngraph") for thread in threading.enumerate())


class FIFOQueue(QueueBase):
    """``tf.FIFOQueue``: first in, first out."""


class PaddingFIFOQueue(QueueBase):
    """``tf.PaddingFIFOQueue``: dequeued elements are padded with zeros to one shape, and stacked."""

    is_padding = True


class RandomShuffleQueue(QueueBase):
    """``tf.RandomShuffleQueue``: elements leave in a random order. ``min_after_dequeue`` stay until it is closed."""

    @api
    def __init__(
        self,
        capacity: Any,
        min_after_dequeue: Any,
        dtypes: Any,
        shapes: Any = None,
        names: Any = None,
        seed: int | None = None,
        shared_name: str | None = None,
        name: str = "random_shuffle_queue",
    ) -> None:
        super().__init__(capacity, dtypes, shapes, names, shared_name, name)
        self._min_left, self._draw = int(min_after_dequeue), np.random.default_rng(abs(seed or 0))

    @property
    def min_left(self) -> int:
        """Minimum number of elements that stay in an open queue."""
        return self._min_left

    def pop_element(self, waiting: deque[Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
        place = int(self._draw.integers(len(waiting)))
        element = waiting[place]
        del waiting[place]
        return element


def _one_for_each(shapes: Any, count: int) -> list[tuple[int | None, ...]]:
    """Return the shape of each of ``count`` components, from the argument ``shapes``."""
    listed = list(shapes)
    if count == 1 and not any(isinstance(item, list | tuple) for item in listed):
        listed = [shapes]
    if len(listed) != count:
        raise ArgumentError(
            f"shapes={shown(shapes)} has {len(listed)} entries, but dtypes has {count}; give one shape for each dtype"
        )
    return [tuple(getattr(size, "value", size) for size in shape) for shape in listed]


class _Enqueue(Operation):
    """Operation that adds one element, or with ``is_many`` one element for each entry along the first axis."""

    def __init__(self, queue: QueueBase, values: list[Tensor], is_many: bool, name: str) -> None:
        self.queue, self.values, self.is_many = queue, values, is_many
        # A queue without shapes gets those of the first values that are enqueued.
        if any(component.shape is None for component in queue.components):
            shapes = [
                tuple(size if isinstance(size, int) else None for size in item.type.shape)[1 if is_many else 0 :]
                for item in values
            ]
            queue.components = [Component(*pair) for pair in zip(queue.dtypes, shapes, strict=True)]
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return self.values

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        content = self.queue.content(session)
        if content.is_closed:
            raise FailedPreconditionError(f"the queue {self.queue.name} is closed; create another queue", self.where)
        arrays = [np.array(value) for value in values]
        content.elements.extend(zip(*arrays, strict=True) if self.is_many else [arrays])


class _Close(Operation):
    """Operation that closes a queue."""

    def __init__(self, queue: QueueBase, name: str) -> None:
        self.queue = queue
        super().__init__(name)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        self.queue.content(session).is_closed = True


class _Dequeue(Source):
    """Stream of a queue's elements. Each run takes the next element, or the next ``count`` elements stacked."""

    def __init__(self, queue: QueueBase, count: int | None, may_be_fewer: bool = False) -> None:
        super().__init__(f"the queue {queue.name}")
        self.queue, self.count, self.may_be_fewer = queue, count, may_be_fewer

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        elements = self.queue.take(session, 1 if self.count is None else self.count, self.may_be_fewer)
        return elements[0] if self.count is None else self.queue.joined(elements)


class _Size:
    """Value of a Tensor that is the number of elements in a queue."""

    def __init__(self, queue: QueueBase) -> None:
        self.queue = queue

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return the number of elements in a session."""
        return len(self.queue.content(session).elements)


class QueueRunner:
    """``tf.train.QueueRunner``: the operations that fill a queue. A run that needs elements runs the operations.

    Arguments other than ``queue`` and ``enqueue_ops`` have no effect: at the end of its inputs, the queue is closed.
    """

    @api
    def __init__(
        self,
        queue: QueueBase | None = None,
        enqueue_ops: Any = None,
        close_op: Any = None,
        cancel_op: Any = None,
        queue_closed_exception_types: Any = None,
        queue_runner_def: Any = None,
        import_scope: Any = None,
    ) -> None:
        if not isinstance(queue, QueueBase):
            raise StructureError(f"tf.train.QueueRunner needs a queue, not {shown(queue)}")
        self.queue = queue
        queue.fill += list(dict.fromkeys(enqueue_ops or ()))

    @property
    def name(self) -> str:
        """Name of the queue."""
        return self.queue.name

    def create_threads(self, sess: Any, coord: Any = None, daemon: bool = False, start: bool = False) -> list[Any]:
        """Return an empty list of threads: runs fill the queue themselves."""
        return []


@api
def add_queue_runner(qr: QueueRunner, collection: str = QUEUE_RUNNERS) -> None:
    """Add a queue runner to a collection."""
    get_default_graph().add_to_collection(collection, qr)


@api
def start_queue_runners(
    sess: Any = None, coord: Any = None, daemon: bool = True, start: bool = True, collection: str = QUEUE_RUNNERS
) -> list[Any]:
    """Return an empty list of threads: runs fill queues themselves."""
    return []
