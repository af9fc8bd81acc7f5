"""Variables of cells: created under the scope in which a cell first ran, with TensorFlow's names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...declare.call_text import snake_case
from ...declare.cell import Cell, Scope, Wrapper, shared
from ...declare.layer import joined
from ...declare.parameters import ParameterSpec, ScopeName, Specs
from ...ir.types import TensorType
from ...support.errors import ArgumentError, DtypeError, Where, shown, user_line, warn
from ..core.graph import Graph, get_default_graph
from ..core.scopes import VariableScope, present_scope
from ..core.variables import cell_variable


class CellVariables(Specs):
    """Variables of a cell or driver, by their paths under a scope.

    Attributes:
        prefix: Full name of the scope.
        reuse: The scope's ``reuse``: whether variables that exist are used.
        first: Name of the cell, which is the first component of the paths; "" for a driver.
        renamed: Name in place of ``first``, such as ``gru_cell_1`` for the second GRU in the scope.
        named_later: True if names are assigned at compilation, as for drivers: the second ``rnn`` becomes ``rnn_1``.
        ran: Paths of the steps that were traced. A later step with the same path reuses the variables.
        has_layers: True if layers in the steps own variables, whose names depend on other declarations.
        owned: Parameters of cells in ``rg.shared`` that the graph has recorded.
        parts: Variables of cells in ``rg.shared`` within this cell.
    """

    def __init__(self, prefix: str, reuse: Any, first: str = "", renamed: str = "", named_later: bool = False) -> None:
        super().__init__()
        self.prefix, self.reuse = prefix, reuse
        self.first, self.renamed = first, renamed or first
        self.named_later = named_later
        self.ran: set[str] = set()
        self.has_layers = False
        self.owned: set[ParameterSpec] = set()
        self.parts: list[CellVariables] = []

    def full(self, path: str) -> str:
        """Return the full name of the variable or scope at a path."""
        first, slash, rest = path.partition("/")
        name = f"{self.renamed}{slash}{rest}" if first and first == self.first else path
        return "/".join(part for part in (self.prefix, name) if part)

    def resolve(
        self, path: str, kind: TensorType, initializer: Any, trainable: bool, where: Where | None, within: str
    ) -> ParameterSpec:
        if self.named_later and not self.reuse:
            return super().resolve(path, kind, initializer, trainable, where, within)
        spec = self.get(path)
        if spec is None:
            spec = self[path] = cell_variable(self.full(path), kind, initializer, trainable, self.reuse, where)
        return spec


class _CellWithVariables(shared):
    """Cell bound to its variables. All drivers that run the cell share these variables."""

    def __init__(self, cell: Cell, specs: Specs) -> None:
        super().__init__(cell)
        self.specs = specs

    def __repr__(self) -> str:
        return repr(self.cell)


def driver_scope(cell: Any, base: str, scope: Any) -> ScopeName:
    """Return the scope of a driver, with the variables of its cell. A cell that ran before keeps its variables.

    Args:
        cell: Cell of the driver.
        base: Default name of the scope.
        scope: The program's argument: a name, a ``tf.VariableScope`` or None.
    """
    where, prefix, reuse, later = _resolved_scope(base, scope)
    graph, first = get_default_graph(), own_name(cell)
    variables = graph.cells.get(cell)
    if variables is not None:
        return ScopeName(prefix or base, False, where, variables)
    variables = CellVariables(prefix, reuse, first, named_later=later)
    if first:  # a cell without its own scope has separate variables in each driver
        graph.cells[cell] = variables
    note_copies(graph, [cell], prefix)
    return ScopeName(prefix or base, later and scope is not None, where, variables)


def bidirectional_scope(forward: Any, backward: Any, base: str, scope: Any) -> tuple[ScopeName, Any, Any]:
    """Return (scope of a bidirectional driver, forward cell, backward cell), with each cell bound to its variables.

    Cells that ran before keep their variables.
    """
    where, prefix, reuse, later = _resolved_scope(base, scope)
    graph = get_default_graph()
    parts = []
    for part, cell in (("fw", forward), ("bw", backward)):
        first = own_name(cell)
        variables = graph.cells.get(cell) if not (part == "bw" and backward is forward) else None
        if variables is None and first:
            variables = CellVariables(f"{prefix}/{part}", reuse, first, named_later=later)
            graph.cells.setdefault(cell, variables)
        parts.append(cell if variables is None else _CellWithVariables(cell, variables))
    note_copies(graph, [forward, backward], prefix, ("fw", "bw"))
    specs = CellVariables(prefix, reuse, named_later=later)
    return ScopeName(prefix or base, later and scope is not None, where, specs), parts[0], parts[1]


def _resolved_scope(base: str, scope: Any) -> tuple[Where | None, str, Any, bool]:
    """Resolve a driver's argument ``scope``, whose default name is ``base``.

    Returns:
        (user's line, full name of the scope, the scope's ``reuse``, True if names are assigned at compilation).
    """
    where, present = user_line(), present_scope()
    if isinstance(scope, VariableScope):
        prefix, reuse = scope.name, scope.reuse
    elif scope is None or (isinstance(scope, str) and scope):
        prefix, reuse = present.under(base if scope is None else scope), present.reuse
    else:
        raise DtypeError(f'scope must be a string such as "decoder", or a tf.VariableScope, not {shown(scope)}', where)
    return where, prefix, reuse, bool(prefix) and not reuse and present.regularizer is None


def note_copies(graph: Graph, cells: Sequence[Any], prefix: str, positions: Sequence[str] = ("",)) -> None:
    """Record each cell object that a net uses at several positions. Warn about a graph's first such object.

    The object has separate variables at each position, as in TensorFlow 1.0. From TensorFlow 1.2 on it has one set.

    Args:
        graph: Graph that records the copies.
        cells: Outermost cells.
        prefix: Full name of the driver's scope.
        positions: Position of each outermost cell below ``prefix``.
    """
    first_paths: dict[int, str] = {}
    for top, position in zip(cells, positions, strict=True):
        for cell, _, path in _cells_with_paths(top, joined(prefix, position)):
            if isinstance(cell, Wrapper) or isinstance(getattr(cell, "cells", None), list | tuple):
                continue
            if (before := first_paths.setdefault(id(cell), path)) != path:
                graph.copies[path] = before
    if graph.copies and "copies" not in graph.warned:
        graph.warned.add("copies")
        copy, before = next(iter(graph.copies.items()))
        warn(
            f"one cell object is used at {before} and at {copy}, with separate variables, as in TensorFlow 1.0. "
            "From 1.2 on it has one set of variables: write rg.shared(cell) for one set, or create a cell for each use",
            user_line(),
        )


def _cells_with_paths(cell: Any, position: str) -> Iterator[tuple[Cell, str, str]]:
    """Yield (cell, path without the cell's own name, path) for a cell and its inner cells, except in ``rg.shared``."""
    pending = [(cell, position)]
    while pending:
        cell, position = pending.pop()
        if not isinstance(cell, Cell):
            continue
        path = joined(position, cell.scope_name or snake_case(type(cell).__name__)) if cell.adds_scope else position
        yield cell, position, path
        inner = getattr(cell, "cells", None)
        if isinstance(cell, Wrapper):
            pending += [] if isinstance(cell, shared) else [(cell.cell, path)]
        elif isinstance(inner, list | tuple):
            pending += [(item, joined(path, f"cell_{number}")) for number, item in enumerate(inner)][::-1]


def _name_shared(cell: Cell, variables: CellVariables) -> None:
    """Name the variables of each cell in ``rg.shared`` by the scope in which the cell is first called."""
    for inner, position, _ in _cells_with_paths(cell, ""):
        if isinstance(inner, shared) and type(inner.specs) is Specs and not inner.specs:
            inner.specs = CellVariables(variables.full(position), variables.reuse) if position else variables
            variables.parts += [inner.specs] if position else []


def variables_of(graph: Graph, cell: Cell, scope: Any = None) -> CellVariables:
    """Return the variables of a cell that is called step by step. Its first call creates them under the open scope.

    Args:
        graph: The current graph.
        cell: The cell.
        scope: Name or ``tf.VariableScope`` of the cell itself. None: the cell's default name, numbered if taken.
    """
    variables: CellVariables | None = graph.cells.get(cell)
    if variables is None:
        present, first = present_scope(graph), own_name(cell)
        if isinstance(scope, VariableScope):
            variables = CellVariables(scope.name.rpartition("/")[0], scope.reuse, first, scope.name.rpartition("/")[2])
        elif isinstance(scope, str) and scope:
            variables = CellVariables(present.name, present.reuse, first, scope)
        elif scope is None:
            reuses = getattr(_unwrapped(cell), "_reuse", None)  # the argument _reuse of an RNNCell
            renamed = present.free(first) if first and not reuses else first
            if renamed:
                present.enter(renamed)
            variables = CellVariables(present.name, present.reuse, first, renamed)
        else:
            raise DtypeError(f'scope must be a string such as "decoder", or a tf.VariableScope, not {shown(scope)}')
        if first:
            graph.cells[cell] = variables
        note_copies(graph, [cell], variables.prefix)
        _name_shared(cell, variables)
    return variables


def checked_reuse(cell: Any, reuse: Any) -> Any:
    """Return ``reuse``, an argument of a cell.

    Raise ``ArgumentError`` if it is True, the open scope does not reuse variables, and no variables exist.
    """
    graph = get_default_graph()
    if reuse is True and not (present_scope(graph).reuse or graph.owners):
        raise ArgumentError(
            f"{cell!r}: reuse=True, but no variables exist yet; leave out reuse=, or use "
            "rg.shared(cell) for one set of parameters"
        )
    return reuse


@contextmanager
def reusing(p: Scope, reuse: Any) -> Iterator[None]:
    """Use the cell's own ``reuse`` for the variables of a step until the block ends, unless it is None or False."""
    variables = p._specs
    if not reuse or not isinstance(variables, CellVariables):
        yield
        return
    before, variables.reuse = variables.reuse, reuse
    try:
        yield
    finally:
        variables.reuse = before


def own_name(cell: Any) -> str:
    """Return the name that a cell, without its wrappers, adds to the names of its variables; "" if it adds none."""
    cell = _unwrapped(cell)
    if not isinstance(cell, Cell) or not cell.adds_scope:
        return ""
    return cell.scope_name or snake_case(type(cell).__name__)


def _unwrapped(cell: Any) -> Any:
    """Return the cell inside of all wrappers that add no scope."""
    while isinstance(cell, Wrapper) and not cell.adds_scope:
        cell = cell.cell
    return cell
