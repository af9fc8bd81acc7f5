"""Which scans have rows that end, and whose values past a row's end nobody reads.

A mask ``t < length``, one length a row, that a scan takes step by step says where a row has ended if past that the
scan holds whatever it carries. Nothing has to compute such a row there: what the scan emits is 0, or is read by nothing
that counts. Both are found by going through the ops as they are where the mask does not hold, a selection giving its
second value, a product with 0 being 0, and so on. So forward and backward loops, hoisted products and sums over time
are recognised alike, whoever wrote the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...ir.axes.walk import keeps
from ...ir.graph import Graph, Node, implied
from ...ir.ops import OPS
from ...ir.scan import ScanParts, is_final, is_kept, split_inputs, step_condition
from ...ir.types import Dim
from .node_kinds import is_batched_product

ZERO = "zero"
LEAVES_ROWS_OUT = ("matmul", "concat", "slice", "reshape", "broadcast")
"""Ops beside elementwise ones and reductions whose kernels can leave out rows that have ended."""
Symbol = Node | str | None
"""What a value is where a row has ended: a carry, ``ZERO``, or None where that is not known."""


@dataclass(frozen=True)
class LengthMask:
    """The mask ``condition`` [length, rows, 1] of bool, true at a step below the row's number in ``lengths``."""

    condition: Node
    lengths: Node
    length: Dim
    rows: int


def length_mask(node: Node, length: Dim) -> LengthMask | None:
    """The mask that a sequence is, or that it is together with other conditions, if it is one."""
    masks = (_length_mask(item, length) for item in implied(node))
    return next((mask for mask in masks if mask is not None), None)


def _length_mask(node: Node, length: Dim) -> LengthMask | None:
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
    """scans: those that need not compute rows that have ended. sums: over time and rows, which add nothing there.
    unread: values that nobody reads there. Each with the mask that says where.

    Each follows one mask only, the first that was found: a value that one mask leaves out may be left out only
    because those that read it follow the same mask.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.users = graph, graph.users()
        self.outputs = {node for _, node in graph.outputs}
        self.scans: dict[Node, LengthMask] = {}
        self.sums: dict[Node, LengthMask] = {}
        self.unread: dict[Node, LengthMask] = {}
        found: dict[LengthMask, dict[Node, set[Node]]] = {}  # by mask: the scans that take it, and by which names
        for node in graph.nodes:
            if node.op == "scan" and step_condition(node) is None:
                for formal, actual in ScanParts.of(node).sequences:
                    mask = length_mask(actual, node["length"])
                    if mask is not None and node not in self.scans:
                        found.setdefault(mask, {}).setdefault(node, set()).add(formal)
        for mask, scans in found.items():
            self._settle(mask, {scan: names for scan, names in scans.items() if scan not in self.scans})

    def follows_another(self, node: Node) -> bool:
        """Whether a mask that was settled before says where a node is computed, or where it reads."""
        return node in self.scans or node in self.sums or node in self.unread

    def _settle(self, mask: LengthMask, scans: dict[Node, set[Node]]) -> None:
        """Takes out scans that can't leave steps out, until the others can with these as they are."""
        while scans:
            single = _SingleMask(self, mask, scans)
            kept = {scan: names for scan, names in scans.items() if single.holds(scan)}
            if len(kept) == len(scans):
                self.scans |= dict.fromkeys(scans, mask)
                self.sums |= dict.fromkeys(single.sums, mask)
                self.unread |= dict.fromkeys(single.unread, mask)
                return
            scans = kept


