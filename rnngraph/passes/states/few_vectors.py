"""Products of a matrix state with a few vectors at once, written as products with one vector each.

A delta rule of rank two stores its two keys as a matrix of two rows. Computed vector by vector, all reads of the state
share one pass over it, and all updates share another.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import reduce

from ...ir.build import sliced
from ...ir.graph import Node, make
from ...ir.node import is_batched_product
from ...ir.ops import OPS

MAX_VECTORS = 4
"""Maximum number of vectors. A product with more vectors is faster as a product of matrices."""


def joined(node: Node, how: str, values: Sequence[Node]) -> Node:
    """Return the product ``node``, whose parts are ``values``. ``how`` is that of ``products_of_few_vectors``."""
    if how == "sum":
        return reduce(lambda one, other: make("add", one, other, where=node.where, name=node.name), values)
    axis = node.tensor.rank - (2 if how == "rows" else 1)
    return make("concat", *values, where=node.where, name=node.name, axis=axis)


def products_of_few_vectors(node: Node, left: Node, right: Node, states: Set[Node]) -> tuple[str, list[Node]] | None:
    """Split a product with a few vectors into products with one vector each. Return how to join them, and the products.

    They are joined as ``rows`` or ``columns`` of the result, or by a ``sum``. Return None for any other product, such
    as one with a single vector, or with more than ``MAX_VECTORS``.

    Args:
        node: The product.
        left: Its new left operand.
        right: Its new right operand.
        states: Values with the entries of a matrix state.
    """
    if not is_batched_product(node) or not states:
        return None
    rank, sizes = node.tensor.rank, (left.shape[-2], left.shape[-1], right.shape[-1])
    if not all(isinstance(size, int) for size in sizes) or len(left.shape) != rank or len(right.shape) != rank:
        return None
    counts = [int(str(size)) for size in sizes]
    count = min(counts)
    if not 1 < count <= MAX_VECTORS or counts.count(count) > 1:
        return None

    def product(left: Node, right: Node) -> Node:
        return make("matmul", left, right, where=node.where, name=node.name)

    match counts.index(count):
        case 0 if node.operands[1] in states:
            return "rows", [product(part(left, rank - 2, number), right) for number in range(count)]
        case 2 if node.operands[0] in states:
            return "columns", [product(left, part(right, rank - 1, number)) for number in range(count)]
        case 1:
            pairs = ((part(left, rank - 1, number), part(right, rank - 2, number)) for number in range(count))
            return "sum", [product(*pair) for pair in pairs]
    return None


def part(value: Node, axis: int, number: int) -> Node:
    """Return entry ``number`` of a value along an axis, which stays as an axis of size 1."""
    if axis < 0 or value.shape[axis] == 1:  # an operand of lower rank does not vary along the axis
        return value
    if value.op == "concat" and value["axis"] == axis and all(item.shape[axis] == 1 for item in value.operands):
        return value.operands[number]
    if value.op == "transpose":
        inner = part(value.operands[0], value["order"][axis], number)
        return make("transpose", inner, where=value.where, name=value.name, order=value["order"])
    if OPS[value.op].kind == "elementwise" and not OPS[value.op].random:
        parts = [part(item, axis - value.tensor.rank + item.tensor.rank, number) for item in value.operands]
        return make(value.op, *parts, where=value.where, name=value.name, **dict(value.attributes))
    return sliced(value, axis, number, number + 1)
