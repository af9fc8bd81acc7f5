"""Where the variables of cells are: under the scope in which a cell first ran, by TensorFlow's names."""

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
    """The variables of a cell or driver, by their paths under its scope.

    prefix: the scope's full name. first, renamed: the cell's own name, and the one that it has under a scope in which
    another cell of the name ran before. named_later: whether names are settled when all is compiled, as of drivers, of
    which a second ``rnn`` is ``rnn_1``. ran: scopes of steps that were traced, which find their variables from then on.
    has_layers: whether layers in its steps own variables, which are named with all that is declared. owned: parameters
    of cells in ``rg.shared`` that the graph knows. parts: variables of such cells within this one.
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
        """The full name of a variable or of a scope."""
        first, slash, rest = path.partition("/")
        name = f"{self.renamed}{slash}{rest}" if first and first == self.first else path
        return "/".join(part for part in (self.prefix, name) if part)

    def found(
        self, path: str, kind: TensorType, initializer: Any, trainable: bool, where: Where | None, within: str
    ) -> ParameterSpec:
        if self.named_later and not self.reuse:
            return super().found(path, kind, initializer, trainable, where, within)
        spec = self.get(path)
        if spec is None:
            spec = self[path] = cell_variable(self.full(path), kind, initializer, trainable, self.reuse, where)
        return spec


class _Placed(shared):
    """A cell whose variables are those of its own place, in whatever driver it runs."""

    def __init__(self, cell: Cell, specs: Specs) -> None:
        super().__init__(cell)
        self.specs = specs

    def __repr__(self) -> str:
        return repr(self.cell)


def driver_scope(cell: Any, base: str, scope: Any) -> ScopeName:
    """The scope of a driver, with the variables of its cell: those that it has already, where it ran before.

    base: the name where the program gives none.
    """
    where, prefix, reuse, later = _place(base, scope)
    graph, first = get_default_graph(), own_name(cell)
    found = graph.cells.get(cell)
    if found is not None:
        return ScopeName(prefix or base, False, where, found)
    found = CellVariables(prefix, reuse, first, named_later=later)
    if first:  # one without a scope of its own makes variables wherever it runs
        graph.cells[cell] = found
    note_copies(graph, [cell], prefix)
    return ScopeName(prefix or base, later and scope is not None, where, found)


def both_ways(forward: Any, backward: Any, base: str, scope: Any) -> tuple[ScopeName, Any, Any]:
    """The scope of a driver of two cells, and the cells with the variables that each has already, if it ran before."""
    where, prefix, reuse, later = _place(base, scope)
    graph = get_default_graph()
    parts = []
    for part, cell in (("fw", forward), ("bw", backward)):
        first = own_name(cell)
        found = graph.cells.get(cell) if not (part == "bw" and backward is forward) else None
        if found is None and first:
            found = CellVariables(f"{prefix}/{part}", reuse, first, named_later=later)
            graph.cells.setdefault(cell, found)
        parts.append(cell if found is None else _Placed(cell, found))
    note_copies(graph, [forward, backward], prefix, ("fw", "bw"))
    specs = CellVariables(prefix, reuse, named_later=later)
    return ScopeName(prefix or base, later and scope is not None, where, specs), parts[0], parts[1]


def _place(base: str, scope: Any) -> tuple[Where | None, str, Any, bool]:
    """(the user's line, full name of a driver's scope, whether it reuses, whether names are settled later)."""
    where, present = user_line(), present_scope()
    if isinstance(scope, VariableScope):
        prefix, reuse = scope.name, scope.reuse
    elif scope is None or (isinstance(scope, str) and scope):
        prefix, reuse = present.under(base if scope is None else scope), present.reuse
    else:
        raise DtypeError(f'a scope must be a string such as "decoder", not {shown(scope)}', where)
    return where, prefix, reuse, bool(prefix) and not reuse and present.regularizer is None


def note_copies(graph: Graph, cells: Sequence[Any], prefix: str, positions: Sequence[str] = ("",)) -> None:
    """Note where one cell object stands at several places, and warn once.

    It has variables of its own at each place, as in TensorFlow 1.0; from 1.2 on it has one set.
    """
    places: dict[int, str] = {}
    for top, position in zip(cells, positions, strict=True):
        for cell, _, path in _places(top, joined(prefix, position)):
            if isinstance(cell, Wrapper) or isinstance(getattr(cell, "cells", None), list | tuple):
                continue
            if (before := places.setdefault(id(cell), path)) != path:
                graph.copies[path] = before
    if graph.copies and "copies" not in graph.told:
        graph.told.add("copies")
        copy, before = next(iter(graph.copies.items()))
        warn(
            f"one cell object stands at {before} and at {copy}, and has variables of its own at each, as in TensorFlow "
            "1.0. From 1.2 on it has one set: write rg.shared(cell) for that, or make a cell for each place",
            user_line(),
        )


def _places(cell: Any, position: str) -> Iterator[tuple[Cell, str, str]]:
    """Yield (cell, where it stands, its own scope) of a cell and of those inside, but for what is in ``rg.shared``."""
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
    """Let each cell in ``rg.shared`` have the variables of the place where it is first called."""
    for inner, position, _ in _places(cell, ""):
        if isinstance(inner, shared) and type(inner.specs) is Specs and not inner.specs:
            inner.specs = CellVariables(variables.full(position), variables.reuse) if position else variables
            variables.parts += [inner.specs] if position else []


def variables_of(graph: Graph, cell: Cell, scope: Any = None) -> CellVariables:
    """The variables of a cell that a program calls: under the scope that was open when it first was."""
    found: CellVariables | None = graph.cells.get(cell)
    if found is None:
        present, first = present_scope(graph), own_name(cell)
        if isinstance(scope, VariableScope):
            found = CellVariables(scope.name.rpartition("/")[0], scope.reuse, first, scope.name.rpartition("/")[2])
        elif isinstance(scope, str) and scope:
            found = CellVariables(present.name, present.reuse, first, scope)
        elif scope is None:
            reuses = getattr(_named(cell), "_reuse", None)  # by its own name, as in TensorFlow
            renamed = present.free(first) if first and not reuses else first
            if renamed:
                present.enter(renamed)
            found = CellVariables(present.name, present.reuse, first, renamed)
        else:
            raise DtypeError(f"scope is a string or a tf.VariableScope, not {shown(scope)}")
        if first:
            graph.cells[cell] = found
        note_copies(graph, [cell], found.prefix)
        _name_shared(cell, found)
    return found


def checked_reuse(cell: Any, reuse: Any) -> Any:
    """Whether a cell finds its variables, as it is told; an error where there are none to find."""
    graph = get_default_graph()
    if reuse is True and not (present_scope(graph).reuse or graph.owners):
        raise ArgumentError(
            f"{cell!r}: reuse=True, and nothing was declared whose variables it could find; leave it out, or use "
            "rg.shared(cell) for one set of parameters"
        )
    return reuse


@contextmanager
def reusing(p: Scope, reuse: Any) -> Iterator[None]:
    """While a cell makes variables that was itself told to find those that there are."""
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
    """The name of the outermost cell that adds one to those of its variables."""
    cell = _named(cell)
    if not isinstance(cell, Cell) or not cell.adds_scope:
        return ""
    return cell.scope_name or snake_case(type(cell).__name__)


def _named(cell: Any) -> Any:
    """The outermost cell that adds a name, or the innermost one."""
    while isinstance(cell, Wrapper) and not cell.adds_scope:
        cell = cell.cell
    return cell
