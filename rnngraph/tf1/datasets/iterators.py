"""``tf.data.Iterator``, by which runs read elements of datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...support.api_guard import api
from ...support.errors import ArgumentError, StructureError, shown, user_line
from ..core.errors import FailedPreconditionError, InvalidArgumentError
from ..core.graph import get_default_graph
from ..core.operations import Operation
from .reading import Reading
from .shapes import shapes_in
from .sources import Component, Elements, Source, Structured, component_dtype


class _StartIterator(Operation):
    """Operation that starts an iterator before the first element of a dataset."""

    def __init__(self, iterator: Iterator, dataset: Any, name: str) -> None:
        self.iterator, self.dataset = iterator, dataset
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return list(self.dataset.sources)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        nodes = [item.node for item in self.dataset.sources]
        reading = Reading(dict(zip(nodes, values, strict=True)), session.graph.seed or 0)
        self.iterator.source.start(session, iter(self.dataset.elements(reading)))


class _Stream(Elements):
    """Stream of an iterator. A session starts with the elements of ``dataset``; if it is None, with an initializer."""

    def __init__(self, what: str, dataset: Any | None = None) -> None:
        super().__init__(what)
        self.dataset = dataset

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        """Return the next element in a session, starting the dataset on first use."""
        if not self.is_started(session):
            if self.dataset is None:
                raise FailedPreconditionError(
                    f"{self.what} has not been initialized in this session; run its initializer first", user_line()
                )
            nodes = [item.node for item in self.dataset.sources]
            values = session.compute(nodes, {}, session._seed()) if nodes else []
            reading = Reading(dict(zip(nodes, values, strict=True)), session.graph.seed or 0)
            self.start(session, iter(self.dataset.elements(reading)))
        return super().next_element(session, fed)


class Iterator(Structured):
    """``tf.data.Iterator``. Each run that reads ``get_next`` takes one element."""

    def __init__(self, structure: Any, source: Any, dataset: Any = None) -> None:
        self.structure, self.source, self.dataset = structure, source, dataset
        self._initializer: Operation | None = None

    @property
    def initializer(self) -> Operation:
        """Operation that starts the iterator. Raises ``ArgumentError`` if it has none, as one-shot iterators."""
        if self._initializer is None:
            raise ArgumentError("this iterator has no initializer; use make_initializable_iterator or make_initializer")
        return self._initializer

    def get_next(self, name: str | None = None) -> Any:
        """Return Tensors of the next element's components, in the structure of the dataset."""
        components = self._components()
        names = [
            f"{name or 'IteratorGetNext'}_{number}" if number else name or "IteratorGetNext"
            for number in range(len(components))
        ]
        return pack(self.structure, self.source.tensors(components, names))

    def _components(self) -> list[Component]:
        """Return the dtype and shape of each component. Unknown ranks are those of the first element, if possible."""
        components: list[Component] = flatten(self.structure)
        dataset = self.dataset
        if dataset is None or dataset.sources or all(item.shape is not None for item in components):
            return components
        first = next(iter(dataset.elements(Reading({}, 0))), None)
        if first is None:
            return components
        return [
            Component(item.dtype, (None,) * np.ndim(part)) if item.shape is None else item
            for item, part in zip(components, first, strict=True)
        ]

    @api
    def make_initializer(self, dataset: Any, name: str | None = None) -> Operation:
        """Return an operation that starts the iterator at the first element of a dataset with the same dtypes."""
        if not hasattr(dataset, "elements"):
            raise StructureError(f"make_initializer needs a dataset, not {shown(dataset)}")
        kinds = [[item.dtype for item in flatten(nest)] for nest in (dataset.structure, self.structure)]
        if kinds[0] != kinds[1]:
            raise StructureError(
                f"the dataset has the dtypes {kinds[0]}, but the iterator has {kinds[1]}; pass a dataset with the "
                "iterator's dtypes"
            )
        return _StartIterator(self, dataset, name or "make_initializer")

    def string_handle(self, name: str | None = None) -> Operation:
        """Return an operation that returns the handle of the iterator, to feed to a feedable iterator."""
        return _Handle(self, name or "string_handle")

    @staticmethod
    @api
    def from_structure(
        output_types: Any, output_shapes: Any = None, shared_name: str | None = None, output_classes: Any = None
    ) -> Iterator:
        """Return an iterator without a dataset. ``make_initializer`` starts the iterator with a dataset."""
        dtypes = [component_dtype(item) for item in flatten(output_types)]
        shapes = [None] * len(dtypes) if output_shapes is None else shapes_in(output_shapes, output_types)
        components = [Component(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)]
        return Iterator(pack(output_types, components), _Stream("tf.data.Iterator"))

    @staticmethod
    @api
    def from_string_handle(
        string_handle: Any, output_types: Any, output_shapes: Any = None, output_classes: Any = None
    ) -> Iterator:
        """Return a feedable iterator. A run feeds the handle of another iterator, whose elements are then read."""
        dtypes = [component_dtype(item) for item in flatten(output_types)]
        shapes = [None] * len(dtypes) if output_shapes is None else shapes_in(output_shapes, output_types)
        components = [Component(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)]
        return Iterator(pack(output_types, components), _FedIteratorStream(string_handle))


@api
def make_one_shot_iterator(dataset: Any) -> Iterator:
    """Return an iterator over a dataset that needs no initializer: each session starts it on first use."""
    return Iterator(dataset.structure, _Stream("the one-shot iterator", dataset), dataset)


@api
def make_initializable_iterator(dataset: Any, shared_name: str | None = None) -> Iterator:
    """Return an iterator over a dataset that starts when its ``initializer`` runs."""
    iterator = Iterator(dataset.structure, _Stream("the iterator"), dataset)
    iterator._initializer = _StartIterator(iterator, dataset, "MakeIterator")
    get_default_graph().collections["iterators"].append(iterator)
    return iterator


# Feedable iterators -----------------------------------------------------------------------------------


class _Handle(Operation):
    """Operation that returns the handle of an iterator."""

    def __init__(self, iterator: Iterator, name: str) -> None:
        self.iterator = iterator
        super().__init__(name)
        self.number = len(self.graph.collections["iterator_handles"])
        self.graph.collections["iterator_handles"].append(iterator)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> int:
        return self.number


class _FedIteratorStream(Source):
    """Stream of a feedable iterator: elements of the iterator whose handle is fed."""

    def __init__(self, handle: Any) -> None:
        super().__init__("the feedable iterator")
        self.handle = handle

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        """Return the next element of the iterator whose handle the run feeds."""
        node = self.handle.node
        if node not in fed:
            raise InvalidArgumentError(
                "the handle of the feedable iterator is not fed; feed the result of string_handle()", user_line()
            )
        chosen: Source = session.graph.collections["iterator_handles"][int(fed[node])].source
        return chosen.next_element(session, fed)
