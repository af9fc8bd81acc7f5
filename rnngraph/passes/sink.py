"""sink: move cheap elementwise ops that only feed a scan into its loop.

Fission hoists all ops that are on no cycle of carries. The result of a hoisted op is a sequence in memory, which a
training graph even saves from the forward to the backward scan. In the loop, a cheap op is computed in registers, from
values that the loop reads anyway or that are no larger.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from dataclasses import field, replace

from ..ir.graph import Graph, Node, make, remake, rewrite, topological
from ..ir.ops import OPS
from ..ir.scan import Binding, ScanParts
from ..ir.types import FLOATS
from ..support.records import dataclass


@dataclass(frozen=True)
class Sink:
    """Move cheap elementwise ops that only feed a scan into its loop.

    Law: values are unchanged, bit for bit.
    """

    name: str = "sink"

    def __call__(self, graph: Graph) -> Graph:
        indices: set[Node] = set()
        for node in graph.nodes:
            if node.op not in ("input", "parameter", "scan") and all(item in indices for item in node.operands):
                indices.add(node)

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            return _Loop(node, operands, indices).sunk() if node.op == "scan" else None

        return rewrite(graph, rule)


def _number(node: Node) -> Node | None:
    """Return the scalar to which all entries of a value are equal; None if they may differ."""
    while node.op in ("broadcast", "transpose", "reshape"):
        node = node.operands[0]
    return node if not node.tensor.rank else None


@dataclass
class _Loop:
    """A scan into whose body ops move.

    Attributes:
        scan: The scan of the original graph.
        operands: Its operands in the rewritten graph.
        indices: Values that depend on no array. Readers recompute them, so that they are not stored.
        sequences: Inputs of the body, by the value that they read step by step.
        invariants: Inputs of the body, by the value that every step reads.
    """

    scan: Node
    operands: tuple[Node, ...]
    indices: set[Node]
    sequences: dict[Node, Node] = field(init=False)
    invariants: dict[Node, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = ScanParts.of(self.scan, self.operands)
        # Bindings of one operand share one input of the body; ``new`` maps the old inputs to it.
        self.new: dict[Node, Node] = {carry.inside: carry.inside for carry in self.parts.carries}
        self.sequences, self.invariants = {}, {}
        for known, bindings in ((self.sequences, self.parts.sequences), (self.invariants, self.parts.invariants)):
            for inside, outside in bindings:
                self.new[inside] = known.setdefault(outside, inside)

    def sunk(self) -> Node | None:
        """Return the scan after all ops that pay have moved into its body; None if no op has."""
        inner: dict[Node, Node] = {}  # moved ops, by the outer op
        waiting = list(self.sequences)
        while waiting:
            outer = waiting.pop()
            if outer in self.sequences and self._pays(outer):
                param = self.sequences.pop(outer)
                waiting += [item for item in outer.operands if item not in self.sequences and item not in inner]
                inner[outer] = param
                for item in outer.operands:
                    self._make_available(item, outer, inner)
        return self._rebuilt(inner) if inner else None

    def _pays(self, node: Node) -> bool:
        """True if a float op is cheap and reads sequences, of which the loop reads all but at most one already."""
        row = OPS[node.op]
        if row.kind != "elementwise" or row.random or row.is_long or node.dtype not in FLOATS:
            return False
        timed = []
        for item in dict.fromkeys(node.operands):
            if not item.tensor.rank or _number(item) is not None:
                continue
            if item.shape == node.shape and item.dtype == node.dtype and item not in self.indices:
                timed.append(item)
            elif item.tensor.rank > 1 or node.tensor.rank == 1 or item.op == "constant":
                return False
        return len([item for item in timed if item not in self.sequences]) <= 1 and bool(timed)

    def _make_available(self, item: Node, like: Node, inner: dict[Node, Node]) -> None:
        """Add the input of the body by which the op ``like`` reads its operand ``item``, unless it needs none."""
        if item in self.sequences or item in inner:
            return
        number = _number(item)
        if number is not None and number.op == "constant":
            return
        outer = item if number is None else number
        label = item.name or item.op
        if item.shape == like.shape and number is None:
            kind, known = item.tensor.with_shape(item.shape[1:]), self.sequences
        else:
            kind, known = outer.tensor, self.invariants
        if outer not in known:
            known[outer] = make("input", where=item.where, name=label, label=label, type=kind)

    def _input(self, item: Node) -> Node:
        """Return the node that stands for a loop invariant in the body: an input, or the same constant."""
        number = _number(item)
        if number is not None and number.op == "constant":
            return number
        return self.invariants[item if number is None else number]

    def _rebuilt(self, inner: dict[Node, Node]) -> Node:
        """Return the scan with the moved ops in its body. ``inner`` maps each op to the input that it replaces."""
        computed: dict[Node, Node] = dict(self.sequences)
        stay = {item for outer in inner for item in outer.operands if item not in inner}
        for outer in topological(inner, known=stay):
            parts = [computed[item] if item in computed else self._input(item) for item in outer.operands]
            computed[outer] = make(outer.op, *parts, where=outer.where, name=outer.name, **dict(outer.attributes))
        moved = {param: computed[outer] for outer, param in inner.items()}
        new: dict[Node, Node] = {old: moved.get(known, known) for old, known in self.new.items()}
        for node in self.scan["body"].nodes:
            if node not in new:
                new[node] = remake(node, [new[item] for item in node.operands])
        condition = self.parts.when
        return replace(
            self.parts.with_replaced_values(new),
            sequences=[Binding(inside, outside) for outside, inside in self.sequences.items()],
            invariants=[Binding(inside, outside) for outside, inside in self.invariants.items()],
            when=None if condition is None else self.new[condition],
        ).build(self.scan.where, self.scan.name)
