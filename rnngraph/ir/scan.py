"""Named parts of a scan, and the function that builds scans.

A scan runs its body once for each step. The printed form and this module use the same terms::

    carry h = initial         ``Carry``: a value passed from step to step, which starts as ``initial``
    over x = sequence         ``Binding``: the body reads one step of a sequence
    with w = value            ``Binding``: a loop invariant, which all steps read
    next h = …                the next value of a carry; the scan returns the last one
    emit y = …                a value of each step; the scan stacks all of them along a new first axis
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..support.errors import Where
from ..support.records import NamedTuple, dataclass
from .graph import Graph, Node, make
from .types import Dim

Item = TypeVar("Item")

REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")


class Carry(NamedTuple):
    """Carry of a scan: the body's input, the initial value, and the body's output that the next step receives."""

    inside: Node
    initial: Node
    name: str
    next: Node


class Binding(NamedTuple):
    """Input of the body, with the scan's operand that is bound to it."""

    inside: Node
    outside: Node


@dataclass(frozen=True, eq=False)
class ScanParts:
    """Parts of a scan. ``build`` makes the node.

    Attributes:
        carries: Values passed from step to step.
        sequences: Operands of which each step reads one element of the first axis.
        invariants: Operands that all steps read whole.
        emits: Names and values that each step emits.
        length: Number of steps.
        reverse: True if the last step runs first.
        when: Boolean input of the body, a carry or one step of a sequence. Steps at which it is false are skipped. None
            if all steps run.
        unroll: Unroll factor; None if the compiler chooses it.
        keeps: Number of steps of a block. The scan also returns the carries before every block, as checkpoints. None
            for no checkpoints.
        blocks: Number of steps of a block. Every block starts from other initial values. None if the carries pass
            through all steps.
    """

    carries: Sequence[Carry]
    sequences: Sequence[Binding]
    invariants: Sequence[Binding]
    emits: Sequence[tuple[str, Node]]
    length: Dim
    reverse: bool
    when: Node | None = None
    unroll: int | None = None
    keeps: int | None = None
    blocks: int | None = None

    @staticmethod
    def of(node: Node, operands: Sequence[Node] | None = None, body: Graph | None = None) -> ScanParts:
        """Return a scan's carries, sequences, invariants and options, optionally for other operands or a new body."""
        body = node["body"] if body is None else body
        initial, *outside = split_inputs(node, node.operands if operands is None else operands)
        carried, *inside = split_inputs(node, body.inputs)
        carries = zip(carried, initial, body.outputs, strict=False)
        sequences, invariants = ([*map(Binding, *pair)] for pair in zip(inside, outside, strict=True))
        return ScanParts(
            [Carry(param, first, name, value) for param, first, (name, value) in carries],
            sequences,
            invariants,
            body.outputs[len(carried) :],
            node["length"],
            node["reverse"],
            None if (when := node.get("when")) is None else body.inputs[when],
            node.get("unroll"),
            node.get("keeps"),
            node.get("blocks"),
        )

    @property
    def inputs(self) -> list[Node]:
        """Inputs of the body: those of carries, of sequences, and of invariants."""
        inside = [binding.inside for binding in (*self.sequences, *self.invariants)]
        return [*(carry.inside for carry in self.carries), *inside]

    @property
    def operands(self) -> list[Node]:
        """Operands of the scan: initial values of carries, then sequences, then invariants."""
        outside = [binding.outside for binding in (*self.sequences, *self.invariants)]
        return [*(carry.initial for carry in self.carries), *outside]

    @property
    def outputs(self) -> list[tuple[str, Node]]:
        """Names and values of the body's outputs: next values of carries, then emitted values."""
        return [*((carry.name, carry.next) for carry in self.carries), *self.emits]

    def with_replaced_values(self, new: Mapping[Node, Node]) -> ScanParts:
        """Return the parts with each output of the body replaced by ``new[output]``."""
        carries = [carry._replace(next=new[carry.next]) for carry in self.carries]
        return replace(self, carries=carries, emits=[(name, new[value]) for name, value in self.emits])

    def build(self, where: Where | None, name: str, make: Callable[..., Node] = make) -> Node:
        """Return a scan node with these parts. Nodes on which no output of the body depends are left out.

        Args:
            where: Line of the user's script.
            name: Name of the node.
            make: Node constructor, for callers with another rule for sizes that must be equal.
        """
        params = self.inputs
        optional: dict[str, Any] = {} if self.when is None else {"when": params.index(self.when)}
        options = {"unroll": self.unroll, "keeps": self.keeps, "blocks": self.blocks}
        optional |= {name: value for name, value in options.items() if value is not None}
        return make(
            "scan",
            *self.operands,
            where=where,
            name=name,
            body=Graph.of("body", self.outputs, params),
            carries=len(self.carries),
            sequences=len(self.sequences),
            length=self.length,
            reverse=self.reverse,
            **optional,
        )


