"""Reuse of buffers in loops over steps: a value overwrites a value that has no later reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ...ir.graph import Graph, Node, topological
from ...ir.scan import ScanParts, split_inputs
from ...ir.types import Shape
from ..analysis.kernel_fusion import FusedKernels, fuse_body
from ..analysis.node_kinds import contracted, folds_operand, is_view, source_of
from ..machine.alignment import padded_row
from .views import View, view_through

MIN_STEPS = 32
"""Minimum steps of a chunk of time for reuse. With fewer, reuse saves little memory, and equal layers would no longer
share kernels.
"""


def may_overwrite(
    fused: FusedKernels, outputs: Sequence[Node], users: Mapping[Node, Sequence[Node]], old: Node, new: Node
) -> bool:
    """True if a loop body can store its value ``new`` in the memory of its input ``old``.

    Args:
        fused: Kernels of the body.
        outputs: Outputs of the body.
        users: Readers of the body's values.
        old: Input of the body.
        new: Value of the body.
    """
    position = {node: number for number, kernel in enumerate(fused.kernels) for node in kernel.members}
    if new not in fused.stored or new not in position or old in outputs:
        return False
    last, readers_in_kernel = position[new], list[Node]()
    pending = [(old, user) for user in users[old]]
    for source, user in pending:  # the loop appends to the list
        if is_view(user) or (user not in position and user.shape != old.shape):
            return False
        if user not in position:  # the reader is inlined, so its readers read ``old``
            if old.tensor.rank < 3 or contracted(source, user) or user in outputs:
                return False
            pending += [(user, reader) for reader in users[user]]
            continue
        if position[user] > last:
            return False
        if position[user] == last:
            if contracted(source, user) or _folded_shape(user) != old.shape:
                return False
            readers_in_kernel.append(user)
    # A kernel reads the operands at a position before it writes values that depend on them at this position.
    return not readers_in_kernel or _leads_to(
        readers_in_kernel, new, {node for node in position if position[node] == last}
    )


def _folded_shape(node: Node) -> Shape:
    """Return the shape over which a node's kernel iterates: the operand's for reductions, else the node's."""
    return node.operands[0].shape if folds_operand(node) else node.shape


def _leads_to(sources: Sequence[Node], node: Node, members: set[Node]) -> bool:
    """True if ``node`` is one of ``sources``, or ``members`` compute it from one of them."""
    visited, pending = {node}, [node]
    while pending:
        item = pending.pop()
        if item in sources:
            return True
        pending += [operand for operand in item.operands if operand in members and operand not in visited]
        visited.update(item.operands)
    return False


class BufferReuse:
    """Reuse of sequences' memory for the results of a scan that is the last reader of the sequences.

    Attributes:
        sequences: Sequences of all steps, each in a separate buffer.
        finished: Values computed by earlier groups.
        in_blocks: Scans whose blocks run one after another. They reuse no memory, because a block would overwrite
            elements that a later block reads.
    """

    def __init__(self, graph: Graph, users: Mapping[Node, Sequence[Node]]) -> None:
        self.users, self.outputs = users, {value for _, value in graph.outputs}
        self.sequences: set[Node] = set()
        self.finished: set[Node] = set()
        self.in_blocks: set[Node] = set()

    def places(self, scan: Node, emitted: Sequence[Node], views: Mapping[Node, View], longest: int) -> dict[Node, View]:
        """Return {result of a scan: memory of a sequence that it reuses}.

        Args:
            scan: The scan.
            emitted: Results of all steps that need memory.
            views: Locations of sequences.
            longest: Maximum steps of a chunk.
        """
        if longest < MIN_STEPS or scan in self.in_blocks:
            return {}
        body, sequences = scan["body"], ScanParts.of(scan).sequences
        available: dict[Node, tuple[Node, View]] = {}
        for source in dict.fromkeys(source_of(outside) for _, outside in sequences):
            if source in self.sequences:
                for node, view in self._last_read(source, scan, views[source]).items():
                    available[next(inside for inside, outside in sequences if outside is node)] = node, view
        if not available:
            return {}
        fused, users, outputs = fuse_body(body), body.users(), [value for _, value in body.outputs]
        # The order in which bodies read sequences is the same for equal layers; the order of scans' operands is not.
        in_order = [node for node in topological(outputs) if node in available]
        fitting: dict[Node, list[Node]] = {}
        for emit in emitted:
            new = outputs[emit["index"]]
            fitting[emit] = [
                old
                for old in in_order
                if available[old][0].tensor == emit.tensor and may_overwrite(fused, outputs, users, old, new)
            ]
        reused: dict[Node, View] = {}
        # Start with the results that fit the fewest sequences. On a tie, keep the order of outputs, which is the same
        # for equal layers, so that they can share code.
        for emit in sorted(fitting, key=lambda emit: (len(fitting[emit]), emit["index"])):
            old = next((old for old in fitting[emit] if old in available), None)
            if old is not None:
                node, reused[emit] = available.pop(old)
                self.sequences.discard(source_of(node))
        return reused

    def _last_read(self, source: Node, scan: Node, view: View) -> dict[Node, View]:
        """Return {value: its memory} for a sequence, or for slices of its columns, that only ``scan`` still reads.

        The result is empty if another op still reads the sequence, if it is an output, or if the slices overlap. It has
        only slices of whole cache lines.
        """
        initial, sequences, invariants = split_inputs(scan, scan.operands)
        node_of_columns: dict[tuple[int, int], Node] = {}
        pending = [source]
        while pending:
            node = pending.pop()
            if node in self.outputs:
                return {}
            for user in self.users[node]:
                if is_view(user):
                    pending.append(user)
                elif user not in self.finished:
                    columns = _columns(node, source)
                    is_read_once = user is scan and sequences.count(node) == 1 and node not in (*initial, *invariants)
                    if columns is None or columns in node_of_columns or not is_read_once:
                        return {}
                    node_of_columns[columns] = node
        if any(end > begin for (_, end), (begin, _) in pairwise(sorted(node_of_columns))):
            return {}
        return {
            node: _place(node, view, columns)
            for columns, node in node_of_columns.items()
            if _whole_lines(columns, source)
        }


def _columns(node: Node, source: Node) -> tuple[int, int] | None:
    """Return the range of columns (first, last + 1) of a slice with all rows of a sequence; None for other views."""
    width = source.shape[-1]
    if not isinstance(width, int):
        return None
    if node is source:
        return 0, width
    if node.op != "slice" or node.operands[0] is not source or node["step"][-1] != 1:
        return None
    outer = [(0, dim, 1) for dim in source.shape[:-1]]
    if list(zip(node["start"], node["stop"], node["step"], strict=True))[:-1] != outer:
        return None
    begin, end = node["start"][-1], node["stop"][-1]
    return (begin, end) if isinstance(begin, int) and isinstance(end, int) else None


def _whole_lines(columns: tuple[int, int], source: Node) -> bool:
    """True if writing these columns with their padding leaves all other columns unchanged."""
    width, (begin, end) = source.shape[-1], columns
    ends = [begin] if end == width else [begin, end]
    return columns == (0, width) or (end - begin > 1 and all(padded_row(at, source.dtype) == at for at in ends if at))


def _place(node: Node, view: View, columns: tuple[int, int]) -> View:
    """Return the memory of a sequence's view with the given columns, padding included."""
    if node.op != "slice":
        return view
    begin, end = columns
    inner = view_through(node, view)
    assert inner is not None
    return replace(inner, room=int(str(padded_row(end - begin, node.dtype))))
