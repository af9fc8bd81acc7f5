"""Reads the nodes of a graph in topological order, and collects errors.

Only the nodes that an output needs are read. An explicit stack computes the order, so Python's recursion limit does not
limit a graph's depth. Nested graphs recurse; ``model`` limits their depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...ir.types import Size
from ...support.errors import FileError, RnnGraphError, shown
from ..steps import Value
from .bodies import body_of
from .core.known import Deferred, Operand, known, shape_of
from .core.model import MAX_DEPTH, Graph, Model, Node, subgraphs
from .core.sizes import ForcedSizeError, Undecided, UnreadableError, checked
from .core.table import Call, reader_of
from .core.tensors import Tensors
from .fusing import with_sums
from .ops.control import possible_branches
from .ops.quantized import of_floats
from .recurrent.drivers import stack_of
from .unread import reason_for

MAX_RANK = 16
_READER_ERRORS = (RnnGraphError, UnreadableError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that readers of ops raise for damaged nodes, such as invalid arguments and arrays."""


@dataclass(frozen=True)
class Failed:
    """Placeholder for an output of a node that cannot be read, or that depends on an unreadable node."""


@dataclass(frozen=True)
class OmittedOutput:
    """Placeholder for an optional output that the reader of the op does not compute."""

    node: Node
    name: str


FAILED = Failed()


class InnerError(Exception):
    """Error for a nested graph that cannot be read. The errors of the graph's nodes are listed instead."""


class Reading:
    """State of one reading of a model.

    Attributes:
        stacks: For each recurrent node in a stack, all nodes of the stack, which become one driver.
        choices: Assumed results of comparisons of sizes, by the node that compares; by default False.
        undecided: Comparisons of sizes whose results were assumed, by the node that compares.
        forced: {name of a symbolic size: (number that a node needs it to be, name of the node)}.
    """

    def __init__(
        self, model: Model, tensors: Tensors, stacks: Mapping[Node, Sequence[Node]], choices: Mapping[Node, bool]
    ) -> None:
        self.model, self.tensors, self.stacks, self.choices = model, tensors, stacks, choices
        self.undecided: dict[Node, Undecided] = {}
        self.forced: dict[str, tuple[int, str]] = {}
        self.problems: list[str] = []
        self.depth = 0

    def decide(self, node: Node, entry: Undecided) -> bool:
        """Return the assumed result of a comparison of sizes: the node's choice, by default that sizes differ."""
        self.undecided.setdefault(node, entry)
        return self.choices.get(node, False) != entry.negated

    def failed(self, node: Node, error: Exception) -> None:
        """Add a node's error to ``problems``. Record the symbolic size if it must be fixed to read the node."""
        what = error.what if isinstance(error, RnnGraphError) else str(error)
        if isinstance(error, ForcedSizeError):
            self.forced.setdefault(error.name, (error.value, str(node)))
            what += f"; pass {self.tensors.fixing(error.name, error.value)}"
        self.problems.append(f"{node}: {what or type(error).__name__}")

    def opset(self, node: Node) -> int:
        opsets = self.model.opsets if node.opsets is None else node.opsets
        return opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)


