"""Sessions: values of variables, and runs."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...declare.nest import flatten, is_leaf, packer
from ...declare.tensor import Tensor
from ...errors import ArgumentError, DtypeError, StructureError, shown, user_line
from ...ir.graph import Node
from ...public import api
from .errors import FailedPreconditionError
from .graph import CURRENT, Graph, entered, graph_of
from .operations import Operation
from .programs import Asked, Step, as_fed, uninitialized
from .variable import ExtraVariable

MOST_RUNS = 1000
"""Kinds of runs that a session keeps what it compiled for."""


class ConfigProto(types.SimpleNamespace):
    """``tf.ConfigProto``: taken, and of no effect; there is one device."""

    @api
    def __init__(self, **options: Any) -> None:
        options.setdefault("gpu_options", types.SimpleNamespace(allow_growth=False))
        options.setdefault("graph_options", types.SimpleNamespace())
        super().__init__(**options)


class GPUOptions(types.SimpleNamespace):
    """``tf.GPUOptions``: taken, and of no effect."""

    @api
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


class BaseSession:
    """What ``Session`` and ``InteractiveSession`` share.

    initialized: full names of variables that have a value here.
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        self.graph = graph_of(graph)
        self.initialized: set[str] = set()
        self.runs = self.initializations = 0
        self.closed = False
        self._values: dict[str, np.ndarray] = {}
        self._known: dict[Any, Run] = {}

    @property
    def sess_str(self) -> str:
        """The target, which is nothing."""
        return ""

    # Values --------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The graph's variables have this session's values from here on."""
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
        """Takes the values of the graph's variables with it."""
        graph = self.graph
        for variable in graph.all_variables():
            if variable.full in self.initialized:
                self._values[variable.full] = np.array(self.value(variable))
        graph.holder = None

    def value(self, variable: Any) -> np.ndarray:
        """The value of a variable. Raises ``FailedPreconditionError`` where it has none."""
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
        """Gives a variable a value."""
        self.enter()
        self._put(variable.full, array)
        self.initialized.add(variable.full)

    def _put(self, name: str, array: np.ndarray) -> None:
        extra = self.graph.extra.get(name)
        if extra is not None:
            extra.write(np.array(array, extra.start.dtype))
            return
        program = self.graph.program()
        if program is not None and name in program.parameters:
            program.parameters[name] = array

    def initialize(self, variables: Sequence[Any]) -> None:
        """Gives variables their initial values."""
        self.enter()
        seed = (self.graph.seed or 0) + 1_000_003 * self.initializations
        self.initializations += 1
        for variable in variables:
            if variable.initial is None:
                self.set_value(variable, variable.drawn(seed))
        for variable in variables:
            if variable.initial is not None:
                self.set_value(variable, self.compute([variable.initial.node], {}, self._seed())[0])

    # Runs ----------------------------------------------------------------------------------------

    def _seed(self) -> int:
        """That of a run: masks and random numbers differ from run to run, and are the same in a program that is run
        again.
        """
        self.runs += 1
        return ((self.graph.seed or 0) & 0x3FFFFFFF) << 32 | self.runs

    def compute(self, nodes: Sequence[Node], values: Mapping[Node, Any], seed: int) -> list[np.ndarray]:
        """Declared nodes, in one native call where they take one."""
        run = self._known.get(key := ("nodes", tuple(nodes), tuple(values)))
        if run is None:
            run = self._known[key] = Run(self.graph, [Tensor(node) for node in nodes], tuple(values))
        return run(self, values, seed)

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """What is fetched, in its structure: values of Tensors and variables, None of operations.

        All Tensors come of one native call, together with the step of a training operation; they are those before it.
        """
        if self.graph.holder is not self:
            if self.closed:
                raise ArgumentError("the session is closed; make another")
            self.enter()
        fed = feed_dict or {}
        try:
            kind = type(fetches)
            key = kind, tuple(fetches) if kind in (list, tuple) else fetches, tuple(fed)
            known = self._known.get(key)
        except TypeError:  # nests of what has no hash
            key, known = None, None
        if known is None or known.version != self.graph.version:
            known = self._made(fetches, fed)
            if key is not None:
                if len(self._known) >= MOST_RUNS:
                    self._known.clear()
                self._known[key] = known
        return known.give(known(self, known.values(fed), self._seed()))

    def _made(self, fetches: Any, fed: Mapping[Any, Any]) -> Run:
        leaves = [resolved(self.graph, leaf) for leaf in flatten(fetches)]
        takes = self._taker(fed)
        made = Run(self.graph, leaves, tuple(takes(fed)))
        made.takes = takes
        made.shape(fetches)
        return made

    def _place(self, found: dict[Node, Any], key: Any, value: Any) -> None:
        """Notes a feed by declared node. It is given for a Tensor, its name, or a nest of Tensors."""
        if isinstance(key, str):
            key = resolved(self.graph, key)
        if isinstance(key, Tensor):
            found[key.node] = value
        elif hasattr(key, "places"):  # a sparse Tensor, of three parts
            for part, array in key.places(value):
                found[part.node] = array
        elif is_leaf(key):
            raise DtypeError(f"{shown(key)} is fed, but is no Tensor and no name of one")
        else:
            alike = isinstance(key, tuple) and isinstance(value, tuple) and len(key) == len(value)
            keys, values = (key, value) if alike else _leaves_in_pairs(key, value)
            for one, array in zip(keys, values, strict=True):
                self._place(found, one, array)

    def _taker(self, fed: Mapping[Any, Any]) -> Callable[[Mapping[Any, Any]], dict[Node, Any]]:
        """What gives the values of another run that feeds the same."""
        if all(isinstance(key, Tensor) for key in fed):
            return lambda given: {key.node: value for key, value in given.items()}

        def taken(given: Mapping[Any, Any]) -> dict[Node, Any]:
            found: dict[Node, Any] = {}
            for key, value in given.items():
                self._place(found, key, value)
            return found

        return taken

    def make_callable(self, fetches: Any, feed_list: Sequence[Any] | None = None) -> Callable[..., Any]:
        """A function of the feeds in order, which runs."""
        feeds = list(feed_list or ())
        return lambda *arrays: self.run(fetches, dict(zip(feeds, arrays, strict=True)))

    def partial_run(self, *_: Any) -> Any:
        """Not offered."""
        raise ArgumentError("a run can't be left half done; fetch all in one session.run")

    def close(self) -> None:
        """Forgets what was compiled for it, and its values."""
        if self.graph.holder is self:
            self.graph.holder = None
        self.closed = True
        self._known, self._values, self.initialized = {}, {}, set()

    @contextmanager
    def as_default(self) -> Iterator[BaseSession]:
        """The session of ``eval`` and ``run`` without one, in this thread."""
        with entered(CURRENT.sessions, self), entered(CURRENT.graphs, self.graph):
            yield self


