"""Functions that programs pass to datasets, for example to ``map``; and ``tf.py_func``.

A function of a dataset is declared once, and runs for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...support.api_guard import api
from ...support.errors import DtypeError, NotOfferedError, shown
from ..core.dtypes import DType
from ..core.graph import Graph, get_default_graph
from ..core.operations import Operation
from ..core.session import Session
from ..core.tensors import TfTensor, as_tensorflow
from ..ops.placeholders import placeholder
from ..table.missing import GUIDE
from .sources import TEXT, Component, Pulled, Source, array_in, component_dtype, kind_of, pulled_tensor


class ElementFunction:
    """Function of the components of an element, compiled as a graph of its own.

    Graphs can't contain strings and unknown ranks. A function of such components is called with arrays for each
    element instead, and may not use Tensors.

    Attributes:
        is_plain: True if the function is called with arrays.
        result: Nest whose leaves describe the results: ``Component``s or datasets. If ``is_plain``, each call sets it.
    """

    def __init__(self, what: str, function: Callable[..., Any], structure: Any) -> None:
        if not callable(function):
            raise DtypeError(f"{what} needs a function of the components of an element, not {shown(function)}")
        self.what, self.function, self.structure = what, function, structure
        components = flatten(structure)
        self.is_plain = any(item.dtype == TEXT or item.shape is None for item in components)
        self._leaves: list[Any] = []
        self._places: list[Tensor] = []
        self._session: Session | None = None
        if not self.is_plain:
            self._declare(components)

    def _declare(self, components: Sequence[Component]) -> None:
        """Call the user's function once with placeholders, and keep its result's Tensors in a graph of their own."""
        graph = Graph()
        graph.seed = get_default_graph().seed
        with graph.as_default():
            self._places = [placeholder(item.dtype, item.shape) for item in components]
            result = self._called(pack(self.structure, self._places))
            result = tuple(result) if isinstance(result, list) else result
            self._leaves = [_checked_leaf(leaf, self.what) for leaf in flatten(result)]
        if any(isinstance(leaf, Tensor) and leaf.node.op == "parameter" for leaf in self._leaves):
            raise NotOfferedError(
                f"{self.what}: the function returns a variable; read variables after the dataset ({GUIDE})"
            )
        self.result = pack(result, [_component(leaf) for leaf in self._leaves])
        self._session = Session(graph=graph)

    def _called(self, arguments: Any) -> Any:
        """Call the function with an element's components. Those of a tuple are separate arguments."""
        unpacked = type(self.structure) is tuple
        return self.function(*arguments) if unpacked else self.function(arguments)

    def __call__(self, element: Sequence[np.ndarray]) -> list[Any]:
        """Apply the function to one element, and return the leaves of its result."""
        if self._session is None:
            result = self._called(pack(self.structure, [np.asarray(item).view(ElementValue) for item in element]))
            result = tuple(result) if isinstance(result, list) else result
            leaves = [leaf if hasattr(leaf, "elements") else array_in(leaf) for leaf in flatten(result)]
            self.result = pack(result, [leaf if hasattr(leaf, "elements") else Component.of(leaf) for leaf in leaves])
            return leaves
        computed = [leaf for leaf in self._leaves if isinstance(leaf, Tensor)]
        feeds: dict[Any, Any] = dict(zip(self._places, element, strict=True))
        values = iter(self._run(computed, feeds))
        return [next(values) if isinstance(leaf, Tensor) else leaf for leaf in self._leaves]

    def _run(self, tensors: Sequence[Tensor], feeds: Mapping[Any, Any]) -> list[np.ndarray]:
        """Return the arrays of Tensors that the user's function declared, for the feeds of one element."""
        session = self._session
        assert session is not None, "the function was declared"
        by_node = {tensor.node: value for tensor, value in feeds.items()}
        seed = session._seed()
        calls = {item.node: session.graph.derived[item.node] for item in tensors if item.node in session.graph.derived}
        fed = [item for item in tensors if item.node in by_node]
        others = [item.node for item in tensors if item.node not in calls and item.node not in by_node]
        computed = dict(zip(others, session.compute(others, by_node, seed) if others else [], strict=True))
        return [
            np.asarray(by_node[item.node])
            if item in fed
            else np.asarray(calls[item.node].value(session, by_node, seed))
            if item.node in calls
            else computed[item.node]
            for item in tensors
        ]


class ElementValue(np.ndarray):
    """Array that is passed to a function that is called without a graph. ``tf.py_func`` of such arrays runs at once."""