class GraphReader:
    """Reads the nodes of one graph, and holds the values that they compute."""

    def __init__(
        self,
        reading: Reading,
        graph: Graph,
        inputs: Mapping[str, Operand],
        outer: GraphReader | None = None,
        tensors: Tensors | None = None,
    ) -> None:
        """Create a reader.

        Args:
            reading: State that all graphs of the model share.
            graph: The graph.
            inputs: Values of the graph's inputs, by name.
            outer: Reader of the enclosing graph; None for the outermost graph.
            tensors: Object that declares the values, by default the enclosing graph's.
        """
        self._reading, self._graph, self._outer = reading, graph, outer
        self._tensors: Tensors = tensors or (reading.tensors if outer is None else outer._tensors)
        self._makers = with_sums(graph)
        self._values: dict[str, Any] = dict(inputs)

    def outputs(self) -> list[Any]:
        """Return the values of the graph's outputs, in order; ``FAILED`` for an output that cannot be read."""
        self._reading.depth += 1
        if self._reading.depth > MAX_DEPTH:
            raise FileError(f"{self._reading.model.name} has graphs nested more than {MAX_DEPTH} deep, the maximum")
        self._read(self._graph.outputs)
        self._reading.depth -= 1
        return [self._value(name) for name in self._graph.outputs]

    def branch(self, graph: Graph, inputs: Mapping[str, Operand], tensors: Tensors | None = None) -> list[Operand]:
        """Return the outputs of a nested graph. If a node cannot be read, list its problem and raise ``InnerError``."""
        outputs = GraphReader(self._reading, graph, inputs, self, tensors).outputs()
        if FAILED in outputs:
            raise InnerError
        return outputs

    def decide(self, node: Node, entry: Undecided) -> bool:
        return self._reading.decide(node, entry)

    def _is_own(self, name: str) -> bool:
        """True if the value is an input, an array or a result of this graph, rather than of an enclosing one."""
        return name in self._values or name in self._graph.makers or name in self._graph.arrays

    def _value(self, name: str) -> Any:
        """Return a value of this graph or an enclosing one by its name. Reads the nodes on which the value depends."""
        reader: GraphReader | None = self
        while reader is not None and not reader._is_own(name):
            reader = reader._outer
        if reader is None:
            raise FileError(f"{self._reading.model.name} is damaged: no node computes {shown(name)}; export it again")
        if name not in reader._values:
            reader._read([name])
        value = reader._values[name]
        if isinstance(value, OmittedOutput):
            self._reading.failed(
                value.node, UnreadableError(f"its optional output {shown(value.name)} is not supported")
            )
            value = reader._values[name] = FAILED
        return value

    # Order of reading -------------------------------------------------------------------------------

    def _read(self, names: Iterable[str]) -> None:
        """Read the nodes that compute values, and all nodes on which these depend, operands first."""
        pending: list[tuple[str, int]] = [(name, 0) for name in reversed(list(names))]
        in_progress: set[Node] = set()
        while pending:
            name, stage = pending.pop()
            if name in self._values or not self._is_own(name):
                continue
            if name in self._graph.arrays:
                self._values[name] = known(self._reading.model.arrays.array(self._graph.arrays[name]))
                continue
            node = self._makers[name]
            if stage == 2:
                in_progress.discard(node)
                self._read_node(node)
                continue
            if stage == 0 and node in in_progress:
                raise FileError(
                    f"{self._reading.model.name} is damaged: {node} depends on its own output; export it again"
                )
            in_progress.add(node)
            needed = self._inputs(node) if stage == 0 else self._captured(node)
            pending.append((name, stage + 1))
            pending += [(item, 0) for item in reversed(needed) if item and item not in self._values]

    def _inputs(self, node: Node) -> list[str]:
        """Return the inputs of a node; for a stack, the inputs of all layers without the values between layers."""
        first, *others = self._reading.stacks.get(node, (node,))
        return [*first.inputs, *(name for other in others for name in other.inputs[1:])]

    def _captured(self, node: Node) -> list[str]:
        """Return the names of this graph that a node's nested graphs read, except branches of an If that can't run."""
        graphs = list(subgraphs(node))
        if node.op == "If" and node.inputs:
            try:
                graphs = possible_branches(node, self._value(node.inputs[0]), partial(self.decide, node), self._tensors)
            except UnreadableError:  # reading the node itself will raise the error again
                return []
        return [name for graph in graphs for name in _read_by(graph) if self._is_own(name)]

    # Nodes -------------------------------------------------------------------------------------------

    def _read_node(self, node: Node) -> None:
        """Read a node or its whole stack, and record the outputs. A failure is listed as a problem."""
        nodes = self._reading.stacks.get(node, (node,))
        results: list[list[Any]] = [[FAILED] * len(part.outputs) for part in nodes]
        try:
            results = self._outputs_of(nodes)
        except InnerError:
            pass
        except FileError:
            raise
        except _READER_ERRORS as error:
            self._reading.failed(node, error)
        for part, values in zip(nodes, results, strict=True):
            filled = [*values, *[None] * len(part.outputs)]
            for name, value in zip(part.outputs, filled, strict=False):
                if name:
                    self._values[name] = OmittedOutput(part, name) if value is None else value

    def _outputs_of(self, nodes: Sequence[Node]) -> list[list[Any]]:
        """Return the outputs of a node, or of each node of a stack. ``FAILED`` if an input failed."""
        calls = []
        for number, node in enumerate(nodes):
            inputs = [
                self._value(name) if name and (number == 0 or place) else None for place, name in enumerate(node.inputs)
            ]
            if FAILED in inputs:
                return [[FAILED] * len(part.outputs) for part in nodes]
            reading = self._reading
            if reader_of(node) is None:
                return [self._by_body(node, inputs)]
            calls.append(Call(node, inputs, reading.opset(node), self._tensors, reading.model.arrays, self))
        if len(calls) > 1:
            return stack_of(calls)
        reader = reader_of(nodes[0])
        assert reader is not None
        moved = of_floats(calls[0])
        result = reader(calls[0]) if moved is None else moved
        outputs: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
        for value in outputs:
            _check(value)
        return [outputs]

    def _by_body(self, node: Node, inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs of a node without a reader, by the function body of its op."""
        reading = self._reading
        body = body_of(node, inputs, reading.opset(node))
        if body is None:
            raise UnreadableError(reason_for(node.op, node.domain))
        count = len(reading.problems)
        try:
            outputs = iter(
                self.branch(body, {name: item for name, item in zip(node.inputs, inputs, strict=True) if name})
            )
        except InnerError:
            inner = reading.problems[count:]
            del reading.problems[count:]
            raise UnreadableError(f"its function body can't be read: {inner[0]}") from None
        return [next(outputs) if name else None for name in node.outputs]


def _check(value: Operand | Deferred | None) -> None:
    """Raise ``UnreadableError`` if an output's rank, or a formula in its shape, exceeds the limits."""
    if value is None or isinstance(value, Deferred):
        return
    shape = shape_of(value)
    if len(shape) > MAX_RANK:
        raise UnreadableError(f"its output has rank {len(shape)}, which is not supported")
    for dim in shape if isinstance(value, Value) else ():
        if isinstance(dim, Size):
            checked(dim)


def _read_by(graph: Graph) -> list[str]:
    """Return the names that a graph's nodes read from enclosing graphs, each once."""
    names = [name for node in graph.nodes for name in node.inputs]
    own = {*graph.makers, *graph.inputs, *graph.arrays}
    return list(dict.fromkeys(name for name in [*names, *graph.outputs] if name and name not in own))
