"""Schedule of a run: the Tensors that each native call computes, and the operations between calls.

Nodes that depend on an operation by ``tf.control_dependencies`` read variables after the operation ran. All other nodes
read variables as early as possible, as in TensorFlow. Two training operations of one run, for example, both compute
gradients from the values from before the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...declare.parameters import ParameterSpec
from ...ir.graph import Node, topological
from ...support.errors import NotOfferedError
from ..table.missing import GUIDE
from .operations import Operation, Step


@dataclass(frozen=True)
class Phase:
    """Nodes that one native call computes, and the operation that runs after it.

    Attributes:
        nodes: Nodes that the call computes.
        saved: Nodes of earlier phases that are fed to the call.
        operation: Operation that runs after the call, if any.
        fused: True if the operation is a step whose own native call computes the nodes.
    """

    nodes: tuple[Node, ...]
    saved: tuple[Node, ...] = ()
    operation: Operation | None = None
    fused: bool = False


class Schedule:
    """Phases of one run.

    A position is an index into the list of operations. A node's time is the number of operations that it must follow:
    at time 2, the first two operations have run. Sets of operations are bit masks over positions.

    Args:
        graph: Graph of the run.
        operations: All operations of the run, each after its predecessors.
        nodes: Fetched nodes that the run computes.
        fed: Nodes that the run feeds.
    """

    def __init__(self, graph: Any, operations: Sequence[Operation], nodes: Iterable[Node], fed: Iterable[Node]) -> None:
        self._graph, self._fed = graph, frozenset(fed)
        self.operations = _ordered(graph, operations)
        self._before: dict[Operation, int] = {}
        self._writers: dict[ParameterSpec, int] = {}
        for position, item in enumerate(self.operations):
            earlier = [self._before[other] for other in earlier_of(graph, item)]
            self._before[item] = _union(earlier) | 1 << position
            for spec in item.writes():
                self._writers[spec] = self._writers.get(spec, 0) | 1 << position
        self._predecessors: dict[Node, int] = {}  # operations that run before a node
        self._times: dict[Node, int] = {}
        self._visit([*nodes, *(node for item in self.operations for node in item.reads())])
        self.fused = {item for place, item in enumerate(self.operations) if self._is_fused(item, place)}
        needs = [node for item in self.operations for node in self.needs(item)]
        self._visit(needs)
        self._pending = dict.fromkeys(node for node in (*nodes, *needs) if self._is_computed(node))
        self.phases = [*self._phases()]

    def needs(self, item: Operation) -> list[Node]:
        """Return the nodes whose values an operation receives as arguments."""
        if item in self.fused:
            return []
        return [tensor.node for tensor in (item.separated().needs() if isinstance(item, Step) else item.needs())]

    def _is_computed(self, node: Node) -> bool:
        """True if a node is neither fed nor a constant nor a variable."""
        return node not in self._fed and node.op not in ("constant", "parameter")

    # Times of nodes ------------------------------------------------------------------------------

    def _visit(self, roots: Sequence[Node]) -> None:
        """Compute, for ``roots`` and their dependencies, how many of the run's operations each must follow."""
        order = topological(roots, known=self._times.keys() | self._fed)
        for node in order:
            if (loss := _loss_of(node)) is not None and loss not in self._times:
                self._visit([loss])
        for node in order:
            sources = [item for item in (*node.operands, _loss_of(node)) if item in self._times]
            after = (self._before.get(item, 0) for item in self._graph.after.get(node, ()))
            self._predecessors[node] = predecessors = _union(after) | _union(
                map(self._predecessors.__getitem__, sources)
            )
            writers = (self._writers.get(spec, 0) & predecessors for spec in _reads(node))
            self._times[node] = max((*(self._times[item] for item in sources), _union(writers).bit_length()))

    def _time(self, node: Node) -> int:
        """Return the number of the run's operations that must precede a node; 0 for a node that was not visited."""
        return self._times.get(node, 0)

    def _dependencies_of(self, roots: Iterable[Node], known: Iterable[Node] = ()) -> Iterator[Node]:
        """Yield ``roots`` and all nodes on which they depend, including the losses of gradients."""
        done = {*self._fed, *known}
        pending = [list(roots)]
        while pending:
            order = topological(pending.pop(), known=done)
            done.update(order)
            yield from order
            losses = [loss for loss in map(_loss_of, order) if loss is not None]
            if losses:
                pending.append(losses)

    def _overwritten_by(self, roots: Iterable[Node], place: int, known: Iterable[Node] = ()) -> Operation | None:
        """Return an operation before ``place`` that overwrites a variable whose old value ``roots`` need; else None.

        ``roots`` need the values of the variables that they and their dependencies read at their times.

        Args:
            roots: Nodes to compute at ``place``.
            place: Position of the operation.
            known: Nodes that are computed already, whose dependencies are not needed.
        """
        for node in self._dependencies_of(roots, known):
            time = self._time(node)
            for spec in _reads(node) if time < place else ():
                late = self._writers.get(spec, 0) >> time & ((1 << place - time) - 1)
                if late:
                    return self.operations[time + late.bit_length() - 1]
        return None

    def _is_fused(self, item: Operation, place: int) -> bool:
        """True if one native call can both run the training operation ``item`` and compute what it reads.

        The step needs a single call, and no earlier operation may overwrite a variable after the time at which the
        step must read it.

        Args:
            item: Operation to fuse.
            place: Position of the operation.
        """
        if not isinstance(item, Step) or not item.is_whole:
            return False
        nodes = item.reads()
        return all(self._time(node) <= place for node in nodes) and self._overwritten_by(nodes, place) is None

    # Phases --------------------------------------------------------------------------------------

    def _phases(self) -> Iterator[Phase]:
        """Yield the native calls of a run in order, each with the nodes it computes and the operation after it."""
        done: set[Node] = set()
        saved: dict[Node, None] = {}
        for place in range(len(self.operations) + 1):
            item = self.operations[place] if place < len(self.operations) else None
            ready = [node for node in self._pending if node not in done and self._time(node) <= place]
            preserved = [] if item is None or not item.writes() else self._must_precede(place, done)
            needed = {*(self.needs(item) if item is not None else ready)}.intersection(ready)
            if not (preserved or needed or item in self.fused or self._overwritten_by(ready, place + 1, done)):
                ready = []
            ready = [*dict.fromkeys((*ready, *preserved))]
            for node in ready:
                self._check(node, place)
            over = [node for node in ready if saved.keys() & {*self._dependencies_of([node], done - saved.keys())}]
            if over:
                fed = saved.keys() & {*self._dependencies_of(over, done - saved.keys())}
                yield Phase(tuple(over), tuple(node for node in saved if node in fed))
            rest = tuple(node for node in ready if node not in over)
            done.update(ready)
            saved.update(dict.fromkeys(preserved))
            if item in self.fused:
                yield Phase(rest, operation=item, fused=True)
            elif rest or item is not None:
                yield Phase(rest, operation=item)

    def _must_precede(self, place: int, done: set[Node]) -> list[Node]:
        """Return the nodes to compute before operation ``place`` changes their variables, for later readers."""
        later = [node for node in self._pending if self._time(node) > place]
        parts = [
            item
            for node in self._dependencies_of(later, done)
            if self._time(node) > place
            for item in node.operands
            if item not in done and self._is_computed(item) and self._time(item) <= place
        ]
        return [item for item in dict.fromkeys(parts) if self._overwritten_by([item], place + 1, done) is not None]

    def _check(self, node: Node, place: int) -> None:
        """Raise ``NotOfferedError`` if a gradient mixes variables' values from before and after an operation."""
        for item in self._dependencies_of([node]):
            loss = _loss_of(item)
            late = None if loss is None else self._overwritten_by([loss], place)
            if late is not None:
                raise NotOfferedError(
                    f"a gradient depends on variables both before and after {late!r} updates them; run "
                    f"{late.full} in a session.run of its own ({GUIDE})",
                    late.where,
                )


