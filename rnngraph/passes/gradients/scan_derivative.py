"""Derivative of a scan: a scan in the opposite direction over residuals of the forward scan.

Residuals are values that the derivative reads and that cheap ops cannot recompute from others. Random numbers are
never residuals, because counters determine them. The adjoint of an invariant, such as a weight, is not summed in the
loop: the loop returns the contribution of each step, and one op after it sums over steps and rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...ir.build import unbroadcast, zeros
from ...ir.derivatives import adjoints
from ...ir.graph import Graph, Node, make, remake, topological
from ...ir.ops import OPS
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.types import FLOATS
from ...support.errors import GraphError
from ...support.records import NamedTuple
from ..loops.lifting import aligned
from .adjoint_sums import Adjoints, active_nodes


class DeferredSum(NamedTuple):
    """Sum over steps by which the adjoint of an invariant is computed outside of the loop.

    Attributes:
        invariant: Input of the body.
        rule: Function (operand of the scan, values over all steps) -> adjoint.
        values: Nodes of the body that the rule reads at all steps.
    """

    invariant: Node
    rule: Callable[..., Node]
    values: tuple[Node, ...]


class ScanDerivative:
    """Builder of the scan that carries adjoints in the opposite direction.

    Attributes:
        forward: The forward scan, with residuals among its results.
        parts: Pairs of an operand of the scan and a contribution to the operand's adjoint.
    """

    def __init__(self, scan: Node, received: Mapping[int, Node], active: set[Node]) -> None:
        self.scan, self.received = scan, received
        self.body: Graph = scan["body"]
        self.scan_parts = ScanParts.of(scan)
        self.carried = [carry.inside for carry in self.scan_parts.carries]
        self.following = {carry.next for carry in self.scan_parts.carries}
        self.sequences, self.invariants = dict(self.scan_parts.sequences), dict(self.scan_parts.invariants)
        self.outer = dict(zip(self.body.inputs, scan.operands, strict=True))
        self._find_active_inputs(active)
        self._reverse_body()
        self._select_residuals()
        self._build()

    def _find_active_inputs(self, active: set[Node]) -> None:
        """Find the float inputs and the nodes of the body that depend on active values of this or an earlier step."""
        roots = {param for param, actual in self.outer.items() if actual in active and param.dtype in FLOATS}
        while True:
            inside = active_nodes(self.body.nodes, roots)
            more = {
                carry.inside
                for carry in self.scan_parts.carries
                if carry.next in inside and carry.inside not in roots and carry.inside.dtype in FLOATS
            }
            if not more:
                break
            roots |= more
        self.roots, self.inside = roots, inside

    def _reverse_body(self) -> None:
        """Compute the adjoints of a step. The adjoints of the step's results become inputs of the backward body."""
        work = Adjoints(self.body.nodes, list(self.roots))
        invariants = set(self.invariants)
        self.deferred: list[DeferredSum] = []
        self.carry_in: dict[Node, Node] = {}  # adjoint of each carry's next value, from the following step
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
            if value in invariants and value in work.active:  # returned unchanged at every step
                self.deferred.append(DeferredSum(value, _sum, (g,)))
            elif value in work.active:
                work.add(value, g)
        for node in reversed(self.body.nodes):
            if node not in work.active or not node.operands:
                continue
            received = work.adjoint(node)
            if received is not None and node.op == "get":
                inner = node.operands[0]
                raise GraphError(
                    f"the recurrence {inner.name or 'scan'} runs inside of each step of another recurrence, and has no "
                    "gradient; run it before the other, or apply rg.stop_gradient to its result",
                    inner.where,
                )
            if received is not None:
                self._node(work, node, received, invariants)
        self.work = work

    def _node(self, work: Adjoints, node: Node, g: Node, invariants: set[Node]) -> None:
        """Add what a node with adjoint ``g`` contributes to its operands' adjoints. Sums over steps are deferred."""
        if node.op == "slice" and all(step == 1 for step in node["step"]) and node.operands[0] not in invariants:
            if node.operands[0] in work.active:
                work.add_slice(node, g)
            return
        deferred = [item for item in node.operands if item in invariants and item in work.active]
        if not deferred:
            for operand, part in zip(node.operands, adjoints(node, g), strict=True):
                if part is not None and operand in work.active:
                    work.add(operand, part)
            return
        elementwise = OPS[node.op].kind == "elementwise"
        for position, (operand, part) in enumerate(zip(node.operands, adjoints(node, g), strict=True)):
            if part is None or operand not in work.active:
                continue
            if operand not in invariants:
                work.add(operand, part)
            elif node.op == "matmul" and position == 1 and operand.tensor.rank > 2:
                self.deferred.append(DeferredSum(operand, _matrix_products, (node.operands[0], g)))
            elif node.op == "matmul" and position == 1 and node.operands[0].tensor.rank == 2:
                self.deferred.append(DeferredSum(operand, _outer_sum, (node.operands[0], g)))
            elif node.op == "gather":
                self.deferred.append(DeferredSum(operand, _scatter_add, (node.operands[1], g)))
            else:
                self.deferred.append(DeferredSum(operand, _sum, (_before_sum(part, g) if elementwise else part,)))

    def _select_residuals(self) -> None:
        """Choose which values the forward scan returns for the backward scan, and which are recomputed there."""
        forward = set(self.body.nodes)
        roots_to_read = [g for carry in self.carried if (g := self.work.adjoint(carry)) is not None]
        roots_to_read += [g for item in self.sequences if (g := self.work.adjoint(item)) is not None]
        roots_to_read += [item for deferred in self.deferred for item in deferred.values]
        backward = topological(roots_to_read)
        read = {item for node in backward if node not in forward for item in node.operands if item in forward}
        read |= {item for item in roots_to_read if item in forward}
        self.residuals: dict[Node, None] = {}
        self.cheap: set[Node] = set()  # values that are recomputed
        self.available: set[Node] = set(self.body.inputs)  # residuals, inputs, and values that cheap ops recompute
        self.recomputed: set[Node] = set()  # values that are recomputed, and their dependencies
        condition = self.scan_parts.when
        # A carried condition must be saved: residuals are zero for skipped steps, so the backward loop skips them, too.
        if condition is not None and condition in self.carried:
            read.add(condition)
        inputs = set(self.body.inputs)
        carried = set(self.carried)
        order = {node: number for number, node in enumerate(self.body.nodes)}
        for node in sorted(read, key=order.__getitem__):
            self._decide(node, inputs, carried)

    def _decide(self, node: Node, inputs: set[Node], carried: set[Node]) -> None:
        """Decide whether a value that the backward scan reads is saved or recomputed."""
        if node in self.cheap or node in self.residuals:
            return
        if node in carried or (node in self.following and node.tensor.rank > 2):  # matrix states are saved anyway
            self.residuals[node] = None
            return
        if node in inputs:
            return
        path = topological([node], known=self.available)
        if all(map(_is_cheap, path)) or self._outgrows_operands(node, path):
            self.available.update(path)
            self._record_recomputed(node, carried)
        else:
            self.available.add(node)
            self.residuals[node] = None

    def _outgrows_operands(self, node: Node, path: Sequence[Node]) -> bool:
        """True for a matrix that the elementwise ops of ``path`` compute from much smaller values, and from weights.

        Saving it takes longer than computing it again.
        """
        from ..loops.large_values import MIN_RATIO, entries, is_large  # imported late, because code on disk needs none

        if not is_large(node.shape) or not all(map(_is_elementwise, path)):
            return False
        weights = {item for item in self.invariants if all(isinstance(dim, int) for dim in item.shape)}
        leaves = {item for value in path for item in value.operands} - {*path} - weights
        return all(entries(item.shape) * MIN_RATIO <= entries(node.shape) for item in leaves)

    def _record_recomputed(self, node: Node, carried: set[Node]) -> None:
        """Record that a value is recomputed. Carries from which it is computed become residuals."""
        for item in topological([node], known=self.recomputed):
            self.recomputed.add(item)
            if item in carried and item not in self.residuals:
                self.residuals[item] = None
            elif item not in self.residuals:
                self.cheap.add(item)

    def _build(self) -> None:
        """Build the scan that returns residuals, the backward scan, and the adjoints of the operands."""
        residuals = [(f"kept_{node.name or node.op}", node) for node in self.residuals]
        widened = replace(self.scan_parts, emits=[*self.scan_parts.emits, *residuals])
        self.forward = widened.build(self.scan.where, self.scan.name)
        first = len(self.body.outputs)
        histories = {
            node: make("get", self.forward, where=node.where, name=f"kept_{node.name or node.op}", index=first + number)
            for number, node in enumerate(self.residuals)
        }
        # If steps may be skipped, the backward scan reads saved inputs, which are zero at skipped steps. The inputs
        # themselves may be NaN there, and NaN times an adjoint of 0 is NaN.
        steps = (self.sequences if self.scan_parts.when is None else {}) | histories
        carried = [carry for carry in self.carried if carry in self.carry_in]
        received = [(item, part) for item in self.sequences if (part := self.work.adjoint(item)) is not None]
        emits = [part for _, part in received]
        emits += [item for deferred in self.deferred for item in deferred.values if item not in steps]
        emits = list(dict.fromkeys(emits))
        backward = self._backward(histories, carried, emits)
        emitted = {
            node: make("get", backward, where=node.where, index=number)
            for number, node in enumerate(emits, start=len(carried))
        }
        steps |= emitted
        self.parts = [
            (self.outer[carry], make("get", backward, where=carry.where, index=number))
            for number, carry in enumerate(carried)
        ]
        self.parts += [(self.outer[item], emitted[part]) for item, part in received]
        for invariant, rule, values in self.deferred:
            self.parts.append((self.outer[invariant], rule(invariant, *(steps[item] for item in values))))

    def _backward(self, histories: Mapping[Node, Node], carried: Sequence[Node], emits: Sequence[Node]) -> Node:
        """Return the backward scan, which computes the adjoints of each step's inputs in the opposite order of steps.

        Args:
            histories: Residuals over all steps, by node of the body.
            carried: Carries that have an adjoint.
            emits: Adjoints of the body that the scan returns at all steps.
        """
        new = {g: g for g in (*self.emit_in.values(), *(self.carry_in[carry] for carry in carried))}
        sequences = [Binding(g, self.received[index]) for index, g in self.emit_in.items()]
        invariants: list[Binding] = []

        def bind(bindings: list[Binding], node: Node, outer: Node, label: str) -> None:
            new[node] = make("input", type=node.tensor, label=label, name=node.name, where=node.where)
            bindings.append(Binding(new[node], outer))

        for node, outer in histories.items():
            bind(sequences, node, outer, node.name or node.op)
        totals = [self.work.adjoint(carry) or zeros(carry.shape, carry) for carry in carried]
        for node in topological((*totals, *emits)):
            if node in new:
                continue
            if node in self.sequences:
                bind(sequences, node, self.outer[node], node.name or node.op)
            elif node in self.outer:
                bind(invariants, node, self.outer[node], str(node["label"]))
            else:
                new[node] = remake(node, [new[item] for item in node.operands])
        condition = self.scan_parts.when
        if condition is not None and condition not in new:
            bind(sequences, condition, self.outer[condition], condition.name or condition.op)
        carries = []
        for carry, total in zip(carried, totals, strict=True):
            first = self.received.get(self.carried.index(carry)) or zeros(carry.shape, carry)
            carries.append(Carry(self.carry_in[carry], first, f"d_{carry['label']}", new[total]))
        return ScanParts(
            carries,
            sequences,
            invariants,
            [(f"emit_{number}", new[node]) for number, node in enumerate(emits)],
            self.scan_parts.length,
            not self.scan_parts.reverse,
            None if condition is None else new[condition],
        ).build(self.scan.where, f"d_{self.scan.name}")


