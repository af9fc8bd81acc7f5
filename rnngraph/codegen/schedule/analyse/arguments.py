"""Arguments of an entry (the compiled function of a graph): feeds, parameters, constants and memory for results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ....ir.graph import Graph, Node
from ....ir.types import Shape, TensorType, size
from ....support.records import dataclass
from ...analysis.loop_fusion import LoopFusion
from ...analysis.node_kinds import is_view, label_of
from ...buffers.output_buffers import OutputBuffers
from ...buffers.views import View, view_through
from ...loop_ir.nodes import Buffer, Index

_PREFIXES = {"input": "in", "parameter": "w", "constant": "const", "output": "out"}


@dataclass(frozen=True)
class Argument:
    """Array that the caller passes: a feed, a parameter, a constant, or memory for a result.

    ``value`` is the array of a constant, and None for other kinds.
    """

    name: str
    kind: str  # input, parameter, constant or output
    dtype: str
    shape: Shape
    buffer: Buffer
    value: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        """Size of an array of fixed shape, in bytes."""
        return TensorType(self.dtype, self.shape).bytes_at(0)


@dataclass(frozen=True)
class EntryArguments:
    """Arguments of an entry, with the layout of each.

    Attributes:
        items: All arguments, in order.
        strides: {feed: names of the run-time sizes that hold its strides}. The last axis has none, because its stride
            is 1. A feed that an output overwrites is contiguous, and has none either.
        replaced: {output that overwrites the memory of an input: that input}.
        leaves: Memory of feeds, parameters and constants.
        results: Memory of the results that kernels write directly.
        late: Results that are copied after all kernels, in order, and their memory.
    """

    items: tuple[Argument, ...]
    strides: Mapping[str, tuple[str, ...]]
    replaced: Mapping[str, Node]
    leaves: Mapping[Node, View]
    results: Mapping[Node, Sequence[View]]
    late: tuple[tuple[Node, View], ...]

    @property
    def late_values(self) -> set[Node]:
        """Values of the results that are copied after all kernels."""
        return {node for node, _ in self.late}

    @property
    def parameters(self) -> dict[Buffer, str]:
        """Names of the parameters by buffer."""
        return {item.buffer: item.name for item in self.items if item.kind == "parameter"}


def arguments_of(graph: Graph, fusion: LoopFusion, users: Mapping[Node, Sequence[Node]]) -> EntryArguments:
    """Return the arguments of a graph's compiled function: feeds, parameters, constants and memory of results."""
    arguments = _Arguments(graph)
    leaves = arguments.leaves(fusion.free)
    results, late = arguments.outputs(fusion, users, leaves)
    return EntryArguments(tuple(arguments.items), arguments.strides, arguments.replaced, leaves, results, tuple(late))


class _Arguments:
    """Builder of an entry's arguments."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.items: list[Argument] = []
        self.strides: dict[str, tuple[str, ...]] = {}
        self.replaced: dict[str, Node] = {}

    def leaves(self, free: Collection[Node]) -> dict[Node, View]:
        """Return {node: memory} for feeds, parameters, constants, and views of them that need no kernel (``free``).

        No kernel computes a free node.
        """
        views: dict[Node, View] = {}
        for node in self.graph.nodes:
            if node.op == "input":
                views[node] = self._feed(node)
            elif node.op == "parameter":
                buffer = self._add(str(node["label"]), "parameter", node).buffer
                views[node] = View.contiguous(buffer, node.shape)
            else:
                self._constant(node, views)
        for inner in self.graph.walk():
            if inner not in views:
                self._constant(inner, views)
        for node in self.graph.nodes:
            if is_view(node) and node in free and node.operands[0] in views:
                view = view_through(node, views[node.operands[0]])
                if view is not None:
                    views[node] = view
        return views

    def outputs(
        self, fusion: LoopFusion, users: Mapping[Node, Sequence[Node]], views: Mapping[Node, View]
    ) -> tuple[dict[Node, list[View]], list[tuple[Node, View]]]:
        """Return {result: its memory} for results written directly, and (result, memory) of those copied at the end."""
        late: list[tuple[Node, View]] = []
        last: list[tuple[Node, View]] = []  # copied last, because they overwrite sources of other copies
        buffers = OutputBuffers(self.graph, fusion, users)
        for name, node in self.graph.outputs:
            old = self.replaced.get(name)
            if old is None:
                buffer = self._add(name, "output", node).buffer
            else:
                buffer = views[old].buffer
                self.items.append(Argument(name, "output", node.dtype, node.shape, buffer))
            view = View.contiguous(buffer, node.shape)
            if not buffers.write_directly(node, view, old):
                (late if old is None else last).append((node, view))
        return buffers.places, late + last

    def _add(self, name: str, kind: str, node: Node, value: np.ndarray | None = None) -> Argument:
        """Add an argument with a new buffer for a node. ``value`` is the array of a constant."""
        buffer = Buffer(f"{_PREFIXES[kind]}{len(self.items)}_{label_of(node)}", node.dtype)
        argument = Argument(name, kind, node.dtype, node.shape, buffer, value)
        self.items.append(argument)
        return argument

    def _constant(self, node: Node, views: dict[Node, View]) -> None:
        """Add an argument and a view for ``node`` if it is a constant array."""
        if node.op == "constant" and node.tensor.rank:
            argument = self._add(f"constant{len(self.items)}", "constant", node, node["value"])
            views[node] = View.contiguous(argument.buffer, node.shape)

    def _feed(self, node: Node) -> View:
        """Add an argument for a feed. Return its memory, with strides that are known at run time.

        A feed that an output overwrites is contiguous.
        """
        argument = self._add(str(node["label"]), "input", node)
        if "becomes" in dict(node.attributes):
            self.strides[argument.name] = ()
            self.replaced[str(node["becomes"])] = node
            return View.contiguous(argument.buffer, node.shape)
        names = tuple(f"{argument.buffer.name}_stride{axis}" for axis in range(max(0, node.tensor.rank - 1)))
        self.strides[argument.name] = names
        strides: tuple[Index, ...] = (*map(size, names), 1) if node.tensor.rank else ()
        return View(argument.buffer, 0, strides, node.shape)
