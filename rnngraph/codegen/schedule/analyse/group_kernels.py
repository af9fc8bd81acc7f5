"""Division of a fusion group into kernels, and combination of groups that may share one loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ....ir.graph import Graph, Node, dependents
from ....ir.node import is_batched_product
from ....ir.ops import MATRIX_PRODUCTS
from ....ir.scan import split_inputs
from ....ir.types import Dim
from ....support.records import dataclass
from ...analysis.chunk_needs import Needs, chunk_needs
from ...analysis.kernel_fusion import FusedKernels, Kernel, fuse
from ...analysis.loop_fusion import FusionGroup, LoopFusion
from ...analysis.node_kinds import is_strided_view, is_view, picks_step
from ...buffers.views import view_through
from ...cost_model.interleaving import may_pay
from ...machine.alignment import padded_row
from ...machine.target import Target
from .arguments import EntryArguments, arguments_of

Numbered = tuple[int, FusionGroup]
"""Index of a group, and the group."""


@dataclass(frozen=True)
class EntryGraph:
    """Graph of an entry, with the readers of its values, fusion groups and arguments."""

    graph: Graph
    users: Mapping[Node, Sequence[Node]]
    fusion: LoopFusion
    arguments: EntryArguments

    @staticmethod
    def of(graph: Graph) -> EntryGraph:
        """Return a graph with its readers, fusion groups and arguments."""
        users, fusion = graph.users(), LoopFusion(graph)
        return EntryGraph(graph, users, fusion, arguments_of(graph, fusion, users))


@dataclass(frozen=True)
class GroupKernels:
    """Kernels of a fusion group.

    Attributes:
        number: Index of the group.
        group: The group.
        nodes: Nodes of the group, and the index arithmetic that they read.
        fused: The kernels.
        leaving: Values that outlive the group.
    """

    number: int
    group: FusionGroup
    nodes: Sequence[Node]
    fused: FusedKernels
    leaving: set[Node]

    @property
    def scans(self) -> list[Node]:
        """Scans of the group."""
        return scans_of(self.group)

    @cached_property
    def needs(self) -> tuple[Needs, ...]:
        """Dependencies between kernels of a loop, within one chunk of time."""
        return chunk_needs(self.fused.kernels, self.nodes)


def scans_of(group: FusionGroup) -> list[Node]:
    """Return the scans of a group."""
    return [node for node in group.nodes if node.op == "scan"]


def group_kernels(entry: EntryGraph, numbered: Numbered, in_memory: Collection[Node]) -> GroupKernels:
    """Return the kernels of a fusion group, before which the values ``in_memory`` are stored."""
    number, group = numbered
    users, fusion, arguments = entry.users, entry.fusion, entry.arguments
    inside, outputs = set(group.nodes), {node for _, node in entry.graph.outputs} | arguments.late_values
    leaving = {
        node
        for node in group.nodes
        if node in outputs or node in arguments.results or any(user not in inside for user in users[node])
    }
    nodes = fusion.closure(group.nodes)
    free_views = _views_of_results(nodes, users, arguments)
    copies = {node for node in nodes if node not in free_views and _must_copy(node, group, users, in_memory)}
    copies |= fusion.transposed_weights.intersection(group.nodes)
    for node in reversed(group.nodes):  # if a view outlives the group, its source does, too
        if node in leaving and is_view(node) and node not in copies:
            leaving.update(item for item in node.operands if item in inside)
    lazy_concats = fusion.lazy_concats.intersection(group.nodes) - leaving
    matrix_rank = 3 if group.kind.length is None else 4
    fused = fuse(nodes, leaving, in_memory, copies, frozenset(lazy_concats), matrix_rank)
    fused = replace(fused, kernels=_delay_block_recomputation(fused.kernels, nodes))
    return GroupKernels(number, group, nodes, fused, leaving)


def _delay_block_recomputation(kernels: tuple[Kernel, ...], nodes: Sequence[Node]) -> tuple[Kernel, ...]:
    """Return kernels in an order in which each recomputed block of steps runs directly before its first reader."""
    if all(kernel.first.get("blocks") is None for kernel in kernels):
        return kernels
    needs, order = chunk_needs(kernels, nodes), list(range(len(kernels)))
    for number, kernel in enumerate(kernels):
        if kernel.first.get("blocks") is not None:
            order.remove(number)
            readers = [place for place, other in enumerate(order) if number in needs[other]]
            order.insert(min(readers, default=len(order)), number)
    return tuple(kernels[number] for number in order)


def _views_of_results(
    nodes: Sequence[Node], users: Mapping[Node, Sequence[Node]], arguments: EntryArguments
) -> set[Node]:
    """Return those of ``nodes`` that are views of results in the caller's memory, and need no kernel."""
    views = {node: places[0] for node, places in arguments.results.items()}
    for node in nodes:
        if is_view(node) and node not in views and node.operands[0] in views:
            view = view_through(node, views[node.operands[0]])
            if view is not None:
                views[node] = view
    free_views = set[Node]()
    for node in reversed(nodes):
        # An unused view reads nothing.
        readers = [user for user in users[node] if not (is_view(user) and not users[user])]
        if node in views and node not in arguments.results and all(user in free_views for user in readers):
            free_views.add(node)
    return free_views


