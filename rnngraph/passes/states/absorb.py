"""absorb: move large values around a loop into its steps.

A declaration may compute values for all steps at once, before a loop reads them step by step. If such a value is
much larger than its operands, such as the outer product of two sequences, the loop computes it. If large states that a
loop returns are read only by sums, such as a matrix state times a query, the loop computes the sums. Neither value then
takes memory for all steps. ``fission`` leaves both in the loop.

Law: values are unchanged up to the order of products and sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from ...ir.graph import Graph, Node, dependents, make, remake, rewrite, topological
from ...ir.scan import Binding, ScanParts
from ...ir.types import TensorType
from ...support.records import dataclass
from ..loops.large_values import MIN_RATIO, entries, is_large, moves_into_loops
from ..loops.lifting import is_stepwise, of_one_step, varies
from .vector_products import is_vector_product, scaled, sum_of_products


@dataclass(frozen=True)
class Absorb:
    """Move large values around a loop into its steps.

    Law: values are unchanged up to the order of products and sums.
    """

    name: str = "absorb"

    def __call__(self, graph: Graph) -> Graph:
        tensors = [node for node in graph.nodes if isinstance(node.type, TensorType)]
        if not any(is_large(node.shape[1:]) for node in tensors):
            return graph
        scans = [node for node in graph.nodes if node.op == "scan"]
        while scans:
            changed = _Surroundings(graph, scans.pop()).absorbed()
            if changed is not None:
                graph = changed
                scans = [node for node in graph.nodes if node.op == "scan"]
        return graph


class _Surroundings:
    """Finder of the values before and after a scan that the steps of the scan can compute."""

    def __init__(self, graph: Graph, scan: Node) -> None:
        self.graph, self.scan, self.length = graph, scan, scan["length"]
        self.parts = ScanParts.of(scan)
        self.users = graph.users()
        self.results = {node for _, node in graph.outputs}

    def absorbed(self) -> Graph | None:
        """Return the graph whose scan also computes, step by step, the large values that feed it or reduce its results.

        None if there are no such values, or if the scan skips steps, saves checkpoints or runs in blocks.
        """
        if self.parts.when is not None or self.parts.keeps is not None or self.parts.blocks is not None:
            return None
        producers, readouts = self._producers(), self._readouts()
        if not producers and not readouts:
            return None
        steps = _Steps(self.parts)
        for node in self.graph.nodes:
            if node in producers:
                steps.add(node, self.users)
        new = {inside: steps.values.get(outside, inside) for inside, outside in self.parts.sequences}
        for node in self.scan["body"].nodes:
            if node not in new:
                new[node] = remake(node, [new[item] for item in node.operands])
        steps.values |= {get: new[value] for get, value in self._emitted().items()}
        for node in self.graph.nodes:
            if node in readouts:
                steps.add(node, self.users)
        ends = [
            node
            for node in self.graph.nodes
            if node in readouts and (node in self.results or not readouts.issuperset(self.users[node]))
        ]
        read = [get for get in self._emitted() if get in self.results or not readouts.issuperset(self.users[get])]
        finals = [get for get in self.users[self.scan] if get["index"] < self.scan["carries"]]
        scan = steps.build(self.scan, new, [*read, *ends])
        changed = {get: _get(get, scan, get["index"]) for get in finals}
        for number, node in enumerate((*read, *ends), self.scan["carries"]):
            changed[node] = _get(node, scan, number)
        return rewrite(self.graph, lambda node, _: changed.get(node))

    def _emitted(self) -> dict[Node, Node]:
        """Return {sequence that the scan returns: its element, as a value of the body}."""
        outputs, carries = self.scan["body"].outputs, self.scan["carries"]
        return {get: outputs[get["index"]][1] for get in self.users[self.scan] if get["index"] >= carries}

    def _producers(self) -> set[Node]:
        """Return the large values that only this loop reads, and that it can compute from much smaller values."""
        least = dict[Node, int]()  # size of the smallest values from which movable ops can compute each value
        for node in self.graph.nodes:
            least[node] = self._entries(node)
            if self._moves(node):
                operands = [least[item] if varies(node, number) else 1 for number, item in enumerate(node.operands)]
                least[node] = min(least[node], max(operands))
        bound = {item.outside for item in self.parts.invariants} | {carry.initial for carry in self.parts.carries}
        moved = set[Node]()
        for node in reversed(self.graph.nodes):
            is_much_larger = self._is_large(node) and self._entries(node) >= MIN_RATIO * least[node]
            if is_much_larger and self._moves(node) and node not in bound and self._is_read_by(moved, node):
                moved.add(node)
        return moved

    def _is_read_by(self, moved: set[Node], node: Node) -> bool:
        """True if the scan or values that move into it read a value, and nothing else does."""
        return node not in self.results and moved | {self.scan} >= {*self.users[node]} > set()

    def _readouts(self) -> set[Node]:
        """Return the ops that can move into the loop, and that reduce large sequences which the loop returns.

        Sequences are skipped if their elements are much smaller than the loop's state.
        """
        after = dependents([self.scan], self.graph.nodes)
        state = max((entries(carry.inside.shape) for carry in self.parts.carries), default=0)
        readouts = set[Node]()
        for get in self._emitted():
            is_as_large = self._is_large(get) and self._entries(get) * MIN_RATIO > state
            if is_as_large and get not in self.results:
                readers = self._readers(get)
                others = {item for node in readers for item in node.operands} - readers - {get}
                if others.isdisjoint(after):
                    readouts |= readers
        return readouts

    def _readers(self, large: Node) -> set[Node]:
        """Return the ops from a large value to its small results; empty if one of them cannot move into the loop."""
        readers, pending = set[Node](), [*self.users[large]]
        while pending:
            node = pending.pop()
            if node in readers:
                continue
            if not self._moves(node) and not self._reads_vector(node):
                return set()
            readers.add(node)
            if self._entries(node) * MIN_RATIO > self._entries(large):
                if node in self.results:
                    return set()
                pending += self.users[node]
        return readers

    def _moves(self, node: Node) -> bool:
        """True if an op over all steps can be computed in each step, at no higher cost."""
        return moves_into_loops(node) and self._has_steps(node) and is_stepwise(node)

    def _reads_vector(self, node: Node) -> bool:
        """True for an op that multiplies a matrix and a vector at each step."""
        return is_vector_product(node) and self._has_steps(node) and is_stepwise(node)

    def _has_steps(self, node: Node) -> bool:
        return isinstance(node.type, TensorType) and node.tensor.rank > 1 and node.shape[0] == self.length

    def _is_large(self, node: Node) -> bool:
        return self._has_steps(node) and is_large(node.shape[1:])

    def _entries(self, node: Node) -> int:
        """Return the number of entries in a row of a step."""
        return entries(node.shape[1:]) if self._has_steps(node) else 1


class _Steps:
    """Body of a scan under construction, with the values that move into it."""

    def __init__(self, parts: ScanParts) -> None:
        self.parts = parts
        self.values = dict[Node, Node]()  # a value in one step, by the value over all steps
        self.sequences = {item.outside: item.inside for item in parts.sequences}
        self.invariants = {item.outside: item.inside for item in parts.invariants}

    def add(self, node: Node, users: Mapping[Node, Sequence[Node]]) -> None:
        """Add an op over all steps to the body.

        If an outer product is scaled by a vector, one of its two vectors is scaled before the loop instead.
        """
        original = node
        for outer, vector in (node.operands, node.operands[::-1]) if node.op == "mul" else ():
            if outer.op == "mul" and outer in self.values and len(users[outer]) == 1:
                node = scaled(node, outer, vector) or node
        operands = [self._operand(node, number) for number in range(len(node.operands))]
        value = of_one_step(node, operands)
        self.values[original] = sum_of_products(value, *operands) if node.op == "matmul" else value

    def _operand(self, node: Node, number: int) -> Node:
        """Return, for one step, an op's operand at index ``number``. Values from outside become inputs of the body."""
        item = node.operands[number]
        if item in self.values:
            return self.values[item]
        if item.op == "constant" and not item.tensor.rank:
            return item
        shape, known = item.shape, self.invariants
        if varies(node, number):
            shape, known = item.shape[1:], self.sequences
        elif item.tensor.rank == node.tensor.rank:
            shape = item.shape[1:]
            item = make("reshape", item, where=item.where, name=item.name, shape=shape)
        if item not in known:
            label = item.name or item.op
            kind = item.tensor.with_shape(shape)
            known[item] = make("input", where=item.where, name=label, label=label, type=kind)
        return known[item]

    def build(self, scan: Node, new: Mapping[Node, Node], emits: Sequence[Node]) -> Node:
        """Return the scan with new emits.

        Args:
            scan: The scan before the change.
            new: Values of the new body, by value of the old one.
            emits: Values over all steps that the scan returns.
        """
        carries = [carry._replace(next=new[carry.next]) for carry in self.parts.carries]
        emitted = [(node.name or node.op, self.values[node]) for node in emits]
        live = {*topological([*(carry.next for carry in carries), *(value for _, value in emitted)])}
        sequences = _live(live, self.parts.sequences, self.sequences)
        invariants = _live(live, self.parts.invariants, self.invariants)
        parts = replace(self.parts, carries=carries, sequences=sequences, invariants=invariants, emits=emitted)
        return parts.build(scan.where, scan.name)


def _live(live: Set[Node], before: Sequence[Binding], known: Mapping[Node, Node]) -> list[Binding]:
    """Return the bindings of live inputs of the body: ``before``, then those added to ``known`` by value outside.

    Several inputs may be bound to one value.
    """
    added = (Binding(inside, outside) for outside, inside in known.items())
    return [item for item in dict.fromkeys((*before, *added)) if item.inside in live]


def _get(node: Node, scan: Node, index: int) -> Node:
    return make("get", scan, where=node.where, name=node.name, index=index)