class Session(BaseSession):
    """``tf.Session``."""

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
    """``tf.InteractiveSession``: the default one from when it is made to when it is closed."""

    @api
    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        CURRENT.sessions.append(self)

    def close(self) -> None:
        """Also no longer the default one."""
        super().close()
        if self in CURRENT.sessions:
            CURRENT.sessions.remove(self)


@api
def get_default_session() -> BaseSession | None:
    """The session that this thread has entered last."""
    return CURRENT.sessions[-1] if CURRENT.sessions else None


def present_session(session: Any = None) -> BaseSession:
    """A session, or the one that is entered."""
    found = get_default_session() if session is None else session
    if not isinstance(found, BaseSession):
        raise ArgumentError("no session is entered; write `with tf.Session():` around it, or give session=")
    return found


def resolved(graph: Graph, leaf: Any) -> Any:
    """A Tensor, a variable or an operation from what is fetched."""
    if isinstance(leaf, str):
        return graph.find(leaf.partition(":")[0])
    if isinstance(leaf, Tensor | Operation | ExtraVariable):
        return leaf
    raise DtypeError(f"{shown(leaf)} can't be fetched; fetch Tensors, variables, operations, or names of them")


def _leaves_in_pairs(key: Any, value: Any) -> tuple[list[Any], list[Any]]:
    """The Tensors of a nest, and what each is fed."""
    keys, values = flatten(key), flatten(value) if not isinstance(value, np.ndarray) else list(value)
    if len(keys) != len(values):
        raise StructureError(f"{shown(key)} has {len(keys)} Tensors, and is fed {len(values)} arrays")
    return keys, values


