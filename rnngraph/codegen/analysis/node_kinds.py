"""Classification of single nodes, such as views, contractions and reductions, and their labels in code."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import lru_cache

from ...ir.graph import Node
from ...ir.node import is_tile_product
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.printer import identifier
from ...ir.types import NARROW, Dim
from ..machine.alignment import padded_row

VIEW_OPS = ("slice", "windows", "reverse", "transpose", "reshape", "broadcast")
OPS_OF_FUSED_KERNELS = (*MATRIX_PRODUCTS, "gather")
"""Ops that fused kernels can compute, in addition to elementwise ops."""


def label_of(node: Node) -> str:
    """Return a name for a node's value that is valid in LLVM and in the loop IR."""
    return _last_part(str(node.get("label", node.name or node.op)))


@lru_cache(maxsize=4096)
def _last_part(path: str) -> str:
    """Return the last part of a name such as ``rnn/cell/kernel`` as an identifier."""
    return identifier(path.rpartition("/")[2])


def is_leaf(node: Node) -> bool:
    """True for an input, a parameter or a constant array. Constant scalars are part of the code."""
    return node.op in ("input", "parameter") or (node.op == "constant" and node.tensor.rank > 0)


def folds_operand(node: Node) -> bool:
    """True for a reduction, and for a sum of overlapping windows.

    Both ops read each element of their operand once, so that their kernel can compute the operand.
    """
    return node.op.startswith("reduce_") or node.op == "overlap_add"


def is_view(node: Node) -> bool:
    """True for an op that only rearranges its operand, such as a slice or a reshape.

    If strides can express the result, no copy is needed.
    """
    return node.op in VIEW_OPS


def stays_view(node: Node) -> bool:
    """True for a view that neither merges nor splits axes, apart from axes of size 1."""
    if node.op != "reshape":
        return True
    return [dim for dim in node.shape if dim != 1] == [dim for dim in node.operands[0].shape if dim != 1]


def is_strided_view(node: Node) -> bool:
    """True for a view that can be expressed by strides for any strides of its source, so that it never copies."""
    return stays_view(node) or cuts_axes(node)


def permutes_units(node: Node) -> bool:
    """True for a view whose last axis has elements of its operand's last axis reversed, skipped or in windows.

    A vector of such elements can be loaded with a stride, but its source cannot be computed as one vector.
    """
    last = node.tensor.rank - 1 if is_view(node) else -1
    if node.op in ("reverse", "windows"):
        return node["axis"] == last - (node.op == "windows")
    return node.op == "slice" and last >= 0 and node["step"][last] != 1


def cuts_axes(node: Node) -> bool:
    """True for a reshape that only splits axes of fixed sizes, so that it never copies."""
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
    """True for a slice that takes only some of the ``length`` steps of a time axis.

    The slice must run while the chunk with these steps is in memory.
    """
    if node.op != "slice" or length is None or node.tensor.rank < 2:
        return False
    return node.operands[0].shape[0] == length and node.shape[0] != length


def kind_of(node: Node) -> str:
    """Return the kind of the kernel that computes a node. ``Kernel`` lists the kinds."""
    if OPS[node.op].kind == "elementwise" or node.op in OPS_OF_FUSED_KERNELS:
        return "fused"
    if OPS[node.op].kind == "reduction":
        return "reduce"
    return node.op  # the kind has the name of the op


def is_sparse(node: Node) -> bool:
    """True for a product that skips blocks of zero weights."""
    return node.op == "matmul" and bool(node.get("sparse"))


def has_own_kernel(node: Node) -> bool:
    """True for a product that is not fused with other ops: it skips zeros, or a matrix unit computes it."""
    return is_sparse(node) or is_tile_product(node)


def own_kernel_key(product: Node) -> Node:
    """Return the key by which products that are not fused with other ops are grouped: one kernel for each key.

    Sparse products of bfloat16 or 8-bit values share a kernel if they have the same weights. Every other product is its
    own key.
    """
    if not is_sparse(product):
        return product
    left, right = product.operands[:2]
    return right if left.dtype in NARROW else product


def factors_of(product: Node) -> tuple[Node, ...]:
    """Return the two operands that a product multiplies."""
    return product.operands[:2] if product.op == "matmul" else product.operands


def starts_of(product: Node) -> tuple[Node, ...]:
    """Return the value to which a product is added, as a tuple; empty if there is none."""
    return product.operands[2:] if product.op == "matmul" else ()


def contracted(operand: Node, user: Node) -> bool:
    """True if ``operand`` must be in memory before ``user`` reads it, because elements are reused or reordered.

    Each element of ``user`` depends on many elements of ``operand``, or reads them in another order. Initial values of
    a scan's carries do not count, because they are copied.
    """
    if user.op in MATRIX_PRODUCTS:
        return operand in factors_of(user)
    if user.op == "scan":
        return operand in user.operands[user["carries"] :]
    if user.op == "scatter_add":
        return operand is user.operands[1]
    if permutes_units(user):
        return True
    return user.op == "outer_sum" or (user.op == "gather" and operand is user.operands[0])


def is_lazy_concat(node: Node, users: Sequence[Node]) -> bool:
    """True for a concatenation of columns that needs no memory, because its readers can read its operands instead.

    The readers are sums of outer products, and reductions over other axes. In the right operand of an outer product,
    rows of all pieces but the last must fill whole cache lines.
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
    """Return the values that are read in place of a concatenation that is not in memory; else ``[node]``.

    Concatenations in ``materialized`` are in memory, so that they count as one piece.
    """
    pieces, pending = [], [node]
    while pending:
        piece = pending.pop()
        if piece in materialized or piece.op != "concat":
            pieces.append(piece)
        else:
            pending += reversed(piece.operands)
    return pieces


def source_of(node: Node) -> Node:
    """Return the source at the end of a chain of views; for a value that is no view, the value itself."""
    while is_view(node):
        node = node.operands[0]
    return node
