"""The derivative of a scan: a scan in the other direction over what the forward scan kept.

What it keeps is chosen by need: values that the derivative reads and that can't be had again from others by
cheap ops. Random numbers are never kept: they are a function of their counters. What a constant of a scan
(a weight) receives is not summed inside the loop: the loop gives what each step contributes and the sum over
steps and rows is one op outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...errors import GraphError
from ...ir.build import unbroadcast, zeros
from ...ir.derivatives import adjoints
from ...ir.graph import Graph, Node, make, remake, topological
from ...ir.ops import OPS
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.types import FLOATS
from ..loops.lifting import aligned
from .adjoints import Adjoints, active_nodes


class ScanDerivative:
    """The scan that carries adjoints against the direction of a scan.

    forward: the scan again, with what the derivative reads among what it gives. parts: (operand, adjoint).
    """

    def __init__(self, scan: Node, received: Mapping[int, Node], active: set[Node]) -> None:
        self.scan, self.received = scan, received
        self.body: Graph = scan["body"]
        self.given = ScanParts.of(scan)
        self.carried = [carry.inside for carry in self.given.carries]
        self.sequences, self.constants = dict(self.given.sequences), dict(self.given.invariants)
        self._activity(active)
        self._reverse_body()
        self._keep()
        self._build()

    def _activity(self, active: set[Node]) -> None:
        """Which of the body's inputs carry a derivative; a carry may become active through a later step."""
        outer = dict(zip(self.body.inputs, self.scan.operands, strict=True))
        roots = {formal for formal, actual in outer.items() if actual in active and formal.dtype in FLOATS}
        while True:
            inside = active_nodes(self.body.nodes, roots)
            more = {
                carry.inside
                for carry in self.given.carries
                if carry.next in inside and carry.inside not in roots and carry.inside.dtype in FLOATS
            }
            if not more:
                break
            roots |= more
        self.roots, self.inside = roots, inside

    def _reverse_body(self) -> None:
        work = Adjoints(self.body.nodes, list(self.roots))
        constants = set(self.constants)
        self.deferred: list[tuple[Node, str, Node, Node | None]] = []
        self.carry_in: dict[Node, Node] = {}  # adjoint that comes from the later step, by carry
        self.emit_in: dict[int, Node] = {}
        for index, (name, value) in enumerate(self.body.outputs):
            carry = self.carried[index] if index < len(self.carried) else None
            if carry not in self.roots and (index not in self.received or value not in work.active):
                continue
            g = make("input", type=value.tensor, label=f"d_{name}", name=f"d_{name}", where=value.where)
            if carry is not None:
                self.carry_in[carry] = g
            else:
                self.emit_in[index] = g
            if value in constants and value in work.active:  # given as it is, at every step
                self.deferred.append((value, "sum", g, None))
            elif value in work.active:
                work.add(value, g)
        for node in reversed(self.body.nodes):
            if node not in work.active or not node.operands:
                continue
            received = work.adjoint(node)
            if received is not None and node.op == "get":
                inner = node.operands[0]
                raise GraphError(
                    f"there is no gradient of a recurrence, {inner.name or 'scan'}, that runs anew at each step of "
                    "another; run it before the other one, or rg.stop_gradient what it gives",
                    inner.where,
                )
            if received is not None:
                self._node(work, node, received, constants)
        self.work = work

    def _node(self, work: Adjoints, node: Node, g: Node, constants: set[Node]) -> None:
        """One node's rule. What a constant receives is put off: its sum over steps is taken outside."""
        if node.op == "slice" and all(step == 1 for step in node["step"]) and node.operands[0] not in constants:
            if node.operands[0] in work.active:
                work.add_slice(node, g)
            return
        deferred = [item for item in node.operands if item in constants and item in work.active]
        if not deferred:
            for operand, part in zip(node.operands, adjoints(node, g), strict=True):
                if part is not None and operand in work.active:
                    work.add(operand, part)
            return
        elementwise = OPS[node.op].kind == "elementwise"
        for position, (operand, part) in enumerate(zip(node.operands, adjoints(node, g), strict=True)):
            if part is None or operand not in work.active:
                continue
            if operand not in constants:
                work.add(operand, part)
            elif node.op == "matmul" and position == 1 and operand.tensor.rank > 2:
                self.deferred.append((operand, "matrices", node.operands[0], g))
            elif node.op == "matmul" and position == 1 and node.operands[0].tensor.rank == 2:
                self.deferred.append((operand, "outer", node.operands[0], g))
            elif node.op == "gather":
                self.deferred.append((operand, "scatter", node.operands[1], g))
            else:
                self.deferred.append((operand, "sum", _before_sum(part, g) if elementwise else part, None))

    def _keep(self) -> None:
        """Decides what the forward scan gives in addition, for the backward scan to read."""
        forward = set(self.body.nodes)
        wanted = [g for carry in self.carried if (g := self.work.adjoint(carry)) is not None]
        wanted += [g for item in self.sequences if (g := self.work.adjoint(item)) is not None]
        wanted += [item for _, _, *pair in self.deferred for item in pair if item is not None]
        backward = topological(wanted)
        read = {item for node in backward if node not in forward for item in node.operands if item in forward}
        read |= {item for item in wanted if item in forward}
        self.kept: dict[Node, None] = {}
        self.again: set[Node] = set()
        self.at_hand: set[Node] = set(self.body.inputs)  # is kept or given, or had again from such by cheap ops alone
        self.behind: set[Node] = set()  # what nodes that are had again depend on, and they themselves
        condition = self.given.when
        if condition is not None and condition in self.carried:  # it emits that it ran, and zeros where it did not
            read.add(condition)
        inputs = set(self.body.inputs)
        carried = set(self.carried)
        order = {node: number for number, node in enumerate(self.body.nodes)}
        for node in sorted(read, key=order.__getitem__):
            self._decide(node, inputs, carried)

    def _decide(self, node: Node, inputs: set[Node], carried: set[Node]) -> None:
        if node in self.again or node in self.kept:
            return
        if node in carried:
            self.kept[node] = None
            return
        if node in inputs:
            return
        path = topological([node], known=self.at_hand)
        if all(map(_is_cheap, path)):
            self.at_hand.update(path)
            self._again(node, carried)
        else:
            self.at_hand.add(node)
            self.kept[node] = None

    def _again(self, node: Node, carried: set[Node]) -> None:
        for item in topological([node], known=self.behind):
            self.behind.add(item)
            if item in carried and item not in self.kept:
                self.kept[item] = None
            elif item not in self.kept:
                self.again.add(item)

    def _build(self) -> None:
        kept = [(f"kept_{node.name or node.op}", node) for node in self.kept]
        widened = replace(self.given, emits=[*self.given.emits, *kept])
        self.forward = widened.made(self.scan.where, self.scan.name)
        first = len(self.body.outputs)
        self.kept_outside = {
            node: make("get", self.forward, where=node.where, name=f"kept_{node.name or node.op}", index=first + number)
            for number, node in enumerate(self.kept)
        }
        self._backward()

    def _backward(self) -> None:
        new: dict[Node, Node] = {}
        sequences: list[Binding] = []
        constants: list[Binding] = []

        def over(node: Node, outer: Node) -> None:
            formal = make("input", type=node.tensor, label=node.name or node.op, name=node.name, where=node.where)
            new[node] = formal
            sequences.append(Binding(formal, outer))

        for index, g in self.emit_in.items():
            new[g] = g
            sequences.append(Binding(g, self.received[index]))
        for node, outer in self.kept_outside.items():
            over(node, outer)
        condition = self.given.when
        # Of a step that does not run nothing is read, so that a NaN there meets no zero.
        read = self.sequences if condition is None else {}
        self.outer_sequence = read | self.kept_outside
        results: list[tuple[str, Node]] = []
        carried = [carry for carry in self.carried if carry in self.carry_in]
        for carry in carried:
            total = self.work.adjoint(carry)
            results.append((f"d_{carry['label']}", zeros(carry.shape, carry) if total is None else total))
        given = [(item, part) for item in self.sequences if (part := self.work.adjoint(item)) is not None]
        emits = [part for _, part in given]
        for _, _, *pair in self.deferred:
            emits += [item for item in pair if item is not None and item not in self.outer_sequence]
        emits = list(dict.fromkeys(emits))
        results += [(f"emit_{number}", node) for number, node in enumerate(emits)]
        for carry in carried:
            new[self.carry_in[carry]] = self.carry_in[carry]
        actual_of = dict(zip(self.body.inputs, self.scan.operands, strict=True))
        for node in topological(value for _, value in results):
            if node in new:
                continue
            if node in actual_of:
                outer = actual_of[node]
                if node in self.sequences:
                    over(node, outer)
                else:
                    formal = make("input", type=node.tensor, label=str(node["label"]), name=node.name, where=node.where)
                    new[node] = formal
                    constants.append(Binding(formal, outer))
                continue
            new[node] = remake(node, [new[item] for item in node.operands])
        if condition is not None and condition not in new:
            over(condition, actual_of[condition])
        carries = []
        for carry, (name, value) in zip(carried, results, strict=False):
            first = self.received.get(self.carried.index(carry)) or zeros(carry.shape, carry)
            carries.append(Carry(self.carry_in[carry], first, name, new[value]))
        backward = ScanParts(
            carries, sequences, constants, [(name, new[value]) for name, value in results[len(carries) :]],
            self.given.length, not self.given.reverse, None if condition is None else new[condition],
        ).made(self.scan.where, f"d_{self.scan.name}")  # fmt: skip
        result = {
            node: make("get", backward, where=node.where, index=len(carried) + number)
            for number, node in enumerate(emits)
        }
        self.parts: list[tuple[Node, Node]] = []
        for number, carry in enumerate(carried):
            self.parts.append((actual_of[carry], make("get", backward, where=carry.where, index=number)))
        for item, part in given:
            self.parts.append((actual_of[item], result[part]))
        everywhere = self.outer_sequence | result
        for operand, kind, first, second in self.deferred:
            outer = actual_of[operand]
            if kind == "outer":
                assert second is not None
                total = make("outer_sum", everywhere[first], everywhere[second], where=operand.where)
            elif kind == "matrices":
                assert second is not None
                left, right = (_rows_of_all_steps(everywhere[item]) for item in (first, second))
                order = (*range(left.tensor.rank - 2), left.tensor.rank - 1, left.tensor.rank - 2)
                turned = make("transpose", left, where=operand.where, order=order)
                total = make("matmul", turned, right, where=operand.where)
            elif kind == "scatter":
                assert second is not None
                ids, rows = everywhere[first], everywhere[second]
                total = make("scatter_add", ids, rows, where=operand.where, rows=operand.shape[0])
            else:
                sequence = aligned(everywhere[first], True, max(operand.tensor.rank, first.tensor.rank))
                total = _over_steps(sequence, operand)
            self.parts.append((outer, total))


def _is_cheap(node: Node) -> bool:
    """Whether a value is computed again from what it reads, rather than kept."""
    row = OPS[node.op]
    if not node.operands:
        return True
    return row.kind in ("elementwise", "movement") and not row.is_long and node.op != "gather"


def _before_sum(part: Node, g: Node) -> Node:
    """What an elementwise op's operand receives, before the sum over the axes along which it was broadcast."""
    while part is not g and part.op in ("reshape", "reduce_sum"):
        part = part.operands[0]
    return part


def _rows_of_all_steps(sequence: Node) -> Node:
    """[time, ..., rows, units] as [..., time rows, units]."""
    rank = sequence.tensor.rank
    order = (*range(1, rank - 2), 0, rank - 2, rank - 1)
    apart = make("transpose", sequence, where=sequence.where, order=order)
    *leading, steps, rows, width = apart.shape
    return make("reshape", apart, where=sequence.where, shape=(*leading, steps * rows, width))


def _over_steps(sequence: Node, operand: Node) -> Node:
    """The sum over time, and over the axes along which the operand was broadcast."""
    return unbroadcast(sequence, operand) if sequence.tensor.rank > operand.tensor.rank else sequence
