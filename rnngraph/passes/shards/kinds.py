"""Classification of values for shards of a batch: sharded by rows, replicated, or partial sums.

An op that neither keeps rows separate nor sums them mixes rows, which is an error.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import combinations

from ...ir.axes.by_size import counts
from ...ir.axes.walk import fate, is_alike
from ...ir.axis_maps import Bound, Kept, Reduced
from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.scan import ScanParts, ends_of_loop
from ...ir.types import Dim, Shape, Size, product
from ...support.errors import GraphError
from ...support.records import dataclass

FIRST_ROW = "first_row"
LOOP_OVER_ROWS = "a loop over the rows of a batch mixes them, so it can't be computed in shards; train without shards"


@dataclass(frozen=True)
class Replicated:
    """Kind of a value that is equal in all shards."""


@dataclass(frozen=True)
class Sharded:
    """Kind of a value that is split by rows: each shard has the values of its rows, along ``axis``.

    Attributes:
        factors: Sizes whose product is the size of the axis, the outermost first; None if all rows are equal.
    """

    axis: int
    factors: tuple[Dim, ...] | None

    def is_outermost(self, names: Set[str]) -> bool:
        """True if concatenating the shards along the axis results in the value of the whole batch.

        ``names`` are the sizes that count rows.
        """
        return self.factors is None or counts(self.factors[0], names)


@dataclass(frozen=True)
class Partial:
    """Kind of a partial sum: the whole value is the sum of the shards' values."""


@dataclass(frozen=True)
class RowIndices:
    """Kind of the indices of rows, which each shard counts from 0. ``size`` is the number of rows in all shards."""

    size: Dim


Kind = Replicated | Sharded | Partial | RowIndices


