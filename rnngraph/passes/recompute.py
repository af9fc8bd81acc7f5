"""recompute: what a derivative reads of a recurrence is computed again, a block of steps at a time, and not kept.

A derivative runs against the direction of its recurrence, over what that kept of every step. Here the recurrence keeps
what it carries before each block of steps (``keeps``); when the derivative comes to a block, the recurrence runs it
once more (``blocks``), and with it all that is computed of its steps. So of a sequence a state is kept for each block,
and all else is in memory for one block.

    early    what must be there before the derivative begins: the recurrences, what they need, and what is one value for
             all steps and read at each, as the sum that a mean divides by
    late     all else, which runs along with the derivative and reads the steps that are computed again

What is early and has a step axis is there twice. Sums over time are late unless something early needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import GraphError
from ..ir.graph import Graph, Node, make, remake, topological
from ..ir.ops import OPS
from ..ir.scan import ScanParts, is_final, split_inputs
from ..ir.types import FLOATS, Dim
from .simplify import drop_dead


@dataclass(frozen=True)
class Recompute:
    """Law: values unchanged, bit for bit.

    steps: of a block. Raises ``GraphError``, with the line, where recurrences of both directions are differentiated.
    """

    steps: int
    name: str = "recompute"

    def __call__(self, graph: Graph) -> Graph:
        for length in dict.fromkeys(node["length"] for node in graph.nodes if node.op == "scan"):
            cut = _Cut(graph, length, self.steps)
            graph = cut.made() if cut.backward else graph
        return graph


class _Cut:
    """The scans over one length. backward: derivatives, which run after the others, ``forward``, and against them."""

    def __init__(self, graph: Graph, length: Dim, steps: int) -> None:
        self.graph, self.length, self.steps = graph, length, steps
        scans = [node for node in graph.nodes if node.op == "scan" and node["length"] == length]
        self.behind: dict[Node, frozenset[Node]] = {}  # the scans that a value depends on
        for node in graph.nodes:
            found = frozenset().union(*(self.behind[item] for item in node.operands))
            self.behind[node] = found | {node} if node in scans else found
        is_cut = any(scan.get("blocks") is not None for scan in scans)
        self.backward = [scan for scan in scans if self._is_derivative(scan) and not is_cut]
        self.forward = [scan for scan in scans if scan not in self.backward]
        self.new_early: dict[Node, Node] = {}
        self.new_late: dict[Node, Node] = {}

    def _is_derivative(self, scan: Node) -> bool:
        return any(other["reverse"] != scan["reverse"] for other in self.behind[scan])

    def made(self) -> Graph:
        ahead = self.forward[0]["reverse"]
        turned = [scan for scan in self.forward if scan["reverse"] != ahead]
        turned += [scan for scan in self.backward if scan["reverse"] == ahead]
        if turned:
            raise GraphError(
                "recurrences that run in both directions are differentiated, and so steps can't be computed again a "
                "block at a time; train without recompute=",
                turned[0].where,
            )
        self.early = self._first_needed()
        for node in self.graph.nodes:
            if node in self.early and node not in self.new_early:
                self._add_early(node)
        outputs = [
            (name, self.new_early[node] if node in self.early else self._late(node))
            for name, node in self.graph.outputs
        ]
        return drop_dead(Graph.of(self.graph.name, outputs, self.graph.inputs, self.graph.comments))

    # What is early -------------------------------------------------------------------------------

    def _first_needed(self) -> set[Node]:
        final = [node for node in self.graph.nodes if node.op == "get" and is_final(node)]
        early = set(topological([*self.forward, *(node for node in final if node.operands[0] in self.forward)]))
        pending = True
        while pending:
            more: set[Node] = set()
            for node in self.graph.nodes:
                if node not in early and self._runs_along(node):
                    more.update(item for item in self._read_whole(node) if item not in early and self._is_ready(item))
            early.update(topological(more, known=early))
            pending = bool(more)
        return early.union(self.graph.inputs)

    def _is_ready(self, node: Node) -> bool:
        """Whether a value depends on what runs forward, and on no derivative of it."""
        return bool(self.behind[node]) and self.behind[node].isdisjoint(self.backward)

    def _has_steps(self, node: Node) -> bool:
        return node.op != "scan" and node.tensor.rank > 0 and node.shape[0] == self.length

    def _runs_along(self, node: Node) -> bool:
        """Whether a value is computed step by step, or is a sum over the steps."""
        if node.op == "scan":
            return bool(node["length"] == self.length)
        if node.op == "get":
            return self._has_steps(node) and self._runs_along(node.operands[0])
        return any(map(self._has_steps, node.operands))

    def _read_whole(self, node: Node) -> list[Node]:
        """What is read at each step and is not of that step."""
        whole = [item for item in node.operands if not (self._has_steps(item) and self._runs_along(item))]
        if node.op == "scan":
            initial, _, invariants = split_inputs(node, node.operands)
            return [*whole, *initial, *invariants]
        if node.op == "get":
            return []
        if OPS[node.op].kind == "elementwise" or node.op in ("outer_sum", "scatter_add"):
            return whole
        if node.op == "matmul" and self._has_steps(node.operands[1]) and node.operands[1].tensor.rank == 2:
            return [*whole, node.operands[1]]
        return [*whole, node.operands[0]] if node.op == "gather" and self._has_steps(node.operands[0]) else whole

    # The two forms of a value --------------------------------------------------------------------

    def _add_early(self, node: Node) -> None:
        operands = [self.new_early[item] for item in node.operands]
        self.new_early[node] = remake(node, operands)
        if node in self.forward:
            self.new_early[node] = replace(ScanParts.of(node, operands), keeps=self.steps).made(node.where, node.name)

    def _late(self, root: Node) -> Node:
        for node in topological([root], known=self.new_late):
            self.new_late[node] = self._made_late(node)
        return self.new_late[root]

    def _made_late(self, node: Node) -> Node:
        operands = [self.new_late[item] for item in node.operands]
        if node not in self.early:
            return remake(node, operands)
        if node in self.forward:
            return self._again(node)
        # Masks and numbers of rows are small, and which rows have ended is one mask's to say.
        is_small = self._has_steps(node) and node.dtype not in FLOATS and all(dim == 1 for dim in node.shape[2:])
        computed = self._has_steps(node) and node.op not in ("input", "parameter", "constant")
        if is_small or not computed or (node.op == "get" and is_final(node)):
            return self.new_early[node]
        return make(node.op, *operands, where=node.where, name=node.name, **dict(node.attributes))

    def _again(self, scan: Node) -> Node:
        """A scan whose blocks begin with what was kept before each."""
        keeping, first = self.new_early[scan], len(scan["body"].outputs)
        parts = ScanParts.of(scan, [self.new_late[item] for item in scan.operands], _copied(scan["body"]))
        carries = []
        for number, carry in enumerate(parts.carries, first):
            kept = make("get", keeping, where=scan.where, name=f"kept_{carry.name}", index=number)
            carries.append(carry._replace(initial=kept))
        return replace(parts, carries=carries, blocks=self.steps).made(scan.where, f"{scan.name}_again")


def _copied(body: Graph) -> Graph:
    """The same of nodes of its own, which have names of their own in what is printed."""
    new: dict[Node, Node] = {}
    for node in body.nodes:
        new[node] = replace(node, operands=tuple(new[item] for item in node.operands))
    return Graph.of(body.name, [(name, new[node]) for name, node in body.outputs], [new[node] for node in body.inputs])
