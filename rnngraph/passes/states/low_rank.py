"""Products of a matrix state with a matrix that is diagonal plus low rank, computed without that matrix.

A step may write its transition as a matrix: ``S @ (diag(w) - k @ k.T)``. That is a product of two full matrices. As
``S * w - (S @ k) @ k.T``, it costs only two passes over the entries of the state.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import is_batched_product
from ...ir.scan import ScanParts
from ...support.records import NamedTuple
from ..loops.large_values import is_large_value
from .few_vectors import MAX_VECTORS
from .matrix_states import has_matrix_state, state_values


class Part(NamedTuple):
    """Term of a matrix: ``left @ right``, or a diagonal matrix if ``left`` is None.

    Attributes:
        left: Matrix with few columns.
        right: Matrix with few rows; for a diagonal matrix a scalar, a column or a row of its entries.
        is_negative: True for a term that is subtracted.
    """

    left: Node | None
    right: Node
    is_negative: bool = False


def with_inner_identities(graph: Graph) -> Graph:
    """Move multiples of the identity matrix, which steps with a matrix state read from outside, into the steps."""

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan" or not has_matrix_state(node):
            return None
        parts = ScanParts.of(node, operands)
        new = {inside: outside for inside, outside in parts.invariants if _of_identity(outside) is not None}
        if not new or parts.when in new:
            return None
        invariants = [binding for binding in parts.invariants if binding.inside not in new]
        for item in node["body"].nodes:
            if item not in new:
                new[item] = remake(item, [new[operand] for operand in item.operands]) if item.operands else item
        return replace(parts.with_replaced_values(new), invariants=invariants).build(node.where, node.name)

    return rewrite(graph, rule)


def without_low_rank_matrices(body: Graph, carries: int) -> Graph:
    """Rewrite the products of a body's matrix states, its first ``carries`` inputs, with matrices of low rank."""
    states = set(filter(is_large_value, state_values(body, body.inputs[:carries])))

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if not is_batched_product(node) or states.isdisjoint(node.operands[:2]):
            return None
        on_left = node.operands[0] in states
        state, matrix = operands[:2] if on_left else operands[1::-1]
        parts = _parts(matrix) if state.tensor.rank == matrix.tensor.rank and _is_square(matrix) else None
        if not parts or not all(_has_leading_axes(part, state) for part in parts):
            return None
        total = operands[2] if len(operands) > 2 else None  # summand that the product includes
        for part in sorted(parts, key=lambda part: part.is_negative):
            value = _product(node, state, part, on_left)
            if total is not None:
                value = make("sub" if part.is_negative else "add", total, value, where=node.where, name=node.name)
            elif part.is_negative:
                value = make("neg", value, where=node.where, name=node.name)
            total = value
        return total

    return rewrite(body, rule) if states else body


def _is_square(matrix: Node) -> bool:
    """True for a square matrix of a fixed size above ``MAX_VECTORS``."""
    size = matrix.shape[-1]
    return size == matrix.shape[-2] and isinstance(size, int) and size > MAX_VECTORS


def _has_leading_axes(part: Part, state: Node) -> bool:
    """True for a diagonal term, and for a term whose matrices have the state's leading axes, as ``matmul`` requires."""
    return part.left is None or part.left.shape[:-2] == part.right.shape[:-2] == state.shape[:-2]


def _product(node: Node, state: Node, part: Part, on_left: bool) -> Node:
    """Return ``state @ part``, or ``part @ state`` if the state is not on the left."""
    if part.left is not None:
        first, second = (part.left, part.right) if on_left else (part.right, part.left)
        read = make("matmul", *((state, first) if on_left else (first, state)), where=node.where)
        return make("matmul", *((read, second) if on_left else (second, read)), where=node.where, name=node.name)
    factor = part.right
    is_column = factor.tensor.rank > 1 and factor.shape[-1] == 1 != factor.shape[-2]
    is_row = factor.tensor.rank > 0 and factor.shape[-1] != 1
    if is_column if on_left else is_row:
        factor = _transposed_vector(factor)
    return make("mul", state, factor, where=node.where, name=node.name)


def _transposed_vector(vector: Node) -> Node:
    """Reshape a column to a row, or a row to a column. A vector of one axis is a row."""
    *lead, rows, columns = (1, *vector.shape) if vector.tensor.rank == 1 else vector.shape
    return make("reshape", vector, where=vector.where, name=vector.name, shape=(*lead, columns, rows))


def _parts(matrix: Node) -> list[Part] | None:
    """Return the matrices ``left @ right`` and diagonals whose sum ``matrix`` is; None if it is no such sum."""
    match matrix.op:
        case "add" | "sub":
            terms = [_parts(item) for item in matrix.operands]
            if terms[0] is None or terms[1] is None:
                return None
            changes = matrix.op == "sub"
            return [*terms[0], *(part._replace(is_negative=part.is_negative != changes) for part in terms[1])]
        case "neg":
            inner = _parts(matrix.operands[0])
            return None if inner is None else [part._replace(is_negative=not part.is_negative) for part in inner]
        case "matmul" if len(matrix.operands) == 2 and is_batched_product(matrix):
            left, right = matrix.operands
            depth = left.shape[-1]
            is_low = isinstance(depth, int) and depth <= MAX_VECTORS
            return [Part(left, right)] if is_low and left.tensor.rank == right.tensor.rank else None
        case "mul":
            return _scaled_parts(matrix)
    identity = _of_identity(matrix)
    return None if identity is None else [Part(None, identity)]


def _scaled_parts(matrix: Node) -> list[Part] | None:
    """Return the low-rank and diagonal matrices whose sum is an elementwise product; None if there are none.

    The product may be a column times a row, a diagonal matrix, or a matrix with terms times a number for each row.
    """
    for one, other in (matrix.operands, matrix.operands[::-1]):
        if one.tensor.rank == other.tensor.rank == matrix.tensor.rank and one.shape[-1] == other.shape[-2] == 1:
            return [Part(one, other)]
        identity = _of_identity(one)
        if identity is not None and (other.tensor.rank == 0 or 1 in (other.shape[-1], *other.shape[-2:-1])):
            return [Part(None, make("mul", other, identity, where=matrix.where))]
        if other.tensor.rank == 0 or (other.tensor.rank == matrix.tensor.rank and other.shape[-2:] == (1, 1)):
            inner = _parts(one)
            return None if inner is None else [_scaled(part, other) for part in inner]
    return None


def _scaled(part: Part, factor: Node) -> Part:
    return part._replace(right=make("mul", part.right, factor, where=factor.where))


def _of_identity(matrix: Node) -> Node | None:
    """Return the number on the diagonal of a constant multiple of the identity matrix; None for other values."""
    while matrix.op in ("broadcast", "reshape") and matrix.shape[-2:] == matrix.operands[0].shape[-2:]:
        matrix = matrix.operands[0]
    if matrix.op != "constant" or matrix.tensor.rank < 2 or matrix.shape[-1] != matrix.shape[-2]:
        return None
    values = np.asarray(matrix["value"])
    number = values.reshape(-1)[0] if values.size else None
    if number is None or not np.array_equal(values, np.broadcast_to(number * np.eye(values.shape[-1]), values.shape)):
        return None
    return make("constant", value=np.asarray(number, values.dtype), where=matrix.where)
