"""What a value is to the parts of a batch: its rows lie on one axis, it is the same in all, or the parts' sum is it.

What is not known to keep rows apart, or to add them up, mixes them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from ...ir.axes import counts
from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.scan import ScanParts, ends_of_loop
from ...ir.types import Dim, Shape, Size, product
from ...support.errors import GraphError

FIRST_ROW = "first_row"


@dataclass(frozen=True)
class Whole:
    """Each part computes the same value."""


@dataclass(frozen=True)
class Rows:
    """A part has its own rows along ``axis``. factors: the sizes that the axis is made of, the outermost first; None
    where all its entries are equal.
    """

    axis: int
    factors: tuple[Dim, ...] | None

    def is_outermost(self, names: Set[str]) -> bool:
        """Whether parts that are put one behind the other along the axis are the whole. names: of sizes of rows."""
        return self.factors is None or counts(self.factors[0], names)


@dataclass(frozen=True)
class Summed:
    """The value is the sum of what the parts have."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of rows, which each part counts from 0, in ``size`` entries."""

    size: Dim


Kind = Whole | Rows | Summed | Numbers


def kind_of(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind:
    """The kind of a value that is made of values of these kinds, none of them ``Summed``.

    names: of the sizes that count rows. Raises ``GraphError`` where rows mix.
    """
    if node.op == "by_graph":  # its first operand is what training computes
        return kinds[0]
    found = None
    if node.op in ("dimension", "iota") and counts(node["size"], names):
        found = _of_size(node, names)
    elif not any(isinstance(kind, Rows | Numbers) for kind in kinds):
        found = _spread(node, names)
    elif any(isinstance(kind, Numbers) for kind in kinds):
        found = _of_numbers(node, kinds, names)
    elif _adds_rows(node, kinds):
        found = Summed()
    else:
        found = _moved(node, kinds, names)
    if found is None:
        raise GraphError(
            f"{node.op} mixes the rows of a batch, and so the batch can't be computed in shards", node.where
        )
    return found


def scan_kinds(scan: Node, kinds: Sequence[Kind], names: Set[str]) -> list[Kind]:
    """The kinds of what a scan gives, in order: states after the last step, then what each step emits.

    Raises ``GraphError`` where rows mix.
    """
    parts, body = ScanParts.of(scan), scan["body"]
    if counts(scan["length"], names):
        raise GraphError(
            "a loop over the rows of a batch mixes them, and so it can't be computed in shards", scan.where
        )
    given = dict(zip(scan.operands, kinds, strict=True))
    steps = {binding.inside for binding in parts.sequences}
    pairs = [(carry.inside, carry.initial) for carry in parts.carries]
    pairs += [(binding.inside, binding.outside) for binding in (*parts.sequences, *parts.invariants)]
    inner: dict[Node, Kind] = {}
    for inside, outside in pairs:
        kind = given[outside]
        inner[inside] = Rows(kind.axis - 1, kind.factors) if isinstance(kind, Rows) and inside in steps else kind
    for carry in parts.carries:
        inner[carry.inside] = _with_order(inner[carry.inside], carry.inside)
    ends = ends_of_loop(scan)
    for node in body.nodes:
        if node in inner:
            continue
        if node in ends:  # whether another step runs: a part ends where its own rows do
            inner[node] = Whole()
            continue
        inner[node] = _within_loop(node, [inner[item] for item in node.operands], names)
    for carry in parts.carries:
        if carry.inside is not parts.when and not _alike(inner[carry.inside], inner[carry.next]):
            raise GraphError(
                f"{carry.name} mixes the rows of a batch from step to step", carry.next.where or scan.where
            )
    emitted = [inner[node] for _, node in parts.emits]
    shifted = [Rows(kind.axis + 1, kind.factors) if isinstance(kind, Rows) else kind for kind in emitted]
    return [*(inner[carry.inside] for carry in parts.carries), *shifted]


def _within_loop(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind:
    if node.op == "scan":
        raise GraphError("a loop within a step can't be computed in shards of a batch", node.where)
    kind = kind_of(node, kinds, names)
    if isinstance(kind, Summed):
        raise GraphError(
            f"{node.op} mixes the rows of a batch at each step, and so the batch can't be computed in shards",
            node.where,
        )
    return kind


def _with_order(kind: Kind, node: Node) -> Kind:
    """A state that begins alike in all rows is not so later on."""
    if isinstance(kind, Rows) and kind.factors is None:
        return Rows(kind.axis, (node.shape[kind.axis],))
    return kind


def _alike(one: Kind, other: Kind) -> bool:
    if isinstance(one, Rows) and isinstance(other, Rows):
        return one.axis == other.axis and (None in (one.factors, other.factors) or one.factors == other.factors)
    return one == other


def _of_size(node: Node, names: Set[str]) -> Kind | None:
    """Of a number of rows, or of rows times something: the parts' numbers add up."""
    size = node["size"]
    terms = size.terms if isinstance(size, Size) else ()
    once = all(sum(name in names for name in monomial) == 1 for monomial, _ in terms) and size.plain_symbols & names
    if node.op == "dimension":
        return Summed() if once else None
    return Numbers(size) if once and len(terms) == 1 else None


def _of_numbers(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind | None:
    """Of numbers of rows: their own until they are counted from the batch's first row."""
    if node.op == "reshape":
        return kinds[0]
    number, first = kinds[0], node.operands[-1]
    if node.op != "add" or not isinstance(number, Numbers) or first.get("label") != FIRST_ROW:
        return None
    axis = next(axis for axis, dim in enumerate(node.shape) if counts(dim, names))
    return Rows(axis, factors_of(number.size, names))


def factors_of(size: Dim, names: Set[str]) -> tuple[Dim, ...]:
    """A size of one term as (rows, all else): rows are outermost."""
    assert isinstance(size, Size)
    ((monomial, factor),) = size.terms
    rows = Size((((next(name for name in monomial if name in names),), 1),))
    others = tuple(name for name in monomial if name not in names)
    rest: Dim = factor if not others else Size(((others, factor),))
    return (rows,) if rest == 1 else (rows, rest)


def _spread(node: Node, names: Set[str]) -> Kind | None:
    """The kind of what is made of values that are the same in all parts."""
    axes = [axis for axis, dim in enumerate(node.shape) if counts(dim, names)]
    if not axes:
        return Whole()
    return Rows(axes[0], None) if node.op == "broadcast" and len(axes) == 1 else None


def _adds_rows(node: Node, kinds: Sequence[Kind]) -> bool:
    """Whether a value is a sum over rows, and over nothing that rows have a part in otherwise."""
    first = kinds[0]
    if node.op == "reduce_sum":
        return isinstance(first, Rows) and first.axis in node["axes"]
    return node.op == "matmul" and len(node.operands) == 2 and _contracts_rows(node, kinds)


def _contracts_rows(node: Node, kinds: Sequence[Kind]) -> bool:
    left, right = node.operands[:2]
    one, other = kinds[:2]
    if not isinstance(one, Rows) or not isinstance(other, Rows):
        return False
    return one.axis == left.tensor.rank - 1 and other.axis == right.tensor.rank - 2 and _same_order(one, other)


def _same_order(one: Rows, other: Rows) -> bool:
    return None in (one.factors, other.factors) or one.factors == other.factors


def _moved(node: Node, kinds: Sequence[Kind], names: Set[str]) -> Kind | None:
    """Of values some of which have rows: where these lie in what is made of them."""
    axes = [axis for axis, dim in enumerate(node.shape) if counts(dim, names)]
    if len(axes) != 1:
        return None
    axis, rank = axes[0], node.tensor.rank
    aligned = [
        (kind.axis + rank - operand.tensor.rank, kind.factors)
        for operand, kind in zip(node.operands, kinds, strict=True)
        if isinstance(kind, Rows)
    ]
    orders = {factors for _, factors in aligned if factors is not None}
    if len(orders) > 1:
        return None
    order = next(iter(orders), None)
    first, place = node.operands[0], getattr(kinds[0], "axis", None)
    if node.op == "dropout" and axis == rank - 1:  # whose numbers are drawn by the place along the last axis
        return None
    if OPS[node.op].kind == "elementwise" or node.op in ("dropout", "broadcast", "ensure_shape", "tap"):
        return Rows(axis, order) if all(where == axis for where, _ in aligned) else None
    if node.op == "matmul":
        return Rows(axis, order) if _product_keeps(node, kinds, axis) else None
    if node.op == "gather":
        table, indices = kinds
        is_picked = isinstance(table, Whole) and isinstance(indices, Rows) and indices.axis == axis
        return Rows(axis, order) if is_picked else None
    if place is None or (node.op != "concat" and len(node.operands) > 1):
        return None
    match node.op:
        case "reduce_sum" | "reduce_max" | "reduce_min":
            keeps = place not in node["axes"]
        case "slice":
            keeps = (node["start"][place], node["stop"][place], node["step"][place]) == (0, first.shape[place], 1)
        case "windows" | "reverse" | "overlap_add":
            keeps = node["axis"] != place
        case "transpose":
            keeps = node["order"][axis] == place
        case "concat":
            keeps = node["axis"] != axis and all(
                kind == Rows(axis, order) or kind == Rows(axis, None) for kind in kinds
            )
        case "reshape":
            return _reshaped(first.shape, node.shape, place, axis, order)
        case _:
            keeps = False
    return Rows(axis, order) if keeps else None


def _product_keeps(node: Node, kinds: Sequence[Kind], axis: int) -> bool:
    """Whether no product adds up over rows, and what each row is of."""
    rank = node.tensor.rank
    for number, (operand, kind) in enumerate(zip(node.operands, kinds, strict=True)):
        if not isinstance(kind, Rows):
            continue
        place, own = kind.axis, operand.tensor.rank
        contracted = (own - 1, own - 2)[number] if number < 2 else None
        if place == contracted or place + rank - own != axis:
            return False
    both = isinstance(kinds[0], Rows) and isinstance(kinds[1], Rows)
    return not both or axis < rank - 2


def _reshaped(before: Shape, after: Shape, place: int, axis: int, order: tuple[Dim, ...] | None) -> Rows | None:
    """Axes that rows are joined with, or parted from."""
    own = (before[place],) if order is None else order
    factors = [*before[:place], *own, *before[place + 1 :]]
    ahead = product(after[:axis])
    for start, stop in combinations(range(len(factors) + 1), 2):
        if product(factors[:start]) == ahead and product(factors[start:stop]) == after[axis]:
            joined = tuple(dim for dim in factors[start:stop] if dim != 1)
            return Rows(axis, None if order is None and len(joined) == 1 else joined)
    return None
