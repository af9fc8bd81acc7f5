"""Compiled code of runs. Fetches are compiled once, and one native call computes as many of them as possible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.nest import is_leaf, packer
from ...declare.tensor import Tensor
from ...ir.graph import Node, topological
from ...program.program import Program, compile_beside
from ...support.bounded_cache import BoundedCache
from ...support.errors import shown, user_line, warn
from .errors import FailedPreconditionError, InvalidArgumentError
from .graph import Graph
from .operations import Operation, Step
from .rolling.rolled import Rolled
from .schedule import Phase, Schedule, earlier_of
from .variable import ExtraVariable

MAX_CUTS = 256
"""Maximum number of cuts (sets of Tensors that are fed instead of computed) whose inputs a program caches."""
Values = Mapping[Node, Any]
"""Feeds of a run by declared node."""


class FetchSet:
    """Tensors that are fetched together in runs that feed the same Tensors in place of computing them.

    Attributes:
        nodes: Declared nodes, each once.
        fed: Fed nodes other than placeholders.
        cut: Function from declared nodes to copies that read placeholders in place of ``fed``.
        reads: Placeholders on which the nodes depend, including those that stand for gradients.
        derivative: ``Derivative`` of the first placeholder that stands for a gradient; None if there is none.
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
        """Return the program that computes all nodes in one native call."""
        if self._program is None:
            self._program = FetchProgram(self.graph, self.tensors)
        return self._program


class Run:
    """Compiled code for runs with the same fetches and the same fed Tensors.

    Attributes:
        to_node_values: Function from a run's feeds to their values by declared node.
        to_structure: Function from the list of the results' leaves to the structure of the fetches.
    """

    def __init__(self, graph: Graph, leaves: Sequence[Any], fed: Sequence[Node]) -> None:
        self.graph, self.version, self.where = graph, graph.version, user_line()
        self.leaves = list(leaves)
        self.fed = tuple(fed)
        self.operations: dict[Operation, None] = {}
        nodes = [leaf.node for leaf in self.leaves if isinstance(leaf, Tensor)]
        for item in [*(leaf for leaf in self.leaves if isinstance(leaf, Operation)), *graph.required_by(nodes)]:
            self._add(item)
        computed = [node for node in dict.fromkeys(nodes) if node not in self.fed]
        self.schedule = Schedule(graph, list(self.operations), computed, fed)
        self.needs = {item: self.schedule.needs(item) for item in self.schedule.operations}
        self._check_feeds((*nodes, *(node for item in self.operations for node in item.forces())))
        every = dict.fromkeys((*computed, *(node for needs in self.needs.values() for node in needs)))
        self.constants = [node for node in every if node.op == "constant"]
        self.variables = {node: graph.variables[node["slot"]] for node in every if node.op == "parameter"}
        self.calls = [_Call(self, phase) for phase in self.schedule.phases]
        self._places = self._direct_places()
        first = self.calls[0] if self._places is not None else None
        self._step: Any = first.phase.operation if first is not None and first.phase.fused else None
        self.to_node_values: Callable[[Mapping[Any, Any]], dict[Node, Any]] = dict
        self.to_structure: Callable[[list[Any]], Any] = list

    def _add(self, item: Operation) -> None:
        """Append an operation to the run's, after the operations that must run before it."""
        if item in self.operations:
            return
        for other in earlier_of(self.graph, item):
            self._add(other)
        self.operations[item] = None

    def _check_feeds(self, nodes: Iterable[Node]) -> None:
        """Raise ``ArgumentError`` if a gradient of the run passes through a Tensor that is fed."""
        computed = [node for node in self.fed if node.operands]
        if not computed:
            return
        for node in topological(list(nodes), known=dict.fromkeys(self.fed)):
            if node.op == "input" and node.get("gradient") is not None:
                node["gradient"].raise_if_fed(computed)

    def _direct_places(self) -> list[int] | None:
        """Return the index of each fetch among the results of a run's only native call; else None.

        The result is None if one native call cannot compute all leaves, or if leaves are constants or variables.
        """
        if not self.leaves or len(self.calls) != 1 or self.constants or self.variables or not self.calls[0].is_native:
            return None
        places = {node: number for number, node in enumerate(self.calls[0].fetches.nodes)}
        positions: list[int] = []
        for leaf in self.leaves:
            if isinstance(leaf, Tensor) and leaf.node in places:
                positions.append(places[leaf.node])
            elif isinstance(leaf, Step):
                positions.append(-1)
            else:
                return None
        return positions

    def set_structure(self, fetches: Any) -> None:
        """Set the structure in which runs return results to that of ``fetches``."""
        if is_leaf(fetches):
            self.to_structure = lambda results: results[0]
        elif type(fetches) is list and all(map(is_leaf, fetches)):
            self.to_structure = lambda results: results
        else:
            self.to_structure = packer(fetches)

    def __call__(self, session: Any, values: Mapping[Node, Any], seed: int) -> list[Any]:
        """Run with these feeds, and return the values of the fetches as a list."""
        if self._places is not None:
            call = self.calls[0]
            if self._step is not None:
                arrays = self._step.step(session, call.fetches, values, seed)
            else:
                arrays = call.native(session, values, seed)
            leaves: list[Any] = [array if array.ndim else array[()] for array in arrays]
            leaves.append(None)  # result of an operation, at position -1
            return [leaves[place] for place in self._places]
        values_by_node: dict[Node, Any] = {node: node["value"] for node in self.constants}
        results: dict[int, Any] = {}
        for call in self.calls:
            call(session, values, seed, values_by_node, results)
        # A fetched variable has its value from after the run's operations.
        for node, variable in self.variables.items():
            values_by_node[node] = session.value(variable).copy()
        return [self._result(leaf, values_by_node, values, results, session) for leaf in self.leaves]

    def value_of(self, node: Node, results: Mapping[Node, Any], values: Mapping[Node, Any], session: Any) -> Any:
        """Return the value of a node: the present value of a variable that is not fed, a computed value, or a feed."""
        if node in self.variables and node not in self.fed:
            return session.value(self.variables[node]).copy()
        return results[node] if node in results else as_fed(values[node], np.dtype(node.dtype), node)

    def _result(
        self,
        leaf: Any,
        computed: Mapping[Node, Any],
        values: Mapping[Node, Any],
        results: Mapping[int, Any],
        session: Any,
    ) -> Any:
        """Return the fetched value of a leaf: an array, a NumPy scalar, or what an operation returned."""
        if isinstance(leaf, Tensor):
            return _as_returned(self.value_of(leaf.node, computed, values, session))
        if isinstance(leaf, ExtraVariable):
            return _as_returned(np.array(session.value(leaf)))
        return results.get(id(leaf))


