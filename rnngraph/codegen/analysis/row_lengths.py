"""Scans over rows of different lengths, whose values after a row's end are never read.

A scan may read a mask ``t < length`` step by step, with one length per row. A row ends where the mask becomes False.
Steps after a row's end need not be computed, if two conditions hold there: the scan keeps all its carries, and its
results are 0 or not read. Both are proved by evaluating the graph symbolically where the mask is False: a select is its
second value, a product with 0 is 0, and so on. The proof covers forward and backward loops, hoisted products and sums
over time, in whatever form the mask is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ...ir.axes.walk import keeps
from ...ir.graph import Graph, Node, implied
from ...ir.node import is_batched_product
from ...ir.ops import OPS
from ...ir.scan import ScanParts, is_final, is_kept, split_inputs, step_condition
from ...ir.types import Dim
from ...support.records import dataclass

ZERO = "zero"
SKIPS_ROWS = ("matmul", "concat", "slice", "reshape", "broadcast")
"""Ops, in addition to elementwise ones and reductions, whose kernels can skip rows that have ended."""
Symbol = Node | str | None
"""Content of a value at the steps after a row's end: a carry to which it is equal, ``ZERO``, or None if unknown."""


@dataclass(frozen=True)
class LengthMask:
    """Mask of the steps before the ends of rows.

    Attributes:
        condition: The mask, bool [length, rows, 1].
        lengths: Number of steps of each row, int64 [rows, 1] or [1, rows, 1].
        length: Number of steps of the loop.
        rows: Number of rows.
    """

    condition: Node
    lengths: Node
    length: Dim
    rows: int


def length_mask(node: Node, length: Dim) -> LengthMask | None:
    """Return the first mask ``t < length`` that is True wherever a bool sequence is True; None if there is none."""
    masks = (_length_mask(item, length) for item in implied(node, _without_ones))
    return next((mask for mask in masks if mask is not None), None)


def _without_ones(node: Node) -> Node:
    """Return the source of a chain of reshapes that keep time and rows as the first axes, or the value itself."""
    while node.op == "reshape" and node.operands[0].tensor.rank > 2 and shares_leading_axes(node.operands[0], node):
        node = node.operands[0]
    return node


def _length_mask(node: Node, length: Dim) -> LengthMask | None:
    """Return a node as a mask if it compares step numbers with one length per row, ``t < length``; else None."""
    if node.op != "less" or node.tensor.rank != 3 or node.shape[0] != length or node.shape[2] != 1:
        return None
    step, lengths = node.operands
    rows, source = node.shape[1], step
    while source.op == "reshape":
        source = source.operands[0]
    counts = source.op == "iota" and source["size"] == length and step.shape == (length, 1, 1)
    fixed = lengths.tensor.rank == 2 or (lengths.tensor.rank == 3 and lengths.shape[0] == 1 != length)
    if (
        not counts
        or not fixed
        or lengths.dtype != "int64"
        or lengths.shape[-2:] != (rows, 1)
        or not isinstance(rows, int)
    ):
        return None
    return LengthMask(node, lengths, length, rows)


