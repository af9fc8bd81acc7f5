"""Origins of statements: lines of the script, layers and phases."""

from __future__ import annotations

from ...support.errors import Where
from .functions import Function, nested, origins_in
from .nodes import Contract, Statement

Origins = tuple[Where, ...]
"""Origins of one statement; several if equal layers share a function."""


class StatementOrigins:
    """Origins of a function's statements. ``all`` has each origin once, in the order of statements."""

    def __init__(self, function: Function) -> None:
        rows = zip(origins_in(function.body), *function.other_origins, strict=True)
        each = iter([tuple(dict.fromkeys(origin for origin in row if origin is not None)) for row in rows])
        self._of: dict[int, Origins] = {}
        self._columns: dict[int, tuple[Origins, ...]] = {}
        for statement in nested(function.body):
            self._of[id(statement)] = next(each)
            if isinstance(statement, Contract):
                self._columns[id(statement.results)] = tuple(next(each) for _ in statement.columns)
        self.all: Origins = tuple(
            dict.fromkeys(origin for statement_origins in self._of.values() for origin in statement_origins)
        )

    def of(self, statement: Statement) -> Origins:
        """Return the script lines (origins) of a statement."""
        return self._of[id(statement)]

    def columns(self, tile: Contract) -> tuple[Origins, ...]:
        """Return the script lines (origins) of each column of a register tile."""
        return self._columns[id(tile.results)]


def origins_text(origins: Origins) -> str:
    """Return a text with the lines, layers and phases: ``net.py:12 encoder/cell_0, encoder/cell_1 forward``."""
    layers: dict[tuple[str, str], dict[str, None]] = {}
    for origin in origins:
        layers.setdefault((str(origin), origin.phase), {})[origin.layer] = None
    texts = (" ".join(filter(None, (line, ", ".join(filter(None, of)), phase))) for (line, phase), of in layers.items())
    return "; ".join(texts)


def layers_text(origins: Origins) -> str:
    """Return a text with the layers of each phase: ``encoder/cell_0, encoder/cell_1 forward``."""
    phases: dict[str, dict[str, None]] = {}
    for origin in origins:
        phases.setdefault(origin.phase, {})[origin.layer] = None
    texts = (f"{', '.join(filter(None, layers))} {phase}".strip() for phase, layers in phases.items())
    return "; ".join(texts)
