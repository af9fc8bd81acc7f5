"""A scan by the names of its parts, and the one way to build one.

A scan runs its body once for each step. In the printed form, and here::

    carry h = initial         ``Carry``: a value that goes from step to step; before the first it is ``initial``
    over x = sequence         ``Binding``: the body takes one step of a sequence
    with w = value            ``Binding``: the body takes the same at every step, an invariant
    next h = …                what is carried to the next step; after the last one the scan gives it
    emit y = …                what each step gives; the scan gives all of them, joined along a new first axis
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ..support.errors import Where
from .graph import Graph, Node, make
from .types import Dim

Item = TypeVar("Item")

REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")


class Carry(NamedTuple):
    """An input of the body that each step hands on. name: of what it hands on."""

    inside: Node
    initial: Node
    name: str
    next: Node


class Binding(NamedTuple):
    """An input of the body, and the operand that it stands for. A dict of bindings goes from the inside out."""

    inside: Node
    outside: Node


@dataclass(frozen=True, eq=False)
class ScanParts:
    """All that a scan is made of; ``made`` is the node.

    when: the input of the body, a carry or a step of a sequence, that says whether a step runs; None where all do.
    unroll: steps per turn of the loop, where that is settled. keeps, blocks: steps of a block, of which the scan also
    gives the carries before it, or which begins with its own initial values; None where there are none.
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
        """The parts of ``node``; over other operands, or with another body of the same inputs, if they are given."""
        body = node["body"] if body is None else body
        initial, *outside = split_inputs(node, node.operands if operands is None else operands)
        carried, *inside = split_inputs(node, body.inputs)
        carries = zip(carried, initial, body.outputs, strict=False)
        sequences, invariants = ([*map(Binding, *pair)] for pair in zip(inside, outside, strict=True))
        return ScanParts(
            [Carry(formal, first, name, value) for formal, first, (name, value) in carries],
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
        """What the body takes, in order."""
        inside = [binding.inside for binding in (*self.sequences, *self.invariants)]
        return [*(carry.inside for carry in self.carries), *inside]

    @property
    def operands(self) -> list[Node]:
        """What the scan takes, in order."""
        outside = [binding.outside for binding in (*self.sequences, *self.invariants)]
        return [*(carry.initial for carry in self.carries), *outside]

    @property
    def outputs(self) -> list[tuple[str, Node]]:
        """What the body gives, in order."""
        return [*((carry.name, carry.next) for carry in self.carries), *self.emits]

    def giving(self, new: Mapping[Node, Node]) -> ScanParts:
        """The scan with values that its body gives replaced."""
        carries = [carry._replace(next=new[carry.next]) for carry in self.carries]
        return replace(self, carries=carries, emits=[(name, new[value]) for name, value in self.emits])

    def made(self, where: Where | None, name: str, make: Callable[..., Node] = make) -> Node:
        """The node, whose body holds what it needs in order to give what it gives.

        make: what makes it, where sizes meet in a way of their own.
        """
        formals = self.inputs
        optional: dict[str, Any] = {} if self.when is None else {"when": formals.index(self.when)}
        options = {"unroll": self.unroll, "keeps": self.keeps, "blocks": self.blocks}
        optional |= {name: value for name, value in options.items() if value is not None}
        return make(
            "scan", *self.operands, where=where, name=name, body=Graph.of("body", self.outputs, formals),
            carries=len(self.carries), sequences=len(self.sequences), length=self.length, reverse=self.reverse,
            **optional,
        )  # fmt: skip


def split_inputs(scan: Node, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item], Sequence[Item]]:
    """What belongs to a scan's inputs, one each and in their order, as (carries, sequences, invariants)."""
    carries, sequences = scan["carries"], scan["sequences"]
    return items[:carries], items[carries : carries + sequences], items[carries + sequences :]


def step_condition(scan: Node) -> Node | None:
    """The input of a scan's body that says whether a step runs; None where all do."""
    when = scan.get("when")
    return None if when is None else scan["body"].inputs[when]


def is_final(get: Node) -> bool:
    """Whether a ``get`` is of what a scan carries, after the last step, and not of what each step emits."""
    return get["index"] < get.operands[0]["carries"]


def is_kept(get: Node) -> bool:
    """Whether a ``get`` is of what a scan carries, before each block of its steps."""
    return get["index"] >= len(get.operands[0]["body"].outputs)


def runs_backward(scan: Node) -> bool:
    """Whether the loop that a scan runs in takes the last steps first. One of blocks runs among those whose loops
    go against its own direction, a block at a time.
    """
    reverse: bool = scan["reverse"]
    return reverse if scan.get("blocks") is None else not reverse


def derivatives_of(scans: Collection[Node], behind: Mapping[Node, Collection[Node]]) -> list[Node]:
    """Those of ``scans`` that derive others: by their phase; where no line tells that, by what they run against.

    behind: the scans that a value depends on.
    """

    def is_derivative(scan: Node) -> bool:
        if scan.where is not None:
            return scan.where.phase == "backward"
        return any(other["reverse"] != scan["reverse"] for other in behind[scan])

    return [scan for scan in scans if is_derivative(scan)]


def scans_behind(nodes: Iterable[Node], scans: Collection[Node]) -> dict[Node, frozenset[Node]]:
    """The ``scans`` that each of ``nodes``, which have operands first, depends on."""
    behind: dict[Node, frozenset[Node]] = {}
    for node in nodes:
        found = frozenset[Node]().union(*(behind[item] for item in node.operands))
        behind[node] = found | {node} if node in scans else found
    return behind


def ends_of_loop(scan: Node) -> set[Node]:
    """What in a scan's body says of all rows together whether another step runs, and nothing else."""
    body, parts = scan["body"], ScanParts.of(scan)
    users = body.users()
    found, stack = set[Node](), [carry.next for carry in parts.carries if carry.inside is parts.when]
    while stack:
        node = stack.pop()
        if all(user in found for user in users[node]):
            found.add(node)
            if node.op not in REDUCTIONS:
                stack += node.operands
    return found