class _SingleMask:
    """A mask of row lengths, and the scans that may leave out the rows that have ended."""

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
                self.values[node] = self._symbol(node) if self._fits(node) else None
                if node.op == "constant" or (node.op in ("broadcast", "reshape") and not self._fits(node)):
                    self.values[node] = symbol(node, self.values, lambda item: False)
        free = [node for node in lengths.graph.nodes if not lengths.follows_another(node)]
        self.sums = set(filter(self._sums_less, free))
        self.unread: set[Node] = set()
        for node in reversed(free):
            users = lengths.users[node]
            inner = self._fits(node) and bool(users) and node not in lengths.outputs and not self._moves(node)
            if inner and all(self._passes_over(node, user) for user in users):
                self.unread.add(node)

    def holds(self, scan: Node) -> bool:
        """Whether a row that has ended is left as it is, and what the scan gives of it is 0 or not read."""
        body, carries, found = scan["body"], scan["carries"], self.bodies[scan]
        held = zip(body.inputs[:carries], body.outputs, strict=False)
        if scan["reverse"] and (scan.get("keeps"), scan.get("blocks")) != (None, None):
            return False  # a row that begins within a block would not begin with what was kept before it
        users = self.lengths.users
        gets = [user for user in users[scan] if not is_final(user) and not is_kept(user)]
        if any(is_kept(user) and not self.scans.keys() >= {*users[user]} for user in users[scan]):
            return False  # blocks that compute all rows begin with all rows
        return all(found.get(value) is carry for carry, (_, value) in held) and all(
            get in self.unread or self.values[get] == ZERO for get in gets
        )

    def _fits(self, node: Node) -> bool:
        """Whether the first axes are time and rows."""
        return node.op != "scan" and node.tensor.rank > 2 and node.shape[:2] == (self.mask.length, self.mask.rows)

    def _symbol(self, node: Node) -> Symbol:
        """What is known, at rows that have ended, of a node whose first axes are time and rows."""
        return None if self._moves(node) else symbol(node, self.values, self._masks)

    def _moves(self, node: Node) -> bool:
        """Whether the first axes of something that a node reads look like time and rows, and are others of its own."""
        return any(self._fits(item) and not in_front(item, node) for item in node.operands)

    def _masks(self, node: Node) -> bool:
        """Whether a condition never holds where the mask does not."""
        return self.mask.condition in implied(node, self._viewed)

    def _viewed(self, node: Node) -> Node:
        while node.op in ("reshape", "broadcast") and self._fits(node.operands[0]) and in_front(node.operands[0], node):
            node = node.operands[0]
        return node

    def _body(self, scan: Node) -> dict[Node, Symbol]:
        body, parts, names = scan["body"], ScanParts.of(scan), self.scans[scan]
        values: dict[Node, Symbol] = {carry.inside: carry.inside for carry in parts.carries}
        for formal, actual in parts.sequences:
            values[formal] = self.values.get(actual) if self._fits(actual) else None

        def masks(node: Node) -> bool:
            return any(item in names for item in implied(node, viewed))

        for node in body.nodes:
            if node not in values:
                values[node] = symbol(node, values, masks)
        return values

    def _sums_less(self, node: Node) -> bool:
        """Whether a node is a sum over time and rows that adds only zeros where rows have ended."""
        if node.op == "reduce_sum" and node["axes"][:2] == (0, 1):
            source = node.operands[0]
            return source.tensor.rank == 3 and self._fits(source) and self.values.get(source) == ZERO
        if node.op not in ("outer_sum", "scatter_add"):
            return False
        first, last = node.operands
        by_rows = last.tensor.rank == 3 and self._fits(last)
        if node.op == "scatter_add":
            return by_rows and first.shape == last.shape[:2] and self.values.get(last) == ZERO
        both = by_rows and first.tensor.rank == 3 and self._fits(first)
        return both and ZERO in (self.values.get(first), self.values.get(last))

    def _passes_over(self, node: Node, user: Node) -> bool:
        """Whether a user does not read a value where its row has ended, or does so for what nobody reads there. One
        that follows another mask reads it wherever that one holds.
        """
        if user.op == "scan":
            initial, sequences, invariants = split_inputs(user, user.operands)
            return user in self.scans and node in sequences and node not in (*initial, *invariants)
        if user in self.sums:
            return True
        if not self._fits(user) or not in_front(node, user):
            return False
        if user.op == "select" and self._masks(user.operands[0]) and node not in (user.operands[0], user.operands[2]):
            return True
        if user not in self.unread:
            return False
        if OPS[user.op].kind == "reduction":
            return bool(user["axes"] == (node.tensor.rank - 1,))
        return OPS[user.op].kind == "elementwise" or user.op in LEAVES_ROWS_OUT


def viewed(node: Node) -> Node:
    """The value in a body that this one is a reshape or broadcast of."""
    while node.op in ("reshape", "broadcast"):
        node = node.operands[0]
    return node


def in_front(node: Node, user: Node) -> bool:
    """True if the first two axes of a value are those of what reads it. Sizes don't tell: others may be as large."""
    return keeps(user, node, 0, 0) and keeps(user, node, 1, 1)


def symbol(node: Node, values: Mapping[Node, Symbol], masks: Callable[[Node], bool]) -> Symbol:
    """What a node is where a row has ended. values: of its operands. masks: tells the mask, in whatever shape."""
    if node.op == "constant":
        return None if node["value"].any() else ZERO
    found = [values.get(item) for item in node.operands]
    zeros = [item == ZERO for item in found]
    if zeros and all(zeros) and (OPS[node.op].keeps_zero or node.op == "concat"):
        return ZERO
    match node.op:
        case "select" if masks(node.operands[0]):
            return found[2]
        case "select":
            return found[1] if found[1] == found[2] else None
        case "matmul" if is_batched_product(node):
            return None  # the right operand is the row's own, which need not be finite there
        case "mul" | "matmul" | "fma":
            rest = found[2] if len(found) == 3 else ZERO
            return rest if zeros[0] or (zeros[1] and node.op != "matmul") else None
        case "div":
            return ZERO if zeros[0] else None
        case "add":
            return _beside_zero(found)
        case "sub":
            return found[0] if zeros[1] else None
        case "reshape" | "broadcast" | "slice" | "reduce_sum" | "reduce_max" | "reduce_min":
            return ZERO if zeros[0] else None
    return None


def _beside_zero(found: Iterable[Symbol]) -> Symbol:
    """The other one of two, if one is 0."""
    first, second = found
    return second if first == ZERO else first if second == ZERO else None
