"""vector_products: compute products of a vector and a matrix state elementwise.

``q @ S``, as ``einsum`` declares it, needs the whole matrix in memory. As the sum of ``q * S``, it is accumulated in
the loop nest that computes S. An outer product ``k @ v`` becomes a broadcast multiplication, which leaves the loop or
fuses with the update of S.

Law: values are unchanged up to the order of sums and the sign of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.graph import Graph, Node, make, rewrite
from ...ir.node import is_batched_product, merged_axes, moves_only_ones
from ...ir.types import Shape
from ...support.records import dataclass
from ..loops.large_values import is_large_value
from .few_vectors import joined, products_of_few_vectors
from .low_rank import with_inner_identities, without_low_rank_matrices
from .matrix_states import change_steps, state_values


@dataclass(frozen=True)
class VectorProducts:
    """Compute products of a vector and a matrix state elementwise.

    With ``only_matrix_states``, loops without a matrix state do not change.

    Law: values are unchanged up to the order of sums and the sign of zeros.
    """

    name: str = "vector_products"
    only_matrix_states: bool = False

    def __call__(self, graph: Graph) -> Graph:
        return change_steps(with_inner_identities(graph), _without_vector_products, self.only_matrix_states)


def with_single_vectors(graph: Graph) -> Graph:
    """Return the graph in which loops multiply matrix states by one vector at a time, as matrix products."""
    return change_steps(with_inner_identities(graph), _step_with_single_vectors)


def _step_with_single_vectors(body: Graph, carries: int) -> Graph:
    """Rewrite the products of a few vectors and a body's matrix states, which are its first ``carries`` inputs."""
    body = without_low_rank_matrices(body, carries)
    matrices = set(filter(is_large_value, state_values(body, body.inputs[:carries])))

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        few = products_of_few_vectors(node, operands[0], operands[1], matrices) if len(operands) == 2 else None
        return None if few is None else joined(node, *few)

    return rewrite(body, rule)


def _without_vector_products(body: Graph, carries: int) -> Graph:
    """Rewrite the vector products of a loop's body, whose first ``carries`` inputs are states."""
    body = without_low_rank_matrices(body, carries)
    states, outer = state_values(body, body.inputs[:carries]), set[Node]()
    matrices = set(filter(is_large_value, states))

    def outer_product(node: Node, left: Node, right: Node) -> Node:
        value = make("mul", _untransposed(left), _untransposed(right), where=node.where, name=node.name)
        outer.add(value)
        return value

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "mul" and not outer.isdisjoint(operands):
            first, second = operands if operands[0] in outer else operands[::-1]
            return scaled(node, first, second)
        if not is_batched_product(node) or node.operands[0].tensor.rank < 3:
            return None
        few = products_of_few_vectors(node, operands[0], operands[1], matrices)
        if few is not None:
            how, products = few
            written = outer_product if how == "sum" else sum_of_products
            return _plus(operands[2:], joined(node, how, [written(item, *item.operands) for item in products]))
        if operands[0].shape[-1] != 1:
            return sum_of_products(node, *operands) if _reads_state(node, states) else None
        return _plus(operands[2:], outer_product(node, *operands[:2]))

    return rewrite(body, rule)


def is_vector_product(node: Node) -> bool:
    """True for a batched product of a vector and a matrix, or of two vectors, of fixed size."""
    if not is_batched_product(node) or node.operands[0].tensor.rank < 3:
        return False
    left = node.operands[0]
    sizes = left.shape[-1], *node.shape[-2:]
    return 1 in node.shape[-2:] and all(isinstance(dim, int) for dim in sizes) and left.shape[-1] != 1


def _reads_state(node: Node, states: Set[Node]) -> bool:
    """True for a product of a vector with a state, which is a matrix or a vector."""
    if not is_vector_product(node):
        return False
    left, right = node.operands[:2]
    return (node.shape[-1] == 1 and left in states) or (node.shape[-2] == 1 and right in states)