def _must_copy(
    node: Node, group: FusionGroup, users: Mapping[Node, Sequence[Node]], in_memory: Collection[Node]
) -> bool:
    """True if a movement op, such as a transpose, must copy its operand instead of being a view of it.

    An op must copy if strides cannot express the result, or if the op selects a step of a sequence that is computed in
    chunks. A transpose is also copied if it is a right operand that products or the steps of a scan read many times.
    Nothing is copied that is in memory already, or that only merges whole rows of a prepared value.
    """
    if not is_view(node) or node in in_memory:
        return False
    if picks_step(node, group.kind.length):
        return True
    if node.op == "reshape":
        return not is_strided_view(node) and not (group.kind.prepared and _merges_whole_rows(node, group))
    if node.op != "transpose":
        return False
    right = [user for user in users[node] if user.op in MATRIX_PRODUCTS and user.operands[1] is node]
    return any(not is_batched_product(user) for user in right) or _is_transposed_for_steps(node, users)


def _merges_whole_rows(node: Node, group: FusionGroup) -> bool:
    """True if a reshape keeps the last axis of a value that its group computes, and the rows have no padding."""
    operand = node.operands[0]
    width = operand.shape[-1] if operand.tensor.rank else 0
    is_own = operand in group.nodes and not is_view(operand)
    return is_own and width == node.shape[-1] and padded_row(width, operand.dtype) == width


def _is_transposed_for_steps(node: Node, users: Mapping[Node, Sequence[Node]]) -> bool:
    """True for a transpose that moves the last axis, and that every step of a scan reads, such as keys of attention.

    Without a copy, its units would not be adjacent in memory.
    """
    order = node["order"]
    scans = [user for user in users[node] if user.op == "scan"]
    return order[-1] != len(order) - 1 and any(node in split_inputs(user, user.operands)[2] for user in scans)


def both_directions(fusion: LoopFusion, target: Target) -> list[list[Numbered]]:
    """Return lists of (index, fusion group): independent time loops that may pay to interleave, or one group alone.

    A list has several groups if they are independent loops over the same time axis, and interleaving them may pay. An
    example is one loop in each direction.
    """
    _align_opposite(fusion, target)
    combined: list[list[Numbered]] = []
    known: dict[tuple[int, Dim], list[Numbered]] = {}
    for number, group in enumerate(fusion.groups()):
        scans, length = scans_of(group), group.kind.length
        if length is None or not scans:
            combined.append([(number, group)])
            continue
        other = known.setdefault((group.level, length), [])
        if not other or not may_pay(target, [*scans_of(other[0][1]), *scans]):
            other = known[group.level, length] = []
            combined.append(other)
        other.append((number, group))
    return combined


def _align_opposite(fusion: LoopFusion, target: Target) -> None:
    """Delay scans to the level of independent scans that run in the opposite direction, so that they can share a loop.

    If both directions read the same computed values, the loop of one direction computes them, and would run before the
    other loop. If its scans are delayed, they move into a later loop, which can run together with the other one.
    Values that depend on delayed scans are delayed too.
    """
    if any(node.get("blocks") is not None for node in fusion.graph.nodes):
        return  # a block's results are in memory only until the next block runs, so their readers cannot be delayed
    level, groups = 0, list[FusionGroup]()
    while True:
        groups = groups or [group for group in fusion.groups() if scans_of(group)]
        levels = [group.level for group in groups if group.level >= level]
        if not levels:
            return
        level = min(levels)
        for one in [group for group in groups if group.level == level]:
            if any(_is_opposite(one, item, later=0) for item in groups):
                continue
            scans = scans_of(one)
            above = [scan for item in groups if _is_opposite(one, item, later=1) for scan in scans_of(item)]
            dependent_nodes = dependents(scans, fusion.graph.nodes) if above else ()
            others = [scan for scan in above if scan not in dependent_nodes]
            if others and may_pay(target, [*scans, *others]):
                fusion.run_later(scans, level + 1)
                groups = []  # recompute the groups, because levels have changed
                break
        level += 1


def _is_opposite(one: FusionGroup, other: FusionGroup, later: int) -> bool:
    """True if ``other`` is a loop over the same axis in the opposite direction, ``later`` levels after ``one``."""
    same_axis = one.kind.length == other.kind.length and one.kind.reverse != other.kind.reverse
    return same_axis and other.level == one.level + later
