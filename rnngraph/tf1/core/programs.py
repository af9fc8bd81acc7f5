"""What a run asks for, compiled once and kept: one native call for all Tensors of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.nest import is_leaf, packer
from ...declare.tensor import Tensor
from ...errors import shown, user_line, warn
from ...ir.graph import Node, topological
from ...program.program import Program, compile_beside
from .errors import FailedPreconditionError, InvalidArgumentError
from .graph import Graph
from .operations import Operation
from .rolled import Rolled
from .variable import ExtraVariable

Values = Mapping[Node, Any]
"""What a run is fed, by the declared node."""


class Step(Operation):
    """An operation whose native call computes Tensors too, with the values of before it, such as one that trains."""

    def step(self, session: Any, asked: Asked, values: Values, seed: int) -> Sequence[np.ndarray]:
        """Runs it; gives what is asked for."""
        raise NotImplementedError


class Asked:
    """Tensors that are asked for together, and the Tensors that are fed in their stead.

    nodes: declared ones, each once. fed: those that are fed and are no placeholders; cut: the declaration over these.
    reads: placeholders that they depend on, gradients' stand-ins too; derivative: what the first of these stands for.
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node], fed: Iterable[Node]) -> None:
        self.graph, self.nodes = graph, tuple(nodes)
        places = [node for node in fed if node.op != "input"]
        self.fed = frozenset(places)
        self.cut = Rolled(graph.cut(places), self.nodes)
        self.tensors = {str(number): Tensor(self.cut(node)) for number, node in enumerate(self.nodes)}
        self.reads = [
            node for node in topological([tensor.node for tensor in self.tensors.values()]) if node.op == "input"
        ]
        gradients = (node.get("gradient") for node in self.reads)
        self.derivative: Any = next((item for item in gradients if item is not None), None)
        self._program: FetchProgram | None = None

    def program(self) -> FetchProgram:
        """What computes them in one call."""
        if self._program is None:
            self._program = FetchProgram(self.graph, self.tensors)
        return self._program


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
        others = [item for item in self.operations if not isinstance(item, Step)]
        self.others = [(item, [tensor.node for tensor in item.needs()]) for item in others]
        nodes = [leaf.node for leaf in self.leaves if isinstance(leaf, Tensor)]
        nodes += [node for _, needs in self.others for node in needs]
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

    def shape(self, fetches: Any) -> None:
        """Gives results in the structure of ``fetches``."""
        if is_leaf(fetches):
            self.give = lambda results: results[0]
        elif type(fetches) is list and all(map(is_leaf, fetches)):
            self.give = lambda results: results
        else:
            self.give = packer(fetches)

    def __call__(self, session: Any, values: Mapping[Node, Any], seed: int) -> list[Any]:
        arrays: Sequence[np.ndarray] = ()
        if self.steps:
            arrays = self.steps[0].step(session, self.asked, values, seed)
            for item in self.steps[1:]:
                item.step(session, self.nothing, values, seed)
        elif self.asked.nodes:
            arrays = self._computed(session, values, seed)
        if self._places is not None:
            given: list[Any] = [array if array.ndim else array[()] for array in arrays]
            given.append(None)  # at -1, of operations
            return [given[place] for place in self._places]
        found: dict[Node, Any] = {node: node["value"] for node in self.constants}
        found.update(zip(self.asked.nodes, arrays, strict=True))
        results: dict[int, Any] = {}
        for other, needs in self.others:
            self._read(session, found, needs)
            results[id(other)] = other.execute(session, [self._one(node, found, values) for node in needs])
        self._read(session, found)  # last: a variable that is fetched has the value after what the run did to it
        return [self._result(leaf, found, values, results, session) for leaf in self.leaves]

    def _read(self, session: Any, found: dict[Node, Any], only: Collection[Node] | None = None) -> None:
        for node, variable in self.variables:
            if only is None or node in only:
                found[node] = session.value(variable).copy()

    def _computed(self, session: Any, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
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


class FetchProgram:
    """A compiled program for Tensors by name, and what it is fed."""

    def __init__(self, graph: Graph, outputs: Mapping[str, Tensor], loss: Tensor | None = None) -> None:
        self.graph = graph
        root = graph.program()
        self.program: Program[Any] = compile_beside(dict(outputs), loss, root, graph.seed or 0)
        training = self.program.training
        takes, types = set(training.input_names()), training.input_types()
        placeholders = self.program.parts.lowered.placeholders
        self.inputs = {
            node: (name, np.dtype(types[name].dtype)) for node, name in placeholders.items() if name in takes
        }
        self._takes: dict[Any, dict[Node, tuple[str, np.dtype[Any]] | None]] = {}  # by cut and node, what was found
        # Inputs that are random, and those that stand for gradients, once they are asked for.
        self._drawn: list[tuple[str, np.dtype[Any], Any]] | None = None
        self._stand_ins: list[Node] = []
        self.variables = tuple(self.program.parameters)
        self.draws = bool(self.program.parts.lowered.masks.outputs)

    def feeds(self, session: Any, cut: Any, values: Values, seed: int) -> dict[str, np.ndarray]:
        """What a run's values are to the program."""
        given: dict[str, np.ndarray] = {}
        takes = self._takes.get(cut)
        if takes is None:
            takes = self._takes[cut] = {}
        for node, value in values.items():
            found = takes[node] if node in takes else takes.setdefault(node, self.inputs.get(cut.fed_by(node)))
            if found is not None:
                name, kind = found
                plain = type(value) is np.ndarray and value.dtype is kind
                given[name] = value if plain else as_fed(value, kind, node)
        return given if len(given) == len(self.inputs) else self._more(session, cut, values, seed, given)

    def _more(
        self, session: Any, cut: Any, values: Values, seed: int, given: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """What was given, and what is made of it or drawn."""
        for node, derived in session.graph.derived.items():
            found = self.inputs.get(cut.fed_by(node))
            if found is not None and found[0] not in given:
                given[found[0]] = as_fed(derived.value(session, values, seed), found[1], node)
        if self._drawn is None:
            self._drawn = [
                (*item, node["drawn"]) for node, item in self.inputs.items() if node.get("drawn") is not None
            ]
            self._stand_ins = [node for node in self.inputs if node.get("gradient") is not None]
        if self._stand_ins:  # for gradients of other losses, which this one is made of
            missing = [node for node in self._stand_ins if self.inputs[node][0] not in given]
            arrays = self._stand_ins[0]["gradient"].ahead(session, missing, values, seed)
            given.update((self.inputs[node][0], array) for node, array in arrays.items())
        for name, kind, drawn in self._drawn:
            if name not in given:
                given[name] = np.asarray(drawn(session.graph.seed or 0, seed), kind)
        return given

    def check(self, session: Any, names: Collection[str] | None = None) -> None:
        """Raises ``FailedPreconditionError`` where a variable has no value in a session. names: others than its own,
        which are hashed.
        """
        of = self if names is None else names
        if of in session.ready:
            return
        read = self.variables if names is None else sorted(names)
        if session.initialized.issuperset(read):
            session.ready.add(of)
            return
        missing = [name for name in read if name not in session.initialized]
        raise FailedPreconditionError(uninitialized(missing, self.graph), user_line())

    def run(self, session: Any, cut: Any, values: Values, seed: int) -> list[np.ndarray]:
        """The outputs in order, of one native call."""
        self.check(session)
        self.tell()
        found = self.program.training(self.feeds(session, cut, values, seed), seed=seed)
        return list(found.values())

    def tell(self) -> None:
        """Says once in a graph that dropout is part of every run."""
        if self.draws and not self.graph.told:
            self.graph.told = True
            warn(
                "this run drops units, as TensorFlow's do: feed a keep_prob of 1.0 to evaluate and to predict. "
                "rg.compile makes a training graph with dropout and an inference graph without, and needs no feed "
                "for it: docs/tf1.md",
                user_line(),
            )


def uninitialized(names: Sequence[str], graph: Graph) -> str:
    """What is wrong where variables of a graph have no value."""
    if local := [name for name in names if name in graph.apart]:
        return f"{', '.join(local[:5])} {'has' if len(local) == 1 else 'have'} no value in this session; run " + (
            "tf.local_variables_initializer() made after the last measure of tf.metrics"
        )
    shown_names = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return (
        f"{shown_names} {'has' if len(names) == 1 else 'have'} no value in this session; run "
        "tf.global_variables_initializer() made after the last variable, or restore a checkpoint"
    )


def as_fed(value: Any, kind: np.dtype[Any], node: Node) -> np.ndarray:
    """A feed in the dtype of what it is fed to, as TensorFlow converts it: floats to ints are cut off."""
    if type(value) is np.ndarray and value.dtype == kind:
        return value
    if isinstance(value, Tensor):
        raise InvalidArgumentError(f"{shown(value)} is fed; run it first, and feed what that gives")
    try:
        return np.asarray(value, dtype=kind)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{node.name or node.op} can't be fed {shown(value)}: {error}") from None