def _is_elementwise(node: Node) -> bool:
    row = OPS[node.op]
    return not row.random and row.kind in ("elementwise", "movement", "leaf") and node.op != "gather"


def _is_cheap(node: Node) -> bool:
    """True if a value costs less to recompute from its operands than to save."""
    row = OPS[node.op]
    if not node.operands or (node.op == "matmul" and _is_small_constant(node.operands[1])):
        return True
    return row.kind in ("elementwise", "movement") and not row.is_long and node.op != "gather"


SMALL = 32
"""Maximum rows of a constant matrix for which recomputing its product costs no more than saving the result."""


def _is_small_constant(node: Node) -> bool:
    """True for a constant matrix of at most ``SMALL`` rows."""
    return node.op == "constant" and node.tensor.rank == 2 and int(str(node.shape[0])) <= SMALL


def _before_sum(part: Node, g: Node) -> Node:
    """Return an adjoint before the sum over the axes along which the operand was broadcast.

    Args:
        part: Adjoint of the operand of an elementwise op.
        g: Adjoint of the op's result, at which the search ends.
    """
    while part is not g and part.op in ("reshape", "reduce_sum"):
        part = part.operands[0]
    return part


# Adjoints of invariants, from the contributions of all steps -------------------


def _outer_sum(operand: Node, left: Node, g: Node) -> Node:
    """Return the adjoint of a weight [inputs, units]: a sum of outer products over steps and rows."""
    return make("outer_sum", left, g, where=operand.where)


