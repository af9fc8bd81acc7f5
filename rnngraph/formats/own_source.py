"""Copies functions and classes of the readers into a script, so that the script needs only the public API.

In the copies, names of other modules of rnngraph become attributes of ``rg``.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

_PACKAGE = __name__.partition(".")[0]
_HERE = __name__.rpartition(".")[0]


def is_own(item: Any) -> bool:
    """True for a function or class that is defined in this package, ``rnngraph.formats``."""
    return isinstance(getattr(item, "__name__", None), str) and str(item.__module__).startswith(f"{_HERE}.")


class OwnSource:
    """Source of the readers' functions and classes among ``items``, including those that they use."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._texts: dict[str, str] = {}
        for item in items:
            if is_own(item):
                self._add(item)

    def text(self) -> list[str]:
        """Return the lines of all definitions for a script; an empty list for none."""
        return [line for text in self._texts.values() for line in ("", text, "")] + ([""] if self._texts else [])

    def _add(self, item: Any) -> None:
        """Add the source of a function or class, after those that it uses."""
        if item.__name__ in self._texts:
            return
        original = inspect.unwrap(item)
        tree = ast.parse(textwrap.dedent(inspect.getsource(original)))
        names = vars(sys.modules[original.__module__])
        used = {node.id: names[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names}
        public = _PublicNames({name for name, other in used.items() if _is_public(other)})
        for other in used.values():
            if is_own(other) and other is not item:
                self._add(other)
        self._texts[item.__name__] = ast.unparse(ast.fix_missing_locations(public.visit(tree)))


def _is_public(item: object) -> bool:
    """True for an object of rnngraph that is not the readers' own. ``rg`` has all such objects that readers use."""
    return str(getattr(item, "__module__", "")).startswith(f"{_PACKAGE}.") and not is_own(item)


class _PublicNames(ast.NodeTransformer):
    """Replaces the names in ``public`` by attributes of ``rg``, and removes annotations."""

    def __init__(self, public: set[str]) -> None:
        self._public = public

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self._public:
            return node
        return ast.Attribute(ast.Name("rg", ast.Load()), node.id, node.ctx)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        return self.generic_visit(node)
