"""The nodes of a graph in the order in which they are needed; what can't be read of them is gathered.

Only what an output needs is read. The order is found with a list and not by calls of calls, so that graphs may be as
deep as they like; graphs within nodes are calls, and as deep as ``model`` lets them be.
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
from .core.model import DEEPEST, Graph, Model, Node, subgraphs
from .core.sizes import ForcedSizeError, Undecided, UnreadableError, checked
from .core.table import Call, reader_of
from .core.tensors import Tensors
from .fusing import with_sums
from .ops.control import taken
from .ops.quantized import of_floats
from .recurrent.drivers import stack_of
from .unread import reason_for

MOST_RANK = 16
_TROUBLE = (RnnGraphError, UnreadableError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What readers of ops raise of damaged nodes: arguments and arrays that don't fit."""


@dataclass(frozen=True)
class Failed:
    """What a node would give that can't be read, or that needs one which can't."""


@dataclass(frozen=True)
class Lacking:
    """An output that the reader of an op doesn't give."""

    node: Node
    name: str


FAILED = Failed()


class InnerError(Exception):
    """A graph within a node can't be read; its own nodes are named."""


class Reading:
    """What is found out while a model is read once.

    stacks: nodes that become one driver, by each of them. choices: whether sizes are equal where only a call can tell,
    by the node that asks. undecided: the nodes that asked, with their conditions. forced: sizes that nodes can be read
    for alone, with the node.
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
        """Whether it holds. Sizes that may be equal or not count as not equal, unless a choice says otherwise."""
        self.undecided.setdefault(node, entry)
        return self.choices.get(node, False) != entry.negated

    def failed(self, node: Node, error: Exception) -> None:
        what = error.what if isinstance(error, RnnGraphError) else str(error)
        if isinstance(error, ForcedSizeError):
            self.forced.setdefault(error.name, (error.value, str(node)))
        self.problems.append(f"{node}: {what or type(error).__name__}")

    def opset(self, node: Node) -> int:
        opsets = self.model.opsets if node.opsets is None else node.opsets
        return opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)


class GraphReader:
    """Reads one graph. given: values of its inputs. outer: the reader of the graph around it."""

    def __init__(
        self, reading: Reading, graph: Graph, given: Mapping[str, Operand], outer: GraphReader | None = None,
        tensors: Tensors | None = None,
    ) -> None:  # fmt: skip
        """tensors: what declares values, if not what does for the graph around it."""
        self._reading, self._graph, self._outer = reading, graph, outer
        self._tensors: Tensors = tensors or (reading.tensors if outer is None else outer._tensors)
        self._makers = with_sums(graph)
        self._values: dict[str, Any] = dict(given)

    def outputs(self) -> list[Any]:
        """Values of the graph's outputs."""
        self._reading.depth += 1
        if self._reading.depth > DEEPEST:
            raise FileError(f"{self._reading.model.name} has graphs within graphs, more than {DEEPEST} deep")
        self._read(self._graph.outputs)
        self._reading.depth -= 1
        return [self._value(name) for name in self._graph.outputs]

    def branch(self, graph: Graph, given: Mapping[str, Operand], tensors: Tensors | None = None) -> list[Operand]:
        """The outputs of a graph within a node of this one. What can't be read within has been noted."""
        found = GraphReader(self._reading, graph, given, self, tensors).outputs()
        if FAILED in found:
            raise InnerError
        return found

    def decide(self, node: Node, entry: Undecided) -> bool:
        return self._reading.decide(node, entry)

    def _is_own(self, name: str) -> bool:
        return name in self._values or name in self._graph.makers or name in self._graph.arrays

    def _value(self, name: str) -> Any:
        """A value that was read, or that a graph around this one has."""
        reader: GraphReader | None = self
        while reader is not None and not reader._is_own(name):
            reader = reader._outer
        if reader is None:
            raise FileError(f"{self._reading.model.name} is damaged: nothing makes {shown(name)}")
        if name not in reader._values:
            reader._read([name])
        found = reader._values[name]
        if isinstance(found, Lacking):
            self._reading.failed(found.node, UnreadableError(f"its output {shown(found.name)} is asked for"))
            found = reader._values[name] = FAILED
        return found

    # In which order ----------------------------------------------------------------------------------

    def _read(self, names: Iterable[str]) -> None:
        """Reads what makes these values, and all that it needs, what is needed first."""
        pending: list[tuple[str, int]] = [(name, 0) for name in reversed(list(names))]
        open_ones: set[Node] = set()
        while pending:
            name, stage = pending.pop()
            if name in self._values or not self._is_own(name):
                continue
            if name in self._graph.arrays:
                self._values[name] = known(self._reading.model.arrays.array(self._graph.arrays[name]))
                continue
            node = self._makers[name]
            if stage == 2:
                open_ones.discard(node)
                self._read_node(node)
                continue
            if stage == 0 and node in open_ones:
                raise FileError(f"{self._reading.model.name} is damaged: {node} needs what it makes itself")
            open_ones.add(node)
            needed = self._inputs(node) if stage == 0 else self._captured(node)
            pending.append((name, stage + 1))
            pending += [(item, 0) for item in reversed(needed) if item and item not in self._values]

    def _inputs(self, node: Node) -> list[str]:
        """What a node needs; of layers of a stack what all of them need but what they hand to each other."""
        first, *others = self._reading.stacks.get(node, (node,))
        return [*first.inputs, *(name for other in others for name in other.inputs[1:])]

    def _captured(self, node: Node) -> list[str]:
        """What a node's graphs read of this graph; of an If node's two what is taken."""
        graphs = list(subgraphs(node))
        if node.op == "If" and node.inputs:
            try:
                graphs = taken(node, self._value(node.inputs[0]), partial(self.decide, node), self._tensors)
            except UnreadableError:  # which the reader of the op says again
                return []
        return [name for graph in graphs for name in _read_by(graph) if self._is_own(name)]

    # Nodes -------------------------------------------------------------------------------------------

    def _read_node(self, node: Node) -> None:
        nodes = self._reading.stacks.get(node, (node,))
        found: list[list[Any]] = [[FAILED] * len(part.outputs) for part in nodes]
        try:
            found = self._outputs_of(nodes)
        except InnerError:
            pass
        except FileError:
            raise
        except _TROUBLE as error:
            self._reading.failed(node, error)
        for part, values in zip(nodes, found, strict=True):
            given = [*values, *[None] * len(part.outputs)]
            for name, value in zip(part.outputs, given, strict=False):
                if name:
                    self._values[name] = Lacking(part, name) if value is None else value

    def _outputs_of(self, nodes: Sequence[Node]) -> list[list[Any]]:
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
        made = reader(calls[0]) if moved is None else moved
        found: list[Any] = list(made) if isinstance(made, list | tuple) else [made]
        for value in found:
            _check(value)
        return [found]

    def _by_body(self, node: Node, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a node by the function that the standard defines its op by."""
        reading = self._reading
        body = body_of(node, inputs, reading.opset(node))
        if body is None:
            raise UnreadableError(reason_for(node.op, node.domain))
        count = len(reading.problems)
        try:
            found = iter(
                self.branch(body, {name: item for name, item in zip(node.inputs, inputs, strict=True) if name})
            )
        except InnerError:
            inner = reading.problems[count:]
            del reading.problems[count:]
            raise UnreadableError(f"of the function that ONNX defines it by, {inner[0]}") from None
        return [next(found) if name else None for name in node.outputs]


def _check(value: Operand | Deferred | None) -> None:
    """Refuses shapes that no net has, and that sizes computed with would make longer and longer."""
    if value is None or isinstance(value, Deferred):
        return
    shape = shape_of(value)
    if len(shape) > MOST_RANK:
        raise UnreadableError(f"it gives an array of rank {len(shape)}")
    for dim in shape if isinstance(value, Value) else ():
        if isinstance(dim, Size):
            checked(dim)


def _read_by(graph: Graph) -> list[str]:
    """Names that nodes of a graph read and that it doesn't make."""
    names = [name for node in graph.nodes for name in node.inputs]
    own = {*graph.makers, *graph.inputs, *graph.arrays}
    return list(dict.fromkeys(name for name in [*names, *graph.outputs] if name and name not in own))
