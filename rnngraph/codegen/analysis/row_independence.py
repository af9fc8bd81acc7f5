"""Test of kernels for independent rows: each row of a batch is computed from the same row of other values.

Between such kernels, a worker that computes a range of rows need not wait for others, because it reads only rows that
it wrote itself. A row is a position on the axis before the last; in a scan's step, also on the only axis. The
carries of scans determine the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.axes.walk import kept_at
from ...ir.graph import Graph, Node, topological
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.scan import ScanParts
from .kernel_fusion import Kernel, fuse_body
from .node_kinds import is_view
from .row_lengths import LengthMask

MIN_ROWS = 4
"""Minimum rows per worker. Below it, splitting by units is cheaper, because every worker reloads the weights."""
WHOLE = ("constant", "parameter", "iota")
"""Ops in a step whose values every worker may read as a whole."""


def rows_of(graph: Graph) -> int:
    """Return the number of rows of the scans' carries that are matrices.

    The result is 0 if the number differs between carries or is symbolic, or if no carry is a matrix.
    """
    carried = [carry.inside for node in graph.nodes if node.op == "scan" for carry in ScanParts.of(node).carries]
    counts = {item.shape[0] for item in carried if item.tensor.rank == 2}
    rows = counts.pop() if len(counts) == 1 else 0
    return rows if isinstance(rows, int) else 0


class Rowwise:
    """Test of kernels and scans for independent rows.

    Attributes:
        rows: Number of rows.
        shared: Function that is True for values that every worker may read as a whole, because no kernel that is split
            by rows writes them.
        in_step: True for kernels of a scan's step, where values of one axis have rows, too.
        overwriting: Values written over memory that other workers may still read.
    """

    def __init__(self, rows: int, shared: Callable[[Node], bool], in_step: bool = False) -> None:
        self.rows, self.shared, self.in_step, self.overwriting = rows, shared, in_step, set[Node]()
        self._known: dict[Node, bool] = {}

    def kernel(self, kernel: Kernel) -> bool:
        """True if a kernel's rows are independent, and it overwrites nothing that other workers may still read."""
        if kernel.kind == "copy" and kernel.members[0].op != "slice":
            return False
        return all(self._computes(node) and node not in self.overwriting for node in kernel.members)

    def copies(self, node: Node, is_in_memory: bool) -> bool:
        """True if workers can divide the rows of a copy. Unless ``is_in_memory``, the copy also computes the value."""
        if node.tensor.rank < 2 or not self._has_rows(node):
            return False
        return self._reads(node) if is_in_memory else self._computes(node)

    def inside(self, node: Node, kernels: Sequence[Kernel]) -> Rowwise | None:
        """Return a ``Rowwise`` for a scan's body; None unless all its kernels and inputs have independent rows."""
        scan, body = ScanParts.of(node), node["body"]
        whole = {inside for inside, outside in scan.invariants if self.shared(outside)}
        whole |= {
            inside
            for inside, outside in scan.sequences
            if not inside.tensor.rank and self._all_rows_are_readable(outside)
        }
        if not all(item in whole or (item.tensor.rank > 1 and self._has_rows(item)) for item in body.inputs):
            return None
        by_rows = [*(carry.initial for carry in scan.carries), *(outside for _, outside in scan.sequences)]
        if not all(map(self._reads, by_rows)):
            return None
        inside = Rowwise(self.rows, lambda item: item in whole or item.op in WHOLE, in_step=True)
        outputs = [value for _, value in body.outputs]
        every = all(map(inside.kernel, kernels)) and all(inside.copies(value, True) for value in outputs)
        return inside if every else None

    def among_others(self, node: Node, kernels: Sequence[Kernel]) -> Rowwise:
        """Return a ``Rowwise`` for kernels of a scan's body in which only some kernels have independent rows.

        Around each kernel whose rows depend on each other, and before the first step, workers meet at a barrier. Values
        of such kernels can therefore be read as a whole.
        """
        whole = {item for item in node["body"].inputs if item.tensor.rank < 2 or not self._has_rows(item)}
        inside = Rowwise(self.rows, lambda item: item in whole or item.op in WHOLE, in_step=True)
        for kernel in kernels:
            if not inside.kernel(kernel):
                whole.update(kernel.members)
        return inside

    def _has_rows(self, node: Node) -> bool:
        """True if a value has rows on the axis before the last, or on its only axis."""
        rank = node.tensor.rank
        return node.shape[-2] == self.rows if rank > 1 else self.in_step and node.shape == (self.rows,)

    def _computes(self, node: Node) -> bool:
        """True if each row of a value is computed only from the same row of other values."""
        if node not in self._known:
            for item in topological([node], known=self._known):
                self._known[item] = self._computes_from_known(item)
        return self._known[node]

    def _computes_from_known(self, node: Node) -> bool:
        """True if each row of ``node`` reads only the same row of its operands, which are in ``_known`` already."""
        if node.op == "scan" or not self._has_rows(node):
            return False
        if is_view(node):
            return self._reads(node)
        return _is_cut_by_rows(node) and all(
            self._all_rows_are_readable(item) or (self._reads(item) and _keeps_rows(node, number))
            for number, item in enumerate(node.operands)
        )

    def _reads(self, node: Node) -> bool:
        """True if a worker that computes some rows of a reader may read ``node`` without waiting for other workers.

        This holds if those rows need only the same rows of ``node``, or if every worker may read all of ``node``.
        """
        if self._all_rows_are_readable(node):
            return True
        while is_view(node):
            source = node.operands[0]
            if self._all_rows_are_readable(source):
                return True
            if not (self._has_rows(node) and self._has_rows(source) and _keeps_rows(node, 0)):
                return False
            node = source
        if OPS[node.op].kind == "elementwise":  # the node may be inlined, so that its reader computes it
            return self._computes(node)
        return self._has_rows(node)

    def _all_rows_are_readable(self, node: Node) -> bool:
        """True if every worker may read all rows of ``node``, because no kernel that is split by rows writes them."""
        pending, visited = [node], set[Node]()
        while pending:
            item = pending.pop()
            while is_view(item) and not self.shared(item):
                item = item.operands[0]
            if item in visited or self.shared(item):
                continue
            visited.add(item)
            pure = OPS[item.op].kind == "elementwise" or item.op in ("iota", "dimension", "constant")
            if not pure or item.tensor.rank:
                return False
            pending += item.operands
        return True