class _Call:
    """One phase of a run, with its compiled code.

    Attributes:
        reads: (node, variable) pairs of the phase's nodes that only read a variable.
        fetches: The other nodes of the phase, which one native call computes.
    """

    def __init__(self, run: Run, phase: Phase) -> None:
        self.run, self.phase = run, phase
        read = {node: run.graph.variable_read(node) for node in phase.nodes}
        self.reads = [(node, variable) for node, variable in read.items() if variable is not None]
        computed = [node for node in phase.nodes if read[node] is None]
        self.fetches = FetchSet(run.graph, computed, (*run.fed, *phase.saved))
        self.is_native = not self.reads and not phase.saved and (phase.fused or phase.operation is None)

    def native(self, session: Any, values: Values, seed: int) -> Sequence[np.ndarray]:
        """Run the phase's native call, and return the values of ``fetches``."""
        if self.phase.fused:
            step: Any = self.phase.operation
            arrays: Sequence[np.ndarray] = step.step(session, self.fetches, values, seed)
            return arrays
        if not self.fetches.nodes:
            return ()
        if self.fetches.derivative is not None:
            arrays = self.fetches.derivative.compute(session, self.fetches, values, seed)
            return arrays
        return self.fetches.program().run(session, self.fetches.cut, values, seed)

    def __call__(
        self, session: Any, values: Values, seed: int, computed: dict[Node, Any], results: dict[int, Any]
    ) -> None:
        """Run one phase. Put its nodes' values into ``computed``, and its operation's result into ``results``."""
        for node, variable in self.reads:
            computed[node] = session.value(variable).copy()
        known = {**values, **{node: computed[node] for node in self.phase.saved}}
        computed.update(zip(self.fetches.nodes, self.native(session, known, seed), strict=True))
        operation = self.phase.operation
        if operation is None or self.phase.fused:
            return
        acting = operation.separated() if isinstance(operation, Step) else operation
        arrays = [self.run.value_of(node, computed, values, session) for node in self.run.needs[operation]]
        results[id(operation)] = acting.execute(session, arrays)


def _as_returned(array: Any) -> Any:
    """Convert an array of rank 0 to a NumPy scalar, as runs return it."""
    return array if array.ndim else array[()]