def earlier_of(graph: Any, item: Operation) -> list[Operation]:
    """Return the operations that must run before ``item``."""
    operations = [*item.before, *graph.required_by(item.forces())]
    return [*dict.fromkeys(other for other in operations if other is not item)]


def _ordered(graph: Any, operations: Sequence[Operation]) -> list[Operation]:
    """Return operations in topological order, with training operations as early as possible."""
    waiting, done = list(operations), dict[Operation, None]()
    earlier = {item: earlier_of(graph, item) for item in waiting}
    while waiting:
        free = [item for item in waiting if all(other in done for other in earlier[item])]
        chosen = next((item for item in free if isinstance(item, Step)), free[0])
        done[chosen] = None
        waiting.remove(chosen)
    return list(done)


def _loss_of(node: Node) -> Node | None:
    """Return the loss whose gradient a placeholder receives; None for other nodes."""
    derivative = node.get("gradient") if node.op == "input" else None
    loss: Node | None = None if derivative is None else derivative.loss.node
    return loss


def _reads(node: Node) -> list[ParameterSpec]:
    """Return the variables that a node reads directly; for a loop, also those of its cells."""
    own = [operand["slot"] for operand in node.operands if operand.op == "parameter"]
    if node.op == "driver":
        own += [spec for driver, _ in node["driver"].with_inner() for spec, _ in driver.names.parameters]
    return own


def _union(bits: Iterable[int]) -> int:
    """Return the bitwise or of bit masks."""
    union = 0
    for item in bits:
        union |= item
    return union