def _keeps_rows(node: Node, number: int) -> bool:
    """True if each row of a node reads only the same row of operand ``number``."""
    return kept_at(node, number, _row_axis(node.operands[number])) == _row_axis(node)


def _row_axis(node: Node) -> int:
    """Return the index of the axis before the last, or of the only axis."""
    return max(0, node.tensor.rank - 2)


def _is_cut_by_rows(node: Node) -> bool:
    """True if the kernel of a node's op can compute a subset of the rows, so that workers can divide them."""
    rank = node.tensor.rank
    if OPS[node.op].kind == "reduction":
        return bool(node["axes"] == (node.operands[0].tensor.rank - 1,))
    if node.op in (*MATRIX_PRODUCTS, "concat"):
        return rank > 1 and node.get("axis", rank - 1) == rank - 1
    return node.op == "gather" or OPS[node.op].kind == "elementwise"


def row_by_row(scan: Node, mask: LengthMask) -> bool:
    """True if each row of a scan depends on no other row, so that rows can be skipped after their sequences' ends.

    All carries and all results of a step must be matrices with the mask's rows.
    """
    body = scan["body"]
    varying = {item for item in body.inputs if item.tensor.rank > 1 and item.shape[-2] == mask.rows}
    parts = ScanParts.of(scan)
    if not all(carry.inside in varying and carry.inside.tensor.rank == 2 for carry in parts.carries):
        return False
    whole = {*dict(parts.invariants), *(set(body.inputs) - varying)}
    rowwise = Rowwise(mask.rows, lambda item: item in whole or item.op in WHOLE)
    outputs = [value for _, value in body.outputs]
    return all(value.tensor.rank == 2 and value.shape[0] == mask.rows for value in outputs) and all(
        map(rowwise.kernel, fuse_body(body).kernels)
    )