def _matrix_products(operand: Node, left: Node, g: Node) -> Node:
    """Return the adjoint of a batch of weights [..., inputs, units]: for each, one product over steps and rows."""
    left, g = _rows_of_all_steps(left), _rows_of_all_steps(g)
    order = (*range(left.tensor.rank - 2), left.tensor.rank - 1, left.tensor.rank - 2)
    return make("matmul", make("transpose", left, where=operand.where, order=order), g, where=operand.where)


def _rows_of_all_steps(sequence: Node) -> Node:
    """Reshape [time, ..., rows, units] to [..., time * rows, units]."""
    rank = sequence.tensor.rank
    order = (*range(1, rank - 2), 0, rank - 2, rank - 1)
    transposed = make("transpose", sequence, where=sequence.where, order=order)
    *leading, steps, rows, width = transposed.shape
    return make("reshape", transposed, where=sequence.where, shape=(*leading, steps * rows, width))


def _scatter_add(operand: Node, ids: Node, rows: Node) -> Node:
    """Return the adjoint of a table, to whose rows ``ids`` the adjoints ``rows`` of all steps are added."""
    return make("scatter_add", ids, rows, where=operand.where, rows=operand.shape[0])


def _sum(operand: Node, part: Node) -> Node:
    """Sum over time, and over the axes along which the operand was broadcast."""
    sequence = aligned(part, True, max(operand.tensor.rank, part.tensor.rank - 1))
    return unbroadcast(sequence, operand) if sequence.tensor.rank > operand.tensor.rank else sequence