class RowLengths:
    """Nodes that need not be computed for rows that have ended, each with its mask.

    A node has at most one mask, because its readers must have the same mask. If several masks would fit, the first one
    is used.

    Attributes:
        scans: Scans that skip ended rows.
        sums: Sums over time and rows, to which ended rows add nothing.
        unread: Values that nothing reads at ended rows.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.users = graph, graph.users()
        self.outputs = {node for _, node in graph.outputs}
        self.scans: dict[Node, LengthMask] = {}
        self.sums: dict[Node, LengthMask] = {}
        self.unread: dict[Node, LengthMask] = {}
        # for each mask, the scans that read it; for each scan, the inputs of its body that receive the mask
        scans_by_mask: dict[LengthMask, dict[Node, set[Node]]] = {}
        for node in graph.nodes:
            if node.op == "scan" and step_condition(node) is None:
                for param, actual in ScanParts.of(node).sequences:
                    mask = length_mask(actual, node["length"])
                    if mask is not None and node not in self.scans:
                        scans_by_mask.setdefault(mask, {}).setdefault(node, set()).add(param)
        for mask, scans in scans_by_mask.items():
            rows = {scan: names for scan, names in scans.items() if _carries_rows(scan)}
            # all scans of a mask share one table of active rows: if some carry matrices, the others skip no steps
            scans = rows or scans
            self._drop_unfit_scans(mask, {scan: names for scan, names in scans.items() if scan not in self.scans})

    def has_mask(self, node: Node) -> bool:
        """True if an earlier mask already applies to a node."""
        return node in self.scans or node in self.sums or node in self.unread

    def _drop_unfit_scans(self, mask: LengthMask, scans: dict[Node, set[Node]]) -> None:
        """Drop scans that cannot skip rows after their ends, to a fixed point. Record the other scans with ``mask``."""
        while scans:
            single = _SingleMask(self, mask, scans)
            fit_scans = {scan: names for scan, names in scans.items() if single.holds(scan)}
            if len(fit_scans) == len(scans):
                self.scans |= dict.fromkeys(scans, mask)
                self.sums |= dict.fromkeys(single.sums, mask)
                self.unread |= dict.fromkeys(single.unread, mask)
                return
            scans = fit_scans


class _SingleMask:
    """Test for the nodes that can skip ended rows of one mask, provided that all ``scans`` skip them."""

    def __init__(self, lengths: RowLengths, mask: LengthMask, scans: Mapping[Node, set[Node]]) -> None:
        self.lengths, self.mask, self.scans = lengths, mask, scans
        self.bodies: dict[Node, dict[Node, Symbol]] = {}
        self.values: dict[Node, Symbol] = {}
        for node in lengths.graph.nodes:
            if node.op == "scan" and node in scans:
                self.bodies[node] = self._body(node)
            elif node.op == "get":
                scan, index = node.operands[0], node["index"]
                if scan in scans and index >= scan["carries"] and not is_kept(node):
                    self.values[node] = self.bodies[scan].get(scan["body"].outputs[index][1])
            else:
                self.values[node] = self._symbol(node) if self._has_time_and_rows(node) else None
                if node.op == "constant" or (node.op in ("broadcast", "reshape") and not self._has_time_and_rows(node)):
                    self.values[node] = symbol(node, self.values, lambda item: False)
        free = [node for node in lengths.graph.nodes if not lengths.has_mask(node)]
        self.sums = set(filter(self._adds_zeros, free))
        self.unread: set[Node] = set()
        for node in reversed(free):
            users = lengths.users[node]
            inner = (
                self._has_time_and_rows(node)
                and bool(users)
                and node not in lengths.outputs
                and not self._reorders_axes(node)
            )
            if inner and all(self._ignores_ended_rows(node, user) for user in users):
                self.unread.add(node)

    def holds(self, scan: Node) -> bool:
        """True if a scan leaves carries of ended rows unchanged, and its results for these rows are 0 or never read."""
        body, carries, symbols = scan["body"], scan["carries"], self.bodies[scan]
        carries_and_next = zip(body.inputs[:carries], body.outputs, strict=False)
        if scan["reverse"] and (scan.get("keeps"), scan.get("blocks")) != (None, None):
            return False  # in a backward loop, a row may start within a block, after the block's carries were saved
        users = self.lengths.users
        gets = [user for user in users[scan] if not is_final(user) and not is_kept(user)]
        if any(is_kept(user) and not self.scans.keys() >= {*users[user]} for user in users[scan]):
            return False  # a scan that recomputes blocks of all rows reads the saved carries of all rows
        return all(symbols.get(value) is carry for carry, (_, value) in carries_and_next) and all(
            get in self.unread or self.values[get] == ZERO for get in gets
        )

    def _has_time_and_rows(self, node: Node) -> bool:
        """True if the first two axes of a value are time and rows."""
        return node.op != "scan" and node.tensor.rank > 2 and node.shape[:2] == (self.mask.length, self.mask.rows)

    def _symbol(self, node: Node) -> Symbol:
        """Return what a value holds at ended rows: zeros, or a carry; None if unknown."""
        return None if self._reorders_axes(node) else symbol(node, self.values, self._masks)

    def _reorders_axes(self, node: Node) -> bool:
        """True if a node moves or merges the time or row axis of an operand."""
        return any(self._has_time_and_rows(item) and not shares_leading_axes(item, node) for item in node.operands)

    def _masks(self, node: Node) -> bool:
        """True if a condition implies the mask."""
        return self.mask.condition in implied(node, self._viewed)

    def _viewed(self, node: Node) -> Node:
        """Return the source of a chain of reshapes and broadcasts that keep the time and row axes first."""
        while (
            node.op in ("reshape", "broadcast")
            and self._has_time_and_rows(node.operands[0])
            and shares_leading_axes(node.operands[0], node)
        ):
            node = node.operands[0]
        return node

    def _body(self, scan: Node) -> dict[Node, Symbol]:
        """Return {value of a scan's body: what it holds at ended rows}: zeros, a carry, or None if unknown."""
        body, parts, names = scan["body"], ScanParts.of(scan), self.scans[scan]
        values: dict[Node, Symbol] = {carry.inside: carry.inside for carry in parts.carries}
        for param, actual in parts.sequences:
            values[param] = self.values.get(actual) if self._has_time_and_rows(actual) else None

        def masks(node: Node) -> bool:
            return any(item in names for item in implied(node, viewed))

        for node in body.nodes:
            if node not in values:
                values[node] = symbol(node, values, masks)
        return values

    def _adds_zeros(self, node: Node) -> bool:
        """True for a sum over time and rows that adds only zeros at ended rows."""
        if node.op == "reduce_sum" and node["axes"][:2] == (0, 1):
            source = node.operands[0]
            return source.tensor.rank == 3 and self._has_time_and_rows(source) and self.values.get(source) == ZERO
        if node.op not in ("outer_sum", "scatter_add"):
            return False
        first, last = node.operands
        by_rows = last.tensor.rank == 3 and self._has_time_and_rows(last)
        if node.op == "scatter_add":
            return by_rows and first.shape == last.shape[:2] and self.values.get(last) == ZERO
        both_have_rows = by_rows and first.tensor.rank == 3 and self._has_time_and_rows(first)
        return both_have_rows and ZERO in (self.values.get(first), self.values.get(last))

    def _ignores_ended_rows(self, node: Node, user: Node) -> bool:
        """True if ``user`` does not depend on the elements of ``node`` for rows that have ended.

        Readers with another mask count as dependent.
        """
        if user.op == "scan":
            initial, sequences, invariants = split_inputs(user, user.operands)
            return user in self.scans and node in sequences and node not in (*initial, *invariants)
        if user in self.sums:
            return True
        if not self._has_time_and_rows(user) or not shares_leading_axes(node, user):
            return False
        if user.op == "select" and self._masks(user.operands[0]) and node not in (user.operands[0], user.operands[2]):
            return True
        if user not in self.unread:
            return False
        if OPS[user.op].kind == "reduction":
            return bool(user["axes"] == (node.tensor.rank - 1,))
        return OPS[user.op].kind == "elementwise" or user.op in SKIPS_ROWS


def _carries_rows(scan: Node) -> bool:
    """True if all carries of a scan are matrices [rows, units]."""
    return all(carry.inside.tensor.rank == 2 for carry in ScanParts.of(scan).carries)


def viewed(node: Node) -> Node:
    """Return the source of a chain of reshapes and broadcasts."""
    while node.op in ("reshape", "broadcast"):
        node = node.operands[0]
    return node


def shares_leading_axes(node: Node, user: Node) -> bool:
    """True if the first two axes of an operand are the first two of its reader."""
    return keeps(user, node, 0, 0) and keeps(user, node, 1, 1)


def symbol(node: Node, values: Mapping[Node, Symbol], masks: Callable[[Node], bool]) -> Symbol:
    """Return what ``node`` holds at ended rows: zeros, a carry, or None if unknown.

    Args:
        node: Node of the graph or of a scan's body.
        values: What other nodes hold at ended rows.
        masks: Function that is True for conditions that imply the mask.
    """
    if node.op == "constant":
        return None if node["value"].any() else ZERO
    operand_symbols = [values.get(item) for item in node.operands]
    zeros = [item == ZERO for item in operand_symbols]
    if zeros and all(zeros) and (OPS[node.op].keeps_zero or node.op == "concat"):
        return ZERO
    match node.op:
        case "select" if masks(node.operands[0]):
            return operand_symbols[2]
        case "select":
            return operand_symbols[1] if operand_symbols[1] == operand_symbols[2] else None
        case "matmul" if is_batched_product(node):
            return None  # the right operand may be NaN or infinite at ended rows, and NaN times 0 is NaN
        case "mul" | "matmul" | "fma":
            start_symbol = operand_symbols[2] if len(operand_symbols) == 3 else ZERO
            return start_symbol if zeros[0] or (zeros[1] and node.op != "matmul") else None
        case "div":
            return ZERO if zeros[0] else None
        case "add":
            return _other_than_zero(operand_symbols)
        case "sub":
            return operand_symbols[0] if zeros[1] else None
        case "reshape" | "broadcast" | "slice" | "reduce_sum" | "reduce_max" | "reduce_min":
            return ZERO if zeros[0] else None
    return None


def _other_than_zero(symbols: Iterable[Symbol]) -> Symbol:
    """Return one of two symbols if the other is ``ZERO``; else None."""
    first, second = symbols
    return second if first == ZERO else first if second == ZERO else None
