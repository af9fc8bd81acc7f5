"""Which kernels compute each row of a batch from that row alone.

A worker that has some rows needs not wait between such kernels: what it reads there, it wrote itself. A row is a
position on the axis before the last one, and in a step also one on the only axis; its number is that of the rows of
what scans carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.axes.walk import kept_at
from ...ir.graph import Graph, Node, topological
from ...ir.ops import OPS
from ...ir.scan import ScanParts
from .kernel_fusion import Kernel, fuse_body
from .node_kinds import is_view
from .row_lengths import LengthMask

FEWEST_ROWS = 4
"""Of a worker: with fewer the weights are read for too few rows, and it pays to cut by units."""
WHOLE = ("constant", "parameter", "iota")
"""Ops whose values every step may read whole."""


def rows_of(graph: Graph) -> int:
    """The rows of what all scans of a graph carry; 0 if there are none, or several numbers of them."""
    carried = [carry.inside for node in graph.nodes if node.op == "scan" for carry in ScanParts.of(node).carries]
    found = {item.shape[0] for item in carried if item.tensor.rank == 2}
    rows = found.pop() if len(found) == 1 else 0
    return rows if isinstance(rows, int) else 0


class Rowwise:
    """Tells which kernels and scans compute row by row.

    rows: how many there are. shared: values that every worker may read whole, as no kernel that is cut by rows
    writes them. in_step: whether kernels are those of a scan's step, where values of one axis have rows, too. apart:
    values that take the place of such ones that are shared.
    """

    def __init__(self, rows: int, shared: Callable[[Node], bool], in_step: bool = False) -> None:
        self.rows, self.shared, self.in_step, self.apart = rows, shared, in_step, set[Node]()
        self._known: dict[Node, bool] = {}

    def kernel(self, kernel: Kernel) -> bool:
        """Whether a kernel computes each row from that row alone."""
        if kernel.kind == "copy" and kernel.members[0].op != "slice":
            return False
        return all(self._computes(node) and node not in self.apart for node in kernel.members)

    def copies(self, node: Node, is_in_memory: bool) -> bool:
        """Whether a value is copied row by row: from where it lies by rows, or as it is computed."""
        if node.tensor.rank < 2 or not self._has_rows(node):
            return False
        return self._reads(node) if is_in_memory else self._computes(node)

    def inside(self, node: Node, kernels: Sequence[Kernel]) -> Rowwise | None:
        """The same for the body of a scan, if its kernels are row by row and what it is given lies by rows, too."""
        scan, body = ScanParts.of(node), node["body"]
        whole = {inside for inside, outside in scan.invariants if self.shared(outside)}
        whole |= {inside for inside, outside in scan.sequences if not inside.tensor.rank and self._whole(outside)}
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
        """The same for the body of a scan of whose kernels some are not row by row: before and behind each of these,
        and before the first step, workers wait.
        """
        whole = {item for item in node["body"].inputs if item.tensor.rank < 2 or not self._has_rows(item)}
        inside = Rowwise(self.rows, lambda item: item in whole or item.op in WHOLE, in_step=True)
        for kernel in kernels:
            if not inside.kernel(kernel):
                whole.update(kernel.members)
        return inside

    def _has_rows(self, node: Node) -> bool:
        """Whether a value has rows: on the axis before the last one, or on its only one."""
        rank = node.tensor.rank
        return node.shape[-2] == self.rows if rank > 1 else self.in_step and node.shape == (self.rows,)

    def _computes(self, node: Node) -> bool:
        """Whether each row of a value is computed from that row of others alone."""
        if node not in self._known:
            for item in topological([node], known=self._known):
                self._known[item] = self._computes_from_known(item)
        return self._known[node]

    def _computes_from_known(self, node: Node) -> bool:
        if node.op == "scan" or not self._has_rows(node):
            return False
        if is_view(node):
            return self._reads(node)
        return _is_cut_by_rows(node) and all(
            self._whole(item) or (self._reads(item) and _keeps_rows(node, number))
            for number, item in enumerate(node.operands)
        )

    def _reads(self, node: Node) -> bool:
        """Whether a value is read at the rows alone that are computed from it."""
        if self._whole(node):
            return True
        while is_view(node):
            source = node.operands[0]
            if self._whole(source):
                return True
            if not (self._has_rows(node) and self._has_rows(source) and _keeps_rows(node, 0)):
                return False
            node = source
        if OPS[node.op].kind == "elementwise":  # it need not lie in memory, and is then computed where it is read
            return self._computes(node)
        return self._has_rows(node)

    def _whole(self, node: Node) -> bool:
        """Whether every worker may read all of a value."""
        pending, seen = [node], set[Node]()
        while pending:
            item = pending.pop()
            while is_view(item) and not self.shared(item):
                item = item.operands[0]
            if item in seen or self.shared(item):
                continue
            seen.add(item)
            pure = OPS[item.op].kind == "elementwise" or item.op in ("iota", "dimension", "constant")
            if not pure or item.tensor.rank:
                return False
            pending += item.operands
        return True


def _keeps_rows(node: Node, number: int) -> bool:
    """True if each row of a value reads that row alone of an operand that has rows."""
    return kept_at(node, number, _row_axis(node.operands[number])) == _row_axis(node)


def _row_axis(node: Node) -> int:
    """The axis before the last one, or the only one."""
    return max(0, node.tensor.rank - 2)


def _is_cut_by_rows(node: Node) -> bool:
    """True if the kernel of an op can compute some rows of its value alone."""
    rank = node.tensor.rank
    if OPS[node.op].kind == "reduction":
        return bool(node["axes"] == (node.operands[0].tensor.rank - 1,))
    if node.op in ("matmul", "concat"):
        return rank > 1 and node.get("axis", rank - 1) == rank - 1
    return node.op == "gather" or OPS[node.op].kind == "elementwise"


def row_by_row(scan: Node, mask: LengthMask) -> bool:
    """Whether a scan computes each row apart, in values of two axes, so that a mask's rows can be left out."""
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
