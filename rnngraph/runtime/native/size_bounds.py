"""Bounds on run-time sizes, beyond which native code would access invalid memory or not terminate.

Kernels are correct for all sizes, including 0, with two exceptions, which are checked here. Counts of elements or
steps must not overflow 64-bit index arithmetic, and no row may be read from an empty table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...ir.attributes import MAX_ELEMENTS, MAX_STEPS
from ...ir.graph import Graph, Node
from ...ir.sizes.polynomial import floors_of
from ...ir.type_rules import parted
from ...ir.types import Dim, Shape, Size, TensorType, TupleType, dim_text, evaluate, symbols_of
from ...support.errors import ShapeError, Where
from ...support.records import dataclass

MAX_OVER_STEPS = 1 << 48
"""Maximum number of elements of a value over all steps that compute it, as if every step were saved."""

MAX_DIVIDED = 1 << 60
"""Maximum of a size before division, so that the sum of its nonnegative terms fits 64 bits."""


@dataclass(frozen=True)
class UpperBound:
    """Upper bound on a product of sizes."""

    dims: tuple[Dim, ...]
    limit: int
    what: str
    where: Where | None


@dataclass(frozen=True)
class Table:
    """Table that must have at least one row if there are indices."""

    rows: Dim
    indices: tuple[Dim, ...]
    where: Where | None


@dataclass(frozen=True)
class Choice:
    """Selection of an entry for each result, such as a maximum. If there are results, there must be entries.

    Attributes:
        entries: Sizes of the axes from which an entry is selected.
        results: Sizes of the result.
    """

    entries: tuple[Dim, ...]
    results: tuple[Dim, ...]
    where: Where | None


@dataclass(frozen=True)
class Bounds:
    """Bounds on the sizes of a graph's calls. ``dims`` are the symbolic sizes that occur in these bounds."""

    dims: tuple[Size, ...]
    upper_bounds: tuple[UpperBound, ...]
    tables: tuple[Table, ...]
    choices: tuple[Choice, ...]

    def check(self, sizes: Mapping[str, int], where: Where | None) -> None:
        """Raise ``ShapeError`` if ``sizes`` are out of bounds."""
        values: dict[Dim, int] = {dim: evaluate(dim, sizes) for dim in self.dims}

        def number(dims: tuple[Dim, ...]) -> int:
            total = 1
            for dim in dims:
                total *= dim if isinstance(dim, int) else values[dim]
            return total

        for bound in self.upper_bounds:
            if number(bound.dims) > bound.limit:
                raise ShapeError(
                    f"{bound.what} (declared at {bound.where}) would be {number(bound.dims)}{_of(bound.dims, sizes)}; "
                    f"at most {bound.limit} can be computed, so feed less at a time",
                    where,
                )
        for table in self.tables:
            if number((table.rows,)) == 0 and number(table.indices):
                raise ShapeError(
                    f"a table (declared at {table.where}) has no rows{_of((table.rows,), sizes)}, but "
                    f"there are {number(table.indices)} indices; feed a table with rows, or no indices",
                    where,
                )
        for choice in self.choices:
            if number(choice.entries) == 0 and number(choice.results):
                raise ShapeError(
                    f"a maximum or minimum (declared at {choice.where}) has no entries to compare"
                    f"{_of(choice.entries, sizes)}; feed at least one",
                    where,
                )


def bounds_of(graph: Graph) -> Bounds:
    """Return the limits on a graph's run-time sizes, beyond which native code would overflow or read outside arrays."""
    products = tuple({(item.dims, item.limit): item for item in _upper_bounds(graph)}.values())
    gathers = ((node, node.operands[1], node.operands[0].shape[0]) for node in graph.walk() if node.op == "gather")
    adds = ((node, node.operands[0], node["rows"]) for node in graph.walk() if node.op == "scatter_add")
    tables = tuple(
        Table(rows, indices.shape, node.where)
        for node, indices, rows in (*gathers, *adds)
        if isinstance(rows, Size) or not rows
    )
    choices = tuple(
        Choice(*parted(node.operands[0].shape, node["axes"]), node.where)
        for node in graph.walk()
        if node.get("nonempty")
    )
    dims = [dim for item in products for dim in item.dims]
    dims += [dim for table in tables for dim in (table.rows, *table.indices)]
    dims += [dim for choice in choices for dim in (*choice.entries, *choice.results)]
    return Bounds(tuple(dict.fromkeys(dim for dim in dims if isinstance(dim, Size))), products, tables, choices)


def _upper_bounds(graph: Graph) -> Iterator[UpperBound]:
    """Yield the upper bounds on products of sizes that some calls could violate."""
    pending: list[tuple[Graph, tuple[Dim, ...]]] = [(graph, ())]
    while pending:
        current, steps = pending.pop()
        limit = MAX_OVER_STEPS if steps else MAX_ELEMENTS
        for node in current.nodes:
            for kind, shape in _shapes(node):
                if not _is_sure((*steps, *shape), limit):
                    yield UpperBound((*steps, *shape), limit, f"elements of {kind}", node.where)
            for dim in _dims(node):
                for floor in floors_of(dim):
                    yield UpperBound((floor.dim,), MAX_DIVIDED, "a size that is divided", node.where)
            if node.op == "dimension" and not _is_sure((node["size"],), MAX_OVER_STEPS):
                yield UpperBound((node["size"],), MAX_OVER_STEPS, "a number computed from sizes", node.where)
            if node.op == "scan":
                inside = (*steps, node["length"])
                if not _is_sure(inside, MAX_STEPS):
                    yield UpperBound(inside, MAX_STEPS, f"steps of {node.name or 'a loop'}", node.where)
                pending.append((node["body"], inside))


def _dims(node: Node) -> Iterator[Dim]:
    """Yield the sizes in a node's type and attributes."""
    pending: list[Any] = [shape for _, shape in _shapes(node)] + [value for _, value in node.attributes]
    for value in pending:  # the list grows meanwhile
        if isinstance(value, Size):
            yield value
        elif isinstance(value, tuple):
            pending += value


def _shapes(node: Node) -> Iterator[tuple[TensorType, Shape]]:
    """Yield the type and the shape of each value of a node."""
    for item in node.type.items if isinstance(node.type, TupleType) else (node.type,):
        yield item, item.shape


def _is_sure(dims: Shape, limit: int) -> bool:
    """True if the product of ``dims`` is a number within the limit."""
    total = 1
    for dim in dims:
        if not isinstance(dim, int):
            return False
        total *= dim
    return total <= limit


def _of(dims: tuple[Dim, ...], sizes: Mapping[str, int]) -> str:
    """Return a text with the values of a product's symbols, for an error."""
    names = sorted({name for dim in dims for name in symbols_of(dim)})
    text = " · ".join(dim_text(dim) for dim in dims)
    return f" = {text} at {', '.join(f'{name} = {sizes[name]}' for name in names)}" if names else ""
