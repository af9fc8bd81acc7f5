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
    """Return the product ``node``, joined from products with one vector each, ``values``.

    ``how`` is ``rows``, ``columns`` or ``sum``, as ``products_of_few_vectors`` returns it.
    """
    if how == "sum":
        return reduce(lambda one, other: make("add", one, other, where=node.where, name=node.name), values)
    axis = node.tensor.rank - (2 if how == "rows" else 1)
    return make("concat", *values, where=node.where, name=node.name, axis=axis)


def products_of_few_vectors(node: Node, left: Node, right: Node, states: Set[Node]) -> tuple[str, list[Node]] | None:
    """Split a product with a few vectors into products with one vector each. Return how to join them, and the products.

    The products are joined as ``rows`` or ``columns`` of the result, or by a ``sum``. Return None for any other
    product, such as one with a single vector, or with more than ``MAX_VECTORS``.

    Args:
        node: The product.
        left: Its new left operand.
        right: Its new right operand.
        states: Matrix states, and the values computed from them entry by entry.
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

    parts = [_Parts(number) for number in range(count)]
    match counts.index(count):
        case 0 if node.operands[1] in states:
            return "rows", [product(part.of(left, rank - 2), right) for part in parts]
        case 2 if node.operands[0] in states:
            return "columns", [product(left, part.of(right, rank - 1)) for part in parts]
        case 1:
            return "sum", [product(part.of(left, rank - 1), part.of(right, rank - 2)) for part in parts]
    return None


class _Parts:
    """Slices of values at index ``number`` of an axis. Each slice is built once, because several ops may read it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._known: dict[tuple[Node, int], Node] = {}

    def of(self, value: Node, axis: int) -> Node:
        """Return the slice of a value along ``axis``, which stays as an axis of size 1."""
        if (value, axis) not in self._known:
            self._known[value, axis] = self._built(value, axis)
        return self._known[value, axis]

    def _built(self, value: Node, axis: int) -> Node:
        if axis < 0 or value.shape[axis] == 1:  # an operand of lower rank does not vary along the axis
            return value
        if value.op == "concat" and value["axis"] == axis and all(item.shape[axis] == 1 for item in value.operands):
            return value.operands[self.number]
        if value.op == "transpose":
            inner = self.of(value.operands[0], value["order"][axis])
            return make("transpose", inner, where=value.where, name=value.name, order=value["order"])
        if OPS[value.op].kind == "elementwise" and not OPS[value.op].random:
            parts = [self.of(item, axis - value.tensor.rank + item.tensor.rank) for item in value.operands]
            return make(value.op, *parts, where=value.where, name=value.name, **dict(value.attributes))
        return sliced(value, axis, self.number, self.number + 1)
