"""Sessions, which have the values of variables, and run fetches."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...declare.nest import flatten, fold, is_constant, is_leaf
from ...declare.tensor import Tensor
from ...ir.graph import Node, topological
from ...support.api_guard import api
from ...support.bounded_cache import BoundedCache
from ...support.errors import ArgumentError, DtypeError, StructureError, shown
from .errors import FailedPreconditionError
from .graph import CURRENT, Graph, SessionInterface, entered, graph_of
from .operations import Operation
from .programs import Run, uninitialized
from .variable import ExtraVariable

MAX_RUNS = 1000
"""Maximum number of sets of fetches and feeds whose compiled code a session caches."""


class ConfigProto(types.SimpleNamespace):
    """``tf.ConfigProto``, which has no effect, because there is one device."""

    @api
    def __init__(self, **options: Any) -> None:
        options.setdefault("gpu_options", types.SimpleNamespace(allow_growth=False))
        options.setdefault("graph_options", types.SimpleNamespace())
        super().__init__(**options)


class GPUOptions(types.SimpleNamespace):
    """``tf.GPUOptions``, which has no effect."""

    @api
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


class BaseSession(SessionInterface):
    """Base of ``Session`` and ``InteractiveSession``.

    The variables of a graph hold the values of one session at a time. ``enter`` and ``leave`` exchange the values.

    Attributes:
        initialized: Full names of variables that have a value here.
        ready: Programs, and collections of names, whose variables all have values here.
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        self.graph = graph_of(graph)
        self.initialized: set[str] = set()
        self.ready: set[Any] = set()
        self.runs = self.initializations = 0
        self.closed = False
        self._values: dict[str, np.ndarray] = {}
        self._runs: BoundedCache[Any, Run] = BoundedCache(MAX_RUNS)
        # By ids of the fetches and feeds. The objects are stored, too, so that no later object gets such an id.
        self._runs_by_identity: BoundedCache[Any, tuple[Run, Any]] = BoundedCache(MAX_RUNS)

    @property
    def sess_str(self) -> str:
        """Target of the session, which is empty."""
        return ""

    # Values --------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Load this session's values into the graph's variables, unless they are there already.

        If the variables hold the values of another session, that session saves them first.
        """
        graph = self.graph
        if graph.holder is self:
            return
        if graph.holder is not None:
            graph.holder.leave()
        graph.holder = self
        for name, array in self._values.items():
            self._put(name, array)
        self._values = {}

    def leave(self) -> None:
        """Save the values of the graph's variables, before another session replaces them."""
        graph = self.graph
        for variable in graph.all_variables():
            if variable.full in self.initialized:
                self._values[variable.full] = np.array(self.value(variable))
        graph.holder = None

    def value(self, variable: Any) -> np.ndarray:
        """Return the value of a variable. Raises ``FailedPreconditionError`` if it has none."""
        self.enter()
        if variable.full not in self.initialized:
            raise FailedPreconditionError(uninitialized([variable.full], self.graph))
        if isinstance(variable, ExtraVariable):
            return variable.read()
        program = self.graph.program()
        assert program is not None, "there is a variable"
        array: np.ndarray = program.parameters[variable.full]
        return array

    def set_value(self, variable: Any, array: np.ndarray) -> None:
        """Set a variable's value to a copy of ``array``."""
        self.enter()
        self._put(variable.full, array)
        self.initialized.add(variable.full)

    def _put(self, name: str, array: np.ndarray) -> None:
        """Write an array into the variable ``name``; do nothing if the graph has no such variable."""
        extra = self.graph.extra.get(name)
        if extra is not None:
            extra.write(np.array(array, extra.start.dtype))
            return
        program = self.graph.program()
        if program is not None and name in program.parameters:
            program.parameters[name] = array

    def initialize(self, variables: Sequence[Any]) -> None:
        """Set variables to their initial values."""
        self.enter()
        seed = (self.graph.seed or 0) + 1_000_003 * self.initializations
        self.initializations += 1
        for variable in variables:
            if variable.initial is None:
                self.set_value(variable, variable.drawn(seed))
        for variable in variables:
            if variable.initial is not None:
                with self._temporarily_initialized(variable.initial.node, seed):
                    array = self.compute([variable.initial.node], {}, self._seed())[0]
                self.set_value(variable, array)

    @contextmanager
    def _temporarily_initialized(self, node: Node, seed: int) -> Iterator[None]:
        """Give initial values, within the block only, to the variables that ``node`` reads and that have no value."""
        read = [item["slot"] for item in topological([node]) if item.op == "parameter"]
        needed = [self.graph.variables[slot] for slot in read if slot in self.graph.variables]
        uninitialized_variables = [variable for variable in needed if variable.full not in self.initialized]
        for variable in uninitialized_variables:
            if variable.initial is None:
                self.set_value(variable, variable.drawn(seed))
        for variable in sorted(
            (item for item in uninitialized_variables if item.initial is not None), key=lambda item: item.serial
        ):
            with self._temporarily_initialized(variable.initial.node, seed):
                self.set_value(variable, self.compute([variable.initial.node], {}, self._seed())[0])
        try:
            yield
        finally:
            if uninitialized_variables:
                self.initialized.difference_update(variable.full for variable in uninitialized_variables)
                self.ready = set()

    # Runs ----------------------------------------------------------------------------------------

    def _seed(self) -> int:
        """Return the seed of the next run: the graph's seed and the number of the run.

        Random numbers differ from run to run. A program that is executed again draws the same numbers.
        """
        self.runs += 1
        return ((self.graph.seed or 0) & 0x3FFFFFFF) << 32 | self.runs

    def compute(self, nodes: Sequence[Node], values: Mapping[Node, Any], seed: int) -> list[np.ndarray]:
        """Return the values of declared nodes, computed in one native call if possible."""
        run = self._runs.get(key := ("nodes", tuple(nodes), tuple(values)))
        if run is None:
            run = self._runs[key] = Run(self.graph, [Tensor(node) for node in nodes], tuple(values))
        return run(self, values, seed)

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Return the fetched values in the structure of ``fetches``.

        The value of a Tensor or variable is an array, or a NumPy scalar for rank 0. The value of an operation is what
        the operation returns, mostly None. ``options`` and ``run_metadata`` have no effect.

        If possible, one native call computes all Tensors together with the step of a training operation. Tensors then
        have their values from before the step, and variables those from after it.
        """
        if self.graph.holder is not self:
            if self.closed:
                raise ArgumentError("the session is closed; create another")
            self.enter()
        fed = feed_dict or {}
        cached = self._runs_by_identity.get(key := _identity_key(fetches, fed))
        run = cached[0] if cached is not None else None
        if run is None or run.version != len(self.graph.owners):
            run = self._cached_run(fetches, fed, key)
        return run.to_structure(run(self, run.to_node_values(fed), self._seed()))

    def _cached_run(self, fetches: Any, fed: Mapping[Any, Any], identity: Any) -> Run:
        """Return the compiled run of these fetches and feeds, compiled on first use."""
        try:
            key = fold(fetches, lambda leaf: leaf, _keyed), tuple(fed)
            run = self._runs.get(key)
        except TypeError:  # unhashable objects in the nest
            key, run = None, None
        if run is None or run.version != self.graph.version:
            run = self._new_run(fetches, fed)
            if key is not None:
                self._runs[key] = run
        if identity is not None:
            entries = fetches.values() if type(fetches) is dict else fetches if type(fetches) is list else (fetches,)
            if all(map(is_constant, entries)):
                self._runs_by_identity[identity] = run, (*entries, *fed)
        return run

    def _new_run(self, fetches: Any, fed: Mapping[Any, Any]) -> Run:
        """Compile and return a run of ``fetches`` that feeds the keys of ``fed``."""
        leaves = [resolved(self.graph, leaf) for leaf in flatten(fetches)]
        to_node_values = self._feed_converter(fed)
        run = Run(self.graph, leaves, tuple(to_node_values(fed)))
        run.to_node_values = to_node_values
        run.set_structure(fetches)
        return run

    def _feed_converter(self, fed: Mapping[Any, Any]) -> Callable[[Mapping[Any, Any]], dict[Node, Any]]:
        """Return a function that converts a feed_dict with the keys of ``fed`` to {declared node: value}."""
        if all(isinstance(key, Tensor) for key in fed):
            nodes = [key.node for key in fed]
            return lambda feeds: dict(zip(nodes, feeds.values(), strict=True))
        recorders = [self._recorder(key) for key in fed]

        def values_by_node(feeds: Mapping[Any, Any]) -> dict[Node, Any]:
            values: dict[Node, Any] = {}
            for record, value in zip(recorders, feeds.values(), strict=True):
                record(values, value)
            return values

        return values_by_node

    def _recorder(self, key: Any) -> Callable[[dict[Node, Any], Any], None]:
        """Return a function (values, value) that stores the value fed for ``key`` in ``values``, by declared node."""
        if isinstance(key, str):
            key = resolved(self.graph, key)
        if isinstance(key, Tensor):
            return partial(_record_feed, key.node)
        if hasattr(key, "part_feeds"):  # a sparse Tensor, which has three parts
            return lambda values, value: values.update((part.node, array) for part, array in key.part_feeds(value))
        if is_leaf(key):
            raise DtypeError(f"{shown(key)} can't be fed; feed Tensors, or their names")
        parts = [self._recorder(part) for part in key]

        def record(values: dict[Node, Any], value: Any) -> None:
            fits = isinstance(value, tuple) and len(value) == len(parts)
            pairs = zip(parts, value, strict=True) if fits else self._recorders_with_values(key, value)
            for part, array in pairs:
                part(values, array)

        return record

    def _recorders_with_values(self, key: Any, value: Any) -> Iterator[Any]:
        """Return (storing function, value) pairs, one for each Tensor of a nest that is fed."""
        keys, values = flatten(key), flatten(value) if not isinstance(value, np.ndarray) else list(value)
        if len(keys) != len(values):
            raise StructureError(
                f"{shown(key)} has {len(keys)} Tensors, but is fed {len(values)} arrays; feed one array for each"
            )
        return zip(map(self._recorder, keys), values, strict=True)

    def make_callable(self, fetches: Any, feed_list: Sequence[Any] | None = None) -> Callable[..., Any]:
        """Return a function that runs ``fetches``. Its arguments are the values of ``feed_list``, in order."""
        feeds = list(feed_list or ())
        return lambda *arrays: self.run(fetches, dict(zip(feeds, arrays, strict=True)))

    def partial_run(self, *_: Any) -> Any:
        """Raise ``ArgumentError``: partial runs are not offered."""
        raise ArgumentError("partial_run is not offered; fetch all in one session.run")

    def close(self) -> None:
        """Discard the session's compiled code and variables' values."""
        if self.graph.holder is self:
            self.graph.holder = None
        self.closed = True
        self._runs.clear()
        self._runs_by_identity.clear()
        self._values = {}
        self.initialized, self.ready = set(), set()

    @contextmanager
    def as_default(self) -> Iterator[BaseSession]:
        """Make this the session of ``eval`` and ``run`` in this thread."""
        with entered(CURRENT.sessions, self), entered(CURRENT.graphs, self.graph):
            yield self


class Session(BaseSession):
    """``tf.Session``. In a ``with`` block it is the default session; it is closed at the block's end."""

    @api
    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        self._opened: list[Any] = []

    def __enter__(self) -> Session:
        opened = self.as_default()
        opened.__enter__()
        self._opened.append(opened)
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.pop().__exit__(None, None, None)
        self.close()