class Run:
    """One kind of run: what it fetches, and what is compiled for it."""

    def __init__(self, graph: Graph, leaves: Sequence[Any], fed: Sequence[Node]) -> None:
        self.version, self.where = graph.version, user_line()
        self.leaves = list(leaves)
        self.fed = frozenset(fed)
        self.operations: list[Operation] = []
        for leaf in self.leaves:
            if isinstance(leaf, Operation):
                self._add(leaf)
        for item in graph.required_by([leaf.node for leaf in self.leaves if isinstance(leaf, Tensor)]):
            self._add(item)
        needed = [tensor.node for item in self.operations for tensor in item.needs()]
        for item in graph.required_by(needed):
            self._add(item)
        self.steps = [item for item in self.operations if isinstance(item, Step)]
        self.others = [item for item in self.operations if not isinstance(item, Step)]
        tensors = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]
        tensors += [tensor for item in self.others for tensor in item.needs()]
        nodes = [tensor.node for tensor in tensors]
        apart = [node for node in dict.fromkeys(nodes) if node not in self.fed]
        self.constants = [node for node in apart if node.op == "constant"]
        read = {node: graph.variable_read(node) for node in apart}
        self.variables = [(node, variable) for node, variable in read.items() if variable is not None]
        computed = [node for node in apart if node.op != "constant" and read[node] is None]
        self.asked = Asked(graph, computed, fed)
        self.nothing = Asked(graph, (), fed) if len(self.steps) > 1 else self.asked  # of all steps but the first
        self._places = self._direct_places()
        self.takes: Callable[[Mapping[Any, Any]], dict[Node, Any]] = dict
        self.give: Callable[[list[Any]], Any] = list

    def _add(self, item: Operation) -> None:
        for other in item.before:
            self._add(other)
        if item not in self.operations:
            self.operations.append(item)

    def _direct_places(self) -> list[int] | None:
        """Where each leaf is among what the native call gives, -1 for an operation; None if there is more to do."""
        if self.others or self.constants or self.variables:
            return None
        places = {node: number for number, node in enumerate(self.asked.nodes)}
        found: list[int] = []
        for leaf in self.leaves:
            if isinstance(leaf, Tensor) and leaf.node in places:
                found.append(places[leaf.node])
            elif isinstance(leaf, Step):
                found.append(-1)
            else:
                return None
        return found

    def values(self, fed: Mapping[Any, Any]) -> dict[Node, Any]:
        """What is fed by declared node."""
        return self.takes(fed) if fed else {}

    def shape(self, fetches: Any) -> None:
        """Gives results in the structure of ``fetches``."""
        if is_leaf(fetches):
            self.give = lambda results: results[0]
        elif type(fetches) is list and all(map(is_leaf, fetches)):
            self.give = lambda results: results
        else:
            self.give = packer(fetches)

    def __call__(self, session: BaseSession, values: Mapping[Node, Any], seed: int) -> list[Any]:
        arrays: Sequence[np.ndarray] = ()
        if self.steps:
            first, *rest = self.steps
            arrays = first.step(session, self.asked, values, seed)
            for item in rest:
                item.step(session, self.nothing, values, seed)
        elif self.asked.nodes:
            arrays = self._computed(session, values, seed)
        if self._places is not None:
            return [None if place < 0 else _given(arrays[place]) for place in self._places]
        found: dict[Node, Any] = {node: node["value"] for node in self.constants}
        found.update(zip(self.asked.nodes, arrays, strict=True))
        results: dict[int, Any] = {}
        for other in self.others:
            self._read(session, found, {tensor.node for tensor in other.needs()})
            needed = [self._one(tensor.node, found, values) for tensor in other.needs()]
            results[id(other)] = other.execute(session, needed)
        self._read(session, found)  # last: a variable that is fetched has the value after what the run did to it
        return [self._result(leaf, found, values, results, session) for leaf in self.leaves]

    def _read(self, session: BaseSession, found: dict[Node, Any], only: Collection[Node] | None = None) -> None:
        for node, variable in self.variables:
            if only is None or node in only:
                found[node] = session.value(variable).copy()

    def _computed(self, session: BaseSession, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        if self.asked.derivative is not None:
            found: Sequence[np.ndarray] = self.asked.derivative.compute(session, self.asked, values, seed)
            return found
        return self.asked.program().run(session, self.asked.cut, values, seed)

    def _one(self, node: Node, found: Mapping[Node, Any], values: Mapping[Node, Any]) -> Any:
        return found[node] if node in found else as_fed(values[node], np.dtype(node.dtype), node)

    def _result(
        self, leaf: Any, found: Mapping[Node, Any], values: Mapping[Node, Any], results: Mapping[int, Any], session: Any
    ) -> Any:
        if isinstance(leaf, Tensor):
            return _given(self._one(leaf.node, found, values))
        if isinstance(leaf, ExtraVariable):
            return _given(np.array(session.value(leaf)))
        return results.get(id(leaf))


def _given(array: Any) -> Any:
    """An array as a run gives it: scalars as NumPy's own."""
    return array if array.ndim else array[()]
