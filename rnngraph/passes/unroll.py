"""unroll: run several steps per iteration of a loop, or without a loop.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Graph, Node, make, map_bodies, remake, rewrite, with_attributes, zero
from ..ir.scan import ScanParts
from ..support.errors import GraphError
from ..support.records import dataclass


@dataclass(frozen=True)
class Unroll:
    """Run several steps per iteration of a loop, or without a loop.

    Law: values are unchanged, bit for bit.

    Attributes:
        steps: Steps per iteration of outermost loops, or ``"full"`` for no loops at all. 1 leaves a graph unchanged.
    """

    steps: int | str
    name: str = "unroll"

    def __call__(self, graph: Graph) -> Graph:
        if self.steps == "full":
            return unroll_fully(graph)
        if self.steps == 1:
            return graph

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op != "scan" or node.get("unroll") == self.steps:
                return None
            return with_attributes(remake(node, operands), unroll=self.steps)

        return rewrite(graph, rule)


def unroll_fully(graph: Graph, only_single_steps: bool = False) -> Graph:
    """Replace every scan, also within other scans, by copies of its body.

    Args:
        graph: Graph to rewrite.
        only_single_steps: Replace only scans of length 1, and keep all others.

    Raises:
        GraphError: The length of a scan is symbolic, 0 although the scan emits values, or makes more than
            ``MAX_COPIES`` ops.
    """
    copies: dict[Node, list[Node]] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "get" and node.operands[0] in copies:
            return copies[node.operands[0]][node["index"]]
        if node.op != "scan" or (only_single_steps and node["length"] != 1):
            return None
        scan = remake(node, operands)
        _check_length(scan)
        copies[node] = _copies(scan)
        return scan

    return rewrite(map_bodies(graph, lambda body: unroll_fully(body, only_single_steps)), rule)


def check_lengths(graph: Graph) -> None:
    """Raise ``GraphError`` if a scan cannot be unrolled fully, because its length is symbolic or too large."""
    for node in graph.walk():
        if node.op == "scan":
            _check_length(node)


MAX_COPIES = 1 << 20
"""Maximum ops of a fully unrolled loop."""


def _check_length(scan: Node) -> None:
    """Raise ``GraphError`` unless a scan can be unrolled fully."""
    length = scan["length"]
    if isinstance(length, int) and length * len(scan["body"].nodes) > MAX_COPIES:
        raise GraphError(
            f'unroll="full" of {length} steps would be {length * len(scan["body"].nodes)} ops, and at most '
            f"{MAX_COPIES} can be compiled; give a number of steps per iteration",
            scan.where,
        )
    if not isinstance(length, int):
        raise GraphError(
            f'unroll="full" needs a fixed length, and this one is {length}; '
            "declare the time axis of the placeholder as an int",
            scan.where,
        )


def _copies(scan: Node) -> list[Node]:
    """Return the results of a scan, in order, computed by a copy of its body for each step."""
    parts, body, length = ScanParts.of(scan), scan["body"], scan["length"]
    values = [carry.initial for carry in parts.carries]
    fixed = dict(parts.invariants)
    emitted: list[list[Node]] = [[] for _ in parts.emits]
    steps = range(length - 1, -1, -1) if scan["reverse"] else range(length)
    for step in steps:
        new = {carry.inside: value for carry, value in zip(parts.carries, values, strict=True)} | fixed
        new |= {inside: step_of(outside, step) for inside, outside in parts.sequences}
        for node in body.nodes:
            if node not in new:
                new[node] = remake(node, [new[item] for item in node.operands])
        results = [new[node] for _, node in body.outputs]
        if parts.when is not None:
            results = _selected_if_running(new[parts.when], results, values)
        values, emits = results[: len(values)], results[len(values) :]
        for kept, value in zip(emitted, emits, strict=True):
            kept.append(value)
    stacked = []
    for kept, (_, inner) in zip(emitted, parts.emits, strict=True):
        if not kept:
            raise GraphError(
                'unroll="full" needs at least one step, and the length is 0; declare a longer axis', scan.where
            )
        ordered = reversed(kept) if scan["reverse"] else kept
        rows = [make("reshape", value, where=value.where, shape=(1, *inner.shape)) for value in ordered]
        stacked.append(rows[0] if len(rows) == 1 else make("concat", *rows, where=scan.where, axis=0))
    return [*values, *stacked]


def _selected_if_running(condition: Node, results: Sequence[Node], before: Sequence[Node]) -> list[Node]:
    """Return the results of a step if it runs, else the previous carries, and zeros as outputs."""
    zeros = [zero(node.dtype) for node in results[len(before) :]]
    return [
        make("select", condition, value, other, where=value.where, name=value.name)
        for value, other in zip(results, [*before, *zeros], strict=True)
    ]


def step_of(sequence: Node, step: int) -> Node:
    """Return the entry of a sequence at one step, without the time axis."""
    shape = sequence.shape
    row = make(
        "slice",
        sequence,
        where=sequence.where,
        start=(step, *(0 for _ in shape[1:])),
        stop=(step + 1, *shape[1:]),
        step=(1,) * len(shape),
    )
    return make("reshape", row, where=sequence.where, shape=shape[1:])