def _plus(starts: Sequence[Node], value: Node) -> Node:
    """Return the sum of a value and of all ``starts``."""
    for start in starts:
        value = make("add", start, value, where=value.where, name=value.name)
    return value


def scaled(node: Node, outer: Node, factor: Node) -> Node | None:
    """Rewrite an outer product times a factor: one of the two vectors is multiplied by the factor first.

    Return None if the factor broadcasts to neither vector.
    """
    for vector, other in (outer.operands, outer.operands[::-1]):
        if factor.tensor.rank != vector.tensor.rank or vector.shape == outer.shape:
            continue
        if all(dim in (1, size) for dim, size in zip(factor.shape, vector.shape, strict=True)):
            parts = [factor, vector]
            if vector.shape[-1] == 1:  # multiply columns as rows, because the last axis is vectorised
                parts = [_in_shape(item, item.shape[:-1]) for item in parts]
            small = _in_shape(make("mul", *parts, where=node.where), vector.shape)
            return make("mul", small, other, where=node.where, name=node.name)
    return None


def sum_of_products(node: Node, left: Node, right: Node, *starts: Node) -> Node:
    """Return a vector product ``left @ right`` as a sum of elementwise products."""
    depth, rank = left.shape[-1], node.tensor.rank
    if node.shape[-2:] == (1, 1):
        parts, axis = [_in_shape(item, (*item.shape[:-2], depth)) for item in (left, right)], rank - 2
    else:
        (vector, matrix), axis = ((left, right), rank - 2) if node.shape[-2] == 1 else ((right, left), rank - 1)
        rows = vector.shape[:-2]
        source = _source_of(matrix, axis)
        if source is None or (source[0].tensor.rank != rank and rows != matrix.shape[:-2]):
            shape = (*rows, depth, 1) if axis == rank - 2 else (*rows, 1, depth)
        else:
            matrix, axis, before = source
            kept = (*before, axis)
            shape = tuple(matrix.shape[place] if place in kept else 1 for place in range(matrix.tensor.rank))
            if matrix.tensor.rank == rank:  # the vector's rows may have size 1, and broadcast
                shape = (*rows, *shape[rank - 2 :])
        parts = [_in_shape(vector, shape), matrix]
    products = make("mul", *parts, where=node.where)
    sums = make("reduce_sum", products, where=node.where, name=node.name, axes=(axis,), keepdims=False)
    return _plus(starts, _in_shape(sums, node.shape))


def _source_of(matrix: Node, axis: int) -> tuple[Node, int, list[int]] | None:
    """Look through the reshape and the transpose from which a matrix is computed.

    Returns:
        The source of the matrix, the axis of the source that is ``axis`` of the matrix, and the axes of the source that
        are rows. None if the reshape merges or splits ``axis``, or the transpose changes the order of the other axes.
    """
    value = matrix.operands[0] if matrix.op == "reshape" else matrix
    order = value["order"] if value.op == "transpose" else tuple(range(value.tensor.rank))
    groups = merged_axes(value.shape, matrix.shape)
    if groups is None or len(groups[axis]) != 1:
        return None
    summed = order[groups[axis][0]]
    rows = [order[place] for group in groups[:-2] for place in group]
    rest = [place for place in order if place != summed]
    if rest != sorted(rest) or [*rows, summed] != sorted([*rows, summed]):
        return None
    return (value.operands[0] if value.op == "transpose" else value), summed, rows


def _untransposed(node: Node) -> Node:
    """Replace transposes at the end of a value's computation by a reshape, if they only move axes of size 1."""
    return _in_shape(node, node.shape)


def _in_shape(node: Node, shape: Shape) -> Node:
    """Reshape a value, or the operand of its transposes if they leave the order in memory unchanged."""
    while node.op == "transpose" and moves_only_ones(node):
        node = node.operands[0]
    return node if node.shape == shape else make("reshape", node, where=node.where, name=node.name, shape=shape)