def kind_of(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind:
    """Return how a value differs between shards (by rows, not at all, ...), from its operands, none a ``Partial`` sum.

    Args:
        names: Sizes that count rows.

    Raises:
        GraphError: The op mixes rows.
    """
    if node.op == "by_graph":  # the first operand is the value for training
        return kinds[0]
    result = None
    if node.op in ("dimension", "iota") and counts(node["size"], names):
        result = _size_kind(node, names)
    elif not any(isinstance(kind, Sharded | RowIndices) for kind in kinds):
        result = _replicated_kind(node, names)
    elif any(isinstance(kind, RowIndices) for kind in kinds):
        result = _index_kind(node, kinds, names)
    elif _adds_rows(node, kinds, names):
        result = Partial()
    else:
        result = _sharded_kind(node, kinds, names)
    if result is None:
        raise GraphError(
            f"{node.op} mixes the rows of a batch, so the batch can't be computed in shards; train without shards",
            node.where,
        )
    return result


def scan_kinds(scan: Node, kinds: Sequence[Kind], names: Set[str]) -> list[Kind]:
    """Return how each result of a scan differs between shards of the batch: final states, then values of all steps.

    Raises:
        GraphError: A step mixes rows.
    """
    parts, body = ScanParts.of(scan), scan["body"]
    if counts(scan["length"], names):
        raise GraphError(LOOP_OVER_ROWS, scan.where)
    inner = {inside: _input_kind(scan, number, kinds[number]) for number, inside in enumerate(body.inputs)}
    for carry in parts.carries:
        inner[carry.inside] = _distinct_rows(inner[carry.inside], carry.inside)
    ends = ends_of_loop(scan)
    for node in body.nodes:
        if node in inner:
            continue
        if node in ends:  # each shard runs until its own rows have ended
            inner[node] = Replicated()
            continue
        inner[node] = _within_loop(node, [inner[item] for item in node.operands], names)
    for carry in parts.carries:
        if carry.inside is not parts.when and not _are_equal(inner[carry.inside], inner[carry.next]):
            raise GraphError(
                f"{carry.name} mixes the rows of a batch from step to step, so it can't be computed in shards; "
                "train without shards",
                carry.next.where or scan.where,
            )
    emitted = [inner[node] for _, node in parts.emits]
    shifted = [Sharded(kind.axis + 1, kind.factors) if isinstance(kind, Sharded) else kind for kind in emitted]
    return [*(inner[carry.inside] for carry in parts.carries), *shifted]


def _input_kind(scan: Node, number: int, kind: Kind) -> Kind:
    """Return how an input of a scan's body differs between shards. Raise ``GraphError`` if the loop runs over rows."""
    if not isinstance(kind, Sharded):
        return kind
    bound = fate(scan, number, kind.axis)
    if not isinstance(bound, Bound):
        raise GraphError(LOOP_OVER_ROWS, scan.where)
    return Sharded(bound.axis, kind.factors)


def _within_loop(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind:
    """Return how a step's value differs between shards. Raise ``GraphError`` for a loop or a sum over rows."""
    if node.op == "scan":
        raise GraphError("a loop within a step can't be computed in shards; train without shards", node.where)
    kind = kind_of(node, kinds, names)
    if isinstance(kind, Partial):
        raise GraphError(
            f"{node.op} mixes the rows of a batch at each step, so the batch can't be computed in shards; train "
            "without shards",
            node.where,
        )
    return kind


def _distinct_rows(kind: Kind, node: Node) -> Kind:
    """Return the kind of a state at any step: rows that are equal before the first step may differ later."""
    if isinstance(kind, Sharded) and kind.factors is None:
        return Sharded(kind.axis, (node.shape[kind.axis],))
    return kind


def _are_equal(one: Kind, other: Kind) -> bool:
    """True if two kinds are equal. If all rows of a value are equal, the order of factors does not matter."""
    if isinstance(one, Sharded) and isinstance(other, Sharded):
        return one.axis == other.axis and (None in (one.factors, other.factors) or one.factors == other.factors)
    return one == other


def _size_kind(node: Node, names: Set[str]) -> Kind | None:
    """Return how a ``dimension`` or ``iota`` of a size that counts rows differs between shards; None if rows mix.

    The number of rows, or a multiple of that number, is a partial sum.
    """
    size = node["size"]
    terms = size.terms if isinstance(size, Size) else ()
    is_linear = (
        all(sum(name in names for name in monomial) == 1 for monomial, _ in terms) and size.plain_symbols & names
    )
    if node.op == "dimension":
        return Partial() if is_linear else None
    return RowIndices(size) if is_linear and len(terms) == 1 else None


def _index_kind(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind | None:
    """Return how a value computed from row indices differs between shards; None if it mixes rows.

    Indices count within a shard until the index of the shard's first row is added.
    """
    if node.op == "reshape":
        return kinds[0]
    number, first = kinds[0], node.operands[-1]
    if node.op != "add" or not isinstance(number, RowIndices) or first.get("label") != FIRST_ROW:
        return None
    axis = next(axis for axis, dim in enumerate(node.shape) if counts(dim, names))
    return Sharded(axis, factors_of(number.size, names))


def factors_of(size: Dim, names: Set[str]) -> tuple[Dim, ...]:
    """Split a size, a product that includes the number of rows, into the rows and the product of other factors."""
    assert isinstance(size, Size)
    ((monomial, factor),) = size.terms
    rows = Size((((next(name for name in monomial if name in names),), 1),))
    others = tuple(name for name in monomial if name not in names)
    other_factors: Dim = factor if not others else Size(((others, factor),))
    return (rows,) if other_factors == 1 else (rows, other_factors)


def _replicated_kind(node: Node, names: Set[str]) -> Kind | None:
    """Return the kind of a value whose operands are all replicated; None if rows mix."""
    axes = [axis for axis, dim in enumerate(node.shape) if counts(dim, names)]
    if not axes:
        return Replicated()
    return Sharded(axes[0], None) if len(axes) == 1 and is_alike(node, axes[0]) else None


def _adds_rows(node: Node, kinds: Sequence[Kind], names: Set[str]) -> bool:
    """True if a value is a sum over rows, and depends on rows in no other way."""
    if any(counts(dim, names) for dim in node.shape):
        return False
    reduced = [
        fate(node, number, kind.axis) if isinstance(kind, Sharded) else None for number, kind in enumerate(kinds)
    ]
    first = reduced[0]
    is_sum = isinstance(first, Reduced) and first.by == "sum" and all(item == first for item in reduced)
    return is_sum and len(_orders(kinds)) < 2


def _orders(kinds: Sequence[Kind]) -> set[tuple[Dim, ...]]:
    """Return the distinct ``factors`` of sharded operands."""
    return {kind.factors for kind in kinds if isinstance(kind, Sharded) and kind.factors is not None}


def _sharded_kind(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind | None:
    """Return how an op on operands sharded by rows differs between shards; None if it mixes rows."""
    axes = [axis for axis, dim in enumerate(node.shape) if counts(dim, names)]
    orders = _orders(kinds)
    if len(axes) != 1 or len(orders) > 1 or axes[0] in OPS[node.op].axes.by_place(node):
        return None
    axis, order = axes[0], next(iter(orders), None)
    if node.op == "reshape":
        (kind,) = kinds
        assert isinstance(kind, Sharded)
        return _kind_after_reshape(node.operands[0].shape, node.shape, kind.axis, axis, order)
    fates = [fate(node, number, kind.axis) for number, kind in enumerate(kinds) if isinstance(kind, Sharded)]
    return Sharded(axis, order) if all(item == Kept(axis) for item in fates) else None


def _kind_after_reshape(
    before: Shape, after: Shape, place: int, axis: int, order: tuple[Dim, ...] | None
) -> Sharded | None:
    """Return the kind after a reshape that merges axes with the row axis, or splits the row axis; None if rows mix.

    Args:
        before: Shape before the reshape.
        after: Shape after it.
        place: Row axis before the reshape.
        axis: Row axis after it.
        order: Factors of the row axis before the reshape; None if all rows are equal.
    """
    own = (before[place],) if order is None else order
    factors = [*before[:place], *own, *before[place + 1 :]]
    outer_size = product(after[:axis])
    for start, stop in combinations(range(len(factors) + 1), 2):
        if product(factors[:start]) == outer_size and product(factors[start:stop]) == after[axis]:
            joined = tuple(dim for dim in factors[start:stop] if dim != 1)
            return Sharded(axis, None if order is None and len(joined) == 1 else joined)
    return None