def split_inputs(scan: Node, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item], Sequence[Item]]:
    """Split ``items``, one for each operand of a scan, into the items of carries, of sequences and of invariants."""
    carries, sequences = scan["carries"], scan["sequences"]
    return items[:carries], items[carries : carries + sequences], items[carries + sequences :]


def step_condition(scan: Node) -> Node | None:
    """Return the boolean input of a scan's body that is true if a step runs; None if all steps run."""
    when = scan.get("when")
    return None if when is None else scan["body"].inputs[when]


def is_final(get: Node) -> bool:
    """True if a ``get`` reads the final value of a carry rather than an emitted sequence."""
    return get["index"] < get.operands[0]["carries"]


def is_kept(get: Node) -> bool:
    """True if a ``get`` reads a carry's checkpoints, which are its values before each block of steps."""
    return get["index"] >= len(get.operands[0]["body"].outputs)


def runs_backward(scan: Node) -> bool:
    """True if the loop that contains a scan runs from the last step to the first.

    A scan of blocks runs one block at a time inside a loop of the opposite direction.
    """
    reverse: bool = scan["reverse"]
    return reverse if scan.get("blocks") is None else not reverse


def derivatives_of(scans: Collection[Node], dependencies: Mapping[Node, Collection[Node]]) -> list[Node]:
    """Return the scans that compute derivatives.

    The phase of a scan's source line decides. A scan without a line is a derivative if it depends on a scan of the
    opposite direction.

    Args:
        scans: Scans of one graph.
        dependencies: The scans that each scan depends on.
    """

    def is_derivative(scan: Node) -> bool:
        if scan.where is not None:
            return scan.where.phase == "backward"
        return any(other["reverse"] != scan["reverse"] for other in dependencies[scan])

    return [scan for scan in scans if is_derivative(scan)]


def scan_dependencies(nodes: Iterable[Node], scans: Collection[Node]) -> dict[Node, frozenset[Node]]:
    """Return the scans on which each node depends. ``nodes`` must be in topological order."""
    sources: dict[Node, frozenset[Node]] = {}
    for node in nodes:
        dependencies = frozenset[Node]().union(*(sources[item] for item in node.operands))
        sources[node] = dependencies | {node} if node in scans else dependencies
    return sources


def ends_of_loop(scan: Node) -> set[Node]:
    """Return the nodes of a scan's body that only compute the condition of the next step.

    Such nodes are the reductions over all rows and the nodes between these and the condition. No other node reads them.
    """
    body, parts = scan["body"], ScanParts.of(scan)
    users = body.users()
    condition, stack = set[Node](), [carry.next for carry in parts.carries if carry.inside is parts.when]
    while stack:
        node = stack.pop()
        if all(user in condition for user in users[node]):
            condition.add(node)
            if node.op not in REDUCTIONS:
                stack += node.operands
    return condition


def histories_read(scan: Node) -> dict[Node, tuple[Node, Node]]:
    """Return {body's input: (other scan, its carry)} for each sequence of all values of another scan's carry.

    The carry is given by its input in the other scan's body.
    """
    histories = dict[Node, tuple[Node, Node]]()
    for inside, outside in ScanParts.of(scan).sequences:
        if outside.op == "get" and outside.operands[0].op == "scan":
            source = outside.operands[0]
            value = source["body"].outputs[outside["index"]][1]
            for carry in ScanParts.of(source).carries:
                if value in (carry.inside, carry.next):
                    histories[inside] = source, carry.inside
    return histories