class InteractiveSession(BaseSession):
    """``tf.InteractiveSession``: the default session until it is closed."""

    @api
    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        CURRENT.sessions.append(self)

    def close(self) -> None:
        """Close the session; it is no longer the default."""
        super().close()
        if self in CURRENT.sessions:
            CURRENT.sessions.remove(self)


@api
def get_default_session() -> BaseSession | None:
    """Return the session that this thread has entered last; None if it has entered none."""
    return CURRENT.sessions[-1] if CURRENT.sessions else None


def _identity_key(fetches: Any, fed: Any) -> Any:
    """Return a cache key made of the ids of fetches and feeds; None if the feeds are not a plain dict."""
    if type(fed) is not dict:
        return None
    kind = type(fetches)
    if kind is list or kind is tuple:
        return kind, *map(id, fetches), None, *map(id, fed)
    if kind is dict:
        return kind, *fetches, None, *map(id, fetches.values()), None, *map(id, fed)
    return None, id(fetches), None, *map(id, fed)


def _record_feed(node: Node, values: dict[Node, Any], value: Any) -> None:
    values[node] = value


def _keyed(nest: Any, entries: list[Any]) -> tuple[Any, ...]:
    """Return a hashable key of a nest from the keys of its entries. Equal nests have equal keys."""
    return type(nest), tuple(nest) if isinstance(nest, dict) else None, *entries


def resolved(graph: Graph, leaf: Any) -> Any:
    """Return the Tensor, variable or operation of a fetch, which may be its name. Raises ``DtypeError`` for others."""
    if isinstance(leaf, str):
        return graph.find(leaf.partition(":")[0])
    if isinstance(leaf, Tensor | Operation | ExtraVariable):
        return leaf
    raise DtypeError(f"{shown(leaf)} can't be fetched; fetch Tensors, variables, operations, or their names")
