"""What kind of op a node is to the compiler: a view, a reader of whole values, one that adds up; and its label."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.printer import identifier
from ...ir.types import NARROW, Dim
from ..machine.alignment import padded_row

VIEW_OPS = ("slice", "windows", "reverse", "transpose", "reshape", "broadcast")
POINTWISE = ("matmul", "gather")


def label_of(node: Node) -> str:
    """A name for the node's value that LLVM's text and ours both accept."""
    return identifier(str(node.get("label", node.name or node.op)).rpartition("/")[2])


def is_leaf(node: Node) -> bool:
    return node.op in ("input", "parameter") or (node.op == "constant" and node.tensor.rank > 0)


def folds_operand(node: Node) -> bool:
    """Whether a node adds up its operand, each element of it once, so that it can be computed where it is added."""
    return node.op.startswith("reduce_") or node.op == "overlap_add"


def is_view(node: Node) -> bool:
    return node.op in VIEW_OPS


def stays_view(node: Node) -> bool:
    """Whether an entry of a view is told from its place alone, so that it can be computed there: no reshape joins or
    cuts axes.
    """
    if node.op != "reshape":
        return True
    return [dim for dim in node.shape if dim != 1] == [dim for dim in node.operands[0].shape if dim != 1]


def lies_in_operand(node: Node) -> bool:
    """Whether strides express a view of whatever lies in memory: a reshape that joins axes depends on the strides."""
    return stays_view(node) or cuts_axes(node)


def parts_units(node: Node) -> bool:
    """Whether a view takes units in another order, or leaves some out between them: a vector of them can be loaded so,
    and not be computed.
    """
    last = node.tensor.rank - 1 if is_view(node) else -1
    if node.op in ("reverse", "windows"):
        return node["axis"] == last - (node.op == "windows")
    return node.op == "slice" and last >= 0 and node["step"][last] != 1


def cuts_axes(node: Node) -> bool:
    """Whether a reshape only cuts axes of fixed sizes, so that strides of any source in memory express it."""
    if node.op != "reshape":
        return False
    remaining = [dim for dim in node.shape if dim != 1]
    for dim in node.operands[0].shape:
        if dim == 1:
            continue
        whole: Dim = 1
        while remaining and whole != dim and isinstance(dim, int):
            whole = whole * remaining.pop(0)
        if whole != dim and not (remaining and remaining.pop(0) == dim):
            return False
    return not remaining


def picks_step(node: Node, length: Dim | None) -> bool:
    """Whether a slice takes a part of a time axis of ``length``, so that it must be taken while that is there."""
    if node.op != "slice" or length is None or node.tensor.rank < 2:
        return False
    return node.operands[0].shape[0] == length and node.shape[0] != length


def kind_of(node: Node) -> str:
    if OPS[node.op].kind == "elementwise" or node.op in POINTWISE:
        return "fused"
    if OPS[node.op].kind == "reduction":
        return "reduce"
    return node.op  # concat, scan, copy


def is_sparse(node: Node) -> bool:
    """Whether a product leaves out blocks of zeros of its weights: it is a kernel of its own."""
    return node.op == "matmul" and bool(node.get("sparse"))


def sparse_key(product: Node) -> Node:
    """What sparse products of one kernel have in common: parts of a row, which narrow numbers are, multiply the same
    weights.
    """
    left, right = product.operands[:2]
    return right if left.dtype in NARROW else product


def is_batched_product(node: Node) -> bool:
    """Whether a product has a right operand for each matrix of its left one."""
    return node.op == "matmul" and node.operands[1].tensor.rank > 2


def contracted(operand: Node, user: Node) -> bool:
    """Whether ``user`` reads ``operand`` at many places for each of its own, so that it must be in memory."""
    if user.op == "matmul":
        return operand in user.operands[:2]
    if user.op == "scan":
        return operand in user.operands[user["carries"] :]
    if user.op == "scatter_add":
        return operand is user.operands[1]
    if parts_units(user):
        return True
    return user.op == "outer_sum" or (user.op == "gather" and operand is user.operands[0])


def is_lazy_concat(node: Node, users: Sequence[Node]) -> bool:
    """Whether a concatenation of columns never has to lie in memory: its readers take it piece by piece.

    They are sums of outer products and sums over other axes; of the right operand of an outer product all
    pieces but the last must be whole lines wide.
    """
    if node.op != "concat" or node["axis"] != node.tensor.rank - 1 or not users:
        return False
    if not all(isinstance(piece.shape[-1], int) for piece in node.operands):
        return False
    lines = all(padded_row(piece.shape[-1], piece.dtype) == piece.shape[-1] for piece in node.operands[:-1])

    def reads_pieces(user: Node) -> bool:
        if user.op == "outer_sum":
            return user.operands[1] is not node or lines
        return user.op.startswith("reduce_") and node["axis"] not in user["axes"]

    return all(map(reads_pieces, users))


def pieces_of(node: Node, materialized: Container[Node]) -> list[Node]:
    """The node if it lies in memory; of a lazy concatenation what it is made of."""
    found, pending = [], [node]
    while pending:
        piece = pending.pop()
        if piece in materialized or piece.op != "concat":
            found.append(piece)
        else:
            pending += reversed(piece.operands)
    return found


def source_of(node: Node) -> Node:
    """What a chain of views is a view of."""
    while is_view(node):
        node = node.operands[0]
    return node
