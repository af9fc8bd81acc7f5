"""Nodes of a declaration, with sizes inferred while they are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.graph import Node, make
from ...ir.node import Namer
from ...ir.sizes.table import SizeTable, declaration_order
from ...ir.types import Dim, dim_text, size, substitute, symbols_of
from ...support.errors import DtypeError, ShapeError, Where
from .names import Layers


class SizedNodes:
    """Builder of nodes that collects equations between their sizes.

    Attributes:
        roles: Name of each declared size in the graph: ``T`` for a driver's steps, ``B`` for its rows, and names such
            as ``x_1`` for other axes of placeholders.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.roles: dict[str, str] = {}
        self._sizes = SizeTable()
        self._unequal: list[tuple[Dim, Dim]] = []  # sizes that the current op requires to be equal, and calls compare
        self._assumed: list[tuple[Dim, Dim, Where | None]] = []

    def make(self, op: str, *operands: Node, where: Where | None = None, name: str = "", **attributes: Any) -> Node:
        """Return a new node, with checks at each call for sizes that may be unequal.

        Raises:
            ShapeError: The operands do not fit the op.
        """
        self._unequal = []
        where = self.layers.settled(where)
        try:
            node = make(op, *operands, where=where, name=name, unify=self._unify, **attributes)
        except (ValueError, TypeError) as error:
            operand_types = " and ".join(str(item.type) for item in operands)
            raise ShapeError(f"{op} of {operand_types}: {error}", where) from None
        if not self._unequal:
            return node
        have, want = self._unequal[0]
        self._assumed.append((have, want, where))
        ensured = self._with_size_check(op, operands, attributes, have, want, where)
        return self.make(op, *ensured, where=where, name=name, **attributes)

    def _unify(self, a: Dim, b: Dim) -> Dim:
        """Unify two sizes. If compile time cannot decide whether they are equal, each call compares them."""
        try:
            return self._sizes.unify(a, b)
        except ValueError:
            if not self._sizes.may_be_equal(a, b):
                raise
            self._unequal.append((self._sizes.resolve(a), self._sizes.resolve(b)))
            return a

    def _with_size_check(
        self,
        op: str,
        operands: Sequence[Node],
        attributes: Mapping[str, Any],
        have: Dim,
        want: Dim,
        where: Where | None,
    ) -> list[Node]:
        """Return an op's operands with a check, at each call, that the sizes ``have`` and ``want`` are equal."""
        first = operands[0]
        if op == "reshape":  # ``have`` and ``want`` are numbers of elements
            flat = self.make("reshape", first, where=where, shape=(have,))
            return [self.make("ensure_shape", flat, where=where, shape=(want,))]
        if op == "broadcast":
            pairs = zip(first.shape, attributes["shape"][-first.tensor.rank :], strict=True)
            return [self.ensure(first, [1 if dim == 1 else wide for dim, wide in pairs], where)]
        if self._priority(have) > self._priority(want):
            have, want = want, have
        shapes = ([want if self._sizes.resolve(dim) == have else dim for dim in item.shape] for item in operands)
        return [self.ensure(item, shape, where) for item, shape in zip(operands, shapes, strict=True)]

    def ensure(self, node: Node, shape: Sequence[Dim], where: Where | None) -> Node:
        """Return ``node`` with a check at each call that its sizes equal ``shape``."""
        return node if node.shape == tuple(shape) else self.make("ensure_shape", node, where=where, shape=tuple(shape))

    def _priority(self, dim: Dim) -> int:
        """Return the priority with which a size replaces an equal one: 2 for ints, 1 for drivers' sizes, else 0."""
        symbols = symbols_of(dim)
        return 2 if not symbols else int(all(self.roles.get(symbol, "").isupper() for symbol in symbols))

    def with_size(self, node: Node, axis: int, wanted: Dim, where: Where | None) -> Node:
        """Return ``node`` with axis ``axis`` unified with ``wanted``.

        Raises:
            ValueError: The sizes cannot be equal.
        """
        self._unequal = []
        self._unify(node.shape[axis], wanted)
        if not self._unequal:
            return node
        self._assumed.append((node.shape[axis], wanted, where))
        return self.ensure(node, [*node.shape[:axis], wanted, *node.shape[axis + 1 :]], where)

    def in_type_of(self, node: Node, other: Node, what: str, where: Where | None) -> Node:
        """Return ``node`` with its sizes unified with those of ``other``. ``what`` describes ``node`` in errors.

        Raises:
            DtypeError: The dtypes differ.
            ShapeError: The shapes differ.
        """
        if node.dtype != other.dtype:
            raise DtypeError(f"{what} has dtype {node.dtype}; it must be {other.dtype}", where)
        try:
            if node.tensor.rank != other.tensor.rank:
                raise ValueError("another number of axes")
            for axis in range(node.tensor.rank):
                node = self.with_size(node, axis, other.shape[axis], where)
        except ValueError:
            raise ShapeError(f"{what} has shape {node.tensor}, and must have {other.tensor}", where) from None
        return node

    def resolve(self, dim: Dim) -> Dim:
        """Return a size in which all symbols that are solved so far are replaced."""
        return self._sizes.resolve(dim)

    def final_sizes(self, placeholders: Sequence[Node]) -> dict[str, Dim]:
        """Return the final value of every declared size. Sizes that stay symbolic get readable names.

        Raises:
            ShapeError: Calls cannot compare two sizes, because no placeholder has one of them.
        """
        table = self._sizes
        table.unify_all([(have, want) for have, want, _ in self._assumed])  # later equations may have solved these
        fed = {name for node in placeholders for dim in node.shape for name in symbols_of(table.resolve(dim))}
        for have, want, where in self._assumed:
            have, want = table.resolve(have), table.resolve(want)
            if have != want and (unknown := (symbols_of(have) | symbols_of(want)) - fed):
                raise ShapeError(
                    f"size {dim_text(have)} must equal size {dim_text(want)}, and no placeholder has the size "
                    f"{', '.join(sorted(unknown))}; declare a placeholder with an axis of that size",
                    where,
                )
        symbols = dict.fromkeys([*self.roles, *table.known])
        final = {symbol: table.resolve(size(symbol)) for symbol in symbols}
        free = dict.fromkeys(name for dim in final.values() for name in sorted(symbols_of(dim), key=declaration_order))
        namer = Namer({name for name in free if not name.startswith("_")})
        wanted = dict(self.roles)
        for symbol, dim in final.items():  # sizes that were unified share the name
            for name in symbols_of(dim):
                if symbol in self.roles and not wanted.get(name, "").isupper():
                    wanted[name] = self.roles[symbol]
        shown = {name: size(namer(wanted.get(name, "N"))) for name in free if name.startswith("_")}
        return {symbol: substitute(dim, shown) for symbol, dim in final.items()}