class FetchProgram:
    """Compiled program for named Tensors, and the conversion of a run's feeds to the program's inputs."""

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
        # By cut and node: name and dtype of the input to which the node is fed; None if the program has no such input.
        self._inputs_by_cut: BoundedCache[Any, dict[Node, tuple[str, np.dtype[Any]] | None]] = BoundedCache(MAX_CUTS)
        # Random inputs (name, dtype, function that draws), and placeholders for gradients. Computed on first use.
        self._drawn: list[tuple[str, np.dtype[Any], Any]] | None = None
        self._stand_ins: list[Node] = []
        self.variables = tuple(self.program.parameters)
        self.draws = bool(self.program.parts.lowered.masks.outputs)

    def feeds(self, session: Any, cut: Any, values: Values, seed: int) -> dict[str, np.ndarray]:
        """Return the arrays for a program's inputs, by name, from a run's feeds."""
        arrays: dict[str, np.ndarray] = {}
        takes = self._inputs_by_cut.get(cut)
        if takes is None:
            takes = self._inputs_by_cut[cut] = {}
        for node, value in values.items():
            label = takes[node] if node in takes else takes.setdefault(node, self.inputs.get(cut.fed_by(node)))
            if label is not None:
                name, kind = label
                plain = type(value) is np.ndarray and value.dtype is kind
                arrays[name] = value if plain else as_fed(value, kind, node)
        return arrays if len(arrays) == len(self.inputs) else self._with_unfed(session, cut, values, seed, arrays)

    def _with_unfed(
        self, session: Any, cut: Any, values: Values, seed: int, feeds: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Add to ``feeds`` the inputs that the caller does not feed: derived values, gradients and random numbers."""
        for node, derived in session.graph.derived.items():
            label = self.inputs.get(cut.fed_by(node))
            if label is not None and label[0] not in feeds:
                feeds[label[0]] = as_fed(derived.value(session, values, seed), label[1], node)
        if self._drawn is None:
            self._drawn = [
                (*item, node["drawn"]) for node, item in self.inputs.items() if node.get("drawn") is not None
            ]
            self._stand_ins = [node for node in self.inputs if node.get("gradient") is not None]
        if self._stand_ins:  # this program reads gradients of losses, which other calls compute
            missing = [node for node in self._stand_ins if self.inputs[node][0] not in feeds]
            arrays = self._stand_ins[0]["gradient"].stand_in_values(session, missing, values, seed)
            feeds.update((self.inputs[node][0], array) for node, array in arrays.items())
        for name, kind, drawn in self._drawn:
            if name not in feeds:
                feeds[name] = np.asarray(drawn(session.graph.seed or 0, seed), kind)
        return feeds

    def check(self, session: Any, names: Collection[str] | None = None) -> None:
        """Raise ``FailedPreconditionError`` if a variable that the program reads has no value in a session.

        Args:
            session: Session of the run.
            names: Names of variables to check instead of the program's own, in a hashable collection.
        """
        key = self if names is None else names
        if key in session.ready:
            return
        read = self.variables if names is None else sorted(names)
        if session.initialized.issuperset(read):
            session.ready.add(key)
            return
        missing = [name for name in read if name not in session.initialized]
        raise FailedPreconditionError(uninitialized(missing, self.graph), user_line())

    def run(self, session: Any, cut: Any, values: Values, seed: int) -> list[np.ndarray]:
        """Return the values of a program's outputs in a list, from one native call."""
        self.check(session)
        self.warn_of_dropout()
        outputs = self.program.training(self.feeds(session, cut, values, seed), seed=seed)
        return list(outputs.values())

    def warn_of_dropout(self) -> None:
        """Warn that runs of this program apply dropout, if they do. Each graph warns once."""
        if self.draws and "dropout" not in self.graph.warned:
            self.graph.warned.add("dropout")
            warn(
                "this run drops units, as TensorFlow's do: feed a keep_prob of 1.0 to evaluate and to predict. "
                "rg.compile makes a training graph with dropout and an inference graph without, and needs no feed "
                "for it: docs/tf1.md",
                user_line(),
            )


def uninitialized(names: Sequence[str], graph: Graph) -> str:
    """Return the error message for variables without a value, with the remedy."""
    if local := [name for name in names if name in graph.non_global]:
        return f"{', '.join(local[:5])} {'has' if len(local) == 1 else 'have'} no value in this session; run " + (
            "tf.local_variables_initializer(), declared after the last metric of tf.metrics"
        )
    shown_names = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return (
        f"{shown_names} {'has' if len(names) == 1 else 'have'} no value in this session; run "
        "tf.global_variables_initializer(), declared after the last variable, or restore a checkpoint"
    )


def as_fed(value: Any, kind: np.dtype[Any], node: Node) -> np.ndarray:
    """Convert a feed to the dtype of its node, as TensorFlow does: floats for ints are truncated."""
    if type(value) is np.ndarray and value.dtype == kind:
        return value
    if isinstance(value, Tensor):
        raise InvalidArgumentError(
            f"{node.name or node.op} can't be fed the Tensor {shown(value)}; run the Tensor first, and feed the result"
        )
    try:
        return np.asarray(value, dtype=kind)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(f"{node.name or node.op} can't be fed {shown(value)}: {error}") from None
