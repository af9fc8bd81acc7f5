"""What a run asks for, compiled once and kept: one native call for all Tensors of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...errors import shown, user_line, warn
from ...ir.graph import Node, topological
from ...program.program import Program, compile
from .errors import FailedPreconditionError, InvalidArgumentError
from .graph import Graph
from .operations import Operation
from .rolled import Rolled

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


class FetchProgram:
    """A compiled program for Tensors by name, and what it is fed."""

    def __init__(self, graph: Graph, outputs: Mapping[str, Tensor], loss: Tensor | None = None) -> None:
        self.graph = graph
        root = graph.program()
        self.program: Program[Any] = compile(dict(outputs), loss, parameters=root, seed=graph.seed or 0)
        training = self.program.training
        takes, types = set(training.input_names()), training.input_types()
        placeholders = self.program.parts.lowered.placeholders
        self.inputs = {
            node: (name, np.dtype(types[name].dtype)) for node, name in placeholders.items() if name in takes
        }
        self.variables = tuple(self.program.parameters)
        self.draws = bool(self.program.parts.lowered.masks.outputs)

    def feeds(self, session: Any, cut: Any, values: Values, seed: int) -> dict[str, np.ndarray]:
        """What a run's values are to the program."""
        given: dict[str, np.ndarray] = {}
        for node, value in values.items():
            found = self.inputs.get(cut.fed_by(node))
            if found is not None:
                given[found[0]] = as_fed(value, found[1], node)
        for node, derived in session.graph.derived.items() if len(given) < len(self.inputs) else ():
            found = self.inputs.get(cut.fed_by(node))
            if found is not None and found[0] not in given:
                given[found[0]] = as_fed(derived.value(session, values, seed), found[1], node)
        if len(given) < len(self.inputs):
            for node, (name, kind) in self.inputs.items():
                drawn = node.get("drawn")
                if drawn is not None and name not in given:
                    given[name] = np.asarray(drawn(session.graph.seed or 0, seed), kind)
        return given

    def check(self, session: Any, names: Sequence[str] | None = None) -> None:
        """Raises ``FailedPreconditionError`` where a variable has no value in a session. names: others than its own."""
        read = self.variables if names is None else names
        if session.initialized.issuperset(read):
            return
        missing = [name for name in read if name not in session.initialized]
        raise FailedPreconditionError(uninitialized(missing, self.graph), user_line())

    def run(self, session: Any, cut: Any, values: Values, seed: int) -> list[np.ndarray]:
        """The outputs in order, of one native call."""
        self.check(session)
        self.tell()
        found = self.program.training(self.feeds(session, cut, values, seed), seed=seed)
        return [found[name] for name in self.program.structure]

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
