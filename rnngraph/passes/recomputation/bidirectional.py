"""Rematerialisation of bidirectional recurrences: each recurrence is recomputed in the loop of its derivative.

A loop runs in one direction. If recurrences of opposite directions read each other's outputs, these outputs and their
adjoints are therefore saved for all steps. From them, a derivative recomputes all other values that it reads, a block
of steps at a time.

    chain    recurrences in one direction that read each other at the same step, and are recomputed together
    sources  for a value with a time axis, the chains from which it is computed at the same step

A derivative recomputes one chain: the last one in the opposite direction whose values it reads. The derivative's loop
also computes all values that the chain reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...ir.axes.walk import adds_up, keeps
from ...ir.graph import Graph, Node, make, remake, topological
from ...ir.scan import is_final, split_inputs
from ...ir.types import Dim
from ..simplify import drop_dead
from .blocks import has_steps, is_much_smaller, is_recomputed, recomputed_blocks, with_checkpoints

Sources = frozenset[int]
NONE = Sources()


class Bidirectional:
    """Rewriter of a graph with bidirectional recurrences.

    Attributes:
        forward: The scans over one length that are differentiated.
        backward: The values that depend on derivatives.
        reverse: For each chain, True if its recurrences run in reverse.
        chain: The chain of each scan in ``forward``.
        sources: For each value that depends on no derivative, the chains from which it is computed step by step.
        loops: For each value that depends on derivatives, the chains in whose loops it is computed.
        available_in: For each chain, the values that are available at each step of its loop.
        recomputed: For each chain, the recomputed values, by value of the graph.
    """

    def __init__(
        self, graph: Graph, length: Dim, steps: int, forward: set[Node], dependencies: Mapping[Node, frozenset[Node]]
    ) -> None:
        self.graph, self.length, self.steps, self.forward = graph, length, steps, forward
        self.backward = {node for node in graph.nodes if not dependencies[node] <= forward}
        self.reverse: list[bool] = []
        self.chain: dict[Node, int] = {}
        self.sources: dict[Node, Sources] = {}
        self.loops: dict[Node, Sources] = {}
        for node in graph.nodes:
            if node not in self.backward:
                self.sources[node] = self._sources(node)
            else:
                self.loops[node] = self._loops(node)
        self.available_in = [self._available(chain) for chain in range(len(self.reverse))]
        self.new: dict[Node, Node] = {}
        self.recomputed: list[dict[Node, Node]] = [{} for _ in self.reverse]

    def build(self) -> Graph:
        """Return the rewritten graph; the same graph if nothing can be recomputed."""
        cut = NONE.union(*self.loops.values())
        if not cut:
            return self.graph
        for node in self.graph.nodes:
            (loop,) = loops if len(loops := self.loops.get(node, NONE)) == 1 else (None,)
            operands = [self.new[item] if loop is None else self._read(node, item, loop) for item in node.operands]
            if self.chain.get(node) in cut:
                self.new[node] = with_checkpoints(node, operands, self.steps)
            else:
                self.new[node] = remake(node, operands)
        outputs = [(name, self.new[node]) for name, node in self.graph.outputs]
        return drop_dead(Graph.of(self.graph.name, outputs, self.graph.inputs, self.graph.comments))

    # Loops in which values are computed ---------------------------------------------------------------------------

    def _sources(self, node: Node) -> Sources:
        """Return the chains of same-direction scans on which a value depends step by step; give a scan its chain."""
        if node in self.forward:
            chains = NONE.union(*(self.sources[item] for item in self._by_step(node)))
            (chain,) = chains if len(chains) == 1 else (None,)
            if chain is None or self.reverse[chain] != node["reverse"]:
                chain = len(self.reverse)
                self.reverse.append(node["reverse"])
            self.chain[node] = chain
            return Sources({chain})
        if node.op == "get" and is_final(node):
            return NONE
        return NONE.union(*(self.sources[item] for item in self._by_step(node)))

    def _loops(self, node: Node) -> Sources:
        """Return the chains of scans in whose backward loops a value of the backward pass is computed."""
        read = [*self._by_step(node)]
        if node.op != "scan" or node["length"] != self.length:
            is_whole = node.op == "get" and is_final(node)
            return NONE if is_whole else NONE.union(*(self.loops.get(item, NONE) for item in read))
        own = [self.sources.get(item, NONE) for item in read]
        chains = {chain for one_chain in own if len(one_chain) == 1 for chain in one_chain}
        chains = {chain for chain in chains if self.reverse[chain] != node["reverse"]}
        return Sources({max(chains)}) if chains else NONE

    def _available(self, chain: int) -> set[Node]:
        """Return the values known at each step of the loop that recomputes a chain of scans."""
        available = {item for scan, own in self.chain.items() if own == chain for item in self._by_step(scan)}
        for node in reversed(self.graph.nodes):
            if node in available and node.op != "get":
                available.update(self._by_step(node))
        for node in self.sources:
            if node.op == "get":
                if self.chain.get(node.operands[0]) == chain and not is_final(node):
                    available.add(node)
            elif node.op != "scan" and available.issuperset(self._by_step(node)):
                available.add(node)
        return available

    def _by_step(self, node: Node) -> Iterator[Node]:
        """Yield the operands that a node reads one step at a time, including those that it sums over time."""
        for item in node.operands:
            if node.op == "scan":
                initial, sequences, invariants = split_inputs(node, node.operands)
                if node["length"] == self.length and item in sequences and item not in (*initial, *invariants):
                    yield item
            elif node.op == "get" or (has_steps(item, self.length) and _reads_by_step(node, item)):
                yield item

    # Saved and recomputed values -----------------------------------------------------------------

    def _read(self, node: Node, item: Node, loop: int) -> Node:
        """Return the operand ``item`` of a node: recomputed in a loop, or the saved value if the loop lacks it."""
        is_available = item in self.available_in[loop] and item in self._by_step(node)
        return self._in_loop(item, loop) if is_available else self.new[item]

    def _in_loop(self, root: Node, loop: int) -> Node:
        """Return the node that recomputes a value in a loop. Its dependencies are recomputed first."""
        known = self.recomputed[loop]
        for node in topological([root], known=known):
            known[node] = self._recompute(node, loop)
        return known[root]

    def _recompute(self, node: Node, loop: int) -> Node:
        """Return the node that recomputes a value within backward loop ``loop``, or its saved value."""
        if self.chain.get(node) == loop:
            operands = [self.recomputed[loop][item] for item in node.operands]
            return recomputed_blocks(node, operands, self.new[node], self.steps)
        if node.op == "get":
            scan = node.operands[0]
            is_saved = self.chain.get(scan) != loop or is_final(node) or is_much_smaller(node)
            return self.new[node] if is_saved else remake(node, [self.recomputed[loop][scan]])
        by_step = {*self._by_step(node)}
        if not is_recomputed(node, self.length):
            return self.new[node]
        operands = [self.recomputed[loop][item] if item in by_step else self.new[item] for item in node.operands]
        return make(node.op, *operands, where=node.where, name=node.name, **dict(node.attributes))


def _reads_by_step(node: Node, item: Node) -> bool:
    """True if a node reads a value with a time axis one step at a time."""
    return adds_up(node) or keeps(node, item, 0, 0)
