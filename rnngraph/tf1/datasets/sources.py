"""Streams of elements. Every run that reads a stream takes the stream's next element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...declare.nest import map_leaves
from ...declare.placeholders import fed
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...support.errors import NotOfferedError, user_line
from ..core.dtypes import DType, dtype_name
from ..core.errors import OutOfRangeError
from ..core.graph import get_default_graph
from ..core.shapes import TensorShape
from ..core.tensors import DTYPES, as_tensorflow
from ..table.missing import GUIDE

TEXT = "string"
"""Dtype of strings. Datasets have strings, but Tensors do not."""


@dataclass(frozen=True)
class Component:
    """Dtype and shape of one component of an element.

    Attributes:
        dtype: Name of the dtype.
        shape: Sizes: ints, and None for symbolic sizes. None if the rank is unknown.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    @staticmethod
    def of(array: np.ndarray) -> Component:
        """Return the dtype and shape of an array."""
        return Component(kind_of(array), array.shape)

    def batched(self, size: int | None) -> Component:
        """Return the dtype and shape of a batch of ``size`` components."""
        return Component(self.dtype, None if self.shape is None else (size, *self.shape))

    def unbatched(self) -> Component:
        """Return the dtype and shape without the first axis."""
        return Component(self.dtype, None if self.shape is None else self.shape[1:])


def kind_of(array: np.ndarray) -> str:
    """Return the dtype of an array as a dataset's component. Integers of 8 and 16 bits become int32."""
    if array.dtype.kind in "OSU":
        return TEXT
    if array.dtype.kind in "iu" and array.dtype.itemsize < 4:
        return "int32"
    return str(array.dtype)


def array_in(value: Any, dtype: str | None = None) -> np.ndarray:
    """Convert a value to an array. Without ``dtype``, Python's ints become int32 and floats float32."""
    plain = not isinstance(value, np.ndarray | np.generic)
    array = np.asarray(value)
    if dtype is not None:
        return array.astype(object) if dtype == TEXT else np.asarray(array, dtype)
    if array.dtype.kind in "OSU":
        return array.astype(object)
    if plain and array.dtype.kind in "fi":
        return array.astype("float32" if array.dtype.kind == "f" else "int32")
    return np.asarray(array, kind_of(array))


def component_dtype(dtype: Any) -> str:
    """Return the name of a component's dtype."""
    if dtype in (str, bytes, TEXT) or getattr(dtype, "name", None) == TEXT:
        return TEXT
    return dtype_name(dtype)


class Structured:
    """Base of ``Dataset`` and ``Iterator``, whose elements all have one structure.

    Attributes:
        structure: Nest of the components of an element.
    """

    structure: Any

    @property
    def output_types(self) -> Any:
        """Dtypes of the components."""
        return map_leaves(lambda item: DType(TEXT) if item.dtype == TEXT else DTYPES[item.dtype], self.structure)

    @property
    def output_shapes(self) -> Any:
        """Shapes of the components."""
        return map_leaves(lambda item: TensorShape(item.shape or ()), self.structure)


class Source:
    """Stream of elements. All reads in one run return the same element; the next run that reads takes the next one.

    A subclass defines ``next_element``, or ``element_of_run`` if elements depend on the run.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._latest: WeakKeyDictionary[Any, tuple[int, Sequence[np.ndarray]]] = WeakKeyDictionary()

    def element(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Return the element of a run.

        Args:
            session: Session of the run.
            fed: Feeds of the run.
            seed: Seed of the run, which identifies the run.
        """
        latest = self._latest.get(session)
        if latest is None or latest[0] != seed:
            latest = self._latest[session] = seed, self.element_of_run(session, fed, seed)
        return latest[1]

    def element_of_run(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Return the element for a new run. Arguments are those of ``element``."""
        return self.next_element(session, fed)

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        """Return the next element in a session. Raises ``OutOfRangeError`` at the end."""
        raise NotImplementedError

    def tensors(self, components: Sequence[Component], names: Sequence[str]) -> list[Tensor]:
        """Return a Tensor for each component of an element. A run that reads them takes the stream's next element."""
        return [
            pulled_tensor(component, name, Pulled(self, number))
            for number, (component, name) in enumerate(zip(components, names, strict=True))
        ]


@dataclass(frozen=True)
class Pulled:
    """Value of a Tensor that is one component of a stream's element."""

    source: Source
    number: int

    def value(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Any:
        """Return the component of the run's element."""
        return self.source.element(session, fed, seed)[self.number]


def pulled_tensor(component: Component, name: str, value: Any) -> Tensor:
    """Return a placeholder that a run feeds with the result of ``value.value``, unless the user feeds it.

    Args:
        component: Dtype and shape.
        name: Name of the placeholder.
        value: Object whose method ``value`` computes the array in a run.
    """
    if component.dtype == TEXT:
        raise NotOfferedError(
            f"{name} has strings, but Tensors have numbers only; map words to ids, before the dataset or in "
            f"its generator ({GUIDE})"
        )
    if component.shape is None:
        raise NotOfferedError(f"the rank of {name} is unknown; set its shape, for example by output_shapes= ({GUIDE})")
    graph = get_default_graph()
    tensor: Tensor = as_tensorflow(fed(name, component.shape, component.dtype, unnamed=True))
    graph.place(tensor, None)
    graph.derived[tensor.node] = value
    return tensor


def at_end(what: str) -> OutOfRangeError:
    """Return the error for a run that needs an element after the last element of ``what``."""
    return OutOfRangeError(f"End of sequence: {what} has no more elements", user_line())


class Elements(Source):
    """Stream of the elements of a Python iterator. Each session has its own iterator."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._running: WeakKeyDictionary[Any, Iterator[Sequence[np.ndarray]]] = WeakKeyDictionary()

    def start(self, session: Any, elements: Iterator[Sequence[np.ndarray]]) -> None:
        """Set the elements that the next runs in a session read, from the first one on."""
        self._running[session] = elements
        self._latest.pop(session, None)

    def is_started(self, session: Any) -> bool:
        """True if the source has elements in a session."""
        return session in self._running

    def next_element(self, session: Any, fed: Mapping[Node, Any]) -> Sequence[np.ndarray]:
        for element in self._running[session]:
            return element
        raise at_end(self.what)