def _checked_leaf(leaf: Any, what: str) -> Any:
    """Return a leaf of a function's result: a Tensor, a dataset or an array."""
    if isinstance(leaf, Tensor) or hasattr(leaf, "elements"):
        return leaf
    if isinstance(leaf, Operation) or leaf is None:
        raise DtypeError(f"{what}: the function must return Tensors, arrays or datasets, not {shown(leaf)}")
    return array_in(leaf)


def _component(leaf: Any) -> Any:
    """Return the dtype and shape of a result of the user's function; a dataset unchanged."""
    if isinstance(leaf, Tensor):
        if isinstance(leaf, PythonResult) and leaf.has_open_rank:
            return Component(str(leaf.type.dtype), None)
        return Component(
            str(leaf.type.dtype), tuple(size if isinstance(size, int) else None for size in leaf.type.shape)
        )
    return leaf if hasattr(leaf, "elements") else Component.of(leaf)


# tf.py_func -------------------------------------------------------------------------------------------


class PythonResult(TfTensor):
    """Result of a Python function. Its rank is unknown until ``set_shape``; Tensors that read it see a scalar."""

    has_open_rank: bool
    value: Any
    __slots__ = ("has_open_rank", "value")

    @staticmethod
    def of(dtype: str, value: Any) -> PythonResult:
        """Return a ``tf.py_func`` result of unknown rank. ``value.value`` computes its array in a run."""
        result = PythonResult(pulled_tensor(Component(dtype, ()), "PyFunc", value).node)
        result.has_open_rank, result.value = True, value
        return result

    def set_shape(self, shape: Any) -> None:
        """Set the sizes of a ``tf.py_func`` result: ints, and None for symbolic sizes."""
        if shape is None:
            return
        if not self.has_open_rank:
            super().set_shape(shape)
            return
        sizes = [getattr(size, "value", size) for size in shape]
        self._node = pulled_tensor(Component(self.type.dtype, tuple(sizes)), "PyFunc", self.value).node
        self.has_open_rank = False


class _PythonCalls(Source):
    """Stream of a Python function's results. Each run calls the function once."""

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any], dtypes: Sequence[str]) -> None:
        super().__init__("tf.py_func")
        self.function, self.inputs, self.dtypes = function, inputs, dtypes

    def element_of_run(self, session: Any, fed: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Call the Python function with the run's values of its inputs, and return its results."""
        nodes = [item.node for item in self.inputs if isinstance(item, Tensor) and item.node not in fed]
        arrays = iter(session.compute(nodes, fed, seed) if nodes else [])
        values = [
            item
            if not isinstance(item, Tensor)
            else np.asarray(fed[item.node], item.type.dtype)
            if item.node in fed
            else next(arrays)
            for item in self.inputs
        ]
        results = self.function(*values)
        several = list(results) if isinstance(results, list | tuple) else [results]
        if len(several) != len(self.dtypes):
            raise DtypeError(
                f"tf.py_func: the function returns {len(several)} arrays, but Tout has {len(self.dtypes)} dtypes; "
                "list one for each"
            )
        components = []
        for item, dtype in zip(several, self.dtypes, strict=True):
            array = np.asarray(item)
            if kind_of(array) != dtype and not (array.dtype.kind == "O" and dtype == TEXT):
                raise DtypeError(
                    f"tf.py_func: the function returns {array.dtype}, not {dtype} as in Tout; convert it with astype"
                )
            components.append(array_in(array, dtype))
        return components


@api
def py_func(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """Return Tensors that a Python function of arrays computes in each run, without gradients.

    Each run calls the function once. ``stateful`` has no effect.

    Set the shapes of the results with ``set_shape``; a result without a shape is a scalar.

    Args:
        func: Function of arrays.
        inp: List of Tensors, the function's arguments.
        Tout: A dtype for one result, or a list of dtypes.
    """
    if not callable(func):
        raise DtypeError(f"tf.py_func needs a function of arrays, not {shown(func)}")
    several = isinstance(Tout, list | tuple) and not isinstance(Tout, DType)
    dtypes = [component_dtype(item) for item in (Tout if several else [Tout])]
    if any(isinstance(item, ElementValue) for item in inp):
        outputs = func(*(np.asarray(item)[()] if isinstance(item, ElementValue) else item for item in inp))
        results = [array_in(item, dtype) for item, dtype in zip(outputs if several else [outputs], dtypes, strict=True)]
        return results if several else results[0]
    inputs = [as_tensorflow(item) if isinstance(item, Tensor) else array_in(item) for item in inp]
    call = _PythonCalls(func, inputs, dtypes)
    tensors = [PythonResult.of(dtype, Pulled(call, number)) for number, dtype in enumerate(dtypes)]
    return tensors if several else tensors[0]


@api
def numpy_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """Return the result of ``tf.py_func``, the older name of this function."""
    return py_func(func, inp, Tout)
