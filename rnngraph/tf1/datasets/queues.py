"""Queues: what operations add, runs take. A queue whose runners are known fills itself when it is empty."""

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
"""Seconds between two looks at a queue that threads of the program fill."""


class _Content:
    """What a queue holds in a session."""

    def __init__(self) -> None:
        self.elements: deque[Sequence[np.ndarray]] = deque()
        self.is_closed = False


class QueueBase:
    """``tf.QueueBase``: elements of several components. capacity has no effect: nothing waits for a place.

    fill: operations that add elements, which a run that finds the queue empty runs first.
    """

    is_padding = False

    @api
    def __init__(
        self, capacity: Any, dtypes: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None,
        name: str = "queue",
    ) -> None:  # fmt: skip
        listed = list(dtypes) if isinstance(dtypes, list | tuple) else [dtypes]
        self.dtypes = [component_dtype(item) for item in listed]
        given = [None] * len(listed) if shapes is None else _one_for_each(shapes, len(listed))
        self.components = [Component(*pair) for pair in zip(self.dtypes, given, strict=True)]
        self.names, self.name = names, name
        self.fill: list[Operation] = []
        self._contents: WeakKeyDictionary[Any, _Content] = WeakKeyDictionary()

    def content(self, session: Any) -> _Content:
        """Return what the queue holds in a session."""
        return self._contents.setdefault(session, _Content())

    # Operations -----------------------------------------------------------------------------------

    @api
    def enqueue(self, vals: Any, name: str | None = None) -> Operation:
        """Return an operation that adds an element."""
        return _Enqueue(self, self._values(vals), False, name or f"{self.name}_enqueue")

    @api
    def enqueue_many(self, vals: Any, name: str | None = None) -> Operation:
        """Return an operation that adds the entries of the first axis of arrays."""
        return _Enqueue(self, self._values(vals), True, name or f"{self.name}_EnqueueMany")

    def _values(self, given: Any) -> list[Tensor]:
        listed = [given[key] for key in self.names] if isinstance(given, dict) else given
        listed = list(listed) if isinstance(listed, list | tuple) and len(self.dtypes) > 1 else listed
        items = listed if isinstance(listed, list | tuple) else [listed]
        if len(self.dtypes) == 1 and len(items) != 1:
            items = [given]
        if len(items) != len(self.dtypes):
            raise StructureError(f"an element of {self.name} has {len(self.dtypes)} components, not {len(items)}")
        return [item if isinstance(item, Tensor) else as_tensor(np.asarray(item, dtype))
                for item, dtype in zip(items, self.dtypes, strict=True)]  # fmt: skip

    @api
    def dequeue(self, name: str | None = None) -> Any:
        """Return the components of an element, which the run takes out of the queue."""
        return self._given(_Dequeue(self, None), self.components, name or f"{self.name}_Dequeue")

    @api
    def dequeue_many(self, n: int, name: str | None = None) -> Any:
        """Return ``n`` elements along a first axis."""
        return self._given(
            _Dequeue(self, int(n)),
            [item.batched(int(n)) for item in self.components],
            name or f"{self.name}_DequeueMany",
        )

    @api
    def dequeue_up_to(self, n: int, name: str | None = None) -> Any:
        """Return ``n`` elements along a first axis, or fewer where the queue is closed."""
        return self._given(
            _Dequeue(self, int(n), True), [item.batched(None) for item in self.components],
            name or f"{self.name}_DequeueUpTo",
        )  # fmt: skip

    def _given(self, source: Source, components: Sequence[Component], name: str) -> Any:
        made = source.tensors(components, [name] * len(components))
        if self.names:
            return dict(zip(self.names, made, strict=True))
        return made[0] if len(made) == 1 else made

    @api
    def size(self, name: str | None = None) -> Tensor:
        """Return the number of elements."""
        return pulled_tensor(Component("int32", ()), name or f"{self.name}_Size", _Size(self))

    @api
    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """Return an operation after which nothing is added."""
        return _Close(self, name or f"{self.name}_Close")

    # Elements -------------------------------------------------------------------------------------

    def chosen(self, waiting: deque[Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
        """Take an element out of those that wait."""
        return waiting.popleft()

    @property
    def least_left(self) -> int:
        """Number of elements that stay in a queue that is open."""
        return 0

    def joined(self, elements: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Return elements along a first axis."""
        if not self.is_padding:
            return stacked(elements)
        shapes = [item.shape if item.shape is not None else () for item in self.components]
        return padded(elements, shapes, [0] * len(shapes))

    def take(self, session: Any, count: int, may_be_fewer: bool = False) -> list[Sequence[np.ndarray]]:
        """Take elements out of the queue, which is filled first where it holds too few."""
        content = self.content(session)
        while len(content.elements) < count + self.least_left and not content.is_closed:
            if self.fill:
                self._refill(session, content)
            elif _may_be_filled_by_threads():
                time.sleep(_WAIT_S)
            else:
                raise FailedPreconditionError(
                    f"the queue {self.name} holds {len(content.elements)} elements, and nothing adds to it: TensorFlow "
                    "would wait without an end. Run its enqueue operation first",
                    user_line(),
                )
        if len(content.elements) < count and not (may_be_fewer and content.elements):
            raise at_end(f"the queue {self.name}, which is closed and has {len(content.elements)} of {count} elements,")
        return [self.chosen(content.elements) for _ in range(min(count, len(content.elements)))]

    def _refill(self, session: Any, content: _Content) -> None:
        try:
            session.run(self.fill)
        except OutOfRangeError:
            content.is_closed = True


def _may_be_filled_by_threads() -> bool:
    """True if there are threads beside this one and rnngraph's own, which add nothing to queues."""
    own = threading.current_thread()
    return any(thread is not own and not thread.name.startswith("rnngraph") for thread in threading.enumerate())


class FIFOQueue(QueueBase):
    """``tf.FIFOQueue``: the first element that was added is the first that is taken."""


class PaddingFIFOQueue(QueueBase):
    """``tf.PaddingFIFOQueue``: elements of several are padded with zeros to the longest."""

    is_padding = True


class RandomShuffleQueue(QueueBase):
    """``tf.RandomShuffleQueue``: elements are taken in a random order, and ``min_after_dequeue`` of them stay."""

    @api
    def __init__(
        self, capacity: Any, min_after_dequeue: Any, dtypes: Any, shapes: Any = None, names: Any = None,
        seed: int | None = None, shared_name: str | None = None, name: str = "random_shuffle_queue",
    ) -> None:  # fmt: skip
        super().__init__(capacity, dtypes, shapes, names, shared_name, name)
        self._least, self._draw = int(min_after_dequeue), np.random.default_rng(abs(seed or 0))

    @property
    def least_left(self) -> int:
        """Number of elements that stay in a queue that is open."""
        return self._least

    def chosen(self, waiting: deque[Sequence[np.ndarray]]) -> Sequence[np.ndarray]:
        place = int(self._draw.integers(len(waiting)))
        element = waiting[place]
        del waiting[place]
        return element


def _one_for_each(shapes: Any, count: int) -> list[tuple[int | None, ...]]:
    """Return the shape of each component. One shape is that of the only component."""
    listed = list(shapes)
    if count == 1 and not any(isinstance(item, list | tuple) for item in listed):
        listed = [shapes]
    if len(listed) != count:
        raise ArgumentError(f"shapes={shown(shapes)} has {len(listed)} entries, and dtypes has {count}")
    return [tuple(getattr(size, "value", size) for size in shape) for shape in listed]


class _Enqueue(Operation):
    """Adds an element, or one for each entry of a first axis."""

    def __init__(self, queue: QueueBase, values: list[Tensor], many: bool, name: str) -> None:
        self.queue, self.values, self.many = queue, values, many
        if any(component.shape is None for component in queue.components):  # what is added says it
            shapes = [
                tuple(size if isinstance(size, int) else None for size in item.type.shape)[1 if many else 0 :]
                for item in values
            ]
            queue.components = [Component(*pair) for pair in zip(queue.dtypes, shapes, strict=True)]
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return self.values

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        content = self.queue.content(session)
        if content.is_closed:
            raise FailedPreconditionError(f"the queue {self.queue.name} is closed, and takes no more", self.where)
        arrays = [np.array(value) for value in values]
        content.elements.extend(zip(*arrays, strict=True) if self.many else [arrays])


class _Close(Operation):
    """Closes a queue."""

    def __init__(self, queue: QueueBase, name: str) -> None:
        self.queue = queue
        super().__init__(name)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        self.queue.content(session).is_closed = True


class _Dequeue(Source):
    """Elements of a queue, of which each run takes the next, or the next ``count``."""

    def __init__(self, queue: QueueBase, count: int | None, may_be_fewer: bool = False) -> None:
        super().__init__(f"the queue {queue.name}")
        self.queue, self.count, self.may_be_fewer = queue, count, may_be_fewer

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        taken = self.queue.take(session, 1 if self.count is None else self.count, self.may_be_fewer)
        return taken[0] if self.count is None else self.queue.joined(taken)


class _Size:
    """Value of a Tensor: the number of elements of a queue."""

    def __init__(self, queue: QueueBase) -> None:
        self.queue = queue

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return the number."""
        return len(self.queue.content(session).elements)


class QueueRunner:
    """``tf.train.QueueRunner``: the operations that fill a queue. A run that finds the queue empty runs them."""

    @api
    def __init__(
        self, queue: QueueBase | None = None, enqueue_ops: Any = None, close_op: Any = None, cancel_op: Any = None,
        queue_closed_exception_types: Any = None, queue_runner_def: Any = None, import_scope: Any = None,
    ) -> None:  # fmt: skip
        if not isinstance(queue, QueueBase):
            raise StructureError(f"tf.train.QueueRunner fills a queue, not {shown(queue)}")
        self.queue = queue
        queue.fill += list(dict.fromkeys(enqueue_ops or ()))

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.name

    def create_threads(self, sess: Any, coord: Any = None, daemon: bool = False, start: bool = False) -> list[Any]:
        """Return no threads: runs fill the queue by themselves."""
        return []


@api
def add_queue_runner(qr: QueueRunner, collection: str = QUEUE_RUNNERS) -> None:
    """Note a queue runner in a collection."""
    get_default_graph().add_to_collection(collection, qr)


@api
def start_queue_runners(
    sess: Any = None, coord: Any = None, daemon: bool = True, start: bool = True, collection: str = QUEUE_RUNNERS
) -> list[Any]:
    """Return no threads: runs fill queues by themselves."""
    return []
