"""What the sizes of a call must be, so that native code computes in the memory that it has, and comes to an end.

Sizes are known at run time only. Kernels are right for all of them, 0 among them, but for what is checked here: numbers
of elements or steps that index arithmetic in 64 bits can't hold, and a row that is read of a table without rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...ir.attributes import MOST_ELEMENTS, MOST_STEPS
from ...ir.graph import Graph, Node
from ...ir.sizes.polynomial import floors_of
from ...ir.type_rules import parted
from ...ir.types import Dim, Size, TupleType, dim_text, evaluate, symbols_of
from ...support.errors import ShapeError, Where

MOST_OVER_STEPS = 1 << 48
"""Elements of a value at all the steps that compute it, as if each step's were kept."""

MOST_DIVIDED = 1 << 60
"""A size before it is divided: all its terms, of which none is negative, fit 64 bits together."""


@dataclass(frozen=True)
class Most:
    """A bound: how large a product of sizes may be."""

    dims: tuple[Dim, ...]
    limit: int
    what: str
    where: Where | None


@dataclass(frozen=True)
class Table:
    """A table of which a row is read, or written, for each index."""

    rows: Dim
    indices: tuple[Dim, ...]
    where: Where | None


@dataclass(frozen=True)
class Choice:
    """For each of ``results`` one of ``entries`` is chosen, so that there must be some."""

    entries: tuple[Dim, ...]
    results: tuple[Dim, ...]
    where: Where | None


@dataclass(frozen=True)
class Bounds:
    """The bounds of one graph. dims: all sizes that occur in them."""

    dims: tuple[Size, ...]
    most: tuple[Most, ...]
    tables: tuple[Table, ...]
    choices: tuple[Choice, ...]

    def check(self, sizes: Mapping[str, int], where: Where | None) -> None:
        """Raises ``ShapeError`` where ``sizes``, of all names, are out of bounds."""
        values: dict[Dim, int] = {dim: evaluate(dim, sizes) for dim in self.dims}

        def number(dims: tuple[Dim, ...]) -> int:
            total = 1
            for dim in dims:
                total *= dim if isinstance(dim, int) else values[dim]
            return total

        for most in self.most:
            if number(most.dims) > most.limit:
                raise ShapeError(
                    f"{most.what} (declared at {most.where}) would be {number(most.dims)}{_of(most.dims, sizes)}; "
                    f"at most {most.limit} can be computed, so feed less at a time",
                    where,
                )
        for table in self.tables:
            if number((table.rows,)) == 0 and number(table.indices):
                raise ShapeError(
                    f"a table (declared at {table.where}) has no rows{_of((table.rows,), sizes)}, and "
                    f"{number(table.indices)} of its rows are asked for; feed one with rows, or no indices",
                    where,
                )
        for choice in self.choices:
            if number(choice.entries) == 0 and number(choice.results):
                raise ShapeError(
                    f"a choice (declared at {choice.where}) is made among no entries{_of(choice.entries, sizes)}; feed "
                    "so much that there is one",
                    where,
                )


def bounds_of(graph: Graph) -> Bounds:
    """What must hold of the sizes of a call of ``graph``."""
    most = tuple({(item.dims, item.limit): item for item in _most(graph)}.values())
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
    found = [dim for item in most for dim in item.dims]
    found += [dim for table in tables for dim in (table.rows, *table.indices)]
    found += [dim for choice in choices for dim in (*choice.entries, *choice.results)]
    return Bounds(tuple(dict.fromkeys(dim for dim in found if isinstance(dim, Size))), most, tables, choices)


def _most(graph: Graph) -> Iterator[Most]:
    """All that is not sure to be within bounds."""
    pending: list[tuple[Graph, tuple[Dim, ...]]] = [(graph, ())]
    while pending:
        current, steps = pending.pop()
        limit = MOST_OVER_STEPS if steps else MOST_ELEMENTS
        for node in current.nodes:
            found = [Most((*steps, *shape), limit, f"elements of {kind}", node.where) for kind, shape in _shapes(node)]
            floors = (floor for dim in _dims(node) for floor in floors_of(dim))
            found += [Most((floor.dim,), MOST_DIVIDED, "a size that is divided", node.where) for floor in floors]
            if node.op == "dimension":
                found.append(Most((node["size"],), MOST_OVER_STEPS, "a number made of sizes", node.where))
            if node.op == "scan":
                inside = (*steps, node["length"])
                found.append(Most(inside, MOST_STEPS, f"steps of {node.name or 'a loop'}", node.where))
                pending.append((node["body"], inside))
            yield from (item for item in found if not _is_sure(item))


def _dims(node: Node) -> Iterator[Dim]:
    """The sizes in a node's type and attributes."""
    pending: list[Any] = [shape for _, shape in _shapes(node)] + [value for _, value in node.attributes]
    for value in pending:  # which grows
        if isinstance(value, Size):
            yield value
        elif isinstance(value, tuple):
            pending += value


def _shapes(node: Node) -> Iterator[tuple[str, tuple[Dim, ...]]]:
    for item in node.type.items if isinstance(node.type, TupleType) else (node.type,):
        yield str(item), item.shape


def _is_sure(item: Most) -> bool:
    total = 1
    for dim in item.dims:
        if not isinstance(dim, int):
            return False
        total *= dim
    return total <= item.limit


def _of(dims: tuple[Dim, ...], sizes: Mapping[str, int]) -> str:
    """The sizes that a product is of, in words."""
    names = sorted({name for dim in dims for name in symbols_of(dim)})
    text = " · ".join(dim_text(dim) for dim in dims)
    return f" = {text} at {', '.join(f'{name} = {sizes[name]}' for name in names)}" if names else ""
